/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hkdf: HKDF with HMAC-SHA256, extract and expand in one. Source: RFC 5869.
 */
#ifndef VCK_HKDF_H
#define VCK_HKDF_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_HKDF_SHA256_SIZE_MAX (255u * 32u)

/* Fills out, which must not overlap the inputs; an empty salt means 32 zero bytes. SIZE_MISMATCH
 * when out_size_bytes is above VCK_HKDF_SHA256_SIZE_MAX; out is then untouched. Any level. */
VCK_CHECKED vck_status vck_hkdf_sha256(struct vck_bytes salt, struct vck_bytes ikm,
                                       struct vck_bytes info, uint8_t *out, size_t out_size_bytes);

VCK_END_DECLS

#endif
