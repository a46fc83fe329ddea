/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_disk: a device object with a disk behind it, for drivers to stand on. It keeps its sectors
 * in memory, answers the IOCTLs of a volume, and can be told to misbehave. Its thread completes
 * what was queued, at DISPATCH unless told otherwise, in any order it is told to.
 */
#ifndef VCK_FAKE_DISK_H
#define VCK_FAKE_DISK_H

#include <pthread.h>

#include "fake_nt.h"

/* What the last request of a kind looked like. */
struct fake_disk_seen {
    UCHAR stack_flags;
    ULONG irp_flags;
    PETHREAD thread;
    IO_PRIORITY_HINT priority;
};

struct fake_disk_options {
    uint64_t size_bytes;
    uint32_t sector_size_bytes; /* 0: 512 */
    bool is_buffered;           /* DO_BUFFERED_IO instead of DO_DIRECT_IO */
    bool is_read_only;
    bool cannot_trim;
};

struct fake_disk {
    DRIVER_OBJECT driver;
    PDEVICE_OBJECT device;
    struct fake_disk_options options;
    uint8_t *data;

    /* Set by tests while nothing is in flight, or atomically. */
    bool is_async;        /* pends everything and completes it from its thread */
    bool is_passive;      /* with is_async: at PASSIVE, not DISPATCH */
    bool is_mixed;        /* with is_async: every third at once */
    bool is_reordering;   /* the latest first */
    bool is_holding;      /* completes nothing meanwhile; see fake_disk_hold */
    uint32_t delay_us;    /* before each completion */
    int64_t fail_in;      /* atomic: 1: the next transfer, flush or trim fails ... */
    NTSTATUS fail_status; /* ... with this */
    int64_t short_in;     /* atomic: the same for a transfer that moves half */
    ULONG answer_limit;   /* longest answer to an IOCTL, then STATUS_BUFFER_OVERFLOW; 0: any */
    const uint8_t *partition_guid; /* it is a partition of a GPT; NULL: of an MBR */
    NTSTATUS start_status;         /* of START_DEVICE and DEVICE_USAGE_NOTIFICATION */

    struct fake_disk_seen read, write;
    uint32_t counts[IRP_MJ_MAXIMUM_FUNCTION + 1]; /* atomic: requests by major */
    uint32_t in_flight_max;
    uint64_t trimmed_offset, trimmed_bytes; /* the last range */
    uint64_t verified_offset;
    uint32_t dispatched;  /* atomic; counted with is_mixed */
    uint32_t last_reader; /* thread that sent the last read */
    uint32_t thread_id;   /* atomic: of the one that completes, once it has */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    LIST_ENTRY queue;
    uint32_t queued;
    bool is_ending;
};

/* A disk of its own driver, started. */
struct fake_disk *fake_disk_create(const struct fake_disk_options *options);
/* Nothing may be attached or in flight. */
void fake_disk_destroy(struct fake_disk *disk);

/* Between the two, is_async holds and nothing completes. */
void fake_disk_hold(struct fake_disk *disk);
void fake_disk_release(struct fake_disk *disk);
/* Waits until so many requests are held. */
void fake_disk_await(struct fake_disk *disk, uint32_t requests);

#endif
