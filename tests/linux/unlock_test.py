#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vck initrd-unlock in an initrd that a boot loader put a handover into."""
import hashlib
import os
import shutil
import sys
import uuid
from pathlib import Path

import msgpack

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]
import tap  # noqa: E402
import vm  # noqa: E402
from disks import MIB, VMK, Volume, partitioned  # noqa: E402

VCK = os.environ["VCK"]
WANTED = uuid.UUID("12345678-9abc-def0-1122-334455667788")
OTHERS = [uuid.UUID(int=number) for number in (7, 8, 9)]


def handover(identity=WANTED, key=VMK):
    return msgpack.packb({"partition_guid": identity.bytes_le, "vmk": key})


def boot(script, disks, files):
    return vm.boot_or_skip(script, [VCK], [(path, 512) for path in disks], vm.DISK_MODULES, files)


def make_disks():
    """Two disks; the volume is the second partition of the second."""
    volumes = [Volume(f"volume{number}", 512, share) for number, share in enumerate((1, 0, 0.5, 1))]
    partitioned("first", volumes[:2], OTHERS[:2])
    partitioned("second", volumes[2:], [OTHERS[2], WANTED])
    return volumes[3]


@tap.test
def the_partition_that_was_named():
    """the partition is found by its GUID, mapped, and nothing is left of the handover"""
    volume = make_disks()
    lines = boot("""
        vck initrd-unlock root
        sha256sum < /dev/mapper/root
        ls -a /.vck /.vck/handover 2>/dev/null; echo $?
        vck initrd-unlock --wait 1 other; echo $?
        vck close root; echo $?
        """, ["first", "second"], {".vck/handover": handover()})
    assert lines == [
        "/dev/mapper/root", hashlib.sha256(volume.data).hexdigest() + "  -", "1",
        "vck initrd-unlock: no boot loader left a handover: neither in /.vck/handover nor by way "
        "of the firmware", "3", "0"], "\n".join(lines)


@tap.test
def handovers_that_cannot_be_followed():
    """no partition, a wrong key, no handover: said, and wiped all the same; no library: its name"""
    make_disks()
    missing = uuid.UUID(int=99)
    lines = boot("""
        vck initrd-unlock --wait 1 --handover /missing v; echo $?
        vck initrd-unlock --wait 1 --handover /wrong v; echo $?
        vck initrd-unlock --wait 1 --handover /garbage v; echo $?
        ls /missing /wrong /garbage 2>/dev/null
        ls /dev/mapper
        vck info nbd://localhost 2>&1 | sed 's/.*: //'
        """, ["first", "second"], {"missing": handover(missing), "garbage": b"no map",
                                   "wrong": handover(key=b"another key")})
    assert lines == [
        f"vck initrd-unlock: there is no partition {missing}, which the boot loader named; "
        "waited 1 s", "3",
        "vck initrd-unlock: /dev/vdb2: the key opens none of the replicas", "4",
        "vck initrd-unlock: the handover in /garbage cannot be used: invalid data", "1",
        "control",
        "libnbd.so.0 is needed for this and cannot be loaded (package libnbd0)"], "\n".join(lines)


@tap.test
def without_a_loader():
    """--partition opens that volume by a key file where no handover, or another's, is there"""
    volume = make_disks()
    lines = boot(f"""
        vck key add /dev/vdb2 --vmk-file /key --new-key-file /slot --type key-file --kdf hkdf
        vck initrd-unlock --partition {WANTED} --key-file /slot root
        sha256sum < /dev/mapper/root
        vck close root
        vck initrd-unlock --handover /other --partition {WANTED} --key-file /slot root
        ls /other 2>/dev/null; vck close root
        vck initrd-unlock --handover /same --partition {WANTED} root
        vck close root
        vck initrd-unlock --wait 0 --partition {uuid.UUID(int=99)} --key-file /slot root; echo $?
        vck initrd-unlock --partition 12 root 2>&1 | head -n 1
        """, ["first", "second"], {"key": VMK, "slot": bytes(range(64)),
                                   "other": handover(OTHERS[0]), "same": handover()})
    assert lines[1:] == [
        "/dev/mapper/root", hashlib.sha256(volume.data).hexdigest() + "  -", "/dev/mapper/root",
        "/dev/mapper/root", f"vck initrd-unlock: there is no partition {uuid.UUID(int=99)}, which "
        "--partition named; waited 0 s", "3",
        "vck initrd-unlock: --partition is 12; the GUID of a partition is expected",
    ], "\n".join(lines)


@tap.test
def served_by_the_daemon():
    """--serve: an unfinished volume goes through the daemon, and is encrypted while in use"""
    tools = [shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
             for name in ("nbdkit", "nbd-client")]
    if "VCKD" not in os.environ or None in tools:
        raise tap.Skip("no vckd, nbdkit or nbd-client")
    plugin = Path(os.environ["VCKD"]).parent / "vckd.so"
    whole = Volume("whole", 512, 1)
    half = Volume("half", 512, 0.5)
    partitioned("disk", [whole, half], [OTHERS[0], WANTED])
    lines = vm.boot_or_skip("""
        mkdir /run
        vck initrd-unlock --serve system 2>/errors || cat /errors
        sha256sum < /dev/mapper/system
        vck encrypt /dev/vda2 >/dev/null
        sha256sum < /dev/mapper/system
        yes written | dd of=/dev/mapper/system bs=4096 seek=100 count=20 conv=fsync 2>/dev/null
        vck status /dev/vda2 | grep -c 100
        vck close system; nbd-client -d /dev/nbd0 >/dev/null
        vck detach /dev/vda2 && kill $(cat /run/vck/vckd.pid)
        vck initrd-unlock --serve --partition """ + str(OTHERS[0]) + """ --handover /none \
            --key-file /slot all 2>&1 | tail -n 1
        vck key add /dev/vda1 --vmk-file /key --new-key-file /slot --type key-file --kdf hkdf >/dev/null
        vck initrd-unlock --serve --partition """ + str(OTHERS[0]) + """ --key-file /slot all
        dmsetup table all | cut -d' ' -f3
        """, [VCK, os.environ["VCKD"], *tools, shutil.which("dmsetup") or "/usr/sbin/dmsetup"],
        [("disk", 512)], (*vm.DISK_MODULES, "nbd"),
        {".vck/handover": handover(), "key": VMK, "slot": bytes(range(64)),
         "bin/vckd.so": plugin.read_bytes()}, [plugin])
    digest = hashlib.sha256(half.data).hexdigest() + "  -"
    assert lines[:3] == ["/dev/mapper/system", digest, digest], "\n".join(lines)
    assert lines[3] == "1" and lines[-2:] == ["/dev/mapper/all", "crypt"], "\n".join(lines)
    size = len(Path("half").read_bytes())
    with open("disk", "rb") as file:
        file.seek(3 * MIB)
        Path("half").write_bytes(file.read(size))
    half.encrypted = half.sectors
    written = bytearray(half.data)
    written[100 * 4096:120 * 4096] = (b"written\n" * 512) * 20
    assert half.read() == written


tap.main()
