#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Time to attach a small and a huge volume, and the daemon's memory: for each attached volume, and
for several sweeps together."""
import time

from common import MIB, main, median, row
from lab import Lab

SMALL, HUGE = 1024 * MIB, 8 * 1024 * 1024 * MIB
VOLUMES = 8


def make(lab, name, size):
    image, key = lab.directory / f"{name}.img", lab.directory / f"{name}.key"
    with open(image, "wb") as file:
        file.truncate(size)
    lab.prepare(image, key, "--grow")
    return image, key


def attach_ms(lab, image, key):
    start = time.monotonic()
    lab.attach(image, key)
    elapsed = time.monotonic() - start
    lab.vck("detach", image)
    return elapsed * 1000


def measure(build_dir, quick=False):
    rounds = 5 if quick else 15
    with Lab(build_dir, prefix="vck-bench-") as lab:
        small, huge = make(lab, "small", SMALL), make(lab, "huge", HUGE)
        lab.start()
        times = {"small": [], "huge": []}
        for _ in range(rounds):
            times["small"].append(attach_ms(lab, *small))
            times["huge"].append(attach_ms(lab, *huge))
        lab.stop()

        volumes = [make(lab, f"volume{i}", SMALL // 2) for i in range(VOLUMES)]
        lab.start()
        empty = lab.memory_kib()
        for image, key in volumes:
            lab.attach(image, key)
        idle = lab.memory_kib()
        for image, _ in volumes:
            lab.vck("rate", image, 16)
            lab.vck("encrypt", "--no-wait", image)
        sweeping = idle
        for _ in range(30):
            time.sleep(0.1)
            sweeping = max(sweeping, lab.memory_kib())
    return [
        row("attach a sparse 8 TiB volume", "attach 1 GiB",
            median(times["huge"]) / median(times["small"]), target=1.5, at_least=False,
            small_ms=median(times["small"]), huge_ms=median(times["huge"])),
        row("memory of one attached idle volume", "-", (idle - empty) / 1024 / VOLUMES, "MiB",
            target=4, at_least=False, daemon_mib=empty / 1024),
        row(f"memory of {VOLUMES} sweeps together", "the same volumes idle",
            (sweeping - idle) / 1024, "MiB", target=40, at_least=False),
    ]


if __name__ == "__main__":
    main(measure)
