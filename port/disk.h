/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: a block device as the core sees it. One operation is one `struct vck_disk_io`, owned by the
 * caller, handed to submit and given back by its `done` callback exactly once: possibly before
 * submit returns, possibly later from another thread or from DISPATCH level.
 *
 * A disk reports errors; it never retries and never hides one. After an error from FLUSH what is
 * durable is unknown, and it may be said only once: what a system could not write it forgets when
 * it has told of it, whoever asked. So whoever flushes has to look at flush_failed as well.
 */
#ifndef VCK_PORT_DISK_H
#define VCK_PORT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

enum vck_disk_op {
    VCK_DISK_READ,
    VCK_DISK_WRITE,
    VCK_DISK_FLUSH,   /* every write completed before this submit is durable when it completes */
    VCK_DISK_DISCARD, /* contents become undefined; UNSUPPORTED where the disk cannot */
};

/* io->flags */
#define VCK_DISK_FUA   1u /* WRITE: durable before it completes */
#define VCK_DISK_ASYNC 2u /* the submitter gains from going on meanwhile: not inline */

struct vck_disk_io {
    enum vck_disk_op op;
    unsigned flags;
    uint64_t offset_bytes; /* multiple of disk->sector_size_bytes */
    uint64_t size_bytes;   /* multiple of disk->sector_size_bytes; 0 for FLUSH; below 2 GiB
                              except for DISCARD */
    void *buffer;          /* aligned to disk->alignment_bytes; read only for WRITE */
    vck_status status;     /* valid in done */
    void (*done)(struct vck_disk_io *io);
    void *context; /* the submitter's */
    void *port[4]; /* the disk's while it holds the io */
};

struct vck_disk;

struct vck_disk_ops {
    /* Never fails itself: errors arrive in io->status. PASSIVE; DISPATCH on ports that say so. */
    void (*submit)(struct vck_disk *disk, struct vck_disk_io *io);
    /* Current size in bytes (a file may have changed). */
    vck_status (*query_size)(struct vck_disk *disk, uint64_t *ret_size_bytes);
    /* Ends use; no io may be in flight. Frees the disk. */
    void (*close)(struct vck_disk *disk);
};

/* Embedded as the first member of each port's disk. Fields are set at open and then constant, but
 * for flush_failed. */
struct vck_disk {
    const struct vck_disk_ops *ops;
    uint64_t size_bytes;        /* at open */
    uint32_t sector_size_bytes; /* addressable unit: 512 or 4096 */
    uint32_t atomic_bytes;      /* a write of this size, aligned, is never torn */
    uint32_t alignment_bytes;   /* of buffers; 1 when any will do */
    bool read_only;
    bool can_discard;
    char name[256];        /* for messages: the path or URI */
    uint32_t flush_failed; /* atomic; not 0: a flush of somebody's has failed since the open */
};

VCK_END_DECLS

#endif
