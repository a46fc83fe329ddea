#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""os-prepare, os-status and os-remove on a system of files in a folder: what they write, and that
every step that fails leaves the system as it was."""
import hashlib
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import key_oracle  # noqa: E402
import tap  # noqa: E402

VCK = os.environ["VCK"]
MIB = 1 << 20
HOOK = Path(__file__).resolve().parent.parent / "products/initrd/kernel-update"
GUID_ZERO = uuid.UUID(int=0)
GUID = uuid.UUID("12345678-9abc-def0-1122-334455667788")
LOADER = b"MZ" + bytes(range(256)) * 40
OK, FAILED, USAGE, NOT_FOUND, PROBLEMS, REFUSED, INTERRUPTED = 0, 1, 2, 3, 6, 9, 130

# Stands for the system's own tool below --root: says what it was told, and fails on demand.
CHROOT = """#!/bin/sh
echo "$@" >> {log}
cat "$1/etc/vck/volumes" >> {log} 2>/dev/null
[ ! -e {directory}/signal ] || kill -INT $PPID
[ ! -e {directory}/broken ]
"""


class System:
    """A root folder, a volume with an ext4 that leaves room at its end, and a loader."""

    def __init__(self, has_tool=True):
        self.root = Path("root").absolute()
        self.log = Path("tools.log").absolute()
        self.image = Path("disk.img").absolute()
        for folder in ("boot/efi/EFI/debian", "etc", "usr/sbin", "var/lib"):
            (self.root / folder).mkdir(parents=True)
        Path("vckboot.efi").write_bytes(LOADER)
        Path("passphrase").write_bytes(b"a passphrase that nobody guesses\n")
        os.chmod("passphrase", 0o600)
        with open(self.image, "wb") as file:
            file.truncate(8 * MIB)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", str(self.image), "5M"], check=True,
                       env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
        tools = Path("tools").absolute()
        tools.mkdir()
        (tools / "chroot").write_text(CHROOT.format(log=self.log, directory=Path.cwd()))
        os.chmod(tools / "chroot", 0o755)
        if has_tool:
            tool = self.root / "usr/sbin/update-initramfs"
            tool.write_text("#!/bin/sh\n")
            os.chmod(tool, 0o755)
        self.env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}

    def vck(self, *arguments, code=OK, says=""):
        done = subprocess.run([VCK, *map(str, arguments), "--root", str(self.root)], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=300)
        output = done.stdout.decode()
        assert done.returncode == code, f"{arguments}: {done.returncode}, not {code}: {output}"
        assert says in output, f"{arguments}: no {says!r} in: {output}"
        return output

    def prepare(self, *more, **expected):
        return self.vck("os-prepare", self.image, "--partition", GUID, "--no-boot-entry", "--loader",
                        "vckboot.efi", "--osloader", "/vmlinuz", "--initrd", "/initrd.img",
                        "--cmdline", 'root=/dev/mapper/system quiet note="a b"',
                        "--new-key-file", "passphrase", "--kdf", "pbkdf2", "--kdf-passes", "210000",
                        *more, **expected)

    def state(self):
        """Everything there is, but for the log."""
        found = {"volume": hashlib.sha256(self.image.read_bytes()).hexdigest()}
        for path in sorted(self.root.rglob("*")):
            found[str(path.relative_to(self.root))] = path.read_bytes() if path.is_file() else None
        return found

    def file(self, path):
        return (self.root / path).read_bytes()


def without_empty_folders(state):
    """Folders that were made on the way may stay."""
    return {name: data for name, data in state.items() if data is not None}


@tap.test
def there_and_back():
    """installs all of it, says so, and takes all of it back"""
    system = System()
    before = system.state()
    system.prepare()
    assert system.file("boot/efi/EFI/vck/vckboot.efi") == LOADER
    config = json.loads(system.file("boot/efi/vck.json"))
    assert config == {"partition_guid": str(GUID), "osloader": "\\vmlinuz",
                      "initrd": "\\initrd.img",
                      "options": 'root=/dev/mapper/system quiet note="a b"'}, config
    assert system.file("etc/vck/volumes") == f"system {GUID}\n".encode()
    assert system.log.read_text() == f"{system.root} update-initramfs -u\nsystem {GUID}\n"
    subprocess.run([VCK, "key", "list", system.image], check=True, stdout=subprocess.DEVNULL)
    said = system.vck("os-status")
    for words in ("nothing encrypted yet", "system is in /etc/vck/volumes", "starts \\vmlinuz"):
        assert words in said, said
    said = system.vck("os-remove", "--dry-run").splitlines()
    assert len(said) == 4 and said[0].startswith("take back") and said[3].startswith("erase"), said
    system.vck("os-remove")
    assert without_empty_folders(system.state()) == without_empty_folders(before)
    system.vck("os-status", code=NOT_FOUND, says="is not installed")
    system.vck("os-remove", code=NOT_FOUND, says="is not installed")


@tap.test
def dry_run():
    """--dry-run says what each step would be and changes nothing"""
    system = System()
    before = system.state()
    said = system.prepare("--dry-run", says="reads only FAT").splitlines()[1:]
    assert said == [f"make a volume of {system.image}, its data as it is",
                    "write system into /etc/vck/volumes and make the initrd again by "
                    "update-initramfs",
                    f"install {system.root}/boot/efi/EFI/vck/vckboot.efi",
                    f"write {system.root}/boot/efi/vck.json"], said
    assert system.state() == before and not system.log.exists()


@tap.test
def what_was_there():
    """a loader, a configuration and volumes of somebody else's come back as they were"""
    system = System()
    (system.root / "boot/efi/EFI/vck").mkdir()
    (system.root / "boot/efi/EFI/vck/vckboot.efi").write_bytes(b"MZ, an older one")
    (system.root / "boot/efi/vck.json").write_bytes(b"{}")
    (system.root / "etc/vck").mkdir()
    (system.root / "etc/vck/volumes").write_bytes(b"other 1\n# a remark, without an end")
    before = system.state()
    system.prepare()
    assert system.file("etc/vck/volumes") == \
        f"other 1\n# a remark, without an end\nsystem {GUID}\n".encode()
    assert system.file("boot/efi/vck.json.vck-old") == b"{}"
    system.vck("os-remove")
    after = system.state()
    assert after.pop("etc/vck/volumes") == before.pop("etc/vck/volumes") + b"\n"
    assert without_empty_folders(after) == without_empty_folders(before)


@tap.test
def tpm():
    """a second run has the loader ask the TPM where the volume has a slot for it"""
    system = System()
    system.prepare()
    assert "tpm" not in json.loads(system.file("boot/efi/vck.json"))
    image = bytearray(system.image.read_bytes())
    header = (512, MIB, 0, 2)
    volume_id = bytes(image[-512:][32:48])
    generation = key_oracle.read_tables(bytes(image), volume_id, header)[0].generation + 1
    records = [key_oracle.make_slot(volume_id, number, kind, bytes(32), bytes(32), *kdf, 0, 0,
                                    bytes([number + 1] * 16), bytes(32), bytes(12), 0, "", payload)
               for number, (kind, kdf, payload) in enumerate((
                   (key_oracle.PASSPHRASE, (key_oracle.PBKDF2, 1000), b""),
                   (key_oracle.TPM, (key_oracle.HKDF_KIND, 0), b"sealed by nobody")))]
    table = key_oracle.make_table(volume_id, bytes(32), generation, records)
    for area in key_oracle.areas(len(image), header):
        at = area + generation % 2 * key_oracle.COPY_BYTES
        image[at:at + len(table)] = table
    system.image.write_bytes(image)
    system.prepare()
    assert json.loads(system.file("boot/efi/vck.json"))["tpm"] == {}
    system.vck("os-status")


@tap.test
def up_to_date():
    """a second run takes a new loader and a new command line; what was there first is kept"""
    system = System()
    (system.root / "boot/efi/vck.json").write_bytes(b"{}")
    before = system.state()
    system.prepare()
    Path("vckboot.efi").write_bytes(LOADER + b"newer")
    system.prepare("--dry-run")
    said = system.prepare("--osloader", "x", code=USAGE, says="--osloader is given twice")
    system.vck("os-prepare", system.image, "--partition", GUID, "--no-boot-entry", "--loader",
               "vckboot.efi", "--osloader", "new/vmlinuz", "--cmdline", "quiet")
    assert system.file("boot/efi/EFI/vck/vckboot.efi") == LOADER + b"newer"
    config = json.loads(system.file("boot/efi/vck.json"))
    assert config["osloader"] == "\\new\\vmlinuz" and config["options"] == "quiet", config
    assert said and system.file("boot/efi/vck.json.vck-old") == b"{}"
    system.vck("os-status")
    system.vck("os-remove")
    assert without_empty_folders(system.state()) == without_empty_folders(before)


@tap.test
def steps_that_fail():
    """the initrd's tool fails, the system partition is full of something else: all is taken back"""
    system = System()
    before = without_empty_folders(system.state())
    Path("broken").touch()
    said = system.prepare(code=REFUSED, says="chroot failed with exit code 1")
    assert "taking back what was done" in said and "os-remove tries again" in said, said
    # The tool fails again when the line is gone; what else was done is undone.
    system.vck("os-status", code=PROBLEMS, says="was cut short")
    system.prepare(code=REFUSED, says="was cut short; vck os-remove")
    Path("broken").unlink()
    system.vck("os-remove")
    assert without_empty_folders(system.state()) == before
    # A folder stands where a file has to go.
    (system.root / "boot/efi/vck.json").mkdir()
    (system.root / "boot/efi/vck.json/something").touch()
    before = without_empty_folders(system.state())
    system.prepare(code=FAILED, says="vck.json")
    assert without_empty_folders(system.state()) == before


@tap.test
def interrupted():
    """Ctrl-C in the middle: all is taken back"""
    system = System()
    before = without_empty_folders(system.state())
    Path("signal").touch()
    system.prepare(code=INTERRUPTED, says="taking back")
    assert without_empty_folders(system.state()) == before


@tap.test
def killed():
    """killed in the middle: os-status says so, os-remove takes all back"""
    system = System()
    before = without_empty_folders(system.state())
    chroot = Path("tools/chroot")
    text = chroot.read_text()
    chroot.write_text("#!/bin/sh\nkill -KILL $PPID\n")
    system.prepare(code=-signal.SIGKILL)
    chroot.write_text(text)
    system.vck("os-status", code=PROBLEMS, says="was cut short")
    system.vck("os-remove")
    assert without_empty_folders(system.state()) == before


@tap.test
def what_is_refused():
    """nothing is done where the result could not start, and each refusal says why"""
    system = System(has_tool=False)
    before = system.state()
    system.prepare("--dry-run", says="neither initramfs-tools nor dracut")
    Path("vckboot.efi").write_bytes(b"#!/bin/sh\n" * 20)
    system.prepare(code=REFUSED, says="is no program for firmware")
    Path("vckboot.efi").unlink()
    system.prepare(code=NOT_FOUND, says="--loader names it")
    Path("vckboot.efi").write_bytes(LOADER)
    system.prepare("--esp", "/boot", code=NOT_FOUND, says="it has no folder EFI")
    system.prepare("--esp", "efi", code=USAGE, says="a path from the root on is expected")
    system.prepare("--name", "a/b", code=USAGE, says="is no name for a device")
    system.vck("os-prepare", system.image, "--partition", "7", code=USAGE, says="--partition is 7")
    system.vck("os-prepare", system.image, "--partition", GUID_ZERO, code=USAGE,
               says="--partition is 0000")
    system.vck("os-prepare", system.image, code=REFUSED, says="is not a partition of a GPT")
    system.vck("os-prepare", system.image, "--partition", GUID, code=NOT_FOUND,
               says="is not mounted; --osloader and --initrd say what to start")
    assert system.state() == before
    # No room behind the file system, and none that is known at all.
    full = system.image.read_bytes()
    system.image.write_bytes(full[:5 * MIB])
    system.prepare(code=REFUSED, says="are missing")
    system.image.write_bytes(bytes(8 * MIB))
    system.prepare(code=REFUSED, says="nothing says that there is room behind it")
    # A volume that the loader has nothing to ask for.
    system.image.write_bytes(full)
    Path("key").write_bytes(bytes(32))
    os.chmod("key", 0o600)
    subprocess.run([VCK, "prepare", "--vmk-file", "key", system.image], check=True,
                   stdout=subprocess.DEVNULL)
    system.prepare(code=REFUSED, says="no passphrase and no recovery key")


@tap.test
def encrypted_volumes_keep_their_loader():
    """os-remove does nothing while the volume is encrypted; os-status finds what was changed"""
    system = System()
    system.prepare()
    (system.root / "boot/efi/EFI/vck/vckboot.efi").write_bytes(b"MZ, another one")
    system.vck("os-status", code=PROBLEMS, says="is not the one that was installed")
    (system.root / "boot/efi/vck.json").write_text('{"partition_guid": 1}')
    system.vck("os-status", code=PROBLEMS, says="line 1: a string in quotes is expected")
    volumes = system.root / "etc/vck/volumes"
    listed = volumes.read_text()
    volumes.write_text("other-" + listed)
    system.vck("os-status", code=PROBLEMS, says="system is not in /etc/vck/volumes")
    volumes.write_text(listed)
    plain = system.image.read_bytes()
    with open(system.image, "r+b") as file:
        file.write(os.urandom(4096))
    before = system.state()
    system.vck("os-status", code=PROBLEMS, says="encrypted, in part at least")
    system.vck("os-remove", code=REFUSED, says="vck decrypt comes first")
    assert system.state() == before
    system.image.write_bytes(plain)
    system.vck("os-remove")


class Upgrades:
    """Kernels come and go as packages have them: the kernel's files first, then the folders of scripts
    of the kernel's package and, from one of these, of initramfs-tools."""

    def __init__(self, system, folder, *more):
        self.root, self.config = system.root, system.root / "boot/efi/vck.json"
        self.install("6.1.0-9-amd64")
        self.mount("/dev/sda1 /boot/efi vfat rw 0 0", f"{system.image} {folder} vfat rw 0 0")
        system.vck("os-prepare", system.image, "--partition", GUID, "--no-boot-entry", "--loader",
                   "vckboot.efi", "--cmdline", "quiet", "--new-key-file", "passphrase", "--kdf",
                   "pbkdf2", "--kdf-passes", "210000", *more)

    def mount(self, *lines):
        (self.root / "proc/self").mkdir(parents=True, exist_ok=True)
        (self.root / "proc/self/mounts").write_text("".join(line + "\n" for line in lines))

    def run(self, says="", code=0):
        done = subprocess.run([HOOK, "any", "words"], stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "VCK_ROOT": str(self.root)})
        output = done.stdout.decode()
        assert done.returncode == code and says in output and (says or not output), output

    def install(self, version, initrd="initrd.img-{}"):
        (self.root / f"boot/vmlinuz-{version}").write_text(f"kernel {version}")
        if initrd:
            (self.root / "boot" / initrd.format(version)).write_text(f"initrd {version}")

    def remove(self, version):
        for path in (self.root / "boot").glob(f"*-{version}*"):
            path.unlink()

    def started(self):
        """The names that vck.json has."""
        config = json.loads(self.config.read_text())
        return config["osloader"], config.get("initrd")


@tap.test
def kernels_on_the_volume():
    """a kernel is upgraded and removed where the volume is /boot: vck.json names the newest"""
    system = System()
    upgrades = Upgrades(system, "/boot", "--osloader", "vmlinuz-6.1.0-9-amd64", "--initrd",
                        "initrd.img-6.1.0-9-amd64")
    before = upgrades.config.read_bytes()
    upgrades.run()
    upgrades.install("6.1.0-56-amd64", initrd=None)
    upgrades.run()
    assert upgrades.config.read_bytes() == before, "a kernel without an initrd is not started"
    upgrades.install("6.1.0-56-amd64")
    upgrades.run("starts 6.1.0-56-amd64")
    assert upgrades.started() == ("\\vmlinuz-6.1.0-56-amd64", "\\initrd.img-6.1.0-56-amd64")
    assert upgrades.config.read_bytes() == before.replace(b"6.1.0-9-", b"6.1.0-56-")
    system.vck("os-status", says="starts \\vmlinuz-6.1.0-56-amd64")
    # From now on as it is with a volume that the loader has unlocked.
    upgrades.mount("/dev/mapper/system /boot vfat rw 0 0")
    upgrades.install("6.5.0-1.fc39.x86_64", "initramfs-{}.img")
    upgrades.run("starts 6.5.0-1.fc39.x86_64")
    assert upgrades.started() == ("\\vmlinuz-6.5.0-1.fc39.x86_64",
                                  "\\initramfs-6.5.0-1.fc39.x86_64.img")
    upgrades.remove("6.5.0-1.fc39.x86_64")
    upgrades.run("starts 6.1.0-56-amd64")
    upgrades.config.write_bytes(upgrades.config.read_bytes().replace(
        b'"quiet"', b'"quiet",\n    "tpm": {}'))
    upgrades.install("6.9.0")
    upgrades.run("key change --boot-config")
    assert upgrades.started()[0] == "\\vmlinuz-6.9.0"
    system.vck("os-remove")
    upgrades.run()
    assert not upgrades.config.exists()


@tap.test
def kernels_beside_the_volume():
    """a kernel is upgraded where /boot is elsewhere: it is copied, vck.json stays to the byte"""
    system = System()
    volume = system.root / "boot/start here"
    volume.mkdir(parents=True)
    upgrades = Upgrades(system, "/boot/start\\040here", "--osloader", "efi/linux", "--initrd",
                        "initrd.img")
    (volume / "efi").mkdir()
    before = upgrades.config.read_bytes()

    def copied():
        names = {str(path.relative_to(volume)): path.read_text() for path in volume.rglob("*")
                 if path.is_file()}
        assert upgrades.config.read_bytes() == before
        assert names.keys() <= {"efi/linux", "initrd.img"}, names
        return names.get("efi/linux"), names.get("initrd.img")

    for version in ("6.1.0-9-amd64", "6.1.0-56-amd64"):
        upgrades.install(version)
        upgrades.run(f"starts {version}")
        assert copied() == (f"kernel {version}", f"initrd {version}")
        upgrades.run()
    (system.root / "boot/initrd.img-6.1.0-56-amd64").write_text("made again")
    upgrades.run("starts 6.1.0-56")
    assert copied() == ("kernel 6.1.0-56-amd64", "made again")
    upgrades.remove("6.1.0-56-amd64")
    upgrades.run("starts 6.1.0-9")
    assert copied() == ("kernel 6.1.0-9-amd64", "initrd 6.1.0-9-amd64")
    # What cannot be done is said, and what was started still is.
    upgrades.install("6.2.0")
    upgrades.mount("/dev/sda1 /boot/efi vfat rw 0 0")
    upgrades.run("is not mounted; what the boot loader starts stays as it was", code=1)
    upgrades.mount("/dev/mapper/system /boot/start\\040here vfat rw 0 0")
    # Nothing can be written to where a folder is in its place.
    (volume / "initrd.img.vck-new").mkdir()
    (volume / "initrd.img.vck-new/initrd.img-6.2.0").mkdir()
    upgrades.run("cannot be copied", code=1)
    (volume / "initrd.img.vck-new/initrd.img-6.2.0").rmdir()
    (volume / "initrd.img.vck-new").rmdir()
    assert copied() == ("kernel 6.1.0-9-amd64", "initrd 6.1.0-9-amd64")
    (system.root / "boot/efi/EFI").rename(system.root / "boot/efi/elsewhere")
    upgrades.run("no EFI system partition is mounted", code=1)
    (system.root / "boot/efi/elsewhere").rename(system.root / "boot/efi/EFI")
    upgrades.config.write_text('{"osloader": "x"}')
    upgrades.run("is not what os-prepare writes", code=1)
    upgrades.config.write_bytes(before)
    upgrades.remove("6")
    upgrades.run("no kernel with an initrd", code=1)


@tap.test
def records():
    """a record that nobody here wrote is refused, whatever it says"""
    system = System()
    record = system.root / "var/lib/vck/os-install"
    record.parent.mkdir()
    for text in (b"", b"\0", b"vck os-install 2\n", b"vck os-install 1\n", b"x" * 20000,
                 b"vck os-install 1\nvolume /x\nguid 1\nname n\nesp /e\n"):
        record.write_bytes(text)
        for verb in ("os-status", "os-remove"):
            system.vck(verb, code=FAILED, says="os-install")


tap.main()
