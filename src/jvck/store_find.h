/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_find: finds one whole metadata block of a volume on a disk of unknown geometry.
 */
#ifndef VCK_STORE_FIND_H
#define VCK_STORE_FIND_H

#include "port/disk.h"
#include "port/port.h"
#include "vck/block.h"

#define VCK_SECTOR_BYTES_MAX 4096u

/*
 * Tries the last 512 bytes, the last 4096 bytes, offset 0, and, where none of these is whole, the
 * places another replica may be at (docs/format.md, "Finding a volume").
 * SIGNATURE_MISMATCH: nothing like a volume; CHECKSUM_MISMATCH, UNSUPPORTED, INVALID_DATA: something
 * like one, and why it is not; IO, NO_MEMORY.
 */
vck_status store_find(struct vck_disk *disk, struct vck_block_header *ret_header) VCK_CAN_WAIT;

#endif
