/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: tasks that take IRPs out of the filter's queue, carry each out through the volume and
 * complete it.
 *
 *     idle --take--> begin --> request(s) --> finish --> idle ... until the binding ends
 */
#include "products/vcksys/filter_internal.h"

/* IRPs a lane may finish in one poll before the other tasks of its worker have their turn. */
#define IRPS_PER_POLL 8u

/* ---- in ---- */

NTSTATUS filter_enqueue(struct filter *filter, PIRP irp)
{
    vck_irp_queue_put(&filter->queue, irp);
    vck_wait_queue_wake_one(&filter->idle);
    return STATUS_PENDING;
}

void filter_irp_cancelled(struct vck_irp_queue *queue, PIRP irp)
{
    struct filter *filter = VCK_CONTAINER_OF(queue, struct filter, queue);

    (void)filter_complete(irp, STATUS_CANCELLED, 0);
    vck_rundown_release(&filter->bound);
}

/* What is in the lanes' memory is part of a lane, and nothing else is. */
struct vck_disk_lower_origin *filter_origin(void *context, const struct vck_disk_io *io)
{
    struct filter *filter = context;
    struct lane *lanes = __atomic_load_n(&filter->lanes, __ATOMIC_ACQUIRE);
    uintptr_t distance = (uintptr_t)io - (uintptr_t)lanes;

    if (!lanes || distance >= filter_room_options()->lanes * sizeof *lanes)
        return NULL;
    return &lanes[distance / sizeof *lanes].origin;
}

/* ---- one IRP ---- */

static NTSTATUS find_buffer(struct lane *lane, ULONG size_bytes, uint8_t **ret_buffer)
{
    PIRP irp = lane->irp;
    PMDL mdl = irp->MdlAddress;

    lane->origin.mdl = mdl;
    if (!mdl) {
        *ret_buffer = irp->AssociatedIrp.SystemBuffer;
        return *ret_buffer || size_bytes == 0 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    }
    if (MmGetMdlByteCount(mdl) < size_bytes)
        return STATUS_INVALID_PARAMETER;
    *ret_buffer = MmGetSystemAddressForMdlSafe(mdl, HighPagePriority | MdlMappingNoExecute);
    lane->origin.start = *ret_buffer;
    return *ret_buffer ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS begin_transfer(struct lane *lane, const IO_STACK_LOCATION *stack)
{
    struct vck_volume *volume = lane->filter->binding->volume;
    bool is_read = stack->MajorFunction == IRP_MJ_READ;
    ULONG size_bytes = is_read ? stack->Parameters.Read.Length : stack->Parameters.Write.Length;
    LONGLONG offset_bytes = is_read ? stack->Parameters.Read.ByteOffset.QuadPart
                                    : stack->Parameters.Write.ByteOffset.QuadPart;
    unsigned flags = !is_read && (stack->Flags & SL_WRITE_THROUGH) ? VCK_REQUEST_FUA : 0;
    uint8_t *buffer = NULL;
    NTSTATUS nt_status = find_buffer(lane, size_bytes, &buffer);

    if (NT_SUCCESS(nt_status))
        vck_request_init(&lane->request, volume, is_read ? VCK_REQUEST_READ : VCK_REQUEST_WRITE,
                         flags, (uint64_t)offset_bytes, buffer, size_bytes);
    return nt_status;
}

/* The next range that is not empty after clipping. False: none is left. */
static bool begin_next_trim(struct lane *lane)
{
    const struct binding *binding = lane->filter->binding;
    uint32_t count = lane->trim.whole ? 1 : lane->trim.count;

    while (lane->trim_next < count) {
        uint64_t offset_bytes;
        uint64_t size_bytes;

        view_trim_range(&binding->view, &lane->trim, lane->trim_next++, &offset_bytes, &size_bytes);
        if (size_bytes == 0)
            continue;
        vck_request_init(&lane->request, binding->volume, VCK_REQUEST_DISCARD, 0, offset_bytes,
                         NULL, size_bytes);
        return true;
    }
    return false;
}

static NTSTATUS begin_trim(struct lane *lane, const IO_STACK_LOCATION *stack, bool *ret_has_request)
{
    vck_status status =
        view_trim_parse(lane->irp->AssociatedIrp.SystemBuffer,
                        stack->Parameters.DeviceIoControl.InputBufferLength, &lane->trim);

    if (status)
        return (NTSTATUS)vck_status_to_nt(status);
    lane->trim_next = 0;
    if (!vck_volume_can_discard(lane->filter->binding->volume))
        return STATUS_NOT_SUPPORTED;
    *ret_has_request = begin_next_trim(lane);
    return STATUS_SUCCESS;
}

/* The first request of the lane's IRP. Without one the IRP's result is what is returned. */
static NTSTATUS begin(struct lane *lane, bool *ret_has_request)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(lane->irp);
    NTSTATUS nt_status;

    lane->origin = (struct vck_disk_lower_origin){.irp = lane->irp};
    *ret_has_request = false;
    switch (stack->MajorFunction) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        nt_status = begin_transfer(lane, stack);
        break;
    case IRP_MJ_FLUSH_BUFFERS:
        vck_request_init(&lane->request, lane->filter->binding->volume, VCK_REQUEST_FLUSH, 0, 0,
                         NULL, 0);
        nt_status = STATUS_SUCCESS;
        break;
    default:
        return begin_trim(lane, stack, ret_has_request);
    }
    *ret_has_request = NT_SUCCESS(nt_status);
    return nt_status;
}

static void finish(struct lane *lane, NTSTATUS nt_status, ULONG_PTR information)
{
    struct filter *filter = lane->filter;
    PIRP irp = lane->irp;

    lane->irp = NULL;
    irp->IoStatus.Status = nt_status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_DISK_INCREMENT);
    vck_rundown_release(&filter->bound);
}

/* What the device below said, where the failure is one of the device. */
static NTSTATUS result_of(const struct lane *lane)
{
    NTSTATUS below = __atomic_load_n(&lane->origin.nt_status, __ATOMIC_RELAXED);

    if (lane->request.status == VCK_OK)
        return STATUS_SUCCESS;
    if (below && lane->request.status != VCK_DAMAGED)
        return below;
    return (NTSTATUS)vck_status_to_nt(lane->request.status);
}

/* The request is ready: the next one of the IRP, or its end. True: the IRP has ended. */
static bool advance(struct lane *lane)
{
    NTSTATUS nt_status = result_of(lane);
    enum vck_request_op op = lane->request.op;

    if (NT_SUCCESS(nt_status) && op == VCK_REQUEST_DISCARD && begin_next_trim(lane))
        return false;
    finish(lane, nt_status,
           NT_SUCCESS(nt_status) && op != VCK_REQUEST_DISCARD ? lane->request.size_bytes : 0);
    return true;
}

/* ---- the task ---- */

/* As the waiter leaves the queue, a wake may have been meant for another lane. */
static void stop_waiting(struct lane *lane)
{
    struct filter *filter = lane->filter;

    vck_wait_queue_cancel(&filter->idle, &lane->waiter);
    if (!vck_irp_queue_is_empty(&filter->queue))
        vck_wait_queue_wake_one(&filter->idle);
}

static bool take_irp(struct lane *lane, const struct vck_waker *waker)
{
    struct filter *filter = lane->filter;

    lane->irp = vck_irp_queue_take(&filter->queue);
    if (lane->irp)
        return true;
    vck_wait_queue_register(&filter->idle, &lane->waiter, waker);
    lane->irp = vck_irp_queue_take(&filter->queue);
    if (!lane->irp)
        return false;
    stop_waiting(lane);
    return true;
}

/* With an IRP that was just taken. False: it has ended without a request. */
static bool begin_irp(struct lane *lane)
{
    bool has_request;
    NTSTATUS nt_status = begin(lane, &has_request);

    if (!has_request)
        finish(lane, nt_status, 0);
    return has_request;
}

static enum vck_poll rest(struct lane *lane)
{
    if (!__atomic_load_n(&lane->filter->binding->is_ending, __ATOMIC_ACQUIRE))
        return VCK_PENDING;
    vck_wait_queue_cancel(&lane->filter->idle, &lane->waiter);
    return VCK_READY;
}

static enum vck_poll lane_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct lane *lane = VCK_CONTAINER_OF(self, struct lane, future);

    for (uint32_t i = 0; i < IRPS_PER_POLL; i++) {
        if (!lane->irp) {
            if (!take_irp(lane, waker))
                return rest(lane);
            if (!begin_irp(lane))
                continue;
        }
        do {
            if (vck_future_poll(&lane->request.future, waker) == VCK_PENDING)
                return VCK_PENDING;
        } while (!advance(lane));
    }
    waker->ops->wake(waker->data);
    return VCK_PENDING;
}

/* The executor outlives every binding. */
static void lane_drop(struct vck_future *self)
{
    (void)self;
    VCK_ASSERT(!"a lane is not cancelled");
}

void filter_lane_init(struct lane *lane, struct filter *filter)
{
    lane->future = (struct vck_future){.poll = lane_poll, .drop = lane_drop};
    lane->filter = filter;
    vck_waiter_init(&lane->waiter);
    vck_task_init(&lane->task, &lane->future);
}

void filter_lanes_end(struct filter *filter, struct binding *binding)
{
    __atomic_store_n(&binding->is_ending, 1, __ATOMIC_RELEASE);
    vck_wait_queue_wake_all(&filter->idle);
}
