#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vck open and close on a kernel with device-mapper: what dm-crypt makes of volumes that were
written by tests/jvck_oracle.py and python3-cryptography, and what these read back."""
import hashlib
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]
import tap  # noqa: E402
import vm  # noqa: E402
from disks import MIB, VMK, Volume  # noqa: E402

VCK = os.environ["VCK"]


def boot(script, volumes):
    return vm.boot_or_skip(script, [VCK, "/bin/dd"], [(v.path, v.sector_size) for v in volumes],
                           vm.DISK_MODULES, {"key": VMK, "wrong": b"another key, of 32 bytes or more."})


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
    """opened by a key slot, a lost sector reads as an error, its neighbours as what they are"""
    volume = Volume("disk", 512, 0.5, damage=(5 * 512 + 256, 1500 * 512))
    lines = boot("""
        vck key add /dev/vda --vmk-file /key --new-key-file /wrong --type key-file --kdf hkdf
        vck open /dev/vda v --key-file /wrong --read-only
        for sector in 4 5 6 1499 1500 1501; do
            /bin/dd if=/dev/mapper/v bs=512 skip=$sector count=1 iflag=direct 2>/dev/null | sha256sum
        done
        /bin/dd if=/dev/zero of=/dev/mapper/v bs=512 count=1 oflag=direct 2>/dev/null || echo refused
        vck close v
        """, [volume])
    nothing = hashlib.sha256(b"").hexdigest()
    expected = [lines[0], "vck open: 2 lost chunks of /dev/vda will read as errors",
                "/dev/mapper/v"]
    for sector in (4, 5, 6, 1499, 1500, 1501):
        content = volume.data[sector * 512:sector * 512 + 512]
        is_lost = sector in (5, 1500)
        expected.append((nothing if is_lost else hashlib.sha256(content).hexdigest()) + "  -")
    assert lines == [*expected, "refused"], "\n".join(lines)


@tap.test
def a_batch_that_was_cut():
    """an open record is carried out before the volume is mapped, at the boundary it leads to"""
    volume = Volume("disk", 512, 0.5, record=True)
    lines = boot("""
        vck open /dev/vda v --vmk-file /key
        sha256sum < /dev/mapper/v
        vck close v
        vck open /dev/vda v --vmk-file /key --dry-run | cut -d' ' -f1-3
        """, [volume])
    volume.encrypted += 8
    assert lines == ["/dev/mapper/v", hashlib.sha256(volume.data).hexdigest() + "  -",
                     f"0 {volume.encrypted} crypt",
                     f"{volume.encrypted} {volume.sectors - volume.encrypted} linear"], lines
    assert volume.read() == volume.data


@tap.test
def what_cannot_be_opened_says_why():
    """wrong keys, cut sweeps, taken names, disks and devices in use: refused, nothing is left"""
    volumes = [Volume("disk0", 512, 0.5), Volume("disk1", 512, 0.5, record=True)]
    before = [Path(v.path).read_bytes() for v in volumes]
    lines = boot("""
        vck open /dev/vda v --vmk-file /wrong; echo $?
        vck open /dev/vdb v --vmk-file /key --read-only; echo $?
        vck close v; echo $?
        vck open /dev/vda v --vmk-file /key
        vck open /dev/vda w --vmk-file /key; echo $?
        vck open /dev/vdb v --vmk-file /key; echo $?
        exec 3< /dev/mapper/v; vck close v; echo $?; exec 3<&-
        vck close /dev/mapper/v; echo $?
        vck open /dev/vda v --vmk-file /key --dry-run
        ls /dev/mapper
        """, volumes)
    zeroes = "0" * 128
    assert lines == [
        "vck open: /dev/vda: the key opens none of the replicas", "4",
        "vck open: the last sweep of /dev/vdb was cut short; opening it for writing carries out the "
        "rest of what was begun", "6",
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
