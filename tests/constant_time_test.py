#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""That no primitive in its portable form branches on a secret or makes an address of one."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
REPORTED = 99

# Of memory that is read in an order that depends on the password by its design.
LEFT_OUT = ("argon2", "blake2b", "_test.c")


def build(compiler, directory):
    names = [name for name in sorted((ROOT / "src/crypto").glob("*.c"))
             if not any(part in name.name for part in LEFT_OUT)]
    program = Path(directory) / f"constant-time-{compiler}"
    subprocess.run([compiler, "-std=gnu17", "-O2", "-gdwarf-4", "-Wl,--wrap=vck_equal_constant_time",
                    "-I", ROOT / "include", "-I", ROOT, ROOT / "tests/constant_time.c",
                    ROOT / "src/base/secret.c", *names, "-o", program], check=True)
    return program


def run(program, *arguments):
    return subprocess.run(["valgrind", "-q", f"--error-exitcode={REPORTED}", program, *arguments],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def check(program, name):
    done = run(program, name)
    if name.startswith("leak-"):
        assert done.returncode == REPORTED, f"{name} was not found: {done.returncode}"
    else:
        assert done.returncode == 0, done.stderr


def add_all(compiler, directory):
    program = build(compiler, directory)
    names = run(program).stdout.split()
    assert len(names) > 2
    for name in names:
        says = "is found to leak" if name.startswith("leak-") else "does not depend on secrets"
        tap.add(f"{name} by {compiler} {says}", check, program, name)


def main():
    if shutil.which("valgrind") is None:
        print("1..0 # SKIP valgrind is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="vck-constant-time-") as directory:
        for compiler in filter(shutil.which, ("gcc", "clang")):
            add_all(compiler, directory)
        tap.main()


if __name__ == "__main__":
    main()
