#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manual pages and --help name the same verbs, options and arguments."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
VCK = os.environ["VCK"]
VCKD = os.environ.get("VCKD")
VCK_PROT = os.environ.get("VCK_PROT")


def help_of(*command):
    done = subprocess.run([*command, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60)
    assert done.returncode == 0, f"{command} --help ends with {done.returncode}: {done.stderr}"
    assert done.stderr == "", f"{command} --help says on stderr: {done.stderr}"
    return done.stdout


def options_in_help(text):
    """{("--footers", "N")}"""
    return set(re.findall(r"^  (--[a-z-]+)(?: ([A-Z]+))?(?: |$)", text, re.MULTILINE))


def verbs_in_help(text):
    """{"prepare": "VOLUME"}"""
    part = text.split("Verbs:")[1].split("Options:")[0]
    return {match[1]: match[2].strip() for match in
            re.finditer(r"^  ([a-z-]+)((?: \[?[A-Z]+\]?)*)", part, re.MULTILINE)}


def options_in_manual(lines):
    found = set()
    for line in lines:
        match = re.match(r"\.It Fl -([a-z-]+)(?: Ar (\S+))?$", line)
        if match:
            found.add(("--" + match[1], match[2] or ""))
    return found


def verbs_in_manual(text):
    """{"prepare": ("VOLUME", lines of its part)}"""
    part = text.split(".Sh VERBS\n")[1].split("\n.Sh ")[0]
    verbs = {}
    for piece in re.split(r"^\.Ss ", part, flags=re.MULTILINE)[1:]:
        name, *lines = piece.splitlines()
        usage = next(line for line in lines if line.startswith(".Ic " + name))
        usage = re.sub(r"Op Ar ([A-Z]+)", r"Ar [\1]", usage)
        verbs[name] = (" ".join(re.findall(r"Ar (\[?[A-Z]+\]?)", usage)), lines)
    return verbs


def same(what, helped, documented):
    assert helped - documented == set(), f"{what}: not in the manual: {helped - documented}"
    assert documented - helped == set(), f"{what}: not in --help: {documented - helped}"


def verbs(name, command, manual):
    documented = {verb: operands for verb, (operands, _) in verbs_in_manual(manual).items()}
    same(name, set(verbs_in_help(help_of(command)).items()), set(documented.items()))


def general_options(name, command, manual):
    part = manual.split(".Sh DESCRIPTION\n")[1].split("\n.Sh ")[0]
    same(name, options_in_help(help_of(command)), options_in_manual(part.splitlines()))


# What is in the help only where servers can be asked.
OF_SERVERS = {("--tang", "URL"), ("--threshold", "N"), ("--trust", ""), ("--server-time", "SECONDS")}


def options_of(name, command, manual, verb):
    helped = options_in_help(help_of(command, verb)) - {("--help", "")}
    documented = options_in_manual(verbs_in_manual(manual)[verb][1])
    if not helped & OF_SERVERS:
        documented -= OF_SERVERS
    same(f"{name} {verb}", helped, documented)


def fits(name, command, manual):
    texts = [help_of(command), *(help_of(command, verb) for verb in verbs_in_help(help_of(command)))]
    wide = [line for text in texts for line in text.splitlines() if len(line) > 79]
    assert wide == [], f"{name}: wider than a terminal: {wide}"


def other_ways(name, command, manual):
    for asked, same_as in ((["-h"], []), (["help"], []), (["help", "list"], ["list"]),
                           (["-h", "list"], ["list"]), (["list", "-h"], ["list"])):
        done = subprocess.run([command, *asked], stdout=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 0 and done.stdout == help_of(command, *same_as), asked


def exit_codes(folder, manual):
    header = (ROOT / "products/command/command.h").read_text()
    code_of = dict(re.findall(r"^    (EXIT_\w+) = (\d+),", header, re.MULTILINE))
    sources = [*(ROOT / "products/command").glob("*.c"), *(ROOT / folder).glob("*.c")]
    used = set(re.findall(r"\bEXIT_\w+", "".join(source.read_text() for source in sources)))
    codes = {code_of[name] for name in used & set(code_of)}
    part = manual.split(".Sh EXIT STATUS\n")[1].split("\n.Sh ")[0]
    same("exit codes", codes, set(re.findall(r"^\.It (\d+)$", part, re.MULTILINE)))


def add_command(name, command, page, folder):
    """The tests of a command with verbs."""
    manual = (ROOT / "docs/man" / page).read_text()
    tap.add(f"{name}: --help and {page} have the same verbs with the same operands", verbs, name,
            command, manual)
    tap.add(f"{name}: the options before a verb are in {page}", general_options, name, command,
            manual)
    for verb in verbs_in_manual(manual):
        tap.add(f"{name} {verb}: --help and {page} have the same options", options_of, name,
                command, manual, verb)
    tap.add(f"{name}: no line of --help is wider than 79 columns", fits, name, command, manual)
    tap.add(f"{name}: -h and help do what --help does", other_ways, name, command, manual)
    tap.add(f"{page} lists every exit code of the source", exit_codes, folder, manual)


add_command("vck", VCK, "vck.1", "products/vck")
if VCK_PROT:
    add_command("vck-prot", VCK_PROT, "vck-prot.8", "products/vck-prot")


@tap.test
def json_members():
    """vck.1 names every member that a source writes for --json"""
    sources = [*(ROOT / "products/vck").glob("*.c")]
    written = set(re.findall(r'\bjson_\w+\(&?json, "(\w+)"',
                             "".join(source.read_text() for source in sources)))
    manual = (ROOT / "docs/man/vck.1").read_text()
    assert len(written) > 50 and "volume" in written, written
    missing = written - set(re.findall(r"\.Li (\w+)", manual))
    assert missing == set(), missing


@tap.test
def daemon_options():
    """vckd: --help and vckd.8 have the same options"""
    if not VCKD:
        raise tap.Skip("no vckd here")
    manual = (ROOT / "docs/man/vckd.8").read_text()
    same("vckd", options_in_help(help_of(VCKD)), options_in_manual(manual.splitlines()))


@tap.test
def manuals_are_well_formed():
    """the manual pages format without a warning"""
    if not shutil.which("groff"):
        raise tap.Skip("no groff here")
    for page in sorted((ROOT / "docs/man").glob("*.[18]")):
        done = subprocess.run(["groff", "-mdoc", "-Tascii", "-ww", "-z", str(page)],
                              stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done.stderr


tap.main()
