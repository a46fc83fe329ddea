#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Volumes of vck.sys in the stacks of test disks under Wine: what is shown, what passes."""
import os
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "tests/nt")]
import tap  # noqa: E402
import testdisk as td  # noqa: E402
import volume as v  # noqa: E402
from volume import LAB, SIZE, new_disk  # noqa: E402

GET_LENGTH, GEOMETRY, GEOMETRY_EX, PARTITION, PARTITION_EX = \
    0x7405C, 0x70000, 0x700A0, 0x74004, 0x70048
READ_CAPACITY, SET_ATTRIBUTES, EXTENTS = 0x2D5140, 0x2D9404, 0x560000
SL_WRITE_THROUGH, SL_OVERRIDE_VERIFY = 4, 2
IRP_PAGING_IO = 2
USAGE_PAGING, USAGE_HIBERNATION, USAGE_DUMP = 1, 2, 3


# ---- what is shown ----

def assert_shows(disk, size, start, sector):
    assert disk.ioctl(GET_LENGTH, out=8) == (0, struct.pack("<Q", size))
    status, capacity = disk.ioctl(READ_CAPACITY, out=32)
    assert struct.unpack("<III4xQQ", capacity)[2:] == (sector, size // sector, size), capacity
    status, partition = disk.ioctl(PARTITION_EX, out=144)
    assert struct.unpack_from("<QQ", partition, 8) == (start, size), partition
    status, partition = disk.ioctl(PARTITION, out=32)
    assert struct.unpack_from("<QQ", partition) == (start, size), (status, partition)
    status, geometry = disk.ioctl(GEOMETRY_EX, out=32)
    assert struct.unpack_from("<Q", geometry, 24) == (size,), (status, geometry)


@tap.test
def sizes_shown():
    """every size query tells the data region; short buffers are as short as before"""
    start = 3 * td.MIB
    with new_disk(attach=False, footers=False, partition_start_bytes=start) as disk:
        assert_shows(disk, SIZE, start, 512)
        disk.volume.attach()
        data = SIZE - 2 * v.METADATA_BYTES
        offset = disk.volume.status() and disk.volume.control.request("LIST_VOLUMES")
        assert offset["volumes"][0]["total_sectors"] == data // 512
        assert disk.ioctl(GET_LENGTH, out=8) == (0, struct.pack("<Q", data))
        status, capacity = disk.ioctl(READ_CAPACITY, out=32)
        assert status == 0 and struct.unpack("<III4xQQ", capacity)[3:] == (data // 512, data)
        for code, size in ((GET_LENGTH, 8), (GEOMETRY, 24), (READ_CAPACITY, 32), (PARTITION, 32),
                           (PARTITION_EX, 144), (GEOMETRY_EX, 32)):
            for short in {0, 1, size // 2, size - 1}:
                status, answer = disk.ioctl(code, out=short)
                assert status in (td.TOO_SMALL, td.INVALID_PARAMETER, 0x80000005), (code, short)
                assert len(answer) <= short


@tap.test
def metadata_is_out_of_reach():
    """behind headers the data begins at 0, and no request reaches a metadata region"""
    with new_disk(footers=False) as disk:
        data = SIZE - 2 * v.METADATA_BYTES
        regions = disk.peek(0, 4096), disk.peek(v.METADATA_BYTES, 4096)
        disk.fill()
        assert disk.peek(0, 4096) == regions[0] and disk.peek(v.METADATA_BYTES, 4096) == regions[1]
        assert disk.peek(2 * v.METADATA_BYTES, 8) == struct.pack("<II", 0, 1)
        for offset, length in ((data, 512), (data - 512, 1024), (1 << 62, 512),
                               ((1 << 63) - 512, 512),
                               (1 << 63, 512), ((1 << 64) - 512, 512)):
            for answer in (disk.read(offset, length), disk.write(offset, bytes(length))):
                assert answer["status"] >= 0xC0000000 and answer["information"] == 0, answer
        assert disk.read(0, 100)["status"] == td.INVALID_PARAMETER
        assert disk.read(100, 512)["status"] == td.INVALID_PARAMETER
        assert disk.read(0, 0)["status"] == 0


@tap.test
def trim_is_clipped():
    """a trim reaches the disk within the data region, shifted"""
    with new_disk(footers=False) as disk:
        disk.fill()
        disk.stats()
        head = struct.pack("<IIIIIII", 28, 1, 0, 0, 0, 32, 16) + bytes(4)
        data = SIZE - 2 * v.METADATA_BYTES
        assert disk.ioctl(SET_ATTRIBUTES, head + struct.pack("<QQ", 65536, 8192))[0] == 0
        stats = disk.stats()
        assert stats["trimmed_bytes"] == 8192, stats
        assert disk.peek(2 * v.METADATA_BYTES + 65536, 4096) == bytes(4096)
        disk.ioctl(SET_ATTRIBUTES, head + struct.pack("<QQ", data - 4096, 1 << 30))
        assert disk.stats()["trimmed_bytes"] in (0, 4096)


# ---- what passes ----

@tap.test
def flags_are_kept():
    """write-through, verify-override and paging of a request are on what reaches the disk"""
    with new_disk() as disk:
        disk.volume.encrypt()
        disk.volume.wait_encrypted()
        disk.stats()
        flags = SL_WRITE_THROUGH | SL_OVERRIDE_VERIFY
        assert disk.write(0, bytes(4096), stack_flags=flags)["status"] == 0
        stats = disk.stats()
        assert stats["write_through"] >= 1 and stats["verify_override"] >= 1, stats
        assert disk.read(0, 4096, irp_flags=IRP_PAGING_IO)["status"] == 0
        assert disk.stats()["paging"] == 1


@tap.test
def cancelled():
    """a request is cancelled while it waits for its turn; its neighbours are not"""
    with new_disk() as disk:
        disk.fill()
        disk.stats()
        disk.fault(ops=td.READ, is_stall=1)
        load = td.Background(LAB, lambda client: disk.on(client).load(
            td.CHECK, threads=16, depth=4, max_bytes=4096))
        td.wait_until(lambda: disk.stats()["in_flight"] >= 32)
        answer = disk.read(0, 4096, timeout_ms=200)
        assert answer["status"] == td.CANCELLED and answer["was_cancelled"], answer
        disk.clear()
        td.clean(load.result())


def send_the_rest(disk):
    """Majors that reach the disk, bound or not. The statuses are the disk's."""
    disk.stats()
    for major in (td.MJ_SHUTDOWN, td.MJ_CREATE, td.MJ_CLEANUP, td.MJ_CLOSE):
        assert disk.send(major, flags=td.WITH_FILE)["status"] == 0, major
    for minor in (td.MN_SET_POWER, td.MN_QUERY_POWER):
        assert disk.send(td.MJ_POWER, minor, 0, 1, 4)["status"] == 0
        assert disk.send(td.MJ_POWER, minor, 0, 1, 1)["status"] == 0
    assert disk.send(td.MJ_SYSTEM_CONTROL, 8)["status"] == td.NOT_SUPPORTED
    for minor in (td.MN_QUERY_STOP, td.MN_CANCEL_STOP):
        assert disk.pnp(minor) == 0
    assert disk.pnp(td.MN_QUERY_RELATIONS, 4) == td.NOT_SUPPORTED
    stats = disk.stats()
    for name, count in (("shutdowns", 1), ("creates", 1), ("cleanups", 1), ("closes", 1),
                        ("powers", 4), ("pnp", 3)):
        assert stats[name] == count, (name, stats)
    disk.fault(ops=td.OTHER, code=td.MJ_CREATE, status=td.ACCESS_DENIED, count=1)
    assert disk.send(td.MJ_CREATE, flags=td.WITH_FILE)["status"] == td.ACCESS_DENIED


@tap.test
def every_major_passes():
    """CREATE, CLEANUP, CLOSE, SHUTDOWN, POWER, WMI and PnP reach the disk, also pended"""
    with new_disk(attach=False) as disk:
        for pend in (0, 1):
            disk.behave(pend_others=pend)
            send_the_rest(disk)
        disk.volume.attach()
        for pend in (0, 1):
            disk.behave(pend_others=pend)
            send_the_rest(disk)
        disk.behave()
        disk.fill()


@tap.test
def usage_is_counted_and_refused():
    """paging files pass; hibernation and dumps are refused on a volume with ciphertext"""
    with new_disk() as disk:
        for kind in (USAGE_PAGING, USAGE_HIBERNATION, USAGE_DUMP):
            for in_path in (1, 0):
                assert disk.pnp(td.MN_USAGE, in_path, kind) == 0, kind
        disk.volume.encrypt()
        disk.volume.wait_encrypted()
        assert disk.pnp(td.MN_USAGE, 1, USAGE_PAGING) == 0
        assert disk.pnp(td.MN_USAGE, 0, USAGE_PAGING) == 0
        for kind in (USAGE_HIBERNATION, USAGE_DUMP):
            assert disk.pnp(td.MN_USAGE, 1, kind) >= 0xC0000000


# ---- coming and going ----

@tap.test
def removed_in_order():
    """QUERY_REMOVE and REMOVE of an attached volume close it; CANCEL_REMOVE leaves it"""
    with new_disk() as disk:
        disk.fill()
        assert disk.pnp(td.MN_QUERY_REMOVE) == 0
        assert disk.pnp(td.MN_CANCEL_REMOVE) == 0
        disk.check()
        assert disk.volume.status()["is_attached"]
        assert disk.pnp(td.MN_QUERY_REMOVE) == 0
        assert disk.remove() == 0
        assert not disk.volume.status()["is_attached"]
        disk.add()
        assert disk.start() == 0
        disk.volume.attach()
        disk.check()


@tap.test
def start_fails_and_pends():
    """a start that fails below fails above; one that is completed later is waited for"""
    with td.Client(LAB) as client:
        disk = client.create(0, size_bytes=SIZE)
        disk.add()
        disk.behave(start_status=td.INSUFFICIENT_RESOURCES)
        assert disk.start() == td.INSUFFICIENT_RESOURCES
        disk.behave(pend_others=1, completion=td.THREAD, delay_min_us=20000, delay_max_us=20000)
        assert disk.start() == 0
        assert disk.remove() == 0
        disk.delete()


# ---- by chance ----

@tap.test
def fuzzed_ioctls():
    """20000 device controls with every kind of buffer leave contents and driver alone"""
    with new_disk(size=16 * td.MIB) as disk:
        disk.fill()
        lines = [f"{code:#x} {os.urandom(size).hex()}" for code in
                 (GET_LENGTH, GEOMETRY, GEOMETRY_EX, PARTITION, PARTITION_EX, READ_CAPACITY,
                  EXTENTS, 0x2D1400, 0x70014, 0x4D0008, 0x560010, 0x56000C)
                 for size in (0, 1, 8, 24, 200)]
        Path("corpus").write_text("\n".join(lines))
        disk.client.call("fuzz", path=disk.path, count=20000, seed=8, seconds=300,
                         corpus=LAB.windows_path("corpus"))
        disk.check()


@tap.test
def storm_of_irps():
    """60000 IRPs of every kind and level, some cancelled, from four threads: each answered once,
    and the metadata regions stay as they were"""
    with new_disk(size=8 * td.MIB, footers=False) as disk:
        def metadata():
            return [disk.peek(at, 4096) for at in range(0, 2 * v.METADATA_BYTES, 4096)]
        before = metadata()
        td.storms(LAB, disk, 10, 5000)
        for completion in (td.THREAD, td.DPC, td.MIXED):
            disk.behave(completion=completion, pend_others=1)
            td.storms(LAB, disk, 20 + 10 * completion, 3000)
        disk.behave()
        assert metadata() == before
        disk.fill()
        disk.volume.detach()
        disk.behave(completion=td.MIXED, pend_others=1)
        td.storms(LAB, disk, 100, 1000)


@tap.test
def storm_over_a_sweep():
    """the same while the boundary moves back and forth; then every byte is right again"""
    with new_disk(size=8 * td.MIB) as disk:
        disk.volume.rate(20)
        disk.volume.encrypt()
        td.storms(LAB, disk, 200, 2500)
        disk.volume.wait_encrypted()
        disk.volume.decrypt()
        td.storms(LAB, disk, 300, 2500)
        disk.fill()
        disk.volume.wait_decrypted()
        disk.check()
        disk.volume.detach()
        disk.volume.attach()
        disk.check()


v.main()
