#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What drivers import is in the installed Wine or supplied by the verifier: imports_test.py
BUILD_DIR."""
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402

BUILD_DIR = Path(os.environ.get("VCK_NT_BUILD") or ROOT / "build/nt")
VERIFIER = BUILD_DIR / "tools/nt-verifier/vckverify.sys"


def load_tool():
    loader = importlib.machinery.SourceFileLoader("wine_imports", str(ROOT / "tools/wine-imports"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("wine_imports", loader))
    loader.exec_module(module)
    return module


TOOL = load_tool()
WINE = TOOL.Wine()


def drivers():
    return [path for path in sorted(BUILD_DIR.rglob("*.sys"))
            if not path.name.endswith(".raw.sys")
            and "wine-prefix-" not in str(path.relative_to(BUILD_DIR))]


@tap.test
def imports_are_there():
    """every import of every driver is in Wine or supplied"""
    found = drivers()
    supplied = TOOL.supplied_by(VERIFIER)
    assert len(found) >= 3 and len(supplied) > 40, (found, supplied)
    wrong = [(path.name, *problem) for path in found for problem in WINE.problems(path)
             if problem[1] not in supplied]
    assert not wrong, wrong


@tap.test
def verifier_stands_alone():
    """the verifier's own imports are in Wine"""
    assert not WINE.problems(VERIFIER), WINE.problems(VERIFIER)


@tap.test
def missing_is_found():
    """an import that Wine lacks, or has as a stub, is found"""
    selftest = next(path for path in drivers() if path.name == "selftest.sys")
    problems = {name: problem for _, name, problem in WINE.problems(selftest)}
    assert problems.get("IoAttachDeviceToDeviceStackSafe") == "stub", problems
    assert WINE.module("ntoskrnl.exe").problem("ExAllocatePool2") == "missing"
    assert WINE.module("ntoskrnl.exe").problem("IoCreateDevice") is None
    assert WINE.module("nosuchmodule.sys") is None


@tap.test
def builds_end():
    """a build goes on where nothing is missing, and ends with the names where something is"""
    driver = str(next(path for path in drivers() if path.name == "vck.sys"))

    def build(*words):
        with tempfile.TemporaryDirectory() as folder:
            stamp = Path(folder) / "stamp"
            done = subprocess.run([ROOT / "tools/wine-imports", "--stamp", stamp, *words, driver],
                                  stdout=subprocess.PIPE, text=True, check=False)
            return done.returncode, done.stdout, stamp.exists()

    assert build("--supplied", str(VERIFIER)) == (0, "", True)
    code, text, is_stamped = build("--supplied", driver)
    assert code == 1 and not is_stamped, (code, is_stamped)
    assert "vck.sys: ntoskrnl.exe!IoAttachDeviceToDeviceStackSafe: stub" in text, text


tap.main()
