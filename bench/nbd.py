#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Throughput over NBD on tmpfs: vckd with an encrypted volume, nbdkit's file plugin without
encryption, and nbdkit with its LUKS filter. Peers take turns; ratios are medians over rounds."""
import os
import subprocess
import sys

from common import MIB, fio, main, median, row
from lab import Lab, die_with_parent, wait_until

WORKLOADS = (  # name, mode, block bytes, depth
    ("sequential read 256 KiB", "read", 256 << 10, 16),
    ("sequential write 256 KiB", "write", 256 << 10, 16),
    ("random read 4 KiB", "randread", 4096, 16),
    ("random write 4 KiB", "randwrite", 4096, 16),
)
TARGETS = {  # against nbdkit file, against the LUKS filter
    "read": (0.75, 1.8), "write": (0.75, 2.6), "randread": (0.9, None), "randwrite": (0.9, None),
}


def serve(lab, name, *arguments):
    """An nbdkit server of its own; its URI."""
    socket = lab.directory / f"{name}.sock"
    subprocess.Popen(["nbdkit", "-f", "-U", str(socket), *map(str, arguments)],
                     stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    wait_until(socket.exists, f"nbdkit {name}")
    return f"nbd+unix:///?socket={socket}"


def make_luks(path, secret, size):
    """qemu-img times its key derivation and gives up where the clock of the CPU is too coarse for
    it, which is chance: a few tries."""
    command = ["qemu-img", "create", "-q", "-f", "luks", "--object", f"secret,id=s,file={secret}",
               "-o", "key-secret=s,iter-time=100", str(path), str(size)]
    for _ in range(9):
        if subprocess.run(command, stdin=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0:
            return
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def peers(lab, size):
    """{name: URI}; every byte is written, so that tmpfs has its pages."""
    uris = {}
    plain = lab.directory / "plain.img"
    with open(plain, "wb") as file:
        file.truncate(size)
    uris["plain"] = serve(lab, "plain", "file", plain)

    luks, secret = lab.directory / "luks.img", lab.directory / "secret"
    secret.write_text("measured")
    make_luks(luks, secret, size)
    uris["luks"] = serve(lab, "luks", "--filter=luks", "file", luks, f"passphrase=+{secret}")

    image, key = lab.directory / "vck.img", lab.directory / "key"
    with open(image, "wb") as file:
        file.truncate(size)
    lab.prepare(image, key, "--grow")
    lab.start()
    lab.attach(image, key)
    lab.vck("encrypt", "--no-wait", image)
    lab.wait_swept(image, "encrypt")
    uris["vckd"] = lab.uri(image)
    for uri in uris.values():
        fio(uri, "write", 1 << 20, 8, size_bytes=size)
    return uris


def measure(build_dir, quick=False):
    size, rounds, seconds = (256 * MIB, 3, 1) if quick else (1024 * MIB, 7, 2)
    rates = {}
    directory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with Lab(build_dir, prefix="vck-bench-", directory=directory) as lab:
        uris = peers(lab, size)
        for turn in range(rounds):
            for name, mode, block, depth in WORKLOADS:
                for peer, uri in uris.items():
                    limit = {"seconds": seconds, "size_bytes": size} if "rand" in mode else {
                        "size_bytes": size}
                    result = fio(uri, mode, block, depth, seed=turn + 1, **limit)
                    rates.setdefault((mode, peer), []).append(result["bw_bytes"])
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    rows = []
    for name, mode, block, _ in WORKLOADS:
        detail = {f"{peer}_gb_s": median(rates[mode, peer]) / 1e9 for peer in uris}
        for against, peer, target in (("nbdkit file", "plain", TARGETS[mode][0]),
                                      ("nbdkit --filter=luks", "luks", TARGETS[mode][1])):
            ratio = median([a / b for a, b in zip(rates[mode, "vckd"], rates[mode, peer])])
            rows.append(row(f"NBD {name}", against, ratio, target=target, **detail))
    return rows


if __name__ == "__main__":
    main(measure)
