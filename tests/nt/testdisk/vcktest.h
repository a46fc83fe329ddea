/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcktest: asks vcktestdisk.sys for what testdisk.h lists, and does to devices from user mode what
 * programs do. A command is a verb and words of the form name=value; numbers are decimal or 0x...
 * An answer is lines "name value" and a last one, "ok" or "error WIN32 NTSTATUS text".
 */
#ifndef VCK_TESTS_NT_VCKTEST_H
#define VCK_TESTS_NT_VCKTEST_H

#include <stdbool.h>
#include <stdint.h>
#include <windows.h>
#include <winioctl.h>
#include "testdisk.h"

struct words {
    int count;
    char **words; /* the verb, then name=value */
};

struct verb {
    const char *name;
    bool (*run)(const struct words *words);
};

/* Ends with verbs[i].name == NULL. */
extern const struct verb disk_verbs[];
extern const struct verb io_verbs[];
extern const struct verb abuse_verbs[];

/* The value of name=value, or NULL. */
const char *word_text(const struct words *words, const char *name);
uint64_t word_number(const struct words *words, const char *name, uint64_t otherwise);

/* Prints the last line of the answer, from GetLastError; false. */
bool fail(const char *what);
/* The same for a reason of its own. */
bool refuse(const char *what, const char *why);

/* A handle on path=, else on \\.\VckTestBus; INVALID_HANDLE_VALUE. */
HANDLE open_device(const struct words *words, DWORD flags);
/* Memory of VirtualAlloc, because unbuffered I/O wants aligned pages. */
void *take_pages(size_t size_bytes);
void give_pages(void *pages);
/* How many bytes the hexadecimal text is, at most; or -1. */
int from_hex(const char *text, uint8_t *ret_data, size_t size_bytes);
void print_hex(const char *name, const uint8_t *data, size_t size_bytes);

#endif
