#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_volume_bitmap to fuzz/corpus: answers as Windows' file systems give them,
whole and in pieces, and some that contradict themselves."""
import struct
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus/volume_bitmap"
NTFS = (1 << 20, 0, 4096)
FAT = (1 << 20, 70 * 512, 2048)


def answer(first, clusters, bits, has_more=0):
    piece = struct.pack("<QQ", first, clusters) + bits
    return struct.pack("<BH", has_more, len(piece)) + piece


def put(name, shape, *answers):
    CORPUS.mkdir(parents=True, exist_ok=True)
    (CORPUS / name).write_bytes(struct.pack("<QQQ", *shape) + b"".join(answers))


put("ntfs", NTFS, answer(0, 255, b"\xff\x0f" + bytes(28) + b"\x80\x7f"))
put("fat", FAT, answer(0, 490, b"\1" * 62))
put("pieces", NTFS, answer(0, 255, b"\1\2\3\4\5\6\7\x08", 1), answer(64, 191, b"\xff" * 16, 1),
    answer(192, 63, b"\xf0" * 8))
put("rounded", NTFS, answer(0, 255, b"\xaa\x55\xff", 1), answer(0, 255, b"\xaa\x55\xff" + bytes(29)))
put("boot-free", NTFS, answer(0, 255, b"\xfe" * 32))
put("grows", NTFS, answer(0, 200, b"\1" * 8, 1), answer(64, 140, b"\1" * 24))
put("stuck", NTFS, answer(0, 255, b"\1" * 8, 1), answer(0, 255, b"\1" * 8, 1))
put("large", FAT, answer(0, 4000, b"\1" * 500))
put("fails", NTFS, answer(0, 255, b"\1", 1), b"\2\0\0")
