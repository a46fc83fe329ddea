/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share. */
#ifndef VCK_BOOT_TEST_H
#define VCK_BOOT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <msgpack.h>
#include "random.h"
#include "vck/bytes.h"

/* A literal with NULs in it, without the last one. */
#define BYTES_OF(literal) ((struct vck_bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct vck_bytes bytes_of_buffer(const msgpack_sbuffer *buffer)
{
    return (struct vck_bytes){(const uint8_t *)buffer->data, buffer->size};
}

static inline void pack_name(msgpack_packer *packer, const char *name)
{
    msgpack_pack_str_with_body(packer, name, strlen(name));
}

/* A copy that ends where its memory ends, so that reading on is found. */
static inline struct vck_bytes exact_copy(struct vck_bytes bytes)
{
    uint8_t *copy = malloc(bytes.size_bytes > 0 ? bytes.size_bytes : 1);
    assert_non_null(copy);
    if (bytes.size_bytes > 0)
        memcpy(copy, bytes.data, bytes.size_bytes);
    return (struct vck_bytes){copy, bytes.size_bytes};
}

#endif
