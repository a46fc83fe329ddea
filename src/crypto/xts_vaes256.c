/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XTS with VAES on 256-bit registers: groups of sixteen blocks in eight vectors. Sixteen registers
 * do not hold the schedule as well, so the doubled round keys are read from the stack.
 */
#include "internal.h"
#include "vck/cpu.h"

#if VCK_CRYPTO_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,vaes,vpclmulqdq,aes,pclmul,prfchw")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#define VECTORS      8
#define VECTOR_BYTES 32
#define GROUP_BYTES  (VECTORS * VECTOR_BYTES)

struct wide_keys {
    __m256i round[VCK_AES256_ROUNDS + 1];
};

INLINE __m128i load_tweak(const uint8_t *p)
{
    return _mm_load_si128((const __m128i *)(const void *)p);
}

INLINE __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

INLINE void store(uint8_t *p, __m256i v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

/* A tweak times x^16: the same for the next group. */
INLINE __m128i group_further(__m128i tweak)
{
    __m128i overflow = _mm_srli_si128(tweak, 14);
    __m128i folded = _mm_clmulepi64_si128(overflow, _mm_cvtsi32_si128(0x87), 0x00);
    return _mm_xor_si128(_mm_slli_si128(tweak, 2), folded);
}

/* Lane j becomes the base times x^(first + j). What is shifted out at the top comes back times
 * x^7 + x^2 + x + 1; the swap of halves that carries from low to high also adds it times 1. */
INLINE __m256i multiples(__m256i base, int first)
{
    const __m256i up = _mm256_set_epi64x(first + 1, first + 1, first, first);
    const __m256i down = _mm256_sub_epi64(_mm256_set1_epi64x(64), up);
    __m256i over = _mm256_srlv_epi64(base, down);
    __m256i folded = _mm256_clmulepi64_epi128(over, _mm256_set1_epi64x(0x86), 0x01);
    __m256i shifted =
        _mm256_xor_si256(_mm256_sllv_epi64(base, up), _mm256_shuffle_epi32(over, 0x4e));
    return _mm256_xor_si256(shifted, folded);
}

INLINE __m256i times_x8(__m256i v)
{
    __m256i overflow = _mm256_bsrli_epi128(v, 15);
    __m256i folded = _mm256_clmulepi64_epi128(overflow, _mm256_set1_epi64x(0x87), 0x00);
    return _mm256_xor_si256(_mm256_bslli_epi128(v, 1), folded);
}

/* Vector i, lane j: the tweak of block 2 * i + j, from that of block 0. In order of i. */
INLINE void generate(int i, __m256i base, __m256i tweaks[VECTORS])
{
    if (i < VECTORS / 2)
        tweaks[i] = multiples(base, 2 * i);
    else
        tweaks[i] = times_x8(tweaks[i - VECTORS / 2]);
}

INLINE __m256i round_of(bool decrypt, __m256i block, __m256i key)
{
    return decrypt ? _mm256_aesdec_epi128(block, key) : _mm256_aesenc_epi128(block, key);
}

INLINE __m256i last_round_of(bool decrypt, __m256i block, __m256i key)
{
    return decrypt ? _mm256_aesdeclast_epi128(block, key) : _mm256_aesenclast_epi128(block, key);
}

/* Keeps the compiler from finishing one vector before it starts the next, or from gathering the
 * tweaks' computation at one end. */
INLINE void keep_order(__m256i s[VECTORS])
{
    __asm__ volatile(""
                     : "+x"(s[0]), "+x"(s[1]), "+x"(s[2]), "+x"(s[3]), "+x"(s[4]), "+x"(s[5]),
                       "+x"(s[6]), "+x"(s[7])
                     :
                     : "memory");
}

/* One group, and the tweaks of the one after it from next_base into next. `ahead` is prefetched. */
INLINE void run_group(bool decrypt, const struct wide_keys *keys, uint8_t *dst, const uint8_t *src,
                      const uint8_t *ahead, const __m256i tweaks[VECTORS], __m256i next_base,
                      __m256i next[VECTORS])
{
    __m256i s[VECTORS];
#pragma GCC unroll 4
    for (int i = 0; i < GROUP_BYTES / 64; i++)
        __builtin_prefetch(ahead + 64 * i, 1);
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++)
        s[i] = _mm256_xor_si256(_mm256_xor_si256(load(src + VECTOR_BYTES * i), tweaks[i]),
                                keys->round[0]);
#pragma GCC unroll 13
    for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++) {
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; i++)
            s[i] = round_of(decrypt, s[i], keys->round[round]);
        if (round <= VECTORS)
            generate((int)round - 1, next_base, next);
        keep_order(s);
    }
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++) {
        __m256i last = _mm256_xor_si256(tweaks[i], keys->round[VCK_AES256_ROUNDS]);
        store(dst + VECTOR_BYTES * i, last_round_of(decrypt, s[i], last));
    }
}

INLINE void widen(struct wide_keys *wide, const uint8_t *keys)
{
    for (unsigned round = 0; round <= VCK_AES256_ROUNDS; round++)
        wide->round[round] =
            _mm256_broadcastsi128_si256(load_tweak(keys + VCK_AES_BLOCK_BYTES * round));
}

INLINE void wipe_vectors(__m256i *v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        v[i] = _mm256_setzero_si256();
    __asm__ volatile("" : : "r"(v) : "memory");
}

INLINE void run_xts(bool decrypt, const struct vck_xts_run *run)
{
    struct wide_keys keys;
    __m256i tweaks[2][VECTORS];
    const uint8_t *src = run->src, *sector_tweak = run->tweaks;
    uint8_t *dst = run->dst;
    size_t groups_per_sector = run->units_per_sector * (VCK_XTS_UNIT_BYTES / GROUP_BYTES);
    size_t group = 0, groups_left = run->sector_count * groups_per_sector;
    __m128i base = load_tweak(sector_tweak);

    widen(&keys, run->keys);
    for (int i = 0; i < VECTORS; i++)
        generate(i, _mm256_broadcastsi128_si256(base), tweaks[0]);
    __m256i *now = tweaks[0], *next = tweaks[1];
    for (; groups_left > 0; groups_left--) {
        base = group_further(base);
        if (++group == groups_per_sector && groups_left > 1) {
            sector_tweak += VCK_AES_BLOCK_BYTES;
            base = load_tweak(sector_tweak);
            group = 0;
        }
        run_group(decrypt, &keys, dst, src, vck_xts_ahead(run, dst), now,
                  _mm256_broadcastsi128_si256(base), next);
        __m256i *swap = now;
        now = next;
        next = swap;
        src += GROUP_BYTES;
        dst += GROUP_BYTES;
    }
    wipe_vectors(tweaks[0], VECTORS);
    wipe_vectors(tweaks[1], VECTORS);
    wipe_vectors(keys.round, VCK_AES256_ROUNDS + 1);
}

static TARGET void vaes256_xts_encrypt(const struct vck_xts_run *run)
{
    run_xts(false, run);
}

static TARGET void vaes256_xts_decrypt(const struct vck_xts_run *run)
{
    run_xts(true, run);
}

const struct vck_aes_ops vck_aes_vaes256 = {
    .features = VCK_CPU_AESNI | VCK_CPU_VAES,
    .expand = vck_aesni_expand,
    .encrypt = vck_aesni_encrypt,
    .decrypt = vck_aesni_decrypt,
    .xts_encrypt = vaes256_xts_encrypt,
    .xts_decrypt = vaes256_xts_decrypt,
};
#endif
