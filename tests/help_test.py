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
            re.finditer(r"^  ([a-z-]+)((?: [A-Z]+)*)", part, re.MULTILINE)}


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
        verbs[name] = (" ".join(re.findall(r"Ar ([A-Z]+)", usage)), lines)
    return verbs


def same(what, helped, documented):
    assert helped - documented == set(), f"{what}: not in the manual: {helped - documented}"
    assert documented - helped == set(), f"{what}: not in --help: {documented - helped}"


MANUAL = (ROOT / "docs/man/vck.1").read_text()


@tap.test
def verbs():
    """vck: --help and vck.1 have the same verbs with the same operands"""
    documented = {name: operands for name, (operands, _) in verbs_in_manual(MANUAL).items()}
    same("vck", set(verbs_in_help(help_of(VCK)).items()), set(documented.items()))


@tap.test
def general_options():
    """vck: the options before a verb are in vck.1"""
    part = MANUAL.split(".Sh DESCRIPTION\n")[1].split("\n.Sh ")[0]
    same("vck", options_in_help(help_of(VCK)), options_in_manual(part.splitlines()))


def options_of(verb):
    helped = options_in_help(help_of(VCK, verb)) - {("--help", "")}
    same(f"vck {verb}", helped, options_in_manual(verbs_in_manual(MANUAL)[verb][1]))


for found in verbs_in_manual(MANUAL):
    tap.add(f"vck {found}: --help and vck.1 have the same options", options_of, found)


@tap.test
def exit_codes():
    """vck.1 lists every exit code of the source"""
    source = (ROOT / "products/vck/vck.h").read_text()
    codes = set(re.findall(r"^    EXIT_\w+ = (\d+),", source, re.MULTILINE))
    part = MANUAL.split(".Sh EXIT STATUS\n")[1].split("\n.Sh ")[0]
    same("exit codes", codes, set(re.findall(r"^\.It (\d+)$", part, re.MULTILINE)))


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
