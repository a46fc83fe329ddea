/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handover: what a boot loader that unlocked the system volume tells the operating system: which
 * partition, and its key. One payload, however it travels: a page that a locator names
 * (vck/locator.h), or the file /.vck/handover of an initrd.
 *
 * Not here: finding, mapping and unmapping the bytes, which is the port's; binding the volume.
 * Source: handover, "Payload" and "Matching".
 */
#ifndef VCK_HANDOVER_H
#define VCK_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/guid.h"
#include "vck/secret.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* A payload at most, and the key in it. */
#define VCK_HANDOVER_BYTES_MAX     65536u
#define VCK_HANDOVER_VMK_BYTES_MAX 1024u
/* What encode writes at most: the names, their heads, the GUID and the key. */
#define VCK_HANDOVER_ENCODED_BYTES_MAX (VCK_HANDOVER_VMK_BYTES_MAX + 64u)

/* Zeroed is empty. Never copied by assignment: it owns the key. */
struct vck_handover {
    struct vck_guid partition_guid; /* the GPT unique partition GUID, never zero */
    struct vck_secret vmk;
};

/*
 * Reads a payload: a map with partition_guid as 16 bytes (bin, or an array of integers) in EFI
 * order or as text, and vmk as bin or an array of integers; in any order, other names passed over.
 * *ret_handover holds a copy of the key, for fini. SIZE_MISMATCH: no bytes, or more than
 * VCK_HANDOVER_BYTES_MAX, or a key that is empty or too long; INVALID_DATA: anything else that is
 * not a payload, also a name twice, a GUID of zeros, or bytes behind the map; NO_MEMORY. PASSIVE.
 */
VCK_CHECKED vck_status vck_handover_decode(struct vck_bytes payload,
                                           struct vck_handover *ret_handover);

/* The same from memory that nobody needs afterwards, and wipes it, whatever the result. PASSIVE. */
VCK_CHECKED vck_status vck_handover_take(void *payload, size_t size_bytes,
                                         struct vck_handover *ret_handover);

/* Writes the payload: the GUID and the key as bin. INVALID_DATA when the GUID is zero or the key is
 * empty or too long; SIZE_MISMATCH when it does not fit, and out is then wiped. out holds the key:
 * the caller wipes it. Any level. */
VCK_CHECKED vck_status vck_handover_encode(const struct vck_handover *handover, uint8_t *out,
                                           size_t capacity_bytes, size_t *ret_size_bytes);

/* Whether the handover is about the partition with this GPT unique GUID, in EFI order. An empty
 * handover is about none, and a partition without a GUID (all zeros) is nobody's. Any level. */
bool vck_handover_matches(const struct vck_handover *handover, const struct vck_guid *partition);

/* Wipes and frees the key; accepts an empty or already finished one. PASSIVE. */
void vck_handover_fini(struct vck_handover *handover);

VCK_END_DECLS

#endif
