#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_handover, fuzz_locator and fuzz_gpt to fuzz/corpus."""
import struct
import uuid
import zlib
from pathlib import Path

import msgpack

ROOT = Path(__file__).resolve().parent
PARTITION = uuid.UUID("12345678-9abc-def0-1122-334455667788")
DISK_BYTES = 256 * 1024


def put(fuzzer, name, data):
    directory = ROOT / "corpus" / fuzzer
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)


def handovers():
    key = bytes(range(32))
    guids = {"bin": PARTITION.bytes_le, "array": list(PARTITION.bytes_le), "text": str(PARTITION),
             "braces": "{" + str(PARTITION).upper() + "}"}
    for name, guid in guids.items():
        put("handover", f"guid-{name}", msgpack.packb({"partition_guid": guid, "vmk": key}))
    put("handover", "vmk-array", msgpack.packb({"vmk": list(key) + [255, 128],
                                                "partition_guid": PARTITION.bytes_le}))
    put("handover", "more", msgpack.packb({"x": [None, {"y": 1.5}], "vmk": b"k",
                                           "partition_guid": PARTITION.bytes_le}))
    put("handover", "vmk-largest", msgpack.packb({"partition_guid": PARTITION.bytes_le,
                                                  "vmk": bytes(1024)}))
    put("handover", "vmk-too-large", msgpack.packb({"partition_guid": PARTITION.bytes_le,
                                                    "vmk": bytes(1025)}))


def locators():
    fields = {"magic": 0x4C4B4356, "version": 1, "address": 0x7F123000, "length": 96}
    put("locator", "value", msgpack.packb(fields))
    put("locator", "value-reversed", msgpack.packb(dict(reversed(fields.items()))))
    put("locator", "value-high", msgpack.packb({**fields, "address": 2 ** 64 - 65537,
                                                "length": 65536}))
    put("locator", "value-other-version", msgpack.packb({**fields, "version": 2}))
    table = bytearray(struct.pack("<4sIBB6s8sI4sIQQ", b"VCKD", 52, 1, 0, b"VCKIT ", b"HANDOVER", 1,
                                  b"VCK ", 1, 0x7F123000, 96))
    table[9] = -sum(table) & 0xFF
    put("locator", "table", bytes(table))


def header(sector_bytes, lba, entries_lba, entries):
    last = DISK_BYTES // sector_bytes - 1
    sectors = -(-len(entries) // sector_bytes)
    fields = [b"EFI PART", 0x10000, 92, 0, 0, lba, 1 if lba == last else last, 2 + sectors,
              last - sectors - 1, PARTITION.bytes_le, entries_lba, len(entries) // 128, 128,
              zlib.crc32(entries)]
    form = "<8sIIIIQQQQ16sQIII"
    fields[3] = zlib.crc32(struct.pack(form, *fields))
    return struct.pack(form, *fields)


def disk(sector_bytes, count):
    entries = bytearray(128 * count)
    for number, first in ((0, 40), (2, 50)):
        identity = uuid.UUID(int=PARTITION.int + number).bytes_le
        struct.pack_into("<16s16sQQQ", entries, 128 * number, bytes([7] * 16), identity, first,
                         first + 9, number)
    sectors = -(-len(entries) // sector_bytes)
    last = DISK_BYTES // sector_bytes - 1
    table = entries.ljust(sectors * sector_bytes, b"\0")
    front = bytes(sector_bytes) + header(sector_bytes, 1, 2, entries).ljust(sector_bytes, b"\0")
    back = header(sector_bytes, last, last - sectors, entries).ljust(sector_bytes, b"\0")
    return bytes(front + table), bytes(table + back)


def gpts():
    for name, choices, sector_bytes, count in (
            ("small", 0, 512, 4), ("usual", 0, 512, 128), ("sectors-4096", 3, 4096, 32),
            ("primary-unreadable", 1 << 5, 512, 4), ("small-buffer", 16, 512, 4),
            ("sealed", 4 | 8, 512, 4)):
        front, back = disk(sector_bytes, count)
        longest = max(len(front), len(back))
        put("gpt", name, bytes([choices]) + front.ljust(longest, b"\0") +
            back.rjust(longest, b"\0"))


handovers()
locators()
gpts()
