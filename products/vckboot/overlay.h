/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay: an unlocked volume as a block device that firmware drivers and boot programs use. Either
 * a new handle, with the partition's device path and one vendor node behind it; or, in patch mode,
 * the partition's own handle, whose functions are replaced. Both interfaces, BlockIo and BlockIo2,
 * always lead here: with one of them left alone, callers of the other would read ciphertext and be
 * told that all is well.
 */
#ifndef VCK_VCKBOOT_OVERLAY_H
#define VCK_VCKBOOT_OVERLAY_H

#include "port/uefi/uefi.h"
#include "vck/boot_config.h"
#include "vck/volume.h"

struct overlay;

/* Shows the volume, whose partition has this handle, and connects file system drivers to it. The
 * volume is borrowed. INVALID_DATA, NO_MEMORY, or the firmware's. One at a time. */
VCK_CHECKED vck_status overlay_create(efi_handle partition, struct vck_volume *volume,
                                      enum vck_boot_mode mode, struct overlay **ret_overlay);

/* The handle that shows it. */
efi_handle overlay_handle(const struct overlay *overlay);

/* Takes it away again; accepts NULL. */
void overlay_destroy(struct overlay *overlay);

#endif
