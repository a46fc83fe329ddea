#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the core writes, a second implementation of the format reads, and the other way round."""
import dataclasses
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import jvck_oracle as oracle
import tap

ROUNDS = 300
ROOT = Path(__file__).resolve().parent


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def __call__(self, *arguments):
        """(status, values) of one command."""
        words = [(word.hex() or "-") if isinstance(word, bytes) else str(int(word))
                 if not isinstance(word, str) else word for word in arguments]
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        status, *values = self.process.stdout.readline().split()
        return status, values

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0


TOOL = Tool(os.environ["JVCK_TOOL"])
RANDOM = random.Random(1)


def random_vmk():
    return RANDOM.randbytes(RANDOM.choice((1, 20, 32, 63, 64, 65, 1024)))


def random_block(version=None):
    version = version or RANDOM.choice((1, 1, 2))
    return oracle.Block(
        vendor_id=RANDOM.getrandbits(64), vendor_version=RANDOM.getrandbits(16),
        metadata_size=RANDOM.randrange(131072, 1 << 32), sector_size=RANDOM.choice((512, 4096)),
        headers=RANDOM.randrange(256), footers=RANDOM.randrange(1, 256),
        volume_id=RANDOM.randbytes(16), salt=RANDOM.randbytes(16), reserved=RANDOM.randbytes(192),
        offset=RANDOM.getrandbits(64), direction=RANDOM.randrange(2), intent=RANDOM.randrange(3),
        generation=RANDOM.getrandbits(64) | 1, has_digest=version == 2 or bool(RANDOM.randrange(2)),
        key1=RANDOM.randbytes(32), key2=RANDOM.randbytes(32), version=version,
        nonce=RANDOM.randbytes(12) if version == 2 else bytes(12))


def values_of(block):
    return [value.hex() if isinstance(value, bytes) else str(int(value))
            for value in dataclasses.astuple(block)]


@tap.test
def golden():
    """the oracle reads and writes the published block and layouts"""
    vectors = json.loads((ROOT / "vectors" / "jvck-v1.json").read_text())
    vmk = vectors["vmk_ascii"].encode()
    data = bytes.fromhex(vectors["block"])
    block = oracle.decode_block(data, vmk)
    assert (block.offset, block.direction) == (vectors["encrypted_offset"], vectors["direction"])
    assert block.key1.hex() == vectors["fvek_key1"] and block.key2.hex() == vectors["fvek_key2"]
    assert block.encode(vmk) == data
    for entry in vectors["layout"]:
        count = entry["headers"] + entry["footers"]
        made = oracle.layout(entry["sectors"] * entry["sector_size"], entry["sector_size"],
                             entry["metadata_size"], entry["headers"], entry["footers"])
        assert made[:2] == [entry["data_start"], entry["data_sectors"]]
        assert made[2:2 + count] == entry["block_lbas"]


@tap.test
def siphash():
    """the oracle's SipHash gives the tag its authors published"""
    tag = oracle.siphash24(bytes(range(16)), bytes(range(15)))
    assert tag == struct.pack("<Q", 0xa129ca6149be45e5)


@tap.test
def blocks_written():
    """blocks that the core writes are, byte for byte, the oracle's"""
    for _ in range(ROUNDS):
        vmk, block = random_vmk(), random_block()
        status, values = TOOL("block-encode", vmk, *dataclasses.astuple(block))
        assert status == "OK", status
        data = bytes.fromhex(values[0])
        assert data == block.encode(vmk)
        assert oracle.decode_block(data, vmk) == block


@tap.test
def blocks_read():
    """blocks that the oracle writes are read with every field"""
    for _ in range(ROUNDS):
        vmk, block = random_vmk(), random_block()
        assert TOOL("block-decode", vmk, block.encode(vmk)) == ("OK", values_of(block))
        assert TOOL("block-decode", vmk + b"\1", block.encode(vmk))[0] in (
            "WRONG_KEY", "INVALID_DATA")


@tap.test
def sealed_by_others():
    """what is sealed with the right key and is not as it should be"""
    block, vmk = random_block(1), b"key"
    block.has_digest = True
    plain = block.plain()

    def with_byte(at, value):
        return plain[:at] + bytes([value]) + plain[at + 1:]

    def read(changed):
        return TOOL("block-decode", vmk, block.encode(vmk, changed))

    for at in range(16):
        assert read(with_byte(at, plain[at] ^ 1))[0] == "TAMPERED", at
    for at in range(104, 128):
        assert read(with_byte(at, plain[at] ^ 1))[0] == "TAMPERED", at
    assert read(plain[:104] + bytes(24))[1][13] == "0"
    assert read(with_byte(24, 2))[1][10] == "0", "an unknown direction reads as encrypting"
    assert read(with_byte(25, 1))[1][10] == "0"
    assert read(with_byte(26, 3))[1][11] == "0", "an unknown intent reads as unrecorded"
    for at in range(27, 32):
        assert read(with_byte(at, 1)) == ("OK", values_of(block)), "left to later versions"


@tap.test
def header_changed():
    """a digest protects the header, and without one the vendor's bytes are anybody's"""
    for has_digest in (True, False):
        block, vmk = random_block(1), b"key"
        block.has_digest = has_digest
        data = bytearray(block.encode(vmk))
        data[400] ^= 1
        data[508:] = struct.pack("<I", zlib.crc32(bytes(data[:508])))
        assert TOOL("block-decode", vmk, bytes(data))[0] == ("TAMPERED" if has_digest else "OK")


def random_record():
    sector_size = RANDOM.choice((512, 4096))
    chunk = RANDOM.choice([size for size in (16, 64, 512, 1024, 4096) if size <= sector_size])
    sectors = RANDOM.randrange(1, 4 if chunk < 64 else 7)
    fields = [RANDOM.randrange(2), RANDOM.getrandbits(64), RANDOM.getrandbits(64),
              RANDOM.getrandbits(40), sectors, chunk]
    contents = [RANDOM.randbytes(sectors * sector_size) for _ in range(2)]
    return sector_size, fields, contents


@tap.test
def records():
    """records and their tags are the oracle's, and its records are read"""
    for _ in range(60):
        keys = RANDOM.randbytes(16), RANDOM.randbytes(32), RANDOM.randbytes(32)
        sector_size, fields, contents = random_record()
        record = oracle.Journal(*keys).record(sector_size, fields, *contents)
        status, values = TOOL("record-encode", *keys, sector_size, *fields, *contents)
        assert status == "OK" and bytes.fromhex(values[0]) == record
        end = fields[3] + fields[4]
        assert TOOL("record-open", *keys, sector_size, end, record) == (
            "OK", [str(value) for value in fields])
        assert TOOL("record-open", *keys, sector_size, end - 1, record)[0] == "INVALID_DATA"
        other = RANDOM.randbytes(16), *keys[1:]
        assert TOOL("record-open", *other, sector_size, end, record)[0] == "TAMPERED"


@tap.test
def damage_lists():
    """damage lists are the oracle's, and its lists are read in any order"""
    for count in [0, 1, 2, 503, 504] + [RANDOM.randrange(505) for _ in range(20)]:
        keys = RANDOM.randbytes(16), RANDOM.randbytes(32), RANDOM.randbytes(32)
        offsets = sorted(RANDOM.sample(range(1 << 30), count))
        offsets = [offset * 512 for offset in offsets]
        sequence = RANDOM.getrandbits(64)
        journal = oracle.Journal(*keys)
        status, values = TOOL("damage-encode", *keys, sequence, count, *offsets)
        assert status == "OK" and bytes.fromhex(values[0]) == journal.damage(sequence, offsets)
        shuffled = RANDOM.sample(offsets, count)
        assert TOOL("damage-open", *keys, 1 << 40, journal.damage(sequence, shuffled)) == (
            "OK", [str(value) for value in (sequence, *offsets)])
    too_many = bytearray(journal.damage(1, [0] * 504))
    struct.pack_into("<H", too_many, 6, 505)
    too_many[16:48] = bytes(32)
    too_many[16:48] = oracle.hmac_sha256(journal.mac_key, bytes(too_many))
    assert TOOL("damage-open", *keys, 1 << 40, bytes(too_many))[0] == "INVALID_DATA"


@tap.test
def rekey_records():
    """rekey records are the oracle's, its records are read, and no changed byte goes unnoticed"""
    for _ in range(40):
        vmk = random_vmk()
        rekey = oracle.Rekey(*(RANDOM.randbytes(size) for size in (16, 12, 32, 32, 64)))
        data = rekey.encode(vmk)
        status, values = TOOL("rekey-encode", vmk, *dataclasses.astuple(rekey))
        assert status == "OK" and bytes.fromhex(values[0]) == data
        assert oracle.decode_rekey(data, rekey.volume_id, rekey.nonce, vmk) == rekey
        keys = rekey.journal()
        assert TOOL("rekey-open", vmk, rekey.volume_id, rekey.nonce, data) == (
            "OK", [field.hex() for field in (rekey.key1, rekey.key2, keys.mac_key, keys.tag_key)])
        assert TOOL("rekey-open", vmk[:-1] + b"\0\1", rekey.volume_id, rekey.nonce, data)[0] in (
            "WRONG_KEY", "INVALID_DATA")
    for at in [*range(184), 184, 4095]:
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        expected = ("SIGNATURE_MISMATCH" if at < 4 else "UNSUPPORTED" if at < 6 else
                    "INVALID_DATA" if at < 8 or 36 <= at < 40 or at >= 184 else
                    "VALIDATION_FAILED" if at < 36 else "WRONG_KEY")
        assert TOOL("rekey-open", vmk, rekey.volume_id, rekey.nonce, changed)[0] == expected, at
    assert TOOL("rekey-open", vmk, rekey.volume_id, rekey.nonce, bytes(4096))[0] == "NOT_FOUND"


@tap.test
def rekey_vector():
    """the published rekey, by both"""
    vector = json.loads((ROOT / "vectors" / "rekey-v1.json").read_text())
    get = {name: bytes.fromhex(value) for name, value in vector.items() if name != "what"}
    rekey = oracle.Rekey(*(get[name] for name in (
        "volume_id", "nonce", "new_key1", "new_key2", "journal_secret")))
    record = get["record"].ljust(4096, b"\0")
    assert rekey.encode(get["vmk"]) == record
    block = oracle.decode_block(get["block"], get["vmk"])
    assert block.version == 2 and block.nonce == rekey.nonce
    assert TOOL("block-decode", get["vmk"], get["block"]) == ("OK", values_of(block))
    assert TOOL("rekey-open", get["vmk"], rekey.volume_id, block.nonce, record)[1][2:] == [
        vector["journal_mac_key"], vector["journal_tag_key"]]


@tap.test
def layouts():
    """everything lies where the oracle says"""
    for _ in range(2000):
        sector_size = RANDOM.choice((512, 4096))
        metadata_size = RANDOM.choice((131072, 131172, 1 << 20, RANDOM.randrange(131072, 1 << 24)))
        headers, footers = RANDOM.randrange(4), RANDOM.randrange(4)
        if headers + footers == 0:
            continue
        size = (headers + footers) * metadata_size + RANDOM.randrange(-4096, 1 << 20)
        expected = oracle.layout(size, sector_size, metadata_size, headers, footers)
        status, values = TOOL("layout", size, sector_size, metadata_size, headers, footers)
        assert status == ("SIZE_MISMATCH" if expected is None else "OK")
        places = oracle.rekey_places(size, sector_size, metadata_size, headers, footers)
        assert [int(value) for value in values] == (expected + places if expected else [])


@tap.test
def tool_ends():
    """the tool ends without complaint"""
    TOOL.close()


if __name__ == "__main__":
    sys.exit(tap.main())
