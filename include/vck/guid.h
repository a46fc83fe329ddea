/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guid: 16-byte identifiers. In memory and on disk they are kept as Windows and EFI keep them: the
 * first three fields little-endian, the last eight bytes as written. RFC 4122 order (all fields
 * big-endian, as the text reads) is another order of the same bytes; convert where it is met.
 *
 * Every function at any level. Source: UEFI specification, appendix A; RFC 4122, section 3.
 */
#ifndef VCK_GUID_H
#define VCK_GUID_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_GUID_SIZE_BYTES 16
/* "01234567-89ab-cdef-0123-456789abcdef" and its NUL. */
#define VCK_GUID_TEXT_BYTES 37

struct vck_guid {
    uint8_t bytes[VCK_GUID_SIZE_BYTES]; /* EFI order */
};

/* The canonical text, in either case, with or without braces, and nothing else. INVALID_DATA. */
VCK_CHECKED vck_status vck_guid_parse(struct vck_bytes text, struct vck_guid *ret_guid);

/* The canonical text in lower case without braces, NUL-terminated. */
void vck_guid_format(const struct vck_guid *guid, char ret_text[VCK_GUID_TEXT_BYTES]);

bool vck_guid_equal(const struct vck_guid *a, const struct vck_guid *b);
/* All zeroes names nothing. */
bool vck_guid_is_zero(const struct vck_guid *guid);

struct vck_guid vck_guid_from_rfc4122(const uint8_t bytes[VCK_GUID_SIZE_BYTES]);
void vck_guid_to_rfc4122(const struct vck_guid *guid, uint8_t ret_bytes[VCK_GUID_SIZE_BYTES]);

VCK_END_DECLS

#endif
