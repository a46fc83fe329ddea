#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is installed into a folder is complete and works from there."""
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import daemon_lab  # noqa: E402
import tap  # noqa: E402

BUILD = os.environ["BUILD"]


def install():
    """The tree below the prefix, and all files below the root of the installation."""
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir",
                    Path("root").resolve()], check=True, stdout=subprocess.PIPE, timeout=300)
    files = [file for file in Path("root").rglob("*") if file.is_file()]
    prefix = next(file for file in files if file.parts[-2:] == ("bin", "vck")).parent.parent
    return prefix.resolve(), {str(file.resolve().relative_to(prefix.resolve()))
                              for file in files if prefix in file.parents}


@tap.test
def is_complete():
    """programs, manual pages, completions and the unit are there, and agree on their places"""
    prefix, files = install()
    expected = {"bin/vck", "sbin/vckd", "sbin/vck-prot", "share/man/man1/vck.1",
                "share/man/man8/vckd.8", "share/man/man8/vck-prot.8", "share/man/man8/vckboot.8",
                "share/bash-completion/completions/vck", "share/zsh/site-functions/_vck",
                "lib/systemd/system/vckd.service"}
    assert expected <= files, expected - files
    for name in ("etc/kernel/postinst.d/zz-vck", "etc/kernel/postrm.d/zz-vck",
                 "etc/initramfs/post-update.d/zz-vck", "usr/lib/kernel/install.d/95-vck.install"):
        assert os.access(Path("root") / name, os.X_OK), name
    unit = (prefix / "lib/systemd/system/vckd.service").read_text()
    started = re.search(r"^ExecStart=(\S+)$", unit, re.MULTILINE)[1]
    assert str(prefix / "sbin/vckd").endswith(started), started
    if shutil.which("systemd-analyze"):
        copy = Path("vckd.service")
        copy.write_text(unit.replace(started, str(prefix / "sbin/vckd")))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy.resolve()],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120)
        assert "vckd.service" not in done.stdout, done.stdout


@tap.test
def library():
    """a program is built against the installed headers and library alone, and runs"""
    prefix, files = install()
    pc = next(prefix / file for file in files if file.endswith("/vck.pc"))
    Path("program.c").write_text("""
#include <stdio.h>
#include "port/port.h"
#include "vck/sha256.h"

int main(void)
{
    unsigned char digest[VCK_SHA256_BYTES];
    vck_sha256("abc", 3, digest);
    printf("%02x %d\\n", digest[0], vck_clock_ns() != 0);
    return 0;
}
""")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "--static", "vck"], check=True,
                           stdout=subprocess.PIPE, text=True, timeout=60, env={
                               **os.environ, "PKG_CONFIG_PATH": str(pc.parent)}).stdout.split()
    was = re.search(r"^prefix=(.*)$", pc.read_text(), re.MULTILINE)[1]
    flags = [flag.replace(was, str(prefix)) if not flag.startswith("-L/lib") else flag
             for flag in flags]
    done = subprocess.run([*os.environ["CC"].split(), "-o", "program", "program.c", *flags],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    told = subprocess.run([Path("program").resolve()], stdout=subprocess.PIPE, text=True,
                          timeout=60)
    assert told.stdout == "ba 1\n" and told.returncode == 0, told


@tap.test
def works_from_there():
    """the installed programs encrypt an image, the daemon with its own plugin"""
    prefix, _ = install()
    vck = prefix / "bin/vck"
    with open("disk.img", "wb") as image:
        image.truncate(8 << 20)

    def run(*arguments):
        done = subprocess.run([vck, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=300)
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert re.fullmatch(r"vck \d+\.\d+\.\d+\n", run("--version"))
    run("prepare", "--new-vmk", "disk.key", "disk.img")
    daemon_lab.VCKD, daemon_lab.VCK = str(prefix / "sbin/vckd"), str(vck)
    with daemon_lab.daemon() as process:
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert f"{prefix}/" in next(line for line in maps.splitlines() if "/vckd.so" in line)
        socket = ("--socket", "control.sock")
        run("attach", *socket, "--vmk-file", "disk.key", "disk.img")
        assert "is encrypted: 6 MiB" in run("encrypt", *socket, "disk.img")
        run("detach", *socket, "disk.img")
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    assert "6 MiB" in run("info", "--vmk-file", "disk.key", "disk.img")


tap.main()
