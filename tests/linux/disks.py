# SPDX-License-Identifier: Apache-2.0
"""Disks for machines: volumes written by tests/jvck_oracle.py and python3-cryptography, and
partition tables around them."""
import random
import struct
import sys
import uuid
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import jvck_oracle as oracle  # noqa: E402

MIB = 1 << 20
METADATA = 256 * 1024
VMK = b"the volume master key of the tests"
KEY1, KEY2 = bytes(range(32)), bytes(range(100, 132))


def crypt(data, sector_size, first, is_encrypting):
    out = b""
    for i in range(0, len(data), sector_size):
        tweak = (first + i // sector_size).to_bytes(16, "little")
        cipher = Cipher(algorithms.AES(KEY1 + KEY2), modes.XTS(tweak))
        step = cipher.encryptor() if is_encrypting else cipher.decryptor()
        out += step.update(data[i:i + sector_size])
    return out


class Volume:
    """An image whose first `encrypted` sectors of `data` are ciphertext."""

    def __init__(self, path, sector_size, share, damage=(), record=False):
        self.path, self.sector_size = path, sector_size
        size = 3 * METADATA + MIB
        (self.start, self.sectors, *blocks, self.half, self.journal, self.list,
         journal2, list2) = oracle.layout(size, sector_size, METADATA, 1, 2)
        self.data = random.Random(path).randbytes(self.sectors * sector_size)
        self.encrypted = int(self.sectors * share)
        block = oracle.Block(0, 0, METADATA, sector_size, 1, 2, uuid.uuid4().bytes, bytes(16),
                             bytes(192), self.encrypted, 0, 2, 7, True, KEY1, KEY2)
        boundary = self.encrypted * sector_size
        image = bytearray(size)
        begin = self.start * sector_size
        image[begin:begin + len(self.data)] = (
            crypt(self.data[:boundary], sector_size, 0, True) + self.data[boundary:])
        for number, lba in enumerate(blocks):
            block.salt = bytes([number + 1] * 16)
            image[lba * sector_size:lba * sector_size + 512] = block.encode(VMK)
        journal = oracle.Journal(block.volume_id, KEY1, KEY2)
        if damage:
            for at in (self.list, list2):
                image[at:at + 4096] = journal.damage(1, damage)
        if record:
            old = self.data[boundary:boundary + 8 * sector_size]
            text = journal.record(sector_size, (0, 1, 7, self.encrypted, 8, 512), old,
                                  crypt(old, sector_size, self.encrypted, True))
            for at in (self.journal, journal2):
                image[at:at + len(text)] = text
        Path(path).write_bytes(image)

    def read(self):
        """The data, decrypted by the oracle's means."""
        image = Path(self.path).read_bytes()
        begin, boundary = self.start * self.sector_size, self.encrypted * self.sector_size
        raw = image[begin:begin + len(self.data)]
        return crypt(raw[:boundary], self.sector_size, 0, False) + raw[boundary:]


def partitioned(path, volumes, identities):
    """A disk of 512-byte sectors with these volumes as partitions, from 1 MiB on."""
    sectors = (2 * MIB + sum(2 * MIB for _ in volumes)) // 512
    entries, content = b"", {}
    for number, (volume, identity) in enumerate(zip(volumes, identities)):
        data = Path(volume.path).read_bytes()
        first = (1 + 2 * number) * MIB // 512
        content[first * 512] = data
        entries += (uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4").bytes_le + identity.bytes_le +
                    struct.pack("<QQQ72x", first, first + len(data) // 512 - 1, 0))
    entries = entries.ljust(128 * 128, b"\0")

    def header(lba, other, entries_lba):
        fields = [b"EFI PART", 0x10000, 92, 0, 0, lba, other, 34, sectors - 34,
                  uuid.UUID(int=1).bytes_le, entries_lba, 128, 128, zlib.crc32(entries)]
        form = "<8sIIIIQQQQ16sQIII"
        fields[3] = zlib.crc32(struct.pack(form, *fields))
        return struct.pack(form, *fields)

    content[510] = b"\x55\xaa"
    content[446] = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1, sectors - 1)
    content[512] = header(1, sectors - 1, 2)
    content[1024] = entries
    content[(sectors - 33) * 512] = entries
    content[(sectors - 1) * 512] = header(sectors - 1, 1, sectors - 33)
    image = bytearray(sectors * 512)
    for at, data in content.items():
        image[at:at + len(data)] = data
    Path(path).write_bytes(image)
