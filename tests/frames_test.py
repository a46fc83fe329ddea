#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vck-prot between two hosts: two network namespaces, joined by a pair of veth interfaces.

VCK_FRAMES: how many frames go one way (60000)."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

PROT = os.environ["VCK_PROT"]
FRAMES = int(os.environ.get("VCK_FRAMES", "60000"))
ENDS = 10  # frames that tell the receiver of the end
LIMIT = 40 + FRAMES // 2000
ADDRESS = {"one": "02:00:00:00:00:0a", "two": "02:00:00:00:00:0b"}


def ip(*words, may_fail=False):
    done = subprocess.run(["ip", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60)
    assert may_fail or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done


class Hosts:
    """Two hosts, "one" and "two", each with an interface wire."""

    def __init__(self):
        self.names = {side: f"vck{os.getpid()}{side}" for side in ADDRESS}
        self.running = []

    def __enter__(self):
        if not shutil.which("ip"):
            raise tap.Skip("no iproute2 here")
        for name in self.names.values():
            made = ip("netns", "add", name, may_fail=True)
            if made.returncode != 0:
                self.__exit__()
                raise tap.Skip("network namespaces are refused here: "
                               + made.stderr.strip().replace("\n", ", "))
        self.join()
        return self

    def join(self):
        one, two = self.names.values()
        ip("-n", one, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", two)
        for side, name in self.names.items():
            ip("-n", name, "link", "set", "wire", "address", ADDRESS[side], "up")

    def __exit__(self, *_):
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
        for name in self.names.values():
            ip("netns", "del", name, may_fail=True)

    def command(self, side, *words):
        return ["ip", "netns", "exec", self.names[side], PROT, *words]

    def run(self, side, *words, code=0):
        done = subprocess.run(self.command(side, *words), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=LIMIT)
        assert done.returncode == code, f"{words}: {done.returncode}, {done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def start(self, side, *words, until=None):
        """A process in the background; until: what it says when it is ready."""
        process = subprocess.Popen(self.command(side, *words), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        if until:
            line = process.stderr.readline()
            assert until in line, line + process.stderr.read()
        return process

    def transmit_drops(self, side):
        shown = ip("-j", "-s", "-n", self.names[side], "link", "show", "wire").stdout
        return json.loads(shown)[0]["stats64"]["tx"]["dropped"]


def ended(process, code=0):
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == code, f"{process.args[4:]}: {process.returncode}, {err}"
    return out if code == 0 else err


@contextlib.contextmanager
def hosts():
    with Hosts() as made:
        yield made


@tap.test
def looks():
    """list and show tell of the interface"""
    with hosts() as h:
        assert json.loads(h.run("one", "list", "--json")) == [
            {"name": "wire", "description": "Ethernet interface"}]
        assert h.run("one", "list").split()[0] == "wire"
        shown = json.loads(h.run("two", "show", "wire", "--json"))
        assert shown["state"] == "running" and shown["link"] == "up", shown
        assert shown["address"] == ADDRESS["two"] and shown["mtu_bytes"] == 1500, shown
        assert ADDRESS["one"] in h.run("one", "show", "wire")


@tap.test
def refusals():
    """what cannot be done is said, with its exit code"""
    with hosts() as h:
        assert "no adapter of that name" in h.run("one", "show", "wire9", code=3)
        h.run("one", "show", code=2)
        h.run("one", "send", "wire", code=2)
        h.run("one", "send", "wire", "--to", "02:00", code=2)
        h.run("one", "send", "wire", "--to", ADDRESS["two"], "--size", "10", code=2)
        h.run("one", "ping", "wire", "--to", ADDRESS["two"], "--ether-type", "0800x", code=2)
        h.run("one", "list", "--socket", "nothing.sock", code=8)
        assert "MTU" in h.run("one", "send", "wire", "--to", ADDRESS["two"], "--size", "1600",
                              code=9)
        ip("-n", h.names["one"], "link", "set", "wire", "down")
        assert "paused" in h.run("one", "send", "wire", "--to", ADDRESS["two"], code=9)


@tap.test
def pings():
    """each host answers the other's pings"""
    with hosts() as h:
        for asker, answerer in (("one", "two"), ("two", "one")):
            other = h.start(answerer, "answer", "wire", "--count", "20", until="listening")
            found = json.loads(h.run(asker, "ping", "wire", "--to", ADDRESS[answerer], "--count",
                                     "20", "--size", "64-1500", "--json"))
            assert found["sent"] == found["answered"] == 20, found
            ended(other)
        lonely = h.run("one", "ping", "wire", "--to", ADDRESS["two"], "--count", "1", "--timeout",
                       "50", code=6)
        assert lonely == "", lonely


@tap.test
def one_way():
    """frames of 64 to 1500 bytes one way: each is received in order, or counted as dropped"""
    with hosts() as h:
        receiver = h.start("two", "receive", "wire", "--json", "--idle", "60", until="listening")
        sent = json.loads(h.run("one", "send", "wire", "--to", ADDRESS["two"], "--count",
                                str(FRAMES), "--size", "64-1500", "--json"))
        got = json.loads(ended(receiver))
        dropped = got["dropped"] + got["port_dropped"] + h.transmit_drops("one")
        print(f"# {sent} {got}")
        assert sent["sent"] + sent["refused"] == FRAMES
        # All that tell of the end may have met a full queue, too.
        if got["announced"] == 0:
            assert got["received"] + dropped >= sent["sent"] + ENDS, (got, dropped)
        else:
            assert got["announced"] == sent["sent"]
        assert got["damaged"] == got["out_of_order"] == got["others"] == 0, got
        assert got["received"] + dropped >= sent["sent"] >= got["received"], (got, dropped)
        assert got["lost"] <= dropped, (got, dropped)


@tap.test
def a_host_serves():
    """a host that serves has one user per adapter, and adapters that come and go"""
    with hosts() as h:
        server = h.start("two", "serve", "--socket", "two.sock", until="ready")
        for _ in range(2):
            served = ("--socket", "two.sock")
            receiver = h.start("two", "receive", "wire", *served, until="listening")
            assert "another handle" in h.run("two", "show", "wire", *served, code=7)
            h.start("one", "send", "wire", "--to", ADDRESS["two"], "--count", "1000000000")
            time.sleep(0.5)
            ip("-n", h.names["one"], "link", "del", "wire")
            assert "adapter is gone" in ended(receiver, code=3)
            sender = h.running[-1].wait(LIMIT)
            assert sender in (3, 9), sender
            for _ in range(1000):
                if json.loads(h.run("two", "list", "--json", *served)) == []:
                    break
            else:
                raise AssertionError("the adapter is still bound")
            h.join()
        assert h.run("two", "serve", "--socket", "two.sock", code=7) != ""
        server.terminate()
        ended(server)
        assert not Path("two.sock").exists()


tap.main()
