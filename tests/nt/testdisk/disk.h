/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: the device object of a test disk, the bottom of its stack. Requests arrive in disk_io.c,
 * which decides how each is completed; disk_execute.c carries them out, disk_ioctl.c answers
 * IOCTLs.
 */
#ifndef VCK_TESTS_NT_DISK_H
#define VCK_TESTS_NT_DISK_H

#include <stdbool.h>
#include "load_plan.h"
#include "store.h"
#include "testdisk.h"

#define TD_DISK_THREADS 2
#define TAG_DISK        'dDTV'

struct td_disk {
    PDEVICE_OBJECT device;
    struct td_create shape;
    struct td_store store;
    LONG use_count; /* requests of the control device */

    KSPIN_LOCK lock; /* of what follows */
    struct td_behaviour behaviour;
    struct td_fault faults[TD_FAULT_COUNT];
    ULONG fault_count;
    struct td_stats stats;
    ULONGLONG random;
    struct td_mounted *mounted; /* NULL: no file system */
    LIST_ENTRY queue;           /* held, waiting for their turn */
    LIST_ENTRY stalled;         /* waiting for TD_CLEAR */
    ULONG queued_count;
    ULONGLONG oldest_100ns; /* when the queue was last empty */
    bool is_stopping;

    KSEMAPHORE wake;     /* counts: an event set twice under Wine may wake nobody */
    LONG arriving_count; /* dispatch routines that are not done with the disk */
    PVOID threads[TD_DISK_THREADS];

    struct load_plan plan; /* versions is NULL until the first FILL */
    KSPIN_LOCK plan_lock;
    ULONGLONG plan_offset_bytes;
};

/* What becomes of a request, kept in Tail.Overlay.DriverContext. */
struct td_verdict {
    ULONGLONG due_100ns;
    ULONG bytes; /* that are moved */
    NTSTATUS status;
    bool is_fault;
    bool is_at_dispatch; /* completed at DISPATCH, as a DPC would */
};

/* PASSIVE. */
NTSTATUS td_disk_create(PDRIVER_OBJECT driver, const struct td_create *shape,
                        struct td_disk **ret_disk);
/* Nobody uses it; completes what waits. STATUS_DEVICE_BUSY: something is attached above. */
NTSTATUS td_disk_delete(struct td_disk *disk);
struct td_disk *td_disk_of(PDEVICE_OBJECT device);

/* Any request. At the level it is sent at. */
NTSTATUS td_disk_dispatch(struct td_disk *disk, PIRP irp);
NTSTATUS td_disk_start_threads(struct td_disk *disk);
void td_disk_stop_threads(struct td_disk *disk);

NTSTATUS td_disk_behave(struct td_disk *disk, const struct td_behaviour *behaviour);
NTSTATUS td_disk_add_fault(struct td_disk *disk, const struct td_fault *fault);
void td_disk_clear(struct td_disk *disk);
void td_disk_take_stats(struct td_disk *disk, struct td_stats *ret_stats);

/* Carries the request out and completes it. DISPATCH. Its final status. */
NTSTATUS td_disk_execute(struct td_disk *disk, PIRP irp, const struct td_verdict *verdict);
/* The answer to an IOCTL, in IoStatus. DISPATCH. */
void td_disk_ioctl(struct td_disk *disk, PIRP irp);
/* Puts the file system there, or takes it away; data is its bitmap. PASSIVE. */
NTSTATUS td_disk_mount(struct td_disk *disk, const struct td_mount *mount, const UCHAR *data,
                       ULONG size_bytes);
/* Whether it is a request that the file system answers; then its result is in IoStatus. DISPATCH.
 */
bool td_disk_ask_mounted(struct td_disk *disk, PIRP irp);
/* Which TD_OP_* it is; its trims are IOCTLs of their own kind. DISPATCH. */
ULONG td_disk_op(PIRP irp);

static inline ULONGLONG td_now_100ns(void)
{
    LARGE_INTEGER now = {.QuadPart = 0};
    KeQuerySystemTime(&now);
    return (ULONGLONG)now.QuadPart;
}

#endif
