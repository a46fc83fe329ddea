# SPDX-License-Identifier: Apache-2.0
"""The loader on whole machines: buses, sector sizes, states of the volume, and what goes wrong.

VCK_BOOT_ONLY=PATTERN runs the cases whose names it matches. What the prompt looks like is left for
people, as prompt.png beside the test program.
"""
import base64
import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import msgpack

sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine  # noqa: E402
import tpm_lab  # noqa: E402
from machine import FIRST, PARTITION, Machine, Volume, key_oracle  # noqa: E402

JOBS = 2
VMK = hashlib.sha256(b"master key").digest()
BIG = random.Random(20).randbytes(10 * machine.MIB)  # read twice in each mode
NEW = bytes((i * 7 + i // 251) & 255 for i in range(300001))
OTHER = 100  # is added to what the next stage writes where its options say S
INITRD = b"an initrd of 29 bytes, not 28"
PLAIN_BYTES = 20 * machine.MIB
ASK = r"^R: try again"
PROMPT = r"^Passphrase or recovery key"
PASSPHRASE = "correct horse, bättery & staple"
RECOVERY = bytes(range(16))
NOWHERE = "12345678-0000-0000-0000-000000000001"
EXIT_DONE = 0x21

SCREENSHOT = Path(os.environ["STAGE"]).parent / "prompt.png"

CASES = []


def case(name, **options):
    def add(function):
        CASES.append((name, function, options))
        return function
    return add


class Base:
    """What all cases share, made once for each sector size: plaintext, ciphertext, the ESP."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.lock = threading.Lock()
        self.volumes = {}
        esp = self.directory / "fat.img"
        machine.make_fat(esp, 8 * machine.MIB, 512,
                         {"EFI/BOOT/BOOTX64.EFI": Path(os.environ["VCKBOOT"])})
        machine.make_disk(self.directory / "esp.img", 512, esp.read_bytes(), machine.ESP_TYPE,
                          machine.ESP)
        self.stage = Path(os.environ["STAGE"])
        self.signed_stage = machine.sign(directory, self.stage, self.directory / "stage.signed")
        self.signed_loader = machine.sign(directory, os.environ["VCKBOOT"],
                                          self.directory / "vckboot.signed")

    def volume(self, sector_size):
        """(Volume, all of it encrypted)."""
        with self.lock:
            if sector_size not in self.volumes:
                path = self.directory / f"plain-{sector_size}.img"
                big = self.directory / "big.bin"
                big.write_bytes(BIG)
                machine.make_fat(path, PLAIN_BYTES, sector_size, {
                    "big.bin": big, "next/stage.efi": self.stage, "initrd.img": INITRD,
                    "next/signed.efi": self.signed_stage})
                volume = Volume(path.read_bytes(), sector_size, VMK)
                self.volumes[sector_size] = (volume, volume.encrypted(0, volume.sectors))
            return self.volumes[sector_size]


class Run:
    """A case on its machine."""

    def __init__(self, base, directory, bus="virtio", sector_size=512, processor="max", more=(),
                 disk_sector_size=None, secure=False, tpm=False):
        self.directory = Path(directory)
        self.bus = bus
        self.sector_size = sector_size
        self.disk_sector_size = disk_sector_size or sector_size
        self.processor = processor
        self.more = more
        self.secure = secure
        self.tpm = tpm
        self.base = base
        self.volume, self.ciphertext = base.volume(sector_size)
        self.machine = None
        self.before = None
        shutil.copy(base.directory / "esp.img", self.directory / "esp.img")

    def config(self, text=None, esp="esp.img", **changes):
        """Puts \\vck.json beside the loader; a change to None leaves a name out."""
        if text is None:
            values = {"partition_guid": str(PARTITION), "osloader": "\\next\\stage.efi",
                      "vmk": base64.b64encode(VMK).decode(), "initrd": "/initrd.img",
                      "timeout": 600, **changes}
            text = json.dumps({k: v for k, v in values.items() if v is not None}).encode()
        machine.copy_in(self.directory / esp, FIRST, {"vck.json": text})
        return text

    def next_esp(self):
        """One more, with the loader alone: what the firmware goes on with after the others."""
        number = len(self.more) // 4 + 1
        shutil.copy(self.base.directory / "esp.img", self.directory / f"esp{number}.img")
        self.more += ("-drive", f"if=none,id=e{number},format=raw,file="
                      f"{self.directory / f'esp{number}.img'}",
                      "-device", f"virtio-blk-pci,drive=e{number},bootindex={number}")
        return f"esp{number}.img"

    def image(self, **options):
        return self.volume.image(ciphertext=self.ciphertext, **options)

    def disk(self, image):
        self.before = bytes(image)
        machine.make_disk(self.directory / "data.img", self.disk_sector_size, self.before)

    def start(self):
        self.machine = Machine(self.directory, self.bus if self.before else None,
                               self.disk_sector_size, self.processor, self.more,
                               self.secure, self.tpm)
        return self.machine

    def after(self):
        with open(self.directory / "data.img", "rb") as file:
            file.seek(FIRST)
            return file.read(len(self.before))

    # ---- what the next stage found, and what is on the disk afterwards ----

    def finish(self):
        code = self.machine.wait_end()
        assert code == EXIT_DONE, f"code {code}: {self.machine.said()}"

    def check_handover(self):
        value = self.machine.value
        attributes, address = value("variable").split(" address=")
        assert attributes == "6", attributes
        assert f"table address={address}" in self.machine.lines, self.machine.said()
        payload = bytes.fromhex(value("payload"))
        assert msgpack.unpackb(payload) == {"partition_guid": PARTITION.bytes_le, "vmk": VMK}
        initrd = bytes.fromhex(value("initrd"))
        assert initrd[:len(INITRD)] == INITRD
        archive = initrd[(len(INITRD) + 3) // 4 * 4:]
        with tempfile.TemporaryDirectory(dir=self.directory) as unpacked:
            subprocess.run(["cpio", "-i", "--quiet"], input=archive, cwd=unpacked, check=True)
            assert Path(unpacked, ".vck/handover").read_bytes() == payload

    def check_found(self, place, block_bytes=None):
        value = self.machine.value
        block_bytes = block_bytes or self.sector_size
        blocks = PLAIN_BYTES // block_bytes
        digest = hashlib.sha256(BIG).hexdigest()
        assert value("place") == place
        assert value("read") == digest
        assert value("read_ex") in (digest, "none"), self.machine.said()
        assert value("block_io2") in ("equal", "none"), self.machine.said()
        if place == "overlay":
            assert value("read_ex") == digest and value("block_io2") == "equal", \
                self.machine.said()
        assert value("write") == "0"
        assert value("block_bytes") == f"{block_bytes} blocks={blocks}", self.machine.said()
        assert value("last_block") == "0 buffer=same", self.machine.said()
        assert value("last_block_back") == "0 equal", self.machine.said()
        for name in ("beyond_read", "beyond_write"):
            assert value(name) == "8000000000000002", self.machine.said()
        assert value("part_read") == "8000000000000004", self.machine.said()
        assert value("flush") == "0", self.machine.said()

    def check_disk(self, offset=None, block_bytes=None, before=None, recovered=False, seed=0):
        """Both replicas say the same, and the plaintext is what it was, the new file and the new
        last block aside."""
        volume = self.volume
        block_bytes = block_bytes or self.sector_size
        offset = volume.sectors if offset is None else offset
        after = self.after()
        blocks = volume.blocks(after)
        assert [b.offset for b in blocks] == [offset] * 2, blocks
        generations = {b.generation for b in blocks}
        assert generations == {5} if not recovered else len(generations) == 1 and min(
            generations) > 5, generations
        plain = volume.read(before or self.before, after, offset)
        last = bytes((i * 3 + 1 + seed) & 255 for i in range(block_bytes))
        new = bytes((byte + seed) & 255 for byte in NEW)
        assert plain[-block_bytes:] == last
        path = self.directory / "after.img"
        path.write_bytes(plain)
        for name, content in (("new.bin", new), ("big.bin", BIG)):
            machine.run("mcopy", "-o", "-i", str(path), f"::/{name}", str(self.directory / name))
            assert (self.directory / name).read_bytes() == content, name
        assert new[:512] not in after[:offset * volume.sector_size]


# ---- every way to a disk ----

def matrix(run, patch_block_bytes=None):
    """Overlay, whose next stage returns, and then, by the next boot entry, patch mode."""
    run.config(options="R")
    run.config(esp=run.next_esp(), mode="patch", options="S")
    run.disk(run.image())
    run.start().wait_for(r"^stage=done")
    run.machine.wait_for(ASK)
    run.check_found("overlay")
    run.check_handover()
    run.check_disk()
    run.machine.send("\r")
    run.finish()
    run.check_found("partition", patch_block_bytes)
    run.check_handover()
    run.check_disk(block_bytes=patch_block_bytes, seed=OTHER)


for the_bus, the_size in (("virtio", 512), ("virtio", 4096), ("ahci", 512), ("nvme", 512),
                          ("nvme", 4096), ("usb", 512)):
    CASES.append((f"{the_bus}, {the_size}-byte sectors, overlay and patch", matrix,
                  {"bus": the_bus, "sector_size": the_size}))


@case("4096-byte sectors on a disk of 512, overlay and patch", sector_size=4096,
      disk_sector_size=512)
def large_sectors(run):
    matrix(run, patch_block_bytes=512)


@case("a processor without AES instructions", processor="qemu64")
def old_processor(run):
    matrix(run)


# ---- every state of a volume ----

def half_way(run, mode):
    half = run.volume.sectors // 2 + 3
    run.config(mode=mode)
    run.disk(run.image(offset=half, intent=1))
    run.start().wait_for(rf"^Unlocked: {half} of {run.volume.sectors} sectors are encrypted")
    run.finish()
    run.check_found("partition" if mode == "patch" else "overlay")
    run.check_disk(offset=half)


@case("half way through its sweep, overlay", bus="nvme")
def half_way_overlay(run):
    half_way(run, "overlay")


@case("half way through its sweep, patch", sector_size=4096)
def half_way_patch(run):
    half_way(run, "patch")


def open_record(run):
    """A batch of 128 sectors was being written: some chunks are new, some are not."""
    volume = run.volume
    first, count = volume.sectors // 2, 128
    image = run.image(offset=first, intent=1)
    volume.cut_batch(image, first, count)
    run.config()
    run.disk(image)
    return first + count


@case("an open journal record")
def journal_record(run):
    offset = open_record(run)
    run.start().wait_for(rf"^Unlocked: {offset} of")
    run.finish()
    run.check_found("overlay")
    # What recovery has done shows in the difference to a volume that never was interrupted.
    run.check_disk(offset=offset, before=run.image(offset=offset), recovered=True)


@case("an open journal record, and no source of random numbers", processor="qemu64")
def no_randomness(run):
    offset = open_record(run)
    run.start().wait_for(r"needs random numbers")
    run.machine.wait_for(ASK)
    # The batch may have been carried out, but nothing says so yet: the next one to open the volume
    # finds the record as it was.
    after, before = run.after(), run.before
    first, end = (n * run.volume.sector_size for n in (run.volume.sectors // 2, offset))
    assert after[:first] == before[:first] and after[end:] == before[end:], "the disk has changed"
    for at in range(first, end, 512):
        assert after[at:at + 512] in (before[at:at + 512], run.ciphertext[at:at + 512]), at


@case("an open journal record, random numbers from a device", processor="qemu64",
      more=("-device", "virtio-rng-pci"))
def random_device(run):
    journal_record(run)


@case("a damaged first replica")
def first_replica(run):
    image = run.image()
    image[run.volume.block_places()[0] + 100] ^= 1
    run.config()
    run.disk(image)
    run.start()
    run.finish()
    run.check_found("overlay")
    run.check_disk()


@case("not encrypted yet: started as it is")
def not_encrypted(run):
    run.config(vmk=None)
    run.disk(run.volume.plain)
    run.start().wait_for(r"^The volume is not encrypted yet\.")
    run.finish()
    assert run.machine.value("place") == "partition"
    assert run.machine.value("variable") == "none"
    assert bytes.fromhex(run.machine.value("initrd")).rstrip(b"\0") == INITRD
    assert run.machine.value("read") == hashlib.sha256(BIG).hexdigest()


@case("prepared, nothing encrypted yet")
def prepared(run):
    run.config()
    run.disk(run.image(offset=0))
    run.start().wait_for(r"^Unlocked: 0 of")
    run.finish()
    run.check_found("overlay")


@case("the next stage returns: everything is undone", bus="nvme")
def stage_returns(run):
    run.config(options="R")
    run.disk(run.image())
    run.start().wait_for(r"^\\next\\stage.efi has ended: operation was cancelled|has ended: ")
    run.machine.wait_for(ASK)
    run.machine.send("r")
    run.machine.wait_for(r"^stage=done")
    run.machine.wait_for(ASK)
    run.check_found("overlay")
    run.machine.send("\r")
    run.machine.wait_end_of_loader()
    run.machine.close()
    run.check_disk()


@case("the next stage returns in patch mode", bus="nvme")
def patched_stage_returns(run):
    run.config(options="R", mode="patch")
    run.disk(run.image())
    run.start().wait_for(ASK)
    run.machine.send("r")
    run.machine.wait_for(r"^stage=done")
    run.machine.wait_for(ASK)
    run.check_found("partition")
    run.machine.close()
    run.check_disk()


# ---- what goes wrong: a line that says it, and a way on ----

def fails(run, *lines):
    """The machine says these, asks, and the disk is what it was."""
    run.start()
    for line in lines:
        run.machine.wait_for(line)
    run.machine.wait_for(ASK)
    run.machine.send("\r")
    run.machine.wait_end_of_loader()
    if run.before:
        assert run.after() == run.before, "the disk has changed"


@case("all replicas damaged")
def all_replicas(run):
    image = run.image()
    for place in run.volume.block_places():
        image[place + 100] ^= 1
    run.config()
    run.disk(image)
    fails(run, r"^The volume's metadata is damaged, in every copy \(.*vck check --repair")


# ---- unlocking by key slots ----

def add_slots(run, image):
    """A passphrase by Argon2id, another by PBKDF2, and a recovery key."""
    run.volume.add_slots(
        image, (key_oracle.PASSPHRASE, PASSPHRASE.encode(), key_oracle.ARGON2ID, 1, 8192, 4),
        (key_oracle.PASSPHRASE, b"the other one", key_oracle.PBKDF2, 2000, 0, 0),
        (key_oracle.RECOVERY, RECOVERY, key_oracle.HKDF_KIND, 0, 0, 0))


def locked(run, **changes):
    """A volume with all these."""
    image = run.image()
    add_slots(run, image)
    run.config(vmk=None, **changes)
    run.disk(image)
    run.start()


def unlocked(run):
    run.machine.wait_for(r"^Unlocked: ")
    run.finish()
    run.check_found("overlay")
    run.check_handover()
    run.check_disk()
    shown = (run.directory / "serial.log").read_bytes()
    assert b"***" in shown and b"horse" not in shown and b"the other" not in shown
    assert b"028028" not in shown


@case("a passphrase", more=("-vga", "std"))
def passphrase(run):
    locked(run)
    run.machine.answer(PROMPT, "correct horse")
    run.machine.wait_for(r"^That does not open the volume\.")
    run.machine.wait_for(PROMPT)
    run.machine.send(PASSPHRASE)
    run.machine.screenshot(SCREENSHOT)
    run.machine.send("\r")
    unlocked(run)


@case("a passphrase with mistakes taken back", processor="qemu64")
def edited_passphrase(run):
    locked(run)
    run.machine.answer(PROMPT, "nonsense\x15the otter\b\b\x7fher one")
    unlocked(run)


@case("a recovery key")
def recovery_key(run):
    locked(run)
    text = key_oracle.recovery_text(RECOVERY)
    wrong = text[:19] + str((int(text[19]) + 1) % 10) + text[20:]
    run.machine.answer(PROMPT, wrong)
    run.machine.wait_for(r"^Group 3 of the recovery key is mistyped\.")
    run.machine.answer(PROMPT, text[:-1])
    run.machine.wait_for(r"^A recovery key has 48 digits\.")
    run.machine.answer(PROMPT, text.replace("-", " "))
    unlocked(run)


# ---- what is refused, one after the other on the same machine ----

def asks(*lines):
    """The machine says these, and asks how to go on."""
    def attempt(run):
        for line in lines:
            run.machine.wait_for(line)
        run.machine.wait_for(ASK)
        run.machine.send("\r")
    return attempt


def says(line):
    """The machine says this, and goes on by itself."""
    return lambda run: run.machine.wait_for(line)


def wrong_key(run):
    for _ in range(2):
        run.machine.wait_for(r"^The key does not open the volume\.")
        run.machine.wait_for(ASK)
        run.machine.send("r")
    asks(r"^The key does not open the volume\.")(run)


def wrong_passphrase(run):
    for text in ("one", "", PASSPHRASE + "!"):
        run.machine.answer(PROMPT, text)
        run.machine.wait_for(r"^That does not open the volume\.")
    run.machine.wait_for(ASK)
    run.machine.send("r")
    escape(run)


def escape(run):
    run.machine.wait_for(PROMPT)
    run.machine.send("abc\x1b")


def no_tpm(run):
    run.machine.wait_for(r"^There is no TPM 2\.0 that this firmware knows\.")
    escape(run)


def one_by_one(run, *attempts):
    """A configuration (None: there is none) and what comes of it: each on an EFI system partition of
    its own, by the boot entry after the one before. The disk must not change."""
    image = run.image()
    add_slots(run, image)
    run.disk(image)
    for number, (changes, _) in enumerate(attempts):
        esp = run.next_esp() if number else "esp.img"
        if changes is not None:
            run.config(esp=esp, **changes)
    run.start()
    for number, (_, attempt) in enumerate(attempts, 1):
        attempt(run)
        if number < len(attempts):
            run.machine.wait_for(r"^Back to the firmware\.")
    run.machine.wait_end_of_loader()
    assert run.after() == run.before, "the disk has changed"


@case("what vck.json says, or what it names, is wrong")
def wrong_configurations(run):
    one_by_one(
        run, (None, asks(r"^There is no \\vck\.json beside the boot loader")),
        ({"text": b'{\n"partition_guid": \x00\x01\x02'},
         asks(r"^\\vck\.json, line 2: a string in quotes is expected\.")),
        ({"partition_guid": NOWHERE}, asks(rf"^No disk has the partition {NOWHERE}\.")),
        ({"osloader": "\\none.efi", "initrd": None},
         asks(r"^\\none\.efi cannot be loaded: there is no such file on the volume\.")),
        ({"initrd": "\\none.img"},
         asks(r"^The initrd \\none\.img cannot be offered: not found")),
        ({"osloader": "\\initrd.img", "unknown": 1},
         asks(r'^Warning: \\vck\.json: "unknown" means nothing to this version\.',
              r"^\\initrd\.img cannot be loaded: it is not a program for this firmware\.")),
        ({"timeout": 1, "osloader": "\\none.efi", "initrd": None},
         says(r"^Nobody answered; going on with the next boot entry\.")))


@case("a wrong key and wrong passphrases three times, Esc, silence, no TPM where one is wanted")
def wrong_answers(run):
    one_by_one(
        run, ({"vmk": base64.b64encode(bytes(32)).decode()}, wrong_key),
        ({"vmk": None}, wrong_passphrase), ({"vmk": None}, escape),
        ({"vmk": None, "timeout": 1},
         says(r"^Nobody answered; going on with the next boot entry\.")),
        ({"vmk": None, "tpm": {}}, no_tpm))


@case("no key slots")
def no_slots(run):
    run.config(vmk=None)
    run.disk(run.image())
    run.start().answer(PROMPT, PASSPHRASE)
    run.machine.wait_for(r"^The volume has no passphrase and no recovery key of that kind\.")
    run.machine.wait_for(ASK)
    assert run.after() == run.before, "the disk has changed"


@case("a disk and its copy")
def two_disks(run):
    run.config()
    run.disk(run.image())
    copy = run.directory / "copy.img"
    shutil.copy(run.directory / "data.img", copy)
    run.more = ("-drive", f"if=none,id=c,format=raw,file={copy}", "-device",
                "virtio-blk-pci,drive=c")
    fails(run, rf"^Two disks have the partition {PARTITION}: one is a copy of the other\.")


@case("into the firmware's setup")
def setup(run):
    run.config(partition_guid=NOWHERE)
    run.start().wait_for(ASK)
    run.machine.send("s")
    run.machine.wait_for(r"^Restarting into the firmware's setup\.")
    assert run.machine.wait_end() == 0  # -no-reboot ends it


@case("keys are wiped when boot services end")
def wiped(run):
    locked(run, options="X")
    run.machine.answer(PROMPT, PASSPHRASE)
    run.machine.wait_for("^stage=alone")
    run.check_handover()
    path = run.directory / "memory.bin"
    run.machine.dump_memory(path)
    memory = path.read_bytes()
    page = int(run.machine.value("variable").split(" address=")[1], 16)
    assert len(memory) == 512 * machine.MIB
    # The key is where the operating system looks for it, and nowhere else.
    found = [match.start() for match in re.finditer(re.escape(VMK), memory)]
    assert len(found) == 1 and page <= found[0] < page + 4096, [hex(at) for at in found]
    for name, secret in (("first", run.volume.key1), ("second", run.volume.key2)):
        at = memory.find(secret)
        assert at < 0, f"the {name} data key is at {at:#x}"
    # The firmware keeps what came over the serial line in queues of its own, as bytes and as
    # characters; nobody else does.
    for typed in (PASSPHRASE.encode(), PASSPHRASE.encode().decode("latin-1").encode("utf-16-le")):
        assert memory.count(typed) <= 1, "copies of the passphrase are left"


# ---- what others can check ----

@case("the configuration is measured", tpm=True)
def measured(run):
    text = run.config()
    run.disk(run.image())
    run.start()
    run.finish()
    run.check_found("overlay")
    event = hashlib.sha256(text).digest()
    assert run.machine.value("pcr") == hashlib.sha256(bytes(32) + event).hexdigest()


def sealed(run, pin=None, changed=False, **changes):
    """A volume with a passphrase and a slot of the machine's TPM, sealed by tpm2-tools to what the
    configuration makes of PCR 12."""
    secret = os.urandom(32)
    measured = hashlib.sha256(run.config(vmk=None, tpm={"slot": 1}, **changes)).digest()
    values = {12: hashlib.sha256(bytes(32) + measured).digest(), 14: bytes(32)}
    with tpm_lab.Tpm(run.directory / "tpm") as tpm:
        payload = tpm.seal(secret, values, pin)
    if changed:
        run.config(vmk=None, tpm={"slot": 1}, options="something else", **changes)
    image = run.image()
    run.volume.add_slots(image, (key_oracle.PASSPHRASE, PASSPHRASE.encode(), key_oracle.PBKDF2, 2000,
                                 0, 0), (key_oracle.TPM, secret, payload))
    run.disk(image)
    run.start()


@case("the TPM has the key", tpm=True)
def tpm_key(run):
    sealed(run)
    run.machine.wait_for(r"^Unlocked by the TPM\.")
    run.machine.wait_for(r"^Unlocked: ")
    run.finish()
    run.check_found("overlay")
    run.check_handover()
    run.check_disk()


@case("the TPM has the key, for another configuration", tpm=True)
def tpm_policy(run):
    sealed(run, changed=True)
    run.machine.wait_for(r"^Key slot 1: PCR 12 has another value than sealed to\.")
    run.machine.answer(PROMPT, PASSPHRASE)
    unlocked(run)


@case("the TPM has the key and asks for a PIN", tpm=True)
def tpm_pin(run):
    sealed(run, pin="ein gutes PIN: äöü")
    run.machine.answer(r"^PIN, Esc for", "a bad one")
    run.machine.wait_for(r"^Key slot 1: the PIN is wrong, and the TPM counts that\.")
    run.machine.answer(r"^PIN, Esc for", "ein gutes PIN: äöü")
    run.machine.wait_for(r"^Unlocked by the TPM\.")
    unlocked(run)
    assert b"gutes" not in (run.directory / "serial.log").read_bytes()


@case("Esc at the PIN: a passphrase", tpm=True)
def tpm_escape(run):
    sealed(run, pin="1234")
    run.machine.wait_for(r"^PIN, Esc for")
    run.machine.send("12\x1b")
    run.machine.answer(PROMPT, PASSPHRASE)
    run.machine.wait_for(r"^Unlocked: ")
    run.finish()


def sign_loader(run):
    machine.copy_in(run.directory / "esp.img", FIRST,
                    {"EFI/BOOT/BOOTX64.EFI": run.base.signed_loader})


@case("Secure Boot: loader and next program signed", secure=True)
def secure_boot(run):
    sign_loader(run)
    run.config(osloader="\\next\\signed.efi")
    run.disk(run.image())
    run.start()
    run.finish()
    run.check_found("overlay")
    run.check_handover()
    run.check_disk()


@case("Secure Boot: next program not signed", secure=True)
def secure_boot_stage(run):
    sign_loader(run)
    run.config()
    run.disk(run.image())
    fails(run, r"^\\next\\stage\.efi cannot be loaded: Secure Boot does not trust it\.")


@case("Secure Boot: loader not signed", secure=True)
def secure_boot_loader(run):
    run.config()
    run.disk(run.image())
    run.start().wait_serial(b"Access Denied")
    assert "vckboot" not in run.machine.said()


# ---- the run ----

def run_case(base, function, options):
    directory = tempfile.mkdtemp(prefix="vck-boot-", dir=base.directory)
    current = Run(base, directory, **options)
    try:
        function(current)
        return None
    except Exception:  # pylint: disable=broad-except
        said = f"\n{current.machine.said()}" if current.machine else ""
        return traceback.format_exc() + said
    finally:
        if current.machine is not None:
            current.machine.close()
        shutil.rmtree(directory)


def chosen():
    only = os.environ.get("VCK_BOOT_ONLY", "")
    return [entry for entry in CASES if re.search(only, entry[0])]


def main():
    cases = chosen()
    failed = 0
    print(f"1..{len(cases)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vck-boot-") as directory:
        base = Base(directory)
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            runs = {pool.submit(run_case, base, function, options): name
                    for name, function, options in cases}
            for number, future in enumerate(concurrent.futures.as_completed(runs), 1):
                name = runs[future]
                problem = future.result()
                failed += problem is not None
                print(f"{'not ' if problem else ''}ok {number} - {name}")
                if problem:
                    print("".join(f"# {line}\n" for line in problem.splitlines()), end="")
                sys.stdout.flush()
    sys.exit(1 if failed else 0)


main()
