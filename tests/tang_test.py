#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Network slots with Debian's tangd behind sockets of the loopback, judged by a second implementation
of the slots."""
import contextlib
import json
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import command_lab  # noqa: E402
from command_lab import (  # noqa: E402
    FAILED, OK, REFUSED, USAGE, VCK, WRONG_KEY, private, unchanged)
import key_oracle  # noqa: E402
import network_oracle as oracle  # noqa: E402
import tap  # noqa: E402
from daemon_lab import VCKD, daemon  # noqa: E402

TANGD, KEYGEN, ROTATE = (f"/usr/libexec/{name}" for name in
                         ("tangd", "tangd-keygen", "tangd-rotate-keys"))
MIB = 1 << 20
VMK = bytes(range(1, 33))
PASSPHRASE = "a passphrase beside the servers"
TIME_S = 120  # for servers on a busy machine


def vck(*arguments, **expected):
    return command_lab.vck(*arguments, secrets=(VMK, PASSPHRASE.encode()), **expected)


class Server:
    """A socket of the loopback. Each connection gets a tangd of its own, unless `say` takes it."""

    def __init__(self, name, curve=None):
        self.keys = Path(name).absolute()
        self.keys.mkdir()
        self.say = None  # of a connection and what came of it: bytes to answer with
        self.connections = 0
        if curve is None:
            subprocess.run([KEYGEN, self.keys], check=True, stdout=subprocess.DEVNULL)
        else:
            self.make_key({"alg": "ES512"})
            self.make_key({"alg": "ECMR", "crv": curve})
        # Keeps the port when nobody listens any more.
        self.holder = socket.socket()
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", 0))
        self.port = self.holder.getsockname()[1]
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve, daemon=True).start()

    def make_key(self, template):
        key = subprocess.run(["jose", "jwk", "gen", "-i", json.dumps(template)], check=True,
                             stdout=subprocess.PIPE).stdout
        (self.keys / (self.thumbprint_of(key) + ".jwk")).write_bytes(key)

    @staticmethod
    def thumbprint_of(key):
        return subprocess.run(["jose", "jwk", "thp", "-i", "-", "-a", "S256"], input=key,
                              stdout=subprocess.PIPE, check=True).stdout.decode()

    def find(self, algorithm):
        """The keys of that algorithm that are in use."""
        keys = [path.read_bytes() for path in self.keys.glob("[!.]*.jwk")]
        return [key for key in keys if json.loads(key)["alg"] == algorithm]

    def thumbprint(self):
        return self.thumbprint_of(self.find("ES512")[0])

    def private(self):
        """s of the key to exchange with."""
        return int.from_bytes(oracle.unbase64url(json.loads(self.find("ECMR")[0])["d"]), "big")

    def rotate(self, forget):
        subprocess.run([ROTATE, "-d", self.keys], check=True, stdout=subprocess.DEVNULL)
        for path in self.keys.glob(".*.jwk") if forget else ():
            path.unlink()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.connections += 1
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection, contextlib.suppress(OSError):
            if self.say is None:
                subprocess.run([TANGD, self.keys], stdin=connection, stdout=connection,
                               stderr=subprocess.DEVNULL, check=False)
                return
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(4096)
                if not piece:
                    return
                request += piece
            self.say(connection, request)

    def close(self):
        """Nobody listens any more: connections are refused."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def end(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.holder.close()


def says(answer):
    """For Server.say: these bytes, then the end of the stream."""
    def say(connection, _):
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    return say


def http(body, code="200 OK"):
    body = body.encode() if isinstance(body, str) else body
    return says(f"HTTP/1.1 {code}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def silent(connection, _):
    while connection.recv(4096):
        pass


@contextlib.contextmanager
def volume(count=1, slot=True, curves=(), threshold=None):
    """An image in the current folder, and servers that a slot of it is bound to."""
    if not os.access(TANGD, os.X_OK) or not shutil.which("jose"):
        raise tap.Skip("tangd and jose are not installed")
    if subprocess.run([VCK, "key", "--help"], stdout=subprocess.PIPE,
                      check=True).stdout.find(b"--tang") < 0:
        raise tap.Skip("vck was built without libjose")
    with open("image", "wb") as file:
        file.truncate(MIB)
    private("vmk", VMK)
    private("passphrase", PASSPHRASE.encode())
    vck("prepare", "--vmk-file", "vmk", "--metadata-size", "128K", "image")
    servers = [Server(f"tang{i}", curves[i] if i < len(curves) else None) for i in range(count)]
    if slot:
        bind(servers, threshold)
    try:
        yield servers
    finally:
        for server in servers:
            server.end()


def bind(servers, threshold=None, *options, **expected):
    named = [f"--tang={server.url},{server.thumbprint()}" for server in servers]
    threshold = ("--threshold", threshold) if threshold else ()
    return vck("key", "add", "--vmk-file", "vmk", "--server-time", TIME_S, *named, *threshold,
               *options, "image", **expected)


@contextlib.contextmanager
def on_terminal(question, answer, code, *arguments):
    """vck on a terminal, which answers the question; gives what was said before."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(VCK, [VCK, *arguments])
    told = b""
    while question.encode() not in told:
        assert select.select([terminal], [], [], 300)[0], told
        told += os.read(terminal, 4096)
    yield told.decode()
    os.write(terminal, answer.encode() + b"\n")
    with contextlib.suppress(OSError):
        while True:
            piece = os.read(terminal, 4096)
            if not piece:
                break
            told += piece
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == code, told
    os.close(terminal)


def slot(number=0):
    image = Path("image").read_bytes()
    volume_id = image[-512:][32:48]
    return key_oracle.read_tables(image, volume_id, (512, 131072, 0, 2))[0].slots[number], volume_id


def opens(**expected):
    return vck("key", "test", "--server-time", TIME_S, "image", says="slot 0 \\(network\\)",
               **expected)


def does_not_open(*reasons, time_s=TIME_S):
    with unchanged():
        vck("key", "test", "--server-time", time_s, "image", code=WRONG_KEY, says=reasons)


@tap.test
def one_server():
    """a slot bound to one server: another implementation opens it, and so does vck"""
    with volume() as (server,):
        record, volume_id = slot()
        binding = oracle.Binding(record.payload)
        assert (binding.threshold, len(binding.servers)) == (1, 1)
        assert binding.servers[0].url == server.url
        assert oracle.base64url(binding.servers[0].signer) == server.thumbprint()
        assert binding.servers[0].kid() == server.thumbprint_of(server.find("ECMR")[0])
        assert record.open(volume_id, binding.secret({1: server.private()})) == VMK
        opens()


@tap.test
def slots_of_another_implementation():
    """a slot that another implementation made opens, on every curve"""
    with volume(3, slot=False, curves=("P-256", "P-384", "P-521")) as servers:
        image = Path("image").read_bytes()
        volume_id = image[-512:][32:48]
        coefficients = [os.urandom(32) for _ in range(3)]
        shares = oracle.split(coefficients, 3)
        bound = []
        for curve, server in zip(oracle.CURVES.values(), servers):
            bound.append((curve, bytes(32), curve.times(server.private(), curve.generator),
                          int.from_bytes(os.urandom(31), "big"), server.url))
        payload = oracle.make_binding(3, bound, shares)
        record = key_oracle.make_slot(volume_id, 0, key_oracle.NETWORK, coefficients[0], VMK, 0, 0,
                                      0, 0, os.urandom(16), os.urandom(32), os.urandom(12), 0,
                                      "by another", payload)
        data = bytearray(image)
        for area in key_oracle.areas(MIB, (512, 131072, 0, 2)):
            for generation in (2, 3):
                at = area + generation % 2 * key_oracle.COPY_BYTES
                table = key_oracle.make_table(volume_id, VMK, generation, [record])
                data[at:at + len(table)] = table
        Path("image").write_bytes(data)
        opens()


@tap.test
def every_curve():
    """servers with keys of every curve, bound to by vck"""
    with volume(3, curves=("P-256", "P-384", "P-521")) as servers:
        record, volume_id = slot()
        binding = oracle.Binding(record.payload)
        assert [server.curve.name for server in binding.servers] == ["P-256", "P-384", "P-521"]
        answers = {i + 1: server.private() for i, server in enumerate(servers)}
        assert record.open(volume_id, binding.secret(answers)) == VMK
        opens()


@tap.test
def threshold():
    """two of three servers open the slot, whichever is down, and one does not"""
    with volume(3, threshold=2) as servers:
        record, volume_id = slot()
        binding = oracle.Binding(record.payload)
        privates = {i + 1: server.private() for i, server in enumerate(servers)}
        for left_out in privates:
            some = {i: s for i, s in privates.items() if i != left_out}
            assert record.open(volume_id, binding.secret(some)) == VMK
        assert record.open(volume_id, binding.secret({1: privates[1]})) is None
        for server in servers:
            server.say = says(b"")
            opens()
            server.say = None
        servers[0].close()
        opens()
        servers[2].close()
        does_not_open(f"slot 0: {servers[0].url}: it refused the connection",
                      f"slot 0: {servers[2].url}: it refused the connection",
                      "slot 0: 1 of 3 servers gave their share, and 2 are needed",
                      "image: no key slot opens by itself")


@tap.test
def threshold_does_not_wait():
    """a server that says nothing does not delay those that suffice"""
    with volume(3, threshold=2) as servers:
        servers[1].say = silent
        vck("key", "test", "--server-time", 600, "image", says="slot 0")  # has half of that


@tap.test
def slow_servers():
    """servers that are slow are given up after their time, all at once, and named"""
    with volume(2, threshold=2) as servers:
        for server in servers:
            server.say = silent
        does_not_open("0 of 2 servers", *(f"{server.url}: there was no (answer|connection) within 2 s"
                                          for server in servers), time_s=2)


@tap.test
def answers_in_pieces():
    """an answer that comes byte by byte is waited for"""
    with volume() as (server,):
        def say(connection, request):
            head, body = request.split(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            while len(body) < length:
                body += connection.recv(4096)
            done = subprocess.run([TANGD, server.keys], input=head + b"\r\n\r\n" + body,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(done.stdout)):
                connection.send(done.stdout[at:at + 1])
        server.say = say
        opens()


@tap.test
def rotated_keys():
    """keys that were rotated still open the slot until the server forgets them"""
    with volume() as (server,):
        server.rotate(forget=False)
        opens()
        server.rotate(forget=True)
        does_not_open(f"slot 0: {server.url}: it does not have the slot's key any more "
                      r"\(HTTP 404\): its keys were rotated")
        vck("key", "change", "--vmk-file", "vmk", "--slot", 0,
            f"--tang={server.url},{server.thumbprint()}", "image", says="is changed")
        opens()


@tap.test
def wrong_answers():
    """what a server may answer with in place of its share: each named, nothing written"""
    curve = oracle.CURVES[3]
    point = {"alg": "ECMR", **oracle.jwk(curve, curve.generator)}
    off = {**point, "y": point["x"]}
    short = {**point, "x": point["x"][:-4]}
    other = oracle.jwk(oracle.CURVES[1], oracle.CURVES[1].generator)
    with volume() as (server,):
        for say, why in (
                (http(json.dumps(point)), "its answer is wrong: the share does not open with it"),
                (http(json.dumps({**point, "d": "AQ"})), "the share does not open with it"),
                (http(json.dumps(off)), "its key is not a point of its curve"),
                (http(json.dumps(short)), "its answer is not a key of its curve"),
                (http(json.dumps(other)), "its answer is not a key of its curve"),
                (http("[]"), "its answer is not a key of its curve"),
                (http('{"kty": 1}'), "its answer is not a key of its curve"),
                (http("{"), "its answer is not JSON"),
                (http("[" * 40000), "its answer is not JSON"),
                (http(""), "its answer is not JSON"),
                (http("", "404 Not Found"), "does not have the slot's key any more"),
                (http("", "500 Internal Server Error"), "it answered with HTTP 500"),
                (says(b""), "its answer was cut short"),
                (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), "its answer was cut short"),
                (says(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 60000), "its answer is too long"),
                (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "encoded"),
                (says(b"220 mail.example ESMTP\r\n"), "it does not speak HTTP")):
            server.say = say
            does_not_open(f"{server.url}: .*{why}")
        server.say = None
        opens()


@tap.test
def connections_that_break():
    """a server that resets the connection is told from one that ends it"""
    with volume() as (server,):
        def reset(connection, _):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        server.say = reset
        does_not_open(f"{server.url}: it broke the connection off")


@tap.test
def wrong_server():
    """a server in the place of the one the slot was bound to does not help"""
    with volume(2, threshold=1) as (server, other):
        server.keys.rename("away")
        shutil.copytree(other.keys, server.keys)
        other.close()
        does_not_open(f"{server.url}: it does not have the slot's key any more")
        # The same name of the key, and another key behind it.
        kid = Server.thumbprint_of(next(
            path.read_bytes() for path in Path("away").glob("*.jwk")
            if json.loads(path.read_bytes())["alg"] == "ECMR"))
        stranger = subprocess.run(["jose", "jwk", "gen", "-i", '{"alg": "ECMR", "crv": "P-521"}'],
                                  stdout=subprocess.PIPE, check=True).stdout
        curve = oracle.CURVES[3]
        s = int.from_bytes(oracle.unbase64url(json.loads(stranger)["d"]), "big")

        def say(connection, request):
            assert f"POST /rec/{kid} HTTP/1.1".encode() in request
            asked = json.loads(request.split(b"\r\n\r\n")[1])
            x, y = (int.from_bytes(oracle.unbase64url(asked[name]), "big") for name in "xy")
            assert curve.has((x, y))
            http(json.dumps(oracle.jwk(curve, curve.times(s, (x, y)))))(connection, b"")
        server.say = say
        does_not_open("its answer is wrong")


@tap.test
def questions_say_nothing():
    """what a server is asked is another point each time, and not the slot's"""
    with volume() as (server,):
        seen = []

        def say(connection, request):
            seen.append(json.loads(request.split(b"\r\n\r\n")[1]))
            http("", "500 no")(connection, b"")
        server.say = say
        for _ in range(3):
            does_not_open("HTTP 500")
        key = oracle.Binding(slot()[0].payload).servers[0].slot_key
        points = {(one["x"], one["y"]) for one in seen}
        assert len(points) == 3 and oracle.base64url(key[0].to_bytes(66, "big")) not in str(points)
        assert all(set(one) <= {"alg", "crv", "kty", "x", "y", "key_ops"} for one in seen), seen


@tap.test
def trust():
    """add: an advertisement that is not signed by the trusted key is refused, nothing is written"""
    with volume(2, slot=False) as (server, other):
        add = ("key", "add", "--vmk-file", "vmk")
        with unchanged():
            vck(*add, f"--tang={server.url},{other.thumbprint()}", "image", code=REFUSED,
                says=f"not signed by the key that is trusted, but by {server.thumbprint()}")
            vck(*add, f"--tang={server.url}", "image", code=REFUSED,
                says=f"{server.url}: its signing key is {server.thumbprint()}")
        vck(*add, f"--tang={server.url}", "--trust", "image",
            says=f"is trusted with the signing key {server.thumbprint()}")
        opens()


@tap.test
def trust_on_first_use():
    """add: on a terminal the thumbprint is shown and asked about"""
    with volume(slot=False) as (server,):
        for answer, code in (("no", REFUSED), ("yes", OK)):
            with on_terminal("Type yes: ", answer, code, "key", "add", "--vmk-file", "vmk", "--tang",
                             server.url, "image") as told:
                assert server.thumbprint() in told
        opens()


@tap.test
def questions_after_servers():
    """where the servers do not help, what they said is told and the terminal is asked"""
    with volume() as (server,):
        vck("key", "add", "--vmk-file", "vmk", "--new-key-file", "passphrase", "--kdf", "pbkdf2",
            "--kdf-passes", 210000, "image")
        server.close()
        with on_terminal("recovery key: ", PASSPHRASE, OK, "key", "test", "image") as told:
            assert f"{server.url}: it refused the connection" in told


@tap.test
def advertisements():
    """add: what a server may advertise in place of its keys: each named, nothing written"""
    with volume(slot=False) as (server,):
        done = subprocess.run([TANGD, server.keys], input=b"GET /adv HTTP/1.1\r\n\r\n",
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        good = json.loads(done.stdout.split(b"\r\n\r\n")[1])
        keys = json.loads(oracle.unbase64url(good["payload"]))

        def with_keys(changed):
            return http(json.dumps({**good, "payload": oracle.base64url(json.dumps(
                {"keys": changed}).encode())}))
        signer = next(key for key in keys["keys"] if key["alg"] == "ES512")
        exchange = next(key for key in keys["keys"] if key["alg"] == "ECMR")
        bad = "the signature of its advertisement does not hold"
        for say, why in (
                (http(json.dumps({**good, "signature": good["signature"][:-8] + "AAAAAAAA"})), bad),
                (with_keys([signer, exchange, exchange]), bad),
                (http(json.dumps({"payload": good["payload"]})), bad),
                (with_keys([exchange]), "has no key that signs"),
                (with_keys([signer]), "has no key for the exchange"),
                (with_keys([signer, {**exchange, "crv": "P-192"}]), "of a kind that is not known"),
                (with_keys([{**signer, "x": 3}, exchange]), "advertisement"),
                (with_keys(3), "is not a signed set of keys"),
                (with_keys([3, None, [], {}]), "has a key that is none"),
                (http("{}"), "is not a signed set of keys"),
                (http("[]"), "is not a signed set of keys"),
                (http("nothing"), "is not JSON"),
                (http("", "404 Not Found"), "it answered with HTTP 404"),
                (silent, "there was no (answer|connection) within 2 s")):
            server.say = say
            with unchanged():
                vck("key", "add", "--vmk-file", "vmk", "--tang", server.url, "--trust",
                    "--server-time", 2 if say is silent else TIME_S, "image", code=FAILED,
                    says=f"{server.url}: .*{why}")


@tap.test
def all_are_needed_to_bind():
    """add: servers that are down are named, and nothing is bound to the others"""
    with volume(2, slot=False) as (server, other):
        other.close()
        with unchanged():
            vck("key", "add", "--vmk-file", "vmk", "--trust", "--tang", server.url, "--tang",
                other.url, "--threshold", 1, "image", code=FAILED,
                says=f"{other.url}: it refused the connection")


@tap.test
def command_lines():
    """add: command lines that make no sense are refused before anybody is asked"""
    with volume(slot=False) as (server,), unchanged():
        add = ("key", "add", "--vmk-file", "vmk")
        for arguments, why in (
                ((*add, "--tang", "tang.example"), "does not begin with http://"),
                ((*add, "--tang", "https://tang"), "does not begin with http://"),
                ((*add, "--tang", f"{server.url},short"), "thumbprint"),
                ((*add, "--tang", server.url, "--tang", server.url), "named twice"),
                ((*add, "--tang", server.url, "--threshold", 2), "from 1 to 1"),
                ((*add, "--tang", server.url, "--threshold", 0), "from 1 to 1"),
                ((*add, "--tang", server.url, "--server-time", 0), "from 1 to 600"),
                ((*add, "--tang", server.url, "--type", "recovery"), "needs no --type"),
                ((*add, "--tang", server.url, "--kdf", "hkdf"), "takes no --kdf"),
                ((*add, "--threshold", 2), "is for network slots"),
                ((*add, "--trust"), "is for network slots"),
                ((*add, *(f"--tang=http://tang{i}" for i in range(11))), "more than 10 times")):
            vck(*arguments, "image", code=USAGE, says=why)
        long = [f"--tang=http://{'a' * 100}{i}" for i in range(10)]
        vck(*add, *long, "image", code=REFUSED,
            says="need 4648 bytes, and a key slot has room for 4096")
        assert server.connections == 0


@tap.test
def lists():
    """list: which servers, how many are needed, and their keys"""
    with volume(2, threshold=1) as servers:
        told = vck("key", "list", "image", says="1 of 2 servers")
        assert all(f"{server.url},{server.thumbprint()}" in told for server in servers)
        found = json.loads(vck("key", "list", "--json", "image"))["slots"][0]
        assert found["type"] == "network" and found["threshold"] == 1
        assert found["servers"] == [
            {"url": server.url, "signing_key": server.thumbprint(),
             "exchange_key": server.thumbprint_of(server.find("ECMR")[0])} for server in servers]


@tap.test
def beside_other_slots():
    """a passphrase beside the servers: what is typed or read goes first, servers before questions"""
    with volume() as (server,):
        vck("key", "add", "--new-key-file", "passphrase", "--kdf", "pbkdf2", "--kdf-passes", 210000,
            "image", says="slot 1 is made")
        assert server.connections == 2, "the servers gave the key to add with"
        vck("key", "test", "--key-file", "passphrase", "image", says="slot 1 \\(passphrase\\)")
        vck("key", "test", "--slot", 1, "image", code=USAGE, says="--key-file")
        assert server.connections == 2
        vck("key", "remove", "--slot", 1, "image", says="removed")
        with unchanged():
            vck("key", "remove", "--slot", 0, "image", code=REFUSED, says="last one")
        server.close()
        does_not_open("refused the connection")


@tap.test
def unattended():
    """attach: the servers are all that is needed, and without them nothing is attached"""
    with volume(2, threshold=1) as servers:
        if not VCKD:
            raise tap.Skip("no vckd here")
        with daemon():
            servers[0].close()
            vck("attach", "--socket", "control.sock", "image", says="is attached")
            vck("key", "test", "image", says="slot 0")
            vck("detach", "--socket", "control.sock", "image")
            servers[1].close()
            with unchanged():
                vck("attach", "--socket", "control.sock", "image", code=WRONG_KEY,
                    says="0 of 2 servers gave their share")
            assert json.loads(vck("list", "--json", "--socket", "control.sock")) == []


@tap.test
def open_by_device_mapper():
    """open: the servers are all that is needed"""
    with volume() as (server,):
        with unchanged():
            vck("open", "--dry-run", "image", "name", says="linear")
            server.close()
            vck("open", "--dry-run", "image", "name", code=WRONG_KEY, says="refused the connection")


@tap.test
def rotation():
    """rotate: the slot keeps its servers and holds the new key; without them it goes only by force"""
    with volume(2, threshold=2) as servers:
        vck("key", "rotate", "image", says="new volume master key")
        record, volume_id = slot()
        answers = {i + 1: server.private() for i, server in enumerate(servers)}
        vmk = record.open(volume_id, oracle.Binding(record.payload).secret(answers))
        assert vmk is not None and vmk != VMK
        opens()
        private("vmk2", vmk)
        servers[1].close()
        with unchanged():
            vck("key", "rotate", "--vmk-file", "vmk2", "image", code=REFUSED,
                says="slot 0 \\(network\\) cannot be given the new key")
        vck("key", "rotate", "--vmk-file", "vmk2", "--force", "--new-vmk", "vmk3", "image",
            says="slot 0 is removed")


@tap.test
def names():
    """a host by its name, and another of its addresses where nobody listens at the first"""
    with volume(slot=False) as (server,):
        server.url = f"http://localhost:{server.port}/"
        bind([server])
        assert oracle.Binding(slot()[0].payload).servers[0].url == server.url
        opens()


tap.main()
