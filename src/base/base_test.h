/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share. */
#ifndef VCK_BASE_TEST_H
#define VCK_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "vck/bytes.h"

/* A linear congruential generator: the same cases in every run. */
static inline uint32_t random_u32(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static inline struct vck_bytes bytes_of(const char *text)
{
    return (struct vck_bytes){(const uint8_t *)text, strlen(text)};
}

#endif
