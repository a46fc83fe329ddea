#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The packages: their INFs are whole, and Wine's setup installs and removes what vck.inf says."""
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
import tap  # noqa: E402
import wine_lab  # noqa: E402

PACKAGE = ROOT / "products/vcksys"
INFS = (PACKAGE / "vck.inf", ROOT / "products/ndisprot/ndisprot.inf")
CLASS = (r"HKLM\System\CurrentControlSet\Control\Class"
         r"\{71a27cdd-812a-11d0-bec7-08002be2092f}")
SERVICE = r"HKLM\System\CurrentControlSet\Services\vck"


def sections(path):
    """The INF as {section: {key or line: value}}, names in lower case, comments taken out."""
    found = {}
    current = None
    for line in path.read_text().splitlines():
        line = re.sub(r'\s*;.*$', "", line).strip()
        if line.startswith("["):
            current = found.setdefault(line.strip("[]").lower(), {})
        elif line:
            key, _, value = line.partition("=")
            current[key.strip().lower()] = value.strip()
    return found


@tap.test
def sections_are_there():
    """each section that is referred to is there, and each string"""
    for path in INFS:
        inf = sections(path)
        referred = {value.split(",")[-1].strip().lower() for name, section in inf.items()
                    for key, value in section.items()
                    if key in ("copyfiles", "delfiles", "addreg", "delreg", "addservice")}
        assert referred and referred <= set(inf), referred - set(inf)
        strings = {name.lower() for name in re.findall(r"%([A-Za-z]\w*)%", path.read_text())}
        assert strings == set(inf["strings"]), strings ^ set(inf["strings"])


@tap.test
def versions_agree():
    """INFs and catalog recipes are about this version and these files"""
    version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text()).group(1)
    for path in INFS:
        inf = sections(path)
        assert inf["version"]["driverver"].split(",")[1].strip() == f"{version}.0", inf["version"]
        recipe = path.with_suffix(".cdf").read_text()
        assert f"Name={inf['version']['catalogfile']}\n" in recipe
        assert set(re.findall(r"^<HASH>\w+\.\w+=(\w+\.\w+)$", recipe, re.MULTILINE)) == {
            path.name, *inf["sourcedisksfiles"]}
        assert recipe.endswith("\n"), "the last line of a recipe has to end"


@tap.test
def characters_are_plain():
    """every tool reads the INFs: ASCII, and lines that setup does not cut"""
    for path in INFS:
        text = path.read_bytes().decode("ascii")
        assert all(len(line) < 120 for line in text.splitlines())


def query(lab, key, value):
    """(type, data) of a value, None when it is not there."""
    result = lab.run("reg.exe", "query", key, "/v", value, check=False)
    if result.code != 0:
        return None
    match = re.search(rf"^\s+{value}\s+(REG_\w+)\s+(.*)$", result.out, re.MULTILINE)
    assert match, str(result)
    return match.group(1), match.group(2).strip()


def install(lab, section):
    lab.run("rundll32.exe", "setupapi.dll,InstallHinfSection", section, "132",
            lab.windows_path(lab.directory / "package" / "vck.inf"), seconds=120)


def make_package(lab):
    package = lab.directory / "package"
    package.mkdir()
    text = (PACKAGE / "vck.inf").read_text()
    (package / "vck.inf").write_text(text.replace("\n", "\r\n"))
    shutil.copyfile(lab.find("vck.sys"), package / "vck.sys")
    return package


@tap.test
def setup_installs_and_removes():
    """setup registers the filter behind those there, once, and takes only it away"""
    try:
        lab = wine_lab.Lab()
    except wine_lab.LabError as problem:
        raise tap.Skip(str(problem).splitlines()[0]) from None
    with lab:
        package = make_package(lab)
        lab.run("reg.exe", "add", CLASS, "/v", "LowerFilters", "/t", "REG_MULTI_SZ", "/d",
                r"fvevol\0iorate\0rdyboost", "/f")
        for _ in range(2):
            install(lab, "DefaultInstall.NTamd64")
            filters = query(lab, CLASS, "LowerFilters")
            assert filters == ("REG_MULTI_SZ", r"fvevol\0iorate\0rdyboost\0vck"), filters
        for name, expected in (("Start", "0x0"), ("Type", "0x1"), ("ErrorControl", "0x1")):
            assert query(lab, SERVICE, name) == ("REG_DWORD", expected), name
        assert query(lab, SERVICE, "Group")[1] == "PnP Filter"
        assert query(lab, SERVICE, "ImagePath")[1].lower().endswith(r"\drivers\vck.sys")
        installed = lab.drive_c / "windows/system32/drivers/vck.sys"
        assert installed.read_bytes() == (package / "vck.sys").read_bytes()
        install(lab, "DefaultUninstall.NTamd64")
        # What remains is not compared: Wine 8 writes back only half of it.
        assert "vck" not in query(lab, CLASS, "LowerFilters")[1].split("\\0")
        assert query(lab, SERVICE, "Start") is None
        assert not installed.exists()


tap.main()
