/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_table: the table of a volume's key slots, as one buffer that is checked once and then changed
 * in place. Pure: no I/O, no allocation. What a slot holds beyond the part that all types share is
 * key_slot's business; slots of unknown types are kept as they are.
 * Source: docs/format.md, "Key slots".
 */
#ifndef VCK_KEY_TABLE_H
#define VCK_KEY_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_KEY_TABLE_BYTES      24576u /* at most, of a copy */
#define VCK_KEY_TABLE_HEAD_BYTES 96u
#define VCK_KEY_SLOTS_MAX        32u
#define VCK_KEY_SLOT_HEAD_BYTES  96u
#define VCK_KEY_LABEL_BYTES      64u

enum vck_key_type {
    VCK_KEY_PASSPHRASE = 1,
    VCK_KEY_FILE = 2,
    VCK_KEY_RECOVERY = 3,
    VCK_KEY_TPM = 4,
    VCK_KEY_NETWORK = 5,
};

/* Too large for a kernel's stack. */
struct vck_key_table {
    uint8_t bytes[VCK_KEY_TABLE_BYTES];
};

/* A slot in a table, borrowed from it until the table changes. */
struct vck_key_slot {
    const uint8_t *record;
    uint32_t size_bytes;
    uint16_t type; /* a vck_key_type, or one that is not known here */
    uint16_t number;
    uint64_t created_s; /* since 1970, UTC; 0: unknown */
    uint8_t uuid[16];
    char label[VCK_KEY_LABEL_BYTES + 1]; /* UTF-8, ends with a zero */
};

/* An empty table of generation 0, which is not written anywhere. Any level, as all of these. */
void vck_key_table_init(struct vck_key_table *table, const uint8_t volume_id[16]);

/* Whether the bytes are a table of this volume in copy 0 or 1, as far as can be said without a key.
 * Only a table that passed (or was made by init) may be handed to the functions below. NOT_FOUND:
 * all zero; SIGNATURE_MISMATCH; UNSUPPORTED: of a later version; CHECKSUM_MISMATCH; INVALID_DATA;
 * VALIDATION_FAILED: of another volume. */
VCK_CHECKED vck_status vck_key_table_check(const struct vck_key_table *table,
                                           const uint8_t volume_id[16], uint32_t copy);

uint64_t vck_key_table_generation(const struct vck_key_table *table);
uint32_t vck_key_table_count(const struct vck_key_table *table);
/* What of the buffer is in use, from its start. */
uint32_t vck_key_table_size_bytes(const struct vck_key_table *table);

/* The index-th slot in the order they are stored in, or the one with the number. NOT_FOUND. */
VCK_CHECKED vck_status vck_key_table_at(const struct vck_key_table *table, uint32_t index,
                                        struct vck_key_slot *ret_slot);
VCK_CHECKED vck_status vck_key_table_find(const struct vck_key_table *table, uint32_t number,
                                          struct vck_key_slot *ret_slot);
/* The lowest number that is free. DISK_FULL: all are taken. */
VCK_CHECKED vck_status vck_key_table_free_number(const struct vck_key_table *table,
                                                 uint32_t *ret_number);

/* At most VCK_KEY_LABEL_BYTES of UTF-8 without a zero. */
bool vck_key_label_is_possible(struct vck_bytes label);

/* Adds a slot (record: as in the format), puts one in the place of the one with the same number, or
 * takes one out. On failure the table is as it was. DISK_FULL: no room; ALREADY_EXISTS: its number
 * or its UUID is taken; NOT_FOUND: no slot of that number; INVALID_DATA: not a slot. */
VCK_CHECKED vck_status vck_key_table_add(struct vck_key_table *table, struct vck_bytes record);
VCK_CHECKED vck_status vck_key_table_replace(struct vck_key_table *table, struct vck_bytes record);
VCK_CHECKED vck_status vck_key_table_remove(struct vck_key_table *table, uint32_t number);
/* INVALID_DATA: no label; NOT_FOUND. */
VCK_CHECKED vck_status vck_key_table_set_label(struct vck_key_table *table, uint32_t number,
                                               struct vck_bytes label);

/* Sets the generation (at least 1), the HMAC under the VMK and the CRC: what is then written to
 * copy generation mod 2. CRYPTO_FAILED. */
VCK_CHECKED vck_status vck_key_table_seal(struct vck_key_table *table, uint64_t generation,
                                          struct vck_bytes vmk);
/* TAMPERED: the HMAC does not hold under this VMK. */
VCK_CHECKED vck_status vck_key_table_verify(const struct vck_key_table *table,
                                            struct vck_bytes vmk);

VCK_END_DECLS

#endif
