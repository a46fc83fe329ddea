#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What compilers make of the chain room: streaming stores with their fence, and a wipe that stays."""
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [path for path in sorted((ROOT / "src/chain").glob("*.c"))
           if not path.name.endswith("_test.c")]
STORES = ("vck_span_zero", "vck_span_fill", "vck_span_copy", "vck_span_copy_in",
          "vck_span_copy_out")
STREAMING = re.compile(r"^v?movnt(dq|i|ps|pd|q)\b")
WIDE = re.compile(r"%[yz]mm\d")


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def compile_with(compiler, *arguments):
    run(compiler, "-std=gnu17", "-fno-strict-aliasing", "-Wall", "-Werror", f"-I{ROOT / 'include'}",
        f"-I{ROOT}", *arguments)


def functions_of(text):
    """{function: its instructions} of what objdump -dr printed, relocations among them."""
    functions = {}
    lines = None
    for line in text.splitlines():
        start = re.match(r"^[0-9a-f]+ <(\S+)>:$", line)
        if start:
            lines = functions.setdefault(start.group(1), [])
        elif lines is not None and re.match(r"^\s+[0-9a-f]+:\s", line):
            lines.append(re.sub(r"^\s+[0-9a-f]+:\s+", "", line))
    return functions


def reached_from(functions, name):
    """Every instruction of a function and of those it calls, jumps to or takes the address of."""
    instructions, seen, waiting = [], set(), [name]
    while waiting:
        here = waiting.pop()
        if here in seen or here not in functions:
            continue
        seen.add(here)
        instructions += functions[here]
        for line in functions[here]:
            match = (re.match(r"(?:call|j\w+)\s.*<([^>+]+)", line)
                     or re.match(r"R_X86_64_\w+\s+([\w.]+)", line))
            if match:
                waiting.append(match.group(1))
    return instructions


def has(instructions, pattern):
    return any(re.search(pattern, line) for line in instructions)


def check(functions):
    for store in STORES:
        reached = reached_from(functions, f"{store}_non_temporal")
        assert has(reached, STREAMING), f"{store}_non_temporal stores through the cache"
        assert has(reached, r"^sfence\b"), f"{store}_non_temporal has no fence"
        assert functions[store], store
        assert not has(functions[store], STREAMING), f"{store} passes by the cache"
        assert not has(functions[store], r"^sfence\b|fence"), f"{store} has a fence"
    for plain in ("vck_span_zero", "vck_span_fill", "vck_span_zero_secure", "vck_span_compare"):
        assert not has(reached_from(functions, plain), STREAMING), plain
    assert has(functions["vck_span_zero_secure"], r"\bvck_wipe\b")
    assert has(reached_from(functions, "vck_span_compare_non_temporal"), r"^prefetchnta\b")
    assert not has(reached_from(functions, "vck_span_compare"), r"^prefetchnta\b")
    for name, instructions in functions.items():
        assert not has(instructions, WIDE), f"{name} uses registers wider than XMM"


def need_x86():
    if platform.machine() != "x86_64" or not shutil.which("objdump"):
        raise tap.Skip("needs objdump and an x86-64 processor")


@tap.test
def the_library_streams_and_fences():
    """the library: non-temporal forms stream and fence, others do not, nothing is wider than XMM"""
    need_x86()
    text = run("objdump", "-dr", "--no-show-raw-insn", os.environ["VCK_LIB"])
    chain, is_inside = [], False
    for line in text.splitlines():
        if ":     file format" in line:
            is_inside = "src_chain_" in line
        if is_inside:
            chain.append(line)
    check(functions_of("\n".join(chain)))


def compiled(compiler, level):
    need_x86()
    if not shutil.which(compiler):
        raise tap.Skip(f"no {compiler}")
    text = ""
    for source in SOURCES:
        compile_with(compiler, level, "-c", source, "-o", "unit.o")
        text += run("objdump", "-dr", "--no-show-raw-insn", "unit.o")
    check(functions_of(text))


@tap.test
def what_is_missing_is_found():
    """code without a fence, without streaming, or with wide registers would be found"""
    need_x86()
    good = {}
    for store in STORES:
        good[store] = ["ret"]
        good[f"{store}_non_temporal"] = ["call 10 <stream>", "sfence", "ret"]
    good |= {"stream": ["movntdq %xmm0,(%rdi)"], "vck_span_compare": ["ret"],
             "vck_span_zero_secure": ["R_X86_64_PLT32\tvck_wipe-0x4"],
             "vck_span_compare_non_temporal": ["prefetchnta (%rdi)"]}
    check(good)
    for name, instructions in (("vck_span_copy_non_temporal", ["call 10 <stream>", "ret"]),
                               ("stream", ["movdqa %xmm0,(%rdi)"]),
                               ("vck_span_fill", ["movntdq %xmm0,(%rdi)"]),
                               ("vck_span_zero_secure", ["ret"]),
                               ("vck_span_compare_non_temporal", ["ret"]),
                               ("stream", ["movntdq %xmm0,(%rdi)", "vmovdqu %ymm0,(%rdi)"])):
        try:
            check({**good, name: instructions})
        except AssertionError:
            continue
        raise AssertionError(f"{name} passed with {instructions}")


# Runs a function on a stack of its own and looks for what it left there. Everything is one unit, so
# that the compiler sees the buffer die.
WIPE = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include "src/base/secret.c"
#include "src/chain/chain.c"
#include "src/chain/span.c"
#include "src/chain/non_temporal.c"
#include "src/chain/span_fill.c"

enum { KEY_BYTES = 128 };
static _Alignas(4096) uint8_t stack[1 << 16];
static ucontext_t here, there;

static uint8_t key_byte(size_t i)
{
    return (uint8_t)(37 * i + 11);
}

static __attribute__((noinline)) void make_key(uint8_t *key)
{
    for (size_t i = 0; i < KEY_BYTES; i++) {
        key[i] = key_byte(i);
        __asm__ volatile("" : : "r"(key) : "memory");
    }
}

static void plain(void)
{
    uint8_t key[KEY_BYTES];
    make_key(key);
    memset(key, 0, sizeof(key));
}

/* What the secure form does with a piece: no chain through which the buffer could be seen. */
static void wiped(void)
{
    uint8_t key[KEY_BYTES];
    make_key(key);
    vck_wipe(key, sizeof(key));
}

static void secure(void)
{
    uint8_t key[KEY_BYTES];
    struct vck_descriptor pieces[2];
    make_key(key);
    vck_descriptor_init(&pieces[0], key, 50);
    vck_descriptor_init(&pieces[1], key + 50, sizeof(key) - 50);
    pieces[0].next = &pieces[1];
    struct vck_span span = vck_span_of_chain(pieces);
    if (vck_span_zero_secure(&span, NULL) != VCK_OK)
        abort();
}

static int left_by(void (*function)(void))
{
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof(stack);
    there.uc_link = &here;
    makecontext(&there, function, 0);
    swapcontext(&here, &there);
    for (size_t i = 0; i + 16 <= sizeof(stack); i++)
        for (size_t j = 0; j + 16 <= KEY_BYTES; j++) {
            size_t same = 0;
            while (same < 16 && stack[i + same] == key_byte(j + same))
                same++;
            if (same == 16)
                return 1;
        }
    return 0;
}

int main(void)
{
    printf("secure %s,", left_by(secure) ? "left" : "gone");
    printf(" piece %s,", left_by(wiped) ? "left" : "gone");
    printf(" plain %s", left_by(plain) ? "left" : "gone");
    return 0;
}
"""


def wiped(compiler, level):
    if not shutil.which(compiler):
        raise tap.Skip(f"no {compiler}")
    Path("wipe.c").write_text(WIPE)
    # Secrets that are allocated are not linked; they would need a port.
    compile_with(compiler, level, "-ffunction-sections", "-Wl,--gc-sections", "wipe.c", "-o",
                 "wipe")
    # That the plain one is left out shows that the compiler knew and the search finds.
    left = run("./wipe")
    assert left == "secure gone, piece gone, plain left", left


for a_compiler in ("gcc", "clang"):
    for a_level in ("-O2", "-O3", "-Os"):
        tap.add(f"{a_compiler} {a_level}: non-temporal forms stream and fence", compiled, a_compiler,
                a_level)
        tap.add(f"{a_compiler} {a_level}: the secure zero of a dead buffer stays", wiped, a_compiler,
                a_level)

tap.main()
