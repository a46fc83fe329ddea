/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpio: the archive that carries a handover into Linux: one file, /.vck/handover, of mode 0400 in a
 * directory of mode 0700, for the end of an initrd. The kernel unpacks archives one after another;
 * each begins at a multiple of four bytes.
 *
 * Source: Linux, "initramfs buffer format"; the "newc" form of cpio. Any level.
 */
#ifndef VCK_CPIO_H
#define VCK_CPIO_H

#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_CPIO_ALIGNMENT_BYTES 4u

/* The archive's size for a payload of this many bytes, below 64 KiB. */
size_t vck_cpio_handover_bytes(size_t payload_bytes);

/* Writes it. SIZE_MISMATCH when capacity_bytes is less than it takes, or the payload is longer than
 * a handover can be; out is then untouched. out holds the key: the caller wipes it. */
VCK_CHECKED vck_status vck_cpio_handover_write(struct vck_bytes payload, uint8_t *out,
                                               size_t capacity_bytes, size_t *ret_size_bytes);

VCK_END_DECLS

#endif
