# SPDX-License-Identifier: Apache-2.0
"""Disks with partitions, encrypted volumes on them, and machines that boot from them.

Volumes are made and read by tests/jvck_oracle.py and python3-cryptography alone, file systems by
dosfstools and mtools, machines are QEMU's with the firmware of OVMF, without acceleration.
"""
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import jvck_oracle  # noqa: E402
import key_oracle  # noqa: E402
import tpm_lab  # noqa: E402

MIB = 1 << 20
FIRMWARE = Path("/usr/share/OVMF")
# Keys that anybody has, which the variables below trust: what Secure Boot does can be tried.
SNAKEOIL = Path("/usr/share/ovmf")
ENV = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null"}
PARTITION = uuid.UUID("12345678-9abc-def0-1122-334455667788")
ESP = uuid.UUID("fedcba98-7654-3210-0123-456789abcdef")
ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
DATA_TYPE = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
FIRST = MIB  # where the one partition begins
METADATA = 128 * 1024
PATIENCE_S = 900  # a machine that others share with it may be slow


def run(*command):
    done = subprocess.run(command, check=False, env=ENV, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{command}: {done.stdout.decode(errors='replace')}"


def make_fat(path, size, sector_size, files):
    """A FAT file system of its own in a file, with these {name: bytes or Path}."""
    with open(path, "wb") as file:
        file.truncate(size)
    run("mkfs.vfat", "-S", str(sector_size), "-i", "12345678", str(path))
    copy_in(path, 0, files)


def copy_in(image, offset, files):
    for name, content in files.items():
        source = content
        if isinstance(content, bytes):
            source = Path(f"{image}.copy")
            source.write_bytes(content)
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            subprocess.run(["mmd", "-D", "s", "-i", f"{image}@@{offset}",
                            "::/" + "/".join(parts[:depth])], env=ENV, check=False,
                           stdin=subprocess.DEVNULL, capture_output=True)
        run("mcopy", "-o", "-i", f"{image}@@{offset}", str(source), f"::/{name}")


def partition_table(disk_size, sector_size, size, kind, identity):
    """{offset: bytes} of a GPT with one partition from FIRST on."""
    sectors = disk_size // sector_size
    entries = kind.bytes_le + identity.bytes_le + struct.pack(
        "<QQQ", FIRST // sector_size, (FIRST + size) // sector_size - 1, 0)
    entries = entries.ljust(128 * 128, b"\0")
    entry_sectors = len(entries) // sector_size

    def header(lba, other, entries_lba):
        fields = [b"EFI PART", 0x10000, 92, 0, 0, lba, other, 2 + entry_sectors,
                  sectors - 2 - entry_sectors, identity.bytes_le, entries_lba, 128, 128,
                  zlib.crc32(entries)]
        form = "<8sIIIIQQQQ16sQIII"
        fields[3] = zlib.crc32(struct.pack(form, *fields))
        return struct.pack(form, *fields)

    protective = bytes(446) + struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1,
                                          sectors - 1) + bytes(48) + b"\x55\xaa"
    last = sectors - 1
    return {0: protective, sector_size: header(1, last, 2), 2 * sector_size: entries,
            (last - entry_sectors) * sector_size: entries,
            last * sector_size: header(last, 1, last - entry_sectors)}


def make_disk(path, sector_size, content, kind=DATA_TYPE, identity=PARTITION):
    """A disk whose one partition has this content."""
    disk_size = FIRST + len(content) + MIB
    with open(path, "wb") as file:
        file.truncate(disk_size)
        for offset, data in partition_table(disk_size, sector_size, len(content), kind,
                                            identity).items():
            file.seek(offset)
            file.write(data)
        file.seek(FIRST)
        file.write(content)


def sign(directory, source, target):
    """Signs a program with the key that machines with Secure Boot trust here."""
    key = Path(directory) / "snakeoil.key"
    if not key.exists():
        run("openssl", "rsa", "-in", str(SNAKEOIL / "PkKek-1-snakeoil.key"), "-passin",
            "pass:snakeoil", "-out", str(key))
    run("sbsign", "--key", str(key), "--cert", str(SNAKEOIL / "PkKek-1-snakeoil.pem"), "--output",
        str(target), str(source))
    return Path(target)


class Volume:
    """A volume with two footers: its plaintext, and how much of it is encrypted."""

    def __init__(self, plain, sector_size, vmk):
        self.plain = plain
        self.sector_size = sector_size
        self.vmk = vmk
        self.key1 = hashlib.sha256(b"key 1").digest()
        self.key2 = hashlib.sha256(b"key 2").digest()
        self.volume_id = bytes(range(16))
        self.sectors = len(plain) // sector_size
        self.size = len(plain) + 2 * METADATA

    def cipher(self, sector):
        return Cipher(algorithms.AES(self.key1 + self.key2),
                      modes.XTS(sector.to_bytes(16, "little")))

    def encrypt(self, sector, data):
        cipher = self.cipher(sector).encryptor()
        return cipher.update(data) + cipher.finalize()

    def decrypt(self, sector, data):
        cipher = self.cipher(sector).decryptor()
        return cipher.update(data) + cipher.finalize()

    def at(self, sector):
        return self.plain[sector * self.sector_size:(sector + 1) * self.sector_size]

    def encrypted(self, first, end):
        return b"".join(self.encrypt(s, self.at(s)) for s in range(first, end))

    def block(self, offset, intent, generation):
        return jvck_oracle.Block(
            vendor_id=0, vendor_version=0, metadata_size=METADATA, sector_size=self.sector_size,
            headers=0, footers=2, volume_id=self.volume_id, salt=os.urandom(16),
            reserved=bytes(192), offset=offset, direction=0, intent=intent, generation=generation,
            has_digest=True, key1=self.key1, key2=self.key2)

    def block_places(self):
        """Where in the partition each replica's block is."""
        return [len(self.plain) + (i + 1) * METADATA - self.sector_size for i in range(2)]

    def image(self, offset=None, intent=0, generation=5, ciphertext=None):
        """The partition with the first `offset` sectors encrypted (None: all)."""
        offset = self.sectors if offset is None else offset
        data = bytearray(ciphertext or self.encrypted(0, offset))
        data = data[:offset * self.sector_size] + self.plain[offset * self.sector_size:]
        data += bytes(2 * METADATA)
        for place in self.block_places():
            block = self.block(offset, intent, generation).encode(self.vmk)
            data[place:place + len(block)] = block
        return data

    def cut_batch(self, image, first, count):
        """Leaves a batch behind that was being encrypted from the boundary on: its record is open,
        every third sector is new."""
        place = slice(first * self.sector_size, (first + count) * self.sector_size)
        new = self.encrypted(first, first + count)
        journal = jvck_oracle.Journal(self.volume_id, self.key1, self.key2)
        record = journal.record(self.sector_size, (0, 9, 5, first, count, 512), self.plain[place],
                                new)
        for i in range(0, count, 3):
            part = slice(i * self.sector_size, (i + 1) * self.sector_size)
            image[place.start + part.start:place.start + part.stop] = new[part]
        half = jvck_oracle.layout(self.size, self.sector_size, METADATA, 0, 2)[4]
        for replica in range(2):
            at = len(self.plain) + replica * METADATA + jvck_oracle.KEY_SLOTS + half
            image[at:at + len(record)] = record

    def add_slots(self, image, *slots):
        """Key slots, each (type, secret, KDF, passes, memory in KiB, lanes), or (TPM, secret,
        payload)."""
        slots = [(*slot[:2], key_oracle.HKDF_KIND, 0, 0, 0, slot[2]) if len(slot) == 3
                 else (*slot, b"") for slot in slots]
        records = [key_oracle.make_slot(self.volume_id, number, kind, secret, self.vmk, kdf, passes,
                                        memory, lanes, os.urandom(16), os.urandom(32),
                                        os.urandom(12), 0, "", payload)
                   for number, (kind, secret, kdf, passes, memory, lanes, payload) in enumerate(slots)]
        table = key_oracle.make_table(self.volume_id, self.vmk, 7, records)
        for replica in range(2):
            at = len(self.plain) + replica * METADATA + key_oracle.COPY_BYTES
            image[at:at + len(table)] = table

    def blocks(self, image):
        return [jvck_oracle.decode_block(bytes(image[p:p + 512]), self.vmk)
                for p in self.block_places()]

    def read(self, before, after, offset):
        """The plaintext of an image that was `before` once: what has not changed needs no
        decrypting."""
        size = self.sector_size
        plain = bytearray(self.plain)
        for sector in range(self.sectors):
            place = slice(sector * size, (sector + 1) * size)
            if after[place] != before[place]:
                data = bytes(after[place])
                plain[place] = self.decrypt(sector, data) if sector < offset else data
        return plain


BUSES = {
    "virtio": ["-device", "virtio-blk-pci,drive=d{sectors}"],
    "ahci": ["-device", "ide-hd,drive=d,bus=ide.1"],
    "nvme": ["-device", "nvme,serial=1,drive=d{sectors}"],
    # OVMF finds nothing on a USB disk with sectors of 4096 bytes.
    "usb": ["-device", "qemu-xhci", "-device", "usb-storage,drive=d"],
}


class Machine:
    """One run of QEMU in a directory with esp.img and, unless bus is None, data.img. Lines of the
    debug port are in `lines`. by_entry: the firmware keeps its variables from run to run, and starts
    what its boot entries say."""

    def __init__(self, directory, bus="virtio", sector_size=512, processor="max", more=(),
                 secure=False, tpm=False, by_entry=False):
        self.directory = Path(directory)
        self.tpm = None
        self.lines = []
        self.seen = 0
        sectors = ",logical_block_size=4096,physical_block_size=4096" if sector_size == 4096 else ""
        variables = self.directory / "vars.fd"
        code = FIRMWARE / ("OVMF_CODE_4M.secboot.fd" if secure else "OVMF_CODE_4M.fd")
        origin = FIRMWARE / ("OVMF_VARS_4M.snakeoil.fd" if secure else "OVMF_VARS_4M.fd")
        if not by_entry or not variables.exists():
            variables.write_bytes(origin.read_bytes())
        self.serial_path = str(self.directory / "serial")
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-machine",
            "q35,smm=on" if secure else "q35", "-cpu", processor, "-m", "512",
            "-nodefaults", "-display", "none", "-net", "none", "-no-reboot",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
            "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
            "-chardev", f"socket,id=s,path={self.serial_path},server=on,wait=off,"
                        f"logfile={self.directory / 'serial.log'}",
            "-serial", "chardev:s", "-debugcon", f"file:{self.directory / 'debug.log'}",
            "-global", "isa-debugcon.iobase=0xe9",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-qmp", f"unix:{self.directory / 'qmp'},server=on,wait=off",
            "-drive", f"if=none,id=e,format=raw,file={self.directory / 'esp.img'}",
            "-device", "virtio-blk-pci,drive=e" + ("" if by_entry else ",bootindex=0")]
        if secure:
            command += ["-global", "driver=cfi.pflash01,property=secure,value=on",
                        "-global", "ICH9-LPC.disable_s3=1"]
        if tpm:
            command += self.start_tpm()
        if bus is not None:
            command += ["-drive", f"if=none,id=d,format=raw,file={self.directory / 'data.img'}"]
            command += [part.format(sectors=sectors) for part in BUSES[bus]]
        self.process = subprocess.Popen([*command, *more], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.serial = None

    def start_tpm(self):
        """A TPM 2.0 of its own; the arguments that connect it. It ends with the machine."""
        state = self.directory / "tpm"
        state.mkdir(exist_ok=True)
        path = state / "socket"
        self.tpm = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl",
             f"type=unixio,path={path}", "-t"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tpm_lab.wait_for_socket(path, self.tpm)
        return ["-chardev", f"socket,id=t,path={path}", "-tpmdev", "emulator,id=t0,chardev=t",
                "-device", "tpm-tis,tpmdev=t0"]

    def drain(self):
        try:
            while self.serial.recv(65536):
                pass
        except OSError:
            pass

    def answer(self, question, text):
        """Types the text and Enter when the machine asks this."""
        self.wait_for(question)
        self.send(text + "\r")

    def send(self, text):
        if self.serial is None:
            self.serial = socket.socket(socket.AF_UNIX)
            self.serial.connect(self.serial_path)
            # What nobody reads would stop the machine's output; the log has it.
            threading.Thread(target=self.drain, daemon=True).start()
        self.serial.sendall(text.encode())

    def wait_serial(self, text, timeout=PATIENCE_S):
        """Until the console shows this."""
        end = time.monotonic() + timeout
        log = self.directory / "serial.log"
        while not log.exists() or text not in log.read_bytes():
            assert self.process.poll() is None, f"the machine ended: {self.said()}"
            assert time.monotonic() < end, f"the console never shows {text!r}: {self.said()}"
            time.sleep(0.05)

    def control(self, command, **arguments):
        """A command to the machine itself (QMP), which has answered on return."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.directory / "qmp"))
            with connection.makefile("rw") as stream:
                stream.readline()
                for request in ({"execute": "qmp_capabilities"},
                                {"execute": command, "arguments": arguments}):
                    stream.write(json.dumps(request))
                    stream.flush()
                    while "return" not in (answer := json.loads(stream.readline())):
                        assert "error" not in answer, answer

    def screenshot(self, path):
        """What is on the screen, as PNG; for machines with one."""
        self.control("screendump", filename=str(Path(path).absolute()), format="png")

    def dump_memory(self, path):
        self.control("pmemsave", val=0, size=512 * MIB, filename=str(Path(path).absolute()))

    def read_lines(self):
        try:
            text = (self.directory / "debug.log").read_text(errors="replace")
        except FileNotFoundError:
            return
        self.lines = text.split("\n")

    def wait_for(self, pattern, timeout=PATIENCE_S):
        """The next line that matches, after those that were waited for before."""
        end = time.monotonic() + timeout
        while True:
            ended = self.process.poll() is not None
            self.read_lines()
            for number in range(self.seen, len(self.lines)):
                if re.search(pattern, self.lines[number]):
                    self.seen = number + 1
                    return self.lines[number]
            assert not ended, f"the machine ended before it said {pattern!r}: {self.said()}"
            assert time.monotonic() < end, f"the machine never said {pattern!r}: {self.said()}"
            time.sleep(0.05)

    def wait_end(self, timeout=PATIENCE_S):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the machine does not end: {self.said()}") from None
        self.read_lines()
        return code

    def wait_end_of_loader(self, timeout=PATIENCE_S):
        """Until the firmware goes on by itself, with its next boot entry or its menu."""
        self.wait_for(r"^Back to the firmware\.", timeout)
        end = time.monotonic() + timeout
        log = self.directory / "serial.log"
        while b"BdsDxe" not in log.read_bytes().split(b"Back to the firmware")[-1]:
            assert self.process.poll() is None, f"the machine ended: {self.said()}"
            assert time.monotonic() < end, f"the firmware does not go on: {self.said()}"
            time.sleep(0.05)
        self.read_lines()
        left = [line for line in self.lines if line.endswith("allocations are left")]
        assert not left, left

    def said(self):
        self.read_lines()
        output = ""
        if self.process.poll() is not None:
            output = self.process.stdout.read().decode(errors="replace")
        log = self.directory / "serial.log"
        shown = log.read_bytes()[-3000:] if log.exists() else b""
        shown = re.sub(rb"\x1b\[[0-9;=]*[A-Za-z]|\r", b"", shown).decode(errors="replace")
        return "\n".join(self.lines[-60:]) + output + "\non the console:\n" + shown

    def value(self, name):
        """What the test program said behind name=, pieces together, when it ran last."""
        starts = [i for i, line in enumerate(self.lines) if line.startswith("Starting ")]
        found = [line[len(name) + 1:] for line in self.lines[starts[-1] if starts else 0:]
                 if line.startswith(f"{name}=")]
        assert found, f"nothing said about {name}: {self.said()}"
        return "".join(found)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.tpm is not None:
            self.tpm.kill()
            self.tpm.wait()
        if self.serial is not None:
            self.serial.close()
        self.process.stdout.close()
