#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon over its two sockets, spoken to without the vck command: protocol, NBD, start and end."""
import contextlib
import errno
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

try:
    import msgpack
    import nbd
except ImportError as missing:
    print(f"1..0 # SKIP {missing}: python3-msgpack and python3-libnbd are needed")
    sys.exit(0)

VCK, VCKD = os.environ["VCK"], os.environ["VCKD"]
KEY = bytes(range(7, 39))
MIB = 1 << 20
FRAME_MAX = 65536
NOBODY = 65534

(GET_STATUS, START_ENCRYPT, START_DECRYPT, GET_PROGRESS, PAUSE, ATTACH, DETACH, PREPARE,
 PAUSE_OS_VOLUME, DETACH_ALL, BENCH, LIST, RESUME, SET_RATE, DAMAGE, LAST_ERROR) = (
     0x226000, 0x22a004, 0x22a008, 0x22600c, 0x22a010, 0x22a014, 0x22a018, 0x22a01c, 0x22a020,
     0x22a024, 0x226028, 0x22602c, 0x22a030, 0x22a034, 0x226038, 0x22603c)
INVALID_DATA, VALIDATION_FAILED, UNSUPPORTED = 0xC000000D, 0xC000003E, 0xC00000BB
NOT_FOUND, DENIED, BUSY, WRONG_KEY = 0xC0000225, 0xC0000022, 0xC0000043, 0xC000006A
ALREADY_EXISTS, CHECKSUM = 0xC0000035, 0xC000003F
IDLE, ENCRYPTING, _, PAUSED = range(4)


class Control:
    """A connection to the control socket."""

    def __init__(self, path="control.sock"):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.socket.settimeout(300)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def raw(self, frame):
        self.socket.send(frame)
        answer = self.socket.recv(FRAME_MAX)
        return struct.unpack("<I", answer[:4])[0], answer[4:]

    def ask(self, code, message=None):
        """The status, and the message or the explanation."""
        body = b"" if message is None else msgpack.packb(message, use_bin_type=True)
        status, rest = self.raw(struct.pack("<I", code) + body)
        if status:
            return status, rest.decode()
        return status, msgpack.unpackb(rest, raw=False) if rest else None

    def good(self, code, message=None):
        status, answer = self.ask(code, message)
        assert status == 0, f"{code:#x}: {status:#x}: {answer}"
        return answer

    def refused(self, code, message, status, says):
        got, why = self.ask(code, message)
        assert got == status, f"{code:#x} {message}: {got:#x}, not {status:#x}: {why}"
        assert says in why, f"{why!r} does not say {says!r}"


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def answers(path="control.sock"):
    try:
        with Control(path):
            return os.path.exists("nbd.sock")
    except OSError:
        return False


def start(*options, program=VCKD, **popen):
    log = open("vckd.log", "ab")
    with log:
        process = subprocess.Popen(
            [program, "--foreground", "--socket", "control.sock", "--nbd", "nbd.sock", *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **popen)
    wait_until(lambda: process.poll() is not None or answers())
    assert process.poll() is None, Path("vckd.log").read_text()
    return process


def stop(process):
    """It stops itself, and says so by its exit code, when its end takes longer than it may."""
    process.send_signal(signal.SIGTERM)
    code = process.wait(300)
    log = Path("vckd.log").read_text()
    assert code == 0, f"ended with {code}: {log}"
    assert not os.path.exists("control.sock") and not os.path.exists("nbd.sock")


@contextlib.contextmanager
def daemon(*options, **popen):
    """vckd in the current folder; it must end well, and must not have said the key."""
    process = start(*options, **popen)
    try:
        yield process
        stop(process)
        assert KEY not in Path("vckd.log").read_bytes()
        assert "ERROR: " not in Path("vckd.log").read_text(), Path("vckd.log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def content(size):
    return b"".join(hashlib.sha256(struct.pack("<I", i)).digest() for i in range(size // 32))


def make_volume(path="image", size=4 * MIB, *options):
    data = content(size)
    Path(path).write_bytes(data)
    Path("key").write_bytes(KEY)
    os.chmod("key", 0o600)
    subprocess.run([VCK, "prepare", "--grow", "--metadata-size", "128K", "--vmk-file", "key",
                    *options, path], check=True, stdout=subprocess.DEVNULL)
    return data


def absolute(path):
    return os.path.join(os.getcwd(), path)


def prepare_message(path="image", key=KEY, **more):
    return {"volume_path": absolute(path), "vmk": key, **more}


def volume(path="image"):
    return {"volume_path": absolute(path)}


@contextlib.contextmanager
def nbd_client(export="image"):
    handle = nbd.NBD()
    handle.set_strict_mode(0)  # the server has to say no, not the library
    handle.set_export_name(export)
    handle.connect_unix("nbd.sock")
    try:
        yield handle
    finally:
        with contextlib.suppress(nbd.Error):
            handle.shutdown()


def fails(error, call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as failure:
        assert failure.errno == errno.errorcode[error], f"{failure}, not {errno.errorcode[error]}"
        return
    raise AssertionError("did not fail")


# ---- a life ----

@tap.test
def life():
    """attach, serve, encrypt, pause, end, start, go on and serve the same bytes"""
    data = bytearray(make_volume(size=16 * MIB))
    with daemon(), Control() as control:
        answer = control.good(PREPARE, prepare_message())
        assert answer["data_sectors"] == 16 * MIB // 512 and answer["fully_attached"]
        with nbd_client() as client:
            assert client.get_size() == len(data)
            client.pwrite(b"w" * 8192, 4096, nbd.CMD_FLAG_FUA)
            data[4096:12288] = b"w" * 8192
            control.good(SET_RATE, {**volume(), "mib_per_s": 1})
            control.good(START_ENCRYPT, volume())
            wait_until(lambda: control.good(GET_PROGRESS, volume())["encrypted_sector"] > 0)
            client.zero(4096, 0)
            data[0:4096] = bytes(4096)
            client.flush()
            assert client.pread(MIB, 0) == data[:MIB]
        control.good(PAUSE, volume())
        status = control.good(GET_STATUS, volume())
        assert status["state"] == PAUSED and 0 < status["encrypted_sector"] < 32768
    with daemon(), Control() as control:
        control.good(PREPARE, prepare_message())
        assert control.good(GET_STATUS, volume())["state"] == PAUSED
        control.good(SET_RATE, {**volume(), "mib_per_s": 1})
        control.good(RESUME, volume())
        assert control.good(GET_STATUS, volume())["state"] == ENCRYPTING
    # It ended in the middle of a sweep that was wanted, so the sweep goes on by itself.
    with daemon(), Control() as control:
        control.good(PREPARE, prepare_message())
        wait_until(lambda: control.good(GET_PROGRESS, volume())["encrypted_sector"] == 32768)
        with nbd_client() as client:
            assert client.pread(len(data), 0) == data
        control.good(DETACH, volume())
        assert control.good(LIST) == {"volumes": []}
    stored = Path("image").read_bytes()
    assert not any(stored[i:i + 512] == data[i:i + 512] for i in range(0, len(data), 512))


@tap.test
def killed():
    """after SIGKILL the next daemon replaces the sockets and recovers the volume"""
    data = make_volume(size=16 * MIB)
    first = start()
    with Control() as control:
        control.good(PREPARE, prepare_message())
        control.good(SET_RATE, {**volume(), "mib_per_s": 8})
        control.good(START_ENCRYPT, volume())
        wait_until(lambda: control.good(GET_PROGRESS, volume())["encrypted_sector"] > 0)
        first.kill()
        first.wait()
    assert os.path.exists("control.sock") and os.path.exists("nbd.sock")
    with daemon(), Control() as control:
        control.good(PREPARE, prepare_message())
        with nbd_client() as client:
            assert client.pread(len(data), 0) == data
            wait_until(lambda: control.good(GET_PROGRESS, volume())["encrypted_sector"] == 32768)
            assert client.pread(len(data), 0) == data


@tap.test
def two_steps():
    """PREPARE without a key hides the metadata and serves nothing until ATTACH"""
    make_volume()
    with daemon(), Control() as control:
        control.refused(ATTACH, {**volume(), "vmk": KEY}, NOT_FOUND, "not attached")
        control.good(PREPARE, volume())
        assert not control.good(GET_STATUS, volume())["is_attached"]
        fails(errno.ENOENT, nbd_open, "image")
        control.refused(ATTACH, {**volume(), "vmk": b"other"}, WRONG_KEY, "none of its 2 replicas")
        # The key as an array of integers, as some write it.
        assert control.good(ATTACH, {**volume(), "vmk": list(KEY)})["total_sectors"] == 8192
        with nbd_client() as client:
            client.pread(512, 0)


def nbd_open(name):
    with nbd_client(name):
        pass


@tap.test
def metadata_block():
    """PREPARE writes a block to every replica, and never over another volume"""
    make_volume()
    block = Path("image").read_bytes()[-512:]
    Path("blank").write_bytes(bytes(4 * MIB))
    make_volume("other")
    before = Path("other").read_bytes()
    with daemon(), Control() as control:
        broken = block[:100] + bytes([block[100] ^ 1]) + block[101:]
        control.refused(PREPARE, prepare_message("blank", metadata_block=broken), CHECKSUM, "block")
        control.refused(PREPARE, prepare_message("other", metadata_block=block), ALREADY_EXISTS,
                        "another volume")
        control.refused(PREPARE, prepare_message("blank", b"other", metadata_block=block),
                        WRONG_KEY, "2 replicas")
        assert Path("blank").read_bytes() == bytes(4 * MIB)
        control.good(PREPARE, prepare_message("blank", metadata_block=block))
        control.refused(PREPARE, prepare_message("blank"), UNSUPPORTED, "attached already")
    assert Path("other").read_bytes() == before
    assert Path("blank").read_bytes()[-512:-508] == b"JVCK"


# ---- bad input ----

@tap.test
def bad_requests():
    """each bad request gets its own status and an explanation, and the connection goes on"""
    make_volume()
    before = Path("image").read_bytes()
    with daemon(), Control() as control:
        control.refused(PREPARE, prepare_message(key=b"x"), WRONG_KEY, "none of its 2 replicas")
        control.refused(PREPARE, prepare_message(use_footer=3), VALIDATION_FAILED, "3 in the request")
        control.refused(PREPARE, {"volume_path": "image", "vmk": KEY}, INVALID_DATA, "absolute")
        control.refused(PREPARE, prepare_message("missing"), NOT_FOUND, "missing")
        control.refused(PREPARE, {"volume_path": 5}, INVALID_DATA, "volume_path has the wrong type")
        control.refused(PREPARE, {"vmk": KEY}, INVALID_DATA, "volume_path is missing")
        control.refused(PREPARE, {"volume_path": "/" + "x" * 2000}, INVALID_DATA, "too long")
        control.refused(PREPARE, prepare_message(key=bytes(2000)), INVALID_DATA, "vmk is too long")
        control.refused(GET_STATUS, [1, 2], INVALID_DATA, "not a map")
        control.refused(0x2260fc, None, UNSUPPORTED, "no request has the code")
        for frame, says in ((b"abc", "3 bytes"), (bytes(FRAME_MAX + 1), "65537 bytes"),
                            (bytes(100000), "100000 bytes")):
            status, why = control.raw(frame)
            assert status == INVALID_DATA and says in why.decode(), (status, why)
        assert says in control.good(LAST_ERROR)["text"]
        assert control.good(LIST) == {"volumes": []}
    assert Path("image").read_bytes() == before


@tap.test
def attached_twice():
    """one file under several names is one volume; another daemon cannot have it"""
    make_volume()
    os.link("image", "hard")
    os.symlink("image", "soft")
    with daemon(), Control() as control:
        control.good(PREPARE, prepare_message())
        for name in ("image", "hard", "soft"):
            control.refused(PREPARE, prepare_message(name), UNSUPPORTED, "attached already")
            assert control.good(GET_STATUS, volume(name))["is_attached"]
        os.mkdir("second")
        image = prepare_message()
        os.chdir("second")
        try:
            with daemon(), Control() as other:
                other.refused(PREPARE, image, BUSY, "image")
        finally:
            os.chdir("..")


@tap.test
def vanishing_clients():
    """clients that go away in the middle of something leave nothing behind"""
    make_volume()
    with daemon() as process:
        for _ in range(20):
            with Control() as control:
                control.socket.send(struct.pack("<I", BENCH) +
                                    msgpack.packb({"size_bytes": 64 << 30}))
        with Control() as control:
            control.socket.send(struct.pack("<I", PREPARE) + msgpack.packb(prepare_message()))
        with Control() as control:
            wait_until(lambda: control.good(GET_STATUS, volume())["is_attached"])
            # The benchmarks, minutes of them, were given up: soon the processor has nothing to do.
            wait_until(lambda: is_idle(process.pid), 60)


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_idle(pid):
    before = processor_seconds(pid)
    time.sleep(0.5)
    return processor_seconds(pid) == before


@tap.test
def too_many_clients():
    """the connection after the last possible one is told so, and room comes back"""
    with daemon():
        held = [Control() for _ in range(64)]
        held[-1].good(LIST)
        with Control() as control:
            answer = control.socket.recv(FRAME_MAX)
            assert struct.unpack("<I", answer[:4])[0] == BUSY and b"as many" in answer
        for control in held:
            control.socket.close()
        wait_until(can_list)


def can_list():
    with contextlib.suppress(OSError), Control() as control:
        return control.ask(LIST)[0] == 0
    return False


@tap.test
def unprivileged():
    """another user may look and may not change anything, nor connect to the NBD socket"""
    if os.geteuid() != 0:
        raise tap.Skip("needs root to be somebody else")
    make_volume()
    with daemon(), Control() as control:
        control.good(PREPARE, prepare_message())
        child = os.fork()
        if child == 0:
            os._exit(run_as_nobody())
        assert os.waitpid(child, 0)[1] == 0, "see above"
        assert control.good(GET_STATUS, volume())["is_attached"]


def run_as_nobody():
    try:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        with Control() as control:
            assert control.good(GET_STATUS, volume())["is_attached"]
            assert len(control.good(LIST)["volumes"]) == 1
            control.good(BENCH, {"size_bytes": MIB})
            for code in (START_ENCRYPT, START_DECRYPT, PAUSE, DETACH, RESUME):
                control.refused(code, volume(), DENIED, "administrators")
            for code in (PAUSE_OS_VOLUME, DETACH_ALL, 0x22a0fc):
                control.refused(code, None, DENIED, "administrators")
            control.refused(PREPARE, prepare_message(), DENIED, "administrators")
            control.refused(BENCH, {"size_bytes": 2 << 30}, DENIED, "administrators")
            control.refused(0x2260fc, None, UNSUPPORTED, "no request")
        fails(errno.EACCES, nbd_open, "image")
        return 0
    except BaseException as failure:  # pylint: disable=broad-except
        print(f"# as nobody: {failure!r}", flush=True)
        return 1


@tap.test
def own_user():
    """a daemon of an ordinary user obeys that user and root"""
    if os.geteuid() != 0:
        raise tap.Skip("needs root to be somebody else")
    make_volume()
    os.mkdir("run", 0o755)
    os.chown("run", NOBODY, NOBODY)
    # Where the tree is, an ordinary user may not be allowed to go.
    for built in (VCKD, Path(VCKD).with_name("vckd.so")):
        shutil.copy(built, "run")
    os.chown("image", NOBODY, NOBODY)
    image = prepare_message()
    os.chdir("run")
    try:
        with (daemon(program="./vckd", user=NOBODY, group=NOBODY),
              Control() as control):
            control.good(PREPARE, image)
            Path("../locked").write_bytes(bytes(MIB))
            os.chmod("../locked", 0o600)
            control.refused(PREPARE, {**image, "volume_path": absolute("../locked")}, DENIED,
                            "locked")
            os.chmod("../locked", 0o444)
            control.refused(PREPARE, {**image, "volume_path": absolute("../locked")}, DENIED,
                            "locked")
    finally:
        os.chdir("..")


# ---- NBD ----

@tap.test
def exports():
    """exports are named by file, by path where that is not enough, and one alone is the default"""
    os.mkdir("a")
    os.mkdir("b")
    for path in ("a/disk.img", "b/disk.img", "c.d.img"):
        make_volume(path, MIB)
    with daemon(), Control() as control:
        fails(errno.ENOENT, nbd_open, "")
        control.good(PREPARE, prepare_message("a/disk.img"))
        assert list_exports() == ["disk"]
        nbd_open("")
        nbd_open("disk")
        control.good(PREPARE, prepare_message("b/disk.img"))
        control.good(PREPARE, prepare_message("c.d.img"))
        assert list_exports() == [absolute("a/disk.img"), absolute("b/disk.img"), "c.d"]
        for name in ("disk", "", "c"):
            fails(errno.ENOENT, nbd_open, name)
        for name in (absolute("b/disk.img"), "c.d", absolute("c.d.img")):
            nbd_open(name)


def list_exports():
    handle = nbd.NBD()
    handle.set_opt_mode(True)
    handle.connect_unix("nbd.sock")
    names = []
    handle.opt_list(lambda name, _: names.append(name) or 0)
    handle.opt_abort()
    return names


@tap.test
def block_sizes():
    """the sector is the smallest block; parts of sectors and the metadata are out of reach"""
    for sector in (512, 4096):
        make_volume("image", MIB, "--sector-size", str(sector))
        with daemon() as process, Control() as control:
            control.good(PREPARE, prepare_message())
            with nbd_client() as client:
                assert client.get_block_size(nbd.SIZE_MINIMUM) == sector
                assert client.get_size() == MIB
                assert client.can_multi_conn() and client.can_fua() and client.can_flush()
                assert not client.can_trim()
                client.pread(sector, MIB - sector)
                fails(errno.EINVAL, client.pread, sector // 2, 0)
                fails(errno.EINVAL, client.pread, sector, sector // 2)
                fails(errno.EINVAL, client.pwrite, bytes(sector // 2), 0)
                fails(errno.EINVAL, client.pread, sector, MIB)
                fails(errno.ENOSPC, client.pwrite, bytes(sector), MIB)
            assert process.poll() is None


@tap.test
def parallel_clients():
    """many connections with many requests see each other's writes, under a sweep"""
    data = make_volume(size=8 * MIB)
    with daemon(), Control() as control:
        control.good(PREPARE, prepare_message())
        failures = []
        share = len(data) // 4

        def work(index):
            try:
                with nbd_client() as client:
                    for turn in range(8):
                        for at in range(index * share, (index + 1) * share, 65536):
                            client.pwrite(data[at:at + 65536][::-1] if turn % 2 == 0
                                          else data[at:at + 65536], at)
                            assert client.pread(512, at) == (
                                data[at + 65024:at + 65536][::-1] if turn % 2 == 0
                                else data[at:at + 512])
            except BaseException as failure:  # pylint: disable=broad-except
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            control.good(START_ENCRYPT, volume())
            time.sleep(0.05)
            control.good(START_DECRYPT, volume())
            time.sleep(0.05)
        assert not failures, failures
        control.good(PAUSE, volume())
        with nbd_client() as client:
            assert client.pread(len(data), 0) == data


@tap.test
def discards():
    """discards reach the disk only when they are allowed"""
    make_volume(size=4 * MIB)
    with daemon("--allow-discards"), Control() as control:
        control.good(PREPARE, prepare_message())
        with nbd_client() as client:
            if not client.can_trim():
                raise tap.Skip("no discards on this file system")
            used = os.stat("image").st_blocks
            client.trim(2 * MIB, MIB, nbd.CMD_FLAG_FUA)
            assert os.stat("image").st_blocks < used
            client.pwrite(b"x" * 4096, MIB)
            assert client.pread(4096, MIB) == b"x" * 4096


@tap.test
def shrunk_file():
    """a file that shrinks under the daemon fails the requests it has to, and nothing else"""
    data = make_volume(size=4 * MIB)
    process = start()
    try:
        with Control() as control:
            control.good(PREPARE, prepare_message())
            with nbd_client() as client:
                os.truncate("image", 2 * MIB)
                assert client.pread(MIB, 0) == data[:MIB]
                fails(errno.EIO, client.pread, MIB, 3 * MIB)
                assert client.pread(MIB, 0) == data[:MIB]
            control.good(LIST)
            control.ask(DETACH, volume())
            assert control.good(LIST) == {"volumes": []}
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
    finally:
        process.kill()
        process.wait()


# ---- detaching and ending ----

@tap.test
def detach_in_use():
    """DETACH waits for connections and then refuses; DETACH_ALL_VOLUMES does not ask"""
    make_volume()
    process = start()
    try:
        with Control() as control:
            control.good(PREPARE, prepare_message())
            with nbd_client() as client:
                closer = threading.Timer(0.5, client.shutdown)
                closer.start()
                control.good(DETACH, volume())
                closer.join()
            control.good(PREPARE, prepare_message())
            with nbd_client() as client:
                control.refused(DETACH, volume(), BUSY, "1 NBD connections")
                client.pread(512, 0)
                control.good(DETACH_ALL)
                assert control.good(LIST) == {"volumes": []}
                fails(errno.EIO, client.pread, 512, 0)
                # The file is free again while the old connection is still there.
                control.good(PREPARE, prepare_message())
                fails(errno.EIO, client.pread, 512, 0)
                with nbd_client() as other:
                    other.pread(512, 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
    finally:
        process.kill()
        process.wait()


@tap.test
def end_with_clients():
    """SIGTERM ends the daemon within ten seconds, whatever its clients do"""
    make_volume(size=32 * MIB)
    with daemon(), Control() as control:
        control.good(PREPARE, prepare_message())
        control.good(START_ENCRYPT, volume())
        idle = nbd.NBD()
        idle.set_export_name("image")
        idle.connect_unix("nbd.sock")
        stuck = half_a_write()
        control.socket.send(struct.pack("<I", BENCH) + msgpack.packb({"size_bytes": 64 << 30}))
    stuck.close()
    checked = subprocess.run([VCK, "check", "--vmk-file", "key", "image"], check=False,
                             stdout=subprocess.PIPE)
    assert checked.returncode == 0 and b"journal closed" in checked.stdout, checked.stdout


def half_a_write():
    """A client that announces data and sends only a part of it."""
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.connect("nbd.sock")
    read_exactly(raw, 18)
    name = b"image"
    raw.sendall(struct.pack(">I", 3) + struct.pack(">QII", 0x49484156454F5054, 1, len(name)) + name)
    read_exactly(raw, 10)
    raw.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 1, 1, 0, MIB) + bytes(1000))
    return raw


def read_exactly(raw, size):
    got = b""
    while len(got) < size:
        got += raw.recv(size - len(got)) or b"\0" * size
    return got


@tap.test
def background():
    """without --foreground it answers as soon as it is in the background, under its name"""
    subprocess.run([VCKD, "--socket", "control.sock", "--nbd", "nbd.sock", "--pid-file", "pid"],
                   check=True, timeout=300, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    wait_until(lambda: Path("pid").exists() and Path("pid").read_text())
    pid = int(Path("pid").read_text())
    try:
        wait_until(answers)
        with Control() as control:
            control.good(LIST)
        assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"@")
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid))
        assert not os.path.exists("control.sock")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def does_not_start(says, *options):
    done = subprocess.run([VCKD, "--foreground", *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
    assert done.returncode != 0 and says in done.stdout.decode(), done.stdout.decode()


@tap.test
def bad_starts():
    """what keeps the daemon from starting is said in words"""
    Path("file").write_text("")
    with daemon():
        does_not_start("another daemon serves this control socket", "--socket", "control.sock",
                       "--nbd", "nbd2.sock")
        does_not_start("another daemon serves this NBD socket", "--socket", "control2.sock",
                       "--nbd", "nbd.sock")
        assert answers()
    does_not_start("is not a socket", "--socket", "file", "--nbd", "nbd.sock")
    does_not_start("is not a socket", "--socket", "control.sock", "--nbd", "file")
    does_not_start("too long", "--socket", "x" * 200, "--nbd", "nbd.sock")
    does_not_start("unexpected argument", "--socket", "control.sock", "--nbd", "nbd.sock", "more")
    does_not_start("nowhere", "--socket", "nowhere/control.sock", "--nbd", "nbd.sock")
    environment = {**os.environ, "PATH": "/nonexistent"}
    done = subprocess.run([VCKD, "--socket", "control.sock", "--nbd", "nbd.sock"], env=environment,
                          stderr=subprocess.PIPE, timeout=300, check=False)
    assert done.returncode == 1 and b"nbdkit is not installed" in done.stderr, done.stderr


if __name__ == "__main__":
    tap.main()
