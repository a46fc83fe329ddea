/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapping: a volume at rest as a table of device-mapper, which reads the same data without this
 * program: ciphertext by dm-crypt, plaintext as it is, lost chunks as errors. Pure arithmetic.
 * Source: docs/format.md, "Data region"; Linux, Documentation/admin-guide/device-mapper/dm-crypt.
 */
#ifndef VCK_MAPPING_H
#define VCK_MAPPING_H

#include <stdint.h>
#include "vck/journal.h"
#include "vck/layout.h"
#include "vck/secret.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* The unit of every number in a table, whatever the sectors of the disk. */
#define VCK_MAPPING_UNIT_BYTES 512u

enum vck_mapping_kind {
    VCK_MAPPING_CRYPT,
    VCK_MAPPING_LINEAR,
    VCK_MAPPING_ERROR,
};

/* One line of the table, in units. */
struct vck_mapping_segment {
    enum vck_mapping_kind kind;
    uint64_t start;  /* in the mapped device */
    uint64_t length; /* not 0 */
    uint64_t offset; /* on the disk; not of ERROR */
    uint64_t tweak;  /* where the counting of sectors begins, in units; of CRYPT */
};

struct vck_mapping {
    uint32_t sector_size_bytes;
    uint64_t data_units;
    uint64_t encrypted_units;
    uint64_t disk_offset; /* of the data region, in units */
    const struct vck_damage_list *damage;
    bool allow_discards; /* set by the caller, after init: dm-crypt passes on trims */
};

/* For a volume whose journal is closed. damage may be NULL; it stays the caller's and is used by
 * vck_mapping_next. OUT_OF_RANGE: more sectors encrypted than there are. Any level. */
VCK_CHECKED vck_status vck_mapping_init(struct vck_mapping *ret_mapping,
                                        const struct vck_layout *layout,
                                        uint64_t encrypted_offset_sectors,
                                        const struct vck_damage_list *damage);

/* The segment that begins at `start`, 0 first, then where the one before ended; false at the end.
 * Any level. */
bool vck_mapping_next(const struct vck_mapping *mapping, uint64_t start,
                      struct vck_mapping_segment *ret_segment);

/* The name of the target and its parameters, ended by a zero. `disk` is what device-mapper opens, a
 * path or MAJOR:MINOR. The parameters of CRYPT hold the keys in hexadecimal; without keys (NULL)
 * they are zeroes, for people to look at. The buffer is wiped by who filled it. */
#define VCK_MAPPING_KEY_BYTES 64u
const char *vck_mapping_target(enum vck_mapping_kind kind);
/* OUT_OF_RANGE: capacity bytes do not hold it; 2 * VCK_MAPPING_KEY_BYTES + 128 and the length of
 * `disk` do. Any level. */
VCK_CHECKED vck_status vck_mapping_parameters(const struct vck_mapping *mapping,
                                              const struct vck_mapping_segment *segment,
                                              const char *disk,
                                              const uint8_t keys[VCK_MAPPING_KEY_BYTES], char *text,
                                              size_t capacity);

VCK_END_DECLS

#endif
