# SPDX-License-Identifier: Apache-2.0
"""A small NBD client over a Unix socket with many requests in flight.

Source: the NBD protocol document, fixed newstyle negotiation with NBD_OPT_GO and simple replies.
"""
import select
import socket
import struct

OPTION_MAGIC = 0x49484156454F5054
REPLY_MAGIC = 0x3E889045565A9
REQUEST, SIMPLE_REPLY = 0x25609513, 0x67446698
OPT_GO, REP_ACK, REP_INFO, INFO_EXPORT = 7, 1, 3, 0
READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES = 0, 1, 2, 3, 4, 6
FUA = 1
CAN_FUA, CAN_TRIM = 1 << 3, 1 << 5


class NbdError(Exception):
    """The connection is gone, or the server refused."""


class NbdClient:
    """Requests are sent with send_*, their ends collected with collect(); each has a callback
    done(error, data). A lost connection raises NbdError from any call."""

    def __init__(self, path, export):
        self.socket = socket.socket(socket.AF_UNIX)
        self.pending = {}
        self.next_cookie = 1
        try:
            self.socket.connect(str(path))
            self._negotiate(export.encode())
        except (OSError, struct.error) as e:
            self.socket.close()
            raise NbdError(str(e)) from None

    def close(self):
        try:
            self.socket.sendall(struct.pack(">IHHQQI", REQUEST, 0, DISCONNECT, 0, 0, 0))
        except OSError:
            pass
        self.socket.close()

    def _read_exactly(self, size):
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                got = self.socket.recv_into(view)
            except OSError as e:
                raise NbdError(str(e)) from None
            if not got:
                raise NbdError("the server closed the connection")
            view = view[got:]
        return bytes(data)

    def _send(self, *parts):
        try:
            for part in parts:
                self.socket.sendall(part)
        except OSError as e:
            raise NbdError(str(e)) from None

    def _negotiate(self, name):
        greeting, magic, flags = struct.unpack(">8sQH", self._read_exactly(18))
        if greeting != b"NBDMAGIC" or magic != OPTION_MAGIC:
            raise NbdError("not an NBD server")
        self._send(struct.pack(">I", flags & 3))
        body = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        self._send(struct.pack(">QII", OPTION_MAGIC, OPT_GO, len(body)), body)
        while True:
            _, _, kind, size = struct.unpack(">QIII", self._read_exactly(20))
            body = self._read_exactly(size)
            if kind == REP_INFO and struct.unpack(">H", body[:2])[0] == INFO_EXPORT:
                self.size_bytes, self.flags = struct.unpack(">QH", body[2:12])
            elif kind == REP_ACK:
                return
            elif kind & 0x80000000:
                raise NbdError(f"export refused: {body.decode(errors='replace')}")

    # ---- many in flight ----

    def in_flight(self):
        return len(self.pending)

    def _request(self, command, flags, offset, size, done, data=b""):
        cookie = self.next_cookie
        self.next_cookie += 1
        self.pending[cookie] = (done, size if command == READ else 0)
        self._send(struct.pack(">IHHQQI", REQUEST, flags, command, cookie, offset, size) + data)

    def send_read(self, offset, size, done):
        self._request(READ, 0, offset, size, done)

    def send_write(self, offset, data, done, fua=False):
        self._request(WRITE, FUA if fua else 0, offset, len(data), done, data)

    def send_flush(self, done):
        self._request(FLUSH, 0, 0, 0, done)

    def collect(self, seconds=0.1):
        """Handles the replies that are there, waiting at most so long for the first."""
        while self.pending and select.select([self.socket], [], [], seconds)[0]:
            magic, error, cookie = struct.unpack(">IIQ", self._read_exactly(16))
            if magic != SIMPLE_REPLY or cookie not in self.pending:
                raise NbdError("a reply that makes no sense")
            done, size = self.pending.pop(cookie)
            done(error, self._read_exactly(size) if size and not error else b"")
            seconds = 0

    # ---- one by one ----

    def _wait(self, send, *arguments, **options):
        result = []
        send(*arguments, lambda error, data: result.append((error, data)), **options)
        while not result:
            self.collect(10)
        if result[0][0]:
            raise NbdError(f"the request failed with error {result[0][0]}")
        return result[0][1]

    def read(self, offset, size):
        return self._wait(self.send_read, offset, size)

    def write(self, offset, data, fua=False):
        self._wait(self.send_write, offset, data, fua=fua)

    def flush(self):
        self._wait(self.send_flush)
