#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Drivers under Wine: a fresh prefix, a session that stays alive, and what the drivers did wrong.

    with Lab("build/nt") as lab:
        lab.load("vckverify")
        lab.load("example")
        lab.run("example_test.exe", "one")
        lab.unload("example")

A Lab makes a prefix in a directory of its own, loads each NAME.sys it finds below the build
directory into one load-order group (one process: the drivers see each other), and at the end kills
the wineserver of that prefix, and of no other, and removes the directory. Leaving the block raises
LabError when a driver crashed or when vckverify, loaded first, found something that the test did
not take.

As a command: wine_lab.py --build-dir DIR --load NAME... [-- PROGRAM ARGUMENT...]
"""
import argparse
import contextlib
import ctypes
import fcntl
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GROUP = "VckLab"
TEMPLATE = "wine-prefix-"
CRASH_LOG = "crash.log"
PATIENCE_S = 300  # with anything, on a busy machine
VERIFIER = "vckverify"
SUPPLY = "supply"
FINDING_MARK = "VCKVERIFY "
SUMMARY_MARK = "VCKVERIFY-SUMMARY "
VERIFY = {name: 0x222000 + 4 * (0x900 + number) for number, name in enumerate(
    ("FINDINGS", "DRIVERS", "SET_VARIABLE", "SET_MEMORY", "GET_MEMORY", "FAIL_ALLOCATION",
     "SHUTDOWN", "QUARANTINE", "RESET", "NDIS", "DELAY_WORK"))}
# tools/nt-verifier/ndis_control.h: what can be asked of the NDIS in the verifier, in its order.
NDIS_VERBS = ("QUERY", "CONFIGURE", "RESET", "ADD", "REMOVE", "BIND", "UNBIND", "PAUSE", "RESTART",
              "LOW_POWER", "FULL_POWER", "LINK", "STATUS_IS", "RECEIVE", "RELEASE", "UNINSTALL")
NDIS_OPTIONS = ("fails_open", "opens_later", "closes_later", "sends_later", "holds_sends",
                "fails_send_every", "requests_later", "holds_requests", "fails_request_every",
                "lends_short_every", "drops_every", "splits", "shuffles", "unbinds_running",
                "binds_early", "receive_limit")
NDIS_RECEIVE_LIMIT = 4096
NDIS_NOW = ("protocols", "bindings", "opens", "pools", "lists", "sends", "receives", "requests",
            "events", "due")
NDIS_SINCE = ("frames_sent", "frames_failed", "frames_received", "frames_lost", "binds", "unbinds",
              "pauses", "restarts", "requests_done")
NDIS_IS = ("is_present", "is_paused", "is_running", "packet_filter")
ADDR2LINE = "x86_64-w64-mingw32-addr2line"
REGISTRY = r"""Windows Registry Editor Version 5.00

[HKEY_CURRENT_USER\Software\Wine]
"Version"="win10"

[HKEY_LOCAL_MACHINE\Software\Microsoft\Windows NT\CurrentVersion\AeDebug]
"Debugger"="C:\\windows\\system32\\cmd.exe /c C:\\windows\\system32\\winedbg.exe --auto %ld %ld >> C:\\crash.log 2>&1"

[HKEY_LOCAL_MACHINE\System\CurrentControlSet\Control]
"ServicesPipeTimeout"="300000"
"""
# Wine's own drivers of input devices are of no use here, and their process, on a busy machine, may
# be asked for devices before it is ready, and crash: they are not loaded.
ENVIRONMENT = {
    "WINEARCH": "win64",
    "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe,winebus.sys,winehid.sys,wineusb.sys="
                        ";explorer.exe=d",
}
NOT_LOADED = re.compile(r'ZwLoadDriver failed .*\\wine(bus|hid|usb)"')
# Drivers' DbgPrint, and KeBugCheckEx; programs are run without any of it.
SESSION_DEBUG = "-all,warn+debugstr,err+ntoskrnl"
DEBUG_LINE = re.compile(r"^(?:[0-9.]+:)?(?:[0-9a-f]{4}:)+warn:debugstr:\w+ "
                        r"[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8}: (.*)$")
WIN32_CODES = {2: "not found", 5: "access denied or the driver's process is gone",
               126: "a module it imports is missing", 127: "an import is missing",
               232: "the driver's process is gone", 1053: "it crashed or hung in DriverEntry",
               1056: "already running", 1060: "no such service", 1062: "not running",
               1114: "DriverEntry failed"}


MODULE_SUFFIXES = (".dll", ".exe", ".sys", ".drv", ".ocx", ".acm", ".cpl", ".tlb", ".nls", ".ttf",
                   ".ax", ".ds", ".msstyles", ".com", ".mod16", ".dll16", ".exe16", ".drv16")


class LabError(Exception):
    """A step did not do what it must."""


class DriverError(LabError):
    """A request to a driver, or to load or unload it, failed: code (Win32) and status (NTSTATUS)."""

    def __init__(self, what, code, status):
        hint = WIN32_CODES.get(code)
        super().__init__(f"{what}: Win32 error {code}{f' ({hint})' if hint else ''}, "
                         f"status {status:08X}")
        self.code = code
        self.status = status


def place_by_rule():
    """In a child: have nothing of it placed by chance. Wine's programs need the page at 0x7ffe0000,
    and are loaded below it; where the system puts the heap some way behind a program, it lies there
    once in some thousand starts, and Wine ends at once, with 1 and without a word."""
    ctypes.CDLL(None).personality(0x0040000)  # ADDR_NO_RANDOMIZE


def begin_child():
    """In a child: be killed when this program is, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    place_by_rule()


def find_program(variable, *candidates):
    for candidate in (os.environ.get(variable), *candidates):
        found = candidate and shutil.which(candidate)
        if found:
            return found
    raise LabError(f"none of {', '.join(candidates)} is installed; {variable} may name one")


class Result:
    """What a program did: code (None: killed at its time limit), out and err as text."""

    def __init__(self, command, code, out, err):
        self.command, self.code = command, code
        self.out, self.err = (text.decode(errors="replace").replace("\r\n", "\n")
                              for text in (out, err))

    def __str__(self):
        how = "ran out of time" if self.code is None else f"ended with {self.code}"
        return f"{' '.join(self.command)} {how}\n{self.out}{self.err}".rstrip()


class Finding:
    """What the verifier says: kind, driver (its file's name), text; stack, where it was found, and
    origin, where the thing comes from (allocated, locked, ...): lists of frames as texts."""

    def __init__(self, line, symbols):
        head, _, self.text = line.partition(" text=")
        words = dict(word.partition("=")[::2] for word in head.split()[1:])
        self.kind, self.driver = words["kind"], words["driver"]
        self.stack, self.origin = (
            [symbols.name(frame) for frame in words.get(which, "").split(",") if frame]
            for which in ("stack", "origin"))

    def __str__(self):
        lines = [f"{self.driver}: {self.kind}: {self.text}"]
        lines += [f"    {frame}" for frame in self.stack]
        if self.origin:
            lines += ["  from", *(f"    {frame}" for frame in self.origin)]
        return "\n".join(lines)


class Symbols:
    """Names of addresses in drivers, from the NAME.debug beside each NAME.sys."""

    def __init__(self):
        self.files = {}
        self.names = {}
        self.addr2line = shutil.which(ADDR2LINE) or shutil.which("addr2line")

    def add(self, image):
        for path in (image.with_suffix(".debug"), image):
            if path.exists():
                self.files[image.name.lower()] = path
                return

    def name(self, frame):
        """example.sys+0x1234: what is there, if that is known. A frame is a return address: the
        call is before it."""
        if frame not in self.names:
            self.names[frame] = self._look_up(frame)
        return self.names[frame]

    def _look_up(self, frame):
        module, _, offset = frame.partition("+")
        path = self.files.get(module.lower())
        if not path or not self.addr2line or not offset:
            return frame
        address = pe_image_base(path) + int(offset, 16) - 1
        done = subprocess.run([self.addr2line, "-f", "-i", "-e", str(path), f"{address:#x}"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False)
        lines = done.stdout.splitlines()
        if done.returncode or len(lines) < 2 or lines[0] == "??":
            return frame
        # An inlined function is followed by the one it is inlined in.
        calls = [f"{function} ({'/'.join(place.split(' ')[0].split('/')[-2:])})"
                 for function, place in zip(lines[::2], lines[1::2])]
        return f"{frame} {' in '.join(calls)}"


def pe_image_base(path):
    with open(path, "rb") as file:
        head = file.read(4096)
    at = int.from_bytes(head[0x3C:0x40], "little")
    return int.from_bytes(head[at + 0x30:at + 0x38], "little")


def copy_prefix(source, target):
    """Modules of Wine's are linked where the file system can."""
    def copy(old, new):
        if new.endswith(MODULE_SUFFIXES):
            with contextlib.suppress(OSError):
                os.link(old, new)
                return
        shutil.copy2(old, new)
    shutil.copytree(source, target, symlinks=True, copy_function=copy)


class Lab:
    def __init__(self, build_dir=None, directory=None, group=GROUP, keep=False, verify=None):
        """directory: made and removed, unless keep; default: a temporary one. verify: each session
        begins with loading vckverify.sys; default: whether VCK_VERIFY is set and not 0. "supply":
        it only supplies what Wine lacks, and checks nothing."""
        root = Path(__file__).resolve().parent.parent
        self.build_dir = Path(build_dir or os.environ.get("VCK_NT_BUILD") or root / "build/nt")
        self.wine = find_program("WINE", "wine64", "/usr/lib/wine/wine64", "wine")
        self.wineserver = find_program("WINESERVER", "wineserver", "/usr/lib/wine/wineserver64",
                                       "/usr/lib/wine/wineserver")
        self.vckload = self.find("vckload.exe")
        self.group, self.keep = group, keep
        self.is_verifying = (os.environ.get("VCK_VERIFY", "0") != "0" if verify is None
                             else verify)
        self.directory = Path(tempfile.mkdtemp(prefix="vck-wine-") if directory is None
                              else directory).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prefix = self.directory / "prefix"
        self.log_path = self.directory / "debug.log"
        self.loaded = []
        self.symbols = Symbols()
        self.session = None
        self._answers = b""
        self._taken = 0

    def __enter__(self):
        try:
            self._make_prefix()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.check()
            else:
                self.explain()
        finally:
            self.close()

    # ---- files and names ----

    def find(self, name):
        """A file below the build directory, or the file the path names."""
        if "/" in str(name):
            path = Path(name).resolve()
            if path.is_file():
                return path
            raise LabError(f"{path} is not there")
        found = []
        for folder, folders, names in os.walk(self.build_dir):
            folders[:] = [entry for entry in folders if not entry.startswith(TEMPLATE)]
            found += [Path(folder, name)] if name in names else []
        if len(found) == 1:
            return found[0]
        raise LabError(f"{len(found) or 'no'} files {name} below {self.build_dir}")

    @property
    def drive_c(self):
        return self.prefix / "drive_c"

    @staticmethod
    def windows_path(path):
        """How a program under Wine names a file of this system."""
        return "Z:" + str(Path(path).resolve()).replace("/", "\\")

    # ---- the prefix and its session ----

    def _environment(self, debug="-all"):
        return {**os.environ, **ENVIRONMENT, "WINEPREFIX": str(self.prefix), "WINEDEBUG": debug}

    def _make_prefix(self):
        """A new prefix takes Wine seconds, and hundreds of megabytes of its own modules: one is made
        in the build directory, each Lab gets a copy that shares what is never written."""
        version = subprocess.run([self.wine, "--version"], stdout=subprocess.PIPE, text=True,
                                 check=True).stdout.strip()
        template = self.build_dir / f"{TEMPLATE}{version.split()[0]}"
        if not os.access(self.build_dir, os.W_OK):
            self._create_prefix()
            return
        with open(self.build_dir / f"{TEMPLATE}lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                self._create_prefix()
                making = template.with_name(f"{TEMPLATE}new")
                shutil.rmtree(making, ignore_errors=True)
                copy_prefix(self.prefix, making)
                making.rename(template)
                return
        copy_prefix(template, self.prefix)

    def _create_prefix(self):
        settings = self.directory / "settings.reg"
        settings.write_text(REGISTRY.replace("\n", "\r\n"))
        for command in ((self.wine, "wineboot", "-i"),
                        (self.wine, "regedit", "/S", self.windows_path(settings)),
                        (self.wineserver, "-k"), (self.wineserver, "-w")):
            try:
                done = subprocess.run(command, env=self._environment(), stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      timeout=2 * PATIENCE_S, check=False, preexec_fn=place_by_rule)
            except subprocess.TimeoutExpired:
                raise LabError(f"{' '.join(command)} does not end") from None
            # Without a server there is nothing to kill.
            if done.returncode and command[1:] != ("-k",):
                raise LabError(f"{' '.join(command)} ended with {done.returncode}: "
                               f"{done.stdout.decode(errors='replace')}")
        if not (self.drive_c / "windows/system32/ntoskrnl.exe").exists():
            raise LabError(f"wineboot made no usable prefix in {self.prefix}")

    def start(self):
        """A session; its first process is the one that drivers' debug output comes from."""
        with open(self.log_path, "ab") as log:
            self.session = subprocess.Popen(
                [self.wine, str(self.vckload), "session"], env=self._environment(SESSION_DEBUG),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                preexec_fn=begin_child, cwd=self.directory)
        self._answers = b""
        self._read_answer("start the session", PATIENCE_S)
        if self.is_verifying:
            self.set_registry(rf"SYSTEM\CurrentControlSet\Services\{VERIFIER}", "Checks",
                              int(self.is_verifying != SUPPLY))
            self.load(VERIFIER)

    def stop(self):
        """Ends every process of this prefix; drivers are gone without being unloaded."""
        if self.prefix.exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                for option in ("-k", "-w"):
                    subprocess.run([self.wineserver, option], env=self._environment(), timeout=120,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, check=False)
        if self.session:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.session.pid, signal.SIGKILL)
            self.session.wait()
            self.session.stdin.close()
            self.session.stdout.close()
        self.session = None
        self.loaded = []

    def restart(self):
        """What a power cut and a boot are: same registry and files, nothing else."""
        self.stop()
        self.start()

    def close(self):
        self.stop()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _read_answer(self, what, seconds):
        end = time.monotonic() + seconds
        while b"\n" not in self._answers:
            ready, _, _ = select.select([self.session.stdout], [], [],
                                        max(0, end - time.monotonic()))
            if not ready:
                raise LabError(f"{what}: no answer within {seconds} s")
            data = os.read(self.session.stdout.fileno(), 1 << 20)
            if not data:
                raise LabError(f"{what}: the session ended")
            self._answers += data
        line, self._answers = self._answers.split(b"\n", 1)
        words = line.decode(errors="replace").split()
        if words[:1] == ["ok"]:
            return words[1:]
        code, status = (int(words[1]), int(words[-1].partition("=")[2] or "0", 16))
        raise DriverError(f"{what}: {' '.join(words[2:-1])}", code, status)

    def command(self, *words, seconds=PATIENCE_S):
        """One of vckload's commands, in the session: the words of its answer."""
        if not self.session:
            raise LabError("no session")
        what = " ".join(str(w) for w in words if len(str(w)) < 200)
        try:
            self.session.stdin.write("\t".join(str(w) for w in words).encode() + b"\n")
            self.session.stdin.flush()
        except BrokenPipeError:
            raise LabError(f"{what}: the session ended") from None
        return self._read_answer(what, seconds)

    # ---- drivers and programs ----

    def load(self, name, path=None, seconds=PATIENCE_S):
        """Loads NAME.sys from the build directory, or from path, into the group; DriverEntry has
        succeeded when this returns."""
        source = self.find(path or f"{name}.sys")
        place = self.drive_c / "windows/system32/drivers" / f"{name}.sys"
        shutil.copyfile(source, place)
        self.symbols.add(source)
        self.command("load", name, f"C:\\windows\\system32\\drivers\\{name}.sys", self.group,
                     seconds=seconds)
        self.loaded.append(name)

    def unload(self, name, seconds=PATIENCE_S):
        """Stops the driver (DriverUnload has run when this returns) and deletes its service."""
        self.command("unload", name, seconds=seconds)
        if name in self.loaded:
            self.loaded.remove(name)

    def ioctl(self, device, code, data=b"", out_bytes=0, seconds=PATIENCE_S):
        r"""DeviceIoControl on \\.\device: the bytes it returned, or DriverError."""
        answer = self.command("ioctl", device, code, out_bytes, *([data.hex()] if data else []),
                              seconds=seconds)
        return bytes.fromhex(answer[0]) if answer else b""

    def set_registry(self, key, name, value):
        """A value under HKEY_LOCAL_MACHINE: an int (dword) or a string."""
        kind = "dword" if isinstance(value, int) else "sz"
        self.command("reg", key, name, kind, value)

    def start_program(self, program, *arguments, cwd=None):
        """The same as run, but returns the running process, its three streams pipes."""
        with contextlib.suppress(LabError):
            program = self.find(program)
        command = [str(word) for word in (self.wine, program, *arguments)]
        return subprocess.Popen(command, env=self._environment(), cwd=cwd or self.directory,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, start_new_session=True,
                                preexec_fn=begin_child)

    def run(self, program, *arguments, seconds=PATIENCE_S, check=True, data=None, cwd=None):
        """Runs a program of the build directory (or a path, or, without one, a system command), in
        the lab's directory or in cwd."""
        process = self.start_program(program, *arguments, cwd=cwd)
        try:
            out, err = process.communicate(data or b"", timeout=seconds)
            result = Result(process.args[1:], process.returncode, out, err)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            result = Result(process.args[1:], None, out, err)
        if check and result.code != 0:
            raise LabError(str(result))
        return result

    # ---- the verifier ----

    def inject_variable(self, vendor, name, value, attributes=7):
        """A firmware variable: vendor a uuid.UUID; no value: it goes."""
        text = name.encode("utf-16-le")
        self.ioctl("VckVerify", VERIFY["SET_VARIABLE"],
                   vendor.bytes_le + struct.pack("<II", attributes, len(text)) + text + value)

    def inject_memory(self, physical, data):
        """Physical memory that MmMapIoSpace maps."""
        self.ioctl("VckVerify", VERIFY["SET_MEMORY"], struct.pack("<Q", physical) + data)

    def read_memory(self, physical, count):
        """What is now in memory that was injected."""
        return self.ioctl("VckVerify", VERIFY["GET_MEMORY"], struct.pack("<Q", physical), count)

    def fail_allocation(self, name, nth):
        """Lets the driver's nth allocation from now on fail (0: none); how many it made since this
        was last called."""
        data = struct.pack("<I", nth) + f"{name}.sys".lower().encode()
        return struct.unpack("<Q", self.ioctl("VckVerify", VERIFY["FAIL_ALLOCATION"], data, 8))[0]

    def delay_work(self, name, milliseconds):
        """Has the driver's work items begin so much later from now on: who frees or queues one too
        early is found out."""
        self.ioctl("VckVerify", VERIFY["DELAY_WORK"],
                   struct.pack("<I", milliseconds) + f"{name}.sys".lower().encode())

    def ndis(self, verb, adapter=0, data=b"", out_bytes=0):
        """Asks the verifier's NDIS about one of its adapters, or has something happen to it: the
        answer. Nothing is waited for."""
        head = struct.pack("<II", NDIS_VERBS.index(verb), adapter)
        return self.ioctl("VckVerify", VERIFY["NDIS"], head + data, out_bytes)

    def ndis_counts(self, adapter=0):
        """What there is and has been, as {name: number}."""
        kinds = f"<{len(NDIS_NOW)}I{len(NDIS_SINCE)}Q{len(NDIS_IS)}I"
        answer = self.ndis("QUERY", adapter, b"", struct.calcsize(kinds))
        return dict(zip(NDIS_NOW + NDIS_SINCE + NDIS_IS, struct.unpack(kinds, answer)))

    def ndis_configure(self, adapter, **options):
        """How the adapter behaves from now on; what is not named, it does not do."""
        options = {"receive_limit": NDIS_RECEIVE_LIMIT, **options}
        assert set(options) <= set(NDIS_OPTIONS), options
        self.ndis("CONFIGURE", adapter,
                  struct.pack(f"<{len(NDIS_OPTIONS)}I",
                              *(int(options.get(name, 0)) for name in NDIS_OPTIONS)))

    def send_shutdown(self):
        """IRP_MJ_SHUTDOWN to all devices registered for it; how many."""
        return struct.unpack("<I", self.ioctl("VckVerify", VERIFY["SHUTDOWN"], b"", 4))[0]

    def set_quarantine(self, count):
        """How many bytes of freed pool are kept from being used again."""
        self.ioctl("VckVerify", VERIFY["QUARANTINE"], struct.pack("<Q", count))

    # ---- what happened ----

    def debug_lines(self):
        """What drivers printed with DbgPrint, oldest first, without the verifier's lines."""
        return [line for line in self.log_lines()
                if not line.startswith("VCKVERIFY") and not NOT_LOADED.search(line)]

    def log_lines(self):
        """Everything that was printed."""
        if not self.log_path.exists():
            return []
        lines = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            match = DEBUG_LINE.match(line)
            lines.append(match.group(1) if match else line)
        return lines

    def crash_log(self):
        """Debugger's report of every crash, or an empty string."""
        path = self.drive_c / CRASH_LOG
        return path.read_text(errors="replace") if path.exists() else ""

    def take_crash_log(self):
        """The crash log; what was taken no longer fails the test."""
        text = self.crash_log()
        if text:
            (self.drive_c / CRASH_LOG).unlink()
        return text

    def findings(self):
        """What the verifier found and was not taken, oldest first."""
        lines = [line for line in self.log_lines() if line.startswith(FINDING_MARK)]
        return [Finding(line[len(FINDING_MARK):], self.symbols) for line in lines[self._taken:]]

    def take_findings(self):
        """The findings; what was taken no longer fails the test."""
        found = self.findings()
        self._taken += len(found)
        return found

    def summary(self, name):
        """What a driver did until it was last unloaded, as {counter: number}."""
        lines = [line.split()[1:] for line in self.log_lines()
                 if line.startswith(f"{SUMMARY_MARK}driver={name.lower()}.sys ")]
        if not lines:
            raise LabError(f"{name} was not unloaded under the verifier")
        return {key: int(value) for key, _, value in
                (word.partition("=") for word in lines[-1][1:])}

    def check(self):
        """Raises when a driver crashed or something was found that was not taken."""
        crash = self.crash_report()
        if crash:
            raise LabError(f"a driver crashed:\n{crash}\n" + "\n".join(self.debug_lines()[-40:]))
        found = self.findings()
        if found:
            raise LabError(f"{len(found)} findings:\n" + "\n".join(map(str, found)))

    def crash_report(self):
        """The part of the crash log that says what happened, with names for the drivers' frames."""
        kept = []
        is_kept = True
        for line in self.crash_log().splitlines():
            if line.startswith("Modules:"):
                is_kept = False
            elif line.startswith("Unhandled exception"):
                is_kept = True
            if is_kept:
                kept.append(re.sub(r"in (\S+\.sys) \(\+(0x[0-9a-f]+)\)",
                                   lambda m: self.symbols.name(f"{m.group(1)}+{m.group(2)}"), line))
        return "\n".join(kept)

    def explain(self):
        """After a failure: what the drivers said last, as comments of a test's output."""
        for line in [*self.debug_lines()[-40:], *self.crash_report().splitlines(),
                     *(line for finding in self.findings() for line in str(finding).splitlines())]:
            print(f"# {line}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-dir", help="where drivers and programs are (default build/nt)")
    parser.add_argument("--directory", help="keep prefix and logs here")
    parser.add_argument("--load", action="append", default=[], metavar="NAME",
                        help="load NAME.sys, in this order (repeatable; a path may end it)")
    parser.add_argument("--seconds", type=float, default=60, help="the program's time limit")
    parser.add_argument("--debug", action="store_true", help="print what the drivers printed")
    parser.add_argument("program", nargs="*", help="what to run, with its arguments")
    arguments = parser.parse_args()
    result = None
    try:
        with Lab(arguments.build_dir, arguments.directory, keep=bool(arguments.directory)) as lab:
            for driver in arguments.load:
                is_path = "/" in driver
                lab.load(Path(driver).stem if is_path else driver, driver if is_path else None)
            if arguments.program:
                result = lab.run(*arguments.program, seconds=arguments.seconds, check=False)
                sys.stdout.write(result.out)
                sys.stderr.write(result.err)
            for name in reversed(lab.loaded):
                lab.unload(name)
            if arguments.debug:
                print("\n".join(lab.log_lines()), file=sys.stderr)
    except LabError as error:
        print(f"wine_lab: {error}", file=sys.stderr)
        return 1
    if result and result.code is None:
        print("wine_lab: the program ran out of time", file=sys.stderr)
    return 0 if not result or result.code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
