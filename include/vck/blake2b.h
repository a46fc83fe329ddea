/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blake2b: the hash BLAKE2b, unkeyed, of 1 to 64 bytes. Source: RFC 7693.
 */
#ifndef VCK_BLAKE2B_H
#define VCK_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

#define VCK_BLAKE2B_BYTES_MAX   64u
#define VCK_BLAKE2B_BLOCK_BYTES 128u

/* A hash in progress. Fields are the room's own. Holds input: wipe when the input is secret. */
struct vck_blake2b {
    uint64_t state[8];
    uint64_t total_bytes;
    uint8_t block[VCK_BLAKE2B_BLOCK_BYTES];
    size_t filled_bytes;
    size_t digest_bytes;
};

/* digest_bytes: 1 to VCK_BLAKE2B_BYTES_MAX. Any level. */
void vck_blake2b_init(struct vck_blake2b *hash, size_t digest_bytes);
/* data may be NULL when size_bytes is 0. */
void vck_blake2b_update(struct vck_blake2b *hash, const void *data, size_t size_bytes);
/* Writes digest_bytes and wipes *hash. */
void vck_blake2b_final(struct vck_blake2b *hash, uint8_t *ret_digest);

VCK_END_DECLS

#endif
