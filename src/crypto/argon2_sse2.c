/* SPDX-License-Identifier: Apache-2.0 */
/* Two words in a register: a row of four words of the state is two of them. */
#include "argon2_internal.h"

#if VCK_CRYPTO_X86
#include <immintrin.h>

#define INLINE        static inline __attribute__((always_inline))
#define BLOCK_VECTORS (VCK_ARGON2_BLOCK_BYTES / 16)

struct state {
    __m128i a0, a1, b0, b1, c0, c1, d0, d1;
};

INLINE __m128i add(__m128i x, __m128i y)
{
    __m128i product = _mm_mul_epu32(x, y);
    return _mm_add_epi64(_mm_add_epi64(x, y), _mm_add_epi64(product, product));
}

INLINE __m128i rotate32(__m128i v)
{
    return _mm_shuffle_epi32(v, 0xb1);
}

INLINE __m128i rotate24(__m128i v)
{
    return _mm_xor_si128(_mm_srli_epi64(v, 24), _mm_slli_epi64(v, 40));
}

INLINE __m128i rotate16(__m128i v)
{
    return _mm_shufflehi_epi16(_mm_shufflelo_epi16(v, 0x39), 0x39);
}

INLINE __m128i rotate63(__m128i v)
{
    return _mm_xor_si128(_mm_srli_epi64(v, 63), _mm_add_epi64(v, v));
}

INLINE void mix(struct state *s)
{
    s->a0 = add(s->a0, s->b0);
    s->a1 = add(s->a1, s->b1);
    s->d0 = rotate32(_mm_xor_si128(s->d0, s->a0));
    s->d1 = rotate32(_mm_xor_si128(s->d1, s->a1));
    s->c0 = add(s->c0, s->d0);
    s->c1 = add(s->c1, s->d1);
    s->b0 = rotate24(_mm_xor_si128(s->b0, s->c0));
    s->b1 = rotate24(_mm_xor_si128(s->b1, s->c1));
    s->a0 = add(s->a0, s->b0);
    s->a1 = add(s->a1, s->b1);
    s->d0 = rotate16(_mm_xor_si128(s->d0, s->a0));
    s->d1 = rotate16(_mm_xor_si128(s->d1, s->a1));
    s->c0 = add(s->c0, s->d0);
    s->c1 = add(s->c1, s->d1);
    s->b0 = rotate63(_mm_xor_si128(s->b0, s->c0));
    s->b1 = rotate63(_mm_xor_si128(s->b1, s->c1));
}

/* The high word of x, then the low word of y. */
INLINE __m128i straddle(__m128i x, __m128i y)
{
    return _mm_castpd_si128(_mm_shuffle_pd(_mm_castsi128_pd(x), _mm_castsi128_pd(y), 1));
}

INLINE void swap(__m128i *x, __m128i *y)
{
    __m128i kept = *x;
    *x = *y;
    *y = kept;
}

/* Turns the rows so that diagonals become columns. */
INLINE void turn(struct state *s)
{
    __m128i b0 = straddle(s->b0, s->b1), d0 = straddle(s->d1, s->d0);
    s->b1 = straddle(s->b1, s->b0);
    s->d1 = straddle(s->d0, s->d1);
    s->b0 = b0;
    s->d0 = d0;
    swap(&s->c0, &s->c1);
}

INLINE void turn_back(struct state *s)
{
    __m128i b0 = straddle(s->b1, s->b0), d0 = straddle(s->d0, s->d1);
    s->b1 = straddle(s->b0, s->b1);
    s->d1 = straddle(s->d1, s->d0);
    s->b0 = b0;
    s->d0 = d0;
    swap(&s->c0, &s->c1);
}

INLINE void permute(__m128i *v, size_t stride)
{
    struct state s = {v[0],          v[stride],     v[2 * stride], v[3 * stride],
                      v[4 * stride], v[5 * stride], v[6 * stride], v[7 * stride]};
    mix(&s);
    turn(&s);
    mix(&s);
    turn_back(&s);
    v[0] = s.a0;
    v[stride] = s.a1;
    v[2 * stride] = s.b0;
    v[3 * stride] = s.b1;
    v[4 * stride] = s.c0;
    v[5 * stride] = s.c1;
    v[6 * stride] = s.d0;
    v[7 * stride] = s.d1;
}

void vck_argon2_fill_sse2(struct vck_argon2_block *dst, const struct vck_argon2_block *a,
                          const struct vck_argon2_block *b, bool is_added,
                          struct vck_argon2_block *work)
{
    __m128i *sum = (__m128i *)work[0].words, *mixed = (__m128i *)work[1].words;
    __m128i *out = (__m128i *)dst->words;
    const __m128i *x = (const __m128i *)a->words, *y = (const __m128i *)b->words;
    for (size_t i = 0; i < BLOCK_VECTORS; i++) {
        __m128i v = _mm_xor_si128(x[i], y[i]);
        mixed[i] = v;
        sum[i] = is_added ? _mm_xor_si128(v, out[i]) : v;
    }
    for (size_t row = 0; row < 8; row++)
        permute(mixed + 8 * row, 1);
    for (size_t column = 0; column < 8; column++)
        permute(mixed + column, 8);
    for (size_t i = 0; i < BLOCK_VECTORS; i++)
        out[i] = _mm_xor_si128(sum[i], mixed[i]);
}
#endif
