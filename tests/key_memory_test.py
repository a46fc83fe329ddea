#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is left of keys in the daemon's memory: all of it is read while a volume is attached, and
after it was detached."""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import jvck_oracle  # noqa: E402
import tap  # noqa: E402

VCK, VCKD = os.environ["VCK"], os.environ["VCKD"]
MIB = 1 << 20
VMK = bytes.fromhex("8d1f5b0ac3e94b7296d2a05ee6c7713f4ab9120f5dd8e36c7b01c25e9a64f83b")
PASSPHRASE = b"a phrase like no other in memory"


def vck(*arguments):
    done = subprocess.run([VCK, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    assert done.returncode == 0, f"vck {arguments}: {done.stderr.decode()}"


def sanitizer_runtime():
    linked = subprocess.run(["ldd", Path(VCKD).parent / "vckd.so"], stdout=subprocess.PIPE,
                            check=True, text=True).stdout
    found = re.search(r"=> (\S+/lib[at]san\.so\S*)", linked)
    return {"LD_PRELOAD": found[1]} if found else {}


@contextlib.contextmanager
def daemon():
    with open("vckd.log", "wb") as log:
        process = subprocess.Popen([VCKD, "--foreground", "--socket", "control.sock", "--nbd",
                                    "nbd.sock"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, **sanitizer_runtime()})
    try:
        end = time.monotonic() + 60
        while subprocess.run([VCK, "list", "--socket", "control.sock"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, check=False).returncode != 0:
            assert time.monotonic() < end and process.poll() is None, Path("vckd.log").read_text()
            time.sleep(0.05)
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def readable_ranges(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)", line)
        if match and match[3] not in ("[vvar]", "[vsyscall]"):
            yield int(match[1], 16), int(match[2], 16)


def resident_pages(pagemap, begin, end):
    """The pages that are there. Those never touched read as zeroes, and a sanitizer's shadow has
    terabytes of them."""
    page, last = begin // 4096, end // 4096
    while page < last:
        pagemap.seek(page * 8)
        entries = pagemap.read(min(last - page, 65536) * 8)
        count = len(entries) // 8
        if not count:
            return
        if not any(entries):
            page += count
            continue
        for i in range(count):
            if int.from_bytes(entries[8 * i:8 * i + 8], "little") >> 62:
                yield page + i
        page += count


def find(pid, secrets):
    """The names of those secrets that are somewhere in the memory of the process."""
    found = set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, \
            open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for begin, end in readable_ranges(pid):
            if end - begin > 1 << 36:
                continue
            tail = b""
            before = None
            for page in resident_pages(pagemap, begin, end):
                with contextlib.suppress(OSError):
                    memory.seek(page * 4096)
                    data = memory.read(4096)
                    text = (tail if before == page - 1 else b"") + data
                    found |= {name for name, secret in secrets.items() if secret in text}
                    tail, before = data[-64:], page
    return found


@tap.test
def nothing_is_left():
    """attached, the daemon has the keys and never the passphrase; detached, it has none of them"""
    if os.geteuid() != 0:
        raise tap.Skip("only root reads the memory of a process that forbids it")
    with open("image", "wb") as file:
        file.truncate(2 * MIB)
    for name, data in (("vmk", VMK), ("passphrase", PASSPHRASE)):
        Path(name).write_bytes(data)
        os.chmod(name, 0o600)
    vck("prepare", "--vmk-file", "vmk", "--metadata-size", "128K", "image")
    vck("key", "add", "--vmk-file", "vmk", "--new-key-file", "passphrase", "--kdf-memory", "64M",
        "--kdf-passes", 3, "image")
    block = jvck_oracle.decode_block(Path("image").read_bytes()[-512:], VMK)
    secrets = {"VMK": VMK, "passphrase": PASSPHRASE}
    # Code with a sanitizer in it keeps on stacks what would be in registers.
    if not sanitizer_runtime():
        secrets |= {"first data key": block.key1, "second data key": block.key2}
    with daemon() as process:
        for _ in range(2):
            vck("attach", "--socket", "control.sock", "--key-file", "passphrase", "image")
            vck("encrypt", "--socket", "control.sock", "image")
            held = find(process.pid, secrets)
            assert "VMK" in held and "passphrase" not in held, held
            vck("detach", "--socket", "control.sock", "image")
            held = find(process.pid, secrets)
            assert held == set(), f"after a detach there is still: {held}"


tap.main()
