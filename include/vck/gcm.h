/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gcm: AES-256-GCM with nonces of 12 bytes and tags of 16, for keys and other short messages: in
 * constant time on any processor, and not made for bulk. A key must never see a nonce twice.
 * Source: NIST SP 800-38D.
 */
#ifndef VCK_GCM_H
#define VCK_GCM_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_GCM_NONCE_BYTES 12u
#define VCK_GCM_TAG_BYTES   16u
#define VCK_GCM_SIZE_MAX    (1u << 30)

/* Encrypts size_bytes (0 to VCK_GCM_SIZE_MAX) from src to dst, which may be equal, and makes the
 * tag. SIZE_MISMATCH: too much; nothing is then written. Any level. */
VCK_CHECKED vck_status vck_gcm_seal(const uint8_t key[32], const uint8_t nonce[VCK_GCM_NONCE_BYTES],
                                    struct vck_bytes associated, void *dst, const void *src,
                                    size_t size_bytes, uint8_t ret_tag[VCK_GCM_TAG_BYTES]);

/* The reverse. WRONG_KEY: the tag does not hold, because of the key, the nonce, the associated data
 * or the text; dst is then untouched. SIZE_MISMATCH. Any level. */
VCK_CHECKED vck_status vck_gcm_open(const uint8_t key[32], const uint8_t nonce[VCK_GCM_NONCE_BYTES],
                                    struct vck_bytes associated, void *dst, const void *src,
                                    size_t size_bytes, const uint8_t tag[VCK_GCM_TAG_BYTES]);

VCK_END_DECLS

#endif
