#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The pages: their links lead somewhere, all of them are found, and the commands in them exist."""
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {"vck": os.environ["VCK"], "vck-prot": os.environ["VCK_PROT"]}
# Where the page is about another system, or the option is there with a library only.
ELSEWHERE = {("vck", "driver")}
OF_SERVERS = {"--tang", "--threshold", "--trust", "--server-time"}


def anchors(page):
    """As GitHub makes them of headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def links(page):
    text = re.sub(r"```.*?```|^    .*?$|`[^`]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]


@tap.test
def links_lead_somewhere():
    """each relative link names a file, and a heading that it has"""
    wrong = []
    for page in PAGES:
        for link in links(page):
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                wrong.append(f"{page.name}: {link}")
    assert wrong == [], wrong


@tap.test
def pages_are_found():
    """every page is linked from docs/README.md, and that from README.md"""
    index = ROOT / "docs/README.md"
    linked = {(index.parent / link.split("#")[0]).resolve() for link in links(index)}
    missing = {page for page in (ROOT / "docs").glob("*.md")} - linked - {index}
    assert missing == set(), missing
    assert "docs/README.md" in links(ROOT / "README.md")
    text = index.read_text()
    assert all(f"man {page.stem}" in text for page in (ROOT / "docs/man").glob("*"))


def help_of(*command):
    done = subprocess.run([*command, "--help"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None


def commands(page):
    """(program, verb, options) of every command in code, in a block or inline."""
    text = page.read_text()
    code = re.findall(r"^    (.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    for line in code:
        line = re.sub(r"\s#.*", "", line)
        for part in re.split(r"[|;&]", line):
            words = part.split()
            while words and (words[0] in ("sudo", "#", "$") or "=" in words[0]):
                words.pop(0)
            if len(words) > 1 and words[0] in PROGRAMS and re.fullmatch(r"[a-z][a-z-]*", words[1]):
                yield words[0], words[1], re.findall(r"(?<!\S)(--[a-z][a-z-]*)", " ".join(words))


@tap.test
def commands_exist():
    """every command of vck and vck-prot in code has that verb and those options"""
    known = {}
    for name, path in PROGRAMS.items():
        overview = help_of(path).split("Verbs:")[1].split("Options:")[0]
        for verb in re.findall(r"^  ([a-z-]+)", overview, re.MULTILINE):
            known[name, verb] = set(re.findall(r"^  (--[a-z-]+)", help_of(path, verb), re.MULTILINE))
    has_servers = "--tang" in known["vck", "key"]
    wrong, seen = [], 0
    for page in PAGES:
        for name, verb, options in commands(page):
            if (name, verb) in ELSEWHERE:
                continue
            seen += 1
            unknown = set(options) - known.get((name, verb), set())
            if not has_servers:
                unknown -= OF_SERVERS
            if (name, verb) not in known or unknown:
                wrong.append(f"{page.name}: {name} {verb} {' '.join(unknown)}")
    assert wrong == [], "\n".join(wrong)
    assert seen > 30, f"only {seen} commands were found"


@tap.test
def make_targets_exist():
    """every make target in code is one of the Makefile, and is in its help"""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    for page in PAGES:
        for target in re.findall(r"(?:`|^    |&& )make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"
    helped = set(re.findall(r"make ([a-z-]+)", makefile.split("setup:")[0]))
    assert targets - helped <= {"help", "setup"}, targets - helped


tap.main()
