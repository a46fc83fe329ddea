/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hmac_sha512: HMAC-SHA512. Compare tags with vck_equal_constant_time. Source: RFC 2104, FIPS
 * 198-1.
 */
#ifndef VCK_HMAC_SHA512_H
#define VCK_HMAC_SHA512_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/bytes.h"
#include "vck/sha512.h"

VCK_BEGIN_DECLS

#define VCK_HMAC_SHA512_BYTES 64u

/* A MAC in progress. Fields are the room's own; holds secrets. */
struct vck_hmac_sha512 {
    struct vck_sha512 inner;
    struct vck_sha512 outer;
};

/* A key of any length, borrowed for the call. Any level. */
void vck_hmac_sha512_init(struct vck_hmac_sha512 *hmac, struct vck_bytes key);
void vck_hmac_sha512_update(struct vck_hmac_sha512 *hmac, struct vck_bytes data);
/* Writes the tag and wipes *hmac. */
void vck_hmac_sha512_final(struct vck_hmac_sha512 *hmac, uint8_t ret_tag[VCK_HMAC_SHA512_BYTES]);

VCK_END_DECLS

#endif
