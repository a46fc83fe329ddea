#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vck.sys in Wine's kernel. Encrypted reads through it against the same disk without it, and against
itself with one request in flight; BENCH in the driver against the same vectors on the host.

The disk is one of tests/nt/testdisk: in memory, completing each request later, on a thread of its
own. Threads in the kernel send the requests, as Wine hands a driver those of programs one by one.
The verifier supplies what Wine lacks and checks nothing."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from common import MIB, ROOT, main, median, row

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "nt")]
import testdisk  # noqa: E402
import wine_lab  # noqa: E402

DISK_BYTES = 64 * MIB
DEEP = 8


def prepare(lab, vck, disk):
    key, image = lab.directory / "key", lab.directory / "image"
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run([vck, "prepare", "--new-vmk", key, image], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    disk.put(image)
    lab.run("vck.exe", "attach", "--vmk-file", lab.windows_path(key), disk.path)
    lab.run("vck.exe", "encrypt", disk.path)


def fill(disk):
    """What was never written is zeroes to the disk, and costs it less than what was."""
    testdisk.clean(disk.load(testdisk.FILL, threads=1, depth=DEEP, max_bytes=65536,
                             size_bytes=DISK_BYTES))


def read_mib_s(disk, block_bytes, depth, stop_ms):
    told = testdisk.clean(disk.load(testdisk.SPEED, threads=1, depth=depth, max_bytes=block_bytes,
                                    read_percent=100, size_bytes=DISK_BYTES * 3 // 4,
                                    stop_ms=stop_ms))
    return told["bytes"] / MIB / (told["elapsed_100ns"] / 1e7)


def measure_reads(encrypted, plain, block_bytes, quick):
    """In short turns, and by the ratio of neighbours: how fast Wine wakes changes all the time."""
    ways = {"deep": (encrypted, DEEP), "plain": (plain, DEEP), "single": (encrypted, 1)}
    speeds = {name: [] for name in ways}
    for _ in range(10 if quick else 40):
        for name, (disk, depth) in ways.items():
            speeds[name].append(read_mib_s(disk, block_bytes, depth, 80))
    typical = {name: median(values) for name, values in speeds.items()}

    def ratio(other):
        return median([a / b for a, b in zip(speeds["deep"], speeds[other])])

    what = f"driver under Wine, encrypted reads of {block_bytes >> 10} KiB, {DEEP} in flight"
    return [row(what, "the disk unfiltered", ratio("plain"), target=0.7, mib_s=typical),
            row(what, "1 in flight", ratio("single"), target=2)]


def bench(command):
    """MiB/s to encrypt and to decrypt."""
    told = json.loads(command("bench", "--json", "--size", "256M"))
    return told["encrypt_mib_s"], told["decrypt_mib_s"]


def measure_cipher(lab, vck, quick):
    def on_host(*arguments):
        return subprocess.run([vck, *arguments], check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True).stdout

    ways = {
        "driver": lambda *arguments: lab.run("vck.exe", *arguments).out,
        "xmm": lambda *arguments: on_host(*arguments, "--local", "--xmm"),
        "all": lambda *arguments: on_host(*arguments, "--local"),
    }
    speeds = {name: [] for name in ways}
    for _ in range(3 if quick else 9):
        for name, command in ways.items():
            speeds[name].append(bench(command))
    typical = {name: [median(each) for each in zip(*values)] for name, values in speeds.items()}

    def ratio(other):
        return min(a / b for a, b in zip(typical["driver"], typical[other]))

    return [row("BENCH in the driver under Wine", "the host, --xmm", ratio("xmm"), target=0.9,
                mib_s=typical),
            row("BENCH in the driver under Wine", "the host, all vectors", ratio("all"))]


def measure(build_dir, quick=False):
    nt_build = Path(os.environ.get("VCK_NT_BUILD") or ROOT / "build" / "nt")
    if not (nt_build / "products/vcksys/vck.sys").exists():
        print(f"no drivers in {nt_build} (make drivers): not measured", file=sys.stderr)
        return []
    vck = shutil.which("vck", path=Path(build_dir) / "products" / "vck")
    try:
        lab = wine_lab.Lab(nt_build, verify=wine_lab.SUPPLY)
    except wine_lab.LabError as problem:
        print(f"{problem}: not measured", file=sys.stderr)
        return []
    with lab:
        lab.load("vck")
        lab.load("vcktestdisk")
        with testdisk.Client(lab) as client:
            encrypted, plain = (client.create(i, size_bytes=DISK_BYTES) for i in range(2))
            encrypted.add("vck")
            assert encrypted.start() == 0
            prepare(lab, vck, encrypted)
            fill(plain)
            for disk in (encrypted, plain):
                disk.behave(completion=testdisk.THREAD)
            rows = [r for block_bytes in (65536, 4096)
                    for r in measure_reads(encrypted, plain, block_bytes, quick)]
            lab.run("vck.exe", "detach", encrypted.path)
        return rows + measure_cipher(lab, vck, quick)


if __name__ == "__main__":
    main(measure)
