/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_named: a vck_disk over a device or a file with a name, by the system's own file calls. It
 * comes in at the top of the device's stack, so that filters, and the filesystem's locks, see it;
 * what must go past them stands on port/nt/disk_lower.h.
 *
 * Operations are carried out where they are submitted, before submit returns, and transfers go past
 * the cache. A disk of this kind cannot discard.
 */
#ifndef VCK_PORT_NT_DISK_NAMED_H
#define VCK_PORT_NT_DISK_NAMED_H

#include <stdbool.h>
#include "port/disk.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/*
 * Opens the device or file at an NT path (UTF-8), shared with others. submit: PASSIVE, and on a
 * thread that does not dispatch IRPs itself. Buffers are aligned to a sector.
 *
 * NOT_FOUND, PERMISSION_DENIED, BUSY (a share that is refused), INVALID_DATA (the path),
 * UNSUPPORTED (sectors of another size than 512 or 4096 bytes), NOT_READY (it says no size),
 * NO_MEMORY, IO. PASSIVE. Source: ZwCreateFile, IOCTL_DISK_GET_LENGTH_INFO,
 * IOCTL_DISK_GET_DRIVE_GEOMETRY, FileStandardInformation.
 */
VCK_CHECKED vck_status vck_disk_named_open(const char *nt_path, bool read_only,
                                           struct vck_disk **ret_disk) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
