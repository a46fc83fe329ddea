#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tasks, wakes and timers against tokio and libuv: every scenario is a process of its own, the peers
take turns, and figures are medians of CPU time, which a busy machine disturbs least."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

from common import ROOT, main, median, row

BENCH_BUILD = ROOT / "build" / "bench"
DEBIAN_CRATES = Path("/usr/share/cargo/registry")


def build_tokio():
    """The twin's path, or None and a line that says why there is none."""
    if not shutil.which("cargo"):
        return None, "no cargo"
    if not list(DEBIAN_CRATES.glob("tokio-1.*")):
        return None, "no librust-tokio-dev"
    target = BENCH_BUILD / "tokio_task"
    source = 'source.crates-io.replace-with="debian"'
    directory = f'source.debian.directory="{DEBIAN_CRATES}"'
    shutil.copytree(ROOT / "bench" / "peers" / "tokio_task", target, dirs_exist_ok=True)
    done = subprocess.run(["cargo", "build", "--release", "--offline", "--quiet", "--config", source,
                           "--config", directory], cwd=target, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env={**os.environ, "CARGO_TARGET_DIR": str(target / "target")})
    twin = target / "target" / "release" / "tokio-twin"
    if done.returncode != 0 or not twin.exists():
        return None, f"cargo failed: {done.stdout.strip().splitlines()[-1:]}"
    return twin, ""


def build_libuv():
    """The same for libuv's."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libuv"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    if flags.returncode != 0:
        return None, "no libuv1-dev"
    twin = BENCH_BUILD / "uv-timers"
    subprocess.run(["cc", "-O3", "-o", twin, ROOT / "bench" / "peers" / "uv_timers.c",
                    *flags.stdout.split()], check=True, stdin=subprocess.DEVNULL)
    return twin, ""


def run(command):
    """(wall ns, CPU ns, peak KiB) of one run."""
    output = subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE).stdout
    return tuple(int(number) for number in output.split())


def take_turns(commands, rounds):
    """Median of each figure, by peer."""
    runs = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(run(command))
    return {name: [median(figure) for figure in zip(*results)] for name, results in runs.items()}


WALL, CPU, PEAK = range(3)


def compare(ours, twin, scenarios, count, rounds):
    """{scenario: figures} of both, in turns. scenarios: {ours: theirs}."""
    commands = {}
    for our_name, their_name in scenarios.items():
        commands["vck " + our_name] = [ours, our_name, count]
        commands["tokio " + their_name] = [twin, their_name, count]
    return take_turns(commands, rounds)


def tokio_rows(ours, twin, count, rounds):
    pairs = [("spawn-all", "spawn-all", "spawn {n} tasks, join all", 2.0),
             ("spawn-all-allocated", "spawn-all", "the same, each allocated", None),
             ("spawn-one", "spawn-one", "spawn and join one by one", 4.0),
             ("spawn-one-allocated", "spawn-one", "the same, each allocated", None),
             ("notify", "notify", "a wake through notify", 3.0),
             ("channel", "channel", "a wake through a channel", 3.0),
             ("sleeps", "timers", "{n} sleeping tasks", None),
             ("timers", "timers", "{n} timers, against its sleeping tasks", 3.0)]
    rows = []
    for our_name, their_name, what, target in pairs:
        figures = compare(ours, twin, {our_name: their_name}, count, rounds)
        us, them = figures["vck " + our_name], figures["tokio " + their_name]
        rows.append(row(what.format(n=count), "tokio", them[CPU] / us[CPU], target=target,
                        vck_ns=us[CPU] / count, tokio_ns=them[CPU] / count))
        if our_name == "spawn-all":
            rows.append(row(what.format(n=count) + ": memory", "tokio", us[PEAK] / them[PEAK],
                            target=0.7, at_least=False, vck_kib=us[PEAK], tokio_kib=them[PEAK]))
    return rows


def libuv_rows(ours, libuv, count, rounds):
    figures = take_turns({"vck": [ours, "timers", count], "libuv": [libuv, count]}, rounds)
    us, them = figures["vck"], figures["libuv"]
    return [row(f"{count} timers", "libuv", them[CPU] / us[CPU], target=3.0,
                vck_ns=us[CPU] / count, libuv_ns=them[CPU] / count),
            row("memory per timer", "-", us[PEAK] * 1024 / count, unit="bytes", target=100,
                at_least=False)]


def measure(_build_dir, quick):
    ours = BENCH_BUILD / "bench" / "bench-task"
    count, rounds = (200000, 3) if quick else (1000000, 7)
    figures = take_turns({name: [ours, name, 30000] for name in ("wake-worker", "wake-futex")},
                         rounds)
    rows = [row("waking a sleeping worker", "a futex round trip",
                figures["wake-worker"][WALL] / figures["wake-futex"][WALL], target=1.5,
                at_least=False, vck_ns=figures["wake-worker"][WALL] / 30000)]
    twin, why = build_tokio()
    if twin:
        rows += tokio_rows(ours, twin, count, rounds)
    else:
        print(f"tokio skipped: {why}", file=sys.stderr)
    libuv, why = build_libuv()
    if libuv:
        rows += libuv_rows(ours, libuv, count, rounds)
    else:
        print(f"libuv skipped: {why}", file=sys.stderr)
    return rows


if __name__ == "__main__":
    main(measure)
