#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The network examples: the load client against servers that misbehave, the echo server."""
import json
import multiprocessing
import os
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

FETCH = os.environ["FETCH"]
ECHO = os.environ["ECHO"]
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class Server:
    """Serves in a process of its own; fate(n) says what becomes of the n-th connection: a reply,
    None for silence, or "reset"."""

    def __init__(self, fate=lambda n: REPLY):
        self.fate = fate
        self.counts = multiprocessing.Array("l", 3)  # replies, resets, stalls
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.process = multiprocessing.Process(target=self.serve, daemon=True)

    def __enter__(self):
        self.process.start()
        self.listener.close()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()

    def serve(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.number = 0
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.answer(key.fileobj)

    def accept(self):
        try:
            while True:
                peer, _ = self.listener.accept()
                peer.setblocking(False)
                self.selector.register(peer, selectors.EVENT_READ)
        except BlockingIOError:
            pass

    def answer(self, peer):
        try:
            data = peer.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.drop(peer)
            return
        reply = self.fate(self.number)
        self.number += 1
        if reply is None:
            self.counts[2] += 1
        elif reply == "reset":
            self.counts[1] += 1
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.drop(peer)
        else:
            self.counts[0] += 1
            peer.sendall(reply)
            self.drop(peer)

    def drop(self, peer):
        self.selector.unregister(peer)
        peer.close()


def fetch(port, *options, host="127.0.0.1"):
    done = subprocess.run([FETCH, "--json", *map(str, options), host, str(port)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=300)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@tap.test
def ten_thousand_replies():
    """10 000 requests end with 10 000 replies, no error, no leak"""
    with Server() as server:
        code, result, stderr = fetch(server.port, "--connections", 10000)
        assert code == 0, (code, result, stderr)
        assert result["replies"] == 10000 and result["errors"] == {}, result
        assert result["codes"] == {"200": 10000}, result
        assert server.counts[0] == 10000, server.counts[:]


def tenth_fails(number):
    return {7: "reset", 17: None}.get(number % 20, REPLY)


@tap.test
def one_in_ten_stalls_or_resets():
    """10 000 requests end with 10 000 replies though one connection in ten stalls or resets"""
    with Server(tenth_fails) as server:
        code, result, stderr = fetch(server.port, "--connections", 10000, "--retries", 20,
                                     "--timeout", 1500)
        _, resets, stalls = server.counts[:]
        assert code == 0, (code, result, stderr)
        assert result["replies"] == 10000 and result["failures"] == 0, result
        assert resets >= 500 and stalls >= 500, (resets, stalls)
        assert result["errors"] == {"RESET": resets, "TIMEOUT": stalls}, (result, resets, stalls)
        assert result["retried"] == resets + stalls, result


@tap.test
def errors_are_counted_by_status():
    """without retries the requests that failed are counted by status, and the exit status says so"""
    with Server(tenth_fails) as server:
        code, result, _ = fetch(server.port, "--connections", 200, "--timeout", 1000)
        assert code == 1
        assert result["errors"] == {"RESET": 10, "TIMEOUT": 10}, result
        assert result["replies"] == 180 and result["failures"] == 20, result


@tap.test
def replies_come_in_any_form():
    """replies in pieces, without a length, cut short, with other codes, or no HTTP at all"""
    bodies = [b"HTTP/1.1 404 Not Found\r\ncontent-LENGTH: 0\r\n\r\n",
              b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100000,
              b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
              b"HTTP/1.1 503 Busy\nX: " + b"y" * 5000 + b"\nContent-Length: 3\n\nabc",
              b"\x00\xff\r\n\r\nnonsense", b""]
    with Server(lambda n: bodies[n % 6]) as server:
        code, result, _ = fetch(server.port, "--connections", 60)
        assert code == 1
        assert result["codes"] == {"200": 10, "404": 10, "503": 10, "999": 10}, result
        assert result["errors"] == {"OUT_OF_RANGE": 20}, result


@tap.test
def nobody_is_there():
    """a port nobody listens on, a name nobody has"""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    code, result, _ = fetch(port, "--connections", 50)
    assert code == 1 and result["errors"] == {"REFUSED": 50}, result
    code, result, stderr = fetch(port, host="a name with spaces")
    assert code == 1 and result is None and "a name with spaces" in stderr, stderr


@tap.test
def fetch_usage():
    """vck-fetch says how it is used"""
    for arguments in ([], ["host"], ["host", "0"], ["--window", "0", "host", "1"], ["--bogus"]):
        done = subprocess.run([FETCH, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2 and done.stdout == "" and done.stderr, (arguments, done)
    done = subprocess.run([FETCH, "--help"], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: vck-fetch"), done


class Echo:
    def __init__(self, *options):
        self.process = subprocess.Popen([ECHO, *map(str, options)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        host, port = self.process.stdout.readline().strip().rsplit(":", 1)
        self.address = (host.strip("[]"), int(port))

    def connect(self):
        return socket.create_connection(self.address, timeout=60)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=60)
        assert self.process.returncode == 0 and stderr == "", (self.process.returncode, stderr)


def read_all(peer):
    data = b""
    while piece := peer.recv(65536):
        data += piece
    return data


@tap.test
def echo_returns_what_it_gets():
    """the echo server returns what it gets, to many at once, and ends a half-closed connection"""
    for options in ((), ("--ipv6",)):
        echo = Echo(*options)
        peers = [echo.connect() for _ in range(200)]
        for number, peer in enumerate(peers):
            peer.sendall(b"%d " % number * 1000)
            peer.shutdown(socket.SHUT_WR)
        for number, peer in enumerate(peers):
            assert read_all(peer) == b"%d " % number * 1000
            peer.close()
        echo.stop()


@tap.test
def echo_ends_cleanly():
    """the echo server ends with connections open, idle, half sent and reset, and leaves nothing"""
    echo = Echo()
    port = echo.address[1]
    peers = [echo.connect() for _ in range(30)]
    for peer in peers[:20]:
        peer.sendall(b"hello")
        assert peer.recv(5) == b"hello"
    for peer in peers[:5]:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    for peer in peers[5:8]:  # more than it can send back: nobody reads
        peer.setblocking(False)
        try:
            while True:
                peer.send(bytes(65536))
        except BlockingIOError:
            pass
    echo.stop(signal.SIGINT)
    again = Echo("--port", port)  # the port is free, whatever its connections' past
    assert again.address[1] == port
    again.stop()


if __name__ == "__main__":
    tap.main()
