#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_filesystem: small file systems, of which the blocks that are not zero are
kept as far as they describe the whole."""
import struct
import subprocess
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus" / "filesystem"
BLOCK = 1024
MAKERS = {
    "ext2": (2, ["mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", "-N", "16"]),
    "ext4-meta-bg": (8, ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-N", "16", "-g", "1024",
                         "-O", "meta_bg,^resize_inode,^has_journal"]),
    "ext4-bigalloc": (8, ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-N", "16", "-O",
                          "bigalloc,^has_journal,^resize_inode"]),
    "fat12": (1, ["mkfs.fat", "-F", "12"]),
    "fat16": (17, ["mkfs.fat", "-F", "16", "-s", "4"]),
    "fat32": (34, ["mkfs.fat", "-F", "32", "-s", "1"]),
    "ntfs": (3, ["mkntfs", "-F", "-Q", "-q", "-c", "4096"]),
}


def main():
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, (mib, command) in MAKERS.items():
        with tempfile.NamedTemporaryFile() as image:
            image.truncate(mib << 20)
            subprocess.run([*command, image.name], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            data = Path(image.name).read_bytes()
        seed = struct.pack("<H", len(data) // 4096)
        blocks = [i for i in range(len(data) // BLOCK) if any(data[i * BLOCK:(i + 1) * BLOCK])]
        for number in blocks[:48]:
            seed += struct.pack("<H", number) + data[number * BLOCK:(number + 1) * BLOCK]
        (CORPUS / name).write_bytes(seed)


if __name__ == "__main__":
    main()
