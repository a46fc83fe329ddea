/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XTS with VAES on 512-bit registers. A unit of 32 blocks is eight vectors, and the fifteen round
 * keys stay in registers. AES instructions keep one execution port busy all the time, so the tweaks
 * of the next unit are computed between the rounds of this one, mostly with shuffles, which run
 * beside them; a carry-less product costs as much as an AES round on some processors.
 */
#include "internal.h"
#include "vck/cpu.h"

#if VCK_CRYPTO_X86
#include <immintrin.h>

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq,aes,pclmul,"         \
                          "prfchw")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#define VECTORS      8
#define VECTOR_BYTES 64

/* Bytes 0 to count - 1 of every 128-bit lane. */
#define LOW_BYTES(count) (((1ull << (count)) - 1) * 0x0001000100010001ull)

INLINE __m512i broadcast(const uint8_t *p)
{
    return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)p));
}

/* The same 16 bytes in every lane, low half and high half. */
INLINE __m512i lanes(uint64_t low, uint64_t high)
{
    return _mm512_set_epi64((int64_t)high, (int64_t)low, (int64_t)high, (int64_t)low, (int64_t)high,
                            (int64_t)low, (int64_t)high, (int64_t)low);
}

/* A tweak times x^32: the same for the next unit. */
INLINE __m128i unit_further(__m128i tweak)
{
    __m128i overflow = _mm_srli_si128(tweak, 12);
    __m128i folded = _mm_clmulepi64_si128(overflow, _mm_cvtsi32_si128(0x87), 0x00);
    return _mm_xor_si128(_mm_slli_si128(tweak, 4), folded);
}

/* Lane j becomes the base times x^(first + j). What is shifted out at the top comes back times
 * x^7 + x^2 + x + 1; the swap of halves that carries from low to high also adds it times 1. */
INLINE __m512i multiples(__m512i base, int first)
{
    const __m512i up = _mm512_set_epi64(first + 3, first + 3, first + 2, first + 2, first + 1,
                                        first + 1, first, first);
    const __m512i down = _mm512_sub_epi64(_mm512_set1_epi64(64), up);
    __m512i over = _mm512_srlv_epi64(base, down);
    __m512i folded = _mm512_clmulepi64_epi128(over, _mm512_set1_epi64(0x86), 0x01);
    return _mm512_ternarylogic_epi64(_mm512_sllv_epi64(base, up),
                                     _mm512_shuffle_epi32(over, _MM_PERM_BADC), folded, 0x96);
}

/* The lowest bytes of v times x^8, x^16 and x^24, two, three and four of them, one after the other:
 * the bytes shifted out at the top, times x^7 + x^2 + x + 1, by one product for all three; on the
 * highest byte of each lies the lowest byte of v. */
INLINE __m512i wrapped_bytes(__m512i v)
{
    const __m512i tops = lanes(0x0f0e0d800f0e800f, 0x8080808080808080);
    const __m512i lows = lanes(0x8080800080800080, 0x8080808080808000);
    __m512i products =
        _mm512_clmulepi64_epi128(_mm512_shuffle_epi8(v, tops), _mm512_set1_epi64(0x87), 0x00);
    return _mm512_xor_si512(products, _mm512_shuffle_epi8(v, lows));
}

INLINE __m512i times_x8(__m512i v, __m512i wrapped)
{
    return _mm512_mask_shuffle_epi8(_mm512_bslli_epi128(v, 1), LOW_BYTES(2), wrapped,
                                    lanes(0x0100, 0));
}

INLINE __m512i times_x16(__m512i v, __m512i wrapped)
{
    return _mm512_mask_shuffle_epi8(_mm512_bslli_epi128(v, 2), LOW_BYTES(3), wrapped,
                                    lanes(0x040302, 0));
}

INLINE __m512i times_x24(__m512i v, __m512i wrapped)
{
    return _mm512_mask_shuffle_epi8(_mm512_bslli_epi128(v, 3), LOW_BYTES(4), wrapped,
                                    lanes(0x08070605, 0));
}

/* The tweaks of a unit in the making. */
struct generator {
    __m512i base, even, odd, even_wrapped, odd_wrapped;
};

/* Step 0 to 10 of computing the tweaks of the unit whose first block's tweak is `base`. Vector i,
 * lane j is for block 4 * i + j. */
INLINE void generate(struct generator *g, int step, __m128i base, __m512i tweaks[VECTORS])
{
    switch (step) {
    case 0:
        g->base = _mm512_broadcast_i32x4(base);
        break;
    case 1:
        tweaks[0] = g->even = multiples(g->base, 0);
        break;
    case 2:
        tweaks[1] = g->odd = multiples(g->base, 4);
        break;
    case 3:
        g->even_wrapped = wrapped_bytes(g->even);
        break;
    case 4:
        g->odd_wrapped = wrapped_bytes(g->odd);
        break;
    case 5:
        tweaks[2] = times_x8(g->even, g->even_wrapped);
        break;
    case 6:
        tweaks[3] = times_x8(g->odd, g->odd_wrapped);
        break;
    case 7:
        tweaks[4] = times_x16(g->even, g->even_wrapped);
        break;
    case 8:
        tweaks[5] = times_x16(g->odd, g->odd_wrapped);
        break;
    case 9:
        tweaks[6] = times_x24(g->even, g->even_wrapped);
        break;
    case 10:
        tweaks[7] = times_x24(g->odd, g->odd_wrapped);
        break;
    default:
        break;
    }
}

INLINE __m512i round_of(bool decrypt, __m512i block, __m512i key)
{
    return decrypt ? _mm512_aesdec_epi128(block, key) : _mm512_aesenc_epi128(block, key);
}

INLINE __m512i last_round_of(bool decrypt, __m512i block, __m512i key)
{
    return decrypt ? _mm512_aesdeclast_epi128(block, key) : _mm512_aesenclast_epi128(block, key);
}

/* Keeps the compiler from finishing one vector before it starts the next, or from gathering the
 * tweaks' computation at one end. */
INLINE void keep_order(__m512i s[VECTORS])
{
    __asm__ volatile(""
                     : "+v"(s[0]), "+v"(s[1]), "+v"(s[2]), "+v"(s[3]), "+v"(s[4]), "+v"(s[5]),
                       "+v"(s[6]), "+v"(s[7])
                     :
                     : "memory");
}

/* One unit, and the tweaks of the one after it from next_base into next. `ahead` is prefetched. */
INLINE void run_unit(bool decrypt, const __m512i keys[VCK_AES256_ROUNDS + 1], uint8_t *dst,
                     const uint8_t *src, const uint8_t *ahead, const __m512i tweaks[VECTORS],
                     __m128i next_base, __m512i next[VECTORS])
{
    __m512i s[VECTORS];
    struct generator g;
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++) {
        __builtin_prefetch(ahead + VECTOR_BYTES * i, 1);
        s[i] = _mm512_ternarylogic_epi64(_mm512_loadu_si512(src + VECTOR_BYTES * i), tweaks[i],
                                         keys[0], 0x96);
    }
#pragma GCC unroll 13
    for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++) {
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; i++)
            s[i] = round_of(decrypt, s[i], keys[round]);
        generate(&g, (int)round - 1, next_base, next);
        keep_order(s);
    }
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++) {
        __m512i last = _mm512_xor_si512(tweaks[i], keys[VCK_AES256_ROUNDS]);
        _mm512_storeu_si512(dst + VECTOR_BYTES * i, last_round_of(decrypt, s[i], last));
    }
}

INLINE __m128i load_tweak(const uint8_t *p)
{
    return _mm_load_si128((const __m128i *)(const void *)p);
}

INLINE void run_all(bool decrypt, const struct vck_xts_run *run)
{
    __m512i keys[VCK_AES256_ROUNDS + 1], tweaks[2][VECTORS];
    const uint8_t *src = run->src, *sector_tweak = run->tweaks;
    uint8_t *dst = run->dst;
    size_t unit = 0, units_left = run->sector_count * run->units_per_sector;
    __m128i base = load_tweak(sector_tweak);
    struct generator g;

#pragma GCC unroll 15
    for (unsigned round = 0; round <= VCK_AES256_ROUNDS; round++)
        keys[round] = broadcast(run->keys + VCK_AES_BLOCK_BYTES * round);
#pragma GCC unroll 11
    for (int step = 0; step < 11; step++)
        generate(&g, step, base, tweaks[0]);

    __m512i *now = tweaks[0], *next = tweaks[1];
    for (; units_left > 0; units_left--) {
        base = unit_further(base);
        if (++unit == run->units_per_sector && units_left > 1) {
            sector_tweak += VCK_AES_BLOCK_BYTES;
            base = load_tweak(sector_tweak);
            unit = 0;
        }
        run_unit(decrypt, keys, dst, src, vck_xts_ahead(run, dst), now, base, next);
        __m512i *swap = now;
        now = next;
        next = swap;
        src += VCK_XTS_UNIT_BYTES;
        dst += VCK_XTS_UNIT_BYTES;
    }
    for (int i = 0; i < VECTORS; i++)
        tweaks[0][i] = tweaks[1][i] = _mm512_setzero_si512();
    __asm__ volatile("" : : "r"(tweaks) : "memory");
}

static TARGET void vaes512_xts_encrypt(const struct vck_xts_run *run)
{
    run_all(false, run);
}

static TARGET void vaes512_xts_decrypt(const struct vck_xts_run *run)
{
    run_all(true, run);
}

/* Blocks of one schedule, eight vectors at a time; the rest goes to AES-NI. */
INLINE size_t run_blocks(bool decrypt, const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                         size_t block_count)
{
    size_t done = 0;
    for (; block_count - done >= 4 * VECTORS; done += 4 * VECTORS) {
        __m512i s[VECTORS];
        __m512i key = broadcast(keys);
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; i++)
            s[i] = _mm512_xor_si512(
                _mm512_loadu_si512(src + VCK_AES_BLOCK_BYTES * done + VECTOR_BYTES * i), key);
#pragma GCC unroll 13
        for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++) {
            key = broadcast(keys + VCK_AES_BLOCK_BYTES * round);
#pragma GCC unroll 8
            for (int i = 0; i < VECTORS; i++)
                s[i] = round_of(decrypt, s[i], key);
        }
        key = broadcast(keys + VCK_AES256_ROUNDS * VCK_AES_BLOCK_BYTES);
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; i++)
            _mm512_storeu_si512(dst + VCK_AES_BLOCK_BYTES * done + VECTOR_BYTES * i,
                                last_round_of(decrypt, s[i], key));
    }
    return done;
}

static TARGET void vaes512_encrypt(const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                                   size_t block_count)
{
    size_t done = run_blocks(false, keys, dst, src, block_count);
    vck_aesni_encrypt(keys, dst + VCK_AES_BLOCK_BYTES * done, src + VCK_AES_BLOCK_BYTES * done,
                      block_count - done);
}

static TARGET void vaes512_decrypt(const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                                   size_t block_count)
{
    size_t done = run_blocks(true, keys, dst, src, block_count);
    vck_aesni_decrypt(keys, dst + VCK_AES_BLOCK_BYTES * done, src + VCK_AES_BLOCK_BYTES * done,
                      block_count - done);
}

const struct vck_aes_ops vck_aes_vaes512 = {
    .features = VCK_CPU_AESNI | VCK_CPU_VAES | VCK_CPU_AVX512,
    .expand = vck_aesni_expand,
    .encrypt = vaes512_encrypt,
    .decrypt = vaes512_decrypt,
    .xts_encrypt = vaes512_xts_encrypt,
    .xts_decrypt = vaes512_xts_decrypt,
};
#endif
