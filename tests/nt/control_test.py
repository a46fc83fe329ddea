#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The control device of vck.sys under Wine: loading, requests of every kind, who may send them."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402
from wine_lab import DriverError, Lab  # noqa: E402

LIST_VOLUMES = 0x0022602C
LAST_ERROR = 0x0022603C
PREPARE = 0x0022A01C
DETACH = 0x0022A018
DETACH_ALL = 0x0022A024
BENCH = 0x00226028
GET_STATUS = 0x00226000
CHANGING = (0x0022A004, 0x0022A008, 0x0022A010, 0x0022A014, DETACH, PREPARE, 0x0022A020, 0x0022A030,
            0x0022A034)
LOOKING = (GET_STATUS, 0x0022600C, LIST_VOLUMES, 0x00226038, LAST_ERROR)
NOBODY = b"\x81\xabvolume_path\xaa\\\\.\\Nobody"
EMPTY_LIST = b"\x81\xa7volumes\x90"
CYCLES = 100
FUZZED = 20000

INVALID_DATA = 0xC000000D
ACCESS_DENIED = 0xC0000022
TOO_SMALL = 0xC0000023
UNSUPPORTED = 0xC00000BB
NOT_FOUND = 0xC0000225


def session():
    """A lab whose verifier watches what is loaded, and fails the test for what it finds."""
    return Lab(verify=True)


def refused(lab, code, data=b"", out_bytes=4096):
    """The NTSTATUS a request is refused with."""
    try:
        answer = lab.ioctl("Vck", code, data, out_bytes)
    except DriverError as error:
        return error.status
    raise AssertionError(f"{code:08x} was answered: {answer.hex()}")


def probe(lab, *arguments, seconds=300):
    result = lab.run("control_probe.exe", *arguments, seconds=seconds, check=False)
    assert result.code == 0 and "not ok" not in result.out, str(result)
    return result.out


@tap.test
def load_cycles():
    """the driver is loaded, answers and is unloaded, a hundred times in one session"""
    with session() as lab:
        for _ in range(CYCLES):
            lab.load("vck")
            assert lab.ioctl("Vck", LIST_VOLUMES, b"", 4096) == EMPTY_LIST
            lab.unload("vck")


@tap.test
def exact_statuses():
    """each kind of wrong request has its status"""
    with session() as lab:
        lab.load("vck")
        assert refused(lab, LIST_VOLUMES, b"", len(EMPTY_LIST) - 1) == TOO_SMALL
        assert refused(lab, LIST_VOLUMES, b"\xc1") == INVALID_DATA
        assert refused(lab, DETACH, NOBODY) == NOT_FOUND
        assert refused(lab, DETACH, NOBODY[:-1]) == INVALID_DATA
        assert refused(lab, DETACH, b"\x81\xabvolume_path\xa1x") == INVALID_DATA
        assert refused(lab, PREPARE, NOBODY) == NOT_FOUND
        assert refused(lab, PREPARE, NOBODY, 16) == TOO_SMALL
        assert refused(lab, PREPARE, bytes(65537)) == INVALID_DATA
        assert refused(lab, 0x0022E7FC) == UNSUPPORTED
        assert refused(lab, BENCH, b"\x81\xaasize_bytes\xcf" + b"\xff" * 8) == INVALID_DATA
        status = lab.ioctl("Vck", GET_STATUS, NOBODY, 4096)
        assert b"\xabis_attached\xc2" in status, status
        lab.unload("vck")


@tap.test
def a_device_that_is_no_disk():
    """a device that cannot hold a volume gets no filter"""
    with session() as lab:
        lab.load("vck")
        own = b"\x81\xabvolume_path\xab\\Device\\Vck"
        assert refused(lab, PREPARE, own) == UNSUPPORTED
        lab.unload("vck")


@tap.test
def bad_buffers():
    """every request with every kind of bad buffer is answered within its buffer"""
    with session() as lab:
        lab.load("vck")
        rows = [line.split() for line in probe(lab, "basics").splitlines()]
        assert len(rows) == 18, rows
        for row in rows:
            # What is longer than a request may be is refused whatever it is.
            assert row[7:] == [f"{INVALID_DATA:08x}"] * 2, row
        lab.unload("vck")


@tap.test
def fuzzed_requests():
    """twenty thousand requests that are almost right leave the driver as it was"""
    with session() as lab:
        lab.load("vck")
        print(f"# {probe(lab, 'fuzz', 1, FUZZED).strip()}")
        assert lab.ioctl("Vck", LIST_VOLUMES, b"", 4096) == EMPTY_LIST
        lab.unload("vck")


@tap.test
def ordinary_callers():
    """who is no administrator may look and change nothing"""
    with session() as lab:
        lab.load("vck")
        assert probe(lab, "refuse", f"{DETACH_ALL:x}").split()[1] == f"{ACCESS_DENIED:08x}"
        for code in CHANGING:
            assert probe(lab, "refuse", f"{code:x}").split()[1] == f"{ACCESS_DENIED:08x}", code
        for code in LOOKING:
            assert probe(lab, "refuse", f"{code:x}").split()[1] != f"{ACCESS_DENIED:08x}", code
        assert probe(lab, "send", f"{DETACH_ALL:x}", "").split()[1] == f"{0:08x}"
        lab.unload("vck")


@tap.test
def bench_in_the_kernel():
    """BENCH_AES runs in the driver and says how fast it was"""
    with session() as lab:
        lab.load("vck")
        answer = lab.ioctl("Vck", BENCH, b"\x81\xaasize_bytes\xce\x04\x00\x00\x00", 4096)
        assert answer.startswith(b"\x83\xaasize_bytes\xce\x04\x00\x00\x00\xadencrypt_mib_s"), answer
        lab.unload("vck")


tap.main()
