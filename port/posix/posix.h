/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix: what the POSIX port offers to products and tests beyond port/port.h and port/disk.h:
 * openers for disks, errno, the log's destination and the preparation of a process that serves a
 * disk. The core never includes this header.
 *
 * Threads and timers do not survive fork(): fork first, then use the port.
 */
#ifndef VCK_PORT_POSIX_POSIX_H
#define VCK_PORT_POSIX_POSIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "port/disk.h"
#include "port/port.h"
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* ---- errors ---- */

/* The status of an errno, and an errno for a status. An errno outside the table becomes VCK_IO and
 * a status outside it EIO; 0 becomes VCK_OK. Any level. */
vck_status vck_posix_status_from_errno(int os_error);
int vck_posix_errno_from_status(vck_status status);

/* Why something failed, in words for the person at the terminal. */
struct vck_posix_error {
    int os_error; /* errno, 0 when no system call failed */
    char text[256];
};

/* ---- disks ---- */

#define VCK_POSIX_DISK_READ_ONLY 1u
#define VCK_POSIX_DISK_SHARED    2u /* take no lock, ignore others'; for looking only */
#define VCK_POSIX_DISK_DIRECT    4u /* past the page cache where the file system allows it */

struct vck_posix_disk_options {
    unsigned flags;
    /* 0: the device's own, 512 for files. 512 or 4096 otherwise; not below the device's own. */
    uint32_t sector_size_bytes;
};

/*
 * Opens a regular file, a block device or, when path starts with nbd://, nbd+unix://, nbds:// or
 * nbds+unix://, an export of an NBD server. options may be NULL (read and write, exclusive).
 *
 * Without SHARED a block device is claimed (mounted or claimed by others: BUSY), a file is locked
 * with an advisory lock: for writing, or for reading under READ_ONLY. NBD knows no locks.
 *
 * A file's size is rounded down to sectors; no write extends it. Requests complete inline, except
 * for VCK_DISK_ASYNC ones, which threads of the disk perform; those are created at the first use,
 * with the priority of the thread that submits it. When none can be created the request completes
 * inline after all. `done` is called at PASSIVE with no lock held and must not close the disk.
 *
 * NBD: a server without FLUSH is taken to have no volatile cache. Once a connection is lost every
 * request fails with VCK_IO; there is no reconnection. Several connections are used when the server
 * allows it (multi-conn).
 *
 * The disk is closed, and freed, with vck_posix_disk_close (or its own close). ret_error may be
 * NULL; it is written on failure only. NOT_FOUND, PERMISSION_DENIED, BUSY, READ_ONLY, UNSUPPORTED
 * (no disk, or its sectors are neither 512 nor 4096 bytes), INVALID_DATA, UNREACHABLE, REFUSED, IO,
 * NO_MEMORY. PASSIVE.
 */
VCK_CHECKED vck_status vck_posix_disk_open(const char *path,
                                           const struct vck_posix_disk_options *options,
                                           struct vck_disk **ret_disk,
                                           struct vck_posix_error *ret_error);

/* Closes any disk; accepts NULL. No io may be in flight. PASSIVE. */
void vck_posix_disk_close(struct vck_disk *disk VCK_TAKES);

/* One operation on any disk, waiting for its end. The io's errors; see port/disk.h for units and
 * alignment. flags: VCK_DISK_FUA. PASSIVE. */
VCK_CHECKED vck_status vck_posix_disk_read(struct vck_disk *disk, uint64_t offset_bytes,
                                           void *buffer, size_t size_bytes) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_posix_disk_write(struct vck_disk *disk, uint64_t offset_bytes,
                                            const void *buffer, size_t size_bytes,
                                            unsigned flags) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_posix_disk_flush(struct vck_disk *disk) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_posix_disk_discard(struct vck_disk *disk, uint64_t offset_bytes,
                                              uint64_t size_bytes) VCK_CAN_WAIT;

/* ---- log ---- */

/* Where vck_port_log goes: log(context, level, line), called from any thread at any level, so it
 * may not wait. NULL restores the default, stderr with the level in front. Set it before other
 * threads log. */
void vck_posix_set_log(void (*log)(void *context, enum vck_log_level level, const char *line),
                       void *context);

/* ---- the process ---- */

/* What vck_posix_protect_process achieved. */
struct vck_posix_protection {
    bool memory_locked;        /* pages mapped now stay in memory */
    bool future_memory_locked; /* and those mapped from now on */
    bool io_flusher;           /* the kernel does not wait for our own disk when we need memory */
    bool oom_exempt;           /* not chosen when memory runs out */
    bool not_dumpable;         /* no core files, no attaching by the same user */
};

/* Prepares a process that serves a disk the system itself may write to, and that holds keys. Each
 * step is best effort. Call it before threads are created: io_flusher is inherited by new threads
 * only. Not undone. PASSIVE. */
void vck_posix_protect_process(struct vck_posix_protection *ret_report);

VCK_END_DECLS

#endif
