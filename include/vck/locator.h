/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locator: where in physical memory a boot loader left the handover's payload, as it publishes
 * this: the value of a firmware variable, and an ACPI table. Neither ever holds key material. A
 * reader tries the variable first, then the table.
 *
 * What is read comes from outside and names memory: a locator that was decoded is within the limits
 * below, but whether that memory is what it should be, only the reader's mapping can tell.
 *
 * Every function at any level. Source: handover, "Transport 1" and "Transport 2"; ACPI
 * specification, system description table header.
 */
#ifndef VCK_LOCATOR_H
#define VCK_LOCATOR_H

#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/guid.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* The variable: volatile, boot-service and runtime access. */
#define VCK_LOCATOR_VARIABLE_NAME "VckHandover"
/* {59564B43-4448-564F-3132-2D5641522121}, in EFI order. */
extern const struct vck_guid vck_locator_vendor_guid;

#define VCK_LOCATOR_MAGIC            0x4C4B4356u /* "VCKL" */
#define VCK_LOCATOR_VERSION          1u
#define VCK_LOCATOR_LENGTH_BYTES_MAX 65536u
/* What encode writes at most, and room for what decode takes from other writers. */
#define VCK_LOCATOR_VALUE_BYTES_MAX 128u

struct vck_locator {
    uint64_t address; /* physical, not 0 */
    uint64_t length_bytes;
};

/*
 * Reads the variable's value: a map {magic, version, address, length}, integers of any width, in
 * any order, other names passed over. SIGNATURE_MISMATCH: another magic; UNSUPPORTED: another
 * version; OUT_OF_RANGE: address 0, length 0 or above the limit, or an end beyond 64 bits;
 * INVALID_DATA: anything else, also a name twice or bytes behind the map.
 */
VCK_CHECKED vck_status vck_locator_decode(struct vck_bytes value, struct vck_locator *ret_locator);

/* OUT_OF_RANGE as in decode; SIZE_MISMATCH when it does not fit. */
VCK_CHECKED vck_status vck_locator_encode(const struct vck_locator *locator, uint8_t *out,
                                          size_t capacity_bytes, size_t *ret_size_bytes);

#define VCK_LOCATOR_TABLE_SIGNATURE "VCKD"
#define VCK_LOCATOR_TABLE_REVISION  1u
#define VCK_LOCATOR_TABLE_BYTES     52u

/* The whole ACPI table with its checksum. OUT_OF_RANGE as in decode. */
VCK_CHECKED vck_status vck_locator_table_build(const struct vck_locator *locator,
                                               uint8_t ret_table[VCK_LOCATOR_TABLE_BYTES]);

/* Reads the table at the start of these bytes, of which there may be more. SIZE_MISMATCH: fewer
 * bytes than the table or another length in its header; SIGNATURE_MISMATCH: another signature or
 * OEM; CHECKSUM_MISMATCH; UNSUPPORTED: another revision; OUT_OF_RANGE as in decode. */
VCK_CHECKED vck_status vck_locator_table_parse(struct vck_bytes table,
                                               struct vck_locator *ret_locator);

VCK_END_DECLS

#endif
