/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hmac: HMAC-SHA256. Compare tags with vck_equal_constant_time. Source: RFC 2104, FIPS 198-1.
 */
#ifndef VCK_HMAC_H
#define VCK_HMAC_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/bytes.h"
#include "vck/sha256.h"

VCK_BEGIN_DECLS

#define VCK_HMAC_SHA256_BYTES 32u

/* A MAC in progress. Fields are the room's own; holds secrets. */
struct vck_hmac_sha256 {
    struct vck_sha256 inner;
    struct vck_sha256 outer;
};

/* A key of any length, borrowed for the call. Any level. */
void vck_hmac_sha256_init(struct vck_hmac_sha256 *hmac, struct vck_bytes key);
void vck_hmac_sha256_update(struct vck_hmac_sha256 *hmac, struct vck_bytes data);
/* Writes the tag and wipes *hmac. */
void vck_hmac_sha256_final(struct vck_hmac_sha256 *hmac, uint8_t ret_tag[VCK_HMAC_SHA256_BYTES]);
/* For a MAC that is given up before final; harmless after it. */
void vck_hmac_sha256_wipe(struct vck_hmac_sha256 *hmac);

/* All in one. */
void vck_hmac_sha256_once(struct vck_bytes key, struct vck_bytes data,
                          uint8_t ret_tag[VCK_HMAC_SHA256_BYTES]);

VCK_END_DECLS

#endif
