#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_key_table to fuzz/corpus; see there for what the first byte means."""
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent / "tests"))
import key_oracle as oracle  # noqa: E402

VOLUME_ID = b"a fuzzed volume."


def put(name, data):
    directory = ROOT / "corpus/key_table"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)


def slot(number, kind, kdf, passes=0, memory=0, lanes=0, vmk=VOLUME_ID):
    return oracle.make_slot(VOLUME_ID, number, kind, VOLUME_ID, vmk, kdf, passes, memory, lanes,
                            bytes([number]) * 16, bytes(32), bytes(12), 1, f"slot {number}")


def main():
    slots = [slot(0, oracle.PASSPHRASE, oracle.ARGON2ID, 1, 16, 2),
             slot(1, oracle.PASSPHRASE, oracle.PBKDF2, 2),
             slot(2, oracle.FILE, oracle.HKDF_KIND, vmk=b"x"),
             slot(31, oracle.RECOVERY, oracle.HKDF_KIND)]
    unknown = struct.pack("<HHHH16sQ64s", 96, 99, 7, 0, b"u" * 16, 0, b"unknown")
    tables = {"empty": [], "each-type": slots, "unknown": slots[:1] + [unknown],
              "full": [slot(i, oracle.FILE, oracle.HKDF_KIND) for i in range(32)],
              "hard": [slot(0, oracle.FILE, oracle.HKDF_KIND)[:98] + b"\xff" * 30 +
                       slot(0, oracle.FILE, oracle.HKDF_KIND)[128:]]}
    for name, content in tables.items():
        table = oracle.make_table(VOLUME_ID, VOLUME_ID, 2, content)
        put(name, b"\0" + table)
        put(name + "-fixed", b"\3" + table)
    put("future", b"\0" + oracle.make_table(VOLUME_ID, VOLUME_ID, 2, slots, version=2))
    key = bytes(range(32))
    wrapped = slot(0, oracle.FILE, oracle.HKDF_KIND, vmk=key)
    table = oracle.make_table(VOLUME_ID, VOLUME_ID, 2, slots)
    backup = oracle.make_backup(VOLUME_ID, wrapped, key, bytes(12), 1, 1 << 20, bytes(512), VOLUME_ID,
                                table)
    put("backup", b"\x08" + backup)
    put("backup-cut", b"\x08" + backup[:400])
    put("recovery", b"\4" + oracle.recovery_text(bytes(range(16))).encode())
    put("recovery-spaces", b"\4" + oracle.recovery_text(bytes(16)).replace("-", " ").encode())


if __name__ == "__main__":
    main()
