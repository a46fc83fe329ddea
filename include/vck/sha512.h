/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha512: the SHA-512 hash. Source: FIPS 180-4.
 */
#ifndef VCK_SHA512_H
#define VCK_SHA512_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

#define VCK_SHA512_BYTES       64u
#define VCK_SHA512_BLOCK_BYTES 128u

/* A hash in progress. Fields are the room's own. Holds input: wipe when the input is secret. */
struct vck_sha512 {
    uint64_t state[8];
    uint64_t total_bytes;
    uint8_t block[VCK_SHA512_BLOCK_BYTES];
};

void vck_sha512_init(struct vck_sha512 *sha);
/* data may be NULL when size_bytes is 0. Any level. */
void vck_sha512_update(struct vck_sha512 *sha, const void *data, size_t size_bytes);
/* Writes the digest and wipes *sha; init it again to reuse it. */
void vck_sha512_final(struct vck_sha512 *sha, uint8_t ret_digest[VCK_SHA512_BYTES]);
/* All in one. */
void vck_sha512(const void *data, size_t size_bytes, uint8_t ret_digest[VCK_SHA512_BYTES]);

VCK_END_DECLS

#endif
