#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The test disk by itself: what it shows is what was written, faults arrive as they were asked."""
import os
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "tests/nt")]
import tap  # noqa: E402
import testdisk as td  # noqa: E402

GET_LENGTH, GEOMETRY, PARTITION, PARTITION_EX = 0x7405C, 0x70000, 0x74004, 0x70048
READ_CAPACITY, SET_ATTRIBUTES, IS_WRITABLE = 0x2D5140, 0x2D9404, 0x70024
LOCK = 0x90018
TRIM_SUPPORTED = 1


def disk_test(function):
    """The test gets a fresh disk of 16 MiB in the one session, which ends without a trace."""
    def run():
        with td.Client(LAB) as client:
            disk = client.create(0, size_bytes=16 * td.MIB, can_trim=1)
            try:
                function(disk)
            finally:
                disk.behave()
                disk.clear()
                disk.delete()
    run.__doc__ = function.__doc__
    return tap.test(run)


@disk_test
def contents_survive(disk):
    """64 requests in flight from 8 threads, each way of completing, every byte right"""
    for completion in td.COMPLETIONS:
        disk.behave(completion=completion)
        disk.fill()
        disk.random(4000, threads=8, depth=8, min_bytes=512, flush_every=50)
        disk.check()
        # Counted down behind the completion that the load has seen.
        td.wait_until(lambda: disk.stats()["in_flight"] == 0)


@disk_test
def order_may_change(disk):
    """delayed and reordered requests are right, and many are in the disk at once"""
    disk.fill()
    disk.stats()
    disk.behave(completion=td.MIXED, delay_min_us=50, delay_max_us=3000, reorder_window=16)
    most = 0
    while most < 16:
        disk.random(1500, threads=8, depth=8, min_bytes=512)
        disk.check()
        most = disk.stats()["in_flight_most"]


@disk_test
def a_wrong_byte_is_seen(disk):
    """one bit changed under a load's feet is a mismatch in its sector"""
    disk.fill()
    at = 5 * td.MIB + 1536
    sector = bytearray(disk.peek(at))
    sector[77] ^= 4
    disk.poke(at, bytes(sector))
    result = disk.load(td.CHECK)
    assert result["mismatches"] == 1 and result["first_mismatch_bytes"] == at, result


@disk_test
def user_mode_load(disk):
    """a program's overlapped requests, 32 in flight, every byte right"""
    disk.user_load(td.FILL, depth=32)
    result = disk.user_load(td.RANDOM, depth=32, min_bytes=512, requests=2000)
    assert result["requests"] == 2000
    disk.user_load(td.CHECK, depth=32)


@disk_test
def one_request_fails(disk):
    """the rule for the third write of a range applies to it alone"""
    disk.fault(ops=td.WRITE, first_byte=td.MIB, end_byte=2 * td.MIB, skip=2, count=1,
               status=td.IO_DEVICE_ERROR)
    statuses = [disk.write(offset, bytes(512))["status"]
                for offset in (0, td.MIB, 2 * td.MIB, td.MIB, td.MIB + 512, td.MIB)]
    assert statuses == [0, 0, 0, 0, td.IO_DEVICE_ERROR, 0], statuses
    assert disk.read(td.MIB)["status"] == 0
    assert disk.stats()["faults"] == 1


@disk_test
def short_and_torn(disk):
    """a short success says how much; a torn write leaves its first part"""
    disk.fault(ops=td.READ, bytes_moved=1024, count=1)
    answer = disk.read(0, 4096)
    assert (answer["status"], answer["information"]) == (0, 1024), answer
    disk.fault(ops=td.WRITE, bytes_moved=512, count=1, status=td.CRC_ERROR)
    answer = disk.write(8192, b"\x55" * 1024)
    assert (answer["status"], answer["information"]) == (td.CRC_ERROR, 0), answer
    assert disk.peek(8192, 1024) == b"\x55" * 512 + bytes(512)


@disk_test
def stalled_until_cleared(disk):
    """a stalled request waits, and goes on undisturbed when the rules are cleared"""
    disk.fault(ops=td.FLUSH, is_stall=1, count=1)
    flush = td.Background(LAB, lambda client: disk.on(client).send(td.MJ_FLUSH))
    td.wait_until(lambda: disk.stats()["in_flight"] == 1)
    assert disk.write(0, bytes(512))["status"] == 0 and flush.is_running()
    disk.clear()
    assert flush.result()["status"] == 0


@disk_test
def errors_do_not_confuse_a_load(disk):
    """where writes fail under a load, it goes on and every known byte is right"""
    disk.behave(completion=td.MIXED)
    disk.fill()
    disk.fault(ops=td.WRITE | td.READ, skip=50, count=40, status=td.IO_DEVICE_ERROR,
               bytes_moved=512)
    result = disk.load(td.RANDOM, threads=4, depth=8, min_bytes=512, requests=2000,
                       read_percent=50)
    assert result["errors"] == 40 and result["mismatches"] == 0, result
    assert result["first_error_status"] == td.IO_DEVICE_ERROR
    disk.check()


def assert_sizes(disk, sector_bytes, size, start):
    length = disk.ioctl(GET_LENGTH, out=8)
    assert length == (0, struct.pack("<Q", size)), length
    status, geometry = disk.ioctl(GEOMETRY, out=24)
    assert status == 0 and struct.unpack_from("<I", geometry, 20) == (sector_bytes,)
    status, capacity = disk.ioctl(READ_CAPACITY, out=32)
    assert struct.unpack("<III4xQQ", capacity) == (32, 32, sector_bytes, size // sector_bytes, size)
    status, partition = disk.ioctl(PARTITION_EX, out=144)
    style, begin, extent = struct.unpack_from("<I4xQQ", partition)
    assert (begin, extent) == (start, size), partition
    return style, partition


@disk_test
def sizes_of_mbr(disk):
    """every size query agrees, and a buffer that is too short is refused"""
    style, _ = assert_sizes(disk, 512, 16 * td.MIB, 0)
    assert style == 0
    assert disk.ioctl(PARTITION, out=32)[0] == 0
    for code, size in ((GET_LENGTH, 8), (GEOMETRY, 24), (READ_CAPACITY, 32), (PARTITION_EX, 144)):
        assert disk.ioctl(code, out=size - 1) == (td.TOO_SMALL, b"")


@tap.test
def sizes_of_gpt():
    """a GPT disk with 4096-byte sectors tells its partition's id, and refuses half sectors"""
    identity = bytes(range(16))
    with td.Client(LAB) as client:
        disk = client.create(12, size_bytes=8 * td.MIB, sector_bytes=4096, is_gpt=1,
                             partition_start_bytes=td.MIB, partition_id=identity.hex())
        style, partition = assert_sizes(disk, 4096, 8 * td.MIB, td.MIB)
        assert style == 1 and partition[48:64] == identity, partition
        assert disk.ioctl(PARTITION, out=32)[0] == td.INVALID_REQUEST
        assert disk.read(512, 4096)["status"] == td.INVALID_PARAMETER
        disk.fill()
        disk.random(500)
        disk.delete()


@disk_test
def trim_clears(disk):
    """a trim within the disk reads back as zeroes; one beyond it is refused"""
    disk.fill()
    def trim(start, length):
        head = struct.pack("<IIIIIII", 28, TRIM_SUPPORTED, 0, 0, 0, 32, 16)
        return disk.ioctl(SET_ATTRIBUTES, head + bytes(4) + struct.pack("<QQ", start, length))[0]
    assert trim(td.MIB, 8192) == 0 and disk.peek(td.MIB, 4096) == bytes(4096)
    assert disk.peek(td.MIB - 512) != bytes(512) != disk.peek(td.MIB + 8192)
    assert trim(16 * td.MIB - 512, 1024) == td.INVALID_PARAMETER
    stats = disk.stats()
    assert (stats["trims"], stats["trimmed_bytes"]) == (2, 8192), stats


@disk_test
def beyond_the_end(disk):
    """requests beyond the end and of half sectors are refused, by IRP and by program"""
    end = 16 * td.MIB
    for offset, length in ((end, 512), (end - 512, 1024), (512, 100), (100, 512), (1 << 63, 512)):
        assert disk.read(offset, length)["status"] == td.INVALID_PARAMETER, (offset, length)
    try:
        disk.client.call("read", path=disk.path, offset=end, length=512)
        raise AssertionError("it was read")
    except td.Refused as refused:
        assert refused.status == td.INVALID_PARAMETER


@disk_test
def images_travel(disk):
    """an image put into a disk is shown, and comes out as it was, with what was written since"""
    data = bytearray(os.urandom(3 * td.MIB) + bytes(5 * td.MIB) + os.urandom(8 * td.MIB))
    Path("in").write_bytes(data)
    disk.put("in")
    assert disk.copy("shown") == len(data)
    assert Path("shown").read_bytes() == data
    assert disk.write(4 * td.MIB, b"\x11" * 512)["status"] == 0
    data[4 * td.MIB:4 * td.MIB + 512] = b"\x11" * 512
    disk.get("out")
    assert Path("out").read_bytes() == data


@disk_test
def what_wine_never_sends(disk):
    """PnP, power, shutdown and cleanup reach the disk, pended too; a start fails on request"""
    for pend in (0, 1):
        disk.behave(pend_others=pend)
        assert disk.start() == 0
        for minor in (td.MN_QUERY_REMOVE, td.MN_CANCEL_REMOVE, td.MN_QUERY_STOP, td.MN_USAGE):
            assert disk.pnp(minor) == 0, minor
        assert disk.pnp(td.MN_QUERY_RELATIONS) == td.NOT_SUPPORTED
        assert disk.send(td.MJ_POWER, td.MN_SET_POWER, 0, 1, 1)["status"] == 0
        for major in (td.MJ_SHUTDOWN, td.MJ_CREATE, td.MJ_CLEANUP, td.MJ_CLOSE):
            assert disk.send(major, flags=td.WITH_FILE)["status"] == 0
        stats = disk.stats()
        assert (stats["pnp"], stats["powers"], stats["shutdowns"]) == (6, 1, 1), stats
        assert (stats["creates"], stats["cleanups"], stats["closes"]) == (1, 1, 1), stats
    disk.behave(start_status=td.INSUFFICIENT_RESOURCES)
    assert disk.start() == td.INSUFFICIENT_RESOURCES


@disk_test
def gone(disk):
    """after a surprise removal every request fails, those under way too"""
    disk.fault(ops=td.READ, is_stall=1, count=1)
    reading = td.Background(LAB, lambda client: disk.on(client).read(0))
    td.wait_until(lambda: disk.stats()["in_flight"] == 1)
    assert disk.remove(surprise=True) == 0
    disk.clear()
    assert reading.result()["status"] == td.DOES_NOT_EXIST
    assert disk.write(0, bytes(512))["status"] == td.DOES_NOT_EXIST
    assert disk.ioctl(GET_LENGTH, out=8)[0] == td.DOES_NOT_EXIST


@disk_test
def locks(disk):
    """a lock is granted or refused as told"""
    assert disk.ioctl(LOCK, major=td.MJ_FILE_SYSTEM_CONTROL)[0] == 0
    disk.behave(lock_status=td.ACCESS_DENIED)
    assert disk.ioctl(LOCK, major=td.MJ_FILE_SYSTEM_CONTROL)[0] == td.ACCESS_DENIED
    assert disk.stats()["locks"] == 2


@tap.test
def load_cycles():
    """loaded, a disk made, used and left behind, and unloaded, 20 times"""
    LAB.unload("vcktestdisk")
    for _ in range(20):
        LAB.load("vcktestdisk")
        with td.Client(LAB) as client:
            client.create(3, size_bytes=td.MIB).fill()
        LAB.unload("vcktestdisk")
    LAB.load("vcktestdisk")


LAB = td.make_lab()
td.main(LAB, "vcktestdisk")
