# SPDX-License-Identifier: Apache-2.0
"""Test disks under Wine, from Python: vcktestdisk.sys through vcktest.exe.

    with Client(lab) as client:
        disk = client.create(0, size_bytes=64 << 20)
        disk.load(FILL, max_bytes=65536)
        disk.fault(ops=WRITE, skip=5, count=1, status=IO_DEVICE_ERROR)

The words of every request are the fields of its struct in testdisk/testdisk.h.
"""
import contextlib
import os
import select
import signal
import sys
import threading
import time

import tap
import wine_lab

# How requests complete.
INLINE, INLINE_PENDING, THREAD, DPC, MIXED = range(5)
COMPLETIONS = (INLINE, INLINE_PENDING, THREAD, DPC, MIXED)
READ, WRITE, FLUSH, TRIM, IOCTL, PNP, POWER, OTHER = (1 << i for i in range(8))
FILL, CHECK, RANDOM, SPEED = range(4)
TO_STACK, TO_DISK, TO_NAMED = range(3)
SYSTEM_BUFFER, MDL, ARGUMENT, FROM_USER, WITH_FILE, CANCEL = (1 << i for i in range(6))

MJ_CREATE, MJ_CLOSE, MJ_READ, MJ_WRITE = 0, 2, 3, 4
MJ_FLUSH, MJ_FILE_SYSTEM_CONTROL, MJ_DEVICE_CONTROL, MJ_INTERNAL_CONTROL = 9, 13, 14, 15
MJ_SHUTDOWN, MJ_CLEANUP, MJ_POWER, MJ_SYSTEM_CONTROL, MJ_PNP = 16, 18, 22, 23, 27
MN_START, MN_QUERY_REMOVE, MN_REMOVE, MN_CANCEL_REMOVE = 0, 1, 2, 3
MN_STOP, MN_QUERY_STOP, MN_CANCEL_STOP, MN_QUERY_RELATIONS = 4, 5, 6, 7
MN_QUERY_CAPABILITIES, MN_USAGE, MN_SURPRISE_REMOVAL = 9, 0x16, 0x17
MN_SET_POWER, MN_QUERY_POWER = 2, 3

SUCCESS = 0
PENDING = 0x103
INVALID_HANDLE = 0xC0000008
INVALID_PARAMETER = 0xC000000D
INVALID_REQUEST = 0xC0000010
ACCESS_DENIED = 0xC0000022
TOO_SMALL = 0xC0000023
SHARING_VIOLATION = 0xC0000043
INSUFFICIENT_RESOURCES = 0xC000009A
WRITE_PROTECTED = 0xC00000A2
NOT_SUPPORTED = 0xC00000BB
DOES_NOT_EXIST = 0xC00000C0
CANCELLED = 0xC0000120
IO_DEVICE_ERROR = 0xC0000185
CRC_ERROR = 0xC000003F
DEVICE_BUSY = 0x80000011

MIB = 1 << 20


class Refused(Exception):
    """The last line of an answer was an error: code (Win32) and status (NTSTATUS)."""

    def __init__(self, what, line):
        words = line.split(" ", 3)
        super().__init__(f"{what}: {line}")
        self.code, self.status = int(words[1]), int(words[2], 16)


class Client:
    """A vcktest.exe that waits for commands. One command at a time: others need their own."""

    def __init__(self, lab):
        self.lab = lab
        self.process = lab.start_program("vcktest.exe", "serve")
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(60)
        except Exception:  # pylint: disable=broad-except
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def read_line(self, what, end):
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        max(0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
            if not data:
                raise AssertionError(f"{what}: " + ("vcktest ended" if ready else "no answer"))
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def call(self, verb, seconds=300, **words):
        """The lines of the answer as a dictionary; `driver`, which may repeat, is a list."""
        command = "\t".join([verb, *(f"{name}={value}" for name, value in words.items()
                                     if value is not None)])
        what = command[:200].replace("\t", " ")
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        end = time.monotonic() + seconds
        answer = {}
        while True:
            line = self.read_line(what, end)
            name, _, value = line.partition(" ")
            if name == "ok":
                return answer
            if name == "error":
                raise Refused(what, line)
            if name == "driver":
                answer.setdefault(name, []).append(value)
            else:
                answer[name] = bytes.fromhex(value) if name == "data" else int(value)

    def create(self, number, size_bytes=64 * MIB, **words):
        self.call("create", disk=number, size_bytes=size_bytes, **words)
        return Disk(self, number, size_bytes)

    def control(self, device, code, data=b"", out=4096, **words):
        r"""DeviceIoControl on \\.\device."""
        return self.call("control", path=f"\\\\.\\{device}", code=code, data=data.hex() or None,
                         out=out, **words)["data"]


class Disk:
    def __init__(self, client, number, size_bytes=0):
        self.client, self.number, self.size_bytes = client, number, size_bytes
        self.name = f"VckTestDisk{number}"
        self.path = f"\\\\.\\{self.name}"
        self.device = f"\\Device\\{self.name}"

    def on(self, client):
        """The same disk, asked through another client."""
        return Disk(client, self.number, self.size_bytes)

    def call(self, verb, **words):
        return self.client.call(verb, disk=self.number, **words)

    def delete(self):
        self.call("delete")

    def behave(self, **words):
        """Fields that are not named go back to zero."""
        self.call("behave", **words)

    def fault(self, bytes_moved=0, **words):
        self.call("fault", bytes=bytes_moved, **words)

    def clear(self):
        self.call("clear")

    def stats(self):
        return self.call("stats")

    def stack(self):
        r"""Names of the drivers from the top, without \Driver\."""
        return [name.rpartition("\\")[2].lower() for name in self.call("stack")["driver"]]

    def add(self, driver="vck"):
        self.call("add", driver=f"\\Driver\\{driver}")

    def can_unload(self, driver="vck"):
        """Whether the driver has a DriverUnload now."""
        return self.call("unloadable", driver=f"\\Driver\\{driver}")["can_unload"] != 0

    def send(self, major, minor=0, *arguments, data=None, **words):
        """One IRP: the answer's fields."""
        numbered = {f"a{i}": value for i, value in enumerate(arguments)}
        answer = self.call("send", major=major, minor=minor, **numbered,
                           data=data.hex() if data else None, **words)
        assert answer["completions"] == 1, answer
        if answer["returned"] == PENDING:
            assert answer["pending_returned"] or answer["was_cancelled"], answer
        return answer

    def pnp(self, minor, *arguments, **words):
        return self.send(MJ_PNP, minor, *arguments, **words)["status"]

    def start(self):
        return self.pnp(MN_START)

    def remove(self, surprise=False):
        """As the PnP manager takes it away; the disk itself stays, with its contents."""
        if surprise:
            self.behave(is_gone=1)
            self.pnp(MN_SURPRISE_REMOVAL)
        return self.pnp(MN_REMOVE)

    def read(self, offset, length=512, target=TO_STACK, **words):
        flags = MDL | words.pop("flags", 0)
        return self.send(MJ_READ, 0, length, 0, offset, data_bytes=length, flags=flags, show=1,
                         target=target, **words)

    def write(self, offset, data, target=TO_STACK, **words):
        flags = MDL | words.pop("flags", 0)
        return self.send(MJ_WRITE, 0, len(data), 0, offset, data=data, flags=flags, target=target,
                         **words)

    def ioctl(self, code, data=b"", out=0, major=MJ_DEVICE_CONTROL, **words):
        """By IRP, past what user mode checks: (status, answer)."""
        answer = self.send(major, 0, out, len(data), code, data=data or None,
                           data_bytes=max(out, len(data)), show=1, flags=SYSTEM_BUFFER, **words)
        return answer["status"], answer["data"][:answer["information"]]

    def load(self, kind, max_bytes=65536, seconds=300, **words):
        return self.call("load", kind=kind, max_bytes=max_bytes, seconds=seconds, **words)

    def fill(self, **words):
        return clean(self.load(FILL, **{"threads": 2, "depth": 4, **words}))

    def check(self, **words):
        return clean(self.load(CHECK, **{"threads": 2, "depth": 4, **words}))

    def random(self, requests=0, **words):
        return clean(self.load(RANDOM, requests=requests, **{
            "threads": 4, "depth": 8, "min_bytes": 4096, "read_percent": 50, **words}))

    def storm(self, count, seed=1, seconds=300, **words):
        """IRPs of every kind by chance to the top of the stack: none may be answered wrongly."""
        result = self.call("storm", count=count, seed=seed, seconds=seconds, **words)
        assert result["sent"] == count and result["wrong"] == 0, result
        return result

    def user_load(self, kind, **words):
        return clean(self.client.call("userload", path=self.path, kind=kind, **words))

    def put(self, path, **words):
        self.call("put", file=self.client.lab.windows_path(path), **words)

    def get(self, path, end_bytes=None, **words):
        self.call("get", file=self.client.lab.windows_path(path),
                  end_bytes=end_bytes or self.size_bytes, **words)

    def copy(self, path):
        """What the top of the stack shows, into the file."""
        return self.client.call("copy", path=self.path,
                                file=self.client.lab.windows_path(path))["bytes"]

    def peek(self, offset, size=512):
        return self.call("peek", offset_bytes=offset, size_bytes=size)["data"]

    def poke(self, offset, data):
        self.call("poke", offset_bytes=offset, data=data.hex())


def storms(lab, disk, seed, count, **words):
    """Four at once, as a system sends from several processors: the sum of what came of them."""
    running = [Background(lab, lambda client, n=n: disk.on(client).storm(count, seed + n, **words))
               for n in range(4)]
    results = [storm.result() for storm in running]
    return {name: sum(result[name] for result in results) for name in results[0]}


def clean(result):
    """The result of a load in which nothing went wrong."""
    assert result["errors"] == 0 and result["mismatches"] == 0, result
    return result


def make_lab():
    """A Lab; where there is no Wine the whole file is skipped."""
    try:
        return wine_lab.Lab()
    except wine_lab.LabError as problem:
        if "is installed" not in str(problem):
            raise
        print(f"1..0 # SKIP {problem}")
        sys.exit(0)


def main(lab, *drivers):
    """Runs the tests, or those the command line has a part of the name of, in one session with
    these drivers, which must leave nothing behind."""
    tap.TESTS[:] = [entry for entry in tap.TESTS
                    if not sys.argv[1:] or any(part in entry[0] for part in sys.argv[1:])]
    code = 1
    with lab:
        for name in drivers:
            if name not in lab.loaded:
                lab.load(name)
        try:
            tap.main()
        except SystemExit as ending:
            code = ending.code
        if code == 0:
            for name in reversed(lab.loaded):
                lab.unload(name)
        else:
            lab.explain()
    sys.exit(code)


class Background:
    """Runs a function of a client of its own meanwhile; result() waits for it, and raises."""

    def __init__(self, lab, function, *arguments, **words):
        self.client = Client(lab)
        self.value = self.error = None
        self.thread = threading.Thread(target=self._run, args=(function, arguments, words),
                                       daemon=True)
        self.thread.start()

    def _run(self, function, arguments, words):
        try:
            self.value = function(self.client, *arguments, **words)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error
        finally:
            self.client.close()

    def is_running(self):
        return self.thread.is_alive()

    def result(self, seconds=300):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "it does not end"
        if self.error:
            raise self.error
        return self.value


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
