/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256: the SHA-256 hash. Source: FIPS 180-4.
 */
#ifndef VCK_SHA256_H
#define VCK_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_SHA256_BYTES       32u
#define VCK_SHA256_BLOCK_BYTES 64u

enum vck_sha256_impl {
    VCK_SHA256_AUTO,     /* the fastest that is available */
    VCK_SHA256_PORTABLE, /* any processor */
    VCK_SHA256_SHANI,    /* SHA extensions */
};

/* A hash in progress. Fields are the room's own. Holds input: wipe when the input is secret. */
struct vck_sha256 {
    uint32_t state[8];
    uint64_t total_bytes;
    uint8_t block[VCK_SHA256_BLOCK_BYTES];
    enum vck_sha256_impl impl;
};

bool vck_sha256_impl_available(enum vck_sha256_impl impl);

void vck_sha256_init(struct vck_sha256 *sha);
/* UNSUPPORTED when the implementation cannot run here. */
VCK_CHECKED vck_status vck_sha256_init_with(struct vck_sha256 *sha, enum vck_sha256_impl impl);

/* data may be NULL when size_bytes is 0. Any level. */
void vck_sha256_update(struct vck_sha256 *sha, const void *data, size_t size_bytes);

/* Writes the digest and wipes *sha; init it again to reuse it. */
void vck_sha256_final(struct vck_sha256 *sha, uint8_t ret_digest[VCK_SHA256_BYTES]);

/* All in one. */
void vck_sha256(const void *data, size_t size_bytes, uint8_t ret_digest[VCK_SHA256_BYTES]);

VCK_END_DECLS

#endif
