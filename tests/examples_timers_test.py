#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The example of timers and timeouts."""
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

TIMERS = os.environ["TIMERS"]


def run(*arguments):
    return subprocess.run([TIMERS, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120, check=False)


@tap.test
def answers_are_in_time_or_not():
    """two answers come in time, the third runs into its limit, and the clock ticks"""
    done = run("20")
    assert done.returncode == 0, done
    answers = [line for line in done.stdout.splitlines() if line.startswith("answer")]
    assert answers[:2] == ["answer 1: ok", "answer 2: ok"], done.stdout
    assert len(answers) == 3 and answers[2] != "answer 3: ok", done.stdout
    ticks = [int(number) for number in re.findall(r"^tick (\d+)$", done.stdout, re.MULTILINE)]
    assert ticks == list(range(1, len(ticks) + 1)) and ticks, done.stdout
    assert done.stdout.endswith(f"2 of 3 answers in time, {len(ticks)} ticks\n"), done.stdout


@tap.test
def arguments_are_checked():
    """a tick of no length is refused"""
    done = run("nothing")
    assert done.returncode == 2 and done.stderr.startswith("usage:"), done


tap.main()
