/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_disk: a disk in memory for tests. Completes inline; can make the n-th operation fail.
 */
#ifndef VCK_TESTS_MEMORY_DISK_H
#define VCK_TESTS_MEMORY_DISK_H

#include <pthread.h>

#include "port/disk.h"

struct memory_disk {
    struct vck_disk disk;
    pthread_mutex_t lock;
    uint8_t *data;        /* disk.size_bytes */
    uint64_t fail_at;     /* the n-th operation from now fails; 0: none */
    vck_status fail_with; /* with what; OK: IO */
    uint64_t fail_more;   /* and so many after it */
    uint64_t operations;  /* submitted so far */
    uint64_t flushes;
    bool *closed; /* set when the volume closes the disk; may be NULL */
    bool keep;    /* closing leaves the struct and its data to the test */
};

/* A zeroed disk. Ends by vck_disk_close, or by memory_disk_free when keep was set. */
struct memory_disk *memory_disk_create(uint64_t size_bytes, uint32_t sector_size_bytes);
void memory_disk_free(struct memory_disk *disk);

#endif
