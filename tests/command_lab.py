# SPDX-License-Identifier: Apache-2.0
"""The command for the tests: run in the current folder, judged by its exit code and by what it says."""
import hashlib
import os
import re
import subprocess
from pathlib import Path

VCK = os.environ["VCK"]
OK, FAILED, USAGE, NOT_FOUND, WRONG_KEY, PERMISSION, PROBLEMS, BUSY, NO_DAEMON, REFUSED = range(10)
INTERRUPTED = 130
ASKS_DAEMON = {"attach", "bench", "decrypt", "detach", "encrypt", "list", "pause", "rate", "rekey",
               "resume", "status"}


def at_daemon(verb, *arguments, always=False):
    """The words of a command; of one that asks the daemon, the one the test has started."""
    socket = ["--socket", "control.sock"] if always or verb in ASKS_DAEMON else []
    return [VCK, verb, *socket, *map(str, arguments)]


def vck(*arguments, code=OK, says=None, stdin=None, secrets=(), program=VCK, **popen):
    """Expects the exit code; the pattern, or the patterns, of says on stderr or stdout; and that
    none of the secrets (bytes) is printed. Returns stdout."""
    source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    done = subprocess.run([program, *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, check=False, **source, **popen)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, f"vck {arguments}: {done.returncode}, not {code}: {output}"
    for expected in [says] if isinstance(says, str) else says or ():
        assert re.search(expected, output), f"vck {arguments}: no {expected!r} in: {output}"
    for secret in secrets:
        assert secret not in done.stdout + done.stderr and secret.hex() not in output
    return done.stdout.decode()


def vck_at_daemon(*arguments, always=False, **expected):
    return vck(*at_daemon(*arguments, always=always)[1:], **expected)


def private(name, data):
    Path(name).write_bytes(data)
    os.chmod(name, 0o600)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class unchanged:
    """Within it, the files stay as they are to the byte."""

    def __init__(self, *paths):
        self.paths = paths or ("image",)

    def __enter__(self):
        self.before = [digest(path) for path in self.paths]

    def __exit__(self, kind, *_):
        if kind is None:
            assert self.before == [digest(path) for path in self.paths], "the file was changed"
