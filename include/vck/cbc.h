/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cbc: AES-256-CBC without padding, for small sealed records. It authenticates nothing. Source:
 * NIST SP 800-38A.
 */
#ifndef VCK_CBC_H
#define VCK_CBC_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* dst equals src or does not overlap it. SIZE_MISMATCH unless size_bytes is a multiple of 16; dst
 * is then untouched. Any level. */
VCK_CHECKED vck_status vck_cbc_encrypt(const uint8_t key[32], const uint8_t iv[16], void *dst,
                                       const void *src, size_t size_bytes);
VCK_CHECKED vck_status vck_cbc_decrypt(const uint8_t key[32], const uint8_t iv[16], void *dst,
                                       const void *src, size_t size_bytes);

VCK_END_DECLS

#endif
