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
#include "random.h"
#include "vck/bytes.h"

static inline struct vck_bytes bytes_of(const char *text)
{
    return (struct vck_bytes){(const uint8_t *)text, strlen(text)};
}

#endif
