# SPDX-License-Identifier: Apache-2.0
"""Volumes of vck.sys on test disks: the control protocol from Python, and what tests share."""
import contextlib
import json
import os
import struct
import subprocess
import time
from pathlib import Path

import msgpack

import tap
import testdisk as td

CODES = {
    "GET_STATUS": 0x00226000, "START_ENCRYPT": 0x0022A004, "START_DECRYPT": 0x0022A008,
    "GET_PROGRESS": 0x0022600C, "PAUSE": 0x0022A010, "JVCK_ATTACH": 0x0022A014,
    "DETACH": 0x0022A018, "JVCK_PREPARE": 0x0022A01C, "PAUSE_OS_VOLUME": 0x0022A020,
    "DETACH_ALL_VOLUMES": 0x0022A024, "BENCH_AES": 0x00226028, "LIST_VOLUMES": 0x0022602C,
    "RESUME": 0x0022A030, "SET_RATE": 0x0022A034, "DAMAGE": 0x00226038, "LAST_ERROR": 0x0022603C,
    "CHANGE_KEYS": 0x0022A040, "ERASE_KEYS": 0x0022A044, "SUSPEND": 0x0022A048, "WAKE": 0x0022A04C,
    "RECORD_USED": 0x0022A050, "ADD_USED": 0x0022A054, "START_ENCRYPT_USED": 0x0022A058,
    "REKEY": 0x0022A060, "REKEY_BACK": 0x0022A064, "READ_METADATA": 0x0022A070,
}
SIZE = 32 * td.MIB
KEY = bytes(range(100, 132))
METADATA_BYTES = 128 << 10
IDLE, ENCRYPTING, DECRYPTING, PAUSED = range(4)

NOT_FOUND = 0xC0000225
BUSY = 0xC0000043
WRONG_KEY = 0xC000006A
PERMISSION_DENIED = 0xC0000022
NOT_ALL_CIPHERTEXT = 0xC000003E
OK = 0


def host_program():
    root = Path(__file__).resolve().parent.parent.parent
    program = Path(os.environ.get("VCK") or root / "build/release/products/vck/vck")
    if not program.is_file():
        raise tap.Skip(f"no {program}; VCK may name vck")
    return program


def host_vck(*arguments, code=0):
    """The command of this system on an image: its output."""
    done = subprocess.run([host_program(), *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
                          check=False)
    output = done.stdout.decode(errors="replace")
    assert done.returncode == code, f"vck {arguments}: {done.returncode}: {output}"
    return output


def make_image(path, size_bytes, footers=True, sector_bytes=512):
    """An image of zeroes that is a volume with two footers, or two headers, made on this system; a
    key beside it."""
    Path("key").write_bytes(KEY)
    os.chmod("key", 0o600)
    with open(path, "wb") as file:
        file.truncate(size_bytes)
    places = ["--headers", 0 if footers else 2, "--footers", 2 if footers else 0]
    host_vck("prepare", "--vmk-file", "key", "--metadata-size", METADATA_BYTES, "--sector-size",
             sector_bytes, *places, path)


def valid_requests(volume_path):
    """Requests of every kind about the volume: (code, message). Those that take long are rarer."""
    request = {"volume_path": volume_path}
    special = {"JVCK_PREPARE": {**request, "vmk": KEY, "use_footer": 2, "metadata_size": 131072},
               "JVCK_ATTACH": {**request, "vmk": KEY}, "SET_RATE": {**request, "mib_per_s": 500},
               "WAKE": {**request, "vmk": KEY},
               "CHANGE_KEYS": {**request, "base_generation": 0, "table": bytes(512)},
               "ADD_USED": {**request, "recording": 1, "ranges": bytes(32)},
               "START_ENCRYPT_USED": {**request, "recording": 1},
               "READ_METADATA": {**request, "offset_bytes": 0, "size_bytes": 512}}
    rare = {"JVCK_PREPARE", "DETACH", "DETACH_ALL_VOLUMES", "SUSPEND"}
    common = CODES.keys() - rare - {"BENCH_AES"}  # which may take a minute
    return [(CODES[name], msgpack.packb(special.get(name, request)))
            for name in [*rare, *common, *common]]


def write_corpus(path, volume_path):
    """The same as lines for the fuzz of programs."""
    Path(path).write_text("\n".join(f"{code:#x} {message.hex()}"
                                    for code, message in valid_requests(volume_path)))


def pack_messages(volume_path):
    """The same as words for the storm of kernel threads."""
    requests = valid_requests(volume_path)
    data = b"".join(struct.pack("<II", code, len(message)) + message for code, message in requests)
    return {"message_count": len(requests), "data": data.hex(), "driver": "\\Driver\\vck",
            "device": "\\Device\\Vck"}


class Daemon:
    """vckd of this system in the current folder."""

    def __enter__(self):
        program = os.environ.get("VCKD") or Path(host_program()).parent.parent / "vckd/vckd"
        with open("vckd.log", "wb") as log:
            self.process = subprocess.Popen(
                [program, "--foreground", "--socket", "control.sock", "--nbd", "nbd.sock"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        td.wait_until(lambda: self.process.poll() is not None or subprocess.run(
            [host_program(), "list", "--socket", "control.sock"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False).returncode == 0)
        assert self.process.poll() is None, Path("vckd.log").read_text()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(300)

    @staticmethod
    def vck(verb, *arguments):
        return host_vck(verb, "--socket", "control.sock", *arguments)

    def half_encrypted(self, path, rate=30):
        """Encrypts an attached volume and pauses beyond a quarter of it; a sweep that has ended
        before the pause came is taken back, and begins again slower."""
        def progress():
            status = json.loads(self.vck("status", "--json", path))
            return status["encrypted_sectors"] / status["total_sectors"]

        while True:
            self.vck("rate", path, rate)
            self.vck("encrypt", "--no-wait", path)
            td.wait_until(lambda: progress() > 0.25)
            self.vck("pause", path)
            if progress() < 1:
                return
            self.vck("decrypt", path)
            rate = max(1, rate // 4)


class Control:
    """The control device, through a client."""

    def __init__(self, client):
        self.client = client

    def request(self, name, _out=65536, **fields):
        message = msgpack.packb(fields) if fields else b""
        answer = self.client.control("Vck", CODES[name], message, _out)
        return msgpack.unpackb(answer) if answer else {}

    def refusal(self, name, **fields):
        """The NTSTATUS it is refused with; OK when it is not."""
        try:
            self.request(name, **fields)
        except td.Refused as refused:
            return refused.status
        return OK

    def volume(self, disk):
        return Volume(self, disk)


class Volume:
    """The volume on one disk, under the disk's device name."""

    def __init__(self, control, disk, path=None):
        self.control, self.disk, self.path = control, disk, path or disk.device

    def request(self, name, **fields):
        return self.control.request(name, volume_path=self.path, **fields)

    def refusal(self, name, **fields):
        return self.control.refusal(name, volume_path=self.path, **fields)

    def attach(self, **fields):
        return self.request("JVCK_PREPARE", **{"vmk": KEY, **fields})

    def status(self):
        return self.request("GET_STATUS")

    def progress(self):
        status = self.status()
        return status["encrypted_sector"], status["total_sectors"]

    def encrypt(self):
        self.request("START_ENCRYPT")

    def decrypt(self):
        self.request("START_DECRYPT")

    def pause(self):
        self.request("PAUSE")

    def resume(self):
        self.request("RESUME")

    def rekey(self):
        self.request("REKEY")

    def rekey_back(self):
        self.request("REKEY_BACK")

    def detach(self):
        self.request("DETACH")

    def rate(self, mib_per_s):
        self.request("SET_RATE", mib_per_s=mib_per_s)

    def wait_until(self, is_reached, seconds=300):
        """Until the status is as wanted; an error of the sweep ends the wait."""
        end = time.monotonic() + seconds
        while True:
            status = self.status()
            if is_reached(status):
                return status
            assert time.monotonic() < end and not status.get("error"), status
            time.sleep(0.02)

    def half_encrypted(self, part=0.3, rate=100, pause=None):
        """Encrypts and pauses beyond this part of the volume: the status. A sweep that has ended
        before the pause came is taken back, and begins again slower."""
        while True:
            self.rate(rate)
            self.encrypt()
            self.wait_beyond(part)
            (pause or self.pause)()
            status = self.status()
            if status["encrypted_sector"] < status["total_sectors"]:
                assert status["state"] == PAUSED, status
                return status
            self.rate(0)
            self.decrypt()
            self.wait_decrypted()
            rate = max(1, rate // 4)

    def half_rekeyed(self, part=0.3, rate=50, begin=None):
        """The same with an exchange of the data key; one that has ended is followed by another."""
        while True:
            self.rate(rate)
            (begin or self.rekey)()
            self.wait_rekeyed_beyond(part)
            self.pause()
            status = self.status()
            if status["rekeying"]:
                assert status["state"] == PAUSED, status
                assert 0 < status["rekeyed_sector"] < status["total_sectors"], status
                return status
            rate = max(1, rate // 4)

    def wait_encrypted(self):
        return self.wait_until(lambda s: s["state"] == IDLE and
                               s["encrypted_sector"] == s["total_sectors"])

    def wait_decrypted(self):
        return self.wait_until(lambda s: s["state"] == IDLE and s["encrypted_sector"] == 0)

    def wait_beyond(self, part):
        """Until the boundary is beyond this part (0..1) of the volume."""
        return self.wait_until(lambda s: s["encrypted_sector"] > part * s["total_sectors"])

    def wait_rekeyed(self):
        """Until no exchange of the data key is under way."""
        return self.wait_until(lambda s: s["state"] == IDLE and not s["rekeying"])

    def wait_rekeyed_beyond(self, part):
        """Until the exchange is beyond this part of the volume, or has ended."""
        return self.wait_until(lambda s: not s["rekeying"] or
                               s["rekeyed_sector"] > part * s["total_sectors"])

    def wait_below(self, part):
        return self.wait_until(lambda s: s["encrypted_sector"] < part * s["total_sectors"])


# ---- what the scripts share ----

@contextlib.contextmanager
def new_disk(number=0, size=SIZE, add=True, attach=True, footers=True, **shape):
    """A started disk with a filter; with attach, a volume on it. It goes as a device goes."""
    with td.Client(LAB) as client:
        disk = client.create(number, size_bytes=size, can_trim=1, **shape)
        disk.volume = Control(client).volume(disk)
        try:
            make_image("image", size, footers, shape.get("sector_bytes", 512))
            disk.put("image")
            if add:
                disk.add()
                assert disk.stack() == ["vck", "vcktestdisk"], disk.stack()
            assert disk.start() == 0
            if attach:
                disk.volume.attach()
            yield disk
        finally:
            disk.behave()
            disk.clear()
            disk.remove()
            assert disk.stack() == ["vcktestdisk"]
            disk.delete()


def load_meanwhile(disk, **words):
    """A kernel load beside the test: four threads, 32 in flight."""
    return td.Background(LAB, lambda client: disk.on(client).random(
        **{"min_bytes": 512, "max_bytes": 65536, "flush_every": 200, **words}))


def main():
    td.main(LAB, "vckverify", "vcktestdisk", "vck")


LAB = td.make_lab()
