#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_block, fuzz_journal, fuzz_open and fuzz_rekey to fuzz/corpus; see those
for what the first bytes mean."""
import json
import random
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent / "tests"))
import jvck_oracle as oracle  # noqa: E402

RANDOM = random.Random(1)
VMK = b"jvck-cross-check-vmk"


class Keys(oracle.Journal):
    """The keys fuzz_journal uses."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.mac_key = b"\1" + bytes(31)
        self.tag_key = b"\2" + bytes(15)


def put(fuzzer, name, data):
    directory = ROOT / "corpus" / fuzzer
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)


def blocks():
    vectors = json.loads((ROOT.parent / "tests/vectors/jvck-v1.json").read_text())
    golden = bytes.fromhex(vectors["block"])
    put("block", "golden", b"\0" + golden)
    put("block", "other-vendor", b"\1" + golden[:4] + b"\7" + golden[5:])
    block = oracle.decode_block(golden, VMK)
    block.generation, block.has_digest, block.intent, block.direction = 9, True, 2, 1
    block.reserved = RANDOM.randbytes(192)
    put("block", "ours", b"\0" + block.encode(VMK))
    ours = block.encode(VMK)
    rekeying = oracle.decode_block(ours, VMK)
    rekeying.version, rekeying.nonce = 2, bytes(range(12))
    put("block", "rekeying", b"\0" + rekeying.encode(VMK))
    put("block", "plain", b"\2" + ours[:64] + block.plain() + ours[192:])


def journals():
    keys = Keys()
    for name, sector_size, chunk in (("record", 512, 512), ("record-big", 4096, 512),
                                     ("record-fine", 512, 16)):
        old, new = RANDOM.randbytes(2 * sector_size), RANDOM.randbytes(2 * sector_size)
        mode = b"\4" if sector_size == 4096 else b"\0"
        record = keys.record(sector_size, (1, 3, 7, 40, 2, chunk), old, new)
        put("journal", name, mode + record.rstrip(b"\0"))
        put("journal", name + "-unsealed", bytes([mode[0] | 2]) + record.rstrip(b"\0"))
    slot = keys.damage(4, [0, 512, 4096, 1 << 30])
    ranges = b"".join(struct.pack("<QQ", *pair) for pair in ((0, 1024), (100, 8001), (1 << 30, 513)))
    put("journal", "damage", b"\1" + slot + ranges)
    put("journal", "damage-unsealed", b"\3" + slot[:64 + 32])
    put("journal", "damage-full", b"\1" + keys.damage(5, [16 * i for i in range(504)]) + ranges)


def opens():
    def reseal(replica, flags, offset, generation):
        return bytes([replica << 4 | 2]) + bytes(2) + bytes([flags, offset, generation])

    def bytes_of_block(replica, kind, at, data):
        return bytes([replica << 4 | kind]) + struct.pack("<H", at) + bytes([len(data)]) + data

    for shape in range(6):
        put("open", f"whole-{shape}", bytes([shape]))
        put("open", f"torn-first-{shape}", bytes([shape]) + bytes_of_block(0, 0, 256, b"torn"))
        put("open", f"torn-second-{shape}", bytes([shape]) + bytes_of_block(1, 0, 0, bytes(64)))
    put("open", "sectors-4096", bytes([0x80 | 4]))
    put("open", "behind", b"\0" + reseal(0, 0, 4, 4))
    put("open", "foreign-decrypting", b"\0" + reseal(0, 3, 4, 0) + reseal(1, 3, 2, 0))
    put("open", "directions-differ", b"\0" + reseal(0, 2, 4, 0) + reseal(1, 3, 4, 0))
    put("open", "keys-differ", b"\0" + reseal(0, 8, 4, 9))
    put("open", "beyond-the-end", b"\0" + reseal(0, 0, 200, 9) + reseal(1, 0, 17, 9))
    put("open", "other-size", b"\0" + bytes_of_block(1, 1, 16, struct.pack("<I", 262144)))
    put("open", "other-version", b"\1" + bytes_of_block(0, 1, 12, b"\2") +
        bytes_of_block(1, 1, 12, b"\2"))
    put("open", "many-replicas", b"\3" + bytes_of_block(0, 1, 24, b"\xff\xff"))
    put("open", "anywhere", b"\2" + bytes([3]) + struct.pack("<I", 270000) + b"\4JVCK")


def rekeys():
    fields = oracle.Rekey(*(RANDOM.randbytes(size) for size in (16, 12, 32, 32, 64)))
    record = fields.encode(VMK).rstrip(b"\0")
    put("rekey", "record", b"\0" + record)
    put("rekey", "record-unwrapped", b"\1" + record[:40] + bytes(range(128)))
    put("rekey", "record-of-later", b"\0" + record[:4] + b"\2" + record[5:])
    put("rekey", "record-long", b"\0" + record.ljust(200, b"\1"))


blocks()
journals()
opens()
rekeys()
