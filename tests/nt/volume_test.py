#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Volumes of vck.sys on test disks under Wine: sweeps under load, life, sizes, failures."""
import contextlib
import os
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "tests/nt")]
import tap  # noqa: E402
import testdisk as td  # noqa: E402
import volume as v  # noqa: E402

SIZE = 32 * td.MIB
CYCLES = 200
GET_LENGTH, GEOMETRY, GEOMETRY_EX, PARTITION, PARTITION_EX = \
    0x7405C, 0x70000, 0x700A0, 0x74004, 0x70048
READ_CAPACITY, SET_ATTRIBUTES, EXTENTS = 0x2D5140, 0x2D9404, 0x560000
SL_WRITE_THROUGH, SL_OVERRIDE_VERIFY = 4, 2
IRP_PAGING_IO = 2
USAGE_PAGING, USAGE_HIBERNATION, USAGE_DUMP = 1, 2, 3


@contextlib.contextmanager
def new_disk(number=0, size=SIZE, attach=True, footers=True, **shape):
    """A started disk with a filter; with attach, a volume on it. It goes as a device goes."""
    with td.Client(LAB) as client:
        disk = client.create(number, size_bytes=size, can_trim=1, **shape)
        disk.volume = v.Control(client).volume(disk)
        try:
            v.make_image("image", size, footers, shape.get("sector_bytes", 512))
            disk.put("image")
            disk.add()
            assert disk.stack() == ["vck", "vcktestdisk"], disk.stack()
            assert disk.start() == 0
            if attach:
                disk.volume.attach()
            yield disk
        finally:
            disk.behave()
            disk.clear()
            disk.remove()
            assert disk.stack() == ["vcktestdisk"]
            disk.delete()


def load_meanwhile(disk, **words):
    """A kernel load beside the test: four threads, 32 in flight."""
    return td.Background(LAB, lambda client: disk.on(client).random(
        **{"min_bytes": 512, "max_bytes": 65536, "flush_every": 200, **words}))


# ---- sweeps, with every byte checked ----

@tap.test
def sweeps_under_load():
    """encrypt, pause, resume, decrypt, detach, re-attach: right to the byte under a kernel load"""
    with new_disk() as disk:
        volume = disk.volume
        disk.fill()
        for completion in (td.INLINE, td.THREAD, td.MIXED):
            disk.behave(completion=completion)
            load = load_meanwhile(disk, requests=12000, seed=completion + 1)
            volume.rate(100)
            volume.encrypt()
            volume.wait_beyond(0.3)
            volume.pause()
            paused = volume.status()
            assert paused["state"] == v.PAUSED, paused
            assert 0 < paused["encrypted_sector"] < paused["total_sectors"], paused
            volume.resume()
            volume.wait_beyond(0.6)
            volume.decrypt()
            volume.wait_below(0.4)
            volume.rate(0)
            volume.encrypt()
            volume.wait_encrypted()
            load.result()
            disk.check()
            volume.detach()
            assert not volume.status()["is_attached"]
            volume.attach()
            disk.check()
            volume.decrypt()
            volume.wait_decrypted()
            disk.check()


@tap.test
def sweep_under_programs():
    """programs with 32 overlapped requests see the right bytes while the volume is encrypted"""
    with new_disk() as disk:
        disk.user_load(td.FILL, depth=32)
        disk.volume.rate(30)
        disk.volume.encrypt()
        disk.user_load(td.RANDOM, depth=32, min_bytes=512, requests=3000)
        disk.volume.rate(0)
        disk.volume.wait_encrypted()
        disk.user_load(td.CHECK, depth=32)


@tap.test
def slow_and_reordered():
    """on a slow disk that answers out of order nothing is mixed up"""
    with new_disk(size=16 * td.MIB) as disk:
        disk.fill()
        disk.behave(completion=td.MIXED, delay_min_us=20, delay_max_us=2000, reorder_window=8)
        load = load_meanwhile(disk, requests=3000)
        disk.volume.encrypt()
        disk.volume.wait_encrypted()
        load.result()
        disk.behave()
        disk.check()


@tap.test
def large_sectors():
    """the same on sectors of 4096 bytes, and a part of a sector is refused"""
    with new_disk(sector_bytes=4096) as disk:
        disk.fill()
        load = load_meanwhile(disk, requests=4000, min_bytes=4096)
        disk.volume.encrypt()
        disk.volume.wait_encrypted()
        load.result()
        disk.check()
        assert disk.read(0, 512)["status"] == td.INVALID_PARAMETER
        assert disk.read(512, 4096)["status"] == td.INVALID_PARAMETER


@tap.test
def several_volumes():
    """three volumes swept at once under load do not meet"""
    with contextlib.ExitStack() as stack:
        disks = [stack.enter_context(new_disk(number, 16 * td.MIB)) for number in range(3)]
        for disk in disks:
            disk.fill(seed=disk.number + 1)
        loads = [load_meanwhile(disk, requests=4000, threads=2) for disk in disks]
        for disk in disks:
            disk.volume.encrypt()
        for disk, load in zip(disks, loads):
            disk.volume.wait_encrypted()
            load.result()
            disk.check()
        listed = v.Control(disks[0].client).request("LIST_VOLUMES")["volumes"]
        assert {each["volume_path"] for each in listed} == {disk.device for disk in disks}


# ---- images travel between the systems ----

def half_way(disk, path):
    disk.volume.rate(100)
    disk.volume.encrypt()
    disk.volume.wait_beyond(0.4)
    disk.volume.pause()
    disk.volume.rate(0)
    assert disk.volume.status()["state"] == v.PAUSED
    disk.copy(path)


@tap.test
def half_converted_here_finished_there():
    """a volume encrypted half under Wine is decrypted here by vck to the same bytes, and back"""
    with new_disk() as disk:
        disk.fill()
        half_way(disk, "plain")
        disk.volume.detach()
        disk.get("image")
        plain = Path("plain").read_bytes()
        with v.Daemon() as daemon:
            daemon.vck("attach", "--vmk-file", "key", "image")
            daemon.vck("decrypt", "image")
            daemon.vck("detach", "image")
            assert Path("image").read_bytes()[:len(plain)] == plain
            daemon.vck("attach", "--vmk-file", "key", "image")
            daemon.vck("encrypt", "image")
            daemon.vck("detach", "image")
        cipher = Path("image").read_bytes()[:len(plain)]
        assert not any(cipher[at:at + 512] == plain[at:at + 512] for at in range(0, len(plain), 4096))
        disk.put("image")
        disk.volume.attach()
        disk.check()
        disk.volume.decrypt()
        disk.volume.wait_decrypted()
        disk.volume.detach()
        assert disk.peek(0, 4096) == plain[:4096]


@tap.test
def half_converted_there_finished_here():
    """a volume encrypted half by vck here is finished under Wine"""
    v.make_image("other", SIZE)
    plain = b"".join(struct.pack("<Q", n) * 64 for n in range(SIZE // 512))
    with open("other", "r+b") as file:
        file.write(plain[:SIZE - 2 * v.METADATA_BYTES])
    with v.Daemon() as daemon:
        daemon.vck("attach", "--vmk-file", "key", "other")
        daemon.vck("rate", "other", "30")
        daemon.vck("encrypt", "--no-wait", "other")
        daemon.wait_half("other")
        daemon.vck("pause", "other")
        daemon.vck("detach", "other")
    with new_disk(attach=False) as disk:
        disk.put("other")
        disk.volume.attach()
        status = disk.volume.status()
        assert status["state"] == v.PAUSED and status["encrypted_sector"] > 0, status
        shown = disk.copy("shown")
        assert Path("shown").read_bytes() == plain[:shown]
        disk.volume.resume()
        disk.volume.wait_encrypted()
        disk.copy("shown")
        assert Path("shown").read_bytes() == plain[:shown]


@tap.test
def stopped_in_the_middle():
    """the driver stopped in a sweep and loaded again goes on by itself where it was"""
    with new_disk() as disk:
        disk.fill()
        disk.volume.rate(30)
        disk.volume.encrypt()
        disk.volume.wait_beyond(0.2)
        LAB.unload("vck")
        assert disk.stack() == ["vcktestdisk"]
        LAB.load("vck")
        disk.add()
        disk.start()
        disk.volume.attach()
        status = disk.volume.wait_encrypted()
        assert status["encrypted_sector"] == status["total_sectors"]
        disk.check()


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
        for offset, length in ((data, 512), (data - 512, 1024), (1 << 62, 512), ((1 << 63) - 512, 512),
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


# ---- failures from below ----

@tap.test
def errors_pass_up():
    """an error below is the status above, once; the volume goes on"""
    with new_disk() as disk:
        disk.fill()
        for encrypted in (False, True):
            if encrypted:
                disk.volume.encrypt()
                disk.volume.wait_encrypted()
            for completion in (td.INLINE, td.INLINE_PENDING, td.THREAD, td.DPC):
                disk.behave(completion=completion)
                disk.fault(ops=td.READ, count=1, status=td.CRC_ERROR)
                answer = disk.read(4096, 4096)
                assert (answer["status"], answer["information"]) == (td.CRC_ERROR, 0), answer
                disk.fault(ops=td.WRITE, first_byte=8192, end_byte=12288, count=1,
                           status=td.IO_DEVICE_ERROR)
                assert disk.write(8192, bytes(4096))["status"] == td.IO_DEVICE_ERROR
                disk.fault(ops=td.READ, count=1, bytes_moved=512)
                assert disk.read(4096, 4096)["status"] >= 0xC0000000
                assert disk.read(4096, 4096)["status"] == 0
                disk.clear()


@tap.test
def sweep_meets_an_error():
    """a sweep that meets an error pauses, says so, and can be started again"""
    with new_disk() as disk:
        disk.fill()
        disk.fault(ops=td.WRITE, first_byte=10 * td.MIB, end_byte=11 * td.MIB,
                   status=td.IO_DEVICE_ERROR)
        disk.volume.encrypt()
        td.wait_until(lambda: disk.volume.status()["state"] == v.PAUSED)
        status = disk.volume.status()
        assert status["error"] and status["encrypted_sector"] * 512 <= 11 * td.MIB, status
        disk.check()
        disk.clear()
        disk.volume.encrypt()
        disk.volume.wait_encrypted()
        disk.check()


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


@tap.test
def taken_by_surprise():
    """the device vanishes under load and sweep: every request ends, and the stack comes down"""
    with new_disk() as disk:
        disk.fill()
        disk.behave(completion=td.MIXED)
        disk.volume.rate(20)
        disk.volume.encrypt()
        load = td.Background(LAB, lambda client: disk.on(client).load(
            td.RANDOM, threads=4, depth=8, min_bytes=512, requests=20000, read_percent=50))
        disk.volume.wait_beyond(0.1)
        assert disk.remove(surprise=True) == 0
        result = load.result()
        assert result["mismatches"] == 0 and result["errors"] > 0, result
        assert disk.stack() == ["vcktestdisk"]
        disk.behave()
        disk.add()
        assert disk.start() == 0
        disk.volume.attach()
        disk.volume.wait_encrypted()
        disk.load(td.CHECK)


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


# ---- what a system sends and Wine does not ----

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


# ---- who may what ----

@tap.test
def busy_volumes_stay():
    """DETACH of a volume that cannot be dismounted is refused, and the volume goes on"""
    with new_disk() as disk:
        disk.fill()
        disk.behave(dismount_status=td.ACCESS_DENIED)
        assert disk.volume.refusal("DETACH") == v.BUSY
        assert disk.volume.status()["is_attached"]
        disk.check()
        disk.behave()
        disk.volume.detach()


@tap.test
def ciphertext_is_not_overwritten():
    """once detached, a volume with ciphertext reads as it is, and refuses writes and trims"""
    with new_disk() as disk:
        disk.fill()
        disk.volume.encrypt()
        disk.volume.wait_encrypted()
        disk.volume.detach()
        assert disk.write(0, bytes(512))["status"] == td.WRITE_PROTECTED
        assert disk.read(0)["data"] == disk.peek(0)
        disk.volume.attach()
        disk.check()


@tap.test
def wrong_requests():
    """a wrong key, a second attach, a volume that is none: each has its status, nothing changes"""
    with new_disk(attach=False) as disk:
        volume = disk.volume
        assert volume.refusal("JVCK_PREPARE", vmk=bytes(32)) == v.WRONG_KEY
        assert volume.refusal("START_ENCRYPT") == v.NOT_FOUND
        volume.attach()
        assert volume.refusal("JVCK_PREPARE", vmk=v.KEY) == td.NOT_SUPPORTED
        volume.detach()
        nobody = v.Volume(volume.control, disk, "\\Device\\Nobody")
        assert nobody.refusal("JVCK_PREPARE", vmk=v.KEY) == v.NOT_FOUND
        for offset in range(SIZE - 2 * v.METADATA_BYTES, SIZE, 4096):
            disk.poke(offset, bytes(4096))
        assert volume.refusal("JVCK_PREPARE", vmk=v.KEY) not in (v.OK, td.IO_DEVICE_ERROR)
        assert not volume.status()["is_attached"]


@tap.test
def fuzzed_requests():
    """80000 requests that are almost right, about a volume that is there; it stays as it was"""
    with new_disk(size=16 * td.MIB) as disk:
        disk.fill()
        v.write_corpus("corpus", disk.device)
        words = {"corpus": LAB.windows_path("corpus"), "seconds": 300}
        disk.client.call("fuzz", path="\\\\.\\Vck", count=80000, seed=7, **words)
        print(f"# {disk.volume.status()}")


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


# ---- coming and going ----

@tap.test
def cycles():
    """200 times loaded, attached, used, detached and unloaded, with nothing left"""
    LAB.unload("vck")
    with td.Client(LAB) as client:
        disk = client.create(0, size_bytes=4 * td.MIB)
        disk.volume = v.Control(client).volume(disk)
        v.make_image("image", 4 * td.MIB)
        disk.put("image")
        for _ in range(CYCLES):
            LAB.load("vck")
            disk.add()
            assert disk.start() == 0
            disk.volume.attach()
            assert disk.write(0, b"\x33" * 4096)["status"] == 0
            disk.volume.detach()
            assert disk.remove() == 0
            LAB.unload("vck")
        disk.delete()
    LAB.load("vck")


LAB = td.make_lab()
td.main(LAB, "vckverify", "vcktestdisk", "vck")
