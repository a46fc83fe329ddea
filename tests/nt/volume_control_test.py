#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The control device of vck.sys with volumes under Wine: who may what, coming and going."""
import contextlib
import struct
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "tests/nt")]
import tap  # noqa: E402
import testdisk as td  # noqa: E402
import volume as v  # noqa: E402
from volume import LAB, SIZE, new_disk  # noqa: E402

CYCLES = 200
GET_LENGTH = 0x7405C
FSCTL_DISMOUNT = 0x90020  # FSCTL_LOCK_VOLUME is answered by Wine itself
HIBERNATION = (r"SYSTEM\CurrentControlSet\Control\Power", "HibernateEnabled")
TO_CONTROL = {"target": td.TO_NAMED, "driver": "\\Driver\\vck", "device": "\\Device\\Vck"}


# ---- detaching ----

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
def patient_detach():
    """DETACH asks again while a volume is in use, and goes on once it is not"""
    with new_disk() as disk:
        disk.stats()
        disk.fault(ops=td.IOCTL, code=FSCTL_DISMOUNT, count=3, status=td.ACCESS_DENIED)
        disk.volume.detach()
        stats = disk.stats()
        assert stats["faults"] == 3 and stats["dismounts"] == 1, stats
        assert not disk.volume.status()["is_attached"]


@tap.test
def detach_all():
    """DETACH_ALL detaches data volumes, also busy ones and in a sweep, and leaves an OS volume"""
    with contextlib.ExitStack() as stack:
        disks = [stack.enter_context(new_disk(number, 8 * td.MIB, attach=False))
                 for number in range(3)]
        for disk in disks[:2]:
            disk.volume.attach()
        disks[2].volume.attach(is_os_volume=True)
        for disk in disks:
            disk.fill(seed=disk.number + 1)
            disk.behave(dismount_status=td.ACCESS_DENIED)
        disks[1].volume.rate(2)
        disks[1].volume.encrypt()
        disks[1].volume.wait_beyond(0.1)
        control = disks[0].volume.control
        control.request("DETACH_ALL_VOLUMES")
        listed = control.request("LIST_VOLUMES")["volumes"]
        assert [each["volume_path"] for each in listed] == [disks[2].device], listed
        disks[1].behave()
        disks[1].volume.attach()
        for disk in disks[1:]:
            disk.check()
        disks[1].volume.rate(0)
        disks[1].volume.wait_encrypted()
        disks[1].check()


@tap.test
def os_volume():
    """an OS volume is not encrypted while it can be hibernated, nor let go with ciphertext"""
    with new_disk(size=8 * td.MIB, attach=False) as disk:
        volume = disk.volume
        volume.attach(is_os_volume=True)
        assert disk.can_unload()
        disk.fill()
        LAB.set_registry(*HIBERNATION, 1)
        try:
            assert volume.refusal("START_ENCRYPT") == td.NOT_SUPPORTED
            assert volume.status()["encrypted_sector"] == 0
        finally:
            LAB.set_registry(*HIBERNATION, 0)
        volume.half_encrypted(0.2, rate=4,
                              pause=lambda: volume.control.request("PAUSE_OS_VOLUME"))
        assert volume.refusal("DETACH") == v.PERMISSION_DENIED
        volume.rate(0)
        volume.resume()
        volume.wait_encrypted()
        assert volume.refusal("DETACH") == v.PERMISSION_DENIED
        assert not disk.can_unload()
        disk.check()
        volume.decrypt()
        volume.wait_decrypted()
        disk.check()
        volume.detach()
        assert disk.can_unload()


@tap.test
def ciphertext_is_not_overwritten():
    """detached, or without its key, a volume with ciphertext reads as it is and refuses writes"""
    with new_disk() as disk:
        disk.fill()
        disk.volume.encrypt()
        disk.volume.wait_encrypted()
        disk.volume.detach()
        assert disk.write(0, bytes(512))["status"] == td.WRITE_PROTECTED
        assert disk.read(0)["data"] == disk.peek(0)
        disk.volume.request("JVCK_PREPARE")
        assert disk.write(0, bytes(512))["status"] == td.WRITE_PROTECTED
        disk.volume.request("JVCK_ATTACH", vmk=v.KEY)
        disk.check()
        assert disk.write(0, disk.read(0)["data"])["status"] == 0
        disk.check()


# ---- wrong requests ----

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


def assert_intact(disk):
    """Whatever the requests have come to, the volume can be attached and holds what it held."""
    # What was cancelled may go on for a moment.
    td.wait_until(lambda: disk.volume.refusal("DETACH") == v.NOT_FOUND)
    assert disk.volume.refusal("JVCK_PREPARE", vmk=v.KEY) in (v.OK, td.NOT_SUPPORTED)
    assert disk.volume.status()["is_attached"]
    disk.volume.rate(0)
    disk.check()


@tap.test
def fuzzed_by_programs():
    """5000 requests that are almost right, from a program, about a volume that is there"""
    with new_disk(size=8 * td.MIB) as disk:
        disk.fill()
        v.write_corpus("corpus", disk.device)
        disk.client.call("fuzz", path="\\\\.\\Vck", count=5000, seed=7, seconds=300,
                         corpus=LAB.windows_path("corpus"))
        assert_intact(disk)


@tap.test
def fuzzed_by_threads():
    """80000 more from four kernel threads, 128 in flight, some cancelled: each answered once"""
    with new_disk(size=8 * td.MIB) as disk:
        disk.fill()
        result = td.storms(LAB, disk, 1, 20000, **v.pack_messages(disk.device))
        print(f"# {result}")
        assert result["successes"] > 2000 and result["cancelled"] > 100, result
        assert_intact(disk)


# ---- into place without AddDevice ----

@tap.test
def attached_later():
    """a stack without filter is dismounted and gets one; what fails is undone"""
    with new_disk(add=False, attach=False) as disk:
        volume = disk.volume
        alone = ["vcktestdisk"]
        assert disk.stack() == alone
        disk.behave(dismount_status=td.ACCESS_DENIED)
        refusal = volume.refusal("JVCK_PREPARE", vmk=v.KEY)
        assert refusal == v.BUSY, f"{refusal:x}"
        disk.behave()
        assert volume.refusal("JVCK_PREPARE", vmk=bytes(32)) == v.WRONG_KEY
        disk.fault(ops=td.READ, count=1, status=td.IO_DEVICE_ERROR, skip=1)
        assert volume.refusal("JVCK_PREPARE", vmk=v.KEY) in (v.OK, td.IO_DEVICE_ERROR)
        disk.clear()
        if not volume.status()["is_attached"]:
            assert disk.stack() == alone
            disk.stats()
            volume.attach()
            stats = disk.stats()
            assert stats["dismounts"] >= 1, stats
        assert disk.stack() == ["vck", *alone]
        disk.fill()
        volume.encrypt()
        volume.wait_encrypted()
        volume.detach()
        # Still there, so that nobody formats ciphertext.
        assert disk.stack() == ["vck", *alone]
        assert disk.write(0, bytes(512))["status"] == td.WRITE_PROTECTED
        volume.attach()
        disk.check()


def length_shown(disk):
    return struct.unpack("<Q", disk.ioctl(GET_LENGTH, out=8)[1])[0]


@tap.test
def provisional():
    """PREPARE without a key hides the metadata until ATTACH; a block goes onto a blank disk"""
    with new_disk(attach=False) as disk:
        volume = disk.volume
        footers = SIZE - 2 * v.METADATA_BYTES
        block = disk.peek(SIZE - 512)
        answer = volume.request("JVCK_PREPARE")
        assert not answer["fully_attached"] and length_shown(disk) == footers, answer
        assert not volume.status()["is_attached"]
        assert volume.refusal("START_ENCRYPT") != v.OK
        assert volume.refusal("JVCK_ATTACH", vmk=bytes(32)) == v.WRONG_KEY
        volume.request("JVCK_ATTACH", vmk=v.KEY)
        assert volume.status()["is_attached"]
        disk.fill()
        volume.detach()
        assert length_shown(disk) == SIZE
        for at in range(footers, SIZE, 4096):
            disk.poke(at, bytes(4096))
        assert volume.refusal("JVCK_PREPARE", vmk=v.KEY) != v.OK
        answer = volume.request("JVCK_PREPARE", vmk=v.KEY, metadata_block=block)
        assert answer["fully_attached"], answer
        disk.check()
        volume.detach()
        volume.attach()
        disk.check()


def fail_each_allocation(request, undo, has_ended=lambda: True):
    """Has the request's n-th allocation fail, n = 1, 2, ... until it has none left: how many
    failed. request: NTSTATUS; undo: after each success. Where what was requested has not ended
    yet, it was counted too early, and is done again."""
    nth = 1
    while nth < 1000:
        LAB.fail_allocation("vck", nth)
        status = request()
        count = LAB.fail_allocation("vck", 0)
        if status == v.OK and not has_ended():
            undo()
            continue
        # Wine goes on with a handle whose CREATE failed; who cannot be looked at may nothing; what
        # cannot be locked is busy.
        assert status in (v.OK, td.INSUFFICIENT_RESOURCES, td.INVALID_HANDLE, td.ACCESS_DENIED,
                          v.BUSY), f"{nth}: {status:x}"
        if status == v.OK and count < nth:
            return nth - 1
        if status == v.OK:
            undo()
        nth += 1
    raise AssertionError("no end")


@tap.test
def prepare_without_memory():
    """each allocation of PREPARE and DETACH fails in turn: refused and undone, or done without"""
    with new_disk(size=4 * td.MIB, add=False, attach=False) as disk:
        def prepare():
            status = disk.volume.refusal("JVCK_PREPARE", vmk=v.KEY)
            assert disk.stack() == ["vck", "vcktestdisk"][status != v.OK:], disk.stack()
            return status

        def take_back():
            disk.volume.detach()
            assert disk.remove() == 0 and disk.start() == 0

        count = fail_each_allocation(prepare, take_back)
        assert count > 20, count
        disk.fill()
        count = fail_each_allocation(lambda: disk.volume.refusal("DETACH"), disk.volume.attach)
        assert count > 3, count
        disk.volume.attach()
        disk.check()


@tap.test
def encrypt_without_memory():
    """each allocation of START_ENCRYPT and its sweep fails in turn: refused, or it pauses"""
    with new_disk(size=4 * td.MIB) as disk:
        disk.fill()
        calm_s = 0.05

        def encrypt():
            disk.stats()
            status = disk.volume.refusal("START_ENCRYPT")
            # To ask the driver would be to allocate.
            td.wait_until(lambda: time.sleep(calm_s) or disk.stats()["writes"] == 0)
            return status

        def has_ended():
            nonlocal calm_s
            is_under_way = disk.volume.status()["state"] == v.ENCRYPTING
            calm_s *= 1 + is_under_way
            return not is_under_way

        def decrypt():
            disk.volume.decrypt()
            disk.volume.wait_decrypted()

        count = fail_each_allocation(encrypt, decrypt, has_ended)
        assert count > 5, count
        disk.volume.wait_encrypted()
        disk.check()


@tap.test
def requests_need_no_memory():
    """reads, writes and flushes of a bound volume allocate nothing: they may be paging"""
    with new_disk(size=8 * td.MIB) as disk:
        disk.volume.encrypt()
        disk.volume.wait_encrypted()
        disk.fill()
        LAB.fail_allocation("vck", 0)
        disk.random(3000, min_bytes=512, flush_every=50)
        disk.check()
        count = LAB.fail_allocation("vck", 0)
        assert count == 0, f"{count} allocations"


# ---- what a system sends the control device and Wine does not ----

def to_control(client, major, **words):
    return client.call("send", major=major, **TO_CONTROL, **words)


@tap.test
def majors_of_the_control_device():
    """CREATE to CLOSE by hand; a closed handle is not served; other majors are refused"""
    with td.Client(LAB) as client:
        lists = {"flags": td.SYSTEM_BUFFER | td.WITH_FILE, "a0": 4096,
                 "a2": v.CODES["LIST_VOLUMES"], "data_bytes": 4096}
        assert to_control(client, td.MJ_DEVICE_CONTROL, **lists)["status"] == td.INVALID_HANDLE
        assert to_control(client, td.MJ_CREATE)["status"] == td.INVALID_PARAMETER
        assert to_control(client, td.MJ_CREATE, flags=td.WITH_FILE)["status"] == 0
        assert to_control(client, td.MJ_DEVICE_CONTROL, **lists)["status"] == 0
        for method in (1, 2, 3):  # whose buffers are the caller's own: nobody may look at them
            wild = {**lists, "flags": td.WITH_FILE, "a1": 64, "a3": 0x7FFFDEAD0000,
                    "a2": lists["a2"] | method}
            assert to_control(client, td.MJ_DEVICE_CONTROL, **wild)["status"] >= 0xC0000000
        for major in (td.MJ_READ, td.MJ_WRITE, td.MJ_FLUSH, td.MJ_POWER, td.MJ_SYSTEM_CONTROL,
                      td.MJ_PNP, td.MJ_INTERNAL_CONTROL, td.MJ_FILE_SYSTEM_CONTROL):
            answer = to_control(client, major, flags=td.WITH_FILE)
            assert answer["status"] == td.INVALID_REQUEST and answer["completions"] == 1, answer
        assert to_control(client, td.MJ_CLEANUP, flags=td.WITH_FILE)["status"] == 0
        assert to_control(client, td.MJ_DEVICE_CONTROL, **lists)["status"] == td.CANCELLED
        assert to_control(client, td.MJ_CLOSE, flags=td.WITH_FILE)["status"] == 0
        assert to_control(client, td.MJ_DEVICE_CONTROL, **lists)["status"] == td.INVALID_HANDLE


@tap.test
def shutdown():
    """at shutdown sweeps come to rest where they can be resumed; the volume is served to the end"""
    with new_disk() as disk:
        disk.fill()
        disk.volume.rate(30)
        disk.volume.encrypt()
        disk.volume.wait_beyond(0.2)
        assert LAB.send_shutdown() == 1
        disk.check()
        disk.stats()
        disk.check()
        assert disk.stats()["writes"] == 0
        LAB.unload("vck")
        LAB.load("vck")
        disk.add()
        assert disk.start() == 0
        disk.volume.attach()
        disk.volume.wait_encrypted()
        disk.check()


# ---- again and again ----

@tap.test
def cycles():
    """200 times loaded, attached, used, detached or not, and unloaded, with nothing left"""
    LAB.unload("vck")
    with td.Client(LAB) as client:
        disk = client.create(0, size_bytes=4 * td.MIB)
        disk.volume = v.Control(client).volume(disk)
        v.make_image("image", 4 * td.MIB)
        disk.put("image")
        for number in range(CYCLES):
            LAB.load("vck")
            if number % 2:
                disk.add()
            assert disk.start() == 0
            disk.volume.attach()
            assert disk.write(0, b"\x33" * 4096)["status"] == 0
            if number % 3 == 0:
                disk.volume.encrypt()  # and nobody waits for it
            if number % 3 == 1:
                disk.volume.detach()
            if number % 5 == 0:
                assert disk.remove() == 0
            LAB.unload("vck")
            assert disk.stack() == ["vcktestdisk"]
        LAB.load("vck")
        disk.add()
        disk.volume.attach()
        assert disk.read(0, 4096)["data"] == b"\x33" * 4096
        assert disk.remove() == 0
        disk.delete()


v.main()
