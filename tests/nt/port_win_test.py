#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The user-mode port under Wine: port_win_test.py BUILD_DIR. Prints what its program found."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))
from wine_lab import Lab, LabError  # noqa: E402


def main():
    try:
        lab = Lab(sys.argv[1] if len(sys.argv) > 1 else None)
    except LabError as problem:
        print(f"1..0 # SKIP {problem}")
        return 0
    with lab:
        said = lab.run("porttest-user.exe", seconds=900).out
    print(said, end="")
    lines = said.splitlines()
    return 0 if lines and lines[-1].startswith("1..") and "\nnot ok" not in "\n" + said else 1


sys.exit(main())
