#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_tpm to fuzz/corpus: what a TPM of swtpm answers to the vck in $VCK."""
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent / "tests"))
import key_oracle as oracle  # noqa: E402
import tpm_lab  # noqa: E402

SEAL, UNSEAL, CHECK, READ, PIN = 0, 1, 2, 3, 4
HEADER = (512, 131072, 0, 2)


def responses(log):
    """Every second message."""
    data, found = log.read_bytes(), []
    while data:
        size = struct.unpack_from(">I", data, 2)[0]
        found.append(data[:size])
        data = data[size:]
    log.unlink()
    return found[1::2]


def put(name, what, payload, answers, fix=1):
    directory = ROOT / "corpus/tpm"
    directory.mkdir(parents=True, exist_ok=True)
    pieces = b"".join(struct.pack("<H", len(piece)) + piece for piece in (payload, *answers))
    (directory / name).write_bytes(bytes([what, fix]) + pieces)


def payload_of(image, number):
    data = image.read_bytes()
    table = oracle.read_tables(data, data[-480:-464], HEADER)[0]
    return table.slots[number].payload


def main():
    with tempfile.TemporaryDirectory() as directory, tpm_lab.Tpm(Path(directory) / "tpm") as tpm:
        log, image = Path(directory) / "log", Path(directory) / "image"
        way = tpm.way(f"log={log}")
        image.write_bytes(bytes(1 << 20))
        for name, data in (("vmk", bytes(range(32))), ("pin", b"1234")):
            (Path(directory) / name).write_bytes(data)

        def vck(*arguments, code=0):
            done = subprocess.run([os.environ["VCK"], *arguments, image], cwd=directory, check=False,
                                  stdin=subprocess.DEVNULL, capture_output=True)
            assert done.returncode == code, done.stderr
            return responses(log) if log.exists() else []

        vck("prepare", "--vmk-file", "vmk", "--metadata-size", "128K")
        add = ("key", "add", "--vmk-file", "vmk", "--type", "tpm", "--tpm", way, "--pcrs", "7,12")
        test = ("key", "test", "--tpm", way)
        made = vck(*add)
        # Reading PCRs comes first, and is the command's own call.
        put("read", READ, b"", made[:1])
        put("seal", SEAL, b"", made[1:])
        put("seal-as-it-is", SEAL | PIN, b"", made[1:], fix=0)
        sealed = payload_of(image, 0)
        put("unseal", UNSEAL, sealed, vck(*test))
        vck(*add, "--pin", "--new-key-file", "pin")
        put("unseal-pin", UNSEAL, payload_of(image, 1), vck(*test, "--slot", "1", "--pin-file", "pin"))
        put("check", CHECK, sealed, vck(*test))
        tpm.tool("changeauth", "-c", "owner", "-p", "", "x")
        put("owner", UNSEAL, sealed, vck(*test, "--slot", "0", code=4), fix=0)
        tpm.tool("changeauth", "-c", "owner", "-p", "x")
        tpm.make_primary()
        tpm.tool("evictcontrol", "-C", "o", "-c", "primary.ctx", "0x81000001")
        tpm.flush()
        tpm.tool("changeauth", "-c", "owner", "x")
        put("kept", UNSEAL, sealed, vck(*test), fix=0)
        tpm.tool("pcrextend", "7:sha256=" + 64 * "0")
        put("differs", CHECK, sealed, vck(*test, "--slot", "0", code=4), fix=0)


if __name__ == "__main__":
    main()
