/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bitsliced AES-256: eight blocks at a time, one plane per bit of a byte, no table and no branch on
 * data. In each 64-bit half of a plane, bit 16 * row + 4 * column + block belongs to that byte of
 * one of four blocks, so ShiftRows moves bits inside 16-bit groups and MixColumns rotates by
 * groups. The S-box inverts in GF((2^4)^2), reached by a linear map, instead of GF(2^8).
 */
#include "internal.h"
#include "vck/bytes.h"
#include "vck/secret.h"

#define PLANES       8
#define BATCH_BLOCKS 8u

typedef uint64_t plane __attribute__((vector_size(16)));

/* Linear maps on a byte: row i names the input bits whose sum is output bit i. The field of the
 * S-box maps to GF(16)[y] / (y^2 + y + x^3 + x) over GF(2)[x] / (x^4 + x + 1). */
static const uint8_t to_tower[PLANES] = {0x21, 0x2c, 0xc2, 0xca, 0xdc, 0xac, 0x72, 0xa0};
static const uint8_t from_tower[PLANES] = {0xa3, 0x70, 0xac, 0x0c, 0xc4, 0xa2, 0x56, 0x22};
/* from_tower, then the affine map of the S-box; and the inverse affine map, then to_tower. */
static const uint8_t from_tower_affine[PLANES] = {0xb1, 0x05, 0x0b, 0x51, 0xb7, 0xb6, 0x90, 0x1e};
static const uint8_t to_tower_affine[PLANES] = {0x30, 0x23, 0x32, 0x17, 0x86, 0x71, 0xbe, 0xc6};

static inline __attribute__((always_inline)) void map(plane s[PLANES], const uint8_t rows[PLANES])
{
    plane in[PLANES];
#pragma GCC unroll 8
    for (int i = 0; i < PLANES; i++)
        in[i] = s[i];
#pragma GCC unroll 8
    for (int i = 0; i < PLANES; i++) {
        plane sum = {0};
#pragma GCC unroll 8
        for (int j = 0; j < PLANES; j++)
            if (rows[i] >> j & 1)
                sum ^= in[j];
        s[i] = sum;
    }
}

/* Products and squares in GF(16), four planes each. */
static inline void multiply(const plane a[4], const plane b[4], plane ret[4])
{
    plane p0 = a[0] & b[0], p3 = a[3] & b[3];
    plane p1 = (a[0] & b[1]) ^ (a[1] & b[0]);
    plane p2 = (a[0] & b[2]) ^ (a[1] & b[1]) ^ (a[2] & b[0]);
    plane q3 = (a[0] & b[3]) ^ (a[1] & b[2]) ^ (a[2] & b[1]) ^ (a[3] & b[0]);
    plane p4 = (a[1] & b[3]) ^ (a[2] & b[2]) ^ (a[3] & b[1]);
    plane p5 = (a[2] & b[3]) ^ (a[3] & b[2]);
    ret[0] = p0 ^ p4;
    ret[1] = p1 ^ p4 ^ p5;
    ret[2] = p2 ^ p5 ^ p3;
    ret[3] = q3 ^ p3;
}

static inline void square(const plane a[4], plane ret[4])
{
    plane a1 = a[1], a2 = a[2], a3 = a[3];
    ret[0] = a[0] ^ a2;
    ret[1] = a2;
    ret[2] = a1 ^ a3;
    ret[3] = a3;
}

/* a^14, which is 1/a and 0 for 0. */
static inline void invert4(const plane a[4], plane ret[4])
{
    plane a2[4], a4[4], a8[4], a6[4];
    square(a, a2);
    square(a2, a4);
    square(a4, a8);
    multiply(a2, a4, a6);
    multiply(a6, a8, ret);
}

/* 1 / (high y + low) = (high y + high + low) / (low^2 + high low + N high^2). */
static inline void invert8(plane s[PLANES])
{
    plane *low = s, *high = s + 4;
    plane norm[4], square_low[4], inverse[4], sum[4];
    multiply(low, high, norm);
    square(low, square_low);
    norm[0] ^= square_low[0] ^ high[2] ^ high[3];
    norm[1] ^= square_low[1] ^ high[0] ^ high[1];
    norm[2] ^= square_low[2] ^ high[1] ^ high[2];
    norm[3] ^= square_low[3] ^ high[0] ^ high[1] ^ high[2];
    invert4(norm, inverse);
    for (int i = 0; i < 4; i++)
        sum[i] = low[i] ^ high[i];
    multiply(sum, inverse, low);
    plane old_high[4] = {high[0], high[1], high[2], high[3]};
    multiply(old_high, inverse, high);
}

/* Adds the constant 0x63 to every byte. */
static inline void add_affine_constant(plane s[PLANES])
{
    s[0] = ~s[0];
    s[1] = ~s[1];
    s[5] = ~s[5];
    s[6] = ~s[6];
}

static inline void substitute(plane s[PLANES])
{
    map(s, to_tower);
    invert8(s);
    map(s, from_tower_affine);
    add_affine_constant(s);
}

static inline void substitute_inverse(plane s[PLANES])
{
    add_affine_constant(s);
    map(s, to_tower_affine);
    invert8(s);
    map(s, from_tower);
}

/* Exchanges the bits of `mask` with those `distance` above them. */
static inline plane swap_bits(plane p, unsigned distance, uint64_t mask)
{
    plane differing = (p >> distance ^ p) & mask;
    return p ^ differing ^ differing << distance;
}

/* Row r turns by r columns of four bits: rows 2 and 3 by two, then rows 1 and 3 by one more. */
static inline void shift_rows(plane s[PLANES])
{
    for (int i = 0; i < PLANES; i++) {
        plane p = swap_bits(s[i], 8, 0x00ff00ff00000000);
        s[i] = (p & 0x0000ffff0000ffff) | (p >> 4 & 0x0fff00000fff0000) |
               (p << 12 & 0xf0000000f0000000);
    }
}

static inline void shift_rows_inverse(plane s[PLANES])
{
    for (int i = 0; i < PLANES; i++) {
        plane p = swap_bits(s[i], 8, 0x00ff00ff00000000);
        s[i] = (p & 0x0000ffff0000ffff) | (p << 4 & 0xfff00000fff00000) |
               (p >> 12 & 0x000f0000000f0000);
    }
}

/* Every byte times x. */
static inline void times_x(plane s[PLANES])
{
    plane carry = s[7];
    s[7] = s[6];
    s[6] = s[5];
    s[5] = s[4];
    s[4] = s[3] ^ carry;
    s[3] = s[2] ^ carry;
    s[2] = s[1];
    s[1] = s[0] ^ carry;
    s[0] = carry;
}

static inline void mix_columns(plane s[PLANES])
{
    plane pair[PLANES], rest[PLANES];
    for (int i = 0; i < PLANES; i++) {
        plane next = s[i] >> 16 | s[i] << 48;
        pair[i] = s[i] ^ next;
        rest[i] = next ^ (pair[i] >> 32 | pair[i] << 32);
    }
    times_x(pair);
    for (int i = 0; i < PLANES; i++)
        s[i] = pair[i] ^ rest[i];
}

/* The inverse matrix is the forward one times (5, 0, 4, 0). */
static inline void mix_columns_inverse(plane s[PLANES])
{
    plane pair[PLANES];
    for (int i = 0; i < PLANES; i++)
        pair[i] = s[i] ^ (s[i] >> 32 | s[i] << 32);
    times_x(pair);
    times_x(pair);
    for (int i = 0; i < PLANES; i++)
        s[i] ^= pair[i];
    mix_columns(s);
}

/* Transposes an 8 by 8 matrix of bits in every byte position of eight words. */
static void transpose(plane s[PLANES])
{
    static const uint64_t masks[3] = {0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f};
    for (int level = 0; level < 3; level++) {
        int distance = 1 << level;
        for (int i = 0; i < PLANES; i++) {
            if ((i & distance) != 0)
                continue;
            plane *a = &s[i], *b = &s[i + distance];
            plane swap = (*a >> distance ^ *b) & masks[level];
            *b ^= swap;
            *a ^= swap << distance;
        }
    }
}

/* The four bytes of a column to the even bytes of a word, and back. */
static uint64_t spread(uint32_t column)
{
    uint64_t w = column;
    w = (w | w << 16) & 0x0000ffff0000ffff;
    return (w | w << 8) & 0x00ff00ff00ff00ff;
}

static uint32_t gather(uint64_t w)
{
    w &= 0x00ff00ff00ff00ff;
    w = (w | w >> 8) & 0x0000ffff0000ffff;
    return (uint32_t)(w | w >> 16);
}

static void load_batch(plane s[PLANES], const uint8_t *blocks)
{
    for (unsigned block = 0; block < BATCH_BLOCKS; block++) {
        const uint8_t *b = blocks + VCK_AES_BLOCK_BYTES * block;
        s[block & 3][block >> 2] = spread(vck_load_le32(b)) | spread(vck_load_le32(b + 8)) << 8;
        s[4 + (block & 3)][block >> 2] =
            spread(vck_load_le32(b + 4)) | spread(vck_load_le32(b + 12)) << 8;
    }
    transpose(s);
}

static void store_batch(plane s[PLANES], uint8_t *blocks)
{
    transpose(s);
    for (unsigned block = 0; block < BATCH_BLOCKS; block++) {
        uint8_t *b = blocks + VCK_AES_BLOCK_BYTES * block;
        uint64_t even = s[block & 3][block >> 2], odd = s[4 + (block & 3)][block >> 2];
        vck_store_le32(b, gather(even));
        vck_store_le32(b + 4, gather(odd));
        vck_store_le32(b + 8, gather(even >> 8));
        vck_store_le32(b + 12, gather(odd >> 8));
    }
}

/* A schedule as planes, every block position holding the same key. */
struct sliced_keys {
    plane rounds[VCK_AES256_ROUNDS + 1][PLANES];
};

static void slice_keys(struct sliced_keys *sliced, const uint8_t *keys)
{
    uint8_t copies[BATCH_BLOCKS * VCK_AES_BLOCK_BYTES];
    for (unsigned round = 0; round <= VCK_AES256_ROUNDS; round++) {
        for (unsigned i = 0; i < BATCH_BLOCKS; i++)
            memcpy(copies + VCK_AES_BLOCK_BYTES * i, keys + VCK_AES_BLOCK_BYTES * round,
                   VCK_AES_BLOCK_BYTES);
        load_batch(sliced->rounds[round], copies);
    }
    vck_wipe(copies, sizeof(copies));
}

static inline void add_round_key(plane s[PLANES], const plane key[PLANES])
{
    for (int i = 0; i < PLANES; i++)
        s[i] ^= key[i];
}

static void encrypt_batch(const struct sliced_keys *keys, uint8_t *dst, const uint8_t *src)
{
    plane s[PLANES];
    load_batch(s, src);
    add_round_key(s, keys->rounds[0]);
    for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++) {
        substitute(s);
        shift_rows(s);
        mix_columns(s);
        add_round_key(s, keys->rounds[round]);
    }
    substitute(s);
    shift_rows(s);
    add_round_key(s, keys->rounds[VCK_AES256_ROUNDS]);
    store_batch(s, dst);
}

/* The equivalent inverse cipher, with the schedule the hardware instructions use. */
static void decrypt_batch(const struct sliced_keys *keys, uint8_t *dst, const uint8_t *src)
{
    plane s[PLANES];
    load_batch(s, src);
    add_round_key(s, keys->rounds[0]);
    for (unsigned round = 1; round < VCK_AES256_ROUNDS; round++) {
        substitute_inverse(s);
        shift_rows_inverse(s);
        mix_columns_inverse(s);
        add_round_key(s, keys->rounds[round]);
    }
    substitute_inverse(s);
    shift_rows_inverse(s);
    add_round_key(s, keys->rounds[VCK_AES256_ROUNDS]);
    store_batch(s, dst);
}

typedef void batch_function(const struct sliced_keys *keys, uint8_t *dst, const uint8_t *src);

static void run_blocks(batch_function *batch, const struct sliced_keys *keys, uint8_t *dst,
                       const uint8_t *src, size_t block_count)
{
    const size_t batch_bytes = BATCH_BLOCKS * VCK_AES_BLOCK_BYTES;
    for (; block_count >= BATCH_BLOCKS; block_count -= BATCH_BLOCKS) {
        batch(keys, dst, src);
        dst += batch_bytes;
        src += batch_bytes;
    }
    if (block_count > 0) {
        uint8_t rest[BATCH_BLOCKS * VCK_AES_BLOCK_BYTES] = {0};
        memcpy(rest, src, block_count * VCK_AES_BLOCK_BYTES);
        batch(keys, rest, rest);
        memcpy(dst, rest, block_count * VCK_AES_BLOCK_BYTES);
        vck_wipe(rest, sizeof(rest));
    }
}

static void portable_encrypt(const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                             size_t block_count)
{
    struct sliced_keys sliced;
    slice_keys(&sliced, keys);
    run_blocks(encrypt_batch, &sliced, dst, src, block_count);
    vck_wipe(&sliced, sizeof(sliced));
}

static void portable_decrypt(const uint8_t *keys, uint8_t *dst, const uint8_t *src,
                             size_t block_count)
{
    struct sliced_keys sliced;
    slice_keys(&sliced, keys);
    run_blocks(decrypt_batch, &sliced, dst, src, block_count);
    vck_wipe(&sliced, sizeof(sliced));
}

static uint32_t substitute_word(uint32_t word)
{
    uint8_t blocks[BATCH_BLOCKS * VCK_AES_BLOCK_BYTES] = {0};
    plane s[PLANES];
    vck_store_le32(blocks, word);
    load_batch(s, blocks);
    substitute(s);
    store_batch(s, blocks);
    word = vck_load_le32(blocks);
    vck_wipe(blocks, sizeof(blocks));
    return word;
}

/* Middle round keys go through the inverse MixColumns, in reverse order. */
static void invert_schedule(struct vck_aes256 *aes)
{
    for (unsigned round = 0; round <= VCK_AES256_ROUNDS; round++) {
        uint8_t blocks[BATCH_BLOCKS * VCK_AES_BLOCK_BYTES] = {0};
        memcpy(blocks, aes->encrypt_keys + VCK_AES_BLOCK_BYTES * (VCK_AES256_ROUNDS - round),
               VCK_AES_BLOCK_BYTES);
        if (round != 0 && round != VCK_AES256_ROUNDS) {
            plane s[PLANES];
            load_batch(s, blocks);
            mix_columns_inverse(s);
            store_batch(s, blocks);
        }
        memcpy(aes->decrypt_keys + VCK_AES_BLOCK_BYTES * round, blocks, VCK_AES_BLOCK_BYTES);
        vck_wipe(blocks, sizeof(blocks));
    }
}

static void portable_expand(struct vck_aes256 *aes, const uint8_t key[VCK_AES256_KEY_BYTES])
{
    uint8_t *keys = aes->encrypt_keys;
    uint32_t round_constant = 1;
    memcpy(keys, key, VCK_AES256_KEY_BYTES);
    for (size_t at = VCK_AES256_KEY_BYTES; at < VCK_AES256_SCHEDULE_BYTES; at += 4) {
        uint32_t word = vck_load_le32(keys + at - 4);
        if (at % 32 == 0) {
            word = substitute_word(word >> 8 | word << 24) ^ round_constant;
            round_constant <<= 1;
        } else if (at % 32 == 16) {
            word = substitute_word(word);
        }
        vck_store_le32(keys + at, word ^ vck_load_le32(keys + at - 32));
    }
    invert_schedule(aes);
}

/* The tweaks of eight blocks from *tweak on, which moves past them. */
static void next_tweaks(uint64_t tweak[2], uint8_t *ret_tweaks)
{
    for (unsigned i = 0; i < BATCH_BLOCKS; i++) {
        vck_store_le64(ret_tweaks + 16 * i, tweak[0]);
        vck_store_le64(ret_tweaks + 16 * i + 8, tweak[1]);
        uint64_t carry = 0 - (tweak[1] >> 63);
        tweak[1] = tweak[1] << 1 | tweak[0] >> 63;
        tweak[0] = tweak[0] << 1 ^ (carry & 0x87);
    }
}

static void xor_batch(uint8_t *dst, const uint8_t *src, const uint8_t *tweaks)
{
    for (unsigned i = 0; i < BATCH_BLOCKS * VCK_AES_BLOCK_BYTES; i++)
        dst[i] = src[i] ^ tweaks[i];
}

static void xts_run(batch_function *batch, const struct vck_xts_run *run)
{
    const size_t batch_bytes = BATCH_BLOCKS * VCK_AES_BLOCK_BYTES;
    struct sliced_keys sliced;
    uint8_t tweaks[BATCH_BLOCKS * VCK_AES_BLOCK_BYTES], work[sizeof(tweaks)];
    uint8_t *dst = run->dst;
    const uint8_t *src = run->src;

    slice_keys(&sliced, run->keys);
    for (size_t sector = 0; sector < run->sector_count; sector++) {
        uint64_t tweak[2] = {vck_load_le64(run->tweaks + 16 * sector),
                             vck_load_le64(run->tweaks + 16 * sector + 8)};
        size_t batches = run->units_per_sector * (VCK_XTS_UNIT_BYTES / batch_bytes);
        for (; batches > 0; batches--) {
            next_tweaks(tweak, tweaks);
            xor_batch(work, src, tweaks);
            batch(&sliced, work, work);
            xor_batch(dst, work, tweaks);
            dst += batch_bytes;
            src += batch_bytes;
        }
    }
    vck_wipe(&sliced, sizeof(sliced));
    vck_wipe(tweaks, sizeof(tweaks));
    vck_wipe(work, sizeof(work));
}

static void portable_xts_encrypt(const struct vck_xts_run *run)
{
    xts_run(encrypt_batch, run);
}

static void portable_xts_decrypt(const struct vck_xts_run *run)
{
    xts_run(decrypt_batch, run);
}

const struct vck_aes_ops vck_aes_portable = {
    .features = 0,
    .expand = portable_expand,
    .encrypt = portable_encrypt,
    .decrypt = portable_decrypt,
    .xts_encrypt = portable_xts_encrypt,
    .xts_decrypt = portable_xts_decrypt,
};
