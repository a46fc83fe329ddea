#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How much later a system starts for coming from an encrypted volume, the key derivation aside: from
power-on to the first program of the initrd, once by a boot entry of the firmware for the kernel on a
plain volume, once by an entry for vckboot and from the same volume encrypted. Machines without acceleration, in turns; beside the
time by the clock that of the processor, which a busy host changes less.

VCKBOOT names the loader, build/loader/products/vckboot/vckboot.efi by default."""
import base64
import gzip
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("boot", "linux", "")]
import machine  # noqa: E402
import vm  # noqa: E402
from machine import PARTITION, Machine, Volume  # noqa: E402

LOADER = os.environ.get("VCKBOOT", str(ROOT / "build/loader/products/vckboot/vckboot.efi"))
RUNS = int(os.environ.get("VCK_BOOT_RUNS", "5"))
TARGET_S = 1.0
VMK = bytes(range(32))
PLAIN_BYTES = 64 * machine.MIB
CMDLINE = "console=ttyS0 quiet no_timer_check"
ENTRY = r"""
mount -t efivarfs none /sys/firmware/efi/efivars
efibootmgr -q -c -L wanted -p 1 {} && echo made
"""
ENTRIES = {
    "plain": rf"-d /dev/nvme0n1 -l '\vmlinuz' -u 'initrd=\initrd.img {CMDLINE}'",
    "encrypted": r"-d /dev/vda -l '\EFI\vck\vckboot.efi'",
}
# The firmware has chosen; the kernel is in memory; the first program of the initrd runs.
MARKS = ({"plain": b"BdsDxe: loading", "encrypted": b"BdsDxe: loading"},
         {"plain": b"BdsDxe: starting", "encrypted": b"us: program loaded"},
         {"plain": b"first program", "encrypted": b"first program"})
PARTS = ("firmware", "to have the kernel in memory", "kernel, to its first program")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(directory):
    """For each of MARKS, when it was reached: by the clock, and of the processor."""
    start = time.monotonic()
    run = Machine(directory, bus="nvme", by_entry=True)
    logs = [Path(directory) / name for name in ("serial.log", "debug.log")]
    times = []
    try:
        while len(times) < len(MARKS):
            said = b"".join(log.read_bytes() for log in logs if log.exists())
            while len(times) < len(MARKS) and MARKS[len(times)][directory] in said:
                times.append((time.monotonic() - start, cpu_seconds(run.process.pid)))
            assert run.process.poll() is None, run.said()
            assert time.monotonic() < start + 300, run.said()
            time.sleep(0.01)
        return times
    finally:
        run.close()
        for log in logs:
            log.unlink(missing_ok=True)


def make_entry(kernel, vmlinuz, name):
    """Has the firmware of this machine start what is wanted, by a Linux that runs there once."""
    efibootmgr = shutil.which("efibootmgr") or "/usr/bin/efibootmgr"
    Path("entry.img").write_bytes(vm.initramfs(
        kernel, [efibootmgr], ("efivarfs", "virtio_pci", "virtio_blk"),
        {"test": ENTRY.format(ENTRIES[name]).encode()}))
    run = Machine(name, bus="nvme", by_entry=True, more=(
        "-kernel", str(vmlinuz), "-initrd", "entry.img", "-append", CMDLINE))
    code = run.wait_end()
    run.close()
    log = Path(name) / "serial.log"
    assert code == 0 and b"made" in log.read_bytes(), log.read_bytes()[-2000:]
    log.unlink()


def make(kernel):
    """plain/ and encrypted/, each with its disks and the firmware's entry."""
    vmlinuz = next((kernel / "boot").glob("vmlinuz-*"))
    # What prints the lines reads one ahead.
    initrd = gzip.compress(vm.initramfs(kernel, [], (), {
        "test": b"echo first program; echo; sleep 1000"}), 1)
    machine.make_fat("fat.img", PLAIN_BYTES, 512, {"vmlinuz": vmlinuz, "initrd.img": initrd})
    plain = Path("fat.img").read_bytes()
    config = json.dumps({"partition_guid": str(PARTITION), "osloader": "/vmlinuz",
                         "initrd": "/initrd.img", "options": CMDLINE,
                         "vmk": base64.b64encode(VMK).decode()}).encode()
    for name, content, files in (
            ("plain", plain, {"empty": b""}),
            ("encrypted", Volume(plain, 512, VMK).image(),
             {"EFI/vck/vckboot.efi": Path(LOADER), "vck.json": config})):
        Path(name).mkdir()
        machine.make_disk(f"{name}/data.img", 512, content)
        machine.make_fat("esp.fat", 8 * machine.MIB, 512, files)
        machine.make_disk(f"{name}/esp.img", 512, Path("esp.fat").read_bytes(), machine.ESP_TYPE,
                          machine.ESP)
        make_entry(kernel, vmlinuz, name)


def main():
    kernel = vm.kernel()
    with tempfile.TemporaryDirectory(prefix="vck-bench-") as directory:
        os.chdir(directory)
        make(kernel)
        times = {"plain": [], "encrypted": []}
        for _ in range(RUNS):
            for name, taken in times.items():
                taken.append(measure(name))
        os.chdir("/")
    print(f"from power-on to the first program of the initrd, in seconds, medians of {RUNS} runs")
    for number, what in enumerate(("by the clock", "of the processor")):
        show(what, {name: [[mark[number] for mark in run] for run in taken]
                    for name, taken in times.items()})


def show(what, marks):
    """marks: for each name, for each run, when each mark was reached."""
    parts = {name: [[b - a for a, b in zip([0, *run], run)] for run in runs]
             for name, runs in marks.items()}
    medians = {name: [statistics.median(column) for column in zip(*runs)]
               for name, runs in parts.items()}
    print(f"{what:30} {'plain':>9} {'encrypted':>9}")
    for number, part in enumerate(PARTS):
        print(f"  {part:28} {medians['plain'][number]:9.2f} {medians['encrypted'][number]:9.2f}")
    # Of neighbours: a host that slows down for a while slows down both.
    more = statistics.median(encrypted[-1] - plain[-1] for plain, encrypted
                             in zip(marks["plain"], marks["encrypted"]))
    loader = medians["encrypted"][1] - medians["plain"][1]
    mark = "" if loader <= TARGET_S else "  MISSED"
    print(f"  the loader: {loader:.2f} more, at most {TARGET_S:.1f} wanted{mark}; the whole: "
          f"{more:.2f} more")


if __name__ == "__main__":
    main()
