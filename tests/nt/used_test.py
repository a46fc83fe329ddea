#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vck encrypt --used-only of vck.exe under Wine: a file system that answers as Windows' do, on a test
disk. What it uses is ciphertext afterwards, what it does not is as it was, and everything that it
uses or that was written reads right; then the volume is read on this system."""
import contextlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "tests/nt")]
import tap  # noqa: E402
import testdisk as td  # noqa: E402
import volume as v  # noqa: E402
from volume import LAB, SIZE, new_disk  # noqa: E402

QUERY_SNAPSHOTS = 0x530018
MIB = td.MIB
DATA = SIZE - 2 * v.METADATA_BYTES
GRANULE, GAP_GRANULES = 65536, 16  # how closely the driver looks, and what is worth leaving out
NOT_FOUND, REFUSED = 3, 9


def exe(*arguments, code=0, says=None):
    """Runs vck.exe, expects the exit code and, with says, these words."""
    done = LAB.run("vck.exe", *map(str, arguments), check=False, seconds=300)
    text = done.out + done.err
    assert done.code == code, f"{arguments}: {done.code}: {text}"
    assert says is None or says in text, f"{arguments}: {text}"
    return text


def make_plain():
    """Each sector of the data says where it is."""
    return bytearray(b"".join(n.to_bytes(8, "little") * 64 for n in range(DATA // 512)))


class FileSystem:
    """Of clusters of so many sectors, of which some are in use, given as pairs of bytes."""

    def __init__(self, name, first_sector, cluster_sectors, behind_sectors, used, sector_bytes=512):
        self.name, self.sector_bytes = name, sector_bytes
        self.first_sector, self.cluster_sectors = first_sector, cluster_sectors
        self.cluster_bytes = cluster_sectors * sector_bytes
        self.first_bytes = first_sector * sector_bytes
        self.clusters = (DATA // sector_bytes - first_sector - behind_sectors) // cluster_sectors
        self.end_bytes = self.first_bytes + self.clusters * self.cluster_bytes
        self.bits = bytearray((self.clusters + 7) // 8)
        self.used = [(0, self.first_bytes), (self.end_bytes, DATA)]
        for first, end in used:
            self._use((first - self.first_bytes) // self.cluster_bytes,
                      -(-(end - self.first_bytes) // self.cluster_bytes))

    def _use(self, first, end):
        """Clusters."""
        for cluster in range(first, end):
            self.bits[cluster // 8] |= 1 << cluster % 8
        self.used.append((self.first_bytes + first * self.cluster_bytes,
                          self.first_bytes + end * self.cluster_bytes))

    def mount(self, disk, **words):
        disk.call("mount", **{
            "name": self.name, "sector_bytes": self.sector_bytes, "clusters": self.clusters,
            "cluster_sectors": self.cluster_sectors, "first_sector": self.first_sector,
            "data": bytes(self.bits).hex(), **words})


def gaps_between(used):
    """The ranges that are left out, in bytes."""
    granules = bytearray(-(-DATA // GRANULE))
    for first, end in used:
        for granule in range(first // GRANULE, -(-end // GRANULE)):
            granules[granule] = 1
    found, at = [], 0
    while at < len(granules):
        end = at
        while end < len(granules) and not granules[end]:
            end += 1
        if end - at >= GAP_GRANULES:
            found.append((at * GRANULE, min(end * GRANULE, DATA)))
        at = max(end, at + 1)
    return found


class Check:
    """What is expected of a volume."""

    def __init__(self, disk, footers):
        self.disk, self.plain = disk, make_plain()
        self.data_at = 0 if footers else 2 * v.METADATA_BYTES
        self.gaps, self.written = [], []
        Path("plain").write_bytes(self.plain)
        disk.put("plain", offset_bytes=self.data_at)

    def write(self, at, size=3072):
        data = at.to_bytes(4, "big") * (size // 4)
        assert self.disk.write(at, data)["status"] == 0
        assert self.disk.read(at, size)["data"] == data
        self.plain[at:at + size] = data
        self.written.append((at, at + size))

    def known(self):
        """The ranges whose data must be there: all but the gaps, and what was written to them."""
        at, found = 0, list(self.written)
        for first, end in [*self.gaps, (DATA, DATA)]:
            found.append((at, first))
            at = end
        return found

    def reads(self, path):
        shown = Path(path).read_bytes()
        for first, end in self.known():
            assert shown[first:end] == self.plain[first:end], (path, first, end)

    def raw(self, path, before):
        """What the disk holds: ciphertext, or what was there before."""
        raw = Path(path).read_bytes()[self.data_at:self.data_at + DATA]
        known = bytearray(DATA // 512)
        for first, end in self.known():
            known[first // 512:end // 512] = b"\1" * (end // 512 - first // 512)
        for number, is_known in enumerate(known):
            at = slice(number * 512, number * 512 + 512)
            if is_known:
                assert raw[at] not in (self.plain[at], before[at]), number
            else:
                assert raw[at] == before[at], number


def read_here(path):
    """The volume is right for vck of this system, and its data comes back."""
    v.host_vck("check", "--vmk-file", "key", path, code=0)
    with v.Daemon() as daemon:
        daemon.vck("attach", "--vmk-file", "key", path)
        daemon.vck("decrypt", path)
        daemon.vck("detach", path)


def encrypt_what_is_used(system, footers):
    """Under writes: held in the batch of what is used at 9 MiB, with gaps before and behind."""
    with new_disk(attach=False, footers=footers, sector_bytes=system.sector_bytes) as disk:
        check = Check(disk, footers)
        before = bytes(check.plain)
        system.mount(disk, piece_bytes=96)
        exe("attach", "--vmk-file", Path("key").resolve(), disk.path)
        disk.fault(ops=td.WRITE, is_stall=1, first_byte=check.data_at + 9 * MIB,
                   end_byte=check.data_at + 10 * MIB)
        disk.stats()
        said = exe("encrypt", "--used-only", "--no-wait", disk.path, says="stays readable")
        assert f"its {system.name} uses" in said and "encrypting" in said, said
        assert disk.stats()["flushes"] >= 2
        # It has moved over the gap before that.
        disk.volume.wait_until(lambda status: status["encrypted_sector"] *
                               status["sector_size"] > 8 * MIB)
        check.write(4 * MIB + 4096, 4096)
        check.write(25 * MIB, 8192)
        disk.clear()
        status = disk.volume.wait_encrypted()
        check.gaps = gaps_between(system.used + [(25 * MIB, 25 * MIB + 8192)])
        assert status["used_only"] and len(check.gaps) > 3, status
        assert status["skipped_sectors"] * status["sector_size"] == sum(
            end - first for first, end in check.gaps), (status, check.gaps)
        check.write(15 * MIB, 12288)
        for attached_again in (False, True):
            if attached_again:
                exe("attach", "--vmk-file", Path("key").resolve(), disk.path)
                assert not disk.volume.status()["used_only"]
            disk.copy("shown")
            check.reads("shown")
            disk.get("raw")
            check.raw("raw", before)
            exe("detach", disk.path)
    if footers:
        read_here("raw")
        check.reads("raw")


for of, with_footers in (
        (FileSystem("NTFS", 0, 8, 1, [(0, MIB), (9 * MIB, 11 * MIB), (20 * MIB, 20 * MIB + 1)]),
         True),
        (FileSystem("FAT32", 1031, 4, 3, [(MIB, MIB + 1), (9 * MIB, 10 * MIB),
                                          (22 * MIB, 22 * MIB + 3000)]), True),
        (FileSystem("exFAT", 256, 3, 2, [(3 * MIB // 2, 2 * MIB), (9 * MIB, 10 * MIB),
                                         (18 * MIB, 18 * MIB + 1)], 4096), False)):
    tap.add(f"{of.name} is encrypted as far as it is used, under writes, and the rest is left alone",
            encrypt_what_is_used, of, with_footers)


@contextlib.contextmanager
def nothing_changes(disk):
    disk.get("before")
    yield
    disk.get("after")
    assert Path("before").read_bytes() == Path("after").read_bytes()
    status = disk.volume.status()
    assert status["encrypted_sector"] == 0 and status["state"] == v.IDLE, status


@tap.test
def refused():
    """who cannot say what is used, contradicts itself or has shadow copies is refused"""
    used = [(0, MIB), (9 * MIB, 10 * MIB)]
    ntfs = FileSystem("NTFS", 0, 8, 1, used)
    empty = FileSystem("NTFS", 0, 8, 1, used[1:])
    fat = FileSystem("FAT", 64, 8, 1, [(MIB, 2 * MIB)])
    cases = ((None, {}, "holds no file system whose free space is known"),
             (FileSystem("ReFS", 0, 8, 1, used), {}, "holds no file system whose free space"),
             (ntfs, {"status": td.INVALID_REQUEST}, "the NTFS of {} does not say what it uses"),
             (fat, {"status": td.IO_DEVICE_ERROR}, "the FAT of {} does not say what it uses"),
             (ntfs, {"cluster_sectors": 9}, "the NTFS of {} is larger than the volume"),
             (fat, {"first_sector": 1 << 62}, "the FAT of {} is larger than the volume"),
             (fat, {"sector_bytes": 0}, "the FAT of {} is larger than the volume"),
             (empty, {}, "the NTFS of {} contradicts itself in its bitmap"),
             (ntfs, {"snapshot_bytes": 90}, "{} has shadow copies"),
             (ntfs, {"snapshot_bytes": 9000}, "{} has shadow copies"))
    with new_disk(attach=False) as disk:
        exe("encrypt", "--used-only", disk.path, code=NOT_FOUND, says="is not attached")
        disk.volume.attach()
        for system, words, says in cases:
            disk.call("mount")
            if system:
                system.mount(disk, **words)
            with nothing_changes(disk):
                said = exe("encrypt", "--used-only", disk.path, code=REFUSED,
                           says=says.format(disk.path))
            assert "without --used-only" in said, said
        ntfs.mount(disk, snapshot_bytes=2)  # volsnap is there, and has none
        disk.fault(ops=td.IOCTL, code=QUERY_SNAPSHOTS, count=1, status=td.IO_DEVICE_ERROR)
        with nothing_changes(disk):
            exe("encrypt", "--used-only", disk.path, code=REFUSED, says="cannot find out whether")
        exe("encrypt", "--used-only", disk.path, says="of it left out")
        assert disk.volume.status()["skipped_sectors"] > 0
        exe("encrypt", "--used-only", disk.path, says="encrypted already")


def not_flushed(skip):
    with new_disk() as disk:
        FileSystem("NTFS", 0, 8, 1, [(0, MIB)]).mount(disk)
        disk.fault(ops=td.FLUSH, skip=skip, count=1, status=td.IO_DEVICE_ERROR)
        with nothing_changes(disk):
            exe("encrypt", "--used-only", disk.path, code=1, says="cannot flush")


for number, when in enumerate(("before", "after")):
    tap.add(f"a file system that cannot be flushed {when} it is asked is refused", not_flushed, number)


@tap.test
def recorded_from_the_start():
    """what kernel threads write from RECORD_USED on is encrypted and right, in the sweep, too"""
    with new_disk() as disk:
        recording = disk.volume.request("RECORD_USED")["recording"]
        disk.fill(offset_bytes=8 * MIB, size_bytes=8 * MIB)
        for wrong, status in ((recording ^ 1, v.NOT_FOUND), (recording, v.OK)):
            assert disk.volume.refusal("ADD_USED", recording=wrong, ranges=bytes(16)) == status
        beyond = (DATA).to_bytes(8, "little") + (1).to_bytes(8, "little")
        assert disk.volume.refusal("ADD_USED", recording=recording, ranges=beyond) not in (
            v.OK, v.NOT_FOUND)
        disk.volume.rate(20)
        disk.volume.request("START_ENCRYPT_USED", recording=recording)
        disk.random(2000, max_bytes=32768)
        disk.volume.rate(0)
        status = disk.volume.wait_encrypted()
        assert status["skipped_sectors"] * 512 == DATA - 8 * MIB, status
        disk.check()
        disk.volume.detach()
        disk.volume.attach()
        disk.check()


v.main()
