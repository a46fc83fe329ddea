#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is in use of file systems, against the programs that made them and plain readers of their
maps. Then the same file systems in use, dirty, damaged and cut short: all refused."""
import os
import random
import re
import struct
import subprocess
from pathlib import Path

import tap

TOOL = os.environ["USED_TOOL"]
MIB = 1 << 20
IMAGE = Path("image")


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, **options)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def make_image(size):
    IMAGE.unlink(missing_ok=True)
    with IMAGE.open("wb") as image:
        image.truncate(size)


def used(size=None):
    """The name, and the ranges, sorted and joined."""
    lines = run(TOOL, IMAGE, *([size] if size else [])).decode().splitlines()
    ranges = sorted(tuple(map(int, line.split())) for line in lines[:-1])
    joined = []
    for first, length in ranges:
        assert first + length <= (size or IMAGE.stat().st_size)
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], first + length)
        else:
            joined.append([first, first + length])
    return lines[-1], joined


def refused(why, size=None):
    done = subprocess.run([TOOL, IMAGE, *([str(size)] if size else [])], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, text=True)
    assert done.returncode == 1 and why in done.stderr, (why, done)


def free_of(ranges, size):
    at, free = 0, []
    for first, end in ranges + [[size, size]]:
        if first > at:
            free.append([at, first])
        at = end
    return free


def patch(offset, new):
    """Returns what was there."""
    with IMAGE.open("r+b") as image:
        image.seek(offset)
        old = image.read(len(new))
        image.seek(offset)
        image.write(new)
    return old


def peek(offset, size):
    with IMAGE.open("rb") as image:
        image.seek(offset)
        return image.read(size)


def patched(offset, new, why):
    assert peek(offset, len(new)) != new
    old = patch(offset, new)
    refused(why)
    patch(offset, old)


def make_tree():
    if Path("tree").exists():
        return
    Path("tree/folder").mkdir(parents=True)
    draw = random.Random(3)
    for i in range(60):
        name = Path("tree", "folder" if i % 3 else ".", f"file{i}")
        name.write_bytes(draw.randbytes(draw.choice([10, 3000, 70000, 400000])))


# ---- ext ----

EXT = {
    "ext2 of 1 KiB": (64, ["-t", "ext2", "-b", "1024"]),
    "ext2 of revision 0": (16, ["-t", "ext2", "-r", "0", "-b", "1024"]),
    "ext3": (64, ["-t", "ext3", "-b", "4096"]),
    "ext4": (300, ["-t", "ext4", "-b", "4096"]),
    "ext4 of 1 KiB": (200, ["-t", "ext4", "-b", "1024"]),
    "ext4 of 2 KiB without flex_bg": (300, ["-t", "ext4", "-b", "2048", "-O", "^flex_bg"]),
    "ext4 of 32 bits": (150, ["-t", "ext4", "-b", "1024", "-O", "^64bit,^metadata_csum"]),
    "ext4 with uninit_bg": (400, ["-t", "ext4", "-b", "1024",
                                  "-O", "^metadata_csum,uninit_bg,^resize_inode"]),
    "ext4 with meta_bg": (300, ["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"]),
    "ext4 with meta_bg of 4 KiB": (600, ["-t", "ext4", "-b", "4096", "-g", "4096",
                                         "-O", "meta_bg,^resize_inode,^flex_bg"]),
    "ext4 with bigalloc": (300, ["-t", "ext4", "-b", "4096", "-O", "bigalloc", "-C", "65536"]),
    "ext4 of 1 KiB with bigalloc": (200, ["-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C",
                                          "16384"]),
    "ext4 with sparse_super2": (300, ["-t", "ext4", "-b", "1024", "-O",
                                      "sparse_super2,^resize_inode"]),
    "ext4 with many features": (300, ["-t", "ext4", "-O", "inline_data,large_dir,quota,project,"
                                      "ea_inode,casefold,encrypt,verity,orphan_file"]),
}


def free_by_dumpe2fs(size):
    text = run("dumpe2fs", IMAGE).decode()
    block = int(re.search(r"Block size: +(\d+)", text).group(1))
    cluster = re.search(r"Cluster size: +(\d+)", text)
    unit = int(cluster.group(1)) if cluster else block
    end = int(re.search(r"Block count: +(\d+)", text).group(1)) * block
    free = []
    for line in re.findall(r"^  Free blocks: (.*)$", text, re.MULTILINE):
        for part in filter(None, line.strip().split(", ")):
            first, _, last = part.partition("-")
            free.append([int(first) * block, int(last or first) * block + unit])
    joined = []
    for first, last in sorted(free):
        last = min(last, end)
        if joined and joined[-1][1] == first:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    assert end <= size
    return joined


def make_ext(mib, options, extra=0):
    make_tree()
    make_image(mib * MIB + extra)
    run("mke2fs", "-q", "-F", "-d", "tree", *options, IMAGE, f"{mib}M")
    removed = [f"rm folder/file{i}" for i in range(1, 60, 4) if i % 3]
    run("debugfs", "-w", "-f", "-", IMAGE, input="\n".join(removed).encode() + b"\n")


@tap.test
def ext_is_what_dumpe2fs_says():
    """ext is what dumpe2fs says"""
    for name, (mib, options) in EXT.items():
        make_ext(mib, options, 5 * MIB + 512)
        size = IMAGE.stat().st_size
        found, ranges = used()
        assert found == name.split()[0], (name, found)
        assert free_of(ranges, size) == free_by_dumpe2fs(size), name


@tap.test
def ext_that_is_not_clean_is_refused():
    """ext that is not clean is refused"""
    make_ext(64, ["-t", "ext4", "-b", "4096"])
    at = 1024
    patched(at + 0x60, struct.pack("<I", struct.unpack("<I", peek(at + 0x60, 4))[0] | 4),
            "journal")
    patched(at + 0x3a, b"\0\0", "not unmounted cleanly")
    patched(at + 0x3a, b"\3\0", "errors")
    patched(at + 0x62, b"\x80", "not known")
    patched(at + 0x66, b"\x80", "not known")
    used()


@tap.test
def ext_that_contradicts_itself_is_refused():
    """ext that contradicts itself is refused"""
    make_ext(64, ["-t", "ext4", "-b", "4096", "-O", "^metadata_csum"])
    at = 1024
    _, ranges = used()
    text = run("dumpe2fs", IMAGE).decode()
    bitmap = int(re.search(r"Block bitmap at (\d+)", text).group(1)) * 4096
    for offset, new in ((0x4, struct.pack("<I", 16385)), (0x4, b"\xff" * 8), (0x18, b"\7"),
                        (0x18, b"\1"), (0x20, b"\0\0\0\0"), (0x20, b"\1\0\0\0"),
                        (0x28, b"\1\0\0\0"), (0x58, b"\0\0"), (0x14, b"\1"), (0xfe, b"\1")):
        old = patch(at + offset, new)
        refused("")
        patch(at + offset, old)
    # A bit of a file that the bitmap forgets, and a bitmap that lies outside.
    byte = peek(bitmap + 1, 1)[0]
    assert byte
    patched(bitmap + 1, bytes([byte & (byte - 1)]), "counts other free blocks")
    patched(4096 + 2, b"\xff", "beyond its end")
    refused("larger than the volume", 63 * MIB)
    assert used()[1] == ranges


# ---- FAT ----

FAT = {
    "FAT12": (4, ["-F", "12", "-s", "4"]),
    "FAT12 of one table": (2, ["-F", "12", "-f", "1"]),
    "FAT16": (64, ["-F", "16"]),
    "FAT16 of sectors of 4096": (256, ["-F", "16", "-S", "4096"]),
    "FAT32": (300, ["-F", "32", "-s", "1"]),
    "FAT32 of large clusters": (600, ["-F", "32", "-s", "16", "-a"]),
}


def fat_layout():
    boot = peek(0, 512)
    sector, per_cluster, reserved, tables, root = struct.unpack_from("<HBHBH", boot, 11)
    sectors = struct.unpack_from("<H", boot, 19)[0] or struct.unpack_from("<I", boot, 32)[0]
    table = struct.unpack_from("<H", boot, 22)[0]
    bits = 32 if table == 0 else 16
    table = table or struct.unpack_from("<I", boot, 36)[0]
    data = reserved + tables * table + (root * 32 + sector - 1) // sector
    clusters = (sectors - data) // per_cluster
    if bits == 16 and clusters < 4085:
        bits = 12
    return sector, per_cluster, reserved * sector, table * sector, data, clusters, bits


def entry_of(table, cluster, bits):
    if bits == 32:
        return struct.unpack_from("<I", table, cluster * 4)[0] & 0xfffffff
    if bits == 16:
        return struct.unpack_from("<H", table, cluster * 2)[0]
    three = int.from_bytes(table[cluster // 2 * 3:cluster // 2 * 3 + 3], "little")
    return three >> 12 * (cluster % 2) & 0xfff


def joined_units(units, size, start):
    """Ranges of units, by number, of a size, the first of which lies at start."""
    joined = []
    for unit in units:
        first = start + unit * size
        if joined and joined[-1][1] == first:
            joined[-1][1] = first + size
        else:
            joined.append([first, first + size])
    return joined


def free_by_table():
    sector, per_cluster, first_table, table_bytes, data, clusters, bits = fat_layout()
    table = peek(first_table, table_bytes)
    free = [i for i in range(clusters) if entry_of(table, i + 2, bits) == 0]
    return joined_units(free, per_cluster * sector, data * sector)


def clusters_by_mtools(name):
    """Of a file: mtools says which."""
    text = run("mshowfat", "-i", IMAGE, f"::{name}", env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    for first, _, last in re.findall(r"<(\d+)(-(\d+))?>", text.decode()):
        yield from range(int(first), int(last or first) + 1)


def make_fat(mib, options):
    make_tree()
    make_image(mib * MIB)
    run("mkfs.fat", *options, IMAGE)
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}
    names = sorted(Path("tree").glob("file*"))
    if mib <= 4:
        names = [name for name in names if name.stat().st_size < 10000]
    run("mcopy", "-i", IMAGE, *names, "::", env=environment)
    for name in names[::3]:
        run("mdel", "-i", IMAGE, f"::{name.name}", env=environment)
    with IMAGE.open("ab") as image:
        image.truncate(mib * MIB + 3 * MIB + 512)
    return [name.name for i, name in enumerate(names) if i % 3]


@tap.test
def fat_is_what_its_table_says():
    """fat is what its table says"""
    for name, (mib, options) in FAT.items():
        files = make_fat(mib, options)
        found, ranges = used()
        assert found == name.split()[0], (name, found)
        assert free_of(ranges, IMAGE.stat().st_size) == free_by_table(), name
        sector, per_cluster, _, _, data, _, _ = fat_layout()
        for file in files:
            for cluster in clusters_by_mtools(file):
                first = (data + (cluster - 2) * per_cluster) * sector
                assert any(a <= first and first + per_cluster * sector <= b
                           for a, b in ranges), (name, file)


@tap.test
def fat_that_is_not_clean_is_refused():
    """fat that is not clean is refused"""
    for name in ("FAT12", "FAT16", "FAT32"):
        make_fat(*FAT[name])
        _, _, first, table_bytes, _, _, bits = fat_layout()
        state = 0x41 if bits == 32 else 0x25
        patched(state, b"\1", "not unmounted cleanly")
        if bits == 12:
            continue
        dirty = peek(first, bits // 4)
        last = len(dirty) - 1
        for bit, why in ((8, "not unmounted cleanly"), (4, "errors")):
            mark = bit if bits == 32 else bit << 4
            patch(first + table_bytes + last, bytes([dirty[last] & ~mark]))
            patched(first + last, bytes([dirty[last] & ~mark]), why)
            patch(first + table_bytes + last, dirty[last:])
        used()


@tap.test
def fat_that_contradicts_itself_is_refused():
    """fat that contradicts itself is refused"""
    make_fat(*FAT["FAT32"])
    sector, _, first, table_bytes, _, _, _ = fat_layout()
    patched(first + table_bytes + 40, b"\1\2", "differ")
    patched(36, struct.pack("<I", 5), "boot sector")
    patched(32, b"\xff\xff\xff\x0f", "larger")
    patched(44, struct.pack("<I", 1), "boot sector")
    patched(0x2a, b"\1", "not known")
    patched(first, b"\xf0", "table")
    both = peek(first + 8, 4)
    patch(first + 8, b"\0\0\0\0")
    patched(first + table_bytes + 8, b"\0\0\0\0", "root directory")
    patch(first + 8, both)
    used()
    refused("larger", 299 * MIB)


# ---- NTFS ----

NTFS = {
    "plain": (64, []),
    "small clusters": (100, ["-c", "512"]),
    "large clusters": (300, ["-c", "65536"]),
    "sectors of 4096": (128, ["-s", "4096"]),
}


def free_by_ntfscat():
    """The bitmap as ntfs-3g's tool reads it."""
    boot = peek(0, 512)
    sector, per_cluster = struct.unpack_from("<HB", boot, 11)
    cluster = sector * (per_cluster if per_cluster <= 128 else 1 << 256 - per_cluster)
    clusters = struct.unpack_from("<Q", boot, 40)[0] * sector // cluster
    bitmap = run("ntfscat", "-f", "-i", "6", IMAGE)
    free = [i for i in range(clusters) if not bitmap[i // 8] >> i % 8 & 1]
    return joined_units(free, cluster, 0)


def make_ntfs(mib, options):
    make_tree()
    make_image(mib * MIB)
    run("mkntfs", "-F", "-Q", *options, IMAGE)
    for name in sorted(Path("tree").glob("file*"))[:12]:
        run("ntfscp", "-f", IMAGE, name, name.name)
    with IMAGE.open("ab") as image:
        image.truncate(mib * MIB + 2 * MIB + 512)


def record_at(number):
    """Where a record of the MFT's beginning lies, and its size."""
    boot = peek(0, 512)
    sector, per_cluster = struct.unpack_from("<HB", boot, 11)
    cluster = sector * (per_cluster if per_cluster <= 128 else 1 << 256 - per_cluster)
    size = boot[64] * cluster if boot[64] < 128 else 1 << 256 - boot[64]
    return struct.unpack_from("<Q", boot, 48)[0] * cluster + number * size, size, cluster


def attribute_at(number, kind):
    at, size, _ = record_at(number)
    record = peek(at, size)
    where = struct.unpack_from("<H", record, 20)[0]
    while struct.unpack_from("<I", record, where)[0] != kind:
        where += struct.unpack_from("<I", record, where + 4)[0]
    return at + where


@tap.test
def ntfs_is_what_its_bitmap_says():
    """ntfs is what its bitmap says"""
    for name, (mib, options) in NTFS.items():
        make_ntfs(mib, options)
        found, ranges = used()
        assert found == "NTFS"
        assert free_of(ranges, IMAGE.stat().st_size) == free_by_ntfscat(), name


@tap.test
def ntfs_with_a_bitmap_in_pieces_is_read():
    """ntfs with a bitmap in pieces is read"""
    make_ntfs(*NTFS["small clusters"])
    _, ranges = used()
    data = attribute_at(6, 0x80)
    _, _, cluster = record_at(6)
    runs_at = data + struct.unpack("<H", peek(data + 0x20, 2))[0]
    head = peek(runs_at, 1)[0]
    lengths, distances = head & 15, head >> 4
    count = int.from_bytes(peek(runs_at + 1, lengths), "little")
    first = int.from_bytes(peek(runs_at + 1 + lengths, distances), "little", signed=True)
    assert count > 8 and peek(runs_at + 1 + lengths + distances, 1) == b"\0"
    # The second half of the bitmap moves to the first gap that holds it; for the runs the record
    # grows, in front of its end.
    record, _, _ = record_at(6)
    size = struct.unpack("<I", peek(data + 4, 4))[0]
    in_use = struct.unpack("<I", peek(record + 24, 4))[0]
    rest = peek(data + size, record + in_use - data - size)
    assert in_use + 16 < 510 and len(rest) >= 4
    patch(data + size + 16, rest)
    patch(data + 4, struct.pack("<I", size + 16))
    patch(record + 24, struct.pack("<I", in_use + 16))
    room = data + size + 16 - runs_at
    half = count // 2
    gap = next(a for a, b in free_by_ntfscat() if b - a >= count * cluster) // cluster
    patch(gap * cluster, peek((first + half) * cluster, (count - half) * cluster))
    patch((first + half) * cluster, b"\xaa" * ((count - half) * cluster))
    runs = (b"\x42" + struct.pack("<Hi", half, first) + b"\x42" +
            struct.pack("<Hi", count - half, gap - first) + b"\0")
    assert len(runs) <= room, room
    patch(runs_at, runs)
    bits = bytearray(run("ntfscat", "-f", "-i", "6", IMAGE))
    refused("its own files are free")
    for at in range(gap, gap + count - half):
        bits[at // 8] |= 1 << at % 8
    patch(first * cluster, bits[:half * cluster])
    patch(gap * cluster, bits[half * cluster:count * cluster])
    _, now = used()
    assert free_of(now, IMAGE.stat().st_size) == free_by_ntfscat()
    assert now != ranges


@tap.test
def ntfs_that_is_not_clean_is_refused():
    """ntfs that is not clean is refused"""
    make_ntfs(*NTFS["plain"])
    volume = attribute_at(3, 0x70)
    flags = volume + struct.unpack("<H", peek(volume + 0x14, 2))[0] + 10
    patched(flags, b"\1", "not unmounted cleanly")
    log = attribute_at(2, 0x80)
    runs_at = log + struct.unpack("<H", peek(log + 0x20, 2))[0]
    head = peek(runs_at, 1)[0]
    first = int.from_bytes(peek(runs_at + 1 + (head & 15), head >> 4), "little")
    at = first * record_at(2)[2]

    def page(number, clients, flag):
        area = struct.pack("<QHHHH", number, 1, 0, clients, flag)
        return (b"RSTR" + struct.pack("<HHQIIHHH", 30, 9, 0, 4096, 4096, 48, 1, 1)).ljust(48, b"\0") \
            + area.ljust(4048, b"\0")
    empty = peek(at, 8192)
    for clean in (page(5, 0xffff, 0) + page(4, 0, 0), page(5, 0, 2) + page(5, 0, 2),
                  page(4, 0, 0) + page(5, 0xffff, 0)):
        patch(at, clean)
        used()
    for dirty in (page(5, 0, 0) + page(4, 0xffff, 0), page(4, 0xffff, 0) + page(5, 0, 0)):
        patched(at, dirty, "hibernated")
    patched(at, b"CHKD", "log")
    patch(at, empty)
    used()


@tap.test
def ntfs_that_contradicts_itself_is_refused():
    """ntfs that contradicts itself is refused"""
    make_ntfs(*NTFS["plain"])
    mft, size, _ = record_at(0)
    for offset, new in ((0x28, b"\xff" * 7), (0x30, b"\xff" * 7), (0x40, b"\x70"), (0xd, b"\3"),
                        (0xb, b"\1\1"), (mft, b"BAAD"), (mft + 510, b"\x12\x34"),
                        (mft + 6 * size, b"FILX"), (mft + 3 * size + 22, b"\0"),
                        (attribute_at(6, 0x80) + 12, b"\1"), (attribute_at(6, 0x80) + 0x30, b"\1" * 7),
                        (attribute_at(6, 0x80) + 0x10, b"\1"), (attribute_at(6, 0x80), b"\x90")):
        old = patch(offset, new)
        assert old != new
        refused("")
        patch(offset, old)
    used()
    refused("larger", 63 * MIB)


# ---- others ----

@tap.test
def what_is_not_known_is_refused():
    """what is not known is refused"""
    make_image(MIB)
    refused("")
    patch(0, random.Random(1).randbytes(MIB))
    refused("")
    make_image(512)
    refused("")


if __name__ == "__main__":
    tap.main()
