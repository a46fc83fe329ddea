/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pbkdf2: PBKDF2 with HMAC-SHA512. Source: RFC 8018.
 */
#ifndef VCK_PBKDF2_H
#define VCK_PBKDF2_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Fills out, which must not overlap the inputs. INVALID_DATA: no iterations, or nothing to fill.
 * Any level, but takes as long as it was asked to. */
VCK_CHECKED vck_status vck_pbkdf2_sha512(struct vck_bytes password, struct vck_bytes salt,
                                         uint32_t iterations, uint8_t *out, size_t out_size_bytes);

VCK_END_DECLS

#endif
