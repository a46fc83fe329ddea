#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The sockets of drivers inside a kernel: the tests of the net room, with what the system has, and
nothing left of them. The build directory is in VCK_NT_BUILD."""
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402
from wine_lab import Lab  # noqa: E402

RUN_TESTS = 0x222000
CYCLES = 3
LEFT = re.compile(r"vck: error: .* left$")


def assert_nothing_left(lab):
    left = [line for line in lab.debug_lines() if LEFT.search(line)]
    assert not left, "\n".join(left)


def run_tests(lab):
    lab.load("nettest")
    out = lab.ioctl("nettest", RUN_TESTS, out_bytes=1 << 16, seconds=600).decode()
    lab.unload("nettest")
    return out.splitlines()


def run_again(lab):
    """Loaded, run and unloaded, while a copy that stays keeps the process: code that still ran in
    a driver that is gone would end it."""
    lab.load("nettest_stays", lab.find("nettest.sys"))
    for _ in range(CYCLES):
        lines = run_tests(lab)
        failed = [line for line in lines if line.startswith("not ok")]
        assert not failed, "\n".join(failed)
    lab.unload("nettest_stays")
    assert_nothing_left(lab)


def main():
    with Lab(os.environ.get("VCK_NT_BUILD")) as lab:
        lines = run_tests(lab)
        plan = re.fullmatch(r"1\.\.(\d+)", lines.pop())
        count = int(plan[1])
        print("\n".join(lines), flush=True)
        is_good = tap.run_one(count + 1, f"{CYCLES} times loaded, run and unloaded, nothing is left",
                              run_again, (lab,))
        print(f"1..{count + 1}")
    sys.exit(0 if is_good and not any(line.startswith("not ok") for line in lines) else 1)


if __name__ == "__main__":
    main()
