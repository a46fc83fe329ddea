/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash is computed bit by bit with masks instead of tables or carry-less multiplication: what
 * goes through here is a key at a time.
 */
#include "vck/gcm.h"
#include <stdbool.h>
#include "vck/aes.h"
#include "vck/secret.h"

/* Holds secrets. A field element is two halves, its first bit the highest of `high`. */
struct gcm {
    struct vck_aes256 aes;
    uint64_t key_high, key_low;
    uint64_t sum_high, sum_low;
    uint8_t counter[VCK_AES_BLOCK_BYTES];
    uint8_t stream[VCK_AES_BLOCK_BYTES];
};

#define REDUCTION 0xe100000000000000u

/* sum *= key */
static void multiply(struct gcm *g)
{
    uint64_t high = 0, low = 0, v_high = g->key_high, v_low = g->key_low;
    for (unsigned i = 0; i < 128; i++) {
        uint64_t half = i < 64 ? g->sum_high : g->sum_low;
        uint64_t mask = 0 - (half >> (63 - i % 64) & 1);
        high ^= v_high & mask;
        low ^= v_low & mask;
        uint64_t carry = 0 - (v_low & 1);
        v_low = v_low >> 1 | v_high << 63;
        v_high = v_high >> 1 ^ (REDUCTION & carry);
    }
    g->sum_high = high;
    g->sum_low = low;
}

/* Adds a text, filled up with zeroes to whole blocks. */
static void hash(struct gcm *g, const uint8_t *data, size_t size_bytes)
{
    uint8_t block[VCK_AES_BLOCK_BYTES];
    for (size_t at = 0; at < size_bytes; at += sizeof(block)) {
        memset(block, 0, sizeof(block));
        memcpy(block, data + at, VCK_MIN(sizeof(block), size_bytes - at));
        g->sum_high ^= vck_load_be64(block);
        g->sum_low ^= vck_load_be64(block + 8);
        multiply(g);
    }
}

static void begin(struct gcm *g, const uint8_t key[32], const uint8_t *nonce)
{
    memset(g, 0, sizeof(*g));
    vck_aes256_init(&g->aes, key);
    vck_aes256_encrypt(&g->aes, g->stream, g->stream, 1);
    g->key_high = vck_load_be64(g->stream);
    g->key_low = vck_load_be64(g->stream + 8);
    memcpy(g->counter, nonce, VCK_GCM_NONCE_BYTES);
}

/* dst may equal src. */
static void apply_stream(struct gcm *g, uint8_t *dst, const uint8_t *src, size_t size_bytes)
{
    uint32_t number = 2;
    for (size_t at = 0; at < size_bytes; at += sizeof(g->stream)) {
        vck_store_be32(g->counter + VCK_GCM_NONCE_BYTES, number++);
        vck_aes256_encrypt(&g->aes, g->stream, g->counter, 1);
        size_t count = VCK_MIN(sizeof(g->stream), size_bytes - at);
        for (size_t i = 0; i < count; i++)
            dst[at + i] = src[at + i] ^ g->stream[i];
    }
}

static void make_tag(struct gcm *g, struct vck_bytes associated, const uint8_t *text,
                     size_t size_bytes, uint8_t ret_tag[VCK_GCM_TAG_BYTES])
{
    hash(g, associated.data, associated.size_bytes);
    hash(g, text, size_bytes);
    g->sum_high ^= (uint64_t)associated.size_bytes * 8;
    g->sum_low ^= (uint64_t)size_bytes * 8;
    multiply(g);
    vck_store_be32(g->counter + VCK_GCM_NONCE_BYTES, 1);
    vck_aes256_encrypt(&g->aes, g->stream, g->counter, 1);
    vck_store_be64(ret_tag, g->sum_high ^ vck_load_be64(g->stream));
    vck_store_be64(ret_tag + 8, g->sum_low ^ vck_load_be64(g->stream + 8));
}

static bool is_too_much(struct vck_bytes associated, size_t size_bytes)
{
    return size_bytes > VCK_GCM_SIZE_MAX || associated.size_bytes > VCK_GCM_SIZE_MAX;
}

vck_status vck_gcm_seal(const uint8_t key[32], const uint8_t nonce[VCK_GCM_NONCE_BYTES],
                        struct vck_bytes associated, void *dst, const void *src, size_t size_bytes,
                        uint8_t ret_tag[VCK_GCM_TAG_BYTES])
{
    struct gcm g;
    if (is_too_much(associated, size_bytes))
        return VCK_SIZE_MISMATCH;
    begin(&g, key, nonce);
    apply_stream(&g, dst, src, size_bytes);
    make_tag(&g, associated, dst, size_bytes, ret_tag);
    vck_wipe(&g, sizeof(g));
    return VCK_OK;
}

vck_status vck_gcm_open(const uint8_t key[32], const uint8_t nonce[VCK_GCM_NONCE_BYTES],
                        struct vck_bytes associated, void *dst, const void *src, size_t size_bytes,
                        const uint8_t tag[VCK_GCM_TAG_BYTES])
{
    struct gcm g;
    uint8_t expected[VCK_GCM_TAG_BYTES];
    if (is_too_much(associated, size_bytes))
        return VCK_SIZE_MISMATCH;
    begin(&g, key, nonce);
    make_tag(&g, associated, src, size_bytes, expected);
    bool is_right = vck_equal_constant_time(expected, tag, sizeof(expected));
    if (is_right)
        apply_stream(&g, dst, src, size_bytes);
    vck_wipe(&g, sizeof(g));
    vck_wipe(expected, sizeof(expected));
    return is_right ? VCK_OK : VCK_WRONG_KEY;
}
