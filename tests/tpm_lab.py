# SPDX-License-Identifier: Apache-2.0
"""A TPM 2.0 of its own (swtpm) behind a socket, for programs that take a TCTI of tpm2-tss, and
tpm2-tools on it. Run as a program with the socket's name, and options of relay, it is the way
there: what comes in on standard input goes to the TPM, and back."""
import hashlib
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import key_oracle  # noqa: E402

GET_CAPABILITY, FLUSH_CONTEXT, HANDLES = 0x17a, 0x165, 1


def message(read):
    """One command or response, or nothing at the end; read gives up to so many bytes."""
    data = b""
    while len(data) < 10 or len(data) < struct.unpack_from(">I", data, 2)[0]:
        more = read(4096)
        if not more:
            return b""
        data += more
    return data


def relay(path, flip=None, log=None):
    """flip CODE:PLACE changes a bit of the responses to the command, at this byte; log gets all
    that passes."""
    code, place = (int(n, 0) for n in flip.split(":")) if flip else (None, 0)
    with socket.socket(socket.AF_UNIX) as connection, \
            open(log or os.devnull, "ab", buffering=0) as record:
        connection.connect(path)
        while command := message(lambda size: os.read(0, size)):
            connection.sendall(command)
            response = bytearray(message(connection.recv))
            if struct.unpack_from(">I", command, 6)[0] == code and response[6:10] == bytes(4):
                response[place] ^= 1
            record.write(command + response)
            os.write(1, response)


def sized(data):
    return struct.pack(">H", len(data)) + data


def pin_auth(pin):
    """The authorization value of an object with a PIN."""
    return hashlib.sha256(pin.encode()).digest().rstrip(b"\0")


def is_listening(path):
    """Whether somebody who connects to this Unix socket is taken: it exists before it listens."""
    accepts_connections = 0x10000
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if fields[7:] == [str(path)] and int(fields[3], 16) & accepts_connections:
            return True
    return False


def wait_for_socket(path, process):
    while not is_listening(path):
        assert process.poll() is None, f"{process.args[0]} does not start"
        time.sleep(0.02)


class Tpm:
    """Started, with nothing in it; ends with the with statement."""

    def __init__(self, directory):
        self.directory = Path(directory).absolute()
        self.directory.mkdir(exist_ok=True)
        self.socket = self.directory / "socket"
        self.tcti = self.way()
        self.process = None
        self.start()

    def way(self, *options):
        """The TCTI, by a relay with options."""
        return " ".join(map(str, ("cmd:exec", sys.executable, Path(__file__).absolute(), self.socket,
                                  *options)))

    def start(self):
        """Again after stop: as a machine that was switched off and on."""
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.directory}", "--server",
             f"type=unixio,path={self.socket}", "--flags", "not-need-init,startup-clear"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_for_socket(self.socket, self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait(300)
        self.process.stdout.close()
        self.socket.unlink(missing_ok=True)

    def tool(self, name, *arguments, fails=False):
        """A tool of tpm2-tools; what it prints."""
        done = subprocess.run([f"tpm2_{name}", *map(str, arguments)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
                              cwd=self.directory, env={**os.environ, "TPM2TOOLS_TCTI": self.tcti})
        output = done.stdout.decode(errors="replace")
        assert (done.returncode != 0) == fails, f"tpm2_{name} {arguments}: {output}"
        return output

    def send(self, *commands):
        """Sends commands (code, parameters) without sessions, and gives what comes back."""
        answers = []
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            for code, parameters in commands:
                connection.sendall(struct.pack(">HII", 0x8001, 10 + len(parameters), code) +
                                   parameters)
                answer = message(connection.recv)
                assert answer, "the TPM is gone"
                assert answer[6:10] == bytes(4), (hex(code), answer.hex())
                answers.append(answer[10:])
        return answers

    def loaded(self):
        """Handles of what is loaded: objects and sessions, saved ones, too."""
        handles = []
        for answer in self.send(*((GET_CAPABILITY, struct.pack(">III", HANDLES, first, 64))
                                  for first in (0x80000000, 0x02000000, 0x03000000))):
            count = struct.unpack_from(">BII", answer)[2]
            handles += struct.unpack_from(f">{count}I", answer, 9)
        return handles

    def flush(self):
        """Tools leave what they loaded in a TPM that nobody manages."""
        self.send(*((FLUSH_CONTEXT, struct.pack(">I", handle)) for handle in self.loaded()))

    def make_primary(self):
        """The storage key by the template of the format, as primary.ctx; its public area."""
        (self.directory / "unique").write_bytes(2 * (struct.pack("<H", 32) + bytes(128)))
        self.tool("createprimary", "-C", "o", "-G", "ecc256:aes128cfb", "-g", "sha256", "-a",
                  "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt",
                  "-u", "unique", "-c", "primary.ctx")
        self.tool("readpublic", "-c", "primary.ctx", "-o", "primary.pub")
        self.flush()
        return (self.directory / "primary.pub").read_bytes()[2:]

    def seal(self, secret, values, pin=None):
        """The payload of a slot whose object tpm2-tools made, sealed to {PCR: value}."""
        public = self.make_primary()
        head = key_oracle.Sealed(key_oracle.make_sealed(0 if pin is None else 1, values, bytes(32),
                                                        b"", b""))
        (self.directory / "policy").write_bytes(head.policy())
        (self.directory / "plain").write_bytes(secret)
        auth = () if pin is None else ("-p", "hex:" + pin_auth(pin).hex())
        self.tool("create", "-C", "primary.ctx", "-i", "plain", "-L", "policy", "-g", "sha256",
                  "-a", "fixedtpm|fixedparent" + ("" if pin else "|noda"), *auth, "-u", "made.pub",
                  "-r", "made.priv")
        self.flush()
        made = [(self.directory / f"made.{part}").read_bytes()[2:] for part in ("pub", "priv")]
        return key_oracle.make_sealed(head.flags, values, hashlib.sha256(public).digest(), *made)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


if __name__ == "__main__":
    relay(sys.argv[1], **dict(option.split("=", 1) for option in sys.argv[2:]))
