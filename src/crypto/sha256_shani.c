/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256's compression function with the SHA extensions. */
#include "internal.h"

#if VCK_CRYPTO_X86
#include <immintrin.h>

#define TARGET __attribute__((target("sha,sse4.1")))
#define INLINE static inline __attribute__((always_inline)) TARGET

INLINE __m128i load(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

INLINE void store(void *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)p, v);
}

/* The instructions keep the words as ABEF and CDGH, highest first. */
struct halves {
    __m128i abef, cdgh;
};

INLINE struct halves split(const uint32_t state[8])
{
    __m128i cdab = _mm_shuffle_epi32(load(state), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(load(state + 4), 0x1b);
    return (struct halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

INLINE void join(uint32_t state[8], struct halves h)
{
    __m128i feba = _mm_shuffle_epi32(h.abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(h.cdgh, 0xb1);
    store(state, _mm_blend_epi16(feba, dchg, 0xf0));
    store(state + 4, _mm_alignr_epi8(dchg, feba, 8));
}

/* The next four words of the message schedule from the last sixteen, oldest first. */
INLINE __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    return _mm_sha256msg2_epu32(sum, w3);
}

TARGET void vck_sha256_compress_shani(uint32_t state[8], const uint8_t *blocks, size_t block_count)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    struct halves h = split(state);
    for (; block_count > 0; block_count--) {
        struct halves before = h;
        __m128i w[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(load(blocks + 16 * i), big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i sum = _mm_add_epi32(w[i % 4], load(vck_sha256_round_constants + 4 * i));
            h.cdgh = _mm_sha256rnds2_epu32(h.cdgh, h.abef, sum);
            h.abef = _mm_sha256rnds2_epu32(h.abef, h.cdgh, _mm_shuffle_epi32(sum, 0x0e));
            if (i < 12)
                w[i % 4] = next_words(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
        }
        h.abef = _mm_add_epi32(h.abef, before.abef);
        h.cdgh = _mm_add_epi32(h.cdgh, before.cdgh);
        blocks += VCK_SHA256_BLOCK_BYTES;
    }
    join(state, h);
}
#endif
