# SPDX-License-Identifier: Apache-2.0
"""The loader's image: what firmware wants of a program, and what must not be in one."""
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import tap  # noqa: E402

IMAGE = Path(os.environ["VCKBOOT"]).read_bytes()
SIZE_MAX = 400 * 1024
EFI_APPLICATION = 10
DYNAMIC_BASE, NX_COMPATIBLE = 0x40, 0x100
EXECUTE, WRITE = 0x20000000, 0x80000000
PE = struct.unpack_from("<I", IMAGE, 0x3c)[0]
OPTIONAL = PE + 24


def directory(index):
    return struct.unpack_from("<II", IMAGE, OPTIONAL + 112 + 8 * index)


def sections():
    count, = struct.unpack_from("<H", IMAGE, PE + 6)
    size, = struct.unpack_from("<H", IMAGE, PE + 20)
    for i in range(count):
        header = OPTIONAL + size + 40 * i
        flags, = struct.unpack_from("<I", IMAGE, header + 36)
        length, address, _, offset = struct.unpack_from("<IIII", IMAGE, header + 8)
        yield IMAGE[header:header + 8].rstrip(b"\0").decode(), flags, address, length, offset


def at(address, length):
    """What lies at this address of the loaded image."""
    for _, _, first, size, offset in sections():
        if first <= address < first + size:
            return IMAGE[offset + address - first:offset + address - first + length]
    raise AssertionError(f"no section at {address:#x}")


@tap.test
def kind():
    """an application for x86-64 firmware that can be loaded anywhere"""
    machine, = struct.unpack_from("<H", IMAGE, PE + 4)
    magic, = struct.unpack_from("<H", IMAGE, OPTIONAL)
    subsystem, flags = struct.unpack_from("<HH", IMAGE, OPTIONAL + 68)
    assert (machine, magic, subsystem) == (0x8664, 0x20b, EFI_APPLICATION)
    assert flags & DYNAMIC_BASE and flags & NX_COMPATIBLE, hex(flags)
    assert directory(5)[1] > 0, "no relocations"


@tap.test
def imports():
    """imports nothing, and brings no C runtime"""
    address, _ = directory(1)
    # A list of imports ends with zeroes.
    assert not address or not any(at(address, 20)), "it imports something"
    names = [name for name, *_ in sections()]
    assert not {".CRT", ".tls"} & set(names), names


@tap.test
def protection():
    """no section is both written and executed"""
    both = [name for name, flags, *_ in sections() if flags & EXECUTE and flags & WRITE]
    assert not both, both
    assert any(flags & EXECUTE for _, flags, *_ in sections())


@tap.test
def size():
    """small enough for any system partition"""
    assert len(IMAGE) < SIZE_MAX, len(IMAGE)


tap.main()
