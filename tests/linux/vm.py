# SPDX-License-Identifier: Apache-2.0
"""A Debian kernel with programs of this system in its memory, in a virtual machine without
acceleration: for what needs modules or rights this system may not give."""
import fcntl
import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("VCK_KERNEL_CACHE", ROOT / "build" / "debian-kernel"))
PACKAGE = "linux-image-cloud-amd64"
BUSYBOX = "/bin/busybox"
# A busy host starves the timer that the kernel would check, and then all of it.
CMDLINE = "console=ttyS0 quiet no_timer_check nowatchdog"

DISK_MODULES = ("virtio_pci", "virtio_blk", "dm-mod", "dm-crypt", "xts", "aesni_intel")

INIT = """#!/bin/sh
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod $module; done
echo 1 > /proc/sys/kernel/printk
sh /test 2>&1 | sed 's/^/| /'
echo "| the end"
poweroff -f
"""


class Unavailable(Exception):
    """There is no kernel to run here; says why."""


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, command))}: {done.stderr.strip()[-300:]}")
    return done.stdout


def kernel():
    """The folder of an unpacked kernel package, fetched once; others wait for whoever does."""
    for tool in ("qemu-system-x86_64", "apt-get", "dpkg-deb", "depmod", BUSYBOX):
        if shutil.which(tool) is None:
            raise Unavailable(f"no {tool}")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return fetch(CACHE / "root")


def fetch(folder):
    if not (folder / "boot").is_dir():
        package = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", PACKAGE))
        if package is None:
            raise Unavailable(f"apt knows no {PACKAGE}")
        run("apt-get", "download", "-q", package.group(1), cwd=CACHE)
        deb, = sorted(CACHE.glob("*.deb"))[-1:]
        partial = CACHE / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        run("dpkg-deb", "-x", deb, partial)
        version, = [path.name for path in (partial / "lib/modules").iterdir()]
        run("depmod", "-b", partial, version)
        partial.rename(folder)
    return folder


def version_of(folder):
    return next((folder / "lib/modules").iterdir()).name


def modules(folder, names):
    """The files of the modules and of those they need, each after what it needs."""
    files = []
    for name in names:
        text = run("modprobe", "-d", folder, "-S", version_of(folder), "--show-depends", name)
        for file in re.findall(r"^insmod (\S+)", text, re.MULTILINE):
            if file not in files:
                files.append(file)
    return [Path(file) for file in files]


def libraries(program):
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", run("ldd", program))]


class Archive:
    """A cpio archive as the kernel unpacks it."""

    def __init__(self):
        self.data = bytearray()
        self.made = set()

    def entry(self, name, mode, content=b""):
        head = [0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        self.data += b"070701" + b"".join(b"%08x" % field for field in head)
        self.data += name.encode() + b"\0"
        self.data += bytes(-len(self.data) % 4) + content
        self.data += bytes(-len(self.data) % 4)

    def file(self, name, content, mode=0o100755):
        for parent in reversed(Path(name).parents[:-1]):
            if parent not in self.made:
                self.made.add(parent)
                self.entry(str(parent), 0o40755)
        if name not in self.made:
            self.made.add(name)
            self.entry(name, mode, content)

    def end(self):
        self.entry("TRAILER!!!", 0)
        return bytes(self.data)


def initramfs(folder, programs, module_names, files, plugins=()):
    """programs go to /bin with their libraries, before those of busybox, plugins only have theirs
    there; files: {name: bytes}; /test is what runs."""
    archive = Archive()
    for name in ("proc", "sys", "dev", "tmp"):
        archive.entry(name, 0o40755)
    archive.file("bin/busybox", Path(BUSYBOX).read_bytes())
    for program in programs:
        archive.file(f"bin/{Path(program).name}", Path(program).read_bytes())
    for program in (*programs, *plugins):
        for library in libraries(program):
            archive.file(str(library)[1:], library.resolve().read_bytes())
    for applet in run(BUSYBOX, "--list").split():
        archive.file(f"bin/{applet}", b"busybox", 0o120777)
    inside = []
    for module in modules(folder, module_names):
        inside.append("/modules.d/" + module.name)
        archive.file(inside[-1][1:], module.read_bytes(), 0o100644)
    archive.file("modules", "\n".join(inside).encode(), 0o100644)
    archive.file("init", INIT.encode())
    for name, content in files.items():
        archive.file(name, content, 0o100600)
    return archive.end()


def boot(test, programs, disks=(), module_names=(), files=None, plugins=(), seconds=900):
    """Runs the shell script `test`; its output as lines. disks: (path, sector size), /dev/vda on."""
    folder = kernel()
    archive = initramfs(folder, programs, module_names, {**(files or {}), "test": test.encode()},
                        plugins)
    Path("initrd").write_bytes(gzip.compress(archive, 1))
    command = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", "768",
               "-nodefaults", "-display", "none", "-net", "none", "-no-reboot",
               "-serial", "stdio", "-kernel", next((folder / "boot").glob("vmlinuz-*")),
               "-initrd", "initrd",
               "-append", f"{CMDLINE} panic=-1"]
    for number, (path, sector_size) in enumerate(disks):
        command += ["-drive", f"if=none,id=d{number},format=raw,file={path}", "-device",
                    f"virtio-blk-pci,drive=d{number},logical_block_size={sector_size},"
                    f"physical_block_size={sector_size}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds, check=False)
    output = done.stdout.decode(errors="replace").replace("\r", "")
    lines = re.findall(r"^\| (.*)$", output, re.MULTILINE)
    assert lines[-1:] == ["the end"], output[-3000:]
    return lines[:-1]


def boot_or_skip(*arguments):
    """The same; a test that has no kernel is skipped, but not in continuous integration."""
    try:
        return boot(*arguments)
    except Unavailable as reason:
        if os.environ.get("CI"):
            raise
        raise tap.Skip(str(reason)) from reason
