#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The handover under Wine: vck.sys finds it in a firmware variable, and binds the partition it is
about while that starts. Variable and memory are the verifier's."""
import struct
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "tests/nt")]
import tap  # noqa: E402
import testdisk as td  # noqa: E402

VENDOR = uuid.UUID("59564B43-4448-564F-3132-2D5641522121")
ADDRESS = 0x7FFE0000
BOOT_SERVICE_AND_RUNTIME = 6
NON_VOLATILE = 1
PARTITION = uuid.UUID("12345678-9abc-def0-1122-334455667788")
OTHER = uuid.UUID("87654321-9abc-def0-1122-334455667788")
KEY = b"the key that opens this one disk"
GET_STATUS = 0x226000
DATA_BYTES = 8 * td.MIB
DATA = bytes((i * 31 + (i >> 9)) & 0xFF for i in range(64 * 1024)) * (DATA_BYTES // (64 * 1024))


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return b"\xd9" + bytes([len(value)]) + value


def payload(partition=PARTITION, key=KEY):
    return (b"\x82" + text("partition_guid") + b"\xc4\x10" + partition.bytes_le
            + text("vmk") + b"\xc4" + bytes([len(key)]) + key)


def locator(length, address=ADDRESS):
    return (b"\x84" + text("magic") + b"\xce" + struct.pack(">I", 0x4C4B4356)
            + text("version") + b"\x01" + text("address") + b"\xcf" + struct.pack(">Q", address)
            + text("length") + b"\xce" + struct.pack(">I", length))


def leave(message, value=None, attributes=BOOT_SERVICE_AND_RUNTIME):
    """What a boot loader leaves."""
    LAB.inject_memory(ADDRESS, message)
    LAB.inject_variable(VENDOR, "VckHandover",
                        locator(len(message)) if value is None else value, attributes)


def is_wiped(message):
    return LAB.read_memory(ADDRESS, len(message)) == bytes(len(message))


def status(disk):
    name = disk.device.encode()
    return LAB.ioctl("Vck", GET_STATUS, b"\x81" + text("volume_path") + text(name), 4096)


def is_attached(disk):
    return b"\xabis_attached\xc3" in status(disk)


def boot(message, check, partition=PARTITION, **how):
    """Leaves the handover, loads the driver, starts a disk that holds the volume, and has it looked
    at; what was left is then wiped or not, and the driver goes again."""
    leave(message, **how)
    LAB.load("vck")
    with td.Client(LAB) as client:
        disk = client.create(0, size_bytes=VOLUME.stat().st_size, is_gpt=1,
                             partition_id=partition.bytes_le.hex())
        disk.put(VOLUME)
        disk.add("vck")
        try:
            assert disk.start() == 0
            check(disk)
        finally:
            assert disk.remove() == 0
            disk.delete()
    LAB.unload("vck")


def shows_data(disk):
    read = disk.read(0, 4096)
    assert read["status"] == 0 and read["data"][:4096] == DATA[:4096]


def bound(disk):
    assert is_attached(disk)
    shows_data(disk)
    assert disk.write(DATA_BYTES // 2, bytes(512))["status"] == 0


def untouched(disk):
    assert not is_attached(disk)
    assert disk.write(0, bytes(512))["status"] == 0


def refuses_writes(disk):
    assert not is_attached(disk)
    assert disk.write(0, bytes(512))["status"] == td.WRITE_PROTECTED
    assert disk.read(0, 512)["status"] == 0


@tap.test
def a_volume_is_made():
    """vck.exe makes the volume that the others start"""
    key = LAB.directory / "key"
    key.write_bytes(KEY)
    VOLUME.write_bytes(DATA)
    LAB.run("vck.exe", "prepare", "--force", "--grow", "--vmk-file", LAB.windows_path(key),
            LAB.windows_path(VOLUME))


@tap.test
def the_matching_partition():
    """the partition the handover names is bound while it starts, and the payload wiped"""
    message = payload()
    boot(message, bound)
    assert is_wiped(message)


@tap.test
def another_partition():
    """another partition starts as it is; the payload is wiped all the same"""
    message = payload(OTHER)
    boot(message, untouched)
    assert is_wiped(message)


@tap.test
def the_wrong_key():
    """a partition that matches and cannot be opened starts, and refuses writes"""
    boot(payload(key=bytes(32)), refuses_writes)


@tap.test
def garbage():
    """a payload that is none, and locators that are none, bind nothing"""
    message = b"\xc1" * 64
    boot(message, untouched)
    assert is_wiped(message)
    message = payload()
    for value in (b"\xc1", b"\x80", locator(0), locator(65537), locator(len(message), 0),
                  locator(len(message)) + b"\x00", bytes(200)):
        boot(message, untouched, value=value)
        assert not is_wiped(message)


@tap.test
def a_variable_that_stays():
    """a variable that outlives the power was left by no boot loader, and is not followed"""
    message = payload()
    boot(message, untouched, attributes=BOOT_SERVICE_AND_RUNTIME | NON_VOLATILE)
    assert not is_wiped(message)


@tap.test
def nothing_is_left():
    """after ten boots nothing of the driver is left"""
    for _ in range(10):
        boot(payload(), bound)


LAB = td.make_lab()
VOLUME = LAB.directory / "volume.img"
td.main(LAB, "vckverify", "vcktestdisk")
