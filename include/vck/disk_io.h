/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_io: one disk operation as a future, and the blocking forms for code that may wait.
 */
#ifndef VCK_DISK_IO_H
#define VCK_DISK_IO_H

#include "port/disk.h"
#include "vck/bytes.h"
#include "vck/future.h"

VCK_BEGIN_DECLS

struct vck_disk_future {
    struct vck_future future;
    struct vck_disk *disk;
    struct vck_disk_io io; /* io.status: the result, once READY */
    struct vck_waker_slot slot;
    bool submitted;
};

/* Prepares an operation; the first poll submits it. A submitted operation cannot be withdrawn: the
 * struct and the buffer stay until READY. offset and size as in struct vck_disk_io. */
void vck_disk_future_init(struct vck_disk_future *f, struct vck_disk *disk, enum vck_disk_op op,
                          unsigned flags, uint64_t offset_bytes, void *buffer, uint64_t size_bytes);

/* Submits now, without waiting for a poll. */
void vck_disk_future_start(struct vck_disk_future *f);

/* Blocking forms. Errors are the disk's. APC. */
VCK_CHECKED vck_status vck_disk_read(struct vck_disk *disk, uint64_t offset_bytes, void *buffer,
                                     uint64_t size_bytes) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_disk_write(struct vck_disk *disk, uint64_t offset_bytes,
                                      const void *buffer, uint64_t size_bytes) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_disk_flush(struct vck_disk *disk) VCK_CAN_WAIT;

/* What a flush that ended with status is worth: IO in place of OK when another one has failed since
 * the disk was opened, which may have been told what this one was not. DISPATCH. */
VCK_CHECKED vck_status vck_disk_flushed(const struct vck_disk *disk, vck_status status);

/* Ends use of a disk and frees it; accepts NULL. */
void vck_disk_close(struct vck_disk *disk VCK_TAKES);

VCK_END_DECLS

#endif
