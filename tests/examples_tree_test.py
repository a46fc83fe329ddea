#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The driver-shaped tree of objects: what ends when, and that nothing is left."""
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

TREE = os.environ["TREE"]


def lines_of(*arguments):
    result = subprocess.run([TREE, *arguments], capture_output=True, text=True, timeout=120,
                            check=False)
    assert result.returncode == 0, (result.returncode, result.stderr)
    assert result.stderr == "", result.stderr
    return result.stdout.splitlines()


def check_order(lines, devices):
    """Each end once, ports before devices, devices before the driver, memory after life."""
    places = {line.split(" after ")[0]: i for i, line in enumerate(lines)}
    for n in range(devices):
        assert lines.count(f"device {n}: stopped") == 1, lines
        assert lines.count(f"port {n}: closed") == 1, lines
        assert (places[f"port {n}: closed"] < places[f"device {n}: stopped"]
                < places["driver: stopped"]), lines
        assert places[f"port {n}: closed"] < places[f"port {n}: freed"], lines
        assert (places[f"port {n}: freed"] < places[f"device {n}: freed"]
                < places["driver: freed"]), lines
    stopped = [n for n in map(int, re.findall(r"device (\d+): stopped", "\n".join(lines))) if n]
    assert stopped == list(range(devices - 1, 0, -1)), "not youngest first: " + str(lines)
    assert lines[-2:] == ["driver: freed", "unloaded: 0 allocations left"], lines


@tap.test
def unloads_cleanly():
    """devices end youngest first, one was removed from above PASSIVE, nothing is left"""
    for _ in range(20):
        lines = lines_of()
        check_order(lines, 3)
        assert "driver: 300 requests, 0 refused" in lines, lines
        assert "driver: device 0 was removed, a request to it: DELETE_PENDING" in lines, lines
        served = re.findall(r"freed after (\d+) requests", "\n".join(lines))
        assert served == ["100"] * 3, lines
        assert "counter: 100 requests passed" in lines, lines


@tap.test
def unloads_whatever_the_size():
    """the same with one device, with many, and with many requests"""
    check_order(lines_of("--devices", "1"), 1)
    check_order(lines_of("--devices", "64", "--requests", "1"), 64)
    check_order(lines_of("--devices", "5", "--requests", "20000"), 5)


@tap.test
def refuses_other_arguments():
    """wrong arguments are refused"""
    for arguments in (["--devices", "0"], ["--devices", "65"], ["--requests", "x"], ["--what"]):
        result = subprocess.run([TREE, *arguments], capture_output=True, text=True, check=False)
        assert result.returncode == 2, (arguments, result)


if __name__ == "__main__":
    tap.main()
