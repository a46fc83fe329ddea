# SPDX-License-Identifier: Apache-2.0
"""A vckd of one's own: what the demo, the kill test and the benchmarks share.

Lab starts the daemon in a temporary directory, speaks to it through the vck command, kills it and
takes everything away at the end. RawModel is a workload over NBD that knows what must be there.
"""
import contextlib
import ctypes
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

from nbd_client import NbdClient

BLOCK_BYTES = 4096


class LabError(Exception):
    """A step did not do what it must."""


def die_with_parent():
    """In a child: be killed when this program is, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def wait_until(condition, what, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)


class Lab:
    def __init__(self, build_dir, prefix="vck-", directory=None):
        build = Path(build_dir).resolve()
        self.vckd_path = build / "products" / "vckd" / "vckd"
        self.vck_path = build / "products" / "vck" / "vck"
        for path in (self.vckd_path, self.vck_path):
            if not path.exists():
                raise LabError(f"{path} is missing: run 'make build' first")
        self.directory = Path(tempfile.mkdtemp(prefix=prefix, dir=directory))
        self.control = self.directory / "control.sock"
        self.nbd = self.directory / "nbd.sock"
        self.log_path = self.directory / "vckd.log"
        self.daemon = None
        self.uris = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    # ---- the daemon ----

    def start(self):
        log = open(self.log_path, "ab")
        with log:
            self.daemon = subprocess.Popen(
                [self.vckd_path, "--foreground", "--socket", self.control, "--nbd", self.nbd],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_parent)
        wait_until(self._answers, "vckd to answer")

    def _answers(self):
        if self.daemon.poll() is not None:
            raise LabError(f"vckd ended with {self.daemon.returncode}:\n{self.log()}")
        return self.nbd.exists() and self.vck("list", check=False).returncode == 0

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def kill(self):
        """SIGKILL; what a crash of the process is."""
        if self.daemon and self.daemon.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()
        self.daemon = None

    def stop(self, seconds=30):
        """SIGTERM; an orderly end."""
        self.daemon.terminate()
        code = self.daemon.wait(seconds)
        self.daemon = None
        if code not in (0, -signal.SIGTERM):
            raise LabError(f"vckd ended with {code}:\n{self.log()}")

    def memory_kib(self):
        """Resident memory of the daemon that is its own, not shared with files."""
        status = Path(f"/proc/{self.daemon.pid}/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0])

    # ---- the command ----

    def vck(self, verb, *arguments, check=True):
        command = [self.vck_path, verb, "--socket", self.control, *arguments]
        result = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if check and result.returncode != 0:
            raise LabError(f"vck {verb} ended with {result.returncode}: {result.stderr.strip()}")
        return result

    def vck_background(self, verb, *arguments):
        command = [self.vck_path, verb, "--socket", self.control, *arguments]
        return subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True, preexec_fn=die_with_parent)

    def prepare(self, image, key, *arguments):
        return self._local("prepare", "--new-vmk", key, *arguments, image)

    def info(self, image, key):
        return self._local("info", "--vmk-file", key, image)

    def _local(self, verb, *arguments):
        """A verb that talks to no daemon; what it says as JSON."""
        command = [self.vck_path, verb, "--json", *arguments]
        result = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if result.returncode != 0:
            raise LabError(f"vck {verb} ended with {result.returncode}: {result.stderr.strip()}")
        return json.loads(result.stdout)

    def attach(self, image, key):
        """Attaches; connect() and uri() know the export from here on."""
        answer = json.loads(self.vck("attach", "--nbd", self.nbd, "--vmk-file", key, "--json",
                                     image).stdout)
        self.uris[str(image)] = answer["uri"]

    def status(self, image):
        return json.loads(self.vck("status", image, "--json").stdout)

    def wait_swept(self, image, direction, seconds=120.0):
        """Until the sweep in that direction ("encrypt", "decrypt") has nothing left."""
        def done():
            status = self.status(image)
            if status.get("error"):
                raise LabError(f"the sweep stopped: {status['error']}")
            goal = status["total_sectors"] if direction == "encrypt" else 0
            return status["state"] == "idle" and status["encrypted_sectors"] == goal
        wait_until(done, f"the end of '{direction}'", seconds)

    def uri(self, image):
        return self.uris[str(image)]

    def connect(self, image):
        export = urllib.parse.unquote(urllib.parse.urlsplit(self.uri(image)).path[1:])
        return NbdClient(self.nbd, export)


# ---- a workload that knows what must be there ----

def block_content(block, version):
    """4096 bytes that name their block and version; no two are alike."""
    head = b"vckblock" + block.to_bytes(8, "little") + version.to_bytes(8, "little")
    return head + hashlib.shake_128(head).digest(BLOCK_BYTES - len(head))


def block_version(content, block):
    """The version these bytes are, or None when they are no version of that block."""
    version = int.from_bytes(content[16:24], "little")
    return version if content == block_content(block, version) else None


class RawModel:
    """Versions of the 4 KiB blocks in [first_block, first_block + blocks) of an export.

    Each block goes through versions 0, 1, 2, ...; `acknowledged` is the last one whose write was
    answered, `issued` the last one sent. Whatever happens, a block must hold a version in between,
    since the kernel's cache outlives the daemon.
    """

    def __init__(self, blocks, first_block=0, seed=0):
        self.first_block = first_block
        self.acknowledged = [0] * blocks
        self.issued = [0] * blocks
        self.random = random.Random(seed)
        self.writes = self.reads = self.flushes = 0

    def initial(self):
        for i in range(len(self.acknowledged)):
            yield block_content(self.first_block + i, 0)

    def check(self, index, content, where):
        version = block_version(content, self.first_block + index)
        low, high = self.acknowledged[index], self.issued[index]
        if version is None or not low <= version <= high:
            found = "no version of this block" if version is None else f"version {version}"
            raise LabError(f"{where}: block {self.first_block + index} holds {found}, "
                           f"expected {low} to {high}")
        return version

    def verify(self, client, where):
        """Reads every block. What is found counts as acknowledged from here on."""
        step = 256
        for start in range(0, len(self.acknowledged), step):
            count = min(step, len(self.acknowledged) - start)
            data = client.read((self.first_block + start) * BLOCK_BYTES, count * BLOCK_BYTES)
            for i in range(count):
                content = data[i * BLOCK_BYTES:(i + 1) * BLOCK_BYTES]
                version = self.check(start + i, content, where)
                self.acknowledged[start + i] = self.issued[start + i] = version

    def run(self, client, stop, depth=16, largest=16):
        """Writes, reads and flushes until stop() is true. NbdError when the server is gone."""
        busy = set()
        while not stop():
            while client.in_flight() < depth and self._send_one(client, busy, largest):
                pass
            if self.random.random() < 0.05:
                client.send_flush(self._answered)
                self.flushes += 1
            client.collect()
        while client.in_flight():
            client.collect()

    @staticmethod
    def _answered(error, _data):
        if error:
            raise LabError(f"a request failed with error {error}")

    def _send_one(self, client, busy, largest):
        """Starts a write or a read of blocks that no other request is busy with."""
        indices = self._pick(busy, largest)
        if not indices:
            return False
        busy.update(indices)
        offset = (self.first_block + indices[0]) * BLOCK_BYTES
        choice = self.random.random()
        if choice < 0.65:
            self._send_write(client, busy, indices, offset, fua=choice < 0.05)
        else:
            self._send_read(client, busy, indices, offset)
        return True

    def _send_write(self, client, busy, indices, offset, fua):
        for i in indices:
            self.issued[i] += 1
        versions = [self.issued[i] for i in indices]

        def done(error, data):
            self._answered(error, data)
            for i, version in zip(indices, versions):
                self.acknowledged[i] = version
            busy.difference_update(indices)

        client.send_write(offset, b"".join(block_content(self.first_block + i, v)
                                           for i, v in zip(indices, versions)), done, fua)
        self.writes += 1

    def _send_read(self, client, busy, indices, offset):
        def done(error, data):
            self._answered(error, data)
            for n, i in enumerate(indices):
                self.check(i, data[n * BLOCK_BYTES:(n + 1) * BLOCK_BYTES], "read under load")
            busy.difference_update(indices)

        client.send_read(offset, len(indices) * BLOCK_BYTES, done)
        self.reads += 1

    def unsettled(self):
        """How many blocks have a write that was sent and not answered."""
        return sum(a != i for a, i in zip(self.acknowledged, self.issued))

    def _pick(self, busy, largest):
        count = self.random.choice((1, 1, 1, 2, 4, largest))
        first = self.random.randrange(len(self.acknowledged) - count + 1)
        indices = range(first, first + count)
        return [] if any(i in busy for i in indices) else list(indices)


def interruptible():
    """SIGTERM ends a program the way Ctrl-C does, so that what it set up is taken away."""
    def stop(*_):
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
