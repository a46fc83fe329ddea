/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/sha512.h"
#include "vck/bytes.h"
#include "vck/secret.h"

static const uint64_t round_constants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static uint64_t rotate_right(uint64_t v, unsigned bits)
{
    return v >> bits | v << (64 - bits);
}

/* The message schedule is kept as the 16 words that are still needed. */
static uint64_t next_word(uint64_t w[16], unsigned i)
{
    uint64_t a = w[(i + 1) % 16], b = w[(i + 14) % 16];
    uint64_t s0 = rotate_right(a, 1) ^ rotate_right(a, 8) ^ a >> 7;
    uint64_t s1 = rotate_right(b, 19) ^ rotate_right(b, 61) ^ b >> 6;
    w[i % 16] += s0 + w[(i + 9) % 16] + s1;
    return w[i % 16];
}

/* One round of eight. Instead of the values, the places of the variables move. */
static inline void round_one(uint64_t s[8], unsigned i, uint64_t input)
{
    uint64_t *a = &s[(8 - i) % 8], *b = &s[(9 - i) % 8], *c = &s[(10 - i) % 8];
    uint64_t *d = &s[(11 - i) % 8], *e = &s[(12 - i) % 8], *f = &s[(13 - i) % 8];
    uint64_t *g = &s[(14 - i) % 8], *h = &s[(15 - i) % 8];
    uint64_t sum1 = rotate_right(*e, 14) ^ rotate_right(*e, 18) ^ rotate_right(*e, 41);
    uint64_t t1 = *h + sum1 + (*g ^ (*e & (*f ^ *g))) + input;
    uint64_t sum0 = rotate_right(*a, 28) ^ rotate_right(*a, 34) ^ rotate_right(*a, 39);
    *d += t1;
    *h = t1 + sum0 + ((*a & *b) ^ (*a & *c) ^ (*b & *c));
}

/* Eight at a time, so that a compiler that unrolls them knows every index. */
static inline void rounds(uint64_t s[8], uint64_t w[16], unsigned first)
{
    for (unsigned i = 0; i < 8; i++)
        round_one(s, i,
                  (first < 16 ? w[first + i] : next_word(w, first + i)) +
                      round_constants[first + i]);
}

static void compress(uint64_t state[8], const uint8_t *block)
{
    uint64_t w[16], s[8];
    for (unsigned i = 0; i < 16; i++)
        w[i] = vck_load_be64(block + (size_t)8 * i);
    memcpy(s, state, sizeof(s));
    for (unsigned i = 0; i < 80; i += 8)
        rounds(s, w, i);
    for (unsigned i = 0; i < 8; i++)
        state[i] += s[i];
    vck_wipe(w, sizeof(w));
    vck_wipe(s, sizeof(s));
}

void vck_sha512_init(struct vck_sha512 *sha)
{
    static const uint64_t initial[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };
    memcpy(sha->state, initial, sizeof(sha->state));
    sha->total_bytes = 0;
}

void vck_sha512_update(struct vck_sha512 *sha, const void *data, size_t size_bytes)
{
    const uint8_t *in = data;
    while (size_bytes > 0) {
        size_t filled = sha->total_bytes % VCK_SHA512_BLOCK_BYTES;
        size_t count = VCK_MIN(size_bytes, VCK_SHA512_BLOCK_BYTES - filled);
        memcpy(sha->block + filled, in, count);
        if (filled + count == VCK_SHA512_BLOCK_BYTES)
            compress(sha->state, sha->block);
        sha->total_bytes += count;
        in += count;
        size_bytes -= count;
    }
}

void vck_sha512_final(struct vck_sha512 *sha, uint8_t ret_digest[VCK_SHA512_BYTES])
{
    size_t filled = sha->total_bytes % VCK_SHA512_BLOCK_BYTES;
    sha->block[filled++] = 0x80;
    memset(sha->block + filled, 0, VCK_SHA512_BLOCK_BYTES - filled);
    if (filled > VCK_SHA512_BLOCK_BYTES - 16) {
        compress(sha->state, sha->block);
        memset(sha->block, 0, VCK_SHA512_BLOCK_BYTES);
    }
    vck_store_be64(sha->block + VCK_SHA512_BLOCK_BYTES - 8, sha->total_bytes * 8);
    compress(sha->state, sha->block);
    for (unsigned i = 0; i < 8; i++)
        vck_store_be64(ret_digest + (size_t)8 * i, sha->state[i]);
    vck_wipe(sha, sizeof(*sha));
}

void vck_sha512(const void *data, size_t size_bytes, uint8_t ret_digest[VCK_SHA512_BYTES])
{
    struct vck_sha512 sha;
    vck_sha512_init(&sha);
    vck_sha512_update(&sha, data, size_bytes);
    vck_sha512_final(&sha, ret_digest);
}
