/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf: strict UTF-8, and its conversion from and to little-endian UTF-16 in the caller's buffers.
 * Refused: overlong forms, surrogates in UTF-8, unpaired surrogates in UTF-16, anything above
 * U+10FFFF. NUL is a character like any other; no terminator is read or written.
 *
 * Every function at any level. Source: RFC 3629, RFC 2781.
 */
#ifndef VCK_UTF_H
#define VCK_UTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

bool vck_utf8_is_valid(struct vck_bytes text);

/* Converts all of text. The size is in bytes on both sides. INVALID_DATA when text is not valid,
 * SIZE_MISMATCH when the result is longer than capacity_bytes; out is then incomplete.
 * text and out do not overlap. Needed at most: twice the bytes to UTF-16, one and a half times
 * (rounded up) to UTF-8. */
VCK_CHECKED vck_status vck_utf8_to_utf16le(struct vck_bytes text, uint8_t *out,
                                           size_t capacity_bytes, size_t *ret_size_bytes);
VCK_CHECKED vck_status vck_utf16le_to_utf8(struct vck_bytes text, uint8_t *out,
                                           size_t capacity_bytes, size_t *ret_size_bytes);

VCK_END_DECLS

#endif
