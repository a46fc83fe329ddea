#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Key slots by a TPM: made and opened by vck and, the other way round, by tpm2-tools and the second
implementation of the slots, on a TPM of swtpm."""
import contextlib
import hashlib
import json
import os
import pty
import re
import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import command_lab  # noqa: E402
from command_lab import (  # noqa: E402
    FAILED, NOT_FOUND, OK, REFUSED, USAGE, VCK, WRONG_KEY, private)
import key_oracle as oracle  # noqa: E402
import tap  # noqa: E402
import tpm_lab  # noqa: E402

MIB = 1 << 20
VMK = bytes(range(1, 33))
PIN = "a good PIN"
HEADER = (512, 131072, 0, 2)


def run(*arguments, **expected):
    return command_lab.vck(*arguments, secrets=(PIN.encode(), VMK), **expected)


class Lab:
    """A volume, a TPM, and vck on both."""

    def __init__(self, tpm):
        self.tpm = tpm

    def vck(self, *arguments, way=(), **expected):
        output = run(*arguments, "--tpm", self.tpm.way(*way), "image", **expected)
        assert self.tpm.loaded() == [], f"{arguments} leaves something in the TPM"
        return output

    def add(self, *arguments, **expected):
        return self.vck("key", "add", "--vmk-file", "vmk", "--type", "tpm", *arguments, **expected)

    def opens(self, *arguments, **expected):
        return self.vck("key", "test", *arguments, **expected)

    def pcrs(self, *numbers):
        """{number: value} as tpm2-tools read them."""
        text = self.tpm.tool("pcrread", "sha256:" + ",".join(map(str, numbers)))
        return {int(n): bytes.fromhex(v)
                for n, v in re.findall(r"(\d+) *: 0x([0-9A-F]{64})", text)}

    def extend(self, pcr, data=b"x"):
        self.tpm.tool("pcrextend", f"{pcr}:sha256={hashlib.sha256(data).hexdigest()}")


@contextlib.contextmanager
def lab():
    with open("image", "wb") as file:
        file.truncate(MIB)
    private("vmk", VMK)
    private("pin", PIN.encode() + b"\n")
    private("wrong", b"another PIN")
    run("prepare", "--vmk-file", "vmk", "--metadata-size", "128K", "image")
    with tpm_lab.Tpm("tpm") as tpm:
        yield Lab(tpm)


def table():
    image = Path("image").read_bytes()
    volume_id = image[-480:-464]
    found = oracle.read_tables(image, volume_id, HEADER)
    assert found and found[0].is_authentic(VMK)
    return found[0], volume_id


# ---- tpm2-tools as the other side ----

def unseal_by_tools(tpm, sealed, auth=None, fails=False):
    """What the object of a slot gives tpm2-tools."""
    (tpm.directory / "object.pub").write_bytes(tpm_lab.sized(sealed.public))
    (tpm.directory / "object.priv").write_bytes(tpm_lab.sized(sealed.private))
    tpm.tool("load", "-C", "primary.ctx", "-u", "object.pub", "-r", "object.priv", "-c",
             "object.ctx")
    tpm.flush()
    tpm.tool("startauthsession", "--policy-session", "-S", "session.ctx")
    tpm.tool("policypcr", "-S", "session.ctx", "-l",
             "sha256:" + ",".join(str(n) for n in sorted(sealed.values)))
    password = "session:session.ctx"
    if auth is not None:
        tpm.tool("policyauthvalue", "-S", "session.ctx")
        password += "+hex:" + auth.hex()
    (tpm.directory / "secret").unlink(missing_ok=True)
    tpm.tool("unseal", "-c", "object.ctx", "-p", password, "-o", "secret", fails=fails)
    tpm.flush()
    return None if fails else (tpm.directory / "secret").read_bytes()


@tap.test
def opened_by_others():
    """add: tpm2-tools unseal what vck sealed, and the second implementation opens the slot"""
    with lab() as here:
        here.extend(7)
        here.add("--pcrs", "7,12", "--label", "here")
        slots, volume_id = table()
        slot = slots.slots[0]
        sealed = oracle.Sealed(slot.payload)
        assert (slot.type, slot.label, sealed.has_pin()) == (oracle.TPM, "here", False)
        assert sealed.values == here.pcrs(7, 12)
        public = here.tpm.make_primary()
        assert sealed.primary_digest == hashlib.sha256(public).digest()
        assert sealed.public[8:10] == b"\0\x20" and sealed.public[10:42] == sealed.policy()
        secret = unseal_by_tools(here.tpm, sealed)
        assert len(secret) == 32 and slot.open(volume_id, secret) == VMK
        assert slot.open(volume_id, bytes(32)) is None
        here.opens(says=r"slot 0 \(tpm\) opens")
        here.extend(12)
        unseal_by_tools(here.tpm, sealed, fails=True)


@tap.test
def opened_by_others_with_a_pin():
    """add --pin: the same, and nothing without the PIN"""
    with lab() as here:
        here.add("--pcrs", "0,23", "--pin", "--new-key-file", "pin")
        slots, volume_id = table()
        sealed = oracle.Sealed(slots.slots[0].payload)
        assert sealed.has_pin() and sealed.public[10:42] == sealed.policy()
        here.tpm.make_primary()
        unseal_by_tools(here.tpm, sealed, tpm_lab.pin_auth("another PIN"), fails=True)
        secret = unseal_by_tools(here.tpm, sealed, tpm_lab.pin_auth(PIN))
        assert slots.slots[0].open(volume_id, secret) == VMK


def put_slots(*records):
    image = bytearray(Path("image").read_bytes())
    volume_id = bytes(image[-480:-464])
    data = oracle.make_table(volume_id, VMK, 1, records)
    for area in oracle.areas(len(image), HEADER):
        image[area + oracle.COPY_BYTES:area + oracle.COPY_BYTES + len(data)] = data
    Path("image").write_bytes(image)


def make_slot(number, secret, payload):
    volume_id = Path("image").read_bytes()[-480:-464]
    return oracle.make_slot(volume_id, number, oracle.TPM, secret, VMK, oracle.HKDF_KIND, 0, 0, 0,
                            os.urandom(16), os.urandom(32), os.urandom(12), 0, "", payload)


@tap.test
def made_by_others():
    """test: slots whose objects tpm2-tools sealed, with and without a PIN, over many PCRs"""
    with lab() as here:
        every = list(range(24))
        for pcr in (0, 5, 12, 23):
            here.extend(pcr, bytes([pcr]))
        secrets = [os.urandom(32) for _ in range(3)]
        put_slots(make_slot(2, secrets[0], here.tpm.seal(secrets[0], here.pcrs(7))),
                  make_slot(3, secrets[1], here.tpm.seal(secrets[1], here.pcrs(*every))),
                  make_slot(9, secrets[2], here.tpm.seal(secrets[2], here.pcrs(0, 12), PIN)))
        here.opens(says=r"slot 2 \(tpm\) opens")
        here.opens("--slot", "3", says=r"slot 3 \(tpm\) opens")
        here.opens("--slot", "9", "--pin-file", "pin", says=r"slot 9 \(tpm\) opens")
        here.opens("--slot", "9", "--pin-file", "wrong", code=WRONG_KEY, says="PIN is wrong")
        here.extend(5)
        here.opens("--slot", "3", code=WRONG_KEY, says="PCR 5 has another value")


@tap.test
def pcrs_that_differ():
    """test: says which PCRs have other values, and asks for no PIN then"""
    with lab() as here:
        here.add("--pcrs", "1,7,12", "--pin", "--new-key-file", "pin")
        here.opens("--pin-file", "pin", says="slot 0")
        here.extend(1)
        here.extend(12)
        here.opens("--pin-file", "absent", code=WRONG_KEY, says="key slot 0: PCR 1, 12 has another")
        here.tpm.stop()
        here.tpm.start()
        here.opens("--pin-file", "pin", says="slot 0")


def tries_left(tpm):
    text = tpm.tool("getcap", "properties-variable")
    value = lambda name: int(re.search(rf"TPM2_PT_{name}: 0x([0-9A-F]+)", text)[1], 16)
    return value("MAX_AUTH_FAIL") - value("LOCKOUT_COUNTER")


@tap.test
def wrong_pins():
    """test: each wrong PIN counts once, and then the TPM says that it is locked"""
    with lab() as here:
        here.add("--pin", "--new-key-file", "pin")
        here.tpm.tool("dictionarylockout", "-s", "-n", "3", "-t", "1000", "-l", "1000")
        assert tries_left(here.tpm) == 3
        here.opens("--pin-file", "wrong", code=WRONG_KEY, says="PIN is wrong")
        assert tries_left(here.tpm) == 2
        here.opens("--pin-file", "pin", says="slot 0")
        for left in (1, 0):
            here.opens("--pin-file", "wrong", code=WRONG_KEY, says="PIN is wrong")
            assert tries_left(here.tpm) == left
        here.opens("--pin-file", "pin", code=WRONG_KEY, says="locked after too many wrong PINs")
        here.tpm.tool("dictionarylockout", "-c")
        here.opens("--pin-file", "pin", says="slot 0")


@tap.test
def expected_values():
    """add: values that PCRs are going to have, from a file and from a vck.json"""
    with lab() as here:
        Path("vck.json").write_bytes(b'{"partition_guid": "..."}\n')
        measured = hashlib.sha256(Path("vck.json").read_bytes())
        value = hashlib.sha256(bytes(32) + hashlib.sha256(b"x").digest()).hexdigest()
        Path("values").write_text(f"sha256:\n  7 : 0x{value.upper()}\n# no more\n\n")
        here.add("--pcrs", "0,7,12", "--pcr-values", "values", "--boot-config", "vck.json")
        here.opens(code=WRONG_KEY, says="PCR 7, 12 has another value")
        here.extend(7)
        here.opens(code=WRONG_KEY, says="PCR 12 has another value")
        here.tpm.tool("pcrextend", f"12:sha256={measured.hexdigest()}")
        here.opens(says="slot 0")
        assert oracle.Sealed(table()[0].slots[0].payload).values == here.pcrs(0, 7, 12)
        printed = here.tpm.tool("pcrread", "sha256:0,7,12")
        Path("printed").write_text(printed)
        here.add("--pcrs", "0,7,12", "--pcr-values", "printed")
        here.opens("--slot", "1", says="slot 1")


@tap.test
def another_tpm():
    """test: a slot of another TPM, or of one that was cleared, is named as such"""
    with lab() as here, tpm_lab.Tpm("other") as other:
        here.add()
        there = Lab(other)
        there.opens(code=WRONG_KEY, says="key slot 0: another TPM sealed it")
        there.add()
        there.opens(says=r"slot 1 \(tpm\)")
        here.opens(says=r"slot 0 \(tpm\)")
        here.tpm.tool("clear")
        here.opens(code=WRONG_KEY, says="key slot 0: another TPM sealed it, or this one was cleared")


@tap.test
def no_tpm():
    """add, test: where there is no TPM"""
    with lab() as here:
        here.add()
        here.tpm.stop()
        # The way there is found and leads nowhere, or it is not even found.
        run("key", "test", "--tpm", here.tpm.tcti, "image", code=WRONG_KEY, says="TPM")
        run("key", "add", "--vmk-file", "vmk", "--type", "tpm", "--tpm", "nonsense:", "image",
            code=FAILED, says=r"the TPM nonsense: cannot be opened")
        if not os.path.exists("/dev/tpmrm0"):
            run("key", "test", "image", code=WRONG_KEY, says="no TPM 2.0 here")
            run("key", "add", "--vmk-file", "vmk", "--type", "tpm", "image", code=FAILED,
                says="no TPM 2.0 here")
        here.tpm.start()


@tap.test
def an_owner():
    """add, test: an authorization of the owner, without and with a storage key for everybody"""
    with lab() as here:
        here.add()
        here.tpm.tool("changeauth", "-c", "owner", "ownerauth")
        here.add(code=FAILED, says="owner has set an authorization")
        here.opens(code=WRONG_KEY, says="owner has set an authorization")
        here.tpm.tool("changeauth", "-c", "owner", "-p", "ownerauth")
        here.tpm.make_primary()
        here.tpm.tool("evictcontrol", "-C", "o", "-c", "primary.ctx", "0x81000001")
        here.tpm.flush()
        here.tpm.tool("changeauth", "-c", "owner", "ownerauth")
        here.opens(says="slot 0")
        here.add("--pin", "--new-key-file", "pin")
        here.opens("--slot", "1", "--pin-file", "pin", says="slot 1")


@tap.test
def overheard():
    """add, test: neither secret nor PIN can be read on the way to the TPM"""
    with lab() as here:
        way = (f"log={Path('log').absolute()}",)
        here.add("--pin", "--new-key-file", "pin", way=way)
        here.opens("--pin-file", "pin", way=way)
        here.opens("--pin-file", "wrong", way=way, code=WRONG_KEY)
        sealed = oracle.Sealed(table()[0].slots[0].payload)
        here.tpm.make_primary()
        secret = unseal_by_tools(here.tpm, sealed, tpm_lab.pin_auth(PIN))
        heard = Path("log").read_bytes()
        assert sealed.public in heard and sealed.private in heard
        for hidden in (secret, PIN.encode(), tpm_lab.pin_auth(PIN), tpm_lab.pin_auth("another PIN")):
            assert hidden not in heard and hidden[:8] not in heard


@tap.test
def changed_on_the_way():
    """add, test: a bit that changes in a response is noticed, and nothing is left in the TPM"""
    with lab() as here:
        here.add()
        before = Path("image").read_bytes()
        create_primary, create, load, unseal = 0x131, 0x153, 0x157, 0x15e
        start, pcr_read, policy_pcr = 0x176, 0x17e, 0x17f
        nonsense = "not a response of the TPM"
        for code, place, says in (
                (unseal, -1, nonsense), (unseal, -33, nonsense), (unseal, -60, nonsense),
                (unseal, 16, nonsense), (unseal, 30, nonsense), (unseal, 13, nonsense),
                (load, 17, nonsense), (start, 20, "refuses command 0x15e"), (start, 15, nonsense),
                (create_primary, 60, nonsense), (create_primary, 18, nonsense),
                (pcr_read, 40, "PCR 7 has another value"), (pcr_read, 17, nonsense),
                (policy_pcr, 1, nonsense)):
            here.opens(way=(f"flip={code:#x}:{place}",), code=WRONG_KEY, says=says)
        for place in (-1, 20, 200):
            here.add(way=(f"flip={create:#x}:{place}",), code=FAILED, says=nonsense)
        assert Path("image").read_bytes() == before
        here.opens(says="slot 0")


@tap.test
def listed():
    """list: what a slot is sealed to"""
    with lab() as here:
        here.add("--pcrs", "7,12", "--label", "boot")
        here.add("--pcrs", "4", "--pin", "--new-key-file", "pin")
        text = run("key", "list", "image")
        assert re.search(r"^   0  tpm +pcr 7, 12 +\S+ +boot$", text, re.MULTILINE), text
        assert re.search(r"^   1  tpm +pcr 4; pin ", text, re.MULTILINE), text
        slots = json.loads(run("key", "list", "--json", "image"))["slots"]
        assert [(s["type"], s["pcrs"], s["pin"]) for s in slots] == [
            ("tpm", [7, 12], False), ("tpm", [4], True)]


@tap.test
def opened():
    """open, info, check: by the TPM, without a question"""
    with lab() as here:
        here.add()
        command = ("open", "--dry-run", "--tpm", here.tpm.tcti, "image", "name")
        run(*command, says=r"^0 \d+ linear ")
        assert json.loads(here.vck("info", "--json"))["state"]["generation"] == 1
        here.vck("check", says="2 replicas agree")
        here.extend(7)
        run(*command, code=WRONG_KEY, says="PCR 7 has another value")
        assert here.tpm.loaded() == []


@tap.test
def changed():
    """change: sealed anew to the same PCRs as they are now, with another PIN"""
    with lab() as here:
        here.add("--pcrs", "3,12", "--pin", "--new-key-file", "pin")
        before = table()[0].slots[0]
        here.extend(3)
        private("next", b"the next PIN")
        here.vck("key", "change", "--vmk-file", "vmk", "--slot", "0", "--new-key-file", "next")
        after = table()[0].slots[0]
        assert before.uuid != after.uuid and before.payload != after.payload
        assert oracle.Sealed(after.payload).values == here.pcrs(3, 12)
        here.opens("--pin-file", "pin", code=WRONG_KEY, says="PIN is wrong")
        here.opens("--pin-file", "next", says="slot 0")


@tap.test
def rotated():
    """rotate: the slots of the TPM hold the new key, with and without --force"""
    with lab() as here:
        here.add()
        here.add("--pin", "--new-key-file", "pin", "--pcrs", "12")
        here.vck("key", "rotate", "--pin-file", "pin", says="new volume master key")
        run("key", "test", "--key-file", "vmk", "image", code=NOT_FOUND)
        here.opens(says="slot 0")
        here.opens("--slot", "1", "--pin-file", "pin", says="slot 1")
        here.extend(12)
        here.vck("key", "rotate", "--pin-file", "pin", code=REFUSED, says="slot 1 .tpm. cannot be")
        here.opens(says="slot 0")
        here.vck("key", "rotate", "--force", says="slot 1 is removed")
        here.opens(says="slot 0")


@tap.test
def refused():
    """add: what cannot be is refused, and nothing changes"""
    with lab() as here:
        before = Path("image").read_bytes()
        private("short", b"123")
        private("half", b"7: 00112233\n")
        private("twice", f"7: {'00' * 32}\n7: {'00' * 32}\n".encode())
        private("other", f"8: {'00' * 32}\n".encode())
        for arguments, code, says in (
                (("--pcrs", "24"), USAGE, "--pcrs is 24"), (("--pcrs", "7,7"), USAGE, "different"),
                (("--pcrs", ""), USAGE, "numbers from 0 to 23"), (("--pcrs", "7,"), USAGE, "--pcrs"),
                (("--pcr-values", "half"), FAILED, "half, line 1: a PCR, a colon"),
                (("--pcr-values", "twice"), FAILED, "twice, line 2: PCR 7 is there twice"),
                (("--pcr-values", "other"), USAGE, "not in --pcrs"),
                (("--boot-config", "vmk"), USAGE, "not in --pcrs"),
                (("--pcr-values", "absent"), NOT_FOUND, "cannot open absent"),
                (("--pin", "--new-key-file", "short"), REFUSED, "3 bytes and at least 4"),
                (("--kdf", "argon2id"), USAGE, "takes no --kdf")):
            here.add(*arguments, code=code, says=says)
        assert Path("image").read_bytes() == before


def typed(here, text, shown):
    """What the terminal shows, up to `shown`, when a PIN is typed; the exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(VCK, [VCK, "key", "test", "--tpm", here.tpm.tcti, "image"])
    seen = read_until(terminal, b"PIN of key slot 0: ")
    os.write(terminal, text.encode() + b"\n")
    seen += read_until(terminal, shown)
    if b"Passphrase" in shown:
        os.write(terminal, b"\n")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert text.encode() not in seen, seen
    return seen, os.waitstatus_to_exitcode(status)


@tap.test
def by_hand():
    """test: a PIN from the terminal, asked for once; then a passphrase"""
    with lab() as here:
        here.add("--pin", "--new-key-file", "pin")
        assert typed(here, PIN, b"slot 0 (tpm) opens")[1] == OK
        left = tries_left(here.tpm)
        seen, code = typed(here, "another PIN", b"Passphrase or recovery key: ")
        assert b"the PIN is wrong" in seen and code == FAILED
        assert tries_left(here.tpm) == left - 1


def read_until(terminal, text):
    seen = b""
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], 300)
        assert ready, seen
        try:
            data = os.read(terminal, 4096)
        except OSError:
            data = b""
        assert data, seen
        seen += data
    return seen


tap.main()
