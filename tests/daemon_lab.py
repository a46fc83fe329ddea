# SPDX-License-Identifier: Apache-2.0
"""vckd for the tests: in the current folder, with its sockets and its log there."""
import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

VCK, VCKD = os.environ["VCK"], os.environ.get("VCKD")
LOG = Path("vckd.log")


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def answers():
    return subprocess.run([VCK, "list", "--socket", "control.sock"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def has_sanitizer():
    linked = subprocess.run(["ldd", Path(VCKD).parent / "vckd.so"], stdout=subprocess.PIPE,
                            check=True, text=True).stdout
    return re.search(r"lib[at]san\.so", linked) is not None


@contextlib.contextmanager
def daemon(*options, secrets=()):
    """Ends well, or killed by the test, and says none of the secrets."""
    with LOG.open("ab") as log:
        process = subprocess.Popen([VCKD, "--foreground", "--socket", "control.sock", "--nbd",
                                    "nbd.sock", *options], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or answers())
        assert process.poll() is None, LOG.read_text()
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) in (0, -signal.SIGKILL), LOG.read_text()
        assert "ERROR: " not in LOG.read_text(), LOG.read_text()
        assert not any(secret in LOG.read_bytes() for secret in secrets)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
