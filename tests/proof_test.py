#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests that docs/runtime-proof.md names exist and are run."""
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PROOF = ROOT / "docs" / "runtime-proof.md"


def rows():
    """[(promise, [test])] of the table's lines that are not headings."""
    lines = [line.split("|")[1:3] for line in PROOF.read_text().splitlines()
             if line.startswith("| ")][2:]
    return [(promise.strip(), re.findall(r"`(\w+)`", tests)) for promise, tests in lines
            if not promise.strip().startswith("**")]


def run_tests():
    """The test functions that their program mentions again: in its list."""
    text = "".join(path.read_text() for folder in ("src", "port/posix")
                   for path in (ROOT / folder).rglob("*_test.c"))
    uses = Counter(re.findall(r"\w+", text))
    return {name for name in re.findall(r"^static void\s+(\w+)\(\s*void \*\*state\)", text,
                                        re.MULTILINE) if uses[name] > 1}


@tap.test
def named_tests_exist():
    """every test that is named exists and is run"""
    missing = [name for _, names in rows() for name in names if name not in run_tests()]
    assert not missing, missing


@tap.test
def promises_have_tests():
    """every promise has a test"""
    bare = [promise for promise, names in rows() if not names]
    assert len(rows()) > 50 and not bare, bare


if __name__ == "__main__":
    tap.main()
