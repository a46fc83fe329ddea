/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view: an attached volume in the blocks that callers of a firmware's block device count in. They
 * may be smaller than the volume's sectors, where the partition's own handle shows the volume; then
 * a write of part of a sector reads the rest first. One caller at a time.
 */
#ifndef VCK_VCKBOOT_VIEW_H
#define VCK_VCKBOOT_VIEW_H

#include "vck/volume.h"

struct view {
    struct vck_volume *volume; /* borrowed */
    uint32_t block_bytes;      /* divides the volume's sector size */
    uint64_t blocks;           /* of the data region: metadata is not there */
    uint8_t *sector;           /* one sector of the volume */
};

/* INVALID_DATA: block_bytes does not divide a sector; NO_MEMORY. */
VCK_CHECKED vck_status view_init(struct view *view, struct vck_volume *volume,
                                 uint32_t block_bytes);
void view_fini(struct view *view);

/* size_bytes: SIZE_MISMATCH when not whole blocks; OUT_OF_RANGE beyond the last block; otherwise as
 * vck_volume_io. The buffer of a write is only read. */
VCK_CHECKED vck_status view_read(struct view *view, uint64_t lba, void *buffer,
                                 uint64_t size_bytes) VCK_CAN_WAIT;
VCK_CHECKED vck_status view_write(struct view *view, uint64_t lba, const void *buffer,
                                  uint64_t size_bytes) VCK_CAN_WAIT;
VCK_CHECKED vck_status view_flush(struct view *view) VCK_CAN_WAIT;

#endif
