#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The verifier itself: its self-test driver commits each sin once, and each is found, and nothing
else; what is supplied works; what is injected arrives."""
import contextlib
import re
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402
from wine_lab import SUPPLY, DriverError, Lab  # noqa: E402

COMMIT, LIST = 0x222000, 0x222004
VENDOR = uuid.UUID("12345678-1234-5678-0102-030405060708")
MEMORY_AT = 0x10000000
UNSUCCESSFUL = 0xC0000001
REPORT = re.compile(r'(?:verify_report|platform_report\w*)\(\s*(?:\w+ \? )?"([\w-]+)"(?: : "([\w-]+)")?')


class Sin:
    def __init__(self, line):
        self.name, self.moment, kinds = line.split(" ")
        self.kinds = sorted(filter(None, kinds.split(",")))


@contextlib.contextmanager
def fresh():
    """A new session in the script's one prefix."""
    LAB.restart()
    LAB.take_findings()
    yield LAB
    LAB.check()


def load(lab, name="selftest"):
    lab.load(name, lab.find("selftest.sys"))


def sins_of(lab):
    load(lab)
    lines = lab.ioctl("selftest", LIST, b"", 1 << 16).decode().splitlines()
    lab.unload("selftest")
    return [Sin(line) for line in lines]


def commit(lab, sin, device="selftest"):
    try:
        lab.ioctl(device, COMMIT, sin.name.encode())
    except DriverError as error:
        wrong = [line for line in lab.debug_lines() if line.startswith("selftest: wrong")]
        raise AssertionError(f"{sin.name}: {error} {wrong}") from None


def expect(lab, sin, kinds):
    found = lab.take_findings()
    text = "\n".join(map(str, found))
    assert sorted(f.kind for f in found) == kinds, f"{sin.name}: expected {kinds}, found:\n{text}"
    for finding in found:
        if finding.kind == "irp-stack-copied":
            continue  # whose it is, nobody can say
        assert finding.driver == "selftest.sys", text
        named = [frame for frame in finding.stack + finding.origin if "selftest.sys+" in frame]
        assert named and all("sins.c:" in frame or "selftest.c:" in frame for frame in named), text


def inject(lab):
    lab.inject_variable(VENDOR, "Selftest", b"value")
    lab.inject_memory(MEMORY_AT, b"A" * 64)


@tap.test
def sins_now():
    """each sin that shows while it is committed is found, alone, with named frames"""
    with fresh() as lab:
        inject(lab)
        sins = [sin for sin in sins_of(lab) if sin.moment == "now"]
        load(lab)
        for sin in sins:
            # What is wrong with an item that is queued would be right with one that has begun.
            lab.delay_work("selftest", 2000 * any("queued" in kind for kind in sin.kinds))
            commit(lab, sin)
            expect(lab, sin, sin.kinds)
        assert len(sins) > 60, len(sins)
        lab.unload("selftest")
        lab.unload("vckverify")


@tap.test
def sins_at_unload():
    """each thing left behind is found when the driver is unloaded"""
    with fresh() as lab:
        inject(lab)
        sins = [sin for sin in sins_of(lab) if sin.moment == "unload"]
        for sin in sins:
            load(lab)
            if sin.name == "completion-left":
                load(lab, "selftest2")
                commit(lab, Sin("pend-from-now-on now "), "selftest2")
            commit(lab, sin)
            expect(lab, sin, [])
            lab.unload("selftest")
            expect(lab, sin, sin.kinds)
            if sin.name == "completion-left":
                lab.unload("selftest2")
                assert [f.kind for f in lab.take_findings()] == ["irp-never-completed"]
        assert len(sins) >= 12, len(sins)


@tap.test
def sins_at_end():
    """what still runs after unload is found, and does not crash the others"""
    with fresh() as lab:
        for sin in [sin for sin in sins_of(lab) if sin.moment == "end"]:
            load(lab)
            commit(lab, sin)
            lab.unload("selftest")
            expect(lab, sin, sin.kinds)
            # Its image is kept mapped, and would not be loaded anew.
            lab.restart()


@tap.test
def every_kind_has_its_sin():
    """every kind of finding in the verifier's sources is the self-test's aim once"""
    with fresh() as lab:
        aimed = {kind for sin in sins_of(lab) for kind in sin.kinds}
    known = set()
    for path in (ROOT / "tools/nt-verifier").glob("*.c"):
        for kinds in REPORT.findall(path.read_text()):
            known.update(filter(None, kinds))
    assert len(known) > 60 and known == aimed, known ^ aimed


@tap.test
def allocations_fail():
    """the n-th allocation fails, once, and allocations are counted"""
    with fresh() as lab:
        load(lab)
        sin = Sin("use-pool2 now ")
        assert lab.fail_allocation("selftest", 0) > 0
        commit(lab, sin)
        assert lab.fail_allocation("selftest", 1) == 1
        lab.ioctl("selftest", COMMIT, sin.name.encode())
        assert lab.fail_allocation("selftest", 2) == 1
        commit(lab, sin)
        lab.unload("selftest")


@tap.test
def memory_is_read_back():
    """what a driver writes to injected memory is read back"""
    with fresh() as lab:
        inject(lab)
        load(lab)
        commit(lab, Sin("use-io-space now "))
        assert lab.read_memory(MEMORY_AT, 3) == b"AZA"
        lab.unload("selftest")


@tap.test
def wrong_results_fail():
    """a check of what is supplied that goes wrong fails the request"""
    with fresh() as lab:
        load(lab)
        try:
            lab.ioctl("selftest", COMMIT, b"use-variables")
        except DriverError as error:
            assert error.status == UNSUCCESSFUL, error
        else:
            raise AssertionError("a variable that was not injected was found")
        lab.unload("selftest")


@tap.test
def supplies_without_checks():
    """without checks what Wine lacks is there, and nothing is found"""
    LAB.is_verifying = SUPPLY
    try:
        with fresh() as lab:
            load(lab)
            for name in ("use-dpcs", "use-timers", "use-mdls", "use-attaching", "leave-pool"):
                commit(lab, Sin(f"{name} now "))
            lab.unload("selftest")
            assert not lab.take_findings()
    finally:
        LAB.is_verifying = True


with Lab(verify=True) as LAB:
    tap.main()
