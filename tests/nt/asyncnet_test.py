#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""asyncnet.sys under Wine, driven by asyncnet.exe: loads against servers of this system, the echo
server for its clients, timers, and how all of it ends."""
import contextlib
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402
from wine_lab import Lab  # noqa: E402

CYCLES = 100
MANY = 1000
LONG = 200000
PATIENCE_S = 300
PATIENCE = ("--timeout", 1000 * PATIENCE_S)
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Good:
    """The benchmark's server: answers everything."""

    def __init__(self):
        program = Path.cwd() / "net-server"
        subprocess.run(["cc", "-O2", "-o", str(program), str(ROOT / "bench/net_server.c")],
                       check=True)
        self.process = subprocess.Popen([str(program)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class Bad:
    """A server that does to each connection what treat(peer) does, and keeps what that returns."""

    def __init__(self, treat):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.treat, self.kept, self.accepted = treat, [], 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.kept.append(self.treat(peer))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(60)
        for peer in filter(None, self.kept):
            peer.close()


def stall(peer):
    return peer


def reset(peer):
    peer.recv(4096)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def half_close(peer):
    peer.recv(4096)
    peer.sendall(REPLY[:-2])
    peer.shutdown(socket.SHUT_WR)
    return peer


def unused_port():
    """One that the system gives nobody who does not ask for it, and other tests do not ask for."""
    while True:
        port = random.randrange(10000, 20000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Driver:
    """The loaded driver; its network is started."""

    def __init__(self, lab):
        self.lab = lab

    def run(self, *words, expected=0, seconds=2 * PATIENCE_S):
        result = self.lab.run("asyncnet.exe", *words, seconds=seconds, check=False)
        assert result.code == expected, str(result)
        return result

    def ask(self, *words, expected=0):
        return json.loads(self.run(*words, "--json", expected=expected).out)

    def start(self, *words):
        return self.lab.start_program("asyncnet.exe", *words)

    def await_status(self, is_reached, what):
        end = time.monotonic() + PATIENCE_S
        while not is_reached(status := self.ask("status")):
            assert time.monotonic() < end, f"{what}: {status}"
            time.sleep(0.02)
        return status

    def load(self):
        self.lab.load("asyncnet")
        self.run("start")

    def unload(self):
        self.lab.unload("asyncnet")
        left = self.lab.summary("asyncnet") if self.lab.is_verifying else {}
        assert not left.get("pool_blocks") and not left.get("findings"), left
        assert not self.lab.debug_lines(), "\n".join(self.lab.debug_lines())


def with_driver(function):
    """A test in a lab of its own, with the driver loaded before and unloaded behind it."""
    def run():
        with Lab() as lab:
            driver = Driver(lab)
            driver.load()
            function(driver)
            driver.unload()
    run.__doc__ = function.__doc__
    return tap.test(run)


@with_driver
def answered(driver):
    """10 000 requests by tasks and 1000 by ten threads are all answered"""
    with Good() as server:
        result = driver.ask("load", "--connections", 10000, "--concurrency", 32, "--port",
                            server.port, *PATIENCE)
        assert result["replies"] == 10000 and result["codes"] == {"200": 10000}, result
        print(f"# tasks: {result['requests_per_second']:.0f} requests a second")
        result = driver.ask("threads", "--connections", 1000, "--concurrency", 10, "--port",
                            server.port, *PATIENCE)
        assert result["replies"] == 1000 and not result["errors"], result
        print(f"# threads: {result['requests_per_second']:.0f} requests a second")
    status = driver.ask("status")
    assert status["replies"] == 11000 and status["sockets"] == 0 and status["jobs"] == 0, status


@with_driver
def timers(driver):
    """100 000 timers expire in order"""
    result = driver.ask("timers", "--count", 100000, "--span", 1000)
    assert result["expired"] == 100000, result
    assert result["early"] == 0 and result["out_of_order"] == 0, result


@with_driver
def badly_treated(driver):
    """servers that reset, stall, half-close and refuse end a request with its error"""
    for verb in ("load", "threads"):
        for treat, errors in ((reset, {"RESET", "OUT_OF_RANGE"}), (stall, {"TIMEOUT"}),
                              (half_close, {"OUT_OF_RANGE"})):
            with Bad(treat) as server:
                patience = ("--timeout", 500) if treat is stall else PATIENCE
                result = driver.ask(verb, "--connections", 20, "--concurrency", 10, "--port",
                                    server.port, *patience, expected=1)
                assert result["failures"] == 20 and set(result["errors"]) <= errors, (treat, result)
        # Bound, so that no connection gets it as its own port, and not listened on.
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            result = driver.ask(verb, "--connections", 20, "--port", silent.getsockname()[1],
                                *PATIENCE, expected=1)
        assert result["errors"] == {"REFUSED": 20}, result


def converse(peer, number, rounds):
    for _ in range(rounds):
        data = b"%d " % number * 1000
        peer.sendall(data)
        got = b""
        while len(got) < len(data):
            piece = peer.recv(65536)
            assert piece, "the server closed"
            got += piece
        assert got == data


@with_driver
def echo(driver):
    """the echo server serves clients of this system, and ends with clients connected"""
    port = unused_port()
    assert driver.ask("echo", "--port", port) == {"address": "127.0.0.1", "port": port}
    assert "already" in driver.run("echo", "--port", port, expected=1).err
    peers = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in range(50)]
    for number, peer in enumerate(peers):
        converse(peer, number, 5)
    for peer in peers[:25]:
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1) == b""
    driver.await_status(lambda s: s["echo_open"] == 25 and s["echo_accepted"] == 50, "25 open")
    driver.run("echo", "--stop")
    for peer in peers:
        peer.close()
    assert driver.ask("status")["echo_port"] == 0
    driver.run("echo", "--port", unused_port())
    driver.run("stop")
    driver.await_status(lambda s: s["jobs"] == 0, "the server ends with the network")


@with_driver
def stopped_under_load(driver):
    """the network is stopped and started under load, and no request is lost"""
    with Good() as server:
        load = driver.start("load", "--json", "--connections", LONG, "--concurrency", 16, "--port",
                            server.port, *PATIENCE)
        driver.await_status(lambda s: s["jobs"] > 0, "the load has begun")
        for _ in range(5):
            driver.await_status(lambda s: s["jobs"] == 0 or s["sockets"] > 4, "there is a load")
            driver.run("stop")
            assert driver.ask("status")["sockets"] == 0
            driver.run("start")
        driver.run("stop")
        out, _ = load.communicate(timeout=PATIENCE_S)
        result = json.loads(out)
        assert load.returncode == 1, result
        assert result["replies"] + result["failures"] == LONG, result
        assert set(result["errors"]) <= {"CANCELLED", "NOT_READY", "DELETED"}, result


@with_driver
def cancelled(driver):
    """a program that ends cancels its load"""
    with Bad(stall) as server:
        load = driver.start("load", "--connections", 100, "--concurrency", 100, "--port",
                            server.port, "--timeout", 600000)
        driver.await_status(lambda s: s["sockets"] == 100, "100 sockets")
        load.kill()
        load.communicate()
        driver.await_status(lambda s: s["jobs"] == 0 and s["sockets"] == 0, "the load ended")


@with_driver
def unloaded_with_a_thousand_requests(driver):
    """the driver is unloaded with 1000 requests, threads and timers under way: nothing is left"""
    with Bad(stall) as server:
        words = ("--port", server.port, "--timeout", 600000, "--background")
        driver.run("load", "--connections", MANY, "--concurrency", MANY, *words)
        driver.run("threads", "--connections", 10, "--concurrency", 10, *words)
        driver.run("timers", "--span", 3600000, "--background")
        driver.run("echo", "--port", unused_port())
        driver.await_status(lambda s: s["sockets"] >= MANY + 11, "1000 requests")
        end = time.monotonic() + PATIENCE_S
        while server.accepted < MANY + 10 and time.monotonic() < end:
            time.sleep(0.02)
        assert server.accepted == MANY + 10, server.accepted


@tap.test
def load_cycles():
    """the driver is loaded, used and unloaded, a hundred times in one session"""
    with Good() as server, Lab() as lab:
        driver = Driver(lab)
        for cycle in range(CYCLES):
            driver.load()
            if cycle % 10 == 0:
                driver.run("load", "--connections", 1000000, "--concurrency", 8, "--port",
                           server.port, "--background")
            driver.unload()


@with_driver
def says_what_is_wrong(driver):
    """wrong usage and wrong values are named, and help is there"""
    for words, code, text in (
            (("load", "--port", 0), 1, "port is not a number from 1 to 65535"),
            (("load", "--port", "x"), 2, "--port is x; a number from 0 to"),
            (("load", "--address", "nowhere"), 1, "address is nowhere, which is not"),
            (("threads", "--concurrency", 65), 1, "concurrency is not a number from 1 to 64"),
            (("timers", "--port", 1), 2, "timers: there is no option --port here"),
            (("fly",), 2, "there is no verb fly"), ((), 2, "a verb is missing"),
            (("load", "--path", "/a b"), 1, "path is not a /"),
            (("start",), 1, "already"), (("echo", "--stop"), 1, "the echo server is not running")):
        result = driver.run(*words, expected=code)
        assert text in result.err and not result.out, str(result)
    assert "Drives asyncnet.sys" in driver.run("--help").out
    assert "--concurrency" in driver.run("load", "--help").out
    driver.run("stop")
    assert "the network is not started" in driver.run("load", expected=1).err


if __name__ == "__main__":
    tap.main()
