# SPDX-License-Identifier: Apache-2.0
"""The JVCK format a second time, from docs/format.md: blocks, records, damage lists, layouts, rekey
records.

Ciphers come from python3-cryptography, hashes from the standard library; nothing from the code
under test. Slow and plain on purpose.
"""
import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_SLOTS = 56 * 1024
BLOCK = 4096
MASK = (1 << 64) - 1


def derive(salt, ikm, info, length):
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(ikm)


def hmac_sha256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


# ---- blocks ----

@dataclass
class Block:
    vendor_id: int
    vendor_version: int
    metadata_size: int
    sector_size: int
    headers: int
    footers: int
    volume_id: bytes
    salt: bytes
    reserved: bytes
    offset: int
    direction: int
    intent: int
    generation: int
    has_digest: bool
    key1: bytes
    key2: bytes
    version: int = 1
    nonce: bytes = bytes(12)

    def head(self):
        return (b"JVCK" + struct.pack("<QHHIIBB6x", self.vendor_id, self.version, self.vendor_version,
                                      self.metadata_size, self.sector_size, self.headers,
                                      self.footers) + self.volume_id + self.salt)

    def digest(self):
        if not self.has_digest:
            return bytes(24)
        return hashlib.sha256(self.head() + self.reserved).digest()[:24]

    def plain(self):
        return (b"JVCK" + self.nonce +
                struct.pack("<QHB5x", self.offset, self.direction, self.intent) + self.key1 +
                self.key2 + struct.pack("<Q", self.generation) + self.digest())

    def encode(self, vmk, plain=None):
        """plain replaces what is sealed."""
        salt = self.volume_id + self.salt
        mac, key, iv = (derive(salt, vmk, b"EncryptedMetadata:" + name, length)
                        for name, length in ((b"MAC", 32), (b"ENC", 32), (b"IV", 16)))
        cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        sealed = cipher.update(plain or self.plain()) + cipher.finalize()
        body = (self.head() + sealed + hmac_sha256(mac, sealed) + bytes(80) + self.reserved +
                bytes(12))
        return body + struct.pack("<I", zlib.crc32(body))


def decode_block(data, vmk):
    """A Block; raises AssertionError naming what does not hold."""
    assert len(data) == 512 and data[:4] == b"JVCK", "signature"
    assert struct.unpack("<I", data[508:])[0] == zlib.crc32(data[:508]), "checksum"
    (vendor_id, version, vendor_version, metadata_size, sector_size, headers,
     footers) = struct.unpack_from("<QHHIIBB", data, 4)
    assert version in (1, 2), "version"
    assert not any(data[26:32] + data[224:304] + data[496:508]), "zero fields"
    salt = data[32:64]
    sealed = data[64:192]
    mac, key, iv = (derive(salt, vmk, b"EncryptedMetadata:" + name, length)
                    for name, length in ((b"MAC", 32), (b"ENC", 32), (b"IV", 16)))
    assert hmac_sha256(mac, sealed) == data[192:224], "HMAC"
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    plain = cipher.update(sealed) + cipher.finalize()
    assert plain[:4] == b"JVCK", "inner signature"
    assert version == 2 or not any(plain[4:16]), "nonce"
    offset, direction, intent = struct.unpack_from("<QHB", plain, 16)
    assert not any(plain[27:32]), "inner zero field"
    generation, = struct.unpack_from("<Q", plain, 96)
    block = Block(vendor_id, vendor_version, metadata_size, sector_size, headers, footers,
                  data[32:48], data[48:64], data[304:496], offset, direction, intent, generation,
                  any(plain[104:128]), plain[32:64], plain[64:96], version, plain[4:16])
    assert block.digest() == plain[104:128], "digest"
    assert version == 1 or block.has_digest and generation > 0, "what version 2 always has"
    return block


# ---- the journal ----

def rotate(value, bits):
    return (value << bits | value >> 64 - bits) & MASK


def siphash24(key, data):
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
         k1 ^ 0x7465646279746573]

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    whole = len(data) // 8 * 8
    last = data[whole:] + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for word, in struct.iter_unpack("<Q", data[:whole] + last):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])


class Journal:
    """The journal of one volume: its keys, and what is sealed with them."""

    def __init__(self, volume_id, key1, key2):
        self.mac_key = derive(volume_id, key1 + key2, b"VCK journal MAC", 32)
        self.tag_key = derive(volume_id, key1 + key2, b"VCK journal tag", 32)[:16]

    def record(self, sector_size, fields, old, new):
        """fields: direction, sequence, base, first, sectors, chunk; old and new: the contents."""
        direction, sequence, base, first, sectors, chunk = fields
        assert len(old) == len(new) == sectors * sector_size
        head = b"VCKJ" + struct.pack("<HHQQQII", 1, direction, sequence, base, first, sectors, chunk)
        tags = b""
        for at in range(0, len(old), chunk):
            place = struct.pack("<Q", first * sector_size + at)
            for data in (old, new):
                tags += siphash24(self.tag_key, place + data[at:at + chunk])
        mac = hmac_sha256(self.mac_key, head + bytes(32) + tags)
        record = head + mac + tags
        return record + bytes(-len(record) % BLOCK)

    def damage(self, sequence, offsets):
        head = b"VCKB" + struct.pack("<HHQ", 1, len(offsets), sequence)
        tail = bytes(16) + b"".join(struct.pack("<Q", offset) for offset in offsets)
        tail += bytes(BLOCK - 48 - len(tail))
        return head + hmac_sha256(self.mac_key, head + bytes(32) + tail) + tail


# ---- rekeying ----

@dataclass
class Rekey:
    """A rekey record. The new FVEK, and the secret that takes its place for the journal."""
    volume_id: bytes
    nonce: bytes
    key1: bytes
    key2: bytes
    secret: bytes

    def encode(self, vmk):
        head = b"VCKR" + struct.pack("<HH", 1, 0) + self.volume_id + self.nonce + bytes(4)
        key = derive(self.volume_id, vmk, b"VCK rekey", 32)
        record = head + AESGCM(key).encrypt(self.nonce, self.key1 + self.key2 + self.secret, head)
        return record + bytes(BLOCK - len(record))

    def journal(self):
        return Journal(self.volume_id, self.secret[:32], self.secret[32:])


def decode_rekey(data, volume_id, nonce, vmk):
    """A Rekey; raises AssertionError or InvalidTag."""
    assert len(data) == BLOCK and data[:6] == b"VCKR" + struct.pack("<H", 1), "signature or version"
    assert not any(data[6:8] + data[36:40] + data[184:]), "zero fields"
    assert data[8:24] == volume_id and data[24:36] == nonce, "of another rekey"
    plain = AESGCM(derive(volume_id, vmk, b"VCK rekey", 32)).decrypt(nonce, data[40:184], data[:40])
    return Rekey(volume_id, nonce, plain[:32], plain[32:64], plain[64:])


def rekey_places(size, sector_size, metadata_size, headers, footers):
    """Byte offsets of the records, both of each replica."""
    region = metadata_size // sector_size
    starts = [i * region * sector_size + 4096 for i in range(headers)]
    starts += [(size // sector_size - (footers - j) * region) * sector_size for j in range(footers)]
    return [start + copy * 28672 + 24576 for start in starts for copy in (0, 1)]


# ---- layouts ----

def layout(size, sector_size, metadata_size, headers, footers):
    """What jvck_tool prints: data start, data sectors, block sectors, half, then for each copy of
    the journal its place and that of the damage list. None: the disk is too small."""
    sectors = size // sector_size
    region = metadata_size // sector_size
    data = sectors - (headers + footers) * region
    if data < 1:
        return None
    blocks = [i * region for i in range(headers)]
    blocks += [sectors - footers * region + j * region + region - 1 for j in range(footers)]
    regions = [i * region for i in range(headers)]
    regions += [sectors - footers * region + j * region for j in range(footers)]
    areas = []
    for i, start in enumerate(regions):
        is_header = i < headers
        first = start * sector_size + (4096 if is_header else 0)
        end = (start + region) * sector_size - (0 if is_header else 4096)
        areas.append((first, end))
    copies = areas[-2:] if footers >= 2 else areas[:2]
    half = (copies[0][1] - copies[0][0] - KEY_SLOTS - 2 * BLOCK) // 2 // BLOCK * BLOCK
    places = []
    for first, end in copies:
        places += [first + KEY_SLOTS, end - 2 * BLOCK]
    return [headers * region, data, *blocks, half, *places]
