/* SPDX-License-Identifier: Apache-2.0 */
/* A message that is one map of named fields, each of them there exactly once. */
#ifndef VCK_BOOT_MAP_H
#define VCK_BOOT_MAP_H

#include "vck/msgpack.h"

struct boot_field {
    const char *name;
    /* Takes the value. Nothing it keeps is undone here when a later field fails. */
    vck_status (*read)(struct vck_msgpack_reader *reader, void *message);
};

/* Reads data into message; other names are passed over. INVALID_DATA, or what a field's read
 * returned. count is at most 32. */
VCK_CHECKED vck_status boot_map_read(struct vck_bytes data, const struct boot_field *fields,
                                     size_t count, void *message);

#endif
