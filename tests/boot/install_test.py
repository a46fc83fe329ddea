# SPDX-License-Identifier: Apache-2.0
"""A system without encryption becomes one that starts from an encrypted volume: os-prepare on a
running Linux, the sweep of its volume begun and killed half way, and then power on: the firmware's own
boot entry, the loader, the kernel and an initrd of initramfs-tools from the volume, whose hook has the
daemon serve it for the root while the sweep goes on."""
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "linux"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402
import network_oracle  # noqa: E402
from machine import FIRST, PARTITION, Machine, Volume, key_oracle  # noqa: E402

HOOKS = vm.ROOT / "products" / "initrd"
PASSPHRASE = b"the passphrase of a system"
DATA = random.Random(8).randbytes(machine.MIB)
PLAIN_BYTES = 64 * machine.MIB
ROOM_BYTES = 2 * machine.MIB
# In the middle of the kernel, with most of the time that the sweep takes left.
HALF_SECTORS = 8 * machine.MIB // 512
# dosfstools' own drivers aside, what mounts the two file systems and finds the firmware's variables.
MODULES = ("virtio_pci", "virtio_blk", "vfat", "nls_cp437", "nls_ascii", "efivarfs")
TANGD, KEYGEN = "/usr/libexec/tangd", "/usr/libexec/tangd-keygen"
# Where the machine finds a server that is a program of ours for each connection.
SERVER = "10.0.2.100"
EFIBOOTMGR = shutil.which("efibootmgr") or "/usr/bin/efibootmgr"

# What there is of a running system.
PREPARE = rf"""
say() {{ echo "linux: $*"; }}
prepare() {{
    vck os-prepare /dev/nvme0n1p1 --loader /vckboot.efi --osloader vmlinuz --initrd initrd.img \
        --cmdline '{vm.CMDLINE} root=/dev/mapper/system rootfstype=vfat rw init=/start' \
        --new-key-file /passphrase --kdf-memory 64M --kdf-passes 3 "$@"
}}
entries() {{ efibootmgr | grep -E '^BootOrder|^Boot[0-9]' | md5sum; }}
mount -t efivarfs none /sys/firmware/efi/efivars
mkdir -p /boot; mount -t vfat -o codepage=437,iocharset=ascii /dev/nvme0n1p1 /boot
mkdir -p /efi; mount -t vfat -o codepage=437,iocharset=ascii /dev/vda1 /efi
say "before=$(entries)"
prepare 2>&1; say "prepared=$?"
vck os-status 2>&1; say "status=$?"
vck os-remove 2>&1; say "removed=$?"
say "after=$(entries)"
say "left=$(ls /efi /efi/EFI | tr '\n' ' ')"
prepare >/dev/null 2>&1; say "again=$?"
say "order=$(efibootmgr | sed -n 's/^BootOrder: //p') ours=$(efibootmgr -v | grep -ci vckboot)"
umount /boot /efi; sync
"""

# The first program of the root, which is on the volume.
START = r"""#!/bin/busybox sh
# No word of the kernel's in the middle of a line.
echo 1 >/proc/sys/kernel/printk
say() { echo "linux: $*"; }
say "root=$(/bin/busybox grep ' / ' /proc/mounts | /bin/busybox grep -v rootfs | /bin/busybox cut -d' ' -f1)"
say "served=$(/bin/busybox cat /sys/block/nbd0/pid)"
say "data=$(/bin/busybox sha256sum </data.bin)"
echo written by the system >/written.txt
say "uptime=$(/bin/busybox cut -d' ' -f1 /proc/uptime)"
/bin/busybox sync
/bin/busybox poweroff -f
"""


def make_prefix():
    """What make install puts there, and the list of volumes; the environment that names them."""
    Path("pfx/bin").mkdir(parents=True)
    Path("pfx/sbin").mkdir()
    Path("pfx/lib/vck").mkdir(parents=True)
    shutil.copy(os.environ["VCK"], "pfx/bin/vck")
    shutil.copy(os.environ["VCKD"], "pfx/sbin/vckd")
    shutil.copy(Path(os.environ["VCKD"]).parent / "vckd.so", "pfx/lib/vck/vckd.so")
    shutil.copy(HOOKS / "initrd-volumes", "pfx/lib/vck/initrd-volumes")
    Path("volumes").write_text(f"# the system\nsystem {PARTITION}\n")
    return {**os.environ, "VCK_VOLUMES": str(Path("volumes").absolute()),
            "VCK_DEVICES": str(Path("devices").absolute()),
            "VCK_PREFIX": str(Path("pfx").absolute()), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def run_with_kernel(folder, command, env, also=""):
    """Where /lib/modules and /boot are those of the unpacked kernel, and /usr/lib has also."""
    inside = (f"mount -t overlay overlay -o lowerdir={also}{folder}/lib:/usr/lib /usr/lib && "
              f"mount --bind {folder}/boot /boot && {command}")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", inside], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=env)
    if re.search(rb"^(mount|unshare):", done.stdout, re.MULTILINE):
        raise tap.Skip(f"no namespace of its own: {done.stdout.decode()}")
    assert done.returncode == 0, done.stdout.decode()


def make_initrd(folder, more=()):
    """By the system's mkinitramfs, which finds kernel and modules where it looks for them."""
    env = make_prefix()
    shutil.copytree("/etc/initramfs-tools", "conf")
    shutil.copy(HOOKS / "initramfs-hook", "conf/hooks/vck")
    Path("conf/scripts/local-top").mkdir(exist_ok=True)
    shutil.copy(HOOKS / "initramfs-local-top", "conf/scripts/local-top/vck")
    Path("conf/initramfs.conf").write_text("MODULES=list\nBUSYBOX=y\nCOMPRESS=gzip\n")
    Path("conf/modules").write_text(
        "\n".join(["nvme", "vfat", "nls_cp437", "nls_ascii", *more, ""]))
    run_with_kernel(folder, f"mkinitramfs -d conf -o initrd.img {vm.version_of(folder)}", env)
    return Path("initrd.img")


def make_disks(folder):
    machine.make_fat("plain.img", PLAIN_BYTES, 512, {
        "vmlinuz": next((folder / "boot").glob("vmlinuz-*")), "data.bin": DATA,
        "initrd.img": make_initrd(folder), "bin/busybox": Path(vm.BUSYBOX),
        "start": START.encode(), **{f"{name}/empty": b"" for name in ("dev", "proc", "sys", "run")}})
    machine.make_disk("data.img", 512, Path("plain.img").read_bytes() + bytes(ROOM_BYTES))
    machine.make_fat("esp.fat", 8 * machine.MIB, 512, {"EFI/debian/grubx64.efi": b"not one"})
    machine.make_disk("esp.img", 512, Path("esp.fat").read_bytes(), machine.ESP_TYPE, machine.ESP)


def said_by_linux(run_):
    text = (run_.directory / "serial.log").read_text(errors="replace")
    return dict(re.findall(r"linux: (\w+)=([^\r\n]*)", text)), text


def said_until_end(run_):
    try:
        assert run_.wait_end() == 0
        return said_by_linux(run_)
    finally:
        run_.close()


def prepare(folder):
    """The system as it is, started by somebody else's loader."""
    archive = vm.initramfs(folder, [os.environ["VCK"], EFIBOOTMGR], MODULES, {
        "test": PREPARE.encode(), "vckboot.efi": Path(os.environ["VCKBOOT"]).read_bytes(),
        "passphrase": PASSPHRASE})
    Path("first.img").write_bytes(archive)
    run_ = Machine(".", bus="nvme", by_entry=True, more=(
        "-kernel", str(next((folder / "boot").glob("vmlinuz-*"))), "-initrd", "first.img",
        "-append", vm.CMDLINE))
    values, text = said_until_end(run_)
    assert values.get("prepared") == values["status"] == values["removed"] == "0", text
    assert values["again"] == "0", text
    assert values["before"] == values["after"], text
    assert values["left"].split() == ["/efi:", "EFI", "/efi/EFI:", "debian"], text
    assert values["order"].endswith(" ours=1"), text
    # Nothing but the room behind the file system has changed.
    with open("data.img", "rb") as file:
        file.seek(FIRST)
        assert file.read(PLAIN_BYTES) == Path("plain.img").read_bytes()


class Daemon:
    def __enter__(self):
        self.process = subprocess.Popen(
            [os.environ["VCKD"], "--foreground", "--socket", "control", "--nbd", "nbd"],
            stdin=subprocess.DEVNULL)
        while not self.answers():
            assert self.process.poll() is None, "vckd does not start"
            time.sleep(0.05)
        self.vck("attach", "volume.img", "--key-file", "passphrase")
        return self

    @staticmethod
    def answers():
        return subprocess.run([os.environ["VCK"], "list", "--socket", "control"], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    @staticmethod
    def vck(verb, *arguments):
        done = subprocess.run([os.environ["VCK"], verb, "--socket", "control", *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        return done.stdout.decode()

    def kill(self):
        self.process.kill()
        self.process.wait()
        Path("control").unlink()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def take_volume():
    with open("data.img", "rb") as file:
        file.seek(FIRST)
        Path("volume.img").write_bytes(file.read(PLAIN_BYTES + ROOM_BYTES))
    Path("passphrase").write_bytes(PASSPHRASE)
    os.chmod("passphrase", 0o600)


def encrypted_sectors(daemon):
    return json.loads(daemon.vck("status", "--json", "volume.img"))["encrypted_sectors"]


def encrypt_half():
    """The daemon of another system begins the sweep, and is killed when part of it is done."""
    take_volume()
    before = Path("volume.img").read_bytes()
    with Daemon() as daemon:
        daemon.vck("rate", "volume.img", "4")
        daemon.vck("encrypt", "--no-wait", "volume.img")
        while encrypted_sectors(daemon) < HALF_SECTORS:
            time.sleep(0.05)
        daemon.kill()
    after = Path("volume.img").read_bytes()
    assert after[:512] != before[:512] and after[PLAIN_BYTES - 512:PLAIN_BYTES] == \
        before[PLAIN_BYTES - 512:PLAIN_BYTES]
    with open("data.img", "r+b") as file:
        file.seek(FIRST)
        file.write(after)


def finish():
    """The rest of the sweep; what the system has written is there, and encrypted."""
    take_volume()
    with Daemon() as daemon:
        daemon.vck("encrypt", "volume.img")
        address = f"nbd+unix:///{Path('volume.img').absolute()}?socket={Path('nbd').absolute()}"
        machine.run("nbdcopy", address, "after.img")
        daemon.vck("detach", "volume.img")
    machine.run("mcopy", "-o", "-i", "after.img", "::/written.txt", "written.txt")
    assert Path("written.txt").read_bytes() == b"written by the system\n"
    volume = Path("volume.img").read_bytes()
    assert DATA[:4096] not in volume and b"written by the system" not in volume


def start():
    run_ = Machine(".", bus="nvme", by_entry=True)
    try:
        run_.answer(r"^Passphrase or recovery key", PASSPHRASE.decode())
        said = run_.wait_for(r"^Unlocked: \d+ of \d+ sectors are encrypted")
        done, total = map(int, re.findall(r"\d+", said))
        assert HALF_SECTORS <= done < total, said
        run_.wait_for(r"^Starting \\vmlinuz\.")
        assert run_.wait_end() == 0
        values, text = said_by_linux(run_)
    finally:
        run_.close()
    assert values.get("root") == "/dev/mapper/system", text
    assert values["data"] == hashlib.sha256(DATA).hexdigest() + "  -", text
    assert values["served"].isdigit(), text


def kernel_or_skip(*tools):
    missing = [tool for tool in tools if not Path(tool).exists()]
    try:
        if missing:
            raise vm.Unavailable(f"no {missing[0]}")
        return vm.kernel()
    except vm.Unavailable as reason:
        if os.environ.get("CI"):
            raise
        raise tap.Skip(str(reason)) from reason


@tap.test
def from_plain_to_encrypted():
    """os-prepare, half a sweep, power on: a root on the volume, through initramfs-tools"""
    folder = kernel_or_skip(EFIBOOTMGR, "/usr/sbin/mkinitramfs")
    make_disks(folder)
    prepare(folder)
    encrypt_half()
    start()
    finish()


def network_slot(keys):
    """A slot that the server with these keys opens, as Volume.add_slots takes it."""
    Path(keys).mkdir()
    machine.run(KEYGEN, keys)
    for path in Path(keys).glob("*.jwk"):
        key = json.loads(path.read_bytes())
        if key["alg"] == "ECMR":
            private = int.from_bytes(network_oracle.unbase64url(key["d"]), "big")
            curve, = (c for c in network_oracle.CURVES.values() if c.name == key["crv"])
    secret = os.urandom(32)
    binding = network_oracle.make_binding(
        1, [(curve, bytes(32), curve.times(private, curve.generator),
             int.from_bytes(os.urandom(31), "big"), f"http://{SERVER}")],
        network_oracle.split([secret], 1))
    return key_oracle.NETWORK, secret, binding


@tap.test
def server():
    """no loader: initramfs-tools' network, and a root that a server opens"""
    folder = kernel_or_skip("/usr/sbin/mkinitramfs", TANGD)
    machine.make_fat("plain.img", 8 * machine.MIB, 512, {
        "bin/busybox": Path(vm.BUSYBOX), "data.bin": DATA, "start": START.encode(),
        **{f"{name}/empty": b"" for name in ("dev", "proc", "sys", "run")}})
    volume = Volume(Path("plain.img").read_bytes(), 512, bytes(range(32)))
    image = volume.image()
    volume.add_slots(image, network_slot("keys"))
    machine.make_disk("data.img", 512, image)
    machine.make_disk("esp.img", 512, bytes(machine.MIB))
    Path("devices").mkdir()
    Path(f"devices/{PARTITION}").write_bytes(image)
    initrd = make_initrd(folder, ("virtio_pci", "virtio_net"))
    # What it says besides would be part of its answer.
    answer = Path("answer").absolute()
    answer.write_text(f"#!/bin/sh\nexec {TANGD} {Path('keys').absolute()} 2>/dev/null\n")
    answer.chmod(0o755)
    run_ = Machine(".", bus="nvme", by_entry=True, more=(
        "-netdev", f"user,id=n,restrict=on,guestfwd=tcp:{SERVER}:80-cmd:{answer}",
        "-device", "virtio-net-pci,netdev=n,romfile=",
        "-kernel", str(next((folder / "boot").glob("vmlinuz-*"))), "-initrd", str(initrd),
        "-append", f"{vm.CMDLINE} root=/dev/mapper/system rootfstype=vfat rw init=/start"))
    values, text = said_until_end(run_)
    assert values.get("root") == "/dev/mapper/system", text
    assert values["data"] == hashlib.sha256(DATA).hexdigest() + "  -", text


@tap.test
def dracut():
    """dracut makes an initrd with our module in it"""
    folder = kernel_or_skip("/usr/bin/dracut")
    env = make_prefix()
    module = Path("lib/dracut/modules.d/90vck")
    module.mkdir(parents=True)
    shutil.copy(HOOKS / "dracut-module-setup.sh", module / "module-setup.sh")
    shutil.copy(HOOKS / "dracut-volumes.sh", module / "vck-volumes.sh")
    Path("tmp").mkdir()
    run_with_kernel(
        folder, "dracut --quiet --no-hostonly --no-early-microcode --tmpdir tmp --no-compress "
        f"--modules 'base dm rootfs-block vck' --kver {vm.version_of(folder)} initrd.img", env,
        f"{Path('lib').absolute()}:")
    names = subprocess.run(["cpio", "-t", "--quiet"], input=Path("initrd.img").read_bytes(),
                           stdout=subprocess.PIPE, check=True).stdout.decode()
    for name in ("bin/vck", "lib/vck/initrd-volumes", "etc/vck/volumes", "libdevmapper.so",
                 "initqueue/settled/20-vck-volumes.sh", "dm-crypt.ko"):
        assert name in names, f"no {name} in: {names}"


@tap.test
def scripts():
    """shellcheck finds nothing in what runs in an initrd"""
    if shutil.which("shellcheck") is None:
        raise tap.Skip("no shellcheck")
    machine.run("shellcheck", *(str(path) for path in sorted(HOOKS.iterdir())
                                if path.read_bytes()[:2] == b"#!"))


if __name__ == "__main__":
    tap.main()
