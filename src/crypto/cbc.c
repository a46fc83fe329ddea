/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/cbc.h"
#include "vck/aes.h"
#include "vck/bytes.h"
#include "vck/secret.h"

static void xor_block(uint8_t *block, const uint8_t *other)
{
    for (unsigned i = 0; i < VCK_AES_BLOCK_BYTES; i++)
        block[i] ^= other[i];
}

vck_status vck_cbc_encrypt(const uint8_t key[32], const uint8_t iv[16], void *dst, const void *src,
                           size_t size_bytes)
{
    struct vck_aes256 aes;
    uint8_t block[VCK_AES_BLOCK_BYTES];
    const uint8_t *in = src;
    uint8_t *out = dst;

    if (size_bytes % VCK_AES_BLOCK_BYTES != 0)
        return VCK_SIZE_MISMATCH;
    vck_aes256_init(&aes, key);
    memcpy(block, iv, sizeof(block));
    for (size_t at = 0; at < size_bytes; at += VCK_AES_BLOCK_BYTES) {
        xor_block(block, in + at);
        vck_aes256_encrypt(&aes, block, block, 1);
        memcpy(out + at, block, sizeof(block));
    }
    vck_aes256_fini(&aes);
    vck_wipe(block, sizeof(block));
    return VCK_OK;
}

vck_status vck_cbc_decrypt(const uint8_t key[32], const uint8_t iv[16], void *dst, const void *src,
                           size_t size_bytes)
{
    enum { BATCH_BYTES = 8 * VCK_AES_BLOCK_BYTES };
    struct vck_aes256 aes;
    uint8_t plain[BATCH_BYTES], chain[VCK_AES_BLOCK_BYTES];
    const uint8_t *in = src;
    uint8_t *out = dst;

    if (size_bytes % VCK_AES_BLOCK_BYTES != 0)
        return VCK_SIZE_MISMATCH;
    vck_aes256_init(&aes, key);
    memcpy(chain, iv, sizeof(chain));
    while (size_bytes > 0) {
        size_t count = VCK_MIN(size_bytes, (size_t)BATCH_BYTES);
        vck_aes256_decrypt(&aes, plain, in, count / VCK_AES_BLOCK_BYTES);
        xor_block(plain, chain);
        for (size_t at = VCK_AES_BLOCK_BYTES; at < count; at += VCK_AES_BLOCK_BYTES)
            xor_block(plain + at, in + at - VCK_AES_BLOCK_BYTES);
        memcpy(chain, in + count - VCK_AES_BLOCK_BYTES, sizeof(chain));
        memcpy(out, plain, count);
        in += count;
        out += count;
        size_bytes -= count;
    }
    vck_aes256_fini(&aes);
    vck_wipe(plain, sizeof(plain));
    return VCK_OK;
}
