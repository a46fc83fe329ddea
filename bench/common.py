# SPDX-License-Identifier: Apache-2.0
"""What the measuring scripts share: rows of results, medians, fio."""
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

MIB = 1 << 20


def row(what, against, value, unit="x", target=None, at_least=True, **detail):
    """One line of the table. With a target, `ok` says whether it was met."""
    ok = None
    if target is not None:
        ok = value >= target if at_least else value <= target
    return {"what": what, "against": against, "value": round(value, 4), "unit": unit,
            "target": target, "at_least": at_least, "ok": ok, "detail": detail}


def median(values):
    return statistics.median(values)


def fio(uri, mode, block_bytes, depth, size_bytes=None, seconds=None, seed=1):
    """One run with fio's NBD engine; its 'read' or 'write' object."""
    command = ["fio", "--name=run", "--ioengine=nbd", f"--uri={uri}", f"--rw={mode}",
               f"--bs={block_bytes}", f"--iodepth={depth}", "--output-format=json",
               f"--randseed={seed}", "--randrepeat=1"]
    if size_bytes:
        command.append(f"--size={size_bytes}")
    if seconds:
        command += ["--time_based", f"--runtime={seconds}"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"fio {mode}: {result.stderr.strip() or result.stdout[-500:]}")
    text = result.stdout
    job = json.loads(text[text.index("{"):])["jobs"][0]
    if job["error"]:
        raise RuntimeError(f"fio {mode}: error {job['error']}")
    return job["write" if mode.endswith("write") else "read"]


def show(rows):
    if not rows:
        return
    what = max(len(r["what"]) for r in rows)
    against = max(len(r["against"]) for r in rows)
    print(f"{'what':<{what}}  {'against':<{against}}  measured      target")
    for r in rows:
        value = f"{r['value']:.2f} {r['unit']}"
        target = mark = ""
        if r["target"] is not None:
            target = f"{'>=' if r['at_least'] else '<='} {r['target']:g}"
            mark = "pass" if r["ok"] else "MISSED"
        print(f"{r['what']:<{what}}  {r['against']:<{against}}  {value:<12}  {target:<8}  {mark}")


def main(measure):
    """For a script run by itself."""
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", default=str(ROOT / "build" / "release"))
    parser.add_argument("--quick", action="store_true", help="smaller and less exact")
    arguments = parser.parse_args()
    show(measure(Path(arguments.build_dir), arguments.quick))
