#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel port inside a kernel: port_test.py BUILD_DIR. Its driver's checks, and 100 times loaded
and unloaded with nothing left."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402
from wine_lab import Lab  # noqa: E402

RUN_CHECKS = 0x222000
CYCLES = 100
LEFT = re.compile(r"vck: error: .* left$")


def count_threads(lab):
    """Threads of the process the drivers are in, by what is mapped there."""
    found = [maps.parent for maps in Path("/proc").glob("[0-9]*/maps")
             if str(lab.drive_c) in read(maps) and "porttest_stays.sys" in read(maps)]
    assert len(found) == 1, f"{len(found)} processes have the driver"
    return len(list((found[0] / "task").iterdir()))


def read(path):
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def assert_nothing_left(lab):
    left = [line for line in lab.debug_lines() if LEFT.search(line)]
    assert not left, "\n".join(left)


def load_and_unload(lab):
    """100 cycles beside a copy that stays, which keeps the process: code that still ran in a driver
    that is gone would end it."""
    lab.load("porttest_stays", lab.find("porttest.sys"))
    lab.load("porttest")
    lab.unload("porttest")
    before = count_threads(lab)
    for _ in range(CYCLES):
        lab.load("porttest")
        lab.unload("porttest")
    after = count_threads(lab)
    # The system's own pools of threads breathe.
    assert after <= before + 3, f"{before} threads before {CYCLES} cycles, {after} after"
    lab.unload("porttest_stays")
    assert_nothing_left(lab)


def run_checks(lab):
    lab.load("porttest")
    out = lab.ioctl("porttest", RUN_CHECKS, out_bytes=1 << 16, seconds=120).decode()
    lab.unload("porttest")
    assert_nothing_left(lab)
    return out.splitlines()


def main():
    build_dir = sys.argv[1] if len(sys.argv) > 1 else None
    with Lab(build_dir) as lab:
        lines = run_checks(lab)
        plan = re.fullmatch(r"1\.\.(\d+)", lines.pop())
        count = int(plan.group(1)) + 1
        print(f"1..{count}")
        print("\n".join(lines))
        name = f"{CYCLES} times loaded and unloaded, nothing is left"
        is_good = tap.run_one(count, name, load_and_unload, (lab,))
    sys.exit(0 if is_good and not any(line.startswith("not ok") for line in lines) else 1)


if __name__ == "__main__":
    main()
