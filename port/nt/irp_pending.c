/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/irp_pending.h"

static void let_go(struct vck_irp_pending *pending, uint32_t holds)
{
    PIRP irp = pending->irp;

    if (__atomic_sub_fetch(&pending->holds, holds, __ATOMIC_ACQ_REL) != 0)
        return;
    irp->IoStatus.Status = pending->status;
    irp->IoStatus.Information = pending->size_bytes;
    pending->gone(pending);
    IoCompleteRequest(irp, IO_NO_INCREMENT);
}

static void give_up(struct vck_irp_pending *pending)
{
    pending->cancelled(pending);
    let_go(pending, 1);
}

static void NTAPI cancel(PDEVICE_OBJECT device, PIRP irp)
{
    struct vck_irp_pending *pending = irp->Tail.Overlay.DriverContext[0];

    (void)device;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    give_up(pending);
}

void vck_irp_pending_begin(struct vck_irp_pending *pending, PIRP irp,
                           void (*cancelled)(struct vck_irp_pending *pending),
                           void (*gone)(struct vck_irp_pending *pending))
{
    /* The work's hold, and the cancel routine's. */
    *pending =
        (struct vck_irp_pending){.irp = irp, .cancelled = cancelled, .gone = gone, .holds = 2};
    IoMarkIrpPending(irp);
    irp->Tail.Overlay.DriverContext[0] = pending;
    (void)IoSetCancelRoutine(irp, cancel);
    /* Cancelled before the routine was set: then nobody calls it, unless it was in between. */
    if (__atomic_load_n(&irp->Cancel, __ATOMIC_SEQ_CST) && IoSetCancelRoutine(irp, NULL))
        give_up(pending);
}

void vck_irp_pending_end(struct vck_irp_pending *pending, NTSTATUS status, size_t size_bytes)
{
    pending->status = status;
    pending->size_bytes = size_bytes;
    /* Whoever gets the routine back takes its hold, too: it will not run. */
    let_go(pending, IoSetCancelRoutine(pending->irp, NULL) ? 2 : 1);
}
