/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/hkdf.h"
#include "vck/hmac.h"
#include "vck/secret.h"

vck_status vck_hkdf_sha256(struct vck_bytes salt, struct vck_bytes ikm, struct vck_bytes info,
                           uint8_t *out, size_t out_size_bytes)
{
    uint8_t prk[VCK_HMAC_SHA256_BYTES], block[VCK_HMAC_SHA256_BYTES];
    struct vck_hmac_sha256 keyed, hmac;
    uint8_t counter = 0;

    if (out_size_bytes > VCK_HKDF_SHA256_SIZE_MAX)
        return VCK_SIZE_MISMATCH;
    vck_hmac_sha256_once(salt, ikm, prk);
    vck_hmac_sha256_init(&keyed, (struct vck_bytes){prk, sizeof(prk)});
    for (size_t at = 0; at < out_size_bytes; at += sizeof(block)) {
        hmac = keyed;
        if (counter > 0)
            vck_hmac_sha256_update(&hmac, (struct vck_bytes){block, sizeof(block)});
        counter++;
        vck_hmac_sha256_update(&hmac, info);
        vck_hmac_sha256_update(&hmac, (struct vck_bytes){&counter, 1});
        vck_hmac_sha256_final(&hmac, block);
        memcpy(out + at, block, VCK_MIN(sizeof(block), out_size_bytes - at));
    }
    vck_hmac_sha256_wipe(&keyed);
    vck_wipe(prk, sizeof(prk));
    vck_wipe(block, sizeof(block));
    return VCK_OK;
}
