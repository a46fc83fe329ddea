#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules a compiler does not check: who includes whom. The tables are docs/rooms.md."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
FREESTANDING = {"stdint.h", "stddef.h", "stdbool.h", "stdarg.h", "string.h", "immintrin.h",
                "cpuid.h"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>|(\S.*))', re.MULTILINE)
PLATFORM = re.compile(r"\b(_WIN32|_WIN64|__linux__|__unix__|__APPLE__|__FreeBSD__|_KERNEL_MODE)\b")
LICENCE = "SPDX-License-Identifier: Apache-2.0"
PLACES = ("src", "include", "port", "products", "tests", "bench", "fuzz", "tools",
          "examples")


def table(first_heading, second_heading):
    """Rows of the table with these headings, as {first cell: second cell}."""
    rows = {}
    is_inside = False
    for line in (ROOT / "docs/rooms.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            is_inside = False
        elif cells[0] == first_heading and cells[1].startswith(second_heading):
            is_inside = True
        elif is_inside and not set(cells[0]) <= {"-"}:
            assert cells[0] not in rows, f"{cells[0]} has two rows"
            rows[cells[0]] = cells[1]
    assert rows, f"docs/rooms.md has no table of {first_heading} and {second_heading}"
    return rows


MAY_INCLUDE = {room: set(filter(None, re.split(r"[ ,]+", cell)))
               for room, cell in table("room", "may include").items()}
HEADERS_OF = {room: cell.split() for room, cell in table("room", "public headers").items()}
ROOM_OF = {f"vck/{header}.h": room for room, headers in HEADERS_OF.items() for header in headers}


def rooms_from(room):
    return MAY_INCLUDE[room] | {room}


def is_test(path):
    return path.name.endswith(("_test.c", "_test.h"))


def is_ours(name):
    return "/" in name and name.split("/")[0] in ("vck", "port", "src", "products", "tests")


def place_of(path):
    """The rooms a file may include from, and whether it may use the host."""
    parts = path.parts
    if parts[0] == "src":
        return rooms_from(parts[1]), is_test(path)
    if parts[:2] == ("include", "vck"):
        room = ROOM_OF.get(f"vck/{path.name}")
        return rooms_from(room) if room else set(), False
    if parts[0] == "port":
        return ({"base", "chain"}, True) if len(parts) > 2 else ({"base"}, False)
    return set(MAY_INCLUDE), True


def is_allowed(path, quoted, angled):
    """Whether the file at path, relative to the tree, may include this."""
    rooms, is_hosted = place_of(path)
    if angled:
        return not is_ours(angled) and (is_hosted or angled in FREESTANDING)
    if quoted.startswith("vck/"):
        return ROOM_OF.get(quoted) in rooms
    if quoted.startswith("port/"):
        return is_hosted or quoted.count("/") == 1
    if quoted.startswith("products/"):
        return (path.parts[0] in ("products", "examples", "fuzz")
                or path.parts[:2] == ("tests", "fake-nt"))
    if path.parts[0] in ("tests", "bench", "fuzz"):
        return (ROOT / path.parent / quoted).is_file() or (ROOT / quoted).is_file()
    # A neighbour, or what tests share.
    return ((ROOT / path.parent / quoted).is_file() and "/" not in quoted
            or is_hosted and (ROOT / "tests/support" / quoted).is_file())


def wrong_includes(path, text):
    wrong = []
    for match in INCLUDE.finditer(text):
        quoted, angled, computed = match.groups()
        if computed or not is_allowed(path, quoted, angled):
            wrong.append(f"{path}: {match.group(0).strip()}")
    return wrong


def files(*suffixes, places=PLACES):
    for place in places:
        for path in sorted((ROOT / place).rglob("*")):
            if path.is_file() and path.name.endswith(suffixes):
                yield path.relative_to(ROOT)


def assert_none(found):
    assert not found, "\n" + "\n".join(found)


@tap.test
def rooms_are_listed():
    """docs/rooms.md names every room once, and arrows run down"""
    folders = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
    assert folders == set(MAY_INCLUDE), folders ^ set(MAY_INCLUDE)
    assert folders == set(HEADERS_OF), folders ^ set(HEADERS_OF)
    below = set()
    for room, allowed in MAY_INCLUDE.items():
        assert allowed <= below, f"{room} may include {allowed - below}, which is not below it"
        below.add(room)


@tap.test
def headers_are_listed():
    """docs/rooms.md names every public header once"""
    listed = [header for headers in HEADERS_OF.values() for header in headers]
    existing = {path.stem for path in (ROOT / "include/vck").glob("*.h")}
    assert len(listed) == len(set(listed)), sorted(listed)
    assert set(listed) == existing, set(listed) ^ existing


@tap.test
def includes_are_allowed():
    """files include only what their place may"""
    seen = 0
    wrong = []
    for path in files(".c", ".h", places=("src", "include", "port", "products", "bench", "fuzz",
                                          "tests", "examples")):
        text = (ROOT / path).read_text()
        seen += len(INCLUDE.findall(text))
        wrong += wrong_includes(path, text)
    assert_none(wrong)
    assert seen > 300, f"only {seen} includes found"


@tap.test
def wrong_includes_are_found():
    """an include that is not allowed would be found"""
    wrong = [
        ("src/base/x.c", '#include "vck/aes.h"'),
        ("src/crypto/x.c", '#include "vck/volume.h"'),
        ("src/crypto/x_test.c", '#include "vck/volume.h"'),
        ("src/object/x.c", '#include "vck/aes.h"'),
        ("src/jvck/x.c", '# include  "vck/no_such_header.h"'),
        ("src/jvck/x.c", "#include <vck/status.h>"),
        ("src/jvck/x.c", "#include <stdio.h>"),
        ("src/jvck/x.c", "  #include <pthread.h>"),
        ("src/jvck/x.c", "#include HEADER"),
        ("src/jvck/x.c", '#include "../volume/volume_internal.h"'),
        ("src/jvck/x.c", '#include "src/volume/volume_internal.h"'),
        ("src/jvck/x.c", '#include "volume_internal.h"'),
        ("src/jvck/x.c", '#include "port/posix/posix.h"'),
        ("include/vck/bytes.h", '#include "vck/xts.h"'),
        ("include/vck/bytes.h", "#include <stdlib.h>"),
        ("include/vck/unlisted.h", '#include "vck/status.h"'),
        ("port/port.h", '#include "vck/future.h"'),
        ("port/port.h", "#include <unistd.h>"),
        ("port/posix/x.c", '#include "vck/future.h"'),
        ("src/control/x.c", '#include "products/vck/vck.h"'),
    ]
    allowed = [
        ("src/volume/x.c", '#include "vck/store.h"\n#include "volume_internal.h"\n'),
        ("src/crypto/x.c", "#include <stdint.h>\n#include <immintrin.h>\n"),
        ("src/base/x_test.c", '#include <stdio.h>\n#include "port/posix/posix.h"\n'),
        ("port/posix/x.c", '#include <pthread.h>\n#include "port/posix/posix.h"\n'),
        ("products/vck/x.c", '#include <stdio.h>\n#include "vck/control.h"\n'),
        ("fuzz/x.c", '#include "../src/base/base_test.h"\n#include "src/base/base_test.h"\n'),
    ]
    for path, text in wrong:
        assert len(wrong_includes(Path(path), text)) == 1, (path, text)
    for path, text in allowed:
        assert_none(wrong_includes(Path(path), text))


@tap.test
def platforms_are_not_asked_for():
    """the platform's macros appear in port and products only"""
    places = ("src", "include", "tests", "bench", "fuzz")
    assert_none([f"{path}: {name}" for path in files(".c", ".h", places=places)
                 for name in PLATFORM.findall((ROOT / path).read_text())])


@tap.test
def licences_are_named():
    """every source file and script names its licence first"""
    missing = []
    for path in files(""):
        with open(ROOT / path, "rb") as file:
            start = file.read(200).split(b"\n")[:2]
        is_script = start[0].startswith(b"#!")
        if not is_script and not path.name.endswith((".c", ".h", ".py", "meson.build")):
            continue
        if LICENCE.encode() not in start[1 if is_script else 0]:
            missing.append(str(path))
    assert_none(missing)


def compile_alone(compiler, language, standard):
    if not shutil.which(compiler):
        raise tap.Skip(f"no {compiler}")
    headers = [path.relative_to("include") for path in files(".h", places=("include",))]
    headers += [path.relative_to(ROOT) for path in (ROOT / "port").glob("*.h")]
    assert len(headers) > 40, headers
    units = []
    for header in headers:
        unit = Path(str(header).replace("/", "_") + "." + language)
        # Twice: the guard is part of the header.
        unit.write_text(f'#include "{header}"\n' * 2)
        units.append(str(unit))
    done = subprocess.run([compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                           "-fsyntax-only", f"-I{ROOT / 'include'}", f"-I{ROOT}", *units],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


for c_compiler, cxx_compiler in (("gcc", "g++"), ("clang", "clang++")):
    tap.add(f"headers compile alone as C17 with {c_compiler}", compile_alone, c_compiler, "c", "c17")
    tap.add(f"headers compile alone as C++17 with {cxx_compiler}", compile_alone, cxx_compiler,
            "cpp", "c++17")

tap.main()
