# SPDX-License-Identifier: Apache-2.0
"""Runs functions as TAP tests, each in a temporary directory of its own, which is removed."""
import os
import sys
import tempfile
import traceback

TESTS = []


class Skip(Exception):
    """Raised by a test that cannot run here; says why."""


def test(function):
    TESTS.append((function.__doc__.strip().splitlines()[0], function, ()))
    return function


def add(name, function, *arguments):
    TESTS.append((name, function, arguments))


def run_one(number, name, function, arguments):
    start = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="vck-test-") as directory:
        os.chmod(directory, 0o755)
        os.chdir(directory)
        try:
            function(*arguments)
            print(f"ok {number} - {name}", flush=True)
            return True
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            return True
        except Exception:  # pylint: disable=broad-except
            print(f"not ok {number} - {name}")
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="",
                  flush=True)
            return False
        finally:
            os.chdir(start)


def main():
    print(f"1..{len(TESTS)}", flush=True)
    results = [run_one(number, *entry) for number, entry in enumerate(TESTS, 1)]
    sys.exit(0 if all(results) else 1)
