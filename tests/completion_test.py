#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the shells offer is what the programs take."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

FOLDER = Path(os.environ["COMPLETIONS"])
VCK = os.environ["VCK"]


def bash(line, program="vck", before=""):
    """What bash offers for the last word of the line."""
    words = line.split(" ")
    quoted = " ".join("'" + word + "'" for word in words)
    script = f"""set -u; {before}
. '{FOLDER / program}'
COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMPREPLY=()
_{program.replace("-", "_")}
printf '%s\\n' "${{COMPREPLY[@]}}\""""
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return set(done.stdout.split("\n")) - {""}


def help_of(*command):
    return subprocess.run([*command, "--help"], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=60).stdout


def options_in(text):
    return set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE))


def verbs_in(text):
    return set(re.findall(r"^  ([a-z-]+)", text.split("Verbs:")[1].split("Options:")[0], re.MULTILINE))


@tap.test
def verbs_and_options():
    """bash offers every verb, and behind it each of its options"""
    verbs = verbs_in(help_of(VCK))
    assert len(verbs) > 15
    assert bash("vck ") == verbs
    assert bash("vck de") == {"decrypt", "detach"}
    assert bash("vck --") == {"--help", "--version"}
    for verb in verbs:
        options = options_in(help_of(VCK, verb))
        assert bash(f"vck {verb} --") == options, verb
        assert bash(f"vck --socket {verb} {verb} --") == options, verb


@tap.test
def values():
    """bash offers files, folders, words, actions and attached volumes where they belong"""
    Path("a.key").touch()
    Path("folder").mkdir()
    assert bash("vck attach --vmk-file a") == {"a.key"}
    assert bash("vck attach --vmk-file = a") == {"a.key"}
    assert bash("vck os-prepare --esp ") == {"folder"}
    assert bash("vck key add --type ") == {"passphrase", "key-file", "recovery", "tpm"}
    assert bash("vck key add --type = rec") == {"recovery"}
    assert bash("vck key re") == {"remove", "restore"}
    assert bash("vck key list a") == {"a.key"}
    assert bash("vck attach --slot ") == set()
    listed = """vck() { printf '%s\\n' 'encrypting  31.2 %     1.5 GiB  /srv/my disk.img' \
        'idle        100.0 %      64 MiB  /dev/sdb1'; }"""
    assert bash("vck status /", before=listed) >= {"/srv/my disk.img", "/dev/sdb1"}
    assert bash("vck status a", before=listed) == {"a.key"}


@tap.test
def other_programs():
    """bash completes vckd and vck-prot"""
    assert "--foreground" in bash("vckd --", "vckd") and bash("vckd --pid-file a", "vckd") == set()
    assert bash("vck-prot ", "vck-prot") == verbs_in(help_of(os.environ["VCK_PROT"]))


@tap.test
def zsh_reads_them():
    """zsh reads its own, and they name what the programs take"""
    text = (FOLDER / "_vck").read_text()
    for verb in verbs_in(help_of(VCK)):
        part = text.split(f"\n    {verb})\n")[1].split(";;")[0]
        assert set(re.findall(r"'\*?(--[a-z-]+)", part)) == options_in(help_of(VCK, verb)), verb
    if not shutil.which("zsh"):
        raise tap.Skip("no zsh here")
    for file in FOLDER.glob("_*"):
        assert file.read_text().startswith("#compdef " + file.name[1:] + "\n")
        done = subprocess.run(["zsh", "-n", file], stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done.stderr


tap.main()
