/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: the published vectors and repeatable random values. */
#ifndef VCK_JVCK_TEST_H
#define VCK_JVCK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "vck/annotate.h"

#define VECTORS "tests/vectors/jvck-v1.json"

static inline uint64_t random_u64(void)
{
    static uint64_t state = 1;
    uint64_t value = 0;
    for (int i = 0; i < 2; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        value = value << 32 | state >> 32;
    }
    return value;
}

static inline uint64_t random_below(uint64_t limit)
{
    return random_u64() % limit;
}

static inline void random_bytes(void *p, size_t size_bytes)
{
    uint8_t *bytes = p;
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (uint8_t)random_u64();
}

/* The file of vectors as text; end it with free. */
static inline char *vectors_read(void)
{
    FILE *file = fopen(VECTORS, "r");
    assert_non_null(file);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

/* What follows "name": in the text from `from` on. */
static inline const char *vectors_find(const char *from, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    const char *at = strstr(from, quoted);
    assert_non_null(at);
    at += strlen(quoted);
    return at + strspn(at, " ");
}

static inline uint64_t vectors_u64(const char *from, const char *name)
{
    return strtoull(vectors_find(from, name), NULL, 10);
}

static inline void vectors_hex(const char *from, const char *name, uint8_t *ret_bytes,
                               size_t size_bytes)
{
    const char *at = vectors_find(from, name) + 1;
    for (size_t i = 0; i < size_bytes; i++) {
        unsigned value;
        assert_int_equal(sscanf(at + 2 * i, "%2x", &value), 1);
        ret_bytes[i] = (uint8_t)value;
    }
    assert_int_equal(at[2 * size_bytes], '"');
}

#endif
