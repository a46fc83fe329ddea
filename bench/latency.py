#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Latency of random reads over NBD from an 8 GiB volume on disk, with and without a sweep going on.
Both states take turns."""
import sys

from common import MIB, fio, main, median, row
from lab import Lab


def p99_us(uri, depth, seconds, seed):
    result = fio(uri, "randread", 4096, depth, seconds=seconds, seed=seed)
    return result["clat_ns"]["percentile"]["99.000000"] / 1000


def measure(build_dir, quick=False):
    size, rounds, seconds = (1024 * MIB, 2, 2) if quick else (8192 * MIB, 5, 4)
    still, swept, moved = {}, {}, []
    with Lab(build_dir, prefix="vck-bench-") as lab:
        image, key = lab.directory / "disk.img", lab.directory / "key"
        piece = bytes(range(256)) * 4096
        with open(image, "wb") as file:
            for _ in range(size // MIB):
                file.write(piece)
        lab.prepare(image, key, "--grow")
        lab.start()
        lab.attach(image, key)
        uri = lab.uri(image)
        direction = "encrypt"
        fio(uri, "read", 1 << 20, 8, size_bytes=size)
        for turn in range(rounds):
            for depth in (1, 16):
                still.setdefault(depth, []).append(p99_us(uri, depth, seconds, turn + 1))
                direction = other_end(lab, image, direction)
                before = lab.status(image)
                swept.setdefault(depth, []).append(p99_us(uri, depth, seconds, turn + 1))
                moved.append(abs(progress(lab, image, before)) / seconds / MIB)
                lab.vck("pause", image)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [row(f"p99 of random 4 KiB reads while sweeping, {depth} deep", "without a sweep",
                median([b / a for a, b in zip(still[depth], swept[depth])]), target=3,
                at_least=False, still_us=median(still[depth]), swept_us=median(swept[depth]),
                sweep_mib_s=median(moved))
            for depth in (1, 16)]


def progress(lab, image, before):
    """Bytes the sweep has moved since, and that it was still moving."""
    after = lab.status(image)
    if after["state"] == "idle":
        print(" [a sweep ended before the reads did]", end="", file=sys.stderr)
    return (after["encrypted_sectors"] - before["encrypted_sectors"]) * after["sector_size_bytes"]


def other_end(lab, image, direction):
    """Starts a sweep that has far to go."""
    status = lab.status(image)
    done = status["encrypted_sectors"] / status["total_sectors"]
    if done < 0.35:
        direction = "encrypt"
    elif done > 0.65:
        direction = "decrypt"
    lab.vck(direction, "--no-wait", image)
    return direction


if __name__ == "__main__":
    main(measure)
