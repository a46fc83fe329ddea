/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: hexadecimal vectors and repeatable random bytes. */
#ifndef VCK_CRYPTO_TEST_H
#define VCK_CRYPTO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "random.h"
#include "vck/annotate.h"

static inline unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* Decodes lower-case hexadecimal into out, which is large enough; returns the size in bytes. */
static inline size_t unhex(const char *hex, uint8_t *out)
{
    size_t size_bytes = strlen(hex) / 2;
    for (size_t i = 0; i < size_bytes; i++)
        out[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    return size_bytes;
}

static inline void assert_bytes_hex(const void *bytes, const char *hex)
{
    uint8_t expected[1024];
    assert_memory_equal(bytes, expected, unhex(hex, expected));
}

#endif
