/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32: CRC-32 (ISO-HDLC, as in zlib and GPT). Finds accidents, not attackers.
 */
#ifndef VCK_CRC32_H
#define VCK_CRC32_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

/* The CRC of what `crc` covers followed by data; begin with 0. Any level. */
uint32_t vck_crc32(uint32_t crc, const void *data, size_t size_bytes);

VCK_END_DECLS

#endif
