#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every measurement, prints one table, and leaves results.json and report.svg in build/bench.
Needs an idle machine: every figure is a ratio of things measured in turns, but noise remains."""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from xml.sax.saxutils import escape

from common import ROOT, row, show

import attach
import latency
import nbd
import net
import tasks
import wine

BENCH_BUILD = ROOT / "build" / "bench"


def measure_xts(_build_dir, _quick):
    output = subprocess.run([BENCH_BUILD / "bench" / "bench-xts", "--json"], check=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    results = [r for r in json.loads(output) if r["bench"] == "xts"]
    best = results[-1]["impl"]
    rows = []
    for buffer, sector, openssl, limit in ((1, 4096, 2.1, 0.84), (1, 512, 3.3, 0.72),
                                           (64, 4096, 2.1, None), (64, 512, 3.3, None)):
        pair = [r for r in results if r["impl"] == best and r["sector_bytes"] == sector
                and r["buffer_bytes"] == buffer << 20]
        worst = min(pair, key=lambda r: r["ratio_openssl"])
        what = f"XTS {buffer} MiB, {sector}-byte sectors ({best})"
        meant = best == "vaes512"  # the targets are those of such processors
        rows.append(row(what, "OpenSSL", worst["ratio_openssl"], target=openssl if meant else None,
                        encrypt_and_decrypt=pair))
        if limit and worst["limit_gb_s"]:
            rows.append(row(what, "14 bare rounds", min(r["ratio_limit"] for r in pair),
                            target=limit if meant else None))
    return rows


def measure_sweep(_build_dir, quick):
    rows = []
    size, rounds = ("512", "3") if quick else ("4096", "5")
    for flags, how in (([], "page cache"), (["--direct"], "direct")):
        with tempfile.TemporaryDirectory(prefix="vck-bench-") as directory:
            output = subprocess.run([BENCH_BUILD / "bench" / "bench-sweep", f"{directory}/disk.img",
                                     size, "--rounds", rounds, "--json", *flags], check=True,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
        result = json.loads(output)
        rows.append(row(f"sweep of {size} MiB on disk ({how})", "the same I/O alone",
                        result["ratio"], target=0.8, **result))
    return rows


def measure_chain(_build_dir, _quick):
    output = subprocess.run([BENCH_BUILD / "bench" / "bench-chain", "--json"], check=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    results = json.loads(output)
    rows = []
    # The target is meant for packets as they come, not for those the first cache still holds.
    for packets, where, target in ((512, "in a ring of 512", 0.8), (4, "in the first cache", None)):
        for to in ("flat", "chain"):
            splits = [r for r in results if r["packets"] == packets and r["to"] == to]
            rows.append(row(f"packet in 3 pieces to {to}, {where}", "memcpy",
                            min(r["ratio"] for r in splits), target=target, splits=splits))
    return rows


def measure_frame(_build_dir, quick):
    if os.geteuid() != 0:
        print("frames are left out: network namespaces are root's", file=sys.stderr)
        return []
    output = subprocess.run([BENCH_BUILD / "bench" / "bench-frame", "3" if quick else "9"],
                            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    return [row(f"frames of {r['frame_bytes']} bytes over veth, received per second",
                "plain AF_PACKET", r["ratio"], target=0.9, **r) for r in json.loads(output)]


def measure_argon2(_build_dir, _quick):
    output = subprocess.run([BENCH_BUILD / "bench" / "bench-argon2", "--json"], check=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    return [row(f"Argon2id, 64 MiB, 3 passes, 1 lane ({r['impl']})", "libargon2", r["ratio"],
                target=0.5 if r["impl"] == "auto" else None, **r) for r in json.loads(output)]


MEASUREMENTS = {"xts": measure_xts, "argon2": measure_argon2, "nbd": nbd.measure,
                "sweep": measure_sweep,
                "latency": latency.measure, "attach": attach.measure, "net": net.measure,
                "chain": measure_chain, "frame": measure_frame, "tasks": tasks.measure,
                "wine": wine.measure}


def machine():
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


# ---- the picture ----

LEFT, BAR, ROW, TOP, RIGHT = 470, 330, 24, 66, 200
INK, FAINT, GOOD, BAD, NEUTRAL = "#222", "#777", "#2f7d4f", "#b5442e", "#5b7a9d"


def svg(rows, title):
    """Bars of value over target: the line in the middle is the target. Better is to the right."""
    height = TOP + ROW * len(rows) + 34
    width = LEFT + BAR + RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="bold" fill="{INK}">vck, measured</text>',
        f'<text x="16" y="43" fill="{FAINT}">{escape(title)}</text>',
    ]
    middle = LEFT + BAR / 2
    for i, r in enumerate(rows):
        y = TOP + ROW * i
        label = f"{r['what']} / {r['against']}" if r["against"] != "-" else r["what"]
        value = f"{r['value']:.2f} {r['unit']}"
        color = NEUTRAL
        share = 1.0
        if r["target"]:
            share = r["value"] / r["target"] if r["at_least"] else (
                r["target"] / max(r["value"], r["target"] / 2))
            color = GOOD if r["ok"] else BAD
            sign = "\u2265" if r["at_least"] else "\u2264"
            value += f"  (target {sign} {r['target']:g})"
        length = min(share, 2.0) * BAR / 2
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end" fill="{INK}">'
            f'{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{y + 4}" width="{length:.1f}" height="{ROW - 9}" rx="2" '
            f'fill="{color}"/>',
            f'<text x="{LEFT + BAR + 8}" y="{y + 15}" fill="{INK}">{escape(value)}</text>',
        ]
    bottom = TOP + ROW * len(rows)
    parts += [
        f'<line x1="{middle}" y1="{TOP - 4}" x2="{middle}" y2="{bottom + 2}" stroke="{INK}" '
        'stroke-dasharray="3 3"/>',
        f'<text x="{middle}" y="{bottom + 18}" text-anchor="middle" fill="{FAINT}">target</text>',
        f'<text x="{LEFT + BAR}" y="{bottom + 18}" text-anchor="end" fill="{FAINT}">'
        'twice as good</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-dir", default=str(ROOT / "build" / "release"))
    parser.add_argument("--only", action="append", choices=MEASUREMENTS)
    parser.add_argument("--quick", action="store_true", help="smaller and less exact")
    arguments = parser.parse_args()
    rows, broken = [], []
    for name in arguments.only or MEASUREMENTS:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        try:
            rows += MEASUREMENTS[name](Path(arguments.build_dir), arguments.quick)
        except Exception:  # one broken measurement must not hide the others
            broken.append(name)
            traceback.print_exc()
    BENCH_BUILD.mkdir(parents=True, exist_ok=True)
    (BENCH_BUILD / "results.json").write_text(
        json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")
    (BENCH_BUILD / "report.svg").write_text(svg(rows, machine()))
    print(machine())
    show(rows)
    missed = [r for r in rows if r["ok"] is False]
    met = [r for r in rows if r["ok"]]
    print(f"{len(met)} targets met, {len(missed)} missed"
          + (f"; failed to measure: {', '.join(broken)}" if broken else ""))
    print(f"{BENCH_BUILD / 'results.json'}\n{BENCH_BUILD / 'report.svg'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
