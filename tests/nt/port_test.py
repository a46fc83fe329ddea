#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel port inside a kernel: port_test.py BUILD_DIR. Its driver's checks, and 100 times loaded
and unloaded with nothing left; once by itself and once under the verifier, where levels show."""
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402
from wine_lab import SUPPLY, DriverError, Lab  # noqa: E402

RUN_CHECKS = 0x222000
COMMIT_MISUSE = 0x222004
BUG_CHECK = "KeBugCheckEx e056434b"
# By number, what is said of it; the last one only where levels show.
MISUSES = (
    "assertion failed: vck_nt_driver() == NULL",
    "assertion failed: memory ",  # freed twice: what is still there decides what is said
    "memory to free is from vck_alloc and undamaged",
    "a spin lock is not taken twice by one thread",
    "a mutex is released by its holder",
    "called at DISPATCH, allowed up to APC",
)
CYCLES = 100
PATIENCE_S = 120
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
    # The system's own pools of threads breathe, the longer the busier it is.
    end = time.monotonic() + PATIENCE_S
    while (after := count_threads(lab)) > before + 3:
        assert time.monotonic() < end, f"{before} threads before {CYCLES} cycles, {after} after"
        time.sleep(0.1)
    lab.unload("porttest_stays")
    assert_nothing_left(lab)


def commit_misuse(lab, name, number):
    """What the drivers said while the system, here their process, came to its end. Each time under
    another name: a name is not free again before the session has ended."""
    lab.load(name, lab.find("porttest.sys"))
    seen = len(lab.debug_lines())
    try:
        lab.ioctl(name, COMMIT_MISUSE, bytes([number]))
    except DriverError:
        return lab.debug_lines()[seen:]
    raise AssertionError(f"it went on after misuse {number}")


def stop_at_misuse(lab, misuses):
    """Each misuse stops the system with a word about the reason."""
    for number, what in misuses:
        said = commit_misuse(lab, f"misuse{number}", number)
        assert any(what in line for line in said), "\n".join([f"nobody said: {what}", *said])
        assert any(BUG_CHECK in line for line in said), "\n".join(["no bug check", *said])


def run_checks(lab):
    lab.load("porttest")
    out = lab.ioctl("porttest", RUN_CHECKS, out_bytes=1 << 16, seconds=600).decode()
    lab.unload("porttest")
    assert_nothing_left(lab)
    return out.splitlines()


def run(build_dir, verifier, first):
    """All of it in one session, counting on from first: (the last number, whether all passed)."""
    with Lab(build_dir, verify=verifier) as lab:
        how = " under the verifier" if verifier is True else ""
        lines = run_checks(lab)
        plan = re.fullmatch(r"1\.\.(\d+)", lines.pop())
        for line in lines:
            number = re.match(r"((?:not )?ok) (\d+) - ([^#]*)(.*)", line)
            print(line if not number else
                  f"{number[1]} {first + int(number[2])} - {number[3].rstrip()}{how} {number[4]}"
                  .rstrip(), flush=True)
        count = first + int(plan[1])
        is_good = tap.run_one(count + 1, f"{CYCLES} times loaded and unloaded, nothing is left{how}",
                              load_and_unload, (lab,))
        # The verifier goes with the first of them.
        misuses = list(enumerate(MISUSES))
        is_good &= tap.run_one(count + 2, f"misuse stops the system{how}", stop_at_misuse,
                               (lab, misuses[-1:] if verifier is True else misuses[:-1]))
    return count + 2, is_good and not any(line.startswith("not ok") for line in lines)


def main():
    build_dir = sys.argv[1] if len(sys.argv) > 1 else None
    count, is_good = run(build_dir, SUPPLY, 0)
    count, is_good_again = run(build_dir, True, count)
    print(f"1..{count}")
    sys.exit(0 if is_good and is_good_again else 1)


if __name__ == "__main__":
    main()
