#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Encrypting only what a file system uses, with the daemon: every file is there afterwards, what is
used is ciphertext, what is not is as it was, and so little is written. Mounted and not, and with the
daemon killed in the middle."""
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from command_lab import NOT_FOUND, REFUSED, private  # noqa: E402
from command_lab import vck_at_daemon as vck  # noqa: E402
import tap  # noqa: E402
from daemon_lab import daemon, wait_until  # noqa: E402

try:
    import nbd
except ImportError as missing:
    print(f"1..0 # SKIP {missing}: python3-libnbd is needed")
    sys.exit(0)

MIB = 1 << 20
KEPT, GONE = b"a file that stays, in each of its blocks", b"a file that was deleted long ago now"
QUIET = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}


def run(*command, code=0, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, check=False, **options)
    assert done.returncode == code, (command, done.returncode, done.stdout[-2000:])
    return done.stdout


def status():
    return json.loads(vck("status", "--json", "image"))


def attach():
    vck("attach", "--vmk-file", "key", "image")


def allocated():
    """Of the image, which is sparse."""
    return Path("image").stat().st_blocks * 512


def make_files():
    """Some that stay and some that go, apart from each other, each block of them marked."""
    draw = random.Random(5)
    Path("tree").mkdir()
    for i in range(40):
        mark = GONE if i % 4 == 3 else KEPT
        # The last one goes, and leaves a gap that is worth leaving out.
        blocks = 6000 if i == 39 else draw.choice((1, 20, 300))
        block = mark + draw.randbytes(1024 - len(mark))
        Path("tree", f"file{i:02}").write_bytes(block * blocks)


def is_gone(name):
    return int(name.name[4:]) % 4 == 3


class Ext4:
    """Made and read by e2fsprogs."""
    options = ["-t", "ext4"]

    def make(self, mib):
        run("truncate", "-s", f"{mib}M", "image")
        run("mke2fs", "-q", "-F", "-d", "tree", *self.options, "image")
        rm = "".join(f"rm {name.name}\n" for name in Path("tree").iterdir() if is_gone(name))
        run("debugfs", "-w", "-f", "-", "image", input=rm.encode())

    def check(self, image):
        run("e2fsck", "-fn", image)

    def read(self, image, name):
        done = subprocess.run(["debugfs", "-R", f"cat {name}", image], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=True)
        return done.stdout


class Ext4Blocks1024(Ext4):
    options = ["-t", "ext4", "-b", "1024", "-O", "^flex_bg,meta_bg,^resize_inode"]


class Fat:
    """Made by mkfs.fat, filled and read by mtools."""
    options = ["-F", "32", "-s", "1"]

    def make(self, mib):
        run("truncate", "-s", f"{mib}M", "image")
        run("mkfs.fat", *self.options, "image")
        names = sorted(Path("tree").iterdir())
        run("mcopy", "-i", "image", *names, "::", env=QUIET)
        for name in filter(is_gone, names):
            run("mdel", "-i", "image", f"::{name.name}", env=QUIET)

    def check(self, image):
        run("fsck.fat", "-n", image)

    def read(self, image, name):
        return run("mtype", "-i", image, f"::{name}", env=QUIET)


class Ntfs:
    """Made, filled and read by ntfs-3g's tools, which delete nothing."""

    def make(self, mib):
        run("truncate", "-s", f"{mib}M", "image")
        run("mkntfs", "-F", "-Q", "image")
        for name in Path("tree").iterdir():
            if not is_gone(name):
                run("ntfscp", "-f", "image", name, name.name)

    def check(self, image):
        run("ntfsinfo", "-f", "-m", image)

    def read(self, image, name):
        return subprocess.run(["ntfscat", "-f", image, name], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=True).stdout


def prepare(kind, mib):
    make_files()
    kind.make(mib)
    private("key", bytes(range(32)))
    vck("prepare", "--grow", "--vmk-file", "key", "--metadata-size", "128K", "image")


def copy_out():
    """The decrypted data, sparse."""
    Path("plain").unlink(missing_ok=True)
    run("nbdcopy", f"nbd+unix:///image?socket={Path('nbd.sock').absolute()}", "plain")


def check_files(kind, image="plain"):
    kind.check(image)
    for name in Path("tree").iterdir():
        if not is_gone(name):
            assert kind.read(image, name.name) == name.read_bytes(), name


def encrypt_unmounted(kind, mib):
    prepare(kind, mib)
    before = allocated()
    with daemon():
        attach()
        said = vck("encrypt", "--used-only", "image")
        assert "stays readable" in said and "left out" in said, said
        now = status()
        assert now["encrypted_sectors"] == now["total_sectors"] and now["used_only"], now
        skipped = now["skipped_sectors"] * now["sector_size_bytes"]
        assert skipped > mib * MIB // 2, now
        # What was not used has not been touched: its holes are still there.
        written = mib * MIB - skipped + 2 * MIB
        assert allocated() <= before + written, (before, allocated(), skipped)
        vck("encrypt", "--used-only", "image", says="encrypted already")
        copy_out()
        check_files(kind)
        vck("detach", "image")
        raw = Path("image").read_bytes()
        assert KEPT not in raw
        assert GONE in raw or isinstance(kind, Ntfs)
        attach()
        assert not status()["used_only"]
        copy_out()
        check_files(kind)
        vck("decrypt", "image")
        vck("detach", "image")
    run("truncate", "-s", f"{mib}M", "image")
    check_files(kind, "image")


for kind_of, size in ((Ext4, 400), (Ext4Blocks1024, 300), (Fat, 300), (Ntfs, 200)):
    tap.add(f"{kind_of.__name__}, not mounted, is encrypted as far as it is used",
            encrypt_unmounted, kind_of(), size)


@tap.test
def killed_in_the_middle():
    """a daemon is killed in the middle: everything that is left is encrypted"""
    kind = Ext4()
    prepare(kind, 96)
    # A stretch that is used and takes its time.
    Path("tree", "file00").write_bytes(KEPT * (40 * MIB // len(KEPT)))
    run("debugfs", "-w", "-f", "-", "image", input=b"rm file00\nwrite tree/file00 file00\n")
    with daemon() as process:
        attach()
        vck("rate", "image", 1)
        vck("encrypt", "--used-only", "--no-wait", "image")
        wait_until(lambda: 0 < status()["encrypted_sectors"])
        vck("pause", "image")
        vck("resume", "--no-wait", "image")
        now = status()
        assert now["used_only"] and now["encrypted_sectors"] < now["total_sectors"], now
        process.kill()
        process.wait()
    with daemon():
        attach()
        wait_until(lambda: status()["state"] == "idle")
        now = status()
        assert not now["used_only"] and now["encrypted_sectors"] == now["total_sectors"]
        copy_out()
        check_files(kind)
    assert KEPT not in Path("image").read_bytes()


# ---- in use ----

class Mount:
    """The volume's file system, through nbdfuse and a loop device."""

    def __init__(self):
        self.root, self.export = Path("a mount").absolute(), Path("export").absolute()
        self.root.mkdir()
        self.export.touch()
        self.fuse = self.loop = None

    def open(self):
        uri = f"nbd+unix:///image?socket={Path('nbd.sock').absolute()}"
        self.fuse = subprocess.Popen(["nbdfuse", self.export, uri], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.ismount(self.export) or self.fuse.poll() is not None)
        found = subprocess.run(["losetup", "--find", "--show", self.export], check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if found.returncode != 0:
            raise tap.Skip(found.stdout.strip())
        self.loop = found.stdout.strip()
        run("mount", self.loop, self.root)

    def close(self):
        if os.path.ismount(self.root):
            run("umount", self.root)
        if self.loop:
            run("losetup", "--detach", self.loop)
        if self.fuse:
            subprocess.run(["fusermount3", "-u", "-z", self.export], check=False)
            try:
                self.fuse.wait(60)
            except subprocess.TimeoutExpired:
                self.fuse.kill()
                self.fuse.wait()
        self.fuse = self.loop = None


class Writer:
    """Writes files, some of which it deletes, until it is told to stop."""

    def __init__(self, root):
        self.root, self.files, self.failure, self.stops = root, {}, None, threading.Event()
        self.written = 0
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        draw = random.Random(9)
        try:
            for i in range(100000):
                if self.stops.is_set():
                    return
                data = draw.randbytes(draw.choice((500, 30_000, 500_000)))
                name = self.root / f"new{i}"
                name.write_bytes(data)
                self.files[name.name] = hashlib.sha256(data).digest()
                self.written += 1
                if len(self.files) > 60:
                    gone = draw.choice(sorted(self.files))
                    del self.files[gone]
                    os.unlink(self.root / gone)
                if i % 7 == 0:
                    os.sync()
        except OSError as failure:
            self.failure = failure

    def finish(self):
        self.stops.set()
        self.thread.join(300)
        assert not self.thread.is_alive() and self.failure is None, self.failure

    def check(self):
        for name, digest in self.files.items():
            assert hashlib.sha256((self.root / name).read_bytes()).digest() == digest, name


def need_mounts():
    if os.geteuid() != 0:
        raise tap.Skip("only root mounts")
    if not os.access("/dev/fuse", os.W_OK) or not os.access("/dev/loop-control", os.W_OK):
        raise tap.Skip("no /dev/fuse or no loop devices")
    for tool in ("nbdfuse", "losetup", "fusermount3"):
        if subprocess.run(["which", tool], stdout=subprocess.DEVNULL, check=False).returncode != 0:
            raise tap.Skip(f"no {tool}")


@tap.test
def mounted():
    """a mounted ext4 is held still for a moment, and encrypted under writes"""
    need_mounts()
    kind = Ext4()
    prepare(kind, 400)
    mount = Mount()
    try:
        with daemon():
            attach()
            mount.open()
            writer = Writer(mount.root)
            wait_until(lambda: len(writer.files) > 20)
            before = writer.written
            vck("rate", "image", 60)
            vck("encrypt", "--used-only", "image", says="left out")
            wait_until(lambda: writer.written != before)
            assert status()["skipped_sectors"] * 512 > 150 * MIB
            writer.finish()
            writer.check()
            mount.close()
            vck("detach", "image")
            attach()
            copy_out()
            check_files(kind)
            mount.open()
            writer.check()
            mount.close()
    finally:
        mount.close()
    assert KEPT not in Path("image").read_bytes()


@tap.test
def mounted_and_frozen_by_somebody():
    """a mounted ext4 that somebody else holds still is read as it is"""
    need_mounts()
    prepare(Ext4(), 100)
    mount = Mount()
    try:
        with daemon():
            attach()
            mount.open()
            run("fsfreeze", "--freeze", mount.root)
            try:
                vck("encrypt", "--used-only", "--no-wait", "image")
            finally:
                # It is still held, or this fails.
                run("fsfreeze", "--unfreeze", mount.root)
            mount.close()
            vck("detach", "image")
    finally:
        mount.close()


def mounted_and_not_ext(kind):
    need_mounts()
    prepare(kind, 100)
    mount = Mount()
    try:
        with daemon():
            attach()
            try:
                mount.open()
            except AssertionError as failure:
                raise tap.Skip("this kernel does not mount it") from failure
            vck("encrypt", "--used-only", "image", code=REFUSED,
                says=["a mount: unmount it|not unmounted cleanly: unmount it", "--used-only"])
            assert status()["encrypted_sectors"] == 0
            mount.close()
            vck("encrypt", "--used-only", "image", says="left out")
            copy_out()
            check_files(kind)
            vck("detach", "image")
    finally:
        mount.close()


for kind_of in (Fat, Ntfs):
    tap.add(f"a mounted {kind_of.__name__} is refused, with the place where it is mounted",
            mounted_and_not_ext, kind_of())


@tap.test
def refused():
    """what is unclean, unknown or not attached is refused, and nothing changes"""
    prepare(Ext4(), 64)
    with daemon():
        vck("encrypt", "--used-only", "image", code=NOT_FOUND, says="not attached")
        attach()
        before = Path("image").read_bytes()
        export = f"nbd+unix:///image?socket={Path('nbd.sock').absolute()}"
        for offset, data, says in ((1024 + 0x60, b"\xc6\x02\0\0", "journal"),
                                   (1024 + 0x3a, b"\2\0", "has errors"),
                                   (1024 + 0x18, b"\7\0\0\0", "contradicts itself"),
                                   (1024 + 0x38, b"\0\0", "holds no file system")):
            whole = before[:offset] + data + before[offset + len(data):]
            handle = nbd.NBD()
            handle.connect_uri(export)
            handle.pwrite(whole[1024:2048], 1024)
            handle.flush()
            handle.shutdown()
            vck("encrypt", "--used-only", "image", code=REFUSED, says=[says, "without --used-only"])
            assert status()["encrypted_sectors"] == 0 and status()["state"] == "idle"
            assert Path("image").read_bytes() == whole
        vck("detach", "image")


if __name__ == "__main__":
    tap.main()
