#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rekeying with the daemon: what lies on the disk to another implementation, what the other verbs
say meanwhile, and a mounted file system whose daemon is killed in the middle."""
import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from command_lab import BUSY, NOT_FOUND, PROBLEMS, REFUSED  # noqa: E402
from command_lab import vck_at_daemon as vck  # noqa: E402
import jvck_oracle as oracle  # noqa: E402
import tap  # noqa: E402
from daemon_lab import daemon, wait_until  # noqa: E402

try:
    import nbd
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
except ImportError as missing:
    print(f"1..0 # SKIP {missing}: python3-libnbd and python3-cryptography are needed")
    sys.exit(0)

KEY = bytes(range(50, 82))
MIB = 1 << 20
METADATA = 128 << 10
SECTOR = 512
SIZE = 24 * MIB  # at 1 MiB/s: time for everything that is done meanwhile


def status():
    return json.loads(vck("status", "--json", "image"))


def make_volume(data):
    Path("key").write_bytes(KEY)
    os.chmod("key", 0o600)
    Path("image").write_bytes(data)
    vck("prepare", "--grow", "--vmk-file", "key", "--metadata-size", "128K", "image")


def attach():
    vck("attach", "--vmk-file", "key", "image")


def content(size):
    return random.Random(size).randbytes(size)


@contextlib.contextmanager
def client():
    handle = nbd.NBD()
    handle.set_export_name("image")
    handle.connect_unix("nbd.sock")
    try:
        yield handle
    finally:
        handle.shutdown()


# ---- the disk, to somebody else ----

class Image:
    """The image at rest, read by the second implementation alone."""

    def __init__(self):
        self.bytes = Path("image").read_bytes()
        self.block = oracle.decode_block(self.bytes[-512:], KEY)
        self.places = oracle.rekey_places(len(self.bytes), SECTOR, METADATA, 0, 2)
        self.records = [self.bytes[at:at + 4096] for at in self.places]

    @property
    def old(self):
        return self.block.key1 + self.block.key2

    def new(self):
        """Every place has the record that the block names."""
        found = {oracle.decode_rekey(record, self.block.volume_id, self.block.nonce, KEY).key1 +
                 oracle.decode_rekey(record, self.block.volume_id, self.block.nonce, KEY).key2
                 for record in self.records}
        assert len(found) == 1
        return found.pop()

    def plain(self, key, sector):
        cipher = Cipher(algorithms.AES(key), modes.XTS(sector.to_bytes(16, "little")))
        return cipher.decryptor().update(self.bytes[sector * SECTOR:(sector + 1) * SECTOR])

    def holds(self, data):
        """What the metadata says gives the data: in every seventh sector, and near the boundary."""
        boundary = self.block.offset
        if self.block.version == 1:
            assert boundary == len(data) // SECTOR and not any(map(any, self.records))
        below = self.old if self.block.version == 1 else self.new()
        assert self.block.version == 1 or below != self.old
        for sector in range(len(data) // SECTOR):
            if sector % 7 == 0 or abs(sector - boundary) < 20:
                key = below if sector < boundary else self.old
                expected = data[sector * SECTOR:(sector + 1) * SECTOR]
                assert self.plain(key, sector) == expected, f"sector {sector}, boundary {boundary}"
        return True


def encrypted_volume(data):
    make_volume(data)
    with daemon():
        attach()
        vck("rekey", "image", code=PROBLEMS, says="not encrypted as a whole.*0 of")
        vck("rekey", "--back", "image", code=NOT_FOUND, says="not being rekeyed")
        vck("encrypt", "image")
        vck("detach", "image")
    return Image().old


def rekey_part(sectors, *options):
    """Paused in the middle, with the limit that makes it one."""
    vck("rate", "image", 1)
    vck("rekey", "--no-wait", *options, "image")
    wait_until(lambda: status()["rekeyed_sectors"] >= sectors)
    vck("pause", "image")
    now = status()
    assert now["rekeying"] and now["state"] == "paused" and now["encrypted_sectors"] == now[
        "total_sectors"] and sectors <= now["rekeyed_sectors"] < now["total_sectors"], now
    return now["rekeyed_sectors"]


@tap.test
def there():
    """a new key, paused in the middle and gone on with: the oracle reads every state"""
    data = bytearray(content(SIZE))
    old = encrypted_volume(data)
    with daemon():
        attach()
        boundary = rekey_part(512)
        with client() as handle:
            assert handle.pread(len(data), 0) == data
            for at in (0, boundary * SECTOR - 4096, len(data) - 8192):
                handle.pwrite(bytes([at & 255 | 1]) * 8192, at)
                data[at:at + 8192] = bytes([at & 255 | 1]) * 8192
            handle.flush()
            assert handle.pread(len(data), 0) == data
        vck("encrypt", "image", code=BUSY, says=f"is being rekeyed: [0-9]+ of {SIZE // SECTOR}")
        vck("decrypt", "image", code=BUSY, says="is being rekeyed")
        assert "under the new key" in vck("status", "image")
        vck("detach", "image")
        image = Image()
        assert image.block.version == 2 and image.block.offset == boundary and image.old == old
        new = image.new()
        assert image.holds(data)
        attach()
        assert status()["state"] == "paused"
        vck("resume", "image", says="image is under its new key")
        assert not status()["rekeying"]
        with client() as handle:
            assert handle.pread(len(data), 0) == data
        vck("detach", "image")
    image = Image()
    assert image.block.version == 1 and image.old == new
    assert image.holds(data)
    vck("check", "--vmk-file", "key", "image")


@tap.test
def back():
    """given up in the middle, the old key stays, and the next rekey has a key of its own"""
    data = content(SIZE)
    old = encrypted_volume(data)
    with daemon():
        attach()
        rekey_part(512)
        given_up = None
        vck("detach", "image")
        given_up = Image().new()
        attach()
        vck("rekey", "--back", "image", says="image is under its old key")
        vck("detach", "image")
        image = Image()
        assert image.block.version == 1 and image.old == old and image.holds(data)
        attach()
        vck("rekey", "image", says="image is under its new key: 24 MiB")
        vck("detach", "image")
    image = Image()
    assert image.old not in (old, given_up) and image.holds(data)


@tap.test
def what_others_say():
    """info, check, map, open and key while a rekey is open, and when its record is lost"""
    data = content(SIZE)
    encrypted_volume(data)
    with daemon():
        attach()
        boundary = rekey_part(512)
        kinds = [region["kind"] for region in json.loads(vck("map", "--json", "--socket",
                                                             "control.sock", "image"))["regions"]]
        assert "new key" in kinds and "old key" in kinds, kinds
        vck("detach", "image")
    state = json.loads(vck("info", "--json", "--vmk-file", "key", "image"))["state"]
    assert state["rekeying"] and state["rekeyed_sectors"] == boundary
    assert state["encrypted_sectors"] == len(data) // SECTOR
    vck("info", "--vmk-file", "key", "image", says=f"new key: +{boundary} of {SIZE // SECTOR}")
    vck("check", "--vmk-file", "key", "image", says="journal closed")
    regions = json.loads(vck("map", "--json", "--vmk-file", "key", "image"))["regions"]
    assert [(region["kind"], region["sectors"]) for region in regions][:2] == [
        ("new key", boundary), ("old key", SIZE // SECTOR - boundary)]
    vck("open", "--dry-run", "--vmk-file", "key", "image", "x", code=REFUSED,
        says="is being rekeyed")
    before = Path("image").read_bytes()
    Path("passphrase").write_text("of the backup")
    os.chmod("passphrase", 0o600)
    vck("key", "rotate", "--vmk-file", "key", "--new-vmk", "new", "image", code=REFUSED,
        says="is being rekeyed")
    vck("key", "backup", "--vmk-file", "key", "--new-key-file", "passphrase", "image", "backup",
        code=REFUSED, says="is being rekeyed")
    assert Path("image").read_bytes() == before and not Path("new").exists()
    # Slots come and go beside the record.
    vck("key", "add", "--vmk-file", "key", "--new-key-file", "passphrase", "--kdf-memory", "64M",
        "--kdf-passes", 3, "image")
    vck("key", "test", "--key-file", "passphrase", "image")
    vck("key", "erase", "--force", "image")
    assert Image().holds(data)
    changed = bytearray(before)
    for at in Image().places:
        changed[at + 60] ^= 1
    Path("image").write_bytes(changed)
    vck("info", "--vmk-file", "key", "image", code=PROBLEMS, says="no copy of its record is whole")
    with daemon():
        vck("attach", "--vmk-file", "key", "image", code=PROBLEMS)
    assert Path("image").read_bytes() == changed


# ---- in use ----

def run(*command):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, check=False)


class Mount:
    """The volume's file system, through nbdfuse and a loop device, with a thread that writes."""

    def __init__(self):
        self.root, self.export = Path("mnt").absolute(), Path("export").absolute()
        self.root.mkdir()
        self.export.touch()
        self.fuse = self.loop = self.thread = self.failure = None
        self.stopping = False
        self.durable = {}
        self.written = 0
        self.random = random.Random(1)

    def open(self):
        uri = f"nbd+unix:///image?socket={Path('nbd.sock').absolute()}"
        self.fuse = subprocess.Popen(["nbdfuse", self.export, uri], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.ismount(self.export) or self.fuse.poll() is not None)
        found = run("losetup", "--find", "--show", self.export)
        if found.returncode != 0:
            raise tap.Skip(found.stdout.strip())
        self.loop = found.stdout.strip()
        mounted = run("mount", "-o", "noatime", self.loop, self.root)
        assert mounted.returncode == 0, mounted.stdout

    def close(self):
        if os.path.ismount(self.root) and run("umount", self.root).returncode != 0:
            run("umount", "--force", "--lazy", self.root)
        if self.loop:
            run("losetup", "--detach", self.loop)
        self.loop = None
        if self.fuse:
            run("fusermount3", "-u", "-z", self.export)
            try:
                self.fuse.wait(60)
            except subprocess.TimeoutExpired:
                self.fuse.kill()
                self.fuse.wait()
        self.fuse = None

    def work(self):
        self.stopping, self.failure = False, None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        try:
            while not self.stopping:
                name = f"file{len(self.durable):05d}"
                data = self.random.randbytes(self.random.choice((700, 20_000)))
                with open(self.root / name, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                descriptor = os.open(self.root, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                self.durable[name] = hashlib.sha256(data).digest()
                self.written += 1
                if len(self.durable) >= 400:
                    time.sleep(0.05)
                    self.durable.pop(name)
                    os.unlink(self.root / name)
        except OSError as failure:
            self.failure = failure

    def rest(self):
        self.stopping = True
        self.thread.join(120)
        assert not self.thread.is_alive()

    def check(self):
        for name, digest in self.durable.items():
            assert hashlib.sha256((self.root / name).read_bytes()).digest() == digest, name


def why_not_mounted():
    if os.geteuid() != 0:
        return "only root mounts"
    if not os.access("/dev/fuse", os.W_OK) or not os.access("/dev/loop-control", os.W_OK):
        return "no /dev/fuse or no loop devices"
    for tool in ("nbdfuse", "losetup", "mkfs.ext4", "fusermount3"):
        if run("which", tool).returncode != 0:
            return f"no {tool}"
    return None


@tap.test
def mounted():
    """a mounted ext4 is rekeyed under writes and killed: no durable file is lost"""
    reason = why_not_mounted()
    if reason:
        raise tap.Skip(reason)
    assert run("truncate", "-s", "24M", "fs").returncode == 0
    assert run("mkfs.ext4", "-q", "fs").returncode == 0
    old = encrypted_volume(Path("fs").read_bytes())
    mount = Mount()
    try:
        with daemon() as process:
            attach()
            mount.open()
            mount.work()
            wait_until(lambda: mount.written > 5)
            vck("rate", "image", 1)
            vck("rekey", "--no-wait", "image")
            before = mount.written
            wait_until(lambda: status()["rekeyed_sectors"] > 0 and mount.written > before)
            process.kill()
            process.wait()
            mount.rest()
            before = mount.written
            mount.close()
        for name in ("control.sock", "nbd.sock"):
            Path(name).unlink(missing_ok=True)
        assert oracle.decode_block(Path("image").read_bytes()[-512:], KEY).version == 2
        with daemon():
            attach()
            mount.open()
            mount.check()
            mount.work()
            wait_until(lambda: not status()["rekeying"] and mount.written > before)
            mount.rest()
            assert mount.failure is None, mount.failure
            mount.check()
            mount.close()
            vck("detach", "image")
    finally:
        mount.close()
    image = Image()
    assert image.block.version == 1 and image.old != old
    sectors = range(24 * MIB // SECTOR)
    Path("plain").write_bytes(b"".join(image.plain(image.old, i) for i in sectors))
    checked = run("e2fsck", "-fn", "plain")
    assert checked.returncode == 0, checked.stdout


if __name__ == "__main__":
    tap.main()
