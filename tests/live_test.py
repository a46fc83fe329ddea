#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is done to a volume while it is served: its key slots change under I/O and a sweep; it is
suspended and resumed."""
import contextlib
import hashlib
import json
import random
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from command_lab import (  # noqa: E402
    BUSY, FAILED, NOT_FOUND, REFUSED, USAGE, VCK, WRONG_KEY, private, vck_at_daemon)
import jvck_oracle  # noqa: E402
import key_oracle  # noqa: E402
import tap  # noqa: E402
from daemon_lab import daemon, wait_until  # noqa: E402

try:
    import nbd
except ImportError as missing:
    print(f"1..0 # SKIP {missing}: python3-libnbd is needed")
    sys.exit(0)

VMK = bytes(range(60, 92))
MIB = 1 << 20
CHEAP = ("--kdf", "pbkdf2", "--kdf-passes", 210000)
RANDOM = ("--type", "key-file", "--kdf", "hkdf")  # costs nothing to open
HEADER = (512, 131072, 0, 2)
FIRST, SECOND, THIRD = (hashlib.sha256(name).digest() for name in (b"1", b"2", b"3"))
OFFLINE = {"prepare", "info", "check"}


def vck(verb, *arguments, **expected):
    return vck_at_daemon(verb, *arguments, always=verb not in OFFLINE, **expected)


def make_volume(size=4 * MIB):
    """An image with a slot for FIRST; what it holds."""
    data = b"".join(hashlib.sha256(struct.pack("<I", i)).digest() for i in range(size // 32))
    Path("image").write_bytes(data)
    for name, secret in (("vmk", VMK), ("first", FIRST), ("second", SECOND), ("wrong", b"no key")):
        private(name, secret)
    vck("prepare", "--grow", "--metadata-size", "128K", "--vmk-file", "vmk", "image")
    vck("key", "add", "--vmk-file", "vmk", "--new-key-file", "first", *RANDOM, "image")
    return data


def status():
    return json.loads(vck("status", "--json", "image"))


def boundary():
    return status()["encrypted_sectors"]


@contextlib.contextmanager
def client():
    handle = nbd.NBD()
    handle.set_export_name("image")
    handle.connect_unix("nbd.sock")
    try:
        yield handle
    finally:
        with contextlib.suppress(nbd.Error):
            handle.shutdown()


class Traffic:
    """A client that reads and writes, and knows what has to be where, until it is stopped."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.is_over = False
        self.requests = 0
        self.failure = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        choice = random.Random(7)
        try:
            with client() as handle:
                while not self.is_over:
                    at = choice.randrange(len(self.data) // 512) * 512
                    size = min(choice.randrange(1, 65) * 512, len(self.data) - at)
                    if choice.random() < 0.5:
                        self.data[at:at + size] = choice.randbytes(size)
                        handle.pwrite(bytes(self.data[at:at + size]), at)
                    else:
                        assert handle.pread(size, at) == self.data[at:at + size], f"at {at}"
                    self.requests += 1
                    time.sleep(0.001)
        except Exception as failure:  # to be told in the test's own thread
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def goes_on(self):
        """Requests are still answered, and right."""
        seen = self.requests
        wait_until(lambda: self.requests > seen + 20 or self.failure)
        assert self.failure is None, self.failure

    def __exit__(self, kind, *_):
        self.is_over = True
        self.thread.join()
        assert kind is not None or self.failure is None, self.failure


def tables():
    image = Path("image").read_bytes()
    volume_id = image[-512:][32:48]
    return key_oracle.read_tables(image, volume_id, HEADER), volume_id


def opened_by(secret, number, vmk=VMK):
    """All copies are there, the newest is authentic, and its slot opens."""
    found, volume_id = tables()
    assert len(found) == 4 and found[0].is_authentic(vmk) and found[3].is_authentic(vmk)
    assert found[0].generation == found[1].generation == found[2].generation + 1
    return found[0].slots[number].open(volume_id, secret) == vmk


def check_content(expected):
    with client() as handle:
        assert handle.pread(len(expected), 0) == expected


# ---- key slots ----

@contextlib.contextmanager
def busy_volume():
    """Attached, with a slow sweep and with traffic; afterwards everything is as it was written."""
    data = make_volume()
    with daemon():
        vck("attach", "--key-file", "first", "image")
        vck("rate", "image", 1)
        vck("encrypt", "--no-wait", "image")
        with Traffic(data) as traffic:
            yield traffic
            traffic.goes_on()
        assert status()["error"] is None
        vck("rate", "image", 0)
        vck("encrypt", "image")
        check_content(traffic.data)
        vck("detach", "image")


@tap.test
def slots_of_an_attached_volume():
    """add, change, label, remove under I/O and a sweep: as on a volume at rest"""
    with busy_volume() as traffic:
        vck("key", "add", "--key-file", "first", "--new-key-file", "second", *RANDOM, "image",
            says="slot 1 is made")
        assert opened_by(SECOND, 1) and opened_by(FIRST, 0)
        traffic.goes_on()
        vck("key", "label", "--key-file", "first", "--slot", 1, "--label", "mine", "image")
        vck("key", "test", "--key-file", "second", "image", says="slot 1")
        vck("key", "list", "--key-file", "second", "image", says="mine")
        record = tables()[0][0].slots[1].record
        private("third", THIRD)
        vck("key", "change", "--key-file", "second", "--new-key-file", "third", "--kdf", "hkdf", "image")
        assert opened_by(THIRD, 1)
        assert record[160:208] not in Path("image").read_bytes()
        vck("key", "remove", "--key-file", "third", "--slot", 0, "image")
        vck("key", "test", "--key-file", "first", "image", code=WRONG_KEY)
        vck("key", "remove", "--key-file", "third", "--slot", 1, "image", code=REFUSED,
            says="last one")
        assert status()["state"] in ("encrypting", "idle"), "the sweep goes on, or has ended"
    with daemon():
        vck("attach", "--key-file", "third", "image")
        check_content(traffic.data)


@tap.test
def rotate_an_attached_volume():
    """rotate under I/O and a sweep: the new key opens, the old one does not, the sweep goes on"""
    with busy_volume() as traffic:
        before = jvck_oracle.decode_block(Path("image").read_bytes()[-512:], VMK)
        vck("key", "rotate", "--key-file", "first", "--new-vmk", "next", "image")
        new = Path("next").read_bytes()
        assert opened_by(FIRST, 0, vmk=new)
        after = jvck_oracle.decode_block(Path("image").read_bytes()[-512:], new)
        assert (before.key1, before.key2) == (after.key1, after.key2)
        at = boundary()
        wait_until(lambda: boundary() > at or status()["state"] == "idle")
        traffic.goes_on()
        vck("info", "--vmk-file", "vmk", "image", code=WRONG_KEY)
        vck("info", "--vmk-file", "next", "image")
        vck("key", "rotate", "--vmk-file", "next", "--force", "--new-vmk", "last", "image")
    with daemon():
        vck("attach", "--vmk-file", "next", "image", code=WRONG_KEY)
        vck("attach", "--vmk-file", "last", "image")
        check_content(traffic.data)


@tap.test
def backup_of_an_attached_volume():
    """backup, erase and restore while it is attached; metadata are restored at rest only"""
    with busy_volume() as traffic:
        private("paper", b"passphrase of the backup")
        vck("key", "backup", "--key-file", "first", "--new-key-file", "paper", *CHEAP, "image",
            "backup")
        vck("key", "erase", "--force", "image")
        image = Path("image").read_bytes()
        for area in key_oracle.areas(len(image), HEADER):
            assert not any(image[area:area + 57344])
        traffic.goes_on()
        vck("key", "test", "--key-file", "first", "image", code=NOT_FOUND)
        vck("key", "restore", "--key-file", "paper", "image", "backup", says="1 key slot")
        assert opened_by(FIRST, 0)
        vck("key", "rotate", "--key-file", "first", "image")
        vck("key", "restore", "--key-file", "paper", "image", "backup", code=REFUSED,
            says="another volume master key")
        vck("key", "restore", "--force", "--key-file", "paper", "image", "backup", code=BUSY,
            says="when it is detached")
        vck("key", "test", "--key-file", "first", "image")


@tap.test
def refused_changes():
    """a wrong secret, or a name that is taken, changes nothing of an attached volume"""
    make_volume()
    with daemon():
        vck("attach", "--key-file", "first", "image")
        before = Path("image").read_bytes()
        add = ("key", "add", "--new-key-file", "second", *RANDOM)
        vck(*add, "--key-file", "wrong", "image", code=WRONG_KEY)
        vck(*add, "--vmk-file", "wrong", "image", code=WRONG_KEY, says="does not open")
        vck(*add, "--key-file", "first", "--slot", 0, "image", code=REFUSED, says="taken")
        vck("key", "remove", "--key-file", "first", "--slot", 5, "image", code=NOT_FOUND)
        vck("key", "rotate", "--key-file", "first", "--new-vmk", "vmk", "image", code=REFUSED)
        assert Path("image").read_bytes() == before


# ---- suspend and resume ----

@tap.test
def suspend_under_load():
    """suspend, resume: requests wait and then are right; the sweep goes on; the key may be a slot's"""
    with busy_volume() as traffic:
        for how in (("--key-file", "first"), ("--vmk-file", "vmk"), ("--key-file", "first")):
            vck("suspend", "image", says="is suspended")
            vck("suspend", "image")
            now = status()
            assert now["suspended"] and now["attached"] and now["error"] is None
            vck("status", "image", says=": suspended, ")
            vck("list", says="^suspended")
            at, seen = boundary(), traffic.requests
            vck("resume", "--key-file", "wrong", "image", code=WRONG_KEY, says="no key slot opens")
            vck("resume", "--vmk-file", "wrong", "image", code=WRONG_KEY, says="stays suspended")
            vck("resume", "image", code=USAGE, says="no terminal")
            assert boundary() == at and traffic.requests <= seen + 1 and status()["suspended"]
            vck("resume", *how, "image", says="goes on")
            assert not status()["suspended"]
            traffic.goes_on()
            wait_until(lambda: boundary() > at or status()["state"] == "idle")


@tap.test
def suspended_refuses():
    """what needs the keys of a suspended volume says so; what needs none works"""
    make_volume()
    with daemon():
        vck("suspend", "image", code=NOT_FOUND, says="not attached")
        vck("attach", "--key-file", "first", "image")
        vck("suspend", "image")
        for verb in ("encrypt", "decrypt", "pause"):
            vck(verb, "image", code=FAILED, says="is suspended")
        vck("key", "add", "--key-file", "first", "--new-key-file", "second", *RANDOM, "image",
            code=FAILED, says="no key at the moment")
        vck("key", "test", "--key-file", "first", "image", says="slot 0")
        vck("rate", "image", 5)
        vck("key", "erase", "--force", "image")
        vck("resume", "--key-file", "first", "image", code=NOT_FOUND)
        vck("resume", "--vmk-file", "vmk", "image")
        vck("resume", "--no-wait", "--vmk-file", "vmk", "image", says="not suspended")


@tap.test
def detach_while_suspended():
    """detach of a suspended volume: requests that wait fail, and nothing is lost that was flushed"""
    data = make_volume()
    with daemon():
        vck("attach", "--key-file", "first", "image")
        vck("encrypt", "image")
        with client() as handle:
            handle.pwrite(bytes(4096), 0)
            vck("suspend", "image")
            waiting = handle.aio_pread(nbd.Buffer(4096), 8192)
            handle.poll(0)
            vck("detach", "image", says="detached")
            try:
                while not handle.aio_command_completed(waiting):
                    assert handle.poll(60000) > 0, "no answer"
                raise AssertionError("a read of a volume that is gone succeeds")
            except nbd.Error as failure:
                assert failure.errno == "EIO", failure
        vck("status", "image", code=NOT_FOUND)
        vck("attach", "--key-file", "first", "image")
        check_content(bytes(4096) + data[4096:])


@tap.test
def ends_while_suspended():
    """the daemon ends in time with requests waiting in a suspended volume"""
    data = make_volume()
    with daemon():
        vck("attach", "--key-file", "first", "image")
        handle = nbd.NBD()
        handle.set_export_name("image")
        handle.connect_unix("nbd.sock")
        vck("suspend", "image")
        handle.aio_pread(nbd.Buffer(4096), 8192)
        handle.poll(0)
    with daemon():
        vck("attach", "--key-file", "first", "image")
        check_content(data)


@tap.test
def killed_while_keys_change():
    """a daemon that is killed between and in changes leaves slots that open and data that read"""
    data = make_volume()
    choice = random.Random(11)
    for _ in range(2):
        with daemon() as process:
            vck("attach", "--key-file", "first", "image")
            vck("rate", "image", 1)
            vck("encrypt", "--no-wait", "image")
            is_over = threading.Event()
            work = threading.Thread(target=change_until, args=(is_over,))
            work.start()
            time.sleep(choice.random())
            process.kill()
            process.wait()
            is_over.set()
            work.join()
    with daemon():
        vck("attach", "--key-file", "first", "image")
        vck("encrypt", "image")
        check_content(data)
        vck("key", "rotate", "--key-file", "first", "--force", "image")
        vck("detach", "image")
        vck("check", "--key-file", "first", "image")


def change_until(is_over):
    rotate = [VCK, "key", "rotate", "--socket", "control.sock", "--force", "--key-file", "first",
              "image"]
    while not is_over.is_set() and subprocess.run(
            rotate, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False).returncode == 0:
        pass


tap.main()
