/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uefi: what the port for boot programs offers beyond port/port.h and port/disk.h. One thread, no
 * interrupts but the firmware's own events: DISPATCH is TPL_NOTIFY, everything below is PASSIVE.
 * Disks complete inline, so nothing ever waits for another thread; there are none.
 */
#ifndef VCK_PORT_UEFI_UEFI_H
#define VCK_PORT_UEFI_UEFI_H

#include "port/disk.h"
#include "port/port.h"
#include "port/uefi/efi.h"

VCK_BEGIN_DECLS

/* The firmware, from vck_uefi_start on. */
extern efi_handle vck_uefi_image;
extern struct efi_system_table *vck_uefi_system;
extern struct efi_boot_services *vck_uefi_boot;

/* First thing in efi_main. Everything the port allocates is wiped when boot services end. */
void vck_uefi_start(efi_handle image, struct efi_system_table *system);

/* Last thing before efi_main returns: the firmware keeps no pointer into the program. Memory that
 * is still allocated is wiped and stays so. */
void vck_uefi_end(void);

/* Zeroes every live allocation, keeping it allocated. NOTIFY. */
void vck_uefi_wipe_all(void);

/* One line to the console and the debug port, formatted as vck_format does. APPLICATION. */
void vck_uefi_say(const char *fmt, ...) VCK_PRINTF(1, 2);

/* A line on the debug port alone: what has been reached, and when by the time stamp counter.
 * Nothing where there is no debug port. Any level. */
void vck_uefi_log_reached(const char *what);

/* Text without a line end, to the console only. APPLICATION. */
void vck_uefi_print(const char *text);

/* A status of the firmware as one of ours; what the table does not name is IO. And back: what it
 * does not name is DEVICE_ERROR. Any level. */
vck_status vck_uefi_status(efi_status status);
efi_status vck_uefi_status_of(vck_status status);

/*
 * A partition's (or disk's) block I/O as a disk, completing inline. The functions are taken now, so
 * that replacing them in *block_io later does not lead back here. UNSUPPORTED (no media, block size
 * neither 512 nor 4096), NO_MEMORY. CALLBACK.
 */
VCK_CHECKED vck_status vck_uefi_disk_open(struct efi_block_io *block_io, const char *name,
                                          struct vck_disk **ret_disk);

VCK_END_DECLS

#endif
