#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vck key on image files, judged by a second implementation of the slots."""
import contextlib
import hashlib
import json
import os
import pty
import re
import select
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import command_lab  # noqa: E402
from command_lab import (  # noqa: E402
    FAILED, NOT_FOUND, OK, PROBLEMS, REFUSED, USAGE, VCK, WRONG_KEY, private, unchanged)
import jvck_oracle  # noqa: E402
import key_oracle as oracle  # noqa: E402
import tap  # noqa: E402

MIB = 1 << 20
CHEAP = ("--kdf-memory", "64M", "--kdf-passes", "3")
VMK = bytes(range(1, 33))
FIRST = "the first passphrase"
SECOND = "und noch eine Paßphrase"


def vck(*arguments, **expected):
    return command_lab.vck(*arguments, secrets=(FIRST.encode(), SECOND.encode(), VMK), **expected)


@contextlib.contextmanager
def volume(slots=True, options=()):
    """An image with 128 KiB footers in the current folder, and files of secrets."""
    with open("image", "wb") as file:
        file.truncate(MIB)
    private("vmk", VMK)
    private("first", FIRST.encode() + b"\n")
    private("second", SECOND.encode())
    private("binary", hashlib.shake_128(b"binary").digest(100) + b"\n")
    vck("prepare", "--vmk-file", "vmk", "--metadata-size", "128K", *options, "image")
    if slots:
        vck("key", "add", "--vmk-file", "vmk", "--new-key-file", "first", *CHEAP, "image")
    yield


def tables(header=(512, 131072, 0, 2)):
    image = Path("image").read_bytes()
    block = image[-512:]
    return oracle.read_tables(image, block[32:48], header), block[32:48]


def opened_by(secret, number, vmk=VMK):
    """The newest table is authentic and its slot opens."""
    found, volume_id = tables()
    assert len(found) == 4, "two copies in two replicas"
    assert found[0].generation == found[1].generation == found[2].generation + 1
    assert found[0].is_authentic(vmk) and found[3].is_authentic(vmk)
    return found[0].slots[number].open(volume_id, secret) == vmk


def listed(*options):
    return json.loads(vck("key", "list", "--json", *options, "image"))


@tap.test
def first_slot():
    """add: another implementation opens the slot; its label, type and KDF are what was asked for"""
    with volume(slots=False):
        before = int(time.time())
        vck("key", "add", "--vmk-file", "vmk", "--new-key-file", "first", "--label", "büro",
            *CHEAP, "image")
        assert opened_by(FIRST.encode(), 0)
        slot = tables()[0][0].slots[0]
        assert (slot.type, slot.kdf, slot.passes, slot.memory) == (1, 1, 3, 65536)
        assert slot.label == "büro" and before <= slot.created <= time.time()
        assert not opened_by(b"wrong", 0)


@tap.test
def the_vmk_still_opens():
    """add: the blocks are as they were, for implementations that know no slots"""
    with volume(slots=False):
        before = Path("image").read_bytes()
        vck("key", "add", "--vmk-file", "vmk", "--new-key-file", "first", *CHEAP, "image")
        after = Path("image").read_bytes()
        changed = {at // 512 for at in range(0, MIB, 512) if before[at:at + 512] != after[at:at + 512]}
        allowed = {(area + at) // 512 for area in oracle.areas(MIB, (512, 131072, 0, 2))
                   for at in range(0, 57344, 512)}
        assert changed and changed <= allowed
        assert jvck_oracle.decode_block(after[-512:], VMK)


@tap.test
def every_type():
    """add: passphrases, key files and recovery keys with each KDF"""
    with volume():
        add = ("key", "add", "--key-file", "first")
        vck(*add, "--new-key-file", "second", "--kdf", "pbkdf2", "--kdf-passes", 210000, "image")
        vck(*add, "--type", "key-file", "--new-key-file", "binary", "--kdf", "hkdf", "image")
        vck(*add, "--type", "key-file", "--new-key-file", "vmk", *CHEAP, "--slot", 31, "image")
        told = vck(*add, "--type", "recovery", "image")
        digits = re.search(r"^(?:\d{6}-){7}\d{6}$", told, re.MULTILINE)[0]
        assert opened_by(SECOND.encode(), 1)
        assert opened_by(Path("binary").read_bytes(), 2)
        assert opened_by(VMK, 31)
        assert opened_by(oracle.recovery_key(digits), 3)
        vck("key", "test", "--key-file", "second", "image", says="slot 1 \\(passphrase\\)")
        vck("key", "test", "--key-file", "binary", "image", says="slot 2 \\(key-file\\)")
        vck("key", "test", "--key-file", "-", "image", stdin=digits.encode() + b"\n",
            says="slot 3 \\(recovery\\)")
        vck("key", "test", "--key-file", "-", "image", stdin=digits.replace("-", " ").encode())
        slots = listed()["slots"]
        assert [slot["slot"] for slot in slots] == [0, 1, 2, 31, 3]
        assert [slot["type"] for slot in slots] == ["passphrase", "passphrase", "key-file",
                                                    "key-file", "recovery"]
        assert slots[1]["kdf"] == "pbkdf2" and slots[1]["kdf_passes"] == 210000
        assert not listed()["authenticated"] and listed("--key-file", "first")["authenticated"]


@tap.test
def slots_of_another_implementation():
    """slots that another implementation wrote open, and one of a type from elsewhere is kept"""
    with volume(slots=False):
        image = Path("image").read_bytes()
        volume_id = image[-512:][32:48]
        slots = [oracle.make_slot(volume_id, 5, oracle.PASSPHRASE, FIRST.encode(), VMK,
                                  oracle.ARGON2ID, 1, 64, 3, os.urandom(16), os.urandom(32),
                                  os.urandom(12), 0, "by another"),
                 struct.pack("<HHHH16sQ64s", 104, 900, 7, 0, b"?" * 16, 0, b"\x1b[2J") + b"unknown "]
        data = bytearray(image)
        for area in oracle.areas(MIB, (512, 131072, 0, 2)):
            for generation in (2, 3):
                at = area + generation % 2 * oracle.COPY_BYTES
                table = oracle.make_table(volume_id, VMK, generation, slots)
                data[at:at + len(table)] = table
        Path("image").write_bytes(data)
        vck("key", "test", "--key-file", "first", "image", says="slot 5")
        told = vck("key", "list", "image", says="by another")
        assert "\x1b" not in told and "unknown" in told
        vck("key", "change", "--key-file", "first", "--new-key-file", "second", *CHEAP, "image")
        assert opened_by(SECOND.encode(), 5)
        assert tables()[0][0].slots[7].record == slots[1]


@tap.test
def change_and_label():
    """change: the old passphrase is gone, number and label stay; label: only the label changes"""
    with volume():
        vck("key", "label", "--key-file", "first", "--slot", 0, "--label", "mine", "image")
        before = tables()[0][0].slots[0].record
        vck("key", "change", "--key-file", "first", "--new-key-file", "second", *CHEAP, "image")
        assert opened_by(SECOND.encode(), 0) and not opened_by(FIRST.encode(), 0)
        assert tables()[0][0].slots[0].label == "mine"
        assert before[160:208] not in Path("image").read_bytes()
        with unchanged():
            vck("key", "test", "--key-file", "first", "image", code=WRONG_KEY, says="no key slot")
            vck("key", "change", "--vmk-file", "vmk", "--new-key-file", "first", "image", code=USAGE,
                says="--slot is needed")


@tap.test
def remove():
    """remove: the slot is overwritten everywhere; the last one stays unless forced"""
    with volume():
        vck("key", "add", "--key-file", "first", "--new-key-file", "second", *CHEAP, "image")
        record = tables()[0][0].slots[0].record
        vck("key", "remove", "--key-file", "second", "--slot", 0, "image")
        assert record[160:208] not in Path("image").read_bytes()
        with unchanged():
            vck("key", "test", "--key-file", "first", "image", code=WRONG_KEY)
            vck("key", "remove", "--key-file", "second", "--slot", 0, "image", code=NOT_FOUND)
            vck("key", "remove", "--key-file", "second", "--slot", 1, "image", code=REFUSED,
                says="last one")
        vck("key", "remove", "--key-file", "second", "--slot", 1, "--force", "image")
        vck("key", "list", "image", says="no key slots")
        vck("info", "--vmk-file", "vmk", "image")


@tap.test
def erase():
    """erase: nothing of a slot is left, within a second"""
    with volume():
        with unchanged():
            vck("key", "erase", "image", code=USAGE, says="--force is needed")
        vck("key", "erase", "--force", "image")
        data = Path("image").read_bytes()
        for area in oracle.areas(MIB, (512, 131072, 0, 2)):
            assert not any(data[area:area + 57344])
        vck("key", "test", "--key-file", "first", "image", code=NOT_FOUND, says="no key slot")


@tap.test
def bad_input():
    """refusals name what is wrong and change nothing"""
    with volume():
        add = ("key", "add", "--key-file", "first")
        private("empty", b"")
        private("short", b"short\n")
        private("line", b"\n")
        private("large", bytes(65537))
        with unchanged():
            for arguments, code, says in (
                    (("key",), USAGE, "missing"),
                    (("key", "list"), USAGE, "missing"),
                    (("key", "melt", "image"), USAGE, "no action melt"),
                    (("key", "list", "--slot", 1, "image"), USAGE, "list takes no --slot"),
                    (("key", "remove", "--key-file", "first", "image"), USAGE, "remove needs --slot"),
                    (("key", "remove", "--slot", 32, "image"), USAGE, "0 to 31"),
                    (("key", "test", "image"), USAGE, "no terminal"),
                    ((*add, "image"), USAGE, "--new-key-file"),
                    ((*add, "--type", "retina", "image"), USAGE, "--type is retina"),
                    ((*add, "--kdf", "md5", "--new-key-file", "second", "image"), USAGE, "md5"),
                    ((*add, "--kdf", "hkdf", "--new-key-file", "second", "image"), USAGE, "hkdf"),
                    ((*add, "--kdf-memory", "32M", "--new-key-file", "second", "image"), USAGE,
                     "--kdf-memory is 32M"),
                    ((*add, "--kdf-memory", "8G", "--new-key-file", "second", "image"), USAGE,
                     "--kdf-memory is 8G"),
                    ((*add, "--kdf-passes", 2, "--new-key-file", "second", "image"), USAGE,
                     "--kdf-passes is 2"),
                    ((*add, "--kdf", "pbkdf2", "--kdf-passes", 209999, "--new-key-file", "second",
                      "image"), USAGE, "210000"),
                    ((*add, "--label", "x" * 65, "--new-key-file", "second", "image"), USAGE,
                     "--label"),
                    ((*add, "--label", "a\x1bb", "--new-key-file", "second", "image"), USAGE,
                     "control"),
                    ((*add, "--slot", 0, "--new-key-file", "second", *CHEAP, "image"), REFUSED,
                     "slot 0 is taken"),
                    ((*add, "--new-key-file", "short", *CHEAP, "image"), REFUSED, "at least 8"),
                    ((*add, "--new-key-file", "line", *CHEAP, "image"), REFUSED, "empty"),
                    ((*add, "--new-key-file", "empty", "image"), FAILED, "0 bytes"),
                    ((*add, "--new-key-file", "large", "image"), FAILED, "65537 bytes"),
                    ((*add, "--new-key-file", "absent", "image"), NOT_FOUND, "absent"),
                    ((*add, "--type", "key-file", "--kdf", "hkdf", "--new-key-file", "first",
                      "image"), REFUSED, "at least 32"),
                    (("key", "add", "--key-file", "-", "--new-key-file", "-", "image"), USAGE,
                     "only one secret"),
                    (("key", "test", "--key-file", "second", "image"), WRONG_KEY, "no key slot"),
                    (("key", "test", "--key-file", "first", "--slot", 3, "image"), NOT_FOUND,
                     "no key slot"),
                    (("key", "add", "--vmk-file", "binary", "--new-key-file", "second", "image"),
                     WRONG_KEY, "the key does not open it"),
                    (("key", "list", "vmk"), PROBLEMS, "not a JVCK volume")):
                vck(*arguments, code=code, says=says)


def damage(change):
    """Applies change(copy bytes) to every copy."""
    data = bytearray(Path("image").read_bytes())
    for area in oracle.areas(MIB, (512, 131072, 0, 2)):
        for parity in range(2):
            at = area + parity * oracle.COPY_BYTES
            data[at:at + oracle.COPY_BYTES] = change(data[at:at + oracle.COPY_BYTES], parity)
    Path("image").write_bytes(data)


@tap.test
def damaged_tables():
    """one whole copy is enough; with none it says so, and add --force begins anew"""
    with volume():
        data = bytearray(Path("image").read_bytes())
        for area in oracle.areas(MIB, (512, 131072, 0, 2)):
            data[area + 150] ^= 1
        Path("image").write_bytes(data)
        vck("key", "test", "--key-file", "first", "image")
        vck("key", "list", "image", says="some copies of the table are damaged")
        damage(lambda copy, _: copy[:150] + bytes([copy[150] ^ 9]) + copy[151:])
        with unchanged():
            for action in (("test", "--key-file", "first"), ("list",),
                           ("add", "--vmk-file", "vmk", "--new-key-file", "second")):
                vck("key", *action, "image", code=PROBLEMS, says="no replica has a whole table")
        vck("key", "add", "--vmk-file", "vmk", "--force", "--new-key-file", "second", *CHEAP,
            "image")
        assert opened_by(SECOND.encode(), 0)


@tap.test
def tampered_tables():
    """a table that somebody changed, and made the checksum right: refused, nothing written"""
    with volume():
        def tamper(copy, _parity):
            copy = bytearray(copy)
            size = struct.unpack_from("<I", copy, 32)[0]
            copy[96 + 32:96 + 40] = b"tampered"
            copy[36:40] = bytes(4)
            copy[36:40] = struct.pack("<I", oracle.zlib.crc32(copy[:size]))
            return copy
        damage(tamper)
        with unchanged():
            vck("key", "test", "--key-file", "first", "image", code=PROBLEMS, says="not authentic")
            vck("key", "add", "--vmk-file", "vmk", "--new-key-file", "second", "image",
                code=PROBLEMS, says="not authentic")
            vck("key", "list", "--vmk-file", "vmk", "image", code=PROBLEMS, says="not authentic")


@tap.test
def tables_from_the_future():
    """a table of a later version is left alone"""
    with volume():
        volume_id = tables()[1]
        damage(lambda copy, parity: oracle.make_table(
            volume_id, VMK, 8 + parity, [], version=2).ljust(oracle.COPY_BYTES, b"\0"))
        with unchanged():
            for action in (("test", "--key-file", "first"), ("list",),
                           ("add", "--vmk-file", "vmk", "--force", "--new-key-file", "second")):
                vck("key", *action, "image", code=FAILED, says="version that is not known")


@tap.test
def greedy_slots():
    """a slot that asks for more than the format allows is refused, not computed"""
    with volume():
        volume_id = tables()[1]
        record = bytearray(oracle.make_slot(
            volume_id, 0, oracle.PASSPHRASE, FIRST.encode(), VMK, oracle.ARGON2ID, 1, 64, 1,
            bytes(16), bytes(32), bytes(12), 0, "greedy"))
        struct.pack_into("<I", record, 104, 4 * MIB + 1)
        damage(lambda copy, parity: oracle.make_table(
            volume_id, VMK, 8 + parity, [bytes(record)]).ljust(oracle.COPY_BYTES, b"\0"))
        vck("key", "test", "--key-file", "first", "image", code=FAILED, says="not known here")


@tap.test
def prepare_with_a_passphrase():
    """prepare --new-key-file: a random key in slot 0"""
    with volume():
        vck("prepare", "--force", "--metadata-size", "128K", "--new-key-file", "second", *CHEAP,
            "image")
        found, volume_id = tables()
        vmk = found[0].slots[0].open(volume_id, SECOND.encode())
        assert len(vmk) == 32 and found[0].is_authentic(vmk)
        assert jvck_oracle.decode_block(Path("image").read_bytes()[-512:], vmk)
        with unchanged():
            vck("prepare", "--force", "--vmk-file", "vmk", "--kdf", "pbkdf2", "image", code=USAGE,
                says="--kdf is for a passphrase")
            vck("prepare", "--force", "image", code=USAGE, says="no terminal")


# ---- all slots at once ----

def fvek():
    """Under whichever VMK the newest slot 0 gives to the first passphrase."""
    found, volume_id = tables()
    vmk = found[0].slots[0].open(volume_id, FIRST.encode())
    block = jvck_oracle.decode_block(Path("image").read_bytes()[-512:], vmk)
    return vmk, block.key1 + block.key2


@tap.test
def rotate():
    """rotate: another VMK everywhere, nothing of the old one left, the FVEK the same"""
    with volume():
        old_record = tables()[0][0].slots[0].record
        before = fvek()
        vck("key", "rotate", "--key-file", "first", "image", says="new volume master key")
        vmk, after = fvek()
        assert before[0] == VMK != vmk and after == before[1]
        assert opened_by(FIRST.encode(), 0, vmk)
        assert old_record[160:208] not in Path("image").read_bytes()
        vck("info", "--vmk-file", "vmk", "image", code=WRONG_KEY)
        vck("check", "--vmk-file", "vmk", "image", code=WRONG_KEY)


@tap.test
def rotate_with_other_slots():
    """rotate: slots whose secret is not at hand stop it, or go with --force"""
    with volume():
        vck("key", "add", "--key-file", "first", "--new-key-file", "second", *CHEAP, "image")
        with unchanged():
            vck("key", "rotate", "--key-file", "first", "image", code=REFUSED, says="slot 1")
            vck("key", "rotate", "--key-file", "first", "--new-vmk", "new", "image", code=REFUSED)
            assert not os.path.exists("new")
            vck("key", "rotate", "--vmk-file", "vmk", "--force", "image", code=USAGE,
                says="no slot would hold")
        terminal = Terminal("key", "rotate", "--key-file", "first", "image")
        terminal.expect("Passphrase of slot 1: ")
        terminal.type("something else")
        terminal.expect("slot 1 does not open")
        terminal.expect("Passphrase of slot 1: ")
        terminal.type(SECOND)
        code, rest = terminal.end()
        assert code == OK, rest
        vck("key", "test", "--key-file", "second", "image", says="slot 1")
        vck("key", "rotate", "--key-file", "second", "--force", "--new-vmk", "new", "image",
            says="slot 0 is removed")
        vck("key", "test", "--key-file", "first", "image", code=WRONG_KEY)
        vck("key", "test", "--key-file", "second", "image", says="slot 1")
        assert json.loads(vck("info", "--json", "--vmk-file", "new", "image"))["status"] == "OK"


@tap.test
def rotate_without_slots():
    """rotate --new-vmk: a volume whose key is a file gets another"""
    with volume(slots=False):
        vck("key", "rotate", "--vmk-file", "vmk", "--new-vmk", "new", "image")
        assert json.loads(vck("info", "--json", "--vmk-file", "new", "image"))["status"] == "OK"
        vck("info", "--vmk-file", "vmk", "image", code=WRONG_KEY)
        with unchanged():
            vck("key", "rotate", "--vmk-file", "new", "--new-vmk", "vmk", "image", code=REFUSED,
                says="exists already")


@tap.test
def backup_and_restore():
    """backup: another implementation reads it; restore: erased slots come back"""
    with volume():
        vck("key", "backup", "--key-file", "first", "--new-key-file", "second", *CHEAP, "image",
            "saved")
        assert os.stat("saved").st_mode & 0o777 == 0o600
        backup = oracle.Backup(Path("saved").read_bytes(), SECOND.encode())
        image = Path("image").read_bytes()
        assert backup.vmk == VMK and backup.disk_size == MIB
        assert backup.volume_id == image[-512:][32:48]
        assert jvck_oracle.decode_block(backup.block, VMK)
        assert backup.table[96:] == tables()[0][0].bytes[96:]
        vck("key", "erase", "--force", "image")
        vck("key", "restore", "--key-file", "second", "image", "saved", says="1 key slot again")
        assert opened_by(FIRST.encode(), 0)
        with unchanged():
            vck("key", "backup", "--key-file", "first", "--new-key-file", "second", *CHEAP,
                "image", "saved", code=REFUSED, says="cannot create saved")
            vck("key", "backup", "--key-file", "first", "--new-key-file", "second", "image",
                code=USAGE, says="needs a FILE")
            vck("key", "test", "--key-file", "first", "image", "saved", code=USAGE,
                says="takes no FILE")


@tap.test
def restore_of_another_implementation():
    """restore: a backup that another implementation wrote"""
    with volume():
        found, volume_id = tables()
        key = os.urandom(32)
        slot = oracle.make_slot(volume_id, 0, oracle.FILE, b"a key file", key, oracle.PBKDF2, 9, 0, 0,
                                os.urandom(16), os.urandom(32), os.urandom(12), 0, "")
        block = Path("image").read_bytes()[-512:]
        private("saved", oracle.make_backup(volume_id, slot, key, os.urandom(12), 5, MIB, block, VMK,
                                            found[0].bytes))
        vck("key", "erase", "--force", "image")
        vck("key", "restore", "--key-file", "-", "image", "saved", stdin=b"a key file")
        assert opened_by(FIRST.encode(), 0)


@tap.test
def restore_refuses():
    """restore: another volume's, a changed or a wrong file, a rotated volume: nothing written"""
    with volume():
        vck("key", "backup", "--key-file", "first", "--new-key-file", "second", *CHEAP, "image",
            "saved")
        Path("kept").write_bytes(Path("image").read_bytes())
        changed = bytearray(Path("saved").read_bytes())
        changed[-20] ^= 1
        private("changed", bytes(changed))
        private("cut", bytes(changed[:300]))
        restore = ("key", "restore", "--key-file", "second", "image")
        with unchanged():
            vck(*restore, "changed", code=WRONG_KEY, says="was changed")
            vck(*restore, "cut", code=PROBLEMS, says="part of it is missing")
            vck(*restore, "first", code=PROBLEMS, says="not a backup")
            vck("key", "restore", "--key-file", "first", "image", "saved", code=WRONG_KEY)
        vck("key", "rotate", "--key-file", "first", "image")
        with unchanged():
            vck(*restore, "saved", code=REFUSED, says="another volume master key since")
        vck(*restore, "--force", "saved")
        assert opened_by(FIRST.encode(), 0)
        data = bytearray(Path("image").read_bytes())
        data[MIB - 262144:] = bytes(262144)
        Path("image").write_bytes(data)
        with unchanged():
            vck(*restore, "saved", code=REFUSED, says="metadata is lost")
        vck(*restore, "--force", "saved")
        assert opened_by(FIRST.encode(), 0)
        vck("prepare", "--force", "--vmk-file", "vmk", "--metadata-size", "128K", "image")
        with unchanged():
            vck(*restore, "saved", code=REFUSED, says="of another volume")
            vck(*restore, "--force", "saved", code=REFUSED, says="of another volume")


# ---- the terminal ----

class Terminal:
    """vck on a terminal of its own."""

    def __init__(self, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(VCK, [VCK, *arguments])
        self.text = ""

    def expect(self, words):
        end = time.monotonic() + 60
        while not re.search(words, self.text):
            assert time.monotonic() < end, f"no {words!r} in {self.text!r}"
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.text += os.read(self.fd, 4096).decode()
                except OSError:
                    assert re.search(words, self.text), f"no {words!r} in {self.text!r}"
        self.text = self.text[re.search(words, self.text).end():]

    def type(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def end(self):
        rest = self.text
        with contextlib.suppress(OSError):
            while data := os.read(self.fd, 4096):
                rest += data.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), rest


@tap.test
def asks_without_echo():
    """add on a terminal: asks, twice for what is new, shows no secret and an estimate"""
    with volume():
        terminal = Terminal("key", "add", *CHEAP, "image")
        terminal.expect("Passphrase or recovery key: ")
        terminal.type("not the passphrase")
        terminal.expect("no key slot opens with this")
        terminal.expect("Passphrase or recovery key: ")
        terminal.type(FIRST)
        terminal.expect("New passphrase: ")
        terminal.type(SECOND)
        terminal.expect("about [0-9]+ bits, ")
        terminal.expect("The same again: ")
        terminal.type(SECOND)
        code, rest = terminal.end()
        assert code == OK and "key slot 1 is made" in rest, rest
        assert FIRST not in rest and SECOND not in rest and "not the" not in rest
        assert opened_by(SECOND.encode(), 1)


@tap.test
def look_by_slot():
    """info, check, map: what opens a slot shows what the VMK shows; without a key as before"""
    with volume():
        told = vck("key", "add", "--key-file", "first", "--type", "recovery", "image")
        recovery = re.search(r"^(?:\d{6}-){7}\d{6}$", told, re.MULTILINE)[0].encode()
        vck("key", "add", "--key-file", "first", "--type", "key-file", "--new-key-file", "binary",
            "--kdf", "hkdf", "image")
        with unchanged():
            for verb, says in ((("info",), "valid:      generation"), (("check",), "agree"),
                               (("map",), "plaintext")):
                by_vmk = vck(*verb, "--vmk-file", "vmk", "image", says=says)
                for how, stdin in ((("--key-file", "first"), None), (("--key-file", "binary"), None),
                                   (("--key-file", "-"), recovery),
                                   (("--key-file", "first", "--slot", 0), None)):
                    assert vck(*verb, *how, "image", stdin=stdin) == by_vmk
                for how, code, says in (
                        (("--key-file", "second"), WRONG_KEY, "no key slot opens"),
                        (("--key-file", "first", "--slot", 1), NOT_FOUND, "no key slot"),
                        (("--key-file", "first", "--vmk-file", "vmk"), USAGE, "exclude each other"),
                        (("--vmk-file", "vmk", "--slot", 1), USAGE, "exclude each other"),
                        (("--unlock", "--key-file", "first"), USAGE, "--unlock asks"),
                        (("--unlock",), USAGE, "no terminal"), (("--slot", 0), USAGE, "no terminal")):
                    vck(*verb, *how, "image", code=code, says=says)
            assert "valid:" not in vck("info", "image")
            vck("check", "image", says="without the key")
            terminal = Terminal("check", "--unlock", "image")
            terminal.expect("Passphrase or recovery key: ")
            terminal.type(FIRST)
            code, rest = terminal.end()
            assert code == OK and "agree" in rest and "without" not in rest and FIRST not in rest


@tap.test
def repair_by_slot():
    """check --repair: a slot opens what is to be repaired, also with a secret from standard input"""
    with volume():
        data = bytearray(Path("image").read_bytes())
        data[-512 - 131072:-131072] = bytes(512)
        Path("image").write_bytes(data)
        vck("check", "--key-file", "first", "image", code=PROBLEMS, says="cannot be used")
        with unchanged():
            vck("check", "--repair", "image", code=USAGE, says="needs --vmk-file, --key-file")
            vck("check", "--repair", "--key-file", "second", "image", code=WRONG_KEY)
        vck("check", "--repair", "--key-file", "-", "image", stdin=FIRST.encode())
        vck("check", "--vmk-file", "vmk", "image", says="2 replicas agree")


@tap.test
def notices_slips():
    """add on a terminal: two entries that differ change nothing"""
    with volume():
        with unchanged():
            terminal = Terminal("key", "add", "--key-file", "first", *CHEAP, "image")
            terminal.expect("New passphrase: ")
            terminal.type("12345678")
            terminal.expect("weak")
            terminal.expect("The same again: ")
            terminal.type("12345679")
            code, rest = terminal.end()
            assert code == FAILED and "differ" in rest
            terminal = Terminal("key", "add", "--key-file", "first", *CHEAP, "image")
            terminal.expect("New passphrase: ")
            terminal.type("1234567")
            code, rest = terminal.end()
            assert code == REFUSED and "has 7 bytes and at least 8" in rest, rest
            assert "again" not in rest
            terminal = Terminal("key", "erase", "image")
            terminal.expect("Type erase to do it: ")
            terminal.type("yes")
            code, rest = terminal.end()
            assert code == REFUSED and "nothing was changed" in rest


tap.main()
