#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is left of keys in the daemon's memory: all of it is read while a volume is attached, while it
is suspended, and after it was detached."""
import contextlib
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from command_lab import vck  # noqa: E402
import jvck_oracle  # noqa: E402
import tap  # noqa: E402
from daemon_lab import daemon, has_sanitizer  # noqa: E402

MIB = 1 << 20
VMK = bytes.fromhex("8d1f5b0ac3e94b7296d2a05ee6c7713f4ab9120f5dd8e36c7b01c25e9a64f83b")
PASSPHRASE = b"a phrase like no other in memory"


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


def round_keys(key):
    """The words of AES-256's key schedule behind the key itself."""
    box = [0] * 256
    p = q = 1
    while True:
        p = p ^ (p << 1 & 255) ^ (0x1B if p & 128 else 0)
        q ^= q << 1
        q ^= q << 2
        q = (q ^ q << 4) & 255
        q ^= 9 if q & 128 else 0
        x = q | q << 8
        box[p] = (q ^ x >> 7 ^ x >> 6 ^ x >> 5 ^ x >> 4) & 255 ^ 99
        if p == 1:
            break
    box[0] = 99
    words = [key[i:i + 4] for i in range(0, 32, 4)]
    constant = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = bytes(box[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = constant << 1 ^ (0x11B if constant & 128 else 0)
        elif i % 8 == 4:
            word = bytes(box[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word)))
    return b"".join(words[8:])


def schedules(block):
    """Of both data keys, one round of them each: the last is the first of decrypting, too."""
    found = {}
    for name, key in (("first", block.key1), ("second", block.key2)):
        keys = round_keys(key)
        found[f"round of the {name} data key"] = keys[:16]
        found[f"last round of the {name} data key"] = keys[-16:]
    return found


@tap.test
def schedule_is_right():
    """the schedule that is looked for is that of FIPS 197"""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    keys = round_keys(key)
    assert keys[:4].hex() == "9ba35411" and keys[-4:].hex() == "706c631e", keys.hex()


@tap.test
def nothing_is_left():
    """attached, the daemon has the keys, never the passphrase; suspended or detached, none of them"""
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
    if not has_sanitizer():
        secrets |= {"first data key": block.key1, "second data key": block.key2}
        secrets |= schedules(block)
    needed = set(secrets) - {"passphrase"}
    with daemon() as process:
        for _ in range(2):
            vck("attach", "--socket", "control.sock", "--key-file", "passphrase", "image")
            vck("encrypt", "--socket", "control.sock", "image")
            held = find(process.pid, secrets)
            assert held == needed, f"attached, it lacks {needed - held} or has {held - needed}"
            vck("suspend", "--socket", "control.sock", "image")
            held = find(process.pid, secrets)
            assert held == set(), f"while it is suspended there is still: {held}"
            vck("resume", "--socket", "control.sock", "--key-file", "passphrase", "image")
            held = find(process.pid, secrets)
            assert held == needed, f"attached, it lacks {needed - held} or has {held - needed}"
            vck("detach", "--socket", "control.sock", "image")
            held = find(process.pid, secrets)
            assert held == set(), f"after a detach there is still: {held}"


tap.main()
