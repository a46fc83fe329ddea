#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of the key slots of docs/format.md, on python3-cryptography and argon2-cffi
alone. Run as a program it prints tests/vectors/key-slots-v1.json anew."""
import hashlib
import hmac
import json
import struct
import sys
import zlib

import argon2.low_level
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

COPY_BYTES = 28672
TABLE_BYTES = COPY_BYTES - 4096
PASSPHRASE, FILE, RECOVERY, TPM, NETWORK = 1, 2, 3, 4, 5
HKDF_KIND, ARGON2ID, PBKDF2 = 0, 1, 2


def hkdf(salt, ikm, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(ikm)


def slot_key(kdf, passes, memory, lanes, secret, salt):
    if kdf == ARGON2ID:
        return argon2.low_level.hash_secret_raw(
            secret, salt, passes, memory, lanes, 32, argon2.low_level.Type.ID, version=0x13)
    if kdf == PBKDF2:
        return hashlib.pbkdf2_hmac("sha512", secret, salt, passes, 32)
    assert kdf == HKDF_KIND
    return hkdf(salt, secret, b"VCK key slot")


def associated(volume_id, record, payload):
    digest = hashlib.sha256(payload).digest() if payload else b""
    return volume_id + record[:24] + bytes(72) + record[96:160] + digest


class Slot:
    def __init__(self, record):
        self.record = record
        (self.size, self.type, self.number, self.zero, self.uuid, self.created,
         label) = struct.unpack_from("<HHHH16sQ64s", record)
        self.label = label.rstrip(b"\0").decode()
        assert b"\0" not in label.rstrip(b"\0") and self.zero == 0
        self.payload = b""
        if self.type in (PASSPHRASE, FILE, RECOVERY, TPM, NETWORK):
            (self.kdf, payload_size, self.passes, self.memory, self.lanes, self.salt, self.nonce,
             self.vmk_size) = struct.unpack_from("<HHIII32s12sI", record, 96)
            at = rounded(160 + self.vmk_size + 16)
            self.payload = record[at:at + payload_size]
            assert self.size == at + rounded(payload_size) and not any(record[at + payload_size:])
            assert not any(record[160 + self.vmk_size + 16:at])
            assert (payload_size > 0) == (self.type in (TPM, NETWORK))
            assert not self.payload or self.kdf == HKDF_KIND

    def open(self, volume_id, secret):
        """The VMK, or None."""
        key = slot_key(self.kdf, self.passes, self.memory, self.lanes, secret, self.salt)
        sealed = self.record[160:160 + self.vmk_size + 16]
        try:
            return AESGCM(key).decrypt(self.nonce, sealed,
                                       associated(volume_id, self.record, self.payload))
        except InvalidTag:
            return None


def rounded(size):
    return (size + 7) // 8 * 8


def make_slot(volume_id, number, kind, secret, vmk, kdf, passes, memory, lanes, uuid, salt, nonce,
              created, label, payload=b""):
    at = rounded(160 + len(vmk) + 16)
    size = at + rounded(len(payload))
    head = struct.pack("<HHHH16sQ64sHHIII32s12sI", size, kind, number, 0, uuid, created,
                       label.encode(), kdf, len(payload), passes, memory, lanes, salt, nonce, len(vmk))
    key = slot_key(kdf, passes, memory, lanes, secret, salt)
    sealed = AESGCM(key).encrypt(nonce, vmk, associated(volume_id, head, payload))
    return ((head + sealed).ljust(at, b"\0") + payload).ljust(size, b"\0")


class Sealed:
    """What a slot of type TPM says about its sealed object."""

    def __init__(self, payload):
        (self.primary, self.flags, self.pcrs, self.bank, public, private, zero,
         self.primary_digest) = struct.unpack_from("<HHIHHHH32s", payload)
        assert self.primary == 1 and self.flags in (0, 1) and self.bank == 11 and zero == 0
        assert 0 < self.pcrs < 1 << 24
        numbers = [i for i in range(24) if self.pcrs >> i & 1]
        self.values = {number: payload[48 + 32 * i:80 + 32 * i] for i, number in enumerate(numbers)}
        at = 48 + 32 * len(numbers)
        self.public, self.private = payload[at:at + public], payload[at + public:]
        assert len(self.private) == private

    def has_pin(self):
        return bool(self.flags & 1)

    def policy(self):
        """The digest that the object has to have."""
        mask = struct.pack("<I", self.pcrs)[:3]
        values = hashlib.sha256(b"".join(self.values[i] for i in sorted(self.values))).digest()
        digest = hashlib.sha256(bytes(32) + bytes.fromhex("0000017f00000001000b03") + mask +
                                values).digest()
        if self.has_pin():
            digest = hashlib.sha256(digest + bytes.fromhex("0000016b")).digest()
        return digest


def make_sealed(flags, values, primary_digest, public, private):
    head = struct.pack("<HHIHHHH32s", 1, flags, sum(1 << i for i in values), 11, len(public),
                       len(private), 0, primary_digest)
    return head + b"".join(values[i] for i in sorted(values)) + public + private


def table_mac(volume_id, vmk, table):
    key = hkdf(volume_id, vmk, b"VCK key slots MAC")
    return hmac.digest(key, table[:36] + bytes(4) + table[40:48] + bytes(32) + table[80:], "sha256")


class Table:
    """One copy; raises ValueError where it is none."""

    def __init__(self, copy, volume_id, parity):
        (magic, self.version, self.count, self.generation, self.volume_id, size, crc, zero, self.mac,
         zero_too) = struct.unpack_from("<4sHHQ16sII8s32s16s", copy)
        if magic != b"VCKK":
            raise ValueError("magic")
        if not 96 <= size <= TABLE_BYTES:
            raise ValueError("size")
        self.bytes = copy[:size]
        if zlib.crc32(self.bytes[:36] + bytes(4) + self.bytes[40:]) != crc:
            raise ValueError("CRC")
        if self.version != 1 or any(zero) or any(zero_too) or any(copy[size:]):
            raise ValueError("version or zeroes")
        if self.volume_id != volume_id or self.generation == 0 or self.generation % 2 != parity:
            raise ValueError("another volume's, or in the wrong copy")
        self.slots = {}
        at = 96
        for _ in range(self.count):
            slot = Slot(self.bytes[at:at + struct.unpack_from("<H", self.bytes, at)[0]])
            if slot.number in self.slots or slot.number > 31 or slot.size % 8:
                raise ValueError("slot")
            self.slots[slot.number] = slot
            at += slot.size
        if at != size:
            raise ValueError("end")

    def is_authentic(self, vmk):
        return hmac.compare_digest(table_mac(self.volume_id, vmk, self.bytes), self.mac)


def make_table(volume_id, vmk, generation, slots, version=1):
    body = b"".join(slots)
    head = struct.pack("<4sHHQ16sII8s", b"VCKK", version, len(slots), generation, volume_id,
                       96 + len(body), 0, bytes(8))
    table = head + bytes(32) + bytes(16) + body
    table = table[:48] + table_mac(volume_id, vmk, table) + table[80:]
    crc = zlib.crc32(table)
    return table[:36] + struct.pack("<I", crc) + table[40:]


def areas(size, header):
    """Byte offsets of the usable part of each replica's region, headers first."""
    sector, region, headers, footers = header
    region = region // sector * sector
    usable = [i * region + 4096 for i in range(headers)]
    end = size // sector * sector
    return usable + [end - (footers - j) * region for j in range(footers)]


def read_tables(image, volume_id, header):
    """Every table of every copy, newest first."""
    tables = []
    for area in areas(len(image), header):
        for parity in range(2):
            at = area + parity * COPY_BYTES
            try:
                tables.append(Table(image[at:at + TABLE_BYTES], volume_id, parity))
            except ValueError:
                pass
    return sorted(tables, key=lambda table: -table.generation)


class Backup:
    """A file of vck key backup, opened with the secret; raises InvalidTag with a wrong one."""

    def __init__(self, data, secret):
        (magic, version, zero, size, record_size, self.volume_id, self.created, nonce,
         zero_too) = struct.unpack_from("<4sHHII16sQ12s12s", data)
        assert magic == b"VCKS" and version == 1 and zero == 0 and not any(zero_too)
        assert size == len(data)
        slot = Slot(data[64:64 + record_size])
        key = slot.open(self.volume_id, secret)
        if key is None:
            raise InvalidTag
        key = hkdf(self.volume_id, key, b"VCK key backup")
        payload = AESGCM(key).decrypt(nonce, data[64 + record_size:], data[:64 + record_size])
        self.disk_size, self.block, vmk_size = struct.unpack_from("<Q512sI", payload)
        self.vmk = payload[524:524 + vmk_size]
        table_size = struct.unpack_from("<I", payload, 524 + vmk_size)[0]
        self.table = payload[528 + vmk_size:]
        assert len(self.table) == table_size


def make_backup(volume_id, slot, key, nonce, created, disk_size, block, vmk, table):
    """slot wraps key."""
    payload = struct.pack("<Q512sI", disk_size, block, len(vmk)) + vmk
    payload += struct.pack("<I", len(table)) + table
    head = struct.pack("<4sHHII16sQ12s12s", b"VCKS", 1, 0, 64 + len(slot) + len(payload) + 16,
                       len(slot), volume_id, created, nonce, bytes(12)) + slot
    return head + AESGCM(hkdf(volume_id, key, b"VCK key backup")).encrypt(nonce, payload, head)


def recovery_text(key):
    return "-".join(f"{piece * 11:06d}" for piece in struct.unpack("<8H", key))


def recovery_key(text):
    groups = text.replace("-", "").replace(" ", "")
    values = [int(groups[i:i + 6]) for i in range(0, 48, 6)]
    assert all(value % 11 == 0 and value // 11 < 65536 for value in values)
    return struct.pack("<8H", *(value // 11 for value in values))


# ---- vectors ----

def pattern(seed, size):
    return hashlib.shake_128(seed.encode()).digest(size)


VECTORS = (
    ("passphrase, Argon2id", PASSPHRASE, "correct horse battery staple".encode(), ARGON2ID, 3, 1024, 4),
    ("passphrase, Argon2id, one lane", PASSPHRASE, "pässwörd".encode(), ARGON2ID, 1, 64, 1),
    ("passphrase, PBKDF2", PASSPHRASE, b"a loader without memory", PBKDF2, 1000, 0, 0),
    ("key file, HKDF", FILE, pattern("key file", 4096), HKDF_KIND, 0, 0, 0),
    ("key file, Argon2id", FILE, b"\0short", ARGON2ID, 2, 128, 2),
    ("recovery key", RECOVERY, pattern("recovery", 16), HKDF_KIND, 0, 0, 0),
    ("TPM, with a PIN", TPM, pattern("sealed", 32), HKDF_KIND, 0, 0, 0),
)


def make_vectors():
    volume_id = pattern("volume", 16)
    vmk = pattern("vmk", 32)
    slots = []
    described = []
    sealed = make_sealed(1, {7: pattern("PCR 7", 32), 12: pattern("PCR 12", 32)},
                         pattern("primary", 32), pattern("public", 78), pattern("private", 161))
    for number, (name, kind, secret, kdf, passes, memory, lanes) in enumerate(VECTORS):
        record = make_slot(volume_id, number, kind, secret, vmk, kdf, passes, memory, lanes,
                           pattern(f"uuid {number}", 16), pattern(f"salt {number}", 32),
                           pattern(f"nonce {number}", 12), 1700000000 + number, f"slot {number}",
                           sealed if kind == TPM else b"")
        slots.append(record)
        described.append({"name": name, "number": number, "type": kind, "kdf": kdf,
                          "passes": passes, "memory_kib": memory, "lanes": lanes,
                          "secret_size": len(secret), "secret": secret.hex(),
                          "record_size": len(record), "record": record.hex()})
    unknown = struct.pack("<HHHH16sQ64s", 120, 4711, 31, 0, pattern("uuid 31", 16), 0,
                          b"of another day") + pattern("unknown", 24)
    slots.append(unknown)
    table = make_table(volume_id, vmk, 7, slots)
    return {"volume_id": volume_id.hex(), "vmk": vmk.hex(), "generation": 7, "count": len(slots),
            "recovery_text": recovery_text(VECTORS[5][2]), "policy": Sealed(sealed).policy().hex(),
            "slots": described,
            "table_size": len(table), "table": table.hex()}


if __name__ == "__main__":
    json.dump(make_vectors(), sys.stdout, indent=1)
    print()
