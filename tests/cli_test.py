#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The command on image files: prepare, info, check, and what it makes of bad input."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import command_lab  # noqa: E402
from command_lab import (  # noqa: E402
    BUSY, FAILED, NOT_FOUND, NO_DAEMON, OK, PERMISSION, PROBLEMS, REFUSED, USAGE, VCK, WRONG_KEY,
    digest, unchanged)
import mangle  # noqa: E402
import tap  # noqa: E402

KEY = bytes(range(100, 132))
MIB = 1 << 20


def vck(*arguments, **expected):
    return command_lab.vck(*arguments, secrets=(KEY,), **expected)


def make_image(path="image", size=4 * MIB, fill=0):
    """Recognisable data (fill 0: zeroes) in front of nothing but zeroes in the last 2 MiB."""
    with open(path, "wb") as file:
        if fill:
            file.write(bytes((i * fill) & 0xFF for i in range(256)) * ((size - 2 * MIB) // 256))
        file.truncate(size)
    Path("key").write_bytes(KEY)
    os.chmod("key", 0o600)
    return path


def make_volume(path="image", size=4 * MIB, *options):
    make_image(path, size)
    vck("prepare", "--vmk-file", "key", *options, path)
    return path


def info(path, *options, code=OK):
    return json.loads(vck("info", "--json", *options, path, code=code))


# ---- prepare ----

@tap.test
def prepare_writes_valid_replicas():
    """prepare: both footers open with an independent implementation, and the data stays"""
    make_image(fill=7)
    before = Path("image").read_bytes()[:2 * MIB]
    told = json.loads(vck("prepare", "--json", "--vmk-file", "key", "image"))
    image = mangle.Image("image", KEY)
    first, second = (mangle.unseal(image.block(i), KEY) for i in (0, 1))
    assert first.fvek == second.fvek and first.fvek[:32] != first.fvek[32:]
    assert first.generation == second.generation != 0
    assert first.encrypted_offset == 0
    assert image.block(0)[48:64] != image.block(1)[48:64], "the salt is new at every write"
    assert Path("image").read_bytes()[:2 * MIB] == before
    assert told["data_sectors"] == 4096 and told["data_start_sector"] == 0
    assert told["volume_id"].replace("-", "") == image.volume_id.hex()
    assert told["grown_bytes"] == 0 and told["new_key_file"] is None


@tap.test
def prepare_clears_the_vendor_area():
    """prepare --force: what was in the regions is gone"""
    make_image()
    with open("image", "r+b") as file:
        file.seek(2 * MIB)
        file.write(b"\xa5" * (2 * MIB))
    vck("prepare", "--force", "--vmk-file", "key", "image")
    data = Path("image").read_bytes()
    for end in (3 * MIB, 4 * MIB):
        assert data[end - MIB:end - 512].count(0) == MIB - 512


@tap.test
def prepare_new_key():
    """prepare --new-vmk: 32 bytes, mode 0600, and it opens the volume"""
    make_image()
    vck("prepare", "--new-vmk", "new", "image")
    assert os.stat("new").st_size == 32 and os.stat("new").st_mode & 0o7777 == 0o600
    assert info("image", "--vmk-file", "new")["status"] == "OK"


@tap.test
def prepare_keeps_existing_key():
    """prepare --new-vmk: an existing file is not overwritten, and the image is left alone"""
    make_image()
    with unchanged("image", "key"):
        vck("prepare", "--new-vmk", "key", "image", code=REFUSED, says="exists already")
    os.symlink("nowhere", "link")
    with unchanged("image"):
        vck("prepare", "--new-vmk", "link", "image", code=REFUSED, says="exists already")


@tap.test
def prepare_leaves_no_key_behind():
    """prepare --new-vmk: a refusal leaves no key file"""
    make_image(size=MIB)
    with unchanged("image"):
        vck("prepare", "--new-vmk", "new", "image", code=REFUSED)
    assert not os.path.exists("new")


@tap.test
def prepare_key_from_stdin():
    """prepare --vmk-file -: the key comes from standard input"""
    make_image()
    vck("prepare", "--vmk-file", "-", "image", stdin=KEY)
    assert info("image", "--vmk-file", "key")["status"] == "OK"


@tap.test
def prepare_key_sizes():
    """prepare: keys of 0 and 1025 bytes are refused with their sizes, 1 and 1024 are taken"""
    make_image()
    for size in (0, 1025):
        with unchanged("image"):
            vck("prepare", "--vmk-file", "-", "image", code=FAILED, stdin=bytes([7]) * size,
                says=f"{size} bytes; 1 to 1024")
    for size in (1, 1024):
        vck("prepare", "--force", "--vmk-file", "-", "image", stdin=bytes([7]) * size)


@tap.test
def prepare_grow():
    """prepare --grow: appends the regions, and fills up a last sector that is not whole"""
    make_image()
    os.truncate("image", 4 * MIB + 100)
    Path("image").write_bytes(os.urandom(4 * MIB + 100))
    before = Path("image").read_bytes()
    vck("prepare", "--vmk-file", "key", "image", code=REFUSED, says="100 bytes are over")
    told = json.loads(vck("prepare", "--json", "--grow", "--vmk-file", "key", "image"))
    after = Path("image").read_bytes()
    assert len(after) == 4 * MIB + 512 + 2 * MIB and after[:len(before)] == before
    assert told["grown_bytes"] == len(after) - len(before)
    assert told["data_sectors"] == 8193


@tap.test
def prepare_refuses_existing():
    """prepare: an existing volume is refused, whole or damaged, and --force overwrites it"""
    make_volume()
    with unchanged("image"):
        vck("prepare", "--vmk-file", "key", "image", code=REFUSED, says="volume already.*--force")
        vck("prepare", "--grow", "--vmk-file", "key", "image", code=REFUSED, says="already")
    first = info("image")["volume_id"]
    mangle.torn_last_sector(mangle.Image("image", KEY))
    with unchanged("image"):
        vck("prepare", "--vmk-file", "key", "image", code=REFUSED, says="volume already")
    vck("prepare", "--force", "--vmk-file", "key", "image")
    assert info("image")["volume_id"] != first


@tap.test
def prepare_unknown_tail():
    """prepare: unknown data where metadata goes is refused with its place"""
    make_image()
    with open("image", "r+b") as file:
        file.seek(3 * MIB + 77)
        file.write(b"x")
    with unchanged("image"):
        vck("prepare", "--vmk-file", "key", "image", code=REFUSED, says=f"byte {3 * MIB + 77},")
    with unchanged("image"):
        vck("prepare", "--vmk-file", "key", "--headers", "1", "--footers", "1", "image",
            code=REFUSED, says="footer metadata")


@tap.test
def prepare_counts_and_sizes():
    """prepare: counts and sizes that do not fit are refused with numbers"""
    make_image()
    cases = [
        (USAGE, "1 replica .*at least 2", "--footers", "1"),
        (USAGE, "0 headers and 0 footers", "--footers", "0"),
        (USAGE, "--footers is 256; a number from 0 to 255", "--footers", "256"),
        (USAGE, "--headers is -1;", "--headers", "-1"),
        (USAGE, "--headers is two;", "--headers", "two"),
        (USAGE, "--metadata-size is 65536; at least 131072", "--metadata-size", "64K"),
        (USAGE, "--metadata-size is 131584; .*multiple of 4096", "--metadata-size", "131584"),
        (USAGE, "--sector-size is 1000; 512 or 4096", "--sector-size", "1000"),
        (USAGE, "--grow and --shrink", "--grow", "--shrink"),
        (USAGE, "exclude each other", "--new-vmk", "x"),
        (USAGE, "no option --nothing", "--nothing"),
        (USAGE, "given twice", "--grow", "--grow"),
        (USAGE, "takes no value", "--grow=1"),
        (USAGE, "one operand too many", "image2"),
        (REFUSED, "4194304 bytes, and 4 replicas of 1048576 bytes take 4194304", "--footers", "4"),
        (REFUSED, "and 255 replicas", "--footers", "255"),
    ]
    with unchanged("image"):
        for code, says, *options in cases:
            vck("prepare", "--vmk-file", "key", "image", *options, code=code, says=says)
        vck("prepare", "image", code=USAGE, says="Usage: vck prepare .* VOLUME")
        vck("prepare", "--vmk-file", "key", code=USAGE, says="VOLUME is missing")
        vck("prepare", "--vmk-file", code=USAGE, says="needs a value, FILE")
    os.truncate("image", 4 * MIB + 512)
    with unchanged("image"):
        vck("prepare", "--vmk-file", "key", "image", "--sector-size", "4096", code=REFUSED,
            says=r"not whole sectors of 4096: 512 bytes")


@tap.test
def sizes():
    """sizes: with and without a unit, and what is no size"""
    for text, size in (("1048576", "1 MiB"), ("1024K", "1 MiB"), ("2M", "2 MiB"), ("2m", "2 MiB"),
                       ("2MiB", "2 MiB"), ("3072KiB", "3 MiB")):
        vck("bench", "--local", "--size", text, says=f"local, {size}:")
    for text in ("", "-1", "1KB", "1MB", "1.5M", "1Mi", "1MiBx", "M", "0x100000", " 1M", "1 M", "65G",
                 "17592186044416T", "99999999999999999999", "512K"):
        vck("bench", "--local", "--size", text, code=USAGE,
            says=re.escape(f"--size is {text}; bytes from 1M to 64G are expected"))


@tap.test
def prepare_geometries():
    """prepare: headers, footers, 4096-byte sectors, one replica, large and small regions"""
    for options, headers, footers in (
            (["--headers", "1", "--footers", "1"], 1, 1), (["--headers", "3", "--footers=0"], 3, 0),
            (["--footers", "3", "--metadata-size", "128K"], 0, 3), (["--single-replica"], 0, 1),
            (["--single-replica", "--headers", "1"], 1, 0),
            (["--sector-size", "4096", "--metadata-size", "1M"], 0, 2)):
        make_volume("image", 8 * MIB, *options)
        told = info("image", "--vmk-file", "key")
        assert (told["header_count"], told["footer_count"]) == (headers, footers), told
        assert [r["status"] for r in told["replicas"]] == ["OK"] * (headers + footers)
        assert told["volume_sectors"] * told["sector_size_bytes"] == 8 * MIB
        vck("check", "--vmk-file", "key", "image", says=f"{headers + footers} replicas agree")


# ---- prepare on file systems ----

def need(*tools):
    for tool in tools:
        if not any(shutil.which(tool, path=path) for path in (None, "/usr/sbin:/sbin")):
            raise tap.Skip(f"no {tool} here")


def run(*command):
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env={**os.environ, "PATH": path})


def check_file_system_in_the_way(missing):
    with unchanged("image"):
        vck("prepare", "--vmk-file", "key", "image", code=REFUSED,
            says=f"{missing} bytes .*are missing")
        vck("prepare", "--force", "--vmk-file", "key", "image", code=REFUSED, says="are missing")
        vck("prepare", "--vmk-file", "key", "--headers", "1", "image", code=REFUSED,
            says="first sectors")


@tap.test
def prepare_ext4():
    """prepare: ext4 that reaches into the tail is refused, grown behind, or shrunk"""
    need("mkfs.ext4", "resize2fs", "e2fsck")
    make_image(size=32 * MIB)
    os.mkdir("content")
    Path("content/file").write_bytes(os.urandom(9 * MIB))
    run("mkfs.ext4", "-q", "-F", "-d", "content", "image")
    check_file_system_in_the_way(2 * MIB)
    shutil.copy("image", "grown")
    vck("prepare", "--grow", "--vmk-file", "key", "grown")
    assert os.path.getsize("grown") == 34 * MIB
    run("e2fsck", "-f", "-n", "grown")
    vck("prepare", "--shrink", "--new-vmk", "new", "image")
    assert os.path.getsize("image") == 32 * MIB
    run("e2fsck", "-f", "-n", "image")
    run("debugfs", "-R", "dump /file dumped", "image")
    assert digest("dumped") == digest("content/file")
    assert info("image", "--vmk-file", "new")["data_sectors"] == 30 * MIB // 512


@tap.test
def prepare_ext4_too_full():
    """prepare --shrink: a file system that is too full stays, and no key is left"""
    need("mkfs.ext4", "resize2fs", "e2fsck")
    make_image(size=16 * MIB)
    os.mkdir("content")
    Path("content/file").write_bytes(os.urandom(12 * MIB))
    run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", "content", "image")
    vck("prepare", "--shrink", "--footers", "4", "--new-vmk", "new", "image", code=REFUSED,
        says="resize2fs failed")
    assert not os.path.exists("new") and os.path.getsize("image") == 16 * MIB
    run("e2fsck", "-f", "-n", "image")
    vck("info", "image", code=PROBLEMS, says="no JVCK volume")


@tap.test
def prepare_ntfs():
    """prepare: NTFS with its last boot sector is refused, and shrunk"""
    need("mkntfs", "ntfsresize")
    make_image(size=32 * MIB)
    run("mkntfs", "-F", "-f", "-q", "-s", "512", "image")
    check_file_system_in_the_way(2 * MIB)
    vck("prepare", "--shrink", "--vmk-file", "key", "image")
    assert info("image", "--vmk-file", "key")["status"] == "OK"
    run("ntfsresize", "--info", "--force", "image")


@tap.test
def prepare_recognises():
    """prepare: other file systems, partition tables and containers are recognised"""
    def put(data, *pieces):
        for at, piece in pieces:
            data[at:at + len(piece)] = piece
    le32, le64, = (lambda n, size=size: n.to_bytes(size, "little") for size in (4, 8))
    sectors = 4 * MIB // 512
    cases = {
        "XFS": [(0, b"XFSB" + (4096).to_bytes(4, "big") + (1024).to_bytes(8, "big"))],
        "btrfs": [(65536 + 64, b"_BHRfS_M"), (65536 + 209, le64(4 * MIB))],
        "F2FS": [(1024, le32(0xF2F52010)), (1040, le32(12)), (1060, le64(1024))],
        "FAT": [(11, b"\0\2"), (32, le32(sectors)), (82, b"FAT32   "), (510, b"\x55\xaa")],
        "exFAT": [(3, b"EXFAT   "), (72, le64(sectors)), (108, b"\x09"), (510, b"\x55\xaa")],
        "swap": [(1028, le32(1023)), (4086, b"SWAPSPACE2")],
        "GPT": [(512, b"EFI PART"), (536, le64(1) + le64(sectors - 1)), (510, b"\x55\xaa")],
        "MBR": [(446, b"\0\0\0\0\x83\0\0\0" + le32(8) + le32(sectors - 8)), (510, b"\x55\xaa")],
        "LUKS": [(0, b"LUKS\xba\xbe")],
        "BitLocker": [(3, b"-FVE-FS-")],
        "LVM": [(512, b"LABELONE")],
    }
    for name, pieces in cases.items():
        data = bytearray(4 * MIB)
        put(data, *pieces)
        make_image()
        Path("image").write_bytes(data)
        with unchanged("image"):
            vck("prepare", "--vmk-file", "key", "image", code=REFUSED,
                says=f"{name}.*: {2 * MIB} bytes .*are missing")
            vck("prepare", "--shrink", "--vmk-file", "key", "image", code=REFUSED,
                says="--shrink knows")
    os.truncate("image", 3 * MIB)


@tap.test
def prepare_cut_file_system():
    """prepare: a file system that is longer than its image is refused even with --grow"""
    need("mkfs.ext4")
    make_image(size=16 * MIB)
    run("mkfs.ext4", "-q", "-F", "image")
    os.truncate("image", 12 * MIB)
    with unchanged("image"):
        vck("prepare", "--grow", "--vmk-file", "key", "image", code=REFUSED,
            says="16777216 bytes long, but there are only 12582912")


@contextlib.contextmanager
def loop_device(path, *options):
    if os.geteuid() != 0 or not shutil.which("losetup"):
        raise tap.Skip("only root can have a loop device")
    done = subprocess.run(["losetup", "--find", "--show", *options, path], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    if done.returncode != 0:
        raise tap.Skip("no loop device here")
    try:
        yield done.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


@tap.test
def prepare_block_device():
    """prepare: a block device is refused while mounted, then its ext4 is shrunk"""
    need("mkfs.ext4", "resize2fs", "e2fsck")
    make_image(size=32 * MIB)
    run("mkfs.ext4", "-q", "-F", "image")
    os.mkdir("mounted")
    with loop_device("image") as device:
        vck("prepare", "--grow", "--vmk-file", "key", device, code=REFUSED, says="is none")
        if subprocess.run(["mount", device, "mounted"], check=False).returncode == 0:
            try:
                vck("prepare", "--shrink", "--vmk-file", "key", device, code=BUSY, says="mounted")
            finally:
                subprocess.run(["umount", "mounted"], check=True)
        vck("prepare", "--vmk-file", "key", device, code=REFUSED, says="are missing")
        vck("prepare", "--shrink", "--vmk-file", "key", device)
        vck("check", "--vmk-file", "key", device, says="2 replicas agree")
    run("e2fsck", "-f", "-n", "image")


@tap.test
def prepare_large_sectors():
    """prepare: a device with sectors of 4096 bytes gets them, and no smaller ones"""
    make_image(size=8 * MIB)
    with loop_device("image", "--sector-size", "4096") as device:
        vck("prepare", "--vmk-file", "key", "--sector-size", "512", device, code=REFUSED,
            says="are 4096 bytes")
        told = json.loads(vck("prepare", "--json", "--vmk-file", "key", device))
        assert told["sector_size_bytes"] == 4096
    assert info("image", "--vmk-file", "key")["status"] == "OK"


# ---- files that cannot be used ----

@tap.test
def missing_and_unfit_files():
    """missing files, folders and devices without an end are named, with their exit codes"""
    make_image()
    vck("prepare", "--vmk-file", "key", "nothing", code=NOT_FOUND, says="nothing")
    vck("prepare", "--vmk-file", "nothing", "image", code=NOT_FOUND, says="nothing")
    vck("info", "nothing", code=NOT_FOUND, says="nothing")
    vck("check", "nothing", code=NOT_FOUND, says="nothing")
    vck("info", ".", code=FAILED, says="directory")
    vck("info", "/dev/null", code=FAILED, says="character device")
    Path("empty").touch()
    vck("info", "empty", code=PROBLEMS, says="no JVCK volume")
    vck("prepare", "--vmk-file", "key", "empty", code=REFUSED, says="0 bytes")


@tap.test
def read_only_file():
    """a file that may only be read is refused by prepare and check --repair, and read by info"""
    make_volume()
    os.chmod("image", 0o444)
    os.chmod("key", 0o444)
    # Root may write everything, so it becomes somebody else, for whom the program must be in reach.
    shutil.copy(VCK, "vck")
    options = {"user": 65534 if os.geteuid() == 0 else None, "program": "./vck"}
    with unchanged("image"):
        vck("prepare", "--force", "--vmk-file", "key", "image", code=PERMISSION,
            says="cannot open", **options)
        vck("check", "--repair", "--vmk-file", "key", "image", code=PERMISSION,
            says="cannot open", **options)
        vck("info", "--vmk-file", "key", "image", **options)
        vck("check", "--vmk-file", "key", "image", **options)


@tap.test
def full_disk():
    """a full disk under a sparse image: prepare --grow takes back what it appended"""
    if os.geteuid() != 0:
        raise tap.Skip("only root can mount a small file system")
    os.mkdir("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", "small"],
                      stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise tap.Skip("mounting is not allowed here")
    try:
        make_image()
        with open("small/image", "wb") as file:
            file.write(os.urandom(2 * MIB))
        with unchanged("small/image"):
            vck("prepare", "--grow", "--new-vmk", "new", "small/image", code=FAILED,
                says="no space|full")
        assert os.path.getsize("small/image") == 2 * MIB and not os.path.exists("new")
    finally:
        subprocess.run(["umount", "small"], check=True)


@tap.test
def locked_file():
    """a file that another process has locked is busy for prepare and check, not for info"""
    import fcntl
    make_volume()
    with open("image", "r+b") as file, unchanged("image"):
        fcntl.fcntl(file, 37, b"\x01\0\0\0\0\0\0\0" + bytes(24))  # F_OFD_SETLK, F_WRLCK
        vck("prepare", "--force", "--vmk-file", "key", "image", code=BUSY, says="locked")
        vck("check", "--vmk-file", "key", "image", code=BUSY, says="detach it first")
        vck("info", "image")


# ---- keys ----

@tap.test
def wrong_key():
    """a wrong key has its own exit code in info and check, and changes nothing"""
    make_volume()
    Path("other").write_bytes(bytes(32))
    os.chmod("other", 0o600)
    with unchanged("image"):
        told = info("image", "--vmk-file", "other", code=WRONG_KEY)
        assert told["status"] == "WRONG_KEY" and told["state"] is None
        assert told["volume_id"] == info("image")["volume_id"]
        vck("check", "--vmk-file", "other", "image", code=WRONG_KEY, says="opens none")
        vck("check", "--repair", "--vmk-file", "other", "image", code=WRONG_KEY)


@tap.test
def open_key_file():
    """a key file that others may read is remarked upon"""
    make_volume()
    os.chmod("key", 0o644)
    vck("info", "--vmk-file", "key", "image", says="mode 0644")


# ---- check ----

@tap.test
def check_repair():
    """check --repair: a torn replica is written anew, and everything agrees afterwards"""
    make_volume()
    mangle.torn_last_sector(mangle.Image("image", KEY))
    vck("check", "--vmk-file", "key", "image", code=PROBLEMS, says="replica 1")
    vck("check", "--repair", "--vmk-file", "key", "image", says="replicas agree")
    assert [r["status"] for r in info("image", "--vmk-file", "key")["replicas"]] == ["OK", "OK"]


@tap.test
def check_use_replica():
    """check --repair --use-replica: settles a disagreement with a fresh generation"""
    make_volume()
    mangle.directions_disagree(mangle.Image("image", KEY))
    with unchanged("image"):
        vck("check", "--repair", "--vmk-file", "key", "image", code=PROBLEMS, says="--use-replica")
        vck("check", "--repair", "--use-replica", "7", "--vmk-file", "key", "image", code=FAILED,
            says="2 replicas, counted from 0")
    vck("check", "--repair", "--use-replica", "1", "--vmk-file", "key", "image",
        says="as replica 1")
    state = info("image", "--vmk-file", "key")["state"]
    assert state["direction"] == "decrypting" and state["encrypted_sectors"] == 32
    assert state["generation"] > 0


@tap.test
def check_keeps_open_record():
    """check --repair: a record that applies is kept, so that attaching can carry it out"""
    make_volume()
    image = mangle.Image("image", KEY)
    image.put_record(image.record())
    told = info("image", "--vmk-file", "key")
    assert told["journal"][0]["kind"] == "applies", told["journal"]
    assert info("image")["journal"][0]["kind"] == "unverified"
    mangle.torn_last_sector(image)
    vck("check", "--repair", "--vmk-file", "key", "image", code=PROBLEMS, says="open record")
    told = info("image", "--vmk-file", "key")
    assert told["journal"][0]["kind"] == "applies"
    assert [r["status"] for r in told["replicas"]] == ["OK", "OK"]


@tap.test
def check_options():
    """check: --repair needs a key, --use-replica needs --repair"""
    make_volume()
    with unchanged("image"):
        vck("check", "--repair", "image", code=USAGE, says="needs --vmk-file")
        vck("check", "--use-replica", "0", "image", code=USAGE, says="needs --repair")


# ---- mangled images ----

def check_mangled(generator):
    make_volume("image", 4 * MIB, "--metadata-size", "128K")
    generator(mangle.Image("image", KEY))
    expected = generator.expected
    with unchanged("image"):
        done = subprocess.run([VCK, "info", "--json", "image"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
        assert json.loads(done.stdout)["status"] == expected.info, done.stdout
        assert (done.returncode == OK) == (expected.info == "OK")
        done = subprocess.run([VCK, "info", "--json", "--vmk-file", "key", "image"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        told = json.loads(done.stdout)
        assert told["status"] == expected.keyed, told
        assert (done.returncode == OK) == (expected.keyed == "OK")
        if expected.keyed != "OK":
            assert told["explanation"].encode() in done.stderr
        if expected.replicas:
            assert tuple(r["status"] for r in told["replicas"]) == expected.replicas, told
        if expected.halves:
            assert {j["kind"] for j in told["journal"] if j["half"] == 0} == {expected.halves}, told
        done = subprocess.run([VCK, "check", "--json", "--vmk-file", "key", "image"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        told = json.loads(done.stdout)
        assert told["clean"] == (expected.problem is None), told
        assert (done.returncode == OK) == told["clean"]
        if expected.problem:
            assert any(expected.problem in problem for problem in told["problems"]), told


for mangler in mangle.GENERATORS:
    tap.add("mangled: " + mangler.__name__.replace("_", " "), check_mangled, mangler)


# ---- the rest ----

@tap.test
def overview():
    """usage errors and help: no verb, unknown verbs, --version"""
    vck(code=USAGE, says="verb is missing")
    vck("frobnicate", code=USAGE, says="no verb frobnicate")
    vck("encypt", code=USAGE, says="no verb encypt; did you mean encrypt")
    vck("--grow", code=USAGE, says="verb is missing")
    vck("--grow", "encrypt", "x", code=USAGE, says="encrypt: there is no option --grow")
    vck("--nothing", "list", code=USAGE, says="no option --nothing here; --help lists")
    vck("encrypt", "--nowait", "x", code=USAGE, says="did you mean --no-wait")
    vck("--", "-h", code=USAGE, says="no verb -h")
    vck("key", "list", code=USAGE, says="key: VOLUME is missing")
    vck("key", code=USAGE, says="key: ACTION is missing")
    vck("rate", "x", "-5", code=USAGE, says="MIB is -5; a number from 0")
    vck("--version", says=r"^vck \d")
    vck("list", "x", code=USAGE, says="one operand too many")
    vck("rate", "image", "fast", code=USAGE, says="MIB is fast")


@tap.test
def no_daemon():
    """without a daemon each verb that needs it says so and which socket was tried"""
    make_volume()
    for verb in (["attach", "--vmk-file", "key"], ["detach"], ["encrypt"], ["decrypt"], ["pause"],
                 ["resume"], ["status"]):
        vck(*verb, "--socket", "none.sock", "image", code=NO_DAEMON, says="none.sock")
    vck("list", "--socket", "none.sock", code=NO_DAEMON, says="none.sock")
    vck("rate", "--socket", "none.sock", "image", "5", code=NO_DAEMON, says="none.sock")


@tap.test
def bench_local():
    """bench --local: prints what it measured"""
    told = json.loads(vck("bench", "--local", "--size", "4M", "--json"))
    assert told["where"] == "local" and told["size_bytes"] == 4 * MIB
    assert told["encrypt_mib_s"] > 0 and told["decrypt_mib_s"] > 0
    vck("bench", "--local", "--size", "1", code=USAGE, says="--size is 1;")
    told = json.loads(vck("bench", "--local", "--xmm", "--size", "4M", "--json"))
    assert told["encrypt_mib_s"] > 0 and told["decrypt_mib_s"] > 0
    vck("bench", "--xmm", code=USAGE, says="--xmm is for --local")


@tap.test
def stdout_full():
    """an answer that cannot be written is a failure"""
    make_volume()
    with open("/dev/full", "wb") as full:
        done = subprocess.run([VCK, "info", "image"], stdout=full, stderr=subprocess.PIPE,
                              check=False)
    assert done.returncode == FAILED and b"stdout" in done.stderr


tap.main()
