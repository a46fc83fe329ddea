#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP requests by tasks in the kernel, under Wine: asyncnet.sys against a program of the same prefix
that does the same with non-blocking sockets. They take turns against one server of this system, and
what is compared are neighbours: both suffer alike from what else the machine does."""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, median, row, show
from wine_lab import Lab

CONCURRENCIES = (8, 16, 64)


class Server:
    def __init__(self, directory):
        program = Path(directory) / "net-server"
        subprocess.run(["cc", "-O2", "-o", str(program), str(ROOT / "bench/net_server.c")],
                       check=True)
        self.process = subprocess.Popen([str(program)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def by_driver(lab, count, concurrency, port):
    out = lab.run("asyncnet.exe", "load", "--json", "--connections", count, "--concurrency",
                  concurrency, "--port", port, seconds=300).out
    result = json.loads(out)
    assert result["replies"] == count, result
    return result["requests_per_second"]


def by_program(lab, count, concurrency, port):
    replies, duration_ns = map(int, lab.run("netload.exe", count, concurrency, port,
                                            seconds=300).out.split())
    assert replies == count, replies
    return replies * 1e9 / duration_ns


def measure(build_dir, quick=False):
    count, rounds = (500, 3) if quick else (2000, 7)
    rows = []
    with tempfile.TemporaryDirectory(prefix="vck-bench-") as directory:
        server = Server(directory)
        # Wine's own kernel timers stop where they are set again as they expire; the verifier's do not.
        with Lab(build_dir, verify=True) as lab:
            lab.load("asyncnet")
            lab.run("asyncnet.exe", "start")
            for concurrency in CONCURRENCIES:
                pairs = []
                for _ in range(rounds):
                    pairs.append((by_driver(lab, count, concurrency, server.port),
                                  by_program(lab, count, concurrency, server.port)))
                    print(".", end="", file=sys.stderr, flush=True)
                rows.append(row(f"asyncnet.sys under Wine, {concurrency} at a time, requests per "
                                "second", "a program", median([a / b for a, b in pairs]),
                                target=0.5 if concurrency == 16 else None,
                                driver=median([a for a, _ in pairs]),
                                program=median([b for _, b in pairs])))
            lab.unload("asyncnet")
        server.stop()
    print(file=sys.stderr)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-dir", default=str(ROOT / "build" / "nt"))
    parser.add_argument("--quick", action="store_true", help="smaller and less exact")
    arguments = parser.parse_args()
    rows = measure(arguments.build_dir, arguments.quick)
    show(rows)
    for r in rows:
        print(f"{r['what']}: {r['detail']['driver']:.0f}, the program {r['detail']['program']:.0f}")


if __name__ == "__main__":
    main()
