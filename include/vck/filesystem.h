/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filesystem: what of a file system that nobody changes is in use, read without mounting it: ext2,
 * ext3, ext4, FAT12, FAT16, FAT32 and NTFS. It looks at the numbers that describe the whole and at
 * the map of free space, and refuses what it does not know, what was not closed cleanly and what
 * contradicts itself: rather too much is in use than too little.
 * One that is mounted may know it itself: Windows' do, and are asked for their bitmap.
 *
 * What it is not: it knows no files, writes nothing, and repairs nothing.
 * Sources: the kernel's documentation of ext4; Microsoft's FAT specification; the description of
 * NTFS of the Linux-NTFS project; Microsoft's documentation of FSCTL_GET_VOLUME_BITMAP.
 */
#ifndef VCK_FILESYSTEM_H
#define VCK_FILESYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/status.h"

VCK_BEGIN_DECLS

/* What holds it. */
struct vck_filesystem_source {
    uint64_t size_bytes;
    /* Any range below size_bytes. Failures are passed on. */
    vck_status (*read)(void *context, uint64_t offset_bytes, void *buffer, size_t size_bytes);
    void *context;
};

/* Who is told. */
struct vck_filesystem_sink {
    /* The range is in use; it lies below size_bytes, and is not empty. Ranges may come in any order
     * and more than once. Failures end the search and are passed on. */
    vck_status (*used)(void *context, uint64_t offset_bytes, uint64_t size_bytes);
    void *context;
};

struct vck_filesystem_report {
    const char *name; /* "ext4", "FAT32", ...; NULL: none that is known. Static, as */
    const char *why;  /* what stands against it, in words that follow "it"; NULL: nothing */
};

/*
 * Tells the sink everything that is in use: what the file system says, its own structures, and
 * whatever of the source lies beyond its end. Until it has returned OK, what was told may be too
 * little. ret_report is always written.
 * NOT_FOUND: no file system that is known; NOT_READY: it is in use or was not closed cleanly;
 * UNSUPPORTED: it has something that is not known; INVALID_DATA: it contradicts itself; NO_MEMORY;
 * those of read and of the sink. PASSIVE.
 */
VCK_CHECKED vck_status vck_filesystem_used(const struct vck_filesystem_source *source,
                                           const struct vck_filesystem_sink *sink,
                                           struct vck_filesystem_report *ret_report);

/* A mounted file system that tells which of its clusters are in use. */
struct vck_filesystem_bitmap {
    uint64_t volume_bytes;
    uint64_t first_bytes; /* where its first cluster lies */
    uint64_t cluster_bytes;
    /* Puts a VOLUME_BITMAP_BUFFER into the buffer: the number of a cluster, how many there are from
     * it on, a bit for each. It begins with first_cluster or one before. *ret_has_more: there was
     * no room for the last ones. Failures are passed on. */
    vck_status (*ask)(void *context, uint64_t first_cluster, void *buffer, size_t capacity_bytes,
                      size_t *ret_bytes, bool *ret_has_more);
    void *context;
};

/*
 * The same as vck_filesystem_used: what the bitmap says, what lies before the first cluster, and
 * whatever of the volume lies behind the last one. What is written meanwhile may be told or not.
 * *ret_why is NULL, or as in the report; the name is the caller's to know.
 * INVALID_DATA: the answers contradict themselves, or the volume; NO_MEMORY; those of ask and of
 * the sink. PASSIVE.
 */
VCK_CHECKED vck_status vck_filesystem_used_by_bitmap(const struct vck_filesystem_bitmap *bitmap,
                                                     const struct vck_filesystem_sink *sink,
                                                     const char **ret_why);

VCK_END_DECLS

#endif
