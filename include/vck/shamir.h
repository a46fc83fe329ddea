/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shamir: a secret of 32 bytes in shares, of which any `threshold` give it back and fewer say
 * nothing. Each byte is shared by itself in GF(2^8). No branch and no look-up depends on the
 * secret or a share. Source: A. Shamir, "How to share a secret", 1979; docs/format.md,
 * "Network".
 */
#ifndef VCK_SHAMIR_H
#define VCK_SHAMIR_H

#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_SHAMIR_BYTES 32u

/* Its number, from 1, is the point that the polynomials are taken at, and no secret. Wipe it. */
struct vck_shamir_share {
    uint8_t number;
    uint8_t bytes[VCK_SHAMIR_BYTES];
};

/* Writes shares 1 to count. INVALID_DATA unless 1 <= threshold <= count <= 255; CRYPTO_FAILED: no
 * random bytes. PASSIVE. */
VCK_CHECKED vck_status vck_shamir_split(const uint8_t secret[VCK_SHAMIR_BYTES], uint32_t threshold,
                                        uint32_t count, struct vck_shamir_share *ret_shares);

/* The secret from exactly the threshold it was split with, of different shares in any order. With
 * fewer, or a wrong one, the result is some other value. INVALID_DATA: none, a number of 0, or one
 * that occurs twice. Any level. */
VCK_CHECKED vck_status vck_shamir_combine(const struct vck_shamir_share *shares, uint32_t count,
                                          uint8_t ret_secret[VCK_SHAMIR_BYTES]);

VCK_END_DECLS

#endif
