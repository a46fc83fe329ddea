# SPDX-License-Identifier: Apache-2.0
"""The whole chain: firmware, loader, passphrase, a Linux kernel and its initrd from the encrypted
volume; there the handover is found by all its ways and wiped, dm-crypt maps the same partition, and
no copy of the master key is left in memory.

The kernel is this system's cloud kernel, unpacked from its package, which is kept in VCK_KERNELS.
"""
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgpack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine  # noqa: E402
import tap  # noqa: E402
from machine import FIRST, PARTITION, Machine, Volume, key_oracle  # noqa: E402

VMK = hashlib.sha256(b"master key of a system").digest()
PASSPHRASE = "a passphrase for linux"
DATA = random.Random(4).randbytes(4 * machine.MIB)
PLAIN_BYTES = 40 * machine.MIB
PACKAGE = "linux-image-cloud-amd64"
MODULES = ("dm-crypt", "xts", "aesni-intel", "vfat", "nls_cp437", "nls_ascii", "efivarfs")

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs none /dev; mount -t proc none /proc; mount -t sysfs none /sys
say() { echo "linux: $*" >/dev/ttyS0; }
hex() { hexdump -v -e '1/1 "%02x"' "$1"; }
while read -r module; do insmod "$module" || say "no $module"; done </modules.list
say "mode=$(stat -c %a /.vck/handover)"
say "file=$(hex /.vck/handover)"
size=$(stat -c %s /.vck/handover)
dd if=/dev/zero of=/.vck/handover bs=$size count=1 conv=notrunc 2>/dev/null; rm /.vck/handover
mount -t efivarfs none /sys/firmware/efi/efivars
say "variable=$(hex /sys/firmware/efi/efivars/VckHandover-59564b43-4448-564f-3132-2d5641522121)"
table=/sys/firmware/acpi/tables/VCKD
say "table=$(hex $table)"
page=$(od -A n -t u8 -j 36 -N 8 $table | tr -d ' ')
length=$(od -A n -t u8 -j 44 -N 8 $table | tr -d ' ')
dd if=/dev/mem of=/page bs=1 skip=$page count=$length 2>/dev/null
say "page=$(hex /page)"
dd if=/dev/zero of=/page bs=$length count=1 conv=notrunc 2>/dev/null; rm /page
dd if=/dev/zero of=/dev/mem bs=1 seek=$page count=$length conv=notrunc 2>/dev/null
dmsetup create os </table && dmsetup mknodes
mkdir /os; mount -t vfat -o codepage=437,iocharset=ascii /dev/mapper/os /os
say "data=$(sha256sum </os/data.bin)"
echo written by linux >/os/linux.txt; umount /os; dmsetup remove os; sync
echo 3 >/proc/sys/vm/drop_caches
say "uptime=$(cut -d' ' -f1 /proc/uptime)"
say "ready"
read -r line </dev/ttyS0
poweroff -f
"""


def run(*command, **options):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, **options).stdout


def unpacked_kernel():
    """The directory of an unpacked kernel package, fetched once."""
    kernels = Path(os.environ["VCK_KERNELS"])
    kernels.mkdir(parents=True, exist_ok=True)
    needs = run("apt-cache", "depends", PACKAGE)
    found = re.search(r"Depends: (linux-image-\S+)", needs)
    if not found:
        raise tap.Skip(f"no package {PACKAGE} here")
    name = found.group(1)
    directory = kernels / name
    if not directory.exists():
        try:
            run("apt-get", "download", name, cwd=kernels)
        except subprocess.CalledProcessError as problem:
            raise tap.Skip(f"{name} cannot be fetched") from problem
        package = next(kernels.glob(f"{name}_*.deb"))
        partial = kernels / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        run("dpkg", "-x", str(package), str(partial))
        package.unlink()
        run("depmod", "-b", str(partial), name[len("linux-image-"):])
        partial.rename(directory)
    return directory, name[len("linux-image-"):]


def module_files(directory, version):
    """Paths of the modules in an order in which each finds what it needs."""
    tree = directory / "lib/modules" / version
    needs = {}
    for line in (tree / "modules.dep").read_text().splitlines():
        module, rest = line.split(":")
        needs[Path(module).name.split(".")[0]] = [module, *rest.split()]
    ordered = []
    for name in MODULES:
        # The list has what is needed first last.
        for module in reversed(needs.get(name, [])):
            if module not in ordered:
                ordered.append(module)
    return [tree / module for module in ordered]


def make_initrd(directory, version, table):
    root = Path("root")
    for name in ("bin", "dev", "proc", "sys", "lib", "lib64"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    dmsetup = shutil.which("dmsetup", path="/usr/sbin:/sbin")
    shutil.copy(dmsetup, root / "bin/dmsetup")
    for library in re.findall(r"(/\S+)", run("ldd", dmsetup)):
        target = root / ("lib64" if library.startswith("/lib64") else "lib") / Path(library).name
        shutil.copy(library, target)
    listed = []
    for path in module_files(directory, version):
        shutil.copy(path, root / "lib" / path.name)
        listed.append(f"/lib/{path.name}")
    (root / "modules.list").write_text("".join(f"{path}\n" for path in listed))
    (root / "table").write_text(table)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(), cwd=root,
                             check=True, capture_output=True).stdout
    # Not a multiple of four: the handover's archive is aligned by the loader.
    return archive + b"\0"


def make_disks():
    """esp.img and data.img; the volume, and its partition as it was."""
    directory, version = unpacked_kernel()
    sectors = PLAIN_BYTES // 512
    key = Volume(bytes(512), 512, VMK)
    table = (f"0 {sectors} crypt aes-xts-plain64 {(key.key1 + key.key2).hex()} 0 /dev/nvme0n1p1 0\n")
    machine.make_fat("plain.img", PLAIN_BYTES, 512, {
        "vmlinuz": directory / "boot" / f"vmlinuz-{version}", "data.bin": DATA,
        "initrd.img": make_initrd(directory, version, table)})
    volume = Volume(Path("plain.img").read_bytes(), 512, VMK)
    image = volume.image()
    volume.add_slots(image, (key_oracle.PASSPHRASE, PASSPHRASE.encode(), key_oracle.ARGON2ID, 1,
                             8192, 1))
    machine.make_disk("data.img", 512, image)
    config = (f'{{"partition_guid": "{PARTITION}", "osloader": "/vmlinuz", "timeout": 0,'
              ' "initrd": "/initrd.img", "options": "console=ttyS0 quiet init_on_free=1"}').encode()
    machine.make_fat("esp.fat", 8 * machine.MIB, 512, {
        "EFI/BOOT/BOOTX64.EFI": Path(os.environ["VCKBOOT"]), "vck.json": config})
    machine.make_disk("esp.img", 512, Path("esp.fat").read_bytes(), machine.ESP_TYPE, machine.ESP)
    return volume, bytes(image)


def said_by_linux(log):
    return dict(re.findall(r"linux: (\w+)=(\S+)", log))


def check_handover(values):
    needed = {"file", "mode", "page", "variable", "table"}
    assert needed <= set(values), values
    payload = bytes.fromhex(values["file"])
    assert msgpack.unpackb(payload) == {"partition_guid": PARTITION.bytes_le, "vmk": VMK}
    assert values["mode"] == "400"
    assert bytes.fromhex(values["page"]) == payload
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


def check_disk(volume, before):
    with open("data.img", "rb") as file:
        file.seek(FIRST)
        after = file.read(len(before))
    Path("after.img").write_bytes(volume.read(before, after, volume.sectors))
    for name, content in (("linux.txt", b"written by linux\n"), ("data.bin", DATA)):
        machine.run("mcopy", "-o", "-i", "after.img", f"::/{name}", "back")
        assert Path("back").read_bytes() == content, name


@tap.test
def chain():
    """from power-on to Linux on the encrypted volume"""
    volume, before = make_disks()
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


if __name__ == "__main__":
    tap.main()
