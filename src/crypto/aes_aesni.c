/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-256 with AES-NI, one block per instruction: key expansion, independent blocks and XTS. Only
 * XMM registers, so that it may run where wider ones are not saved.
 */
#include "internal.h"
#include "vck/cpu.h"

#if VCK_CRYPTO_X86
#include <immintrin.h>

#define TARGET __attribute__((target("aes,sse4.1,prfchw")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#define LANES       8
#define GROUP_BYTES (LANES * VCK_AES_BLOCK_BYTES)

INLINE __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE __m128i load_key(const uint8_t *keys, unsigned round)
{
    return _mm_load_si128((const __m128i *)(const void *)(keys + VCK_AES_BLOCK_BYTES * round));
}

INLINE void store(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

/* Each word of a round key is the sum of the words before it and the substituted one. */
INLINE __m128i prefix_sums(__m128i words, __m128i substituted)
{
    words = _mm_xor_si128(words, _mm_slli_si128(words, 4));
    words = _mm_xor_si128(words, _mm_slli_si128(words, 8));
    return _mm_xor_si128(words, substituted);
}

#define EXPAND_EVEN(keys, round, constant)                                                         \
    store((keys) + VCK_AES_BLOCK_BYTES * (round),                                                  \
          prefix_sums(                                                                             \
              load_key((keys), (round)-2),                                                         \
              _mm_shuffle_epi32(                                                                   \
                  _mm_aeskeygenassist_si128(load_key((keys), (round)-1), (constant)), 0xff)))
#define EXPAND_ODD(keys, round)                                                                    \
    store((keys) + VCK_AES_BLOCK_BYTES * (round),                                                  \
          prefix_sums(                                                                             \
              load_key((keys), (round)-2),                                                         \
              _mm_shuffle_epi32(_mm_aeskeygenassist_si128(load_key((keys), (round)-1), 0), 0xaa)))

TARGET void vck_aesni_expand(struct vck_aes256 *aes, const uint8_t key[VCK_AES256_KEY_BYTES])
{
    uint8_t *keys = aes->encrypt_keys;
    store(keys, load(key));
    store(keys + VCK_AES_BLOCK_BYTES, load(key + VCK_AES_BLOCK_BYTES));
    EXPAND_EVEN(keys, 2, 0x01);
    EXPAND_ODD(keys, 3);
    EXPAND_EVEN(keys, 4, 0x02);
    EXPAND_ODD(keys, 5);
    EXPAND_EVEN(keys, 6, 0x04);
    EXPAND_ODD(keys, 7);
    EXPAND_EVEN(keys, 8, 0x08);
    EXPAND_ODD(keys, 9);
    EXPAND_EVEN(keys, 10, 0x10);
    EXPAND_ODD(keys, 11);
    EXPAND_EVEN(keys, 12, 0x20);
    EXPAND_ODD(keys, 13);
    EXPAND_EVEN(keys, 14, 0x40);

    store(aes->decrypt_keys, load_key(keys, VCK_AES256_ROUNDS));
    for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++)
        store(aes->decrypt_keys + VCK_AES_BLOCK_BYTES * round,
              _mm_aesimc_si128(load_key(keys, VCK_AES256_ROUNDS - round)));
    store(aes->decrypt_keys + VCK_AES_BLOCK_BYTES * VCK_AES256_ROUNDS, load_key(keys, 0));
}

INLINE __m128i round_of(bool decrypt, __m128i block, __m128i key)
{
    return decrypt ? _mm_aesdec_si128(block, key) : _mm_aesenc_si128(block, key);
}

INLINE __m128i last_round_of(bool decrypt, __m128i block, __m128i key)
{
    return decrypt ? _mm_aesdeclast_si128(block, key) : _mm_aesenclast_si128(block, key);
}

INLINE void run_blocks(bool decrypt, const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                       size_t block_count)
{
    for (; block_count >= LANES; block_count -= LANES) {
        __m128i s[LANES];
#pragma GCC unroll 8
        for (unsigned i = 0; i < LANES; i++)
            s[i] = _mm_xor_si128(load(src + VCK_AES_BLOCK_BYTES * i), load_key(keys, 0));
        for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++) {
#pragma GCC unroll 8
            for (unsigned i = 0; i < LANES; i++)
                s[i] = round_of(decrypt, s[i], load_key(keys, round));
        }
#pragma GCC unroll 8
        for (unsigned i = 0; i < LANES; i++)
            store(dst + VCK_AES_BLOCK_BYTES * i,
                  last_round_of(decrypt, s[i], load_key(keys, VCK_AES256_ROUNDS)));
        src += GROUP_BYTES;
        dst += GROUP_BYTES;
    }
    for (; block_count > 0; block_count--) {
        __m128i s = _mm_xor_si128(load(src), load_key(keys, 0));
        for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++)
            s = round_of(decrypt, s, load_key(keys, round));
        store(dst, last_round_of(decrypt, s, load_key(keys, VCK_AES256_ROUNDS)));
        src += VCK_AES_BLOCK_BYTES;
        dst += VCK_AES_BLOCK_BYTES;
    }
}

TARGET void vck_aesni_encrypt(const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                              size_t block_count)
{
    run_blocks(false, keys, dst, src, block_count);
}

TARGET void vck_aesni_decrypt(const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                              size_t block_count)
{
    run_blocks(true, keys, dst, src, block_count);
}

/* A tweak times x: each half doubles, the top bits of both carry into the other half, the one of
 * the upper half as x^7 + x^2 + x + 1. */
INLINE __m128i times_x(__m128i tweak)
{
    const __m128i carries = _mm_set_epi32(0, 1, 0, 0x87);
    __m128i carry = _mm_srai_epi32(_mm_shuffle_epi32(tweak, 0x13), 31);
    return _mm_xor_si128(_mm_add_epi64(tweak, tweak), _mm_and_si128(carry, carries));
}

/* Keeps the compiler from finishing one vector before it starts the next, or from gathering the
 * tweaks' computation at one end. */
INLINE void keep_order(__m128i s[LANES])
{
    __asm__ volatile(""
                     : "+x"(s[0]), "+x"(s[1]), "+x"(s[2]), "+x"(s[3]), "+x"(s[4]), "+x"(s[5]),
                       "+x"(s[6]), "+x"(s[7])
                     :
                     : "memory");
}

/* One group, and between its rounds the tweaks of the next from next_base on into next; returns the
 * tweak after those. `ahead` is prefetched. */
INLINE __m128i run_group(bool decrypt, const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                         const uint8_t *ahead, const __m128i tweaks[LANES], __m128i next_base,
                         __m128i next[LANES])
{
    __m128i s[LANES];
    __builtin_prefetch(ahead, 1);
    __builtin_prefetch(ahead + 64, 1);
#pragma GCC unroll 8
    for (unsigned i = 0; i < LANES; i++)
        s[i] = _mm_xor_si128(_mm_xor_si128(load(src + VCK_AES_BLOCK_BYTES * i), tweaks[i]),
                             load_key(keys, 0));
#pragma GCC unroll 13
    for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++) {
        __m128i key = load_key(keys, round);
#pragma GCC unroll 8
        for (unsigned i = 0; i < LANES; i++)
            s[i] = round_of(decrypt, s[i], key);
        if (round <= LANES) {
            next[round - 1] = next_base;
            next_base = times_x(next_base);
        }
        keep_order(s);
    }
#pragma GCC unroll 8
    for (unsigned i = 0; i < LANES; i++) {
        __m128i last = _mm_xor_si128(tweaks[i], load_key(keys, VCK_AES256_ROUNDS));
        store(dst + VCK_AES_BLOCK_BYTES * i, last_round_of(decrypt, s[i], last));
    }
    return next_base;
}

INLINE void run_xts(bool decrypt, const struct vck_xts_run *run)
{
    __m128i tweaks[2][LANES];
    const uint8_t *src = run->src, *sector_tweak = run->tweaks;
    uint8_t *dst = run->dst;
    size_t groups_per_sector = run->units_per_sector * (VCK_XTS_UNIT_BYTES / GROUP_BYTES);
    size_t group = 0, groups_left = run->sector_count * groups_per_sector;
    __m128i base = load(sector_tweak);

    for (unsigned i = 0; i < LANES; i++) {
        tweaks[0][i] = base;
        base = times_x(base);
    }
    __m128i *now = tweaks[0], *next = tweaks[1];
    for (; groups_left > 0; groups_left--) {
        if (++group == groups_per_sector && groups_left > 1) {
            sector_tweak += VCK_AES_BLOCK_BYTES;
            base = load(sector_tweak);
            group = 0;
        }
        base = run_group(decrypt, run->keys, dst, src, vck_xts_ahead(run, dst), now, base, next);
        __m128i *swap = now;
        now = next;
        next = swap;
        src += GROUP_BYTES;
        dst += GROUP_BYTES;
    }
    for (unsigned i = 0; i < LANES; i++)
        tweaks[0][i] = tweaks[1][i] = _mm_setzero_si128();
    __asm__ volatile("" : : "r"(tweaks) : "memory");
}

static TARGET void aesni_xts_encrypt(const struct vck_xts_run *run)
{
    run_xts(false, run);
}

static TARGET void aesni_xts_decrypt(const struct vck_xts_run *run)
{
    run_xts(true, run);
}

const struct vck_aes_ops vck_aes_aesni = {
    .features = VCK_CPU_AESNI,
    .expand = vck_aesni_expand,
    .encrypt = vck_aesni_encrypt,
    .decrypt = vck_aesni_decrypt,
    .xts_encrypt = aesni_xts_encrypt,
    .xts_decrypt = aesni_xts_decrypt,
};
#endif
