#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds small drivers with one fault each and looks whether pe-check names it."""
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import pe_image as pe  # noqa: E402

GCC = "x86_64-w64-mingw32-gcc"
LIBRARIES = {"ntoskrnl.exe": "ntoskrnl", "hal.dll": "hal", "netio.sys": "netio", "ndis.sys": "ndis"}
COMPILE = ["-O2", "-ffreestanding", "-fno-ident"]
LINK = ["-nostdlib", "-nostartfiles", "-Wl,--entry,DriverEntry", "-Wl,--image-base,0x140000000",
        "-Wl,--dynamicbase,--nxcompat,--high-entropy-va", "-Wl,--exclude-all-symbols",
        "-Wl,--disable-auto-import", "-Wl,--no-insert-timestamp", "-Wl,--subsystem,native:10.0",
        "-Wl,--major-os-version,10"]
DRIVER = """
__declspec(dllimport) unsigned long DbgPrint(const char *format, ...);
static void unload(void *driver) { (void)driver; DbgPrint("unload"); }
void (*routines[])(void *) = {unload};
MORE
long DriverEntry(void **driver, void *path)
{
    (void)path;
    driver[13] = (void *)routines[0];
    ENTRY
    return 0;
}
"""
VERSION = """
1 VERSIONINFO
FILEVERSION 1,2,3,4
BEGIN
END
"""


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(more="", entry="", libraries=("-lntoskrnl",), link=(), resource=None, compiler=(GCC,)):
    """Makes test.sys and test.debug of the driver above with this much more in it."""
    if not shutil.which(GCC) or not shutil.which(compiler[0]):
        raise tap.Skip(f"no {GCC} or no {compiler[0]}")
    Path("test.c").write_text(DRIVER.replace("MORE", more).replace("ENTRY", entry))
    run(*compiler, *COMPILE, "-c", "-o", "test.o", "test.c")
    objects = ["test.o"]
    if resource:
        Path("test.rc").write_text(resource)
        run("x86_64-w64-mingw32-windres", "test.rc", "-O", "coff", "-o", "resource.o")
        objects.append("resource.o")
    run(GCC, *LINK, *link, "-o", "test.raw.sys", *objects, *libraries)
    run(sys.executable, str(ROOT / "tools/pe-finish"), "test.raw.sys", "test.sys", "test.debug")


def check(*options, driver="test.sys", symbols="test.debug"):
    """The faults as lines of "rule: text"."""
    command = [sys.executable, str(ROOT / "tools/pe-check"), *options, driver]
    if symbols:
        command += ["--symbols", symbols]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    lines = [line.split(": ", 1)[1] for line in done.stdout.splitlines()]
    assert done.stderr == "", done.stderr
    assert done.returncode == (1 if lines else 0), done.returncode
    return lines


def assert_faults(found, *expected):
    """Each expected fault is there, and nothing else."""
    rest = list(found)
    for text in expected:
        hits = [line for line in rest if text in line]
        assert hits, f"not found: {text}, but {found}"
        rest = [line for line in rest if text not in line]
    assert not rest, rest


def patch(change, is_sealed=True):
    """Has the image changed by change(image); its checksum is right again unless not wanted."""
    image = pe.Image(bytearray(Path("test.sys").read_bytes()))
    change(image)
    if is_sealed:
        struct.pack_into("<I", image.data, image.optional + 64, image.computed_checksum())
    Path("test.sys").write_bytes(image.data)


def poke(form, place, value):
    return lambda image: struct.pack_into(form, image.data, place(image), value)


def flags_of(image, name):
    return next(section for section in image.sections if section.name == name).at + 36


@tap.test
def good_drivers_pass():
    """a driver without faults passes, with and without its symbols"""
    build(resource=VERSION)
    assert_faults(check("--version"))
    assert_faults(check("--version", symbols=None))


@tap.test
def finishing_is_complete():
    """what the linker leaves undone is found, and finishing does it"""
    build(resource=VERSION, link=["-s"])
    raw = check(driver="test.raw.sys", symbols=None)
    for text in ("not-paged: .text", "section-flags: .rsrc is writable"):
        assert any(text in line for line in raw), raw
    build(link=["-shared"])
    assert pe.Image(Path("test.raw.sys").read_bytes()).characteristics & pe.FILE_DLL
    assert_faults(check())


@tap.test
def finishing_is_repeatable():
    """the same input makes the same driver, whose addresses are those of the symbols"""
    build()
    first = Path("test.sys").read_bytes()
    build()
    assert Path("test.sys").read_bytes() == first
    symbols = {name: rva for name, rva, _ in pe.Image(Path("test.debug").read_bytes()).symbols()}
    assert symbols["DriverEntry"] == pe.Image(first).entry


PATCHES = [
    ("another machine", poke("<H", lambda i: i.pe + 4, 0x14C), ["machine: is for machine 0x14c"]),
    ("a console program", poke("<H", lambda i: i.optional + 68, 3), ["subsystem: is for subsystem 3"]),
    ("an old system", poke("<H", lambda i: i.optional + 40, 6), ["versions: operating system version is 6.0"]),
    ("an old subsystem", poke("<H", lambda i: i.optional + 48, 5),
     ["versions: subsystem version is 5.0"]),
    ("not executable", poke("<H", lambda i: i.pe + 22, 0x20),
     ["characteristics: is not marked executable"]),
    ("the DLL bit", poke("<H", lambda i: i.pe + 22, 0x2022), ["characteristics: has the DLL bit"]),
    ("no NX", poke("<H", lambda i: i.optional + 70, 0x60), ["dll-characteristics: lacks NX_COMPAT"]),
    ("no dynamic base", poke("<H", lambda i: i.optional + 70, 0x100),
     ["lacks DYNAMIC_BASE", "lacks HIGH_ENTROPY_VA"]),
    ("stripped relocations", poke("<H", lambda i: i.pe + 22, 0x23), ["relocations: are stripped"]),
    ("no relocations", poke("<Q", lambda i: i.optional + 152, 0), ["relocations: there are none"]),
    ("no entry", poke("<I", lambda i: i.optional + 16, 0), ["entry: entry 0x0 is not in code"]),
    ("an entry in data", poke("<I", lambda i: i.optional + 16, 0x2000), ["entry: entry 0x2000"]),
    ("an entry inside a function", lambda i: struct.pack_into("<I", i.data, i.optional + 16,
                                                              i.entry + 1),
     ["is not where a function begins"]),
    ("writable code", poke("<I", lambda i: flags_of(i, ".text"), 0xE8000020),
     ["write-execute: .text"]),
    ("executable data", poke("<I", lambda i: flags_of(i, ".data"), 0xE8000040),
     ["write-execute: .data", "section-flags: .data is code or executable, but not both"]),
    ("no characteristics", poke("<I", lambda i: flags_of(i, ".rdata"), 0),
     ["section-flags: .rdata has no characteristics"]),
    ("neither code nor data", poke("<I", lambda i: flags_of(i, ".rdata"), 0x48000000),
     ["section-flags: .rdata is neither code nor data"]),
    ("not readable", poke("<I", lambda i: flags_of(i, ".rdata"), 0x08000040),
     ["section-flags: .rdata cannot be read"]),
    ("writable constants", poke("<I", lambda i: flags_of(i, ".rdata"), 0xC8000040),
     ["section-flags: .rdata is writable"]),
    ("shared data", poke("<I", lambda i: flags_of(i, ".data"), 0xD8000040),
     ["section-flags: .data is shared"]),
    ("pageable data", poke("<I", lambda i: flags_of(i, ".data"), 0xC0000040),
     ["not-paged: .data is not marked"]),
    ("discardable code", poke("<I", lambda i: flags_of(i, ".text"), 0x6A000020),
     ["discardable: .text is discardable"]),
    ("sections that overlap", poke("<I", lambda i: flags_of(i, ".text") - 28, 0x1800),
     ["section-places: .data is not at a page of its own"]),
    ("too large an image", lambda i: struct.pack_into("<I", i.data, i.optional + 56,
                                                      i.image_size + 0x1000),
     ["section-places: image size"]),
    ("no exception table", poke("<Q", lambda i: i.optional + 136, 0),
     ["exception-table: there is none"]),
    ("thread-local storage", poke("<Q", lambda i: i.optional + 184, 0x2800002000), ["runtime: there is thread-local"]),
    ("delayed imports", poke("<Q", lambda i: i.optional + 216, 0x2800002000),
     ["imports: has delayed imports"]),
    ("imports that lead nowhere", poke("<I", lambda i: i.optional + 120, 0x7FFF0000),
     ["import-names: cannot be read", "raising-calls: cannot be read"]),
]


def patched_image(change, expected):
    build()
    patch(change)
    assert_faults(check(), *expected)


for _name, _change, _expected in PATCHES:
    tap.add(f"found: {_name}", patched_image, _change, _expected)


@tap.test
def checksums_are_checked():
    """a checksum that is missing or wrong is found"""
    build()
    patch(poke("<I", lambda i: i.optional + 64, 0), is_sealed=False)
    assert_faults(check(), "checksum: is not set")
    patch(lambda i: None)
    assert_faults(check())
    patch(poke("<B", lambda i: i.sections[0].raw_at, 0x91), is_sealed=False)
    assert_faults(check(), "checksum: is 0x")


@tap.test
def versions_are_asked_for():
    """a version resource is missed when it is asked for"""
    build()
    assert_faults(check("--version"), "version: there is no version resource")


@tap.test
def entries_are_named():
    """an entry that is another function is found"""
    build(link=["-Wl,--entry,unload_now"], more="void unload_now(void) { DbgPrint(\"x\"); }")
    assert_faults(check(), "entry: entry is unload_now, not DriverEntry")
    assert_faults(check("--entry", "unload_now"))


def import_library(module, name):
    Path("extra.def").write_text(f"LIBRARY {module}\nEXPORTS\n{name}\n")
    run("x86_64-w64-mingw32-dlltool", "-d", "extra.def", "-l", "libextra.a")


def foreign_import(module, name, expected):
    if not shutil.which(GCC):
        raise tap.Skip(f"no {GCC}")
    import_library(module, name)
    build(more=f"__declspec(dllimport) void {name}(void);", entry=f"{name}();",
          libraries=["-L.", "-lextra", "-lntoskrnl"])
    assert_faults(check(), *expected)
    assert_faults(check("--allow", f"{module}!{name}"))
    assert_faults(check("--allow", f"{module}!*"))


for _module, _import, _text in (
        ("msvcrt.dll", "malloc", "is of a module that drivers do not import"),
        ("kernel32.dll", "Sleep", "is of a module that drivers do not import"),
        ("ntdll.dll", "NtClose", "is of a module that drivers do not import"),
        ("ntoskrnl.exe", "ExAllocatePool2", "is not in nt-imports.txt"),
        ("ntoskrnl.exe", "KeNoSuchRoutine", "is not in nt-imports.txt"),
        ("hal.dll", "DbgPrint2", "is not in nt-imports.txt")):
    tap.add(f"found: {_module}!{_import} imported", foreign_import, _module, _import,
            [f"imports: {_module}!{_import} {_text}"])


@tap.test
def imports_by_number_are_found():
    """an import by number is found"""
    if not shutil.which(GCC):
        raise tap.Skip(f"no {GCC}")
    import_library("ntoskrnl.exe", "Numbered @7 NONAME")
    build(more="__declspec(dllimport) void Numbered(void);", entry="Numbered();",
          libraries=["-L.", "-lextra", "-lntoskrnl"])
    assert_faults(check(), "imports: ntoskrnl.exe ordinal 7 is imported by number")


@tap.test
def runtimes_are_found():
    """what a C runtime leaves is found"""
    build(more='__attribute__((section(".CRT$XCU"))) void (*start)(void *) = unload;')
    assert_faults(check(), "runtime: .CRT belongs to a C runtime")
    build(more="void __main(void) { DbgPrint(\"x\"); }", entry="__main();")
    assert_faults(check(), "runtime: __main belongs to a C runtime")


PROBE = "__declspec(dllimport) void ProbeForRead(const void *at, unsigned long long size, int x);"
CLANG = ("clang", "--target=x86_64-w64-mingw32", "-fms-extensions")
GUARDED = PROBE + """
__attribute__((noinline)) long guarded(void *at)
{
    long status = 0;
    __try {
        ProbeForRead(at, 1, 1);
    } __except (1) {
        status = 1;
    }
    return status;
}
"""


def raising_call(more, entry, is_guarded, compiler=(GCC,)):
    build(more=more, entry=entry, compiler=compiler)
    if is_guarded:
        assert_faults(check())
        assert_faults(check(symbols=None))
    else:
        found = check()
        assert found and all("which raises, outside of __try" in line for line in found), found
        assert check(symbols=None), "not found without symbols"


UNGUARDED = PROBE + "__attribute__((noinline)) void bare(void *at) { CALL; DbgPrint(\"x\"); }"
THUNK = UNGUARDED.replace("__declspec(dllimport) ", "").replace("CALL", "ProbeForRead(at, 1, 1)")
for _name, _more, _entry, _is_guarded, _compiler in (
        ("a raising call", UNGUARDED.replace("CALL", "ProbeForRead(at, 1, 1)"), "bare(path);",
         False, (GCC,)),
        ("a raising call by the linker's jump", THUNK, "bare(path);", False, (GCC,)),
        ("a raising call as the last", PROBE + "__attribute__((noinline)) void bare(void *at) "
         "{ ProbeForRead(at, 1, 1); }", "bare(path);", False, (GCC,)),
        ("a raising routine kept in a variable", PROBE + "void (*volatile kept)(const void *, "
         "unsigned long long, int);", "kept = ProbeForRead;", False, (GCC,)),
        ("ExRaiseStatus", "__declspec(dllimport) void ExRaiseStatus(long status);",
         "ExRaiseStatus(1);", False, (GCC,)),
        ("a raising call behind __try", GUARDED + UNGUARDED.replace(PROBE, "").replace(
            "CALL", "ProbeForRead(at, 2, 1)"), "bare(path); return guarded(path);", False, CLANG),
        ("a raising call inside __finally only", GUARDED.replace("__except (1)", "__finally"),
         "return guarded(path);", False, CLANG)):
    tap.add(f"found: {_name}", raising_call, _more, _entry, _is_guarded, _compiler)
tap.add("a raising call inside __try passes", raising_call, GUARDED, "return guarded(path);", True,
        CLANG)


def placed(section, code):
    return f'__attribute__((noinline, section("{section}"))) ' + code


@tap.test
def pageable_code_is_found():
    """code and data in PAGE sections are found unless they are named"""
    build(more=placed("PAGE", "long cold(void *at) { return DbgPrint(\"%p\", at); }") +
          '__attribute__((section("PAGEDATA"))) volatile int cold_data = 1;',
          entry="return cold(path) + cold_data;")
    assert_faults(check(), "cold-code: cold is in PAGE", "cold-code: cold_data is in PAGEDATA")
    assert_faults(check("--pageable", "cold", "--pageable", "cold_data"))
    assert_faults(check(symbols=None), "cold-code: PAGE is pageable",
                  "cold-code: PAGEDATA is pageable")
    patch(poke("<I", lambda i: flags_of(i, "PAGE"), 0x68000020))
    assert_faults(check("--pageable", "cold", "--pageable", "cold_data"),
                  "not-paged: PAGE is marked NOT_PAGED")


@tap.test
def discarded_code_is_found():
    """code in INIT is found unless it is named and nothing that stays uses it"""
    once = placed("INIT", "long once(void *at) { return DbgPrint(\"%p\", at); }")
    entry = placed("INIT", "long DriverEntry(void **driver, void *path);")
    build(more=once + entry, entry="return once(path);")
    assert_faults(check(), "cold-code: once is in INIT")
    assert_faults(check("--init", "once"))
    patch(poke("<I", lambda i: flags_of(i, "INIT"), 0x68000020))
    assert_faults(check("--init", "once"), "discardable: INIT is not discardable")
    build(more=once + entry + "long later(void *at) { return once(at) + 1; }",
          entry="return once(path) + later(path);", link=["-Wl,--undefined,later"])
    assert_faults(check("--init", "once"), "cold-code: later uses once, which is discarded")
    build(more=once + entry + "long (*volatile kept)(void *) = once;", entry="return kept(path);")
    assert_faults(check("--init", "once"), "is to once, which is discarded")


@tap.test
def signed_drivers_pass():
    """a signature of one's own verifies, leaves a good image and cannot be moved to another"""
    if not shutil.which("osslsigncode") or not shutil.which("openssl"):
        raise tap.Skip("no osslsigncode or no openssl")
    build(resource=VERSION)
    sign = str(ROOT / "tools/sign-test")
    before = pe.Image(Path("test.sys").read_bytes())
    run(sign, "keys", "test.sys")
    certificate = Path("keys/test.crt").read_bytes()
    assert_faults(check("--version"))
    after = pe.Image(Path("test.sys").read_bytes())
    assert after.directories[pe.DIR_SECURITY][1] > 0 and after.sections[0].raw_at == before.sections[
        0].raw_at
    run(sign, "keys", "test.sys")
    assert Path("keys/test.crt").read_bytes() == certificate, "another certificate every time"
    assert Path("keys/test.key").stat().st_mode & 0o077 == 0, "others can read the key"
    assert sorted(path.name for path in Path("keys").iterdir()) == [
        "test.cer", "test.crt", "test.key"]
    patch(poke("<B", lambda i: i.sections[0].raw_at, 0x91))
    done = subprocess.run(["osslsigncode", "verify", "-CAfile", "keys/test.crt", "-in", "test.sys"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    assert done.returncode != 0, "a changed driver verifies"


@tap.test
def garbage_is_refused():
    """files that are no images, or are cut, are refused without an exception"""
    build()
    whole = Path("test.sys").read_bytes()
    for size in [0, 1, 63, 64, 200, 500, *range(512, len(whole), 97)]:
        Path("cut.sys").write_bytes(whole[:size])
        assert check(driver="cut.sys", symbols=None), f"{size} bytes are taken"
    Path("cut.sys").write_bytes(b"\x7fELF" + whole[4:])
    assert_faults(check(driver="cut.sys", symbols=None), "image: no MZ header")


@tap.test
def changed_bytes_are_survived():
    """no byte of the headers or tables makes it fall over"""
    build()
    whole = Path("test.sys").read_bytes()
    options = type("Options", (), {"entry": "DriverEntry", "version": True, "allow": [],
                                   "init": ["DriverEntry"], "pageable": []})
    checker = load_checker()
    imports = checker.ImportList((ROOT / "tools/nt-imports.txt").read_text())
    image = pe.Image(whole)
    places = list(range(image.pe, image.pe + 0x200)) + list(range(0x400, len(whole), 3))
    unseen = 0
    for at in places:
        for value in (0, 0x7F, 0xFF):
            if whole[at] == value:
                continue
            Path("bad.sys").write_bytes(whole[:at] + bytes([value]) + whole[at + 1:])
            unseen += not checker.check_file("bad.sys", None, imports, options)
    assert unseen == 0, f"{unseen} changes pass, although the checksum is wrong"


def load_checker():
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader
    loader = SourceFileLoader("pe_check", str(ROOT / "tools/pe-check"))
    module = module_from_spec(spec_from_loader("pe_check", loader))
    loader.exec_module(module)
    return module


@tap.test
def import_list_is_consistent():
    """the import list names each routine once, and raising ones are among them"""
    names = [name for line in (ROOT / "tools/nt-imports.txt").read_text().splitlines()
             for name in line.split("#")[0].split() if not line.startswith("[")]
    imports = load_checker().ImportList((ROOT / "tools/nt-imports.txt").read_text())
    listed = [name for module in imports.names.values() for name in module]
    assert len(listed) == len(set(listed)) and len(listed) > 500, len(listed)
    assert len(names) == len(listed) + len(imports.raising), "a name is there twice"
    assert imports.raising <= imports.names["ntoskrnl.exe"], imports.raising


@tap.test
def import_list_agrees_with_the_libraries():
    """what the import list says is old enough is in the toolchain's import libraries"""
    if not shutil.which(GCC):
        raise tap.Skip(f"no {GCC}")
    imports = load_checker().ImportList((ROOT / "tools/nt-imports.txt").read_text())
    for module, library in LIBRARIES.items():
        path = run(GCC, f"-print-file-name=lib{library}.a").strip()
        assert os.path.isabs(path), f"no library of {module}"
        output = run("x86_64-w64-mingw32-nm", path)
        there = {line.split()[-1].removeprefix("__imp_") for line in output.splitlines()
                 if " __imp_" in line}
        assert imports.names[module] <= there, imports.names[module] - there


tap.main()
