#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Volumes of vck.sys on test disks under Wine: sweeps under load, with every byte checked."""
import contextlib
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "tests/nt")]
import tap  # noqa: E402
import testdisk as td  # noqa: E402
import volume as v  # noqa: E402
from volume import LAB, SIZE, load_meanwhile, new_disk  # noqa: E402


# ---- sweeps ----

@tap.test
def sweeps_under_load():
    """encrypt, pause, resume, decrypt, detach, re-attach: right to the byte under a kernel load"""
    with new_disk() as disk:
        volume = disk.volume
        disk.fill()
        for completion in (td.INLINE, td.THREAD, td.MIXED):
            disk.behave(completion=completion)
            load = load_meanwhile(disk, requests=12000, seed=completion + 1)
            volume.half_encrypted()
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
def rekeys_under_load():
    """the data key is exchanged under a kernel load, paused, detached and attached in the middle"""
    with new_disk() as disk:
        volume = disk.volume
        disk.fill()
        assert volume.refusal("REKEY") == v.NOT_ALL_CIPHERTEXT
        volume.encrypt()
        volume.wait_encrypted()
        for completion in (td.INLINE, td.MIXED):
            disk.behave(completion=completion)
            load = load_meanwhile(disk, requests=6000, seed=completion + 1)
            paused = volume.half_rekeyed()
            load.result()
            disk.check()
            volume.detach()
            volume.attach()
            again = volume.status()
            assert all(again[name] == paused[name] for name in
                       ("state", "rekeying", "rekeyed_sector")), (paused, again)
            disk.check()
            load = load_meanwhile(disk, requests=6000, seed=completion + 7)
            volume.rate(50)
            volume.resume()
            volume.wait_rekeyed_beyond(0.6)
            load.result()
            volume.detach()
            volume.attach()  # goes on by itself
            volume.wait_rekeyed()
            disk.check()


def on_disk(disk, size):
    disk.get("raw")
    return Path("raw").read_bytes()[:size]


@tap.test
def rekeys_and_back():
    """a new data key is on every sector, and given up half way the old one is"""
    with new_disk(size=8 * td.MIB) as disk:
        volume = disk.volume
        disk.fill()
        volume.encrypt()
        volume.wait_encrypted()
        data_bytes = volume.status()["total_sectors"] * 512
        before = on_disk(disk, data_bytes)
        volume.rekey()
        volume.wait_rekeyed()
        disk.check()
        rekeyed = on_disk(disk, data_bytes)
        assert all(before[i:i + 512] != rekeyed[i:i + 512] for i in range(0, data_bytes, 512))

        def begin():
            nonlocal rekeyed
            rekeyed = on_disk(disk, data_bytes)
            volume.rekey()

        volume.half_rekeyed(rate=8, begin=begin)
        load = load_meanwhile(disk, requests=2000, read_percent=100)
        volume.rekey_back()
        volume.rate(0)
        volume.wait_rekeyed()
        load.result()
        disk.check()
        volume.detach()
        assert on_disk(disk, data_bytes) == rekeyed
    v.host_vck("check", "--vmk-file", "key", "raw")


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
def comes_and_goes_under_load():
    """detached and attached under a load every byte is right, and nothing but writes refused"""
    with new_disk(size=16 * td.MIB) as disk:
        disk.fill()
        disk.behave(completion=td.MIXED)
        rounds = 0
        while rounds < 3:
            load = td.Background(LAB, lambda client: disk.on(client).load(
                td.RANDOM, threads=4, depth=8, min_bytes=512, requests=20000, read_percent=50))
            while load.is_running():
                disk.volume.detach()
                disk.volume.attach()
                rounds += 1
            result = load.result()
            assert result["mismatches"] == 0, result
            assert result["first_error_status"] in (0, td.WRITE_PROTECTED), result
        disk.check()


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
    disk.volume.half_encrypted(0.4)
    disk.volume.rate(0)
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
        assert not any(cipher[at:at + 512] == plain[at:at + 512]
                       for at in range(0, len(plain), 4096))
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
        daemon.half_encrypted("other")
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


# ---- interrupted ----

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


def sweep_over_fault(disk, name):
    """One sweep in which something fails: it is refused, pauses with an error, or ends, and what
    the volume shows stays right. Then it ends without the fault; where a record could not be
    written, after the volume was attached anew. Whether it paused."""
    volume = disk.volume
    refusal = volume.refusal(name)
    td.wait_until(lambda: volume.status()["state"] in (v.IDLE, v.PAUSED))
    status = volume.status()
    disk.clear()
    assert refusal == v.OK or status.get("error"), status
    assert status["state"] == v.IDLE or status.get("error"), status
    disk.check()
    if volume.refusal(name) != v.OK:
        assert status["error"], status
        volume.refusal("DETACH")
        assert not volume.status()["is_attached"]
        volume.attach()
        disk.check()
        volume.request(name)
    if name == "START_ENCRYPT":
        volume.wait_encrypted()
    else:
        volume.wait_decrypted()
    disk.check()
    return refusal == v.OK and status["state"] == v.PAUSED


@tap.test
def sweep_meets_every_error():
    """any read, write or flush that fails or moves a part leaves every byte right"""
    paused = 0
    with new_disk(size=6 * td.MIB) as disk:
        disk.fill()
        for ops, fault in ((td.READ, {"status": td.CRC_ERROR}), (td.READ, {"bytes_moved": 512}),
                           (td.WRITE, {"status": td.IO_DEVICE_ERROR}),
                           (td.WRITE, {"status": td.IO_DEVICE_ERROR, "bytes_moved": 512}),
                           (td.WRITE, {"bytes_moved": 1024}),
                           (td.FLUSH, {"status": td.IO_DEVICE_ERROR})):
            for skip in (0, 1, 2, 5, 9):
                for name in ("START_ENCRYPT", "START_DECRYPT"):
                    disk.fault(ops=ops, skip=skip, count=1, **fault)
                    paused += sweep_over_fault(disk, name)
    assert paused >= 20, paused


@tap.test
def taken_by_surprise():
    """the device vanishes under load and sweep: every request ends, and the stack comes down"""
    with new_disk() as disk:
        disk.fill()
        failed = 0
        while not failed:  # it came before the load was over
            disk.behave(completion=td.MIXED)
            disk.volume.rate(20)
            disk.volume.encrypt()
            load = td.Background(LAB, lambda client: disk.on(client).load(
                td.RANDOM, threads=4, depth=8, min_bytes=512, requests=20000, read_percent=50))
            disk.volume.wait_beyond(0.1)
            assert disk.remove(surprise=True) == 0
            result = load.result()
            assert result["mismatches"] == 0, result
            failed = result["errors"]
            assert disk.stack() == ["vcktestdisk"]
            disk.behave()
            disk.add()
            assert disk.start() == 0
            disk.volume.attach()
            disk.volume.wait_encrypted()
            disk.load(td.CHECK)


v.main()
