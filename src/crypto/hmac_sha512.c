/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/hmac_sha512.h"
#include "vck/secret.h"

void vck_hmac_sha512_init(struct vck_hmac_sha512 *hmac, struct vck_bytes key)
{
    uint8_t block[VCK_SHA512_BLOCK_BYTES] = {0};
    if (key.size_bytes > sizeof(block))
        vck_sha512(key.data, key.size_bytes, block);
    else if (key.size_bytes > 0)
        memcpy(block, key.data, key.size_bytes);

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    vck_sha512_init(&hmac->inner);
    vck_sha512_update(&hmac->inner, block, sizeof(block));
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5c;
    vck_sha512_init(&hmac->outer);
    vck_sha512_update(&hmac->outer, block, sizeof(block));
    vck_wipe(block, sizeof(block));
}

void vck_hmac_sha512_update(struct vck_hmac_sha512 *hmac, struct vck_bytes data)
{
    vck_sha512_update(&hmac->inner, data.data, data.size_bytes);
}

void vck_hmac_sha512_final(struct vck_hmac_sha512 *hmac, uint8_t ret_tag[VCK_HMAC_SHA512_BYTES])
{
    uint8_t digest[VCK_SHA512_BYTES];
    vck_sha512_final(&hmac->inner, digest);
    vck_sha512_update(&hmac->outer, digest, sizeof(digest));
    vck_sha512_final(&hmac->outer, ret_tag);
    vck_wipe(digest, sizeof(digest));
}
