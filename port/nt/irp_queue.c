/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/irp_queue.h"
#include "vck/bytes.h"

void vck_irp_queue_init(struct vck_irp_queue *queue,
                        void (*cancelled)(struct vck_irp_queue *queue, PIRP irp))
{
    vck_spinlock_init(&queue->lock);
    InitializeListHead(&queue->irps);
    queue->count = 0;
    queue->cancelled = cancelled;
}

/* Under the lock. */
static void take_out(struct vck_irp_queue *queue, PIRP irp)
{
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
    __atomic_store_n(&queue->count, queue->count - 1, __ATOMIC_SEQ_CST);
}

/* Whoever gets the cancel routine back owns the IRP; here it is the system that did. */
static void NTAPI cancel(PDEVICE_OBJECT device, PIRP irp)
{
    struct vck_irp_queue *queue = irp->Tail.Overlay.DriverContext[0];

    (void)device;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    vck_spinlock_acquire(&queue->lock);
    take_out(queue, irp);
    vck_spinlock_release(&queue->lock);
    queue->cancelled(queue, irp);
}

void vck_irp_queue_put(struct vck_irp_queue *queue, PIRP irp)
{
    bool is_ours = false;

    IoMarkIrpPending(irp);
    irp->Tail.Overlay.DriverContext[0] = queue;
    vck_spinlock_acquire(&queue->lock);
    InsertTailList(&queue->irps, &irp->Tail.Overlay.ListEntry);
    __atomic_store_n(&queue->count, queue->count + 1, __ATOMIC_SEQ_CST);
    (void)IoSetCancelRoutine(irp, cancel);
    /* Cancelled before the routine was set: then nobody calls it, unless it was in between. */
    if (__atomic_load_n(&irp->Cancel, __ATOMIC_SEQ_CST) && IoSetCancelRoutine(irp, NULL)) {
        take_out(queue, irp);
        is_ours = true;
    }
    vck_spinlock_release(&queue->lock);
    if (is_ours)
        queue->cancelled(queue, irp);
}

PIRP vck_irp_queue_take(struct vck_irp_queue *queue)
{
    PIRP found = NULL;

    vck_spinlock_acquire(&queue->lock);
    for (PLIST_ENTRY entry = queue->irps.Flink; entry != &queue->irps; entry = entry->Flink) {
        PIRP irp = VCK_CONTAINER_OF(entry, IRP, Tail.Overlay.ListEntry);

        /* One without a routine is being cancelled: its routine waits for the lock. */
        if (!IoSetCancelRoutine(irp, NULL))
            continue;
        take_out(queue, irp);
        found = irp;
        break;
    }
    vck_spinlock_release(&queue->lock);
    return found;
}
