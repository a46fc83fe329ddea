/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/blake2b.h"
#include "vck/bytes.h"
#include "vck/secret.h"

static const uint64_t initial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* Which words of the block a round takes; the rounds 10 and 11 are 0 and 1 again. */
static const uint8_t order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t rotate_right(uint64_t v, unsigned bits)
{
    return v >> bits | v << (64 - bits);
}

static void mix(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d, uint64_t x, uint64_t y)
{
    *a += *b + x;
    *d = rotate_right(*d ^ *a, 32);
    *c += *d;
    *b = rotate_right(*b ^ *c, 24);
    *a += *b + y;
    *d = rotate_right(*d ^ *a, 16);
    *c += *d;
    *b = rotate_right(*b ^ *c, 63);
}

static void compress(struct vck_blake2b *hash, uint64_t finished)
{
    uint64_t v[16], m[16];
    for (unsigned i = 0; i < 16; i++)
        m[i] = vck_load_le64(hash->block + (size_t)8 * i);
    memcpy(v, hash->state, sizeof(hash->state));
    memcpy(v + 8, initial, sizeof(initial));
    v[12] ^= hash->total_bytes;
    v[14] ^= finished;
    for (unsigned r = 0; r < 12; r++) {
        const uint8_t *at = order[r % 10];
        for (unsigned i = 0; i < 4; i++)
            mix(&v[i], &v[i + 4], &v[i + 8], &v[i + 12], m[at[2 * i]], m[at[2 * i + 1]]);
        for (unsigned i = 0; i < 4; i++)
            mix(&v[i], &v[4 + (i + 1) % 4], &v[8 + (i + 2) % 4], &v[12 + (i + 3) % 4],
                m[at[8 + 2 * i]], m[at[9 + 2 * i]]);
    }
    for (unsigned i = 0; i < 8; i++)
        hash->state[i] ^= v[i] ^ v[i + 8];
    vck_wipe(v, sizeof(v));
    vck_wipe(m, sizeof(m));
}

void vck_blake2b_init(struct vck_blake2b *hash, size_t digest_bytes)
{
    memset(hash, 0, sizeof(*hash));
    memcpy(hash->state, initial, sizeof(hash->state));
    hash->state[0] ^= 0x01010000 ^ digest_bytes;
    hash->digest_bytes = digest_bytes;
}

/* The last block is only known as such at the end, so a full one stays until more comes. */
void vck_blake2b_update(struct vck_blake2b *hash, const void *data, size_t size_bytes)
{
    const uint8_t *in = data;
    while (size_bytes > 0) {
        if (hash->filled_bytes == VCK_BLAKE2B_BLOCK_BYTES) {
            hash->total_bytes += VCK_BLAKE2B_BLOCK_BYTES;
            compress(hash, 0);
            hash->filled_bytes = 0;
        }
        size_t count = VCK_MIN(size_bytes, VCK_BLAKE2B_BLOCK_BYTES - hash->filled_bytes);
        memcpy(hash->block + hash->filled_bytes, in, count);
        hash->filled_bytes += count;
        in += count;
        size_bytes -= count;
    }
}

void vck_blake2b_final(struct vck_blake2b *hash, uint8_t *ret_digest)
{
    uint8_t digest[VCK_BLAKE2B_BYTES_MAX];
    hash->total_bytes += hash->filled_bytes;
    memset(hash->block + hash->filled_bytes, 0, VCK_BLAKE2B_BLOCK_BYTES - hash->filled_bytes);
    compress(hash, ~UINT64_C(0));
    for (unsigned i = 0; i < 8; i++)
        vck_store_le64(digest + (size_t)8 * i, hash->state[i]);
    memcpy(ret_digest, digest, hash->digest_bytes);
    vck_wipe(digest, sizeof(digest));
    vck_wipe(hash, sizeof(*hash));
}
