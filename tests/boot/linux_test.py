# SPDX-License-Identifier: Apache-2.0
"""The whole chain: firmware, loader, passphrase, a Linux kernel and its initrd from the encrypted
volume; there the handover is found by all its ways, vck initrd-unlock takes and wipes it in the
firmware's memory, dm-crypt maps the same partition, and no copy of the master key is left in memory.
Then the same with a volume whose sweep was cut in the middle of a batch, half way through.
"""
import gzip
import hashlib
import os
import random
import re
import shutil
import sys
import time
from pathlib import Path

import msgpack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "linux"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402
from machine import FIRST, PARTITION, Machine, Volume, key_oracle  # noqa: E402

VMK = hashlib.sha256(b"master key of a system").digest()
PASSPHRASE = "a passphrase for linux"
DATA = random.Random(4).randbytes(4 * machine.MIB)
PLAIN_BYTES = 64 * machine.MIB
DMSETUP = shutil.which("dmsetup") or "/usr/sbin/dmsetup"
MODULES = ("dm-crypt", "xts", "aesni-intel", "vfat", "nls_cp437", "nls_ascii", "efivarfs")

# The file is looked at and taken away, so that the firmware's memory is what remains.
SCRIPT = r"""
say() { echo "linux: $*"; }
hex() { hexdump -v -e '1/1 "%02x"' "$1"; }
page() { dd if=/dev/mem bs=1 skip=$address count=$length 2>/dev/null >/page; hex /page; rm /page; }
say "mode=$(stat -c %a /.vck/handover)"
say "file=$(hex /.vck/handover)"
size=$(stat -c %s /.vck/handover)
dd if=/dev/zero of=/.vck/handover bs=$size count=1 conv=notrunc 2>/dev/null; rm /.vck/handover
mount -t efivarfs none /sys/firmware/efi/efivars
say "variable=$(hex /sys/firmware/efi/efivars/VckHandover-59564b43-4448-564f-3132-2d5641522121)"
table=/sys/firmware/acpi/tables/VCKD
say "table=$(hex $table)"
address=$(od -A n -t u8 -j 36 -N 8 $table | tr -d ' ')
length=$(od -A n -t u8 -j 44 -N 8 $table | tr -d ' ')
say "page=$(page)"
say "device=$(vck initrd-unlock os 2>&1)"
say "left=$(page)"
say "map=$(dmsetup table os | cut -d' ' -f1-3 | tr '\n ' ',-')"
mkdir /os; mount -t vfat -o codepage=437,iocharset=ascii /dev/mapper/os /os
say "data=$(sha256sum </os/data.bin)"
echo written by linux >/os/linux.txt; umount /os; vck close os; sync
echo 3 >/proc/sys/vm/drop_caches
say "uptime=$(cut -d' ' -f1 /proc/uptime)"
say "ready"
say "waiting" # what writes the lines reads one ahead
read -r line </dev/ttyS0
"""


def make_initrd(directory):
    archive = vm.initramfs(directory, [os.environ["VCK"], DMSETUP], MODULES, {"test": SCRIPT.encode()})
    # Not a multiple of four: the handover's archive is aligned by the loader.
    return gzip.compress(archive, 1) + b"\0"


def make_disks(batch=None):
    """esp.img and data.img; the volume, and its partition as it was. batch: first sector and number
    of those that were being encrypted."""
    directory = vm.kernel()
    machine.make_fat("plain.img", PLAIN_BYTES, 512, {
        "vmlinuz": next((directory / "boot").glob("vmlinuz-*")), "data.bin": DATA,
        "initrd.img": make_initrd(directory)})
    volume = Volume(Path("plain.img").read_bytes(), 512, VMK)
    image = volume.image(offset=batch and batch[0], intent=1 if batch else 0)
    if batch:
        volume.cut_batch(image, *batch)
    volume.add_slots(image, (key_oracle.PASSPHRASE, PASSPHRASE.encode(), key_oracle.ARGON2ID, 1,
                             8192, 1))
    machine.make_disk("data.img", 512, image)
    config = (f'{{"partition_guid": "{PARTITION}", "osloader": "/vmlinuz", "timeout": 0,'
              ' "initrd": "/initrd.img", "options": "console=ttyS0 quiet init_on_free=1'
              ' no_timer_check"}').encode()
    machine.make_fat("esp.fat", 8 * machine.MIB, 512, {
        "EFI/BOOT/BOOTX64.EFI": Path(os.environ["VCKBOOT"]), "vck.json": config})
    machine.make_disk("esp.img", 512, Path("esp.fat").read_bytes(), machine.ESP_TYPE, machine.ESP)
    return volume, bytes(image)


def said_by_linux(log):
    return dict(re.findall(r"linux: (\w+)=(\S+)", log))


def check_handover(values):
    needed = {"file", "mode", "page", "left", "variable", "table", "device"}
    assert needed <= set(values), values
    payload = bytes.fromhex(values["file"])
    assert msgpack.unpackb(payload) == {"partition_guid": PARTITION.bytes_le, "vmk": VMK}
    assert values["mode"] == "400"
    assert bytes.fromhex(values["page"]) == payload
    assert values["device"] == "/dev/mapper/os", values["device"]
    assert not any(bytes.fromhex(values["left"]))
    # Four bytes of attributes come first.
    variable = bytes.fromhex(values["variable"])
    locator = msgpack.unpackb(variable[4:])
    assert variable[:4] == b"\6\0\0\0" and locator["magic"] == 0x4C4B4356
    table = bytes.fromhex(values["table"])
    assert table[:4] == b"VCKD" and sum(table) % 256 == 0
    assert int.from_bytes(table[36:44], "little") == locator["address"]
    assert VMK not in variable and VMK not in table


def check_memory(run_):
    run_.dump_memory("memory.bin")
    memory = Path("memory.bin").read_bytes()
    assert len(memory) == 512 * machine.MIB and b"linux: " in memory
    for name, secret in (("key", VMK), ("passphrase", PASSPHRASE.encode()),
                         ("passphrase", PASSPHRASE.encode("utf-16-le"))):
        at = memory.find(secret)
        assert at < 0, f"the {name} is in memory at {at:#x}"


def check_disk(volume, before, offset=None):
    with open("data.img", "rb") as file:
        file.seek(FIRST)
        after = file.read(len(before))
    Path("after.img").write_bytes(volume.read(before, after, offset or volume.sectors))
    for name, content in (("linux.txt", b"written by linux\n"), ("data.bin", DATA)):
        machine.run("mcopy", "-o", "-i", "after.img", f"::/{name}", "back")
        assert Path("back").read_bytes() == content, name


def disks_or_skip(batch=None):
    try:
        return make_disks(batch)
    except vm.Unavailable as reason:
        raise tap.Skip(str(reason)) from reason


@tap.test
def chain():
    """from power-on to Linux on the encrypted volume"""
    volume, before = disks_or_skip()
    start = time.monotonic()
    run_ = Machine(".", bus="nvme")
    try:
        run_.answer(r"^Passphrase or recovery key", PASSPHRASE)
        unlocked = time.monotonic()
        run_.wait_for(r"^Starting \\vmlinuz\.")
        started = time.monotonic()
        run_.wait_serial(b"linux: ready", 200)
        ready = time.monotonic()
        values = said_by_linux(Path("serial.log").read_text(errors="replace"))
        assert values["data"] == hashlib.sha256(DATA).hexdigest(), values
        check_handover(values)
        check_memory(run_)
        run_.send("\r")
        assert run_.wait_end() == 0
    finally:
        run_.close()
    check_disk(volume, before)
    print(f"# prompt after {unlocked - start:.1f} s, kernel started {started - unlocked:.1f} s later,"
          f" volume read after {ready - started:.1f} s more, {values['uptime']} s of them Linux'")


@tap.test
def unfinished_chain():
    """the same with a volume half way through its sweep and an open journal record"""
    first, count = PLAIN_BYTES // 512 // 2 + 5, 128
    volume, before = disks_or_skip((first, count))
    run_ = Machine(".", bus="nvme")
    try:
        run_.answer(r"^Passphrase or recovery key", PASSPHRASE)
        run_.wait_for(rf"^Unlocked: {first + count} of {volume.sectors} sectors are encrypted")
        run_.wait_serial(b"linux: ready", 200)
        values = said_by_linux(Path("serial.log").read_text(errors="replace"))
        rest = volume.sectors - first - count
        assert values.get("map") == f"0-{first + count}-crypt,{first + count}-{rest}-linear,", run_.said()
        assert values["data"] == hashlib.sha256(DATA).hexdigest(), values
        run_.send("\r")
        assert run_.wait_end() == 0
    finally:
        run_.close()
    recovered = volume.image(offset=first + count)
    check_disk(volume, bytes(recovered), first + count)


if __name__ == "__main__":
    tap.main()
