#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vck open and close on a kernel with device-mapper: what dm-crypt makes of volumes that were
written by tests/jvck_oracle.py and python3-cryptography, and what these read back."""
import hashlib
import os
import random
import sys
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]
import jvck_oracle as oracle  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

VCK = os.environ["VCK"]
MIB = 1 << 20
METADATA = 256 * 1024
VMK = b"the volume master key of the tests"
KEY1, KEY2 = bytes(range(32)), bytes(range(100, 132))
MODULES = ("virtio_pci", "virtio_blk", "dm-mod", "dm-crypt", "xts", "aesni_intel")


def crypt(data, sector_size, first, is_encrypting):
    out = b""
    for i in range(0, len(data), sector_size):
        tweak = (first + i // sector_size).to_bytes(16, "little")
        cipher = Cipher(algorithms.AES(KEY1 + KEY2), modes.XTS(tweak))
        step = cipher.encryptor() if is_encrypting else cipher.decryptor()
        out += step.update(data[i:i + sector_size])
    return out


class Volume:
    """An image whose first `encrypted` sectors of `data` are ciphertext."""

    def __init__(self, path, sector_size, share, damage=(), record=False):
        self.path, self.sector_size = path, sector_size
        size = 3 * METADATA + MIB
        (self.start, self.sectors, *blocks, self.half, self.journal, self.list,
         journal2, list2) = oracle.layout(size, sector_size, METADATA, 1, 2)
        self.data = random.Random(path).randbytes(self.sectors * sector_size)
        self.encrypted = int(self.sectors * share)
        block = oracle.Block(0, 0, METADATA, sector_size, 1, 2, uuid.uuid4().bytes, bytes(16),
                             bytes(192), self.encrypted, 0, 2, 7, True, KEY1, KEY2)
        boundary = self.encrypted * sector_size
        image = bytearray(size)
        begin = self.start * sector_size
        image[begin:begin + len(self.data)] = (
            crypt(self.data[:boundary], sector_size, 0, True) + self.data[boundary:])
        for number, lba in enumerate(blocks):
            block.salt = bytes([number + 1] * 16)
            image[lba * sector_size:lba * sector_size + 512] = block.encode(VMK)
        journal = oracle.Journal(block.volume_id, KEY1, KEY2)
        if damage:
            for at in (self.list, list2):
                image[at:at + 4096] = journal.damage(1, damage)
        if record:
            old = self.data[boundary:boundary + 8 * sector_size]
            text = journal.record(sector_size, (0, 1, 7, self.encrypted, 8, 512), old,
                                  crypt(old, sector_size, self.encrypted, True))
            for at in (self.journal, journal2):
                image[at:at + len(text)] = text
        Path(path).write_bytes(image)

    def read(self):
        """The data, decrypted by the oracle's means."""
        image = Path(self.path).read_bytes()
        begin, boundary = self.start * self.sector_size, self.encrypted * self.sector_size
        raw = image[begin:begin + len(self.data)]
        return crypt(raw[:boundary], self.sector_size, 0, False) + raw[boundary:]


def boot(script, volumes):
    try:
        return vm.boot(script, [VCK, "/bin/dd"], [(v.path, v.sector_size) for v in volumes], MODULES,
                       {"key": VMK, "wrong": b"another key"})
    except vm.Unavailable as reason:
        if os.environ.get("CI"):
            raise
        raise tap.Skip(str(reason)) from reason


@tap.test
def the_kernel_reads_and_writes_what_others_do():
    """plain, half and whole ciphertext, sectors of 512 and 4096 bytes: dm-crypt agrees"""
    volumes = [Volume(f"disk{i}", size, share)
               for i, (size, share) in enumerate([(512, 0), (512, 0.5), (512, 1), (4096, 0),
                                                  (4096, 0.37), (4096, 1)])]
    sectors = [v.sectors * v.sector_size // 512 for v in volumes]
    lines = boot("".join(f"""
        vck open /dev/vd{"abcdef"[i]} v{i} --vmk-file /key
        sha256sum < /dev/mapper/v{i}
        yes written | dd of=/dev/mapper/v{i} bs=4096 seek=40 count=120 2>/dev/null
        vck close v{i} && echo closed {i} && ls /dev/mapper
        """ for i in range(len(volumes))), volumes)
    expected = []
    for i, volume in enumerate(volumes):
        expected += [f"/dev/mapper/v{i}", hashlib.sha256(volume.data).hexdigest() + "  -",
                     f"closed {i}", "control"]
    assert lines == expected, "\n".join(lines)
    assert all(count == MIB // 512 for count in sectors)
    for volume in volumes:
        written = bytearray(volume.data)
        written[40 * 4096:160 * 4096] = (b"written\n" * 512) * 120
        assert volume.read() == written, volume.path


@tap.test
def lost_sectors_are_errors():
    """a sector of the damage list reads as an error, its neighbours as what they are"""
    volume = Volume("disk", 512, 0.5, damage=(5 * 512 + 256, 1500 * 512))
    lines = boot("""
        vck open /dev/vda v --vmk-file /key --read-only
        for sector in 4 5 6 1499 1500 1501; do
            /bin/dd if=/dev/mapper/v bs=512 skip=$sector count=1 iflag=direct 2>/dev/null | sha256sum
        done
        /bin/dd if=/dev/zero of=/dev/mapper/v bs=512 count=1 oflag=direct 2>/dev/null || echo refused
        vck close v
        """, [volume])
    nothing = hashlib.sha256(b"").hexdigest()
    expected = ["vck open: 2 lost chunks of /dev/vda will read as errors",
                "/dev/mapper/v"]
    for sector in (4, 5, 6, 1499, 1500, 1501):
        content = volume.data[sector * 512:sector * 512 + 512]
        is_lost = sector in (5, 1500)
        expected.append((nothing if is_lost else hashlib.sha256(content).hexdigest()) + "  -")
    assert lines == [*expected, "refused"], "\n".join(lines)


@tap.test
def what_cannot_be_opened_says_why():
    """wrong keys, cut sweeps, taken names, disks and devices in use: refused, nothing is left"""
    volumes = [Volume("disk0", 512, 0.5), Volume("disk1", 512, 0.5, record=True)]
    before = [Path(v.path).read_bytes() for v in volumes]
    lines = boot("""
        vck open /dev/vda v --vmk-file /wrong; echo $?
        vck open /dev/vdb v --vmk-file /key; echo $?
        vck close v; echo $?
        vck open /dev/vda v --vmk-file /key
        vck open /dev/vda w --vmk-file /key; echo $?
        vck open /dev/vdb v --vmk-file /key; echo $?
        sleep 1000 < /dev/mapper/v & vck close v; echo $?; kill $!; wait
        vck close /dev/mapper/v; echo $?
        vck open /dev/vda v --vmk-file /key --dry-run
        ls /dev/mapper
        """, volumes)
    zeroes = "0" * 128
    assert lines == [
        "vck open: /dev/vda: the key opens none of the replicas", "4",
        "vck open: the last sweep of /dev/vdb was cut short; vck attach repairs that", "6",
        "vck close: there is no /dev/mapper/v", "3",
        "/dev/mapper/v",
        "vck open: /dev/vda is mounted, part of another device, or open elsewhere: "
        "Device or resource busy; if it is attached, detach it first", "7",
        "vck open: there is a /dev/mapper/v already", "7",
        "vck close: /dev/mapper/v is in use by 1; unmount it first", "7",
        "0",
        f"0 1024 crypt aes-xts-plain64 {zeroes} 0 /dev/vda 512",
        "1024 1024 linear /dev/vda 1536",
        "control",
    ], "\n".join(lines)
    assert [Path(v.path).read_bytes() for v in volumes] == before


tap.main()
