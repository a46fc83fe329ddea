#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_frame_control to fuzz/corpus; see there for what a step is."""
import struct
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent / "corpus" / "frame_control"
READ, WRITE, OPEN, QUERY_OID, QUERY_BINDING, BIND_WAIT, SET_OID, STATUS, TYPE, STATE = range(10)
RECEIVE, NEWS, PAUSE, RESTART, UNBIND, HOLD, LET_GO, CANCEL, OPEN_RIGHT = range(0x80, 0x89)
ADDRESS = bytes([2, 0, 0, 0, 0, 0])
FRAME = b"\xff" * 6 + ADDRESS + b"\x88\xb5" + bytes(range(46))


def step(what, body=b"", flags=1, room=0):
    return bytes([what, flags, len(body), room]) + body


def oid(number, data=b""):
    return struct.pack("<II", number, 0) + data


SEEDS = {
    "frames": step(OPEN_RIGHT) + step(WRITE, FRAME) + step(RECEIVE, FRAME) + step(READ)
    + step(READ) + step(RECEIVE, FRAME) + step(READ, flags=2, room=20) + step(RECEIVE, FRAME),
    "names": step(OPEN, "net0".encode("utf-16-le") + b"\0\0") + step(OPEN, b"n")
    + step(QUERY_BINDING, struct.pack("<I", 0)) + step(QUERY_BINDING, struct.pack("<I", 9)),
    "numbers": step(OPEN_RIGHT) + step(QUERY_OID, oid(0x10106)) + step(QUERY_OID, oid(0x1010102))
    + step(SET_OID, oid(0x1010e, struct.pack("<I", 0x20)))
    + step(SET_OID, oid(0x1010103, bytes([1, 0, 0x5e, 0, 0, 1]))) + step(QUERY_OID, b"\1"),
    "waits": step(BIND_WAIT) + step(OPEN_RIGHT) + step(STATUS) + step(NEWS, b"1") + step(STATUS)
    + step(READ) + step(CANCEL, bytes([5])) + step(STATE) + step(TYPE, b"\0\x08"),
    "ends": step(OPEN_RIGHT) + step(HOLD, b"\3") + step(WRITE, FRAME)
    + step(QUERY_OID, oid(0x10107)) + step(READ) + step(CANCEL, bytes([2])) + step(PAUSE)
    + step(WRITE, FRAME) + step(RESTART) + step(READ) + step(UNBIND) + step(READ),
    "held": step(OPEN_RIGHT) + step(HOLD, b"\3") + step(WRITE, FRAME) + step(QUERY_OID, oid(0x10107)),
    "state": struct.pack("<IIIIQ6sH9Q", 1, 4, 1500, 3, 10**9, ADDRESS, 0x88b5, *range(9)),
    "binding": struct.pack("<IIIII", 0, 20, 4, 24, 2) + b"a\0\0\0\0\0",
}

DIRECTORY.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (DIRECTORY / name).write_bytes(data)
