/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "argon2_internal.h"

static uint64_t rotate_right(uint64_t v, unsigned bits)
{
    return v >> bits | v << (64 - bits);
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b + 2 * (uint64_t)(uint32_t)a * (uint32_t)b;
}

static inline void mix(uint64_t *ap, uint64_t *bp, uint64_t *cp, uint64_t *dp)
{
    uint64_t a = *ap, b = *bp, c = *cp, d = *dp;
    a = add(a, b);
    d = rotate_right(d ^ a, 32);
    c = add(c, d);
    b = rotate_right(b ^ c, 24);
    a = add(a, b);
    d = rotate_right(d ^ a, 16);
    c = add(c, d);
    b = rotate_right(b ^ c, 63);
    *ap = a;
    *bp = b;
    *cp = c;
    *dp = d;
}

/* Over 16 words: pairs of neighbours, `stride` words apart. */
static inline void permute(uint64_t *v, size_t stride)
{
#define AT(i) (&v[(i) / 2 * stride + (i) % 2])
    mix(AT(0), AT(4), AT(8), AT(12));
    mix(AT(1), AT(5), AT(9), AT(13));
    mix(AT(2), AT(6), AT(10), AT(14));
    mix(AT(3), AT(7), AT(11), AT(15));
    mix(AT(0), AT(5), AT(10), AT(15));
    mix(AT(1), AT(6), AT(11), AT(12));
    mix(AT(2), AT(7), AT(8), AT(13));
    mix(AT(3), AT(4), AT(9), AT(14));
#undef AT
}

void vck_argon2_fill_portable(struct vck_argon2_block *dst, const struct vck_argon2_block *a,
                              const struct vck_argon2_block *b, bool is_added,
                              struct vck_argon2_block *work)
{
    uint64_t *sum = work[0].words, *mixed = work[1].words;
    for (size_t i = 0; i < VCK_ARGON2_BLOCK_WORDS; i++)
        sum[i] = mixed[i] = a->words[i] ^ b->words[i];
    for (size_t row = 0; row < 8; row++)
        permute(mixed + 16 * row, 2);
    for (size_t column = 0; column < 8; column++)
        permute(mixed + 2 * column, 16);
    uint64_t keep = is_added ? ~UINT64_C(0) : 0;
    for (size_t i = 0; i < VCK_ARGON2_BLOCK_WORDS; i++)
        dst->words[i] = (dst->words[i] & keep) ^ sum[i] ^ mixed[i];
}
