/* SPDX-License-Identifier: Apache-2.0 */
/* vectors: the files of tests/vectors as text, and what stands in them behind a name. */
#ifndef VCK_TESTS_VECTORS_H
#define VCK_TESTS_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define VECTORS_BYTES_MAX 65536u

/* The file as text; end it with free. */
static inline char *vectors_read(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, VECTORS_BYTES_MAX);
    assert_non_null(text);
    assert_true(fread(text, 1, VECTORS_BYTES_MAX - 1, file) > 0);
    fclose(file);
    return text;
}

/* What follows "name": in the text from `from` on, or NULL. */
static inline const char *vectors_find(const char *from, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    const char *at = strstr(from, quoted);
    if (at == NULL)
        return NULL;
    at += strlen(quoted);
    return at + strspn(at, " ");
}

static inline uint64_t vectors_u64(const char *from, const char *name)
{
    const char *at = vectors_find(from, name);
    assert_non_null(at);
    return strtoull(at, NULL, 10);
}

static inline uint32_t vectors_u32(const char *from, const char *name)
{
    uint64_t value = vectors_u64(from, name);
    assert_true(value <= UINT32_MAX);
    return (uint32_t)value;
}

/* Exactly size_bytes of them. */
static inline void vectors_hex(const char *from, const char *name, void *ret_bytes,
                               size_t size_bytes)
{
    uint8_t *bytes = ret_bytes;
    const char *at = vectors_find(from, name);
    assert_non_null(at);
    at++;
    for (size_t i = 0; i < size_bytes; i++) {
        unsigned value;
        assert_int_equal(sscanf(at + 2 * i, "%2x", &value), 1);
        bytes[i] = (uint8_t)value;
    }
    assert_int_equal(at[2 * size_bytes], '"');
}

#endif
