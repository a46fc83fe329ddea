/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irp_pending: an IRP that is being worked on, and whose requestor may give it up meanwhile. The
 * system's cancel asks the work to stop; the IRP is completed when the work has stopped, as always,
 * by end. For IRPs that only wait in line see port/nt/irp_queue.h.
 *
 *     begin --> in work --------------------end--> completed, gone
 *                 \--IRP cancelled: cancelled() asks the work to stop--/
 *
 * The two may meet. Whichever of cancelled() and end is over last completes the IRP, so cancelled()
 * never sees a request that is gone.
 *
 * Uses DriverContext[0] of the IRP.
 * Source: IoSetCancelRoutine in the WDK documentation.
 */
#ifndef VCK_PORT_NT_IRP_PENDING_H
#define VCK_PORT_NT_IRP_PENDING_H

#include <stddef.h>
#include "port/nt/ntapi.h"
#include "port/port.h"

VCK_BEGIN_DECLS

/* Inside what the request is to its driver. */
struct vck_irp_pending {
    PIRP irp;
    void (*cancelled)(struct vck_irp_pending *pending);
    void (*gone)(struct vck_irp_pending *pending);
    uint32_t holds; /* who may still touch it */
    NTSTATUS status;
    size_t size_bytes;
};

/*
 * Marks the IRP pending: the dispatch routine returns STATUS_PENDING. cancelled(pending) comes at
 * most once, at up to DISPATCH with no lock held, also for an IRP cancelled before; end follows all
 * the same. gone(pending) comes last and may free it, at up to DISPATCH; the IRP completes behind
 * it, because completion may free what keeps the driver. DISPATCH.
 */
void vck_irp_pending_begin(struct vck_irp_pending *pending, PIRP irp,
                           void (*cancelled)(struct vck_irp_pending *pending),
                           void (*gone)(struct vck_irp_pending *pending));

/* The work has ended with this status, and size_bytes of answer in the IRP's buffer. The caller
 * touches neither afterwards. DISPATCH. */
void vck_irp_pending_end(struct vck_irp_pending *pending VCK_TAKES, NTSTATUS status,
                         size_t size_bytes);

VCK_END_DECLS

#endif
