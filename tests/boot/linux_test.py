# SPDX-License-Identifier: Apache-2.0
"""The whole chain: firmware, loader, passphrase, a Linux kernel and its initrd from the encrypted
volume; there the handover is found by all its ways, vck initrd-unlock takes and wipes it in the
firmware's memory, dm-crypt maps the same partition, and no copy of the master key is left in memory.
Then a system with two volumes, typed for once: the loader unlocks that of the kernel, whose sweep was
cut in the middle of a batch, half way through; a key file in the initrd on it opens the root, with ext4.
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

ROOT_VMK = hashlib.sha256(b"master key of a root").digest()
ROOT_KEY = random.Random(5).randbytes(64)
ROOT = machine.uuid.UUID("0f0f0f0f-1234-5678-9abc-def012345678")
ROOT_PLAIN_BYTES = 16 * machine.MIB
LISTED = f"""# what the loader unlocks, and what a key on it opens
boot {PARTITION}
root {ROOT} /etc/vck/root.key
"""

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


# What initramfs-tools and dracut have run, as it is; then the root, and a program from it.
TWO_VOLUMES = r"""
say() { echo "linux: $*"; }
sh /lib/vck/initrd-volumes 2>&1
say "map=$(dmsetup table boot | cut -d' ' -f1-3 | tr '\n ' ',-')"
say "rootmap=$(dmsetup table root | cut -d' ' -f3)"
ls /.vck/handover 2>/dev/null && say "handover=left"
mkdir /root; mount -t ext4 /dev/mapper/root /root
mount -t vfat -o codepage=437,iocharset=ascii /dev/mapper/boot /root/boot
chroot /root /bin/busybox sh /start
umount /root/boot; umount /root; vck close root; vck close boot; sync
"""
START = r"""
say() { echo "linux: $*"; }
say "data=$(/bin/busybox sha256sum </boot/data.bin)"
say "rootdata=$(/bin/busybox sha256sum </data.bin)"
echo written by linux >/boot/linux.txt
echo written by the system >/written.txt
"""


def make_initrd(directory, script=SCRIPT, files=None):
    archive = vm.initramfs(directory, [os.environ["VCK"], DMSETUP], MODULES, {
        "test": script.encode(), **(files or {})})
    # Not a multiple of four: the handover's archive is aligned by the loader.
    return gzip.compress(archive, 1) + b"\0"


def make_disks(batch=None, initrd=make_initrd):
    """esp.img and data.img; the volume, and its partition as it was. batch: first sector and number
    of those that were being encrypted."""
    directory = vm.kernel()
    machine.make_fat("plain.img", PLAIN_BYTES, 512, {
        "vmlinuz": next((directory / "boot").glob("vmlinuz-*")), "data.bin": DATA,
        "initrd.img": initrd(directory)})
    volume = Volume(Path("plain.img").read_bytes(), 512, VMK)
    image = volume.image(offset=batch and batch[0], intent=1 if batch else 0)
    if batch:
        volume.cut_batch(image, *batch)
    volume.add_slots(image, (key_oracle.PASSPHRASE, PASSPHRASE.encode(), key_oracle.ARGON2ID, 1,
                             8192, 1))
    machine.make_disk("data.img", 512, image)
    config = (f'{{"partition_guid": "{PARTITION}", "osloader": "/vmlinuz", "timeout": 0,'
              f' "initrd": "/initrd.img", "options": "{vm.CMDLINE} init_on_free=1"}}').encode()
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


def make_root():
    """root.img: an encrypted partition with ext4, which a key file opens; the volume and its partition
    as it was."""
    Path("tree/bin").mkdir(parents=True)
    Path("tree/boot").mkdir()
    shutil.copy(vm.BUSYBOX, "tree/bin/busybox")
    Path("tree/data.bin").write_bytes(DATA)
    Path("tree/start").write_text(START)
    with open("root.plain", "wb") as file:
        file.truncate(ROOT_PLAIN_BYTES)
    machine.run(shutil.which("mkfs.ext4") or "/usr/sbin/mkfs.ext4", "-q", "-d", "tree", "root.plain")
    volume = Volume(Path("root.plain").read_bytes(), 512, ROOT_VMK)
    image = volume.image()
    volume.add_slots(image, (key_oracle.FILE, ROOT_KEY, key_oracle.HKDF_KIND, 0, 0, 0))
    machine.make_disk("root.img", 512, image, identity=ROOT)
    return volume, bytes(image)


def disks_or_skip(batch=None, initrd=make_initrd):
    try:
        return make_disks(batch, initrd)
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
        run_.wait_serial(b"linux: ready")
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


def two_volumes_initrd(directory):
    volumes = vm.ROOT / "products" / "initrd" / "initrd-volumes"
    return make_initrd(directory, TWO_VOLUMES, {
        "lib/vck/initrd-volumes": volumes.read_bytes(), "etc/vck/volumes": LISTED.encode(),
        "etc/vck/root.key": ROOT_KEY})


def check_root(volume, before):
    with open("root.img", "rb") as file:
        file.seek(FIRST)
        after = file.read(len(before))
    Path("root.after").write_bytes(volume.read(before, after, volume.sectors))
    machine.run(shutil.which("debugfs") or "/usr/sbin/debugfs", "-R", "dump /written.txt back",
                "root.after")
    assert Path("back").read_bytes() == b"written by the system\n"
    assert DATA[:512] not in after and b"written by the system" not in after


@tap.test
def two_volumes():
    """a kernel's volume half way through its sweep, with an open journal record, and a root with ext4"""
    first, count = PLAIN_BYTES // 512 // 2 + 5, 128
    volume, before = disks_or_skip((first, count), two_volumes_initrd)
    root, root_before = make_root()
    run_ = Machine(".", bus="nvme", more=("-drive", "if=none,id=r,format=raw,file=root.img",
                                          "-device", "nvme,serial=2,drive=r"))
    try:
        run_.answer(r"^Passphrase or recovery key", PASSPHRASE)
        run_.wait_for(rf"^Unlocked: {first + count} of {volume.sectors} sectors are encrypted")
        assert run_.wait_end() == 0
        log = Path("serial.log").read_text(errors="replace")
    finally:
        run_.close()
    values = said_by_linux(log)
    rest = volume.sectors - first - count
    assert values.get("map") == f"0-{first + count}-crypt,{first + count}-{rest}-linear,", log
    assert values["rootmap"] == "crypt" and "handover" not in values, log
    assert values["data"] == values["rootdata"] == hashlib.sha256(DATA).hexdigest(), log
    recovered = volume.image(offset=first + count)
    check_disk(volume, bytes(recovered), first + count)
    check_root(root, root_before)


if __name__ == "__main__":
    tap.main()
