/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content: what a disk holds and how far it reaches, from the few fields of each format that tell
 * its size. Enough to not overwrite it; no more is read.
 */
#ifndef VCK_PRODUCTS_VCK_CONTENT_H
#define VCK_PRODUCTS_VCK_CONTENT_H

#include <stdint.h>
#include "port/disk.h"
#include "vck/annotate.h"
#include "vck/status.h"

enum content_kind {
    CONTENT_UNKNOWN, /* nothing that is recognised */
    CONTENT_EXT,
    CONTENT_NTFS,
    CONTENT_OTHER,
};

#define CONTENT_TO_THE_END UINT64_MAX /* the format does not say; taken to use the whole disk */

struct content {
    enum content_kind kind;
    const char *name;     /* "ext2/3/4 file system"; static */
    uint64_t size_bytes;  /* from the start of the disk; may exceed it */
    uint32_t block_bytes; /* EXT: the unit it can be shrunk by */
};

/* What the start of the disk says. IO, NO_MEMORY. */
VCK_CHECKED vck_status content_read(struct vck_disk *disk,
                                    struct content *ret_content) VCK_CAN_WAIT;

/* The first byte other than zero in a range of whole sectors; UINT64_MAX: there is none. */
VCK_CHECKED vck_status content_find_nonzero(struct vck_disk *disk, uint64_t offset_bytes,
                                            uint64_t size_bytes,
                                            uint64_t *ret_offset_bytes) VCK_CAN_WAIT;

#endif
