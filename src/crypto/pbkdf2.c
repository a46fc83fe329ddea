/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/pbkdf2.h"
#include "vck/hmac_sha512.h"
#include "vck/secret.h"

/* Holds secrets. Kept together, so that one wipe takes them all. */
struct pbkdf2 {
    struct vck_hmac_sha512 keyed;
    struct vck_hmac_sha512 hmac;
    uint8_t chained[VCK_HMAC_SHA512_BYTES];
    uint8_t sum[VCK_HMAC_SHA512_BYTES];
};

static void make_block(struct pbkdf2 *p, struct vck_bytes salt, uint32_t iterations, uint32_t index)
{
    uint8_t number[4];
    vck_store_be32(number, index);
    p->hmac = p->keyed;
    vck_hmac_sha512_update(&p->hmac, salt);
    vck_hmac_sha512_update(&p->hmac, (struct vck_bytes){number, sizeof(number)});
    vck_hmac_sha512_final(&p->hmac, p->chained);
    memcpy(p->sum, p->chained, sizeof(p->sum));
    for (uint32_t i = 1; i < iterations; i++) {
        p->hmac = p->keyed;
        vck_hmac_sha512_update(&p->hmac, (struct vck_bytes){p->chained, sizeof(p->chained)});
        vck_hmac_sha512_final(&p->hmac, p->chained);
        for (size_t b = 0; b < sizeof(p->sum); b++)
            p->sum[b] ^= p->chained[b];
    }
}

vck_status vck_pbkdf2_sha512(struct vck_bytes password, struct vck_bytes salt, uint32_t iterations,
                             uint8_t *out, size_t out_size_bytes)
{
    struct pbkdf2 p;
    uint32_t index = 1;

    if (iterations == 0 || out_size_bytes == 0)
        return VCK_INVALID_DATA;
    vck_hmac_sha512_init(&p.keyed, password);
    for (size_t at = 0; at < out_size_bytes; at += sizeof(p.sum)) {
        make_block(&p, salt, iterations, index++);
        memcpy(out + at, p.sum, VCK_MIN(sizeof(p.sum), out_size_bytes - at));
    }
    vck_wipe(&p, sizeof(p));
    return VCK_OK;
}
