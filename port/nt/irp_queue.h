/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irp_queue: pending IRPs in order, each of which may be cancelled while it waits. Exactly one of
 * two gets an IRP back: who takes it, or `cancelled`.
 *
 * Uses Tail.Overlay.ListEntry and DriverContext[0] of the IRPs it holds.
 * Source: IoSetCancelRoutine and "Using the System's Cancel Spin Lock" in the WDK documentation.
 */
#ifndef VCK_PORT_NT_IRP_QUEUE_H
#define VCK_PORT_NT_IRP_QUEUE_H

#include "port/nt/ntapi.h"
#include "port/port.h"

VCK_BEGIN_DECLS

struct vck_irp_queue {
    struct vck_spinlock lock;
    LIST_ENTRY irps;
    uint32_t count; /* atomic: a look without the lock */
    void (*cancelled)(struct vck_irp_queue *queue, PIRP irp);
};

/* cancelled(queue, irp) completes a waiting IRP that is cancelled, at up to DISPATCH with no lock
 * held; it is the queue's last access to itself for that IRP. */
void vck_irp_queue_init(struct vck_irp_queue *queue,
                        void (*cancelled)(struct vck_irp_queue *queue, PIRP irp));

/* Marks the IRP pending and puts it at the end. An IRP cancelled meanwhile goes to `cancelled`:
 * either way the dispatch routine returns STATUS_PENDING. DISPATCH. */
void vck_irp_queue_put(struct vck_irp_queue *queue, PIRP irp);

/* The oldest IRP, no longer cancellable; NULL when there is none. DISPATCH. */
PIRP vck_irp_queue_take(struct vck_irp_queue *queue);

/* Whether take would probably find one. Any level. */
static inline bool vck_irp_queue_is_empty(const struct vck_irp_queue *queue)
{
    return __atomic_load_n(&queue->count, __ATOMIC_SEQ_CST) == 0;
}

VCK_END_DECLS

#endif
