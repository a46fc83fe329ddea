#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ndisprot.sys under Wine, on the verifier's NDIS: binds, requests, frames, and what happens to
adapters while frames flow. Adapter 0 does everything at once, adapter 1 later and in any order."""
import json
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402
from wine_lab import Lab  # noqa: E402

CYCLES = 100
FRAMES = 50000  # through each adapter
FLOOD_MS = 3000
SETTLE_S = 300
ADAPTER = r"\DEVICE\{5C0E7A10-2F4B-4D5A-9B1E-00000000000%d}"


def probe(lab, *words, seconds=900):
    result = lab.run("frame_probe.exe", *words, seconds=seconds, check=False)
    assert result.code == 0 and "not ok" not in result.out, str(result)
    return {name: int(value, 16 if name == "last" else 10)
            for name, value in re.findall(r"(\w+)=(\w+)", result.out)}, result.out


def settle(lab):
    """What is under way has ended: the counts."""
    end = time.monotonic() + SETTLE_S
    while True:
        counts = lab.ndis_counts(0)
        if not counts["due"] and not counts["events"]:
            return counts
        assert time.monotonic() < end, counts
        time.sleep(0.01)


def unload(lab):
    """Nothing of the driver is left, the verifier has nothing to say."""
    lab.unload("ndisprot")
    counts = settle(lab)
    for name in ("protocols", "bindings", "opens", "pools", "lists", "sends", "receives",
                 "requests"):
        assert counts[name] == 0, counts
    assert not lab.take_findings()


def load(lab, **early):
    for adapter in range(2):
        lab.ndis("RESET", adapter)
    if early:
        lab.ndis_configure(0, **early)
    lab.load("ndisprot")
    probe(lab, "list")


def lab_of():
    """A session of its own, in the script's one prefix."""
    LAB.restart()
    return LAB


@tap.test
def adapters_are_bound():
    """each adapter is bound, also before NdisRegisterProtocolDriver has returned"""
    lab = lab_of()
    for early in ({}, {"binds_early": 1}):
        load(lab, **early)
        _, lines = probe(lab, "list")
        assert lines.splitlines() == [ADAPTER % n for n in range(2)], lines
        assert settle(lab)["opens"] == 2
        unload(lab)


@tap.test
def wrong_requests_are_refused():
    """what must not be done is refused, and reads are given up when their program wants"""
    lab = lab_of()
    load(lab)
    for adapter in range(2):
        probe(lab, "errors", adapter)
        probe(lab, "cancel", adapter)
    unload(lab)


@tap.test
def the_command_works():
    """vck-prot lists, shows, sends and receives through the driver"""
    def command(*words):
        result = lab.run("vck-prot.exe", *words, check=False)
        return result.code, result.out

    lab = lab_of()
    assert command("list")[0] == 8
    load(lab)
    names = [entry["name"] for entry in json.loads(command("list", "--json")[1])]
    assert names == [ADAPTER % n for n in range(2)], names
    code, out = command("send", names[1], "--count", "200", "--size", "64-1500", "--json",
                        "--to", "02:56:43:4b:00:02")
    assert code == 0 and json.loads(out)["sent"] == 200, out
    shown = json.loads(command("show", names[1], "--json")[1])
    assert shown["state"] == "running" and shown["bits_per_second"] == 10 ** 9, shown
    assert shown["sent_frames"] >= 200 and shown["send_failures"] == 0, shown
    assert command("show", "nobody")[0] == 3
    receiver = lab.start_program("vck-prot.exe", "receive", names[0], "--count", "5", "--idle",
                                 "600", "--json")
    while not lab.ndis_counts(0)["packet_filter"]:
        assert receiver.poll() is None, receiver.communicate()
        time.sleep(0.05)
    frame = bytes.fromhex("02564 34b0001 0256434b0009 88b5".replace(" ", "")) + bytes(50)
    for _ in range(5):
        lab.ndis("RECEIVE", 0, frame)
    out, err = receiver.communicate(timeout=700)
    received = json.loads(out)
    assert receiver.returncode == 0 and received["others"] == 5, (out, err)
    unload(lab)


@tap.test
def frames_come_back():
    """of a hundred thousand frames of all sizes each comes back unchanged and in order"""
    lab = lab_of()
    load(lab)
    for adapter in range(2):
        counts, _ = probe(lab, "traffic", adapter, FRAMES)
        shown = json.loads(lab.run("vck-prot.exe", "show", ADAPTER % adapter, "--json").out)
        # The program never has more of them under way than wait for one that is late.
        assert counts["sent"] == counts["received"] == FRAMES, (counts, shown)
        assert shown["dropped_frames"] == shown["port_dropped_frames"] == 0, shown
        assert counts["disorder"] == 0, counts
        seen = lab.ndis_counts(adapter)
        assert seen["frames_sent"] == FRAMES and seen["frames_lost"] == 0, seen
    unload(lab)


def flood(lab, adapter, step, between_s, is_enough):
    """Frames flow while step(n) is done again and again, until enough has happened: how often, and
    the sums of what the programs saw, and of how many there were."""
    steps, seen = 0, Counter()
    while not is_enough(steps, seen):
        program = lab.start_program("frame_probe.exe", "flood", str(adapter), str(FLOOD_MS))
        while program.poll() is None:
            step(steps)
            steps += 1
            time.sleep(between_s)
        out, err = (text.decode() for text in program.communicate())
        assert program.returncode == 0 and "not ok" not in out, out + err
        seen.update({name: int(number) for name, number in
                     re.findall(r"(opens|sent|failed|received)=(\d+)", out)}, programs=1)
    return steps, seen


@tap.test
def pauses_under_traffic():
    """an adapter is paused and restarted while frames flow; nothing is outstanding meanwhile"""
    lab = lab_of()
    load(lab)

    def pause(_):
        lab.ndis("PAUSE", 1)
        counts = settle(lab)
        assert counts["sends"] == counts["receives"] == 0, counts
        lab.ndis("RESTART", 1)
        settle(lab)

    steps, seen = flood(lab, 1, pause, 0.05, lambda steps, seen: steps > 5 and seen["received"])
    counts = lab.ndis_counts(1)
    print(f"# {steps} pauses; {seen}")
    assert counts["pauses"] >= steps and counts["is_running"], counts
    assert seen["opens"] <= seen["programs"], seen
    unload(lab)


@tap.test
def unbinds_under_traffic():
    """an adapter is unbound, pulled out and put back while frames flow"""
    lab = lab_of()
    load(lab)

    def go(number):
        lab.ndis(("UNBIND", "REMOVE")[number % 2], 1)
        counts = settle(lab)
        assert counts["opens"] == 1 and counts["sends"] == counts["receives"] == 0, counts
        lab.ndis(("BIND", "ADD")[number % 2], 1)
        settle(lab)

    steps, seen = flood(lab, 1, go, 0.1, lambda steps, seen: steps > 3 and seen["received"] and
                        seen["opens"] > seen["programs"])
    counts = lab.ndis_counts(1)
    print(f"# {steps} unbinds; {seen}")
    assert counts["unbinds"] == steps, counts
    unload(lab)


@tap.test
def everything_under_traffic():
    """whatever happens to an adapter, in any order and faster than it is answered, ends well"""
    lab = lab_of()
    load(lab)
    chance = random.Random(1)
    back = ("RESTART", "FULL_POWER", "ADD", "BIND", "RELEASE")  # oftener: so that frames flow
    verbs = ("PAUSE", "LOW_POWER", "REMOVE", "UNBIND", "FAULTS", *back, *back, *back)

    def shake(_):
        verb = chance.choice(verbs)
        if verb != "FAULTS":
            lab.ndis(verb, 1)
            return
        lab.ndis_configure(1, opens_later=1, closes_later=1, sends_later=1, requests_later=1,
                           splits=1, shuffles=1 + chance.randrange(1000),
                           holds_sends=chance.randrange(2), holds_requests=chance.randrange(2),
                           fails_send_every=chance.choice((0, 3)),
                           fails_request_every=chance.choice((0, 5)),
                           lends_short_every=chance.choice((0, 2)),
                           drops_every=chance.choice((0, 4)),
                           unbinds_running=chance.randrange(2))

    steps, seen = flood(lab, 1, shake, 0.005, lambda steps, _: steps > 0)
    print(f"# {steps} events; {seen}")
    lab.ndis("RESET", 1)
    # A bind under way may fail yet: a request of it has, before the reset.
    settle(lab)
    lab.ndis("BIND", 1)
    settle(lab)
    probe(lab, "traffic", 1, 200)
    unload(lab)


@tap.test
def unloads_leave_nothing():
    """the driver is loaded, bound and unloaded a hundred times in one session"""
    lab = lab_of()
    for number in range(CYCLES):
        lab.load("ndisprot")
        if number % 20 == 0:
            probe(lab, "traffic", number // 20 % 2, 100)
        unload(lab)
    assert not lab.crash_log()


with Lab(verify=True) as LAB:
    tap.main()
