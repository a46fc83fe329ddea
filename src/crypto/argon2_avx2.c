/* SPDX-License-Identifier: Apache-2.0 */
/* Four words in a register: a row of the state is one. Two states at a time, so that one waits for
 * its multiplications while the other works. */
#include "argon2_internal.h"

#if VCK_CRYPTO_X86
#include <immintrin.h>

#define TARGET        __attribute__((target("avx2")))
#define INLINE        static inline __attribute__((always_inline)) TARGET
#define BLOCK_VECTORS (VCK_ARGON2_BLOCK_BYTES / 32)

struct state {
    __m256i a, b, c, d;
};

INLINE __m256i add(__m256i x, __m256i y)
{
    __m256i product = _mm256_mul_epu32(x, y);
    return _mm256_add_epi64(_mm256_add_epi64(x, y), _mm256_add_epi64(product, product));
}

INLINE __m256i rotate32(__m256i v)
{
    return _mm256_shuffle_epi32(v, 0xb1);
}

INLINE __m256i rotate24(__m256i v)
{
    const __m256i order = _mm256_set_epi64x(0x0a09080f0e0d0c0b, 0x0201000706050403,
                                            0x0a09080f0e0d0c0b, 0x0201000706050403);
    return _mm256_shuffle_epi8(v, order);
}

INLINE __m256i rotate16(__m256i v)
{
    const __m256i order = _mm256_set_epi64x(0x09080f0e0d0c0b0a, 0x0100070605040302,
                                            0x09080f0e0d0c0b0a, 0x0100070605040302);
    return _mm256_shuffle_epi8(v, order);
}

INLINE __m256i rotate63(__m256i v)
{
    return _mm256_xor_si256(_mm256_srli_epi64(v, 63), _mm256_add_epi64(v, v));
}

INLINE void mix(struct state *s, struct state *t)
{
    s->a = add(s->a, s->b);
    t->a = add(t->a, t->b);
    s->d = rotate32(_mm256_xor_si256(s->d, s->a));
    t->d = rotate32(_mm256_xor_si256(t->d, t->a));
    s->c = add(s->c, s->d);
    t->c = add(t->c, t->d);
    s->b = rotate24(_mm256_xor_si256(s->b, s->c));
    t->b = rotate24(_mm256_xor_si256(t->b, t->c));
    s->a = add(s->a, s->b);
    t->a = add(t->a, t->b);
    s->d = rotate16(_mm256_xor_si256(s->d, s->a));
    t->d = rotate16(_mm256_xor_si256(t->d, t->a));
    s->c = add(s->c, s->d);
    t->c = add(t->c, t->d);
    s->b = rotate63(_mm256_xor_si256(s->b, s->c));
    t->b = rotate63(_mm256_xor_si256(t->b, t->c));
}

/* Turns the rows so that diagonals become columns, and back. */
INLINE void turn(struct state *s)
{
    s->b = _mm256_permute4x64_epi64(s->b, 0x39);
    s->c = _mm256_permute4x64_epi64(s->c, 0x4e);
    s->d = _mm256_permute4x64_epi64(s->d, 0x93);
}

INLINE void turn_back(struct state *s)
{
    s->b = _mm256_permute4x64_epi64(s->b, 0x93);
    s->c = _mm256_permute4x64_epi64(s->c, 0x4e);
    s->d = _mm256_permute4x64_epi64(s->d, 0x39);
}

INLINE void permute(struct state *s, struct state *t)
{
    mix(s, t);
    turn(s);
    turn(t);
    mix(s, t);
    turn_back(s);
    turn_back(t);
}

INLINE void permute_rows(__m256i *v)
{
    struct state s = {v[0], v[1], v[2], v[3]}, t = {v[4], v[5], v[6], v[7]};
    permute(&s, &t);
    v[0] = s.a;
    v[1] = s.b;
    v[2] = s.c;
    v[3] = s.d;
    v[4] = t.a;
    v[5] = t.b;
    v[6] = t.c;
    v[7] = t.d;
}

/* A register of the block holds pairs of two neighbouring columns: one goes to each state. */
INLINE void deal(__m256i x, __m256i y, __m256i *ret_s, __m256i *ret_t)
{
    *ret_s = _mm256_permute2x128_si256(x, y, 0x20);
    *ret_t = _mm256_permute2x128_si256(x, y, 0x31);
}

INLINE void permute_columns(__m256i *v)
{
    struct state s, t;
    deal(v[0], v[4], &s.a, &t.a);
    deal(v[8], v[12], &s.b, &t.b);
    deal(v[16], v[20], &s.c, &t.c);
    deal(v[24], v[28], &s.d, &t.d);
    permute(&s, &t);
    deal(s.a, t.a, &v[0], &v[4]);
    deal(s.b, t.b, &v[8], &v[12]);
    deal(s.c, t.c, &v[16], &v[20]);
    deal(s.d, t.d, &v[24], &v[28]);
}

TARGET void vck_argon2_fill_avx2(struct vck_argon2_block *dst, const struct vck_argon2_block *a,
                                 const struct vck_argon2_block *b, bool is_added,
                                 struct vck_argon2_block *work)
{
    __m256i *sum = (__m256i *)work[0].words, *mixed = (__m256i *)work[1].words;
    __m256i *out = (__m256i *)dst->words;
    const __m256i *x = (const __m256i *)a->words, *y = (const __m256i *)b->words;
    for (size_t i = 0; i < BLOCK_VECTORS; i++) {
        __m256i v = _mm256_xor_si256(x[i], y[i]);
        mixed[i] = v;
        sum[i] = is_added ? _mm256_xor_si256(v, out[i]) : v;
    }
    for (size_t row = 0; row < 8; row += 2)
        permute_rows(mixed + 4 * row);
    for (size_t column = 0; column < 4; column++)
        permute_columns(mixed + column);
    for (size_t i = 0; i < BLOCK_VECTORS; i++)
        out[i] = _mm256_xor_si256(sum[i], mixed[i]);
}
#endif
