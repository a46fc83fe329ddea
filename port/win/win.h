/* SPDX-License-Identifier: Apache-2.0 */
/*
 * win: what the user-mode Windows port offers to products beyond port/port.h and port/disk.h: error
 * codes, text, openers for disks. The core never includes this header. Text is UTF-8 everywhere
 * outside this port.
 */
#ifndef VCK_PORT_WIN_WIN_H
#define VCK_PORT_WIN_WIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>
#include "port/disk.h"
#include "port/port.h"
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* ---- errors ---- */

/* The status of a Win32 error code (GetLastError). Codes outside the table become VCK_IO, 0 becomes
 * VCK_OK. Any level. */
vck_status vck_win_status_from_error(uint32_t os_error);

/* The system's words for a Win32 error code, without the full stop at their end. The buffer is
 * returned. PASSIVE. */
#define VCK_WIN_TEXT_BYTES 256
const char *vck_win_error_text(uint32_t os_error, char buffer[VCK_WIN_TEXT_BYTES]);

/* Why something failed, in words for the person at the terminal. */
struct vck_win_error {
    uint32_t os_error; /* 0 when no system call failed */
    char text[512];
};

/* ---- text ---- */

/* UTF-8 to UTF-16 and back, freed with vck_free. NULL: no memory, or not well-formed. PASSIVE. */
VCK_CHECKED wchar_t *vck_win_widen(const char *text);
VCK_CHECKED char *vck_win_narrow(const wchar_t *text);

/* A path as CreateFileW takes it, freed with vck_free: \Device\... by way of GLOBALROOT, and a long
 * path of a file with the prefix that allows its length. NULL as above. PASSIVE. */
VCK_CHECKED wchar_t *vck_win_path(const char *path);

/* Whether a path names a device, not a file: \\.\... or \Device\.... Any level. */
bool vck_win_is_device_path(const char *path);

/* ---- disks ---- */

#define VCK_WIN_DISK_READ_ONLY 1u
#define VCK_WIN_DISK_SHARED    2u /* take no lock, ignore others'; for looking only */

struct vck_win_disk_options {
    unsigned flags;
    /* 0: the device's own, 512 for files. 512 or 4096 otherwise; not below the device's own. */
    uint32_t sector_size_bytes;
};

/*
 * Opens an image file, or a volume or disk by its device path. options may be NULL (read and write,
 * exclusive).
 *
 * Without SHARED a file is opened so that nobody else writes it, and a volume is locked; for
 * writing it is dismounted as well, and sectors behind its file system are reachable. Windows
 * mounts it again once it is closed. A whole disk cannot be locked: Windows itself refuses writes
 * to what is mounted on it. Devices are read and written past the cache.
 *
 * A file's size is rounded down to sectors; no write extends it. A discard makes it sparse. Reads
 * and writes are asynchronous: `done` comes at PASSIVE from a thread of the system's pool, with no
 * lock held, and must not close the disk. FLUSH and DISCARD complete inline.
 *
 * The disk is closed, and freed, with its close. ret_error may be NULL; it is written on failure
 * only. NOT_FOUND, PERMISSION_DENIED, BUSY, READ_ONLY, UNSUPPORTED (no disk, or its sectors are
 * neither 512 nor 4096 bytes), INVALID_DATA, IO, NO_MEMORY. PASSIVE.
 *
 * Source: CreateFile ("Physical Disks and Volumes"), FSCTL_LOCK_VOLUME, FSCTL_DISMOUNT_VOLUME,
 * FSCTL_ALLOW_EXTENDED_DASD_IO, FSCTL_SET_ZERO_DATA, IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES.
 */
VCK_CHECKED vck_status vck_win_disk_open(const char *path,
                                         const struct vck_win_disk_options *options,
                                         struct vck_disk **ret_disk,
                                         struct vck_win_error *ret_error);

VCK_END_DECLS

#endif
