/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of argon2 share: the function that makes a block out of two others. */
#ifndef VCK_CRYPTO_ARGON2_INTERNAL_H
#define VCK_CRYPTO_ARGON2_INTERNAL_H

#include "internal.h"
#include "vck/argon2.h"

#define VCK_ARGON2_BLOCK_WORDS (VCK_ARGON2_BLOCK_BYTES / 8)

struct vck_argon2_block {
    VCK_ALIGNAS(64) uint64_t words[VCK_ARGON2_BLOCK_WORDS];
};

/* dst = G(a, b), or dst ^= G(a, b) where is_added. dst may be a or b. work: two blocks. */
typedef void vck_argon2_fill(struct vck_argon2_block *dst, const struct vck_argon2_block *a,
                             const struct vck_argon2_block *b, bool is_added,
                             struct vck_argon2_block *work);

vck_argon2_fill vck_argon2_fill_portable;
#if VCK_CRYPTO_X86
vck_argon2_fill vck_argon2_fill_sse2;
vck_argon2_fill vck_argon2_fill_avx2;
#endif

#endif
