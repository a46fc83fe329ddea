/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_internal: the structs of the filter room, for its files only.
 *
 * Three run-downs keep things in place, from the inside out: `bound` the volume, for each IRP that
 * goes through it; `dispatches` the device, for each call of a dispatch routine; `holders` the
 * filter, for references and the open disk. The queue and the idle lanes are the filter's and not
 * the binding's, so that whoever has put an IRP may still wake a lane when the IRP has gone.
 */
#ifndef VCK_VCKSYS_FILTER_INTERNAL_H
#define VCK_VCKSYS_FILTER_INTERNAL_H

#include "port/nt/disk_lower.h"
#include "port/nt/irp_queue.h"
#include "products/vcksys/filter.h"
#include "products/vcksys/reserve.h"
#include "products/vcksys/view.h"
#include "vck/list.h"
#include "vck/request.h"
#include "vck/rundown.h"

#define FILTER_TAG VCK_TAG('V', 'f', 'l', 't')

/* What one IRP in progress needs; as many are in progress as there are lanes. A lane is a task for
 * as long as the binding lasts. */
struct lane {
    struct vck_future future; /* the task's */
    struct vck_task task;
    struct vck_task_join join;
    struct filter *filter;
    struct vck_link idle_link;   /* in the filter's idle lanes */
    struct vck_waker task_waker; /* the task's, from its first poll on */
    struct vck_waker waker;      /* of the lane's requests: tells who polls them, or the task */
    uint32_t state;              /* LANE_* */
    PIRP irp;                    /* NULL: idle */
    /* The id of a thread that sends and has better things to do than to go on with the result; 0:
     * none. What completes on that thread meanwhile is put into `held`, and its done is called once
     * this is 0 again. Atomic. */
    uint32_t submitter;
    struct vck_disk_io *held; /* atomic */
    struct vck_disk_lower_origin origin;
    struct vck_request request;
    struct view_trim trim;
    uint32_t trim_next; /* the range after the one under way */
    struct reserve_holder holder;
    bool is_pieced;       /* the IRP's buffer is mapped by pieces, in the reserve */
    uint32_t piece_bytes; /* mapped now; 0: nothing */
    uint32_t done_bytes;  /* by pieces before */
};

struct binding {
    struct vck_volume *volume;
    struct view view;
    uint32_t is_ending; /* atomic */
    struct reserve reserve;
    uint32_t lane_count;
    struct lane *lanes;
};

/* A filter device's extension. */
struct filter {
    uint32_t signature;
    bool is_permanent;
    PDEVICE_OBJECT device;
    PDEVICE_OBJECT lower;
    PDEVICE_OBJECT physical;
    struct vck_link link; /* in the room's list, under its lock; first there, then not */
    struct vck_rundown dispatches;
    struct vck_rundown holders;
    struct vck_rundown bound;
    struct vck_mutex control;  /* one bind or unbind at a time */
    struct vck_spinlock state; /* binding, has_disk, is_leaving */
    struct binding *binding;   /* under state, or with `bound` */
    bool has_disk;
    bool is_leaving;
    uint32_t is_detached; /* atomic: out of the stack, whose device stays */
    struct lane *lanes;   /* atomic: binding->lanes */
    struct vck_irp_queue queue;
    struct vck_spinlock idle_lock;
    struct vck_link idle;      /* lanes without an IRP, the last used first */
    uint32_t refuses_writes;   /* atomic */
    struct filter_usage usage; /* atomic */
};

/* What filter_start was given. */
const struct filter_options *filter_room_options(void);

/* Whether what would write is refused; is_bound: the caller holds `bound`. Any level. */
bool filter_refuses_now(const struct filter *filter, bool is_bound);

static inline NTSTATUS filter_complete(PIRP irp, NTSTATUS nt_status, ULONG_PTR information)
{
    irp->IoStatus.Status = nt_status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return nt_status;
}

/* Gives back the hold on `bound`, where there is one. */
static inline NTSTATUS filter_refuse(struct filter *filter, PIRP irp, bool is_bound)
{
    if (is_bound)
        vck_rundown_release(&filter->bound);
    return filter_complete(irp, STATUS_MEDIA_WRITE_PROTECTED, 0);
}

/* To the device below, as if the filter were not there. */
static inline NTSTATUS filter_pass(struct filter *filter, PIRP irp)
{
    IoSkipCurrentIrpStackLocation(irp);
    return IoCallDriver(filter->lower, irp);
}

/* ---- filter.c ---- */

/* Type, flags, alignment and characteristics as below. */
void filter_copy_device(struct filter *filter);
/* Out of the list: nobody finds it any more, and nobody binds. */
void filter_leave(struct filter *filter) VCK_CAN_WAIT;
/* After filter_leave: waits for references and for the open disk. */
void filter_wait_for_holders(struct filter *filter) VCK_CAN_WAIT;
/* The end of the struct. */
void filter_delete(struct filter *filter) VCK_CAN_WAIT;

/* ---- filter_bind.c ---- */

/* Whether the device may hold ciphertext that others must not write beside. PASSIVE. */
bool filter_holds_ciphertext(struct filter *filter);

/* ---- filter_lane.c ---- */

void filter_lane_init(struct lane *lane, struct filter *filter);
/* Has every lane end once no IRP is left. */
void filter_lanes_end(struct filter *filter, struct binding *binding);
/* Begins or queues an IRP, with `bound` acquired for it and a hold on `dispatches`. STATUS_PENDING.
 * DISPATCH. */
NTSTATUS filter_enqueue(struct filter *filter, PIRP irp);
/* The queue's: completes one that was cancelled. */
void filter_irp_cancelled(struct vck_irp_queue *queue, PIRP irp);
/* disk_lower's: the IRP an operation is made for, and that the operation has completed. */
struct vck_disk_lower_origin *filter_origin(void *context, const struct vck_disk_io *io);
void filter_arrived(void *context, struct vck_disk_lower_origin *origin, struct vck_disk_io *io);

/* ---- filter_irp.c: by who polls the lane; lane->irp has its hold on `bound` ---- */

uint32_t lane_transfer_bytes(PIRP irp);
/* With an IRP that was just taken. False: it has ended without a request. DISPATCH. */
bool lane_begin_irp(struct lane *lane);
/* To the IRP's end (READY: completed, lane->irp is NULL) or to where it waits. DISPATCH, unless the
 * volume has hooks of a provider's. */
enum vck_poll lane_go_on(struct lane *lane);

/* ---- filter_control.c, filter_pnp.c ---- */

NTSTATUS filter_device_control(struct filter *filter, PIRP irp);
/* Takes the hold on `dispatches` and gives it back. PASSIVE. */
NTSTATUS filter_pnp(struct filter *filter, PIRP irp);

#endif
