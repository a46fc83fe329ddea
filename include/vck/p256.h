/* SPDX-License-Identifier: Apache-2.0 */
/*
 * p256: multiplication on the curve P-256, for agreeing on a secret with somebody whose public key
 * is known. Takes the same time for every scalar. Source: FIPS 186-4, D.1.2.3; Renes, Costello and
 * Batina, "Complete addition formulas for prime order elliptic curves", algorithm 4.
 */
#ifndef VCK_P256_H
#define VCK_P256_H

#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_P256_SCALAR_BYTES 32u
#define VCK_P256_POINT_BYTES  64u /* x, then y, big-endian */

/* The scalar (big-endian) times the point; NULL is the generator. INVALID_DATA: the point is not on
 * the curve, or the scalar a multiple of its order; what is in ret_point is then no point. Any
 * level. */
VCK_CHECKED vck_status vck_p256_multiply(const uint8_t scalar[VCK_P256_SCALAR_BYTES],
                                         const uint8_t point[VCK_P256_POINT_BYTES],
                                         uint8_t ret_point[VCK_P256_POINT_BYTES]);

VCK_END_DECLS

#endif
