#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The command with a daemon: attach, sweeps, status, and what attach says to mangled volumes."""
import contextlib
import fcntl
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from command_lab import (  # noqa: E402
    BUSY, FAILED, INTERRUPTED, NOT_FOUND, OK, PROBLEMS, USAGE, WRONG_KEY, at_daemon, digest)
from command_lab import vck_at_daemon as vck  # noqa: E402
import daemon_lab  # noqa: E402
import mangle  # noqa: E402
import tap  # noqa: E402
from daemon_lab import wait_until  # noqa: E402

KEY = bytes(range(100, 132))
MIB = 1 << 20
SLOW = 48 * MIB  # at 1 MiB/s: time for everything that is done meanwhile


def daemon(*options):
    return daemon_lab.daemon(*options, secrets=[KEY])


def make_volume(path="image", size=4 * MIB, options=("--metadata-size", "128K")):
    """Data that repeats nowhere, so that what is ciphertext can be told from what is not."""
    Path("key").write_bytes(KEY)
    os.chmod("key", 0o600)
    data = random.Random(size).randbytes(size)
    Path(path).write_bytes(data)
    vck("prepare", "--grow", "--vmk-file", "key", *options, path)
    return data


def status(path="image"):
    return json.loads(vck("status", "--json", path))


# ---- attaching ----

@tap.test
def attach_with_a_passphrase():
    """attach --key-file: a slot's secret serves as the key; whose daemon is not asked, is busy"""
    make_volume()
    Path("passphrase").write_text("a passphrase for a slot\n")
    Path("wrong").write_text("another passphrase\n")
    os.chmod("passphrase", 0o600)
    os.chmod("wrong", 0o600)
    vck("key", "add", "--vmk-file", "key", "--new-key-file", "passphrase", "--kdf-memory", "64M",
        "--kdf-passes", 3, "image")
    before = digest("image")
    with daemon():
        vck("attach", "--key-file", "wrong", "image", code=WRONG_KEY, says="no key slot opens")
        vck("attach", "--key-file", "passphrase", "--slot", 1, "image", code=NOT_FOUND)
        vck("attach", "image", code=USAGE, says="--key-file or --vmk-file is needed")
        assert json.loads(vck("list", "--json")) == []
        vck("attach", "--key-file", "passphrase", "--slot", 0, "image")
        vck("key", "test", "--key-file", "passphrase", "image", says="slot 0")
        for action in (("add", "--key-file", "passphrase", "--new-key-file", "wrong"),
                       ("remove", "--key-file", "passphrase", "--slot", 0), ("erase", "--force")):
            vck("key", *action, "image", code=BUSY, says="detach it first")
        vck("detach", "image")
    assert digest("image") == before


@tap.test
def attach_and_detach():
    """attach, list, status and detach name the volume the same way"""
    make_volume()
    path = os.path.realpath("image")
    os.symlink("image", "link")
    with daemon():
        told = json.loads(vck("attach", "--json", "--vmk-file", "key", "link"))
        assert told["volume"] == path and told["data_sectors"] == 4 * MIB // 512
        assert told["uri"] == f"nbd+unix:///{path}?socket={os.getcwd()}/nbd.sock", told
        assert [v["volume"] for v in json.loads(vck("list", "--json"))] == [path]
        now = status("link")
        assert now["attached"] and now["state"] == "idle" and now["error"] is None
        vck("status", "image", says=r"idle, 0\.0 % ciphertext")
        vck("detach", "image")
        assert json.loads(vck("list", "--json")) == []
        vck("status", "image", code=NOT_FOUND, says="not attached")
        vck("status", "--json", "image", code=NOT_FOUND)


def names_in(value):
    """Of all members, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(names_in, value.values()))
    return set().union(*map(names_in, value)) if isinstance(value, list) else set()


@tap.test
def json_is_documented():
    """--json of every verb is JSON, and the manual names each member that is in it"""
    manual = (Path(__file__).resolve().parent.parent / "docs/man/vck.1").read_text()
    items = re.split(r"^\.It ", manual.split(".Sh JSON\n")[1].split("\n.Sh ")[0], flags=re.M)[1:]
    documented = {item.split("\n")[0]: set(re.findall(r"\.Li (\w+)", item)) for item in items}

    def look(item, *arguments):
        told = names_in(json.loads(vck(*arguments, "--json")))
        assert told and told <= documented[item], f"{item}: {told - documented[item]}"
        return told

    make_volume()
    Path("other").write_bytes(bytes(4 * MIB))
    Path("passphrase").write_text("a passphrase for a slot")
    os.chmod("passphrase", 0o600)
    look("prepare", "prepare", "--vmk-file", "key", "other")
    vck("key", "add", "--vmk-file", "key", "--new-key-file", "passphrase", "--kdf-memory", "64M",
        "--kdf-passes", 3, "image")
    look("key list", "key", "list", "image")
    look("key test", "key", "test", "--key-file", "passphrase", "image")
    look("check", "check", "image")
    with daemon():
        told = look("attach", "attach", "--vmk-file", "key", "image")
        assert told == documented["attach"]
        for verb in ("status", "list", "map", "info", "bench"):
            arguments = ["--size", "1M"] if verb == "bench" else [] if verb == "list" else ["image"]
            if verb == "map":
                arguments += ["--vmk-file", "key"]
            look(verb, verb, *arguments)
        assert look("info", "info", "--vmk-file", "key", "image") > {"replicas", "generation"}


@tap.test
def attach_twice():
    """a volume attached twice is refused with its own status, and goes on being served"""
    make_volume()
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        done = subprocess.run(at_daemon("attach", "--vmk-file", "key", "image"),
                              stderr=subprocess.PIPE, check=False)
        assert done.returncode not in (OK, USAGE) and done.stderr
        assert status()["attached"]


@tap.test
def attach_wrong_key():
    """a wrong key has its own exit code and changes nothing"""
    make_volume()
    Path("other").write_bytes(b"another key")
    os.chmod("other", 0o600)
    before = digest("image")
    with daemon():
        vck("attach", "--vmk-file", "other", "image", code=WRONG_KEY)
        vck("status", "image", code=NOT_FOUND)
    assert digest("image") == before


@tap.test
def attached_is_busy():
    """an attached volume is busy for prepare and check; info still reads it"""
    make_volume()
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        vck("prepare", "--force", "--vmk-file", "key", "image", code=BUSY, says="detach it first")
        vck("check", "--vmk-file", "key", "image", code=BUSY)
        vck("info", "--vmk-file", "key", "image")


@tap.test
def not_attached():
    """verbs on a volume that is not attached say so with exit code 3"""
    make_volume()
    with daemon():
        for verb in ("detach", "encrypt", "decrypt", "pause", "resume"):
            vck(verb, "image", code=NOT_FOUND)
        vck("rate", "image", "5", code=NOT_FOUND)
        vck("map", "--socket", "control.sock", "image", code=NOT_FOUND, says="--vmk-file")
        vck("attach", "--vmk-file", "key", "nothing", code=NOT_FOUND)
        vck("detach", code=USAGE)
        vck("detach", "--all", "image", code=USAGE)
        vck("detach", "--all")


# ---- sweeps ----

@tap.test
def encrypt_and_decrypt():
    """encrypt leaves no known sector in the image, decrypt brings it back to the byte"""
    data = make_volume()
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        vck("encrypt", "image", says="is encrypted: 4 MiB")
        now = status()
        assert now["state"] == "idle" and now["encrypted_sectors"] == now["total_sectors"]
        vck("encrypt", "image", says="is encrypted")
        vck("detach", "image")
        stored = Path("image").read_bytes()[:len(data)]
        assert all(stored[i:i + 512] != data[i:i + 512] for i in range(0, len(data), 512))
        vck("check", "--vmk-file", "key", "image")
        vck("attach", "--vmk-file", "key", "image")
        vck("decrypt", "image", says="is decrypted: 4 MiB")
        vck("detach", "image")
        assert Path("image").read_bytes()[:len(data)] == data
        vck("check", "--vmk-file", "key", "image")


@tap.test
def pause_and_resume():
    """rate slows a sweep down, pause stops it, it stays paused over attach, resume goes on"""
    make_volume(size=SLOW // 2)
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        vck("rate", "image", "1", says="at most 1 MiB/s")
        vck("encrypt", "--no-wait", "image", says="encrypting")
        wait_until(lambda: status()["encrypted_sectors"] > 0)
        assert status()["rate_mib_s"] == 1
        vck("pause", "image", says="paused at sector")
        paused = status()
        assert paused["state"] == "paused"
        assert 0 < paused["encrypted_sectors"] < paused["total_sectors"]
        vck("detach", "image")
        vck("check", "--vmk-file", "key", "image", says="journal closed")
        vck("attach", "--vmk-file", "key", "image")
        assert status()["state"] == "paused"
        assert status()["encrypted_sectors"] == paused["encrypted_sectors"]
        vck("rate", "image", "0", says="no limit")
        vck("resume", "image", says="is encrypted")


@tap.test
def interrupted_waiting():
    """Ctrl-C ends the waiting with exit code 130, and the sweep goes on"""
    make_volume(size=SLOW)
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        vck("rate", "image", "1")
        waiting = subprocess.Popen(at_daemon("encrypt", "image"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        wait_until(lambda: status()["encrypted_sectors"] > 0)
        waiting.send_signal(signal.SIGINT)
        output, errors = waiting.communicate(timeout=300)
        assert waiting.returncode == INTERRUPTED and b"goes on" in errors
        assert b"encrypting: " in output and b"\r" not in output
        assert status()["state"] == "encrypting"
        first = status()["encrypted_sectors"]
        wait_until(lambda: status()["encrypted_sectors"] > first)


@tap.test
def other_requests_end_the_waiting():
    """a pause by somebody else ends the waiting with an explanation"""
    make_volume(size=SLOW)
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        vck("rate", "image", "1")
        waiting = subprocess.Popen(at_daemon("encrypt", "image"), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        wait_until(lambda: status()["encrypted_sectors"] > 0)
        vck("pause", "image")
        _, errors = waiting.communicate(timeout=300)
        assert waiting.returncode == FAILED and b"by another request" in errors, errors


def on_a_terminal(columns, *arguments):
    """What the command shows on a terminal of that width before it is interrupted."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(at_daemon(*arguments), stdin=subprocess.DEVNULL, stdout=slave,
                               stderr=slave)
    os.close(slave)
    output = b""
    with contextlib.suppress(OSError):
        while piece := os.read(master, 4096):
            output += piece
            if output.count(b"\r") > 1:
                process.send_signal(signal.SIGINT)
    os.close(master)
    assert process.wait(300) == INTERRUPTED, output
    return output.decode()


@tap.test
def bar_on_a_terminal():
    """a terminal gets a bar with percent, speed and time, and as much of it as is wide enough"""
    make_volume(size=SLOW)
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        vck("rate", "image", "1")
        output = on_a_terminal(100, "encrypt", "image")
        assert re.search(r"encrypting \[[#-]{32}\] +[\d.]+ % +[\d.]+ MiB/s +\S+ left", output)
        for columns in (60, 20):
            output = on_a_terminal(columns, "encrypt", "image")
            lines = [line for line in re.split(r"[\r\n]+", output) if line.startswith("encrypt")]
            assert lines and "[#" not in output and "[-" not in output, output
            assert all(len(line.replace("\033[K", "")) < columns for line in lines), lines
            assert ("left" in output) == (columns == 60), output
        vck("rate", "image", "0")
        vck("encrypt", "image", says="is encrypted")
        vck("encrypt", "image", says="is encrypted already")


def kill_in_the_middle(do_repair):
    data = make_volume(size=SLOW // 2)
    with daemon() as process:
        vck("attach", "--vmk-file", "key", "image")
        vck("rate", "image", "1")
        vck("encrypt", "--no-wait", "image")
        wait_until(lambda: status()["encrypted_sectors"] > 0)
        process.kill()
    vck("check", "--vmk-file", "key", "image", code=PROBLEMS, says="journal copy")
    before = json.loads(vck("info", "--json", "--vmk-file", "key", "image"))["state"]
    assert 0 < before["encrypted_sectors"] < len(data) // 512 and before["intent"] == "run"
    if do_repair:
        done = subprocess.run(at_daemon("check", "--repair", "--vmk-file", "key", "image"),
                              stdout=subprocess.PIPE, check=False)
        assert b"all replicas are now" in done.stdout
        after = json.loads(vck("info", "--json", "--vmk-file", "key", "image"))
        assert {r["generation"] for r in after["replicas"]} == {before["generation"]}
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        assert status()["damaged_chunks"] == 0
        vck("encrypt", "image", says="is encrypted")
        vck("decrypt", "image")
        vck("detach", "image")
    assert Path("image").read_bytes()[:len(data)] == data
    vck("check", "--vmk-file", "key", "image")


tap.add("a killed daemon: check tells, attach goes on, and no byte is lost", kill_in_the_middle,
        False)
tap.add("a killed daemon: check --repair keeps what attach needs", kill_in_the_middle, True)


@tap.test
def map_of_a_sweep():
    """map draws ciphertext before plaintext, from the daemon and from the disk alike"""
    make_volume(size=SLOW)
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        vck("rate", "image", "1")
        vck("encrypt", "--no-wait", "image")
        wait_until(lambda: status()["encrypted_sectors"] > 0)
        vck("pause", "image")
        picture = vck("map", "--socket", "control.sock", "--width", "40", "image")
        drawn = "".join(picture.splitlines()[:4])
        assert re.fullmatch(r"#+\.+M+", drawn) and len(drawn) == 160, picture
        asked = json.loads(vck("map", "--socket", "control.sock", "--json", "image"))
        vck("detach", "image")
        read = json.loads(vck("map", "--vmk-file", "key", "--json", "image"))
        assert asked == read
        assert [r["kind"] for r in read["regions"]] == ["ciphertext", "plaintext", "footer"]
        assert sum(r["sectors"] for r in read["regions"]) * 512 == os.path.getsize("image")


@tap.test
def bench():
    """bench asks the daemon"""
    with daemon():
        told = json.loads(vck("bench", "--size", "2M", "--json"))
        assert told["where"] == "daemon" and told["size_bytes"] == 2 * MIB
        assert told["encrypt_mib_s"] > 0 and told["decrypt_mib_s"] > 0


@tap.test
def vanished_file():
    """a volume whose file was removed can still be asked about and detached by its name"""
    make_volume()
    with daemon():
        vck("attach", "--vmk-file", "key", "image")
        os.unlink("image")
        assert status()["attached"]
        vck("detach", "image")


# ---- mangled volumes ----

@tap.test
def attach_mangled():
    """attach: each mangled volume is opened or refused as expected; refused ones are unchanged"""
    wrong = []
    with daemon():
        for number, generator in enumerate(mangle.GENERATORS):
            path = f"image{number}"
            Path("key").write_bytes(KEY)
            os.chmod("key", 0o600)
            Path(path).write_bytes(bytes(4 * MIB))
            vck("prepare", "--vmk-file", "key", "--metadata-size", "128K", path)
            generator(mangle.Image(path, KEY))
            before = digest(path)
            seen = subprocess.run(at_daemon("info", "--vmk-file", "key", path), check=False,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            done = subprocess.run(at_daemon("attach", "--vmk-file", "key", path),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
            attached = done.returncode == OK
            # Where there is no volume, the daemon misses the geometry in the request instead.
            code = (FAILED if generator.expected.keyed == "SIGNATURE_MISMATCH"
                    else seen.returncode)
            if attached != generator.expected.attaches or done.returncode != code:
                wrong.append(f"{generator.__name__}: {done.returncode} {done.stderr}, "
                             f"info {seen.returncode}")
            elif not attached and path not in done.stderr.decode():
                wrong.append(f"{generator.__name__}: no name in {done.stderr}")
            elif attached:
                vck("detach", path)
                if generator is not mangle.damage_count_too_big:
                    vck("check", "--vmk-file", "key", path)
            elif digest(path) != before:
                wrong.append(f"{generator.__name__}: the file was changed")
    assert not wrong, "\n".join(wrong)


tap.main()
