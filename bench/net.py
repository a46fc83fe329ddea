#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""10 000 connections over the local host, each: connect, one request, its reply, close. The load
client, tokio, libuv and bare system calls take turns against one kind of server, each run in a
network namespace of its own where that is allowed, so that none meets the remains of another."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, main, median, row

PEERS = ROOT / "bench" / "peers"
CARGO_SOURCE = Path("/usr/share/cargo/registry")
WINDOW = 256

# The server ends with its standard input, which is this shell's.
RUN = """
ip link set lo up 2>/dev/null
exec 8< <(exec sleep 1000)
keep=$!
exec 9< <(exec "$SERVER" <&8)
read -r port <&9
"$@" "$port"
code=$?
kill $keep
exit $code
"""


def skip(what, why):
    print(f"{what} is left out: {why}", file=sys.stderr)


def own_namespace():
    """What to put in front of a command for a network of its own."""
    prefix = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "-n"]
    ok = subprocess.run([*prefix, "ip", "link", "set", "lo", "up"], stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) if shutil.which(
                            "unshare") and shutil.which("ip") else None
    if ok and ok.returncode == 0:
        return prefix
    skip("a network of one's own", "unshare or ip does not work here")
    return []


def compile_c(source, target, *libraries):
    subprocess.run(["cc", "-O2", "-o", str(target), str(source), *libraries], check=True,
                   stdin=subprocess.DEVNULL)


def build_tokio(directory):
    if not shutil.which("cargo") or not list(CARGO_SOURCE.glob("tokio-[0-9]*")):
        skip("tokio", "cargo or librust-tokio-dev is not installed")
        return None
    config = directory / "cargo.toml"
    config.write_text('[source.crates-io]\nreplace-with = "system"\n'
                      f'[source.system]\ndirectory = "{CARGO_SOURCE}"\n')
    copy = directory / "tokio"
    shutil.copytree(PEERS / "tokio_net", copy)
    done = subprocess.run(["cargo", "build", "--quiet", "--release", "--offline", "--config",
                           str(config)], cwd=copy, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        skip("tokio", done.stderr.strip().splitlines()[-1])
        return None
    return copy / "target" / "release" / "net-tokio"


def clients(directory, build_dir):
    """{name: command for (connections, window), without the port}"""
    found = {"vck": lambda count, window: [
        str(build_dir / "examples" / "vck-fetch"), "--json", "--connections", str(count),
        "--window", str(window), "127.0.0.1"]}
    compile_c(PEERS / "net_plain.c", directory / "net-plain")
    found["plain"] = lambda count, window: [str(directory / "net-plain"), str(count), str(window)]
    if Path("/usr/include/uv.h").exists():
        compile_c(PEERS / "net_uv.c", directory / "net-uv", "-luv")
        found["libuv"] = lambda count, window: [str(directory / "net-uv"), str(count), str(window)]
    else:
        skip("libuv", "libuv1-dev is not installed")
    tokio = build_tokio(directory)
    if tokio:
        found["tokio"] = lambda count, window: [str(tokio), str(count), str(window)]
    return found


def run(prefix, server, command):
    done = subprocess.run([*prefix, "bash", "-c", RUN, "run", *command], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          env={**os.environ, "SERVER": str(server)}, text=True, timeout=300)
    return json.loads(done.stdout)


def system_calls(prefix, server, command, directory):
    """Of one run: (all but waiting, waits)."""
    trace = directory / "calls"
    run(prefix, server, ["strace", "-f", "-c", "-o", str(trace), *command])
    calls = {m[2]: int(m[1]) for m in re.finditer(
        r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", trace.read_text(), re.MULTILINE)}
    calls.pop("total", None)
    waits = sum(calls.pop(name, 0) for name in ("epoll_wait", "epoll_pwait", "epoll_pwait2"))
    return sum(calls.values()), waits


def calls_each(prefix, server, client, directory):
    """Per connection; two runs of different length, so that what a program does once falls out."""
    few, many = (system_calls(prefix, server, client(count, WINDOW), directory)
                 for count in (1000, 3000))
    return tuple((b - a) / 2000 for a, b in zip(few, many))


def measure(build_dir, quick=False):
    count, rounds = (5000, 3) if quick else (10000, 9)
    results = {}
    with tempfile.TemporaryDirectory(prefix="vck-bench-") as name:
        directory = Path(name)
        prefix = own_namespace()
        server = directory / "net-server"
        compile_c(ROOT / "bench" / "net_server.c", server)
        found = clients(directory, build_dir)
        for _ in range(rounds):
            for client, command in found.items():
                results.setdefault(client, []).append(run(prefix, server, command(count, WINDOW)))
            print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        calls = {}
        if shutil.which("strace"):
            calls = {client: calls_each(prefix, server, command, directory)
                     for client, command in found.items()}
        else:
            skip("counting system calls", "strace is not installed")
    speed = {client: [r["requests_per_second"] for r in runs] for client, runs in results.items()}
    memory = {client: max(r["peak_kib"] for r in runs) / 1024 for client, runs in results.items()}
    what = f"{count} connections, requests per second"
    rows = [row(what, against, median([a / b for a, b in zip(speed["vck"], speed[against])]),
                target=target, vck=median(speed["vck"]), peer=median(speed[against]),
                peer_mib=memory[against], peer_calls=calls.get(against))
            for against, target in (("tokio", 1.4), ("libuv", 1.5), ("plain", None))
            if against in speed]
    rows.append(row(f"{count} connections, peak memory", "-", memory["vck"], "MiB", 4,
                    at_least=False))
    if calls:
        each, waits = calls["vck"]
        rows.append(row("system calls per connection, shared waits apart", "-", each, "calls", 6,
                        at_least=False, waits_each=waits))
    return rows


if __name__ == "__main__":
    main(measure)
