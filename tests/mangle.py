# SPDX-License-Identifier: Apache-2.0
"""Generators of mangled volumes: each takes a whole one and breaks the one thing its name says.

A generator is called with an Image of a volume that has two footers and is not encrypted yet. What
vck is expected to make of it stands beside it. The sealing here is written from the format with
python3-cryptography and hmac, without any of the code under test.
"""
import hashlib
import hmac
import os
import struct
import zlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 512
KEY_SLOTS = 56 * 1024
DAMAGE_SLOT = 4096
GENERATORS = []


def hkdf(salt, ikm, info, length):
    """RFC 5869 with SHA-256."""
    pseudorandom = hmac.digest(salt, ikm, "sha256")
    output, previous, counter = b"", b"", 1
    while len(output) < length:
        previous = hmac.digest(pseudorandom, previous + info + bytes([counter]), "sha256")
        output += previous
        counter += 1
    return output[:length]


def with_crc(block):
    return block[:508] + struct.pack("<I", zlib.crc32(block[:508]))


@dataclass
class Sealed:
    """The encrypted part of a block, in plain."""
    encrypted_offset: int
    direction: int
    intent: int
    fvek: bytes
    generation: int
    digest: bytes

    def pack(self):
        return (b"JVCK" + bytes(12) + struct.pack("<QHB", self.encrypted_offset, self.direction,
                                                   self.intent) + bytes(5) + self.fvek +
                struct.pack("<Q", self.generation) + self.digest)

    @staticmethod
    def unpack(plain):
        assert plain[:4] == b"JVCK", "the key does not open the block"
        offset, direction, intent = struct.unpack_from("<QHB", plain, 16)
        generation, = struct.unpack_from("<Q", plain, 96)
        return Sealed(offset, direction, intent, plain[32:96], generation, plain[104:128])


def derive(block, vmk):
    salt = block[32:48] + block[48:64]
    return [hkdf(salt, vmk, b"EncryptedMetadata:" + what, length)
            for what, length in ((b"MAC", 32), (b"ENC", 32), (b"IV", 16))]


def unseal(block, vmk):
    mac, key, iv = derive(block, vmk)
    assert hmac.digest(mac, block[64:192], "sha256") == block[192:224], "wrong key"
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return Sealed.unpack(decryptor.update(block[64:192]) + decryptor.finalize())


def seal(block, sealed, vmk, digest=True):
    """The block with a fresh salt around what is sealed; digest False leaves it out."""
    block = block[:48] + os.urandom(16) + block[64:]
    sealed.digest = (hashlib.sha256(block[:64] + block[304:496]).digest()[:24]
                     if digest else bytes(24))
    mac, key, iv = derive(block, vmk)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    secret = encryptor.update(sealed.pack()) + encryptor.finalize()
    return with_crc(block[:64] + secret + hmac.digest(mac, secret, "sha256") + block[224:])


class Image:
    """A volume in a file, with its geometry from the last block."""

    def __init__(self, path, vmk):
        self.path, self.vmk = path, vmk
        self.size = os.path.getsize(path)
        last = self.read(self.size - BLOCK, BLOCK)
        self.metadata_size, self.sector_size = struct.unpack_from("<II", last, 16)
        assert self.sector_size == BLOCK and last[24:26] == b"\0\2"
        self.volume_id = last[32:48]
        self.block_at = [self.size - self.metadata_size - BLOCK, self.size - BLOCK]
        self.region_at = [self.size - 2 * self.metadata_size, self.size - self.metadata_size]
        self.half_bytes = (self.metadata_size - 4096 - KEY_SLOTS - 2 * DAMAGE_SLOT) // 2 & ~4095
        self.data_sectors = self.region_at[0] // self.sector_size

    def read(self, offset, size):
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def write(self, offset, data):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def block(self, replica):
        return self.read(self.block_at[replica], BLOCK)

    def put(self, replica, block):
        self.write(self.block_at[replica], block)

    def reseal(self, replica, digest=True, **changes):
        block = self.block(replica)
        sealed = unseal(block, self.vmk)
        for name, value in changes.items():
            setattr(sealed, name, value)
        self.put(replica, seal(block, sealed, self.vmk, digest))

    def journal_key(self):
        fvek = unseal(self.block(1), self.vmk).fvek
        return hkdf(self.volume_id, fvek, b"VCK journal MAC", 32)

    def put_record(self, record):
        """Both copies of half 0."""
        for region in self.region_at:
            self.write(region + KEY_SLOTS, record)

    def put_damage(self, slot):
        """Both copies of slot 0: the last 8 KiB of the vendor area."""
        for region in self.region_at:
            self.write(region + self.metadata_size - 4096 - 2 * DAMAGE_SLOT, slot)

    def record(self, **changes):
        """A whole record of one sector at the start, that continues the state of the volume."""
        fields = {"direction": 0, "sequence": 2, "base": 1, "first": 0, "sectors": 1, "chunk": 512}
        fields.update(changes)
        head = b"VCKJ" + struct.pack("<HHQQQII", 1, fields["direction"], fields["sequence"],
                                     fields["base"], fields["first"], fields["sectors"],
                                     fields["chunk"])
        tags = os.urandom(16 * fields["sectors"] * self.sector_size // fields["chunk"])
        length = len(head) + 32 + len(tags)
        mac = hmac.digest(self.journal_key(), head + bytes(32) + tags, "sha256")
        return head + mac + tags + bytes(-length % 4096)


@dataclass
class Expected:
    """What vck says. info and keyed: names of the status without and with the key; replicas: those
    of each replica with the key (None: not looked at); problem: words that check must say; attaches:
    whether attach opens it; halves: what half 0 of the journal is."""
    info: str = "OK"
    keyed: str = "OK"
    replicas: tuple = None
    problem: str = None
    attaches: bool = True
    halves: str = None


def mangles(expected):
    def register(function):
        function.expected = expected
        GENERATORS.append(function)
        return function
    return register


WHOLE = ("OK", "OK")
FIRST_ONLY = ("OK", "CHECKSUM_MISMATCH")


@mangles(Expected(replicas=FIRST_ONLY, problem="replica 1"))
def torn_last_sector(image):
    """The second half of the last sector is zero, as a torn write leaves it."""
    image.write(image.block_at[1] + 256, bytes(256))


@mangles(Expected(replicas=FIRST_ONLY, problem="replica 1"))
def flipped_crc(image):
    """One bit of the checksum of the last block."""
    block = bytearray(image.block(1))
    block[510] ^= 0x10
    image.put(1, bytes(block))


@mangles(Expected(replicas=("OK", "TAMPERED"), problem="replica 1"))
def changed_header_field(image):
    """The vendor version of the last block, with a checksum that is right again."""
    block = bytearray(image.block(1))
    block[14] ^= 0x01
    image.put(1, with_crc(bytes(block)))


@mangles(Expected(replicas=("OK", "TAMPERED"), problem="replica 1"))
def changed_reserved_bytes(image):
    """A vendor byte of the last block, which only the header digest protects."""
    block = bytearray(image.block(1))
    block[400] ^= 0x80
    image.put(1, with_crc(bytes(block)))


@mangles(Expected(keyed="WRONG_KEY", replicas=("WRONG_KEY", "WRONG_KEY"), attaches=False,
                  problem="key"))
def changed_salts(image):
    """The salt of both blocks, so that other keys are derived, with checksums that are right."""
    for replica in (0, 1):
        block = bytearray(image.block(replica))
        block[48:64] = os.urandom(16)
        image.put(replica, with_crc(bytes(block)))


@mangles(Expected(replicas=("VALIDATION_FAILED", "OK"), problem="replica 0"))
def replica_of_another_volume(image):
    """The first footer is a whole block of a volume with another id, sealed with the same key."""
    block = image.block(0)
    sealed = unseal(block, image.vmk)
    block = block[:32] + os.urandom(16) + block[48:]
    image.put(0, seal(block, sealed, image.vmk))


@mangles(Expected(info="SIGNATURE_MISMATCH", keyed="SIGNATURE_MISMATCH", attaches=False,
                  problem="no JVCK volume"))
def truncated_by_a_sector(image):
    """The last sector is missing."""
    os.truncate(image.path, image.size - image.sector_size)


@mangles(Expected(info="SIZE_MISMATCH", keyed="SIZE_MISMATCH", attaches=False, problem="not fit"))
def too_small_for_its_regions(image):
    """Only the last region is left, of a volume that has two."""
    data = image.read(image.region_at[1], image.metadata_size)
    os.truncate(image.path, image.metadata_size)
    image.write(0, data)


@mangles(Expected(replicas=WHOLE, problem="generation"))
def generation_rolled_back(image):
    """The first footer is one generation behind, as after a cut between the two flushes."""
    image.reseal(1, generation=7, encrypted_offset=0)
    image.reseal(0, generation=6, encrypted_offset=0)


@mangles(Expected(keyed="VALIDATION_FAILED", replicas=WHOLE, attaches=False,
                  problem="disagree on the direction or the data key"))
def directions_disagree(image):
    """Written by an implementation without generations, and cut while the direction changed."""
    image.reseal(0, digest=False, generation=0, direction=0, encrypted_offset=64)
    image.reseal(1, digest=False, generation=0, direction=1, encrypted_offset=32)


@mangles(Expected(replicas=WHOLE, halves="broken", problem="journal copy 0, half 0"))
def flipped_journal_bit(image):
    """One bit of the tags of a record that would otherwise apply."""
    record = bytearray(image.record())
    record[80] ^= 0x04
    image.put_record(bytes(record))


@mangles(Expected(replicas=WHOLE, halves="void", problem="journal copy 0, half 0"))
def record_of_an_earlier_state(image):
    """A whole record whose base generation has passed."""
    image.reseal(0, generation=9)
    image.reseal(1, generation=9)
    image.put_record(image.record(base=8))


@mangles(Expected(replicas=WHOLE, halves="broken", problem="journal copy 0, half 0"))
def record_longer_than_its_half(image):
    """A record that describes more sectors than its half has room for tags."""
    record = bytearray(image.record())
    struct.pack_into("<I", record, 32, 0xFFFFFFFF)
    image.put_record(bytes(record))


@mangles(Expected(replicas=WHOLE, problem="damage list copy 0, slot 0"))
def damage_count_too_big(image):
    """505 entries in a slot that holds 504, with an HMAC that is right."""
    slot = bytearray(b"VCKB" + struct.pack("<HHQ", 1, 505, 1) + bytes(32 + 16))
    slot += b"".join(struct.pack("<Q", 512 * i) for i in range(504))
    slot[16:48] = hmac.digest(image.journal_key(), bytes(slot), "sha256")
    image.put_damage(bytes(slot))


@mangles(Expected(replicas=WHOLE))
def swapped_replicas(image):
    """The two blocks change places; each is valid at either."""
    blocks = [image.block(0), image.block(1)]
    image.put(0, blocks[1])
    image.put(1, blocks[0])


@mangles(Expected(keyed="TAMPERED", attaches=False, problem="replica"))
def lying_metadata_size(image):
    """The last block says regions twice as large, so the other is looked for where it is not."""
    block = bytearray(image.block(1))
    struct.pack_into("<I", block, 16, 2 * image.metadata_size)
    image.put(1, with_crc(bytes(block)))


@mangles(Expected(keyed="INVALID_DATA", attaches=False, replicas=("INVALID_DATA",) * 2,
                  problem="replica"))
def offset_beyond_the_end(image):
    """More sectors are ciphertext than there are, sealed with the right key."""
    for replica in (0, 1):
        image.reseal(replica, encrypted_offset=image.data_sectors + 1)


@mangles(Expected(info="UNSUPPORTED", keyed="UNSUPPORTED", attaches=False, problem="support"))
def unknown_version(image):
    """Both blocks are of metadata version 3."""
    for replica in (0, 1):
        block = bytearray(image.block(replica))
        struct.pack_into("<H", block, 12, 3)
        image.put(replica, with_crc(bytes(block)))
