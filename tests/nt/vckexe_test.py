#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vck.exe under Wine: what it writes and says is what vck on Linux writes and says, and back."""
import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE, run

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "tests/nt")]
os.environ.setdefault("VCK", str(ROOT / "build/release/products/vck/vck"))
from command_lab import (  # noqa: E402
    BUSY, FAILED, NOT_FOUND, OK, PERMISSION, PROBLEMS, REFUSED, USAGE, WRONG_KEY, digest, private,
    unchanged)
from command_lab import NO_DAEMON as NO_DRIVER  # noqa: E402
import key_oracle  # noqa: E402
import mangle  # noqa: E402
import tap  # noqa: E402
import testdisk as td  # noqa: E402
import wine_lab  # noqa: E402

os.environ["LC_ALL"] = "C.UTF-8"  # Wine takes file names and arguments in the locale's encoding
VCK = Path(os.environ["VCK"])
KEY = bytes(range(100, 132))
MIB = 1 << 20
BESIDE_EXE = "vck.exe"

LAB = None


class Said:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"code {self.code}\n{self.out}{self.err}"


def exe(*arguments, code=OK, says=None, data=None):
    """Runs vck.exe here, expects the exit code and, with says, words in what it prints."""
    done = LAB.run(BESIDE_EXE, *map(str, arguments), check=False, data=data, cwd=os.getcwd())
    return judged("vck.exe", arguments, Said(done.code, done.out, done.err), code, says)


def linux(*arguments, code=OK, says=None, data=None):
    """The same with vck of this system."""
    if not VCK.is_file():
        raise tap.Skip(f"no {VCK}; VCK may name vck")
    source = {"stdin": DEVNULL} if data is None else {"input": data}
    done = run([VCK, *map(str, arguments)], stdout=PIPE, stderr=PIPE, timeout=300, check=False,
               **source)
    said = Said(done.returncode, done.stdout.decode(), done.stderr.decode())
    return judged("vck", arguments, said, code, says)


def judged(program, arguments, said, code, says):
    text = said.out + said.err
    assert code is None or said.code == code, f"{program} {arguments}: not {code}: {said}"
    assert says is None or re.search(says, text), f"{program} {arguments}: no {says!r} in {said}"
    assert KEY.hex() not in text and KEY.decode("latin-1") not in text
    return said


def make_image(path="image", size=4 * MIB, fill=0):
    """Recognisable data (fill 0: zeroes) in front of nothing but zeroes in the last 2 MiB."""
    with open(path, "wb") as file:
        if fill:
            file.write(bytes((i * fill) & 0xFF for i in range(256)) * ((size - 2 * MIB) // 256))
        file.truncate(size)
    private("key", KEY)
    return path


def value_of(said):
    """Its JSON, without what names the file."""
    found = json.loads(said.out)
    assert found.pop("volume")
    return found


def without_paths(text):
    """The two systems name the same file differently."""
    return re.sub(r"(Z:)?[/\\]\S*[/\\]", "", text)


def same_words(*arguments, code=None):
    """Both commands print the same and end the same."""
    ours = exe(*arguments, code=code)
    theirs = linux(*arguments, code=code)
    assert (ours.code, without_paths(ours.out), without_paths(ours.err)) == (
        theirs.code, without_paths(theirs.out), without_paths(theirs.err)), f"{ours}\n{theirs}"
    return ours


def in_lab(function):
    """The test needs Wine and vck.exe; one lab serves all of them."""
    def wrapped(*arguments):
        global LAB  # pylint: disable=global-statement
        if LAB is None:
            try:
                LAB = wine_lab.Lab(verify=True).__enter__()
            except wine_lab.LabError as reason:
                raise tap.Skip(str(reason)) from None
        function(*arguments)
        LAB.check()
    wrapped.__doc__ = function.__doc__
    return wrapped


def test(function):
    return tap.test(in_lab(function))


# ---- images ----

GEOMETRIES = (
    [], ["--headers", "1", "--footers", "1"], ["--headers", "3", "--footers=0"],
    ["--footers", "3", "--metadata-size", "128K"], ["--single-replica"],
    ["--sector-size", "4096", "--headers", "2"],
)


def geometry(writer, reader, options):
    make_image("image", 8 * MIB)
    writer("prepare", "--vmk-file", "key", *options, "image")
    assert value_of(writer("info", "--json", "--vmk-file", "key", "image")) == value_of(
        reader("info", "--json", "--vmk-file", "key", "image"))
    with unchanged("image"):
        reader("check", "--vmk-file", "key", "image", says="replicas? agree")
        reader("map", "--vmk-file", "key", "--width", "60", "image")
        reader("info", "--vmk-file", "key", "image", says="JVCK volume")


for wanted in GEOMETRIES:
    named = " ".join(wanted) or "as it comes"
    tap.add(f"prepared by vck.exe, read on Linux: {named}", in_lab(geometry), exe, linux, wanted)
    tap.add(f"prepared on Linux, read by vck.exe: {named}", in_lab(geometry), linux, exe, wanted)


@test
def key_slots_go_both_ways():
    """key: slots made by vck.exe open on Linux and back, backups too; secrets are not shown"""
    make_image()
    cheap = ("--kdf-memory", "64M", "--kdf-passes", "3")
    Path("first").write_bytes("eine Paßphrase\r\n".encode())
    Path("second").write_bytes(b"another passphrase\n")
    exe("prepare", "--vmk-file", "key", "image")
    exe("key", "add", "--vmk-file", "key", "--new-key-file", "first", *cheap, "--label", "büro",
        "image")
    linux("key", "test", "--key-file", "first", "image", says="slot 0 \\(passphrase\\)")
    linux("key", "add", "--key-file", "first", "--new-key-file", "second", *cheap, "image")
    exe("key", "test", "--key-file", "-", "image", data=b"another passphrase\n", says="slot 1")
    assert value_of(exe("key", "list", "--json", "image")) == value_of(
        linux("key", "list", "--json", "image"))
    exe("key", "backup", "--key-file", "first", "--new-key-file", "second", *cheap, "image", "saved")
    exe("key", "erase", "--force", "image")
    with unchanged("image"):
        exe("key", "test", "--key-file", "first", "image", code=NOT_FOUND)
    linux("key", "restore", "--key-file", "second", "image", "saved", says="2 key slots again")
    exe("key", "rotate", "--key-file", "first", "--force", "image", says="slot 1 is removed")
    linux("key", "test", "--key-file", "first", "image", says="slot 0")
    linux("info", "--vmk-file", "key", "image", code=WRONG_KEY)


@test
def data_stays():
    """prepare: the data stays to the byte, and the metadata opens with another implementation"""
    make_image(fill=7)
    before = Path("image").read_bytes()[:2 * MIB]
    told = value_of(exe("prepare", "--json", "--vmk-file", "key", "image"))
    image = mangle.Image("image", KEY)
    first, second = (mangle.unseal(image.block(i), KEY) for i in (0, 1))
    assert first.fvek == second.fvek and first.encrypted_offset == 0
    assert Path("image").read_bytes()[:2 * MIB] == before
    assert told["volume_id"].replace("-", "") == image.volume_id.hex()


@test
def grows():
    """prepare --grow: appends the regions, and fills up a last sector that is not whole"""
    make_image()
    Path("image").write_bytes(os.urandom(4 * MIB + 100))
    before = Path("image").read_bytes()
    exe("prepare", "--vmk-file", "key", "image", code=REFUSED, says="100 bytes are over")
    told = json.loads(exe("prepare", "--json", "--grow", "--vmk-file", "key", "image").out)
    after = Path("image").read_bytes()
    assert len(after) == 4 * MIB + 512 + 2 * MIB and after[:len(before)] == before
    assert told["grown_bytes"] == len(after) - len(before)
    linux("check", "--vmk-file", "key", "image")


@test
def unicode_and_long_paths():
    """prepare, info: names of every script, and longer than 260 characters"""
    folder = Path("Ordner mit Lücke/папка/フォルダ/😀", "lang" * 20, "länger" * 20, "x" * 50)
    folder.mkdir(parents=True)
    image = make_image(folder / "Bild 音.img")
    key = folder / "Schlüssel"
    assert len(str(image.resolve())) > 270
    exe("prepare", "--new-vmk", key, image, says="Bild 音.img is now volume")
    assert key.stat().st_size == 32
    assert value_of(exe("info", "--json", "--vmk-file", key, image)) == value_of(
        linux("info", "--json", "--vmk-file", key, image))
    windows = str(image.resolve()).replace("/", "\\")
    for spelling in (f"Z:{windows}", f"\\\\?\\Z:{windows}", str(image).replace("/", "\\")):
        exe("check", "--vmk-file", key, spelling, says="Bild 音.img: 2 replicas agree")


@test
def refuses_what_is_there():
    """prepare: what would be overwritten is refused in the words of Linux"""
    make_image()
    with open("image", "r+b") as file:
        file.seek(3 * MIB + 77)
        file.write(b"x")
    with unchanged("image"):
        said = same_words("prepare", "--vmk-file", "key", "image", code=REFUSED)
        assert f"byte {3 * MIB + 77}," in said.err
    make_image()
    exe("prepare", "--vmk-file", "key", "image")
    with unchanged("image"):
        same_words("prepare", "--vmk-file", "key", "image", code=REFUSED)
    exe("prepare", "--force", "--vmk-file", "key", "image")


def mangled(mangler):
    make_image()
    linux("prepare", "--vmk-file", "key", "image")
    mangler(mangle.Image("image", KEY))
    with unchanged("image"):
        for arguments in (["check"], ["check", "--json"], ["check", "--vmk-file", "key"],
                          ["info"], ["info", "--vmk-file", "key"],
                          ["map", "--width", "40", "--vmk-file", "key"]):
            if "--json" in arguments:
                assert value_of(exe(*arguments, "image", code=None)) == value_of(
                    linux(*arguments, "image", code=None))
            else:
                same_words(*arguments, "image")


for generator in mangle.GENERATORS:
    tap.add(f"check, info, map say the same of: {generator.__name__.replace('_', ' ')}",
            in_lab(mangled), generator)


@test
def repairs():
    """check --repair: the replicas are equal again, on both systems"""
    make_image()
    linux("prepare", "--vmk-file", "key", "image")
    mangle.torn_last_sector(mangle.Image("image", KEY))
    exe("check", "--vmk-file", "key", "image", code=PROBLEMS)
    exe("check", "--repair", "--vmk-file", "key", "image", says="replicas agree")
    linux("check", "--vmk-file", "key", "image", says="replicas agree")
    exe("info", "--vmk-file", "-", "image", data=bytes(32), code=WRONG_KEY)


@test
def busy():
    """check: an image that somebody writes is busy"""
    make_image()
    exe("prepare", "--vmk-file", "key", "image")
    program = wine_lab.Lab.windows_path(LAB.find(BESIDE_EXE))
    with unchanged("image"):
        done = LAB.run("cmd", "/c", f"{program} check --vmk-file key image >>image", check=False,
                       cwd=os.getcwd())
    assert done.code == BUSY and "open elsewhere" in done.err, str(done)


# ---- keys ----

@test
def keys():
    """keys: from files and standard input, of every allowed size; a new one is private"""
    make_image()
    exe("prepare", "--vmk-file", "-", "image", data=KEY)
    assert value_of(exe("info", "--json", "--vmk-file", "key", "image"))["status"] == "OK"
    # Bytes that a text file would lose.
    hostile = b"\r\n\x1a\x00\r\n"
    exe("prepare", "--force", "--vmk-file", "-", "image", data=hostile)
    private("hostile", hostile)
    linux("check", "--vmk-file", "hostile", "image")
    for size in (0, 1025):
        with unchanged("image"):
            exe("prepare", "--force", "--vmk-file", "-", "image", data=bytes([7]) * size,
                code=FAILED, says=f"{size} bytes; 1 to 1024")
    exe("prepare", "--force", "--new-vmk", "new", "image")
    # Wine makes the owner's access that of the owner's group as well.
    assert os.stat("new").st_size == 32 and os.stat("new").st_mode & 0o007 == 0
    with unchanged("image", "new"):
        exe("prepare", "--force", "--new-vmk", "new", "image", code=REFUSED, says="exists already")
    said = exe("check", "--vmk-file", "new", "image")
    assert "warning" not in said.err
    os.chmod("new", 0o644)
    exe("check", "--vmk-file", "new", "image", says="warning: new can be read by everyone")


@test
def no_key_is_left():
    """prepare --new-vmk: a refusal leaves no key file"""
    make_image(size=MIB)
    with unchanged("image"):
        exe("prepare", "--new-vmk", "new", "image", code=REFUSED)
        exe("prepare", "--new-vmk", "nowhere\\new", "image", code=REFUSED)
    assert not os.path.exists("new")
    make_image()
    with unchanged("image"):
        exe("prepare", "--new-vmk", "nowhere\\new", "image", code=FAILED, says="cannot create")


# ---- the command line ----

@test
def usage():
    """usage errors are those of Linux, to the word"""
    make_image()
    for arguments in ([], ["nothing"], ["prepare"], ["prepare", "image"], ["list", "more"],
                      ["prepare", "--vmk-file", "key"], ["prepare", "--vmk-file"],
                      ["prepare", "--vmk-file", "key", "image", "--footers", "256"],
                      ["prepare", "--vmk-file", "key", "image", "--footers", "1"],
                      ["prepare", "--vmk-file", "key", "image", "--metadata-size", "64K"],
                      ["prepare", "--vmk-file", "key", "image", "--sector-size", "1000"],
                      ["prepare", "--vmk-file", "key", "image", "--grow", "--shrink"],
                      ["prepare", "--vmk-file", "key", "image", "--grow", "--grow"],
                      ["prepare", "--vmk-file", "key", "image", "--grow=1"],
                      ["prepare", "--vmk-file", "key", "image", "--new-vmk", "x"],
                      ["check", "--repair", "image"], ["check", "--use-replica", "1", "image"],
                      ["rate", "image", "fast"], ["detach"], ["bench", "--size", "1"],
                      ["map", "--width", "3", "image"], ["--nothing"]):
        with unchanged("image"):
            same_words(*arguments, code=USAGE)
    same_words("--version", code=OK)
    assert not os.path.exists("x")


@test
def what_is_not_here():
    """options of the daemon are unknown, and no help names it or them"""
    make_image()
    for option in ("--socket", "--nbd"):
        exe("attach", option, "x", "--vmk-file", "key", "image", code=USAGE,
            says=f"no option {option}")
    overview = exe("--help").out
    for verb in re.findall(r"^  ([a-z]+) ", overview, re.MULTILINE):
        text = exe(verb, "--help").out
        assert f"Usage: vck {verb} " in text
        assert not re.search(r"daemon|socket|nbd|ext2|vck\(1\)", text, re.IGNORECASE), text
    assert "driver ACTION" in overview and "vck(1)" not in overview


@test
def help_is_documented():
    """vck.1 has every verb and option that vck.exe has"""
    manual = (ROOT / "docs/man/vck.1").read_text()
    for verb in re.findall(r"^  ([a-z]+) ", exe("--help").out, re.MULTILINE):
        part = re.search(rf"^\.Ss {verb}\n.*?(?=^\.S[sh] )", manual, re.MULTILINE | re.DOTALL)
        assert part, f"vck.1 does not have {verb}"
        for option in re.findall(r"^  --([a-z-]+)", exe(verb, "--help").out, re.MULTILINE):
            assert option == "help" or f".It Fl -{option}" in part[0], f"{verb} --{option}"


@test
def paths_that_are_none():
    """paths: what is not there, is a folder, or is no disk, each with its exit code"""
    os.mkdir("folder")
    for code, path, says in (
            (NOT_FOUND, "nothing", "nothing"), (NOT_FOUND, "nothing\\image", "nothing"),
            (NOT_FOUND, "\\\\.\\Nobody", r"cannot open \\\\\.\\Nobody"),
            (NOT_FOUND, "\\\\?\\Volume{12345678-9abc-def0-1122-33445566aaff}\\", "cannot open"),
            (NOT_FOUND, "Q:", r"cannot open \\\\\.\\Q:"),
            (FAILED, "folder", "is a folder")):
        exe("info", path, code=code, says=says)


# ---- the driver ----

HOST_VERBS = (["list"], ["status", "D:"], ["encrypt", "D:"], ["decrypt", "D:"], ["pause", "D:"],
              ["resume", "D:"], ["rate", "D:", "1"], ["detach", "D:"], ["detach", "--all"],
              ["attach", "--vmk-file", "key", "D:"], ["bench"])


@test
def no_driver():
    """without the driver, verbs that need it say so and end with 8"""
    private("key", KEY)
    for arguments in HOST_VERBS:
        exe(*arguments, code=NO_DRIVER, says="driver is not loaded; vck driver status")
    said = exe("bench", "--local", "--size", "16M", "--json")
    found = json.loads(said.out)
    assert found["where"] == "local" and found["encrypt_mib_s"] > 0, found


@test
def with_driver():
    """with the driver, its answers and explanations arrive"""
    private("key", KEY)
    with driver():
        assert json.loads(exe("list", "--json").out) == []
        for spelling in ("D:", "d:\\", "\\\\.\\D:", "\\\\?\\D:"):
            exe("status", spelling, code=NOT_FOUND, says=r"\\\\\.\\D: is not attached")
        exe("status", "\\Device\\Harddisk9", code=NOT_FOUND, says=r"\\Device\\Harddisk9 is not at")
        # NOT_FOUND with the driver's own words, which a status cannot carry.
        said = exe("encrypt", "\\\\.\\Nobody", code=NOT_FOUND)
        assert len(said.err.split()) > 4, said
        exe("attach", "--vmk-file", "key", "\\\\.\\Nobody", code=NOT_FOUND)
        exe("detach", "--all", says="all data volumes are detached")
        found = json.loads(exe("bench", "--size", "16M", "--json").out)
        assert found["where"] == "driver" and found["decrypt_mib_s"] > 0, found


# ---- devices ----

def device_test(function):
    """The test gets a disk of 16 MiB, whose contents are in the file `image`, and a key."""
    def run_with_disk():
        LAB.load("vcktestdisk")
        try:
            with td.Client(LAB) as client:
                disk = client.create(0, size_bytes=16 * MIB)
                make_image("image", 16 * MIB, fill=5)
                disk.put("image")
                function(disk)
                disk.delete()
        finally:
            LAB.unload("vcktestdisk")
    run_with_disk.__doc__ = function.__doc__
    return test(run_with_disk)


@contextlib.contextmanager
def driver():
    LAB.load("vck")
    try:
        yield
    finally:
        LAB.unload("vck")


def raw(disk, path="raw"):
    disk.get(path)
    return path


@device_test
def device_offline(disk):
    """a device is prepared and checked as an image is"""
    with unchanged("image"):
        exe("prepare", "--vmk-file", "key", disk.path, says="is now volume")
    exe("check", "--vmk-file", "key", disk.device, says="2 replicas agree")
    exe("map", "--width", "40", "--vmk-file", "key", disk.path, says="footer")
    found = value_of(exe("info", "--json", "--vmk-file", "key", disk.path))
    assert found == value_of(linux("info", "--json", "--vmk-file", "key", raw(disk)))
    linux("check", "--vmk-file", "key", "raw")
    assert Path("raw").read_bytes()[:14 * MIB] == Path("image").read_bytes()[:14 * MIB]


@device_test
def device_that_fails(disk):
    """what a device refuses or fails is an error, and nothing is left half done"""
    disk.fault(ops=td.READ, skip=0, count=1, status=td.IO_DEVICE_ERROR)
    exe("prepare", "--new-vmk", "new", disk.path, code=FAILED, says="cannot read .*: input/output error")
    assert not os.path.exists("new")
    disk.clear()
    disk.fault(ops=td.IOCTL, skip=0, count=1, status=td.WRITE_PROTECTED)
    exe("prepare", "--vmk-file", "key", disk.path, code=PERMISSION, says="[Ww]rite protected")
    disk.clear()
    assert digest(raw(disk)) == digest("image")


@device_test
def device_with_large_sectors(disk):
    """a device of 4096-byte sectors"""
    disk.delete()
    disk = disk.client.create(0, size_bytes=16 * MIB, sector_bytes=4096)
    exe("prepare", "--vmk-file", "key", "--sector-size", "512", disk.path, code=REFUSED,
        says="sectors of .* are 4096 bytes")
    exe("prepare", "--vmk-file", "key", disk.path)
    assert value_of(exe("info", "--json", disk.path))["sector_size_bytes"] == 4096


@device_test
def device_online(disk):
    """attach, encrypt, detach, and back: what the driver writes is read on Linux at each stage"""
    with driver():
        exe("prepare", "--vmk-file", "key", disk.path)
        disk.get("prepared")
        plain = Path("prepared").read_bytes()[:14 * MIB]
        exe("attach", "--vmk-file", "key", disk.path, says="is attached: 14 MiB")
        exe("attach", "--vmk-file", "key", disk.path, code=None, says="attached")
        listed = json.loads(exe("list", "--json").out)
        assert [(entry["state"], entry["total_sectors"]) for entry in listed] == [
            ("idle", 14 * MIB // 512)], listed
        found = value_of(exe("info", "--json", "--vmk-file", "key", disk.path))
        assert found == value_of(linux("info", "--json", "--vmk-file", "key", raw(disk)))
        assert json.loads(exe("map", "--json", disk.path).out)["regions"] == [
            {"kind": "plaintext", "start_sector": 0, "sectors": 14 * MIB // 512}]
        exe("encrypt", disk.path, says="is encrypted: ")
        exe("status", disk.path, says="100.0 % ciphertext")
        exe("detach", disk.path, says="detached")
        exe("status", disk.path, code=NOT_FOUND)
        linux("check", "--vmk-file", "key", raw(disk))
        found = value_of(linux("info", "--json", "--vmk-file", "key", "raw"))
        assert found["state"]["encrypted_sectors"] == 14 * MIB // 512, found["state"]
        cipher = Path("raw").read_bytes()[:14 * MIB]
        assert all(cipher[i:i + 4096] != plain[i:i + 4096] for i in range(0, 14 * MIB, 4096))
        exe("attach", "--vmk-file", "key", disk.path)
        # Slow, so that it is under way when the next command has come.
        exe("rate", disk.path, "1", says="at most 1 MiB/s")
        exe("decrypt", "--no-wait", disk.path, says="decrypting")
        exe("pause", disk.path, says="paused at sector")
        exe("detach", disk.path)
        linux("check", "--vmk-file", "key", raw(disk))
        half = value_of(linux("info", "--json", "--vmk-file", "key", "raw"))["state"]
        assert half["direction"] == "decrypting" and half["intent"] == "paused", half
        assert half == value_of(exe("info", "--json", "--vmk-file", "key", disk.path))["state"]
        exe("attach", "--vmk-file", "key", disk.path)
        exe("resume", disk.path, says="is decrypted")
        exe("detach", disk.path)
        assert Path(raw(disk)).read_bytes()[:14 * MIB] == plain


def secret_file(name):
    private(name, hashlib.sha256(name.encode()).digest())
    return name


@device_test
def device_keys(disk):
    """the slots of an attached volume are listed, made, changed, rotated and removed; one wakes it"""
    kind = ("--type", "key-file")
    first, other = secret_file("first"), secret_file("other")
    with driver():
        exe("prepare", "--vmk-file", "key", disk.path)
        exe("attach", "--vmk-file", "key", disk.path)
        exe("encrypt", disk.path)
        exe("key", "list", disk.path, says="no key slots")
        exe("key", "add", "--vmk-file", "key", "--new-key-file", first, *kind, disk.path,
            says="slot 0 is made")
        exe("key", "add", "--key-file", first, "--new-key-file", other, *kind, disk.path,
            says="slot 1 is made")
        exe("key", "test", "--key-file", other, disk.path, says="slot 1 .* opens")
        exe("key", "label", "--key-file", other, "--slot", "1", "--label", "spare", disk.path)
        exe("key", "list", disk.path, says="spare")
        exe("suspend", disk.path, says="is suspended")
        exe("key", "list", disk.path, says="spare")
        exe("resume", "--key-file", secret_file("wrong"), disk.path, code=WRONG_KEY)
        exe("resume", "--key-file", other, disk.path, says="goes on")
        exe("key", "change", "--key-file", other, "--new-key-file", secret_file("changed"),
            disk.path, says="slot 1 is changed")
        exe("key", "test", "--key-file", other, disk.path, code=WRONG_KEY)
        exe("key", "remove", "--key-file", "changed", "--slot", "0", disk.path,
            says="slot 0 is removed")
        exe("key", "test", "--key-file", first, disk.path, code=WRONG_KEY)
        exe("detach", disk.path)
        linux("key", "test", "--key-file", "changed", raw(disk), says="slot 1 .* opens")
        exe("attach", "--key-file", "changed", disk.path)
        exe("decrypt", disk.path)
        exe("detach", disk.path)
        assert Path(raw(disk)).read_bytes()[:14 * MIB] == Path("image").read_bytes()[:14 * MIB]


@device_test
def device_key_table(disk):
    """the slots of an attached volume are rotated, erased, restored; what opens it the next time"""
    first, paper = secret_file("first"), secret_file("paper")
    cheap = ("--kdf-memory", "64M", "--kdf-passes", "3")

    def attach_again(*unlock, **expected):
        exe("detach", disk.path)
        exe("attach", *unlock, disk.path, **expected)

    with driver():
        exe("prepare", "--vmk-file", "key", disk.path)
        exe("attach", "--vmk-file", "key", disk.path)
        exe("encrypt", disk.path)
        exe("key", "add", "--vmk-file", "key", "--new-key-file", first, "--type", "key-file",
            disk.path)
        save = ("key", "backup", "--key-file", first, "--new-key-file", paper, *cheap, disk.path)
        restore = ("key", "restore", "--key-file", paper, disk.path)
        exe(*save, "old")
        exe("key", "rotate", "--vmk-file", "key", "--new-vmk", "next", disk.path, code=REFUSED,
            says="slot 0")
        exe("key", "rotate", "--key-file", first, "--new-vmk", "next", disk.path)
        attach_again("--vmk-file", "key", code=WRONG_KEY)
        exe("attach", "--vmk-file", "next", disk.path)
        exe(*restore, "old", code=REFUSED, says="another volume master key")
        exe(*restore, "old", "--force", code=BUSY, says="when it is detached")
        attach_again("--key-file", first)
        exe(*save, "saved")
        exe("key", "erase", "--force", disk.path, says="all key slots are erased")
        image = Path(raw(disk)).read_bytes()
        for area in key_oracle.areas(len(image), (512, MIB, 0, 2)):
            assert not any(image[area:area + 57344])
        attach_again("--key-file", first, code=NOT_FOUND)
        exe("attach", "--vmk-file", "next", disk.path)
        exe(*restore, "saved", says="1 key slot again")
        attach_again("--key-file", first)
        exe("decrypt", disk.path)
        exe("detach", disk.path)
        linux("key", "test", "--key-file", first, raw(disk), says="slot 0 .* opens")
        assert Path("raw").read_bytes()[:14 * MIB] == Path("image").read_bytes()[:14 * MIB]


@device_test
def device_rekey(disk):
    """a new data key, and back from half way"""
    with driver():
        exe("prepare", "--vmk-file", "key", disk.path)
        exe("attach", "--vmk-file", "key", disk.path)
        exe("rekey", disk.path, code=PROBLEMS, says="0 of 28672 sectors are ciphertext")
        exe("encrypt", disk.path)
        before = Path(raw(disk)).read_bytes()[:14 * MIB]
        exe("rekey", disk.path, says="is under its new key")
        after = Path(raw(disk)).read_bytes()[:14 * MIB]
        assert all(before[i:i + 512] != after[i:i + 512] for i in range(0, 14 * MIB, 512))
        exe("rate", disk.path, "1")
        exe("rekey", "--no-wait", disk.path)
        exe("pause", disk.path)
        exe("detach", disk.path)
        linux("check", "--vmk-file", "key", raw(disk))
        exe("attach", "--vmk-file", "key", disk.path)
        exe("rekey", "--back", disk.path)
        assert Path(raw(disk)).read_bytes()[:14 * MIB] == after
        exe("decrypt", disk.path)
        exe("detach", disk.path)
        assert Path(raw(disk)).read_bytes()[:14 * MIB] == Path("image").read_bytes()[:14 * MIB]


CLASS = (r"HKLM\System\CurrentControlSet\Control\Class"
         r"\{71a27cdd-812a-11d0-bec7-08002be2092f}")


def filters(name):
    done = LAB.run("reg", "query", CLASS, "/v", name, check=False)
    found = re.search(r"REG_MULTI_SZ\s+(\S*)", done.out)
    return found[1].split("\\0") if found else []


def set_filters(name, *values):
    LAB.run("reg", "add", CLASS, "/v", name, "/t", "REG_MULTI_SZ", "/d", "\\0".join(values), "/f")


@contextlib.contextmanager
def package():
    """vck.exe with vck.sys beside it."""
    global BESIDE_EXE  # pylint: disable=global-statement
    shutil.copyfile(LAB.find("vck.exe"), "vck.exe")
    shutil.copyfile(LAB.find("vck.sys"), "vck.sys")
    BESIDE_EXE = str(Path("vck.exe").resolve())
    try:
        yield
    finally:
        BESIDE_EXE = "vck.exe"


@test
def driver_life():
    """driver: install, start, status, stop, remove; the lists keep what others put there"""
    exe("driver", "install", code=NOT_FOUND, says="not beside vck.exe")
    set_filters("LowerFilters", "fvevol", "iorate")
    set_filters("UpperFilters", "volsnap")
    with package():
        exe("driver", "status", code=NOT_FOUND, says="not installed")
        for action in ("start", "stop", "remove"):
            exe("driver", action, code=NOT_FOUND, says="not installed")
        exe("driver", "install")
        assert filters("LowerFilters") == ["fvevol", "iorate", "vck"]
        exe("driver", "install")
        assert filters("LowerFilters") == ["fvevol", "iorate", "vck"]
        assert filters("UpperFilters") == ["volsnap"]
        exe("driver", "status", code=NO_DRIVER, says="installed and not running")
        exe("driver", "start", says="running")
        exe("driver", "start", says="running already")
        told = json.loads(exe("driver", "status", "--json").out)
        assert told == {"installed": True, "file": True, "boot_start": True, "running": True,
                        "filter": "below volsnap"}, told
        assert json.loads(exe("list", "--json").out) == []
        exe("driver", "stop", says="is stopped")
        exe("list", code=NO_DRIVER)
        exe("driver", "start")
        exe("driver", "remove", says="is removed")
        assert filters("LowerFilters") == ["fvevol", "iorate"]
        exe("driver", "status", code=NOT_FOUND)
        assert not (LAB.drive_c / "windows/system32/drivers/vck.sys").exists()


@test
def driver_order():
    """driver status: a driver above volsnap, twice, or without its service is a problem"""
    with package():
        exe("driver", "install")
        set_filters("LowerFilters", "fvevol")
        exe("driver", "status", code=PROBLEMS, says="not installed completely")
        set_filters("UpperFilters", "volsnap", "vck")
        exe("driver", "status", code=PROBLEMS, says="above volsnap(.|\n)*shadow copies")
        set_filters("UpperFilters", "vck", "volsnap")
        exe("driver", "status", code=NO_DRIVER, says="below volsnap, among the upper filters")
        set_filters("LowerFilters", "vck")
        exe("driver", "status", code=PROBLEMS, says="registered twice")
        exe("driver", "install")
        assert (filters("LowerFilters"), filters("UpperFilters")) == (["vck"], ["volsnap"])
        LAB.run("sc", "delete", "vck")
        exe("driver", "status", code=PROBLEMS, says="cannot start without it")
        exe("driver", "remove", code=NOT_FOUND)
        assert filters("LowerFilters") == []
        exe("driver", "flip", code=USAGE, says="no action flip")


def close_lab():
    if LAB is not None:
        LAB.close()


try:
    tap.main()
finally:
    close_lab()
