/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret: key bytes that are wiped, compared in constant time and never formatted. A secret is
 * passed by address, never copied by assignment. Its buffer comes from the port's locked memory
 * where the port can lock pages.
 */
#ifndef VCK_SECRET_H
#define VCK_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

struct vck_secret {
    uint8_t *data;
    size_t size_bytes;
};

/* Overwrites the bytes; the compiler cannot leave it out. Any level. */
void vck_wipe(void *p, size_t size_bytes);

/* Whether both ranges hold the same bytes, in time that depends on size_bytes only. Any level. */
VCK_CHECKED bool vck_equal_constant_time(const void *a, const void *b, size_t size_bytes);

/* A secret of size_bytes (1 to 64 KiB), zeroed, or a copy of data. fini wipes and frees; it accepts
 * a zeroed or already finished struct. NO_MEMORY, INVALID_DATA (size 0 or too large). PASSIVE. */
VCK_CHECKED vck_status vck_secret_init(struct vck_secret *secret, size_t size_bytes);
VCK_CHECKED vck_status vck_secret_init_copy(struct vck_secret *secret, struct vck_bytes data);
void vck_secret_fini(struct vck_secret *secret);

/* Borrowed; empty for a zeroed struct. Any level. */
static inline struct vck_bytes vck_secret_bytes(const struct vck_secret *secret)
{
    const struct vck_bytes bytes = {secret->data, secret->size_bytes};
    return bytes; /* C++, too, may include this */
}

VCK_END_DECLS

#endif
