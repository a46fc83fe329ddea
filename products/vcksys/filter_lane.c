/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: each carries one IRP through the volume at a time and completes it.
 *
 *     idle --taken by--> its task --------> begin --> request(s) --> finish --> idle
 *       |                                     ^            |
 *       +--> whoever sends a read: begins it at once       | pending: hands the lane to its task
 *
 * A read goes down on the thread that sends it, so that the disk works while a worker wakes, if
 * that has stack left; what needs the processor first (a write is encrypted) is for the workers.
 */
#include "products/vcksys/filter_internal.h"

/* IRPs a lane may finish in one poll before the other tasks of its worker have their turn. */
#define IRPS_PER_POLL 8u

/* What takes as long to decrypt as a worker to wake. */
#define WORTH_A_WAKE_BYTES 16384u

/* What a read takes of its sender's stack on the way down and back, and the drivers below it;
 * paging comes when there is little left. */
#define STACK_BYTES 8192u

/* lane->owner: who may poll the lane's request. */
enum {
    OWNER_TASK,
    OWNER_SENDER,
    OWNER_SENDER_WOKEN, /* and the task was woken meanwhile */
};

/* ---- idle lanes: owner, idle_link and waker are under the filter's idle_lock ---- */

/* The lane that went idle last, for the caller to use at once; NULL: all are busy. */
static struct lane *take_idle(struct filter *filter)
{
    struct lane *lane = NULL;
    struct vck_link *link;

    vck_spinlock_acquire(&filter->idle_lock);
    link = vck_list_pop_front(&filter->idle);
    if (link) {
        lane = VCK_CONTAINER_OF(link, struct lane, idle_link);
        lane->owner = OWNER_SENDER;
    }
    vck_spinlock_release(&filter->idle_lock);
    return lane;
}

/* Has the task of an idle lane look at the queue. False: all are busy, and look by themselves. */
static bool wake_idle(struct filter *filter)
{
    struct vck_waker waker = vck_waker_noop;
    struct vck_link *link;

    vck_spinlock_acquire(&filter->idle_lock);
    link = vck_list_pop_front(&filter->idle);
    if (link) {
        struct lane *lane = VCK_CONTAINER_OF(link, struct lane, idle_link);

        waker = lane->waker.ops->clone(lane->waker.data);
    }
    vck_spinlock_release(&filter->idle_lock);
    waker.ops->wake(waker.data);
    waker.ops->drop(waker.data);
    return link != NULL;
}

/* The task's, or a sender's that leaves it. */
static void go_idle(struct lane *lane)
{
    struct filter *filter = lane->filter;

    vck_spinlock_acquire(&filter->idle_lock);
    lane->owner = OWNER_TASK;
    vck_list_push_front(&filter->idle, &lane->idle_link);
    vck_spinlock_release(&filter->idle_lock);
}

/* For the task. False: the lane is a sender's, who learns that there was a wake. */
static bool claim(struct lane *lane)
{
    struct filter *filter = lane->filter;
    bool is_tasks;

    vck_spinlock_acquire(&filter->idle_lock);
    is_tasks = lane->owner == OWNER_TASK;
    if (is_tasks)
        vck_link_remove(&lane->idle_link);
    else
        lane->owner = OWNER_SENDER_WOKEN;
    vck_spinlock_release(&filter->idle_lock);
    return is_tasks;
}

/* For the task, of a lane it has made idle. False: somebody has taken it since. */
static bool claim_idle(struct lane *lane)
{
    struct filter *filter = lane->filter;
    bool was_idle;

    vck_spinlock_acquire(&filter->idle_lock);
    was_idle = vck_link_is_linked(&lane->idle_link);
    vck_link_remove(&lane->idle_link);
    vck_spinlock_release(&filter->idle_lock);
    return was_idle;
}

/* From a sender to the task. The request is pending, and what it waits for may have come. */
static void hand_over(struct lane *lane)
{
    struct filter *filter = lane->filter;
    bool was_woken;

    vck_spinlock_acquire(&filter->idle_lock);
    was_woken = lane->owner == OWNER_SENDER_WOKEN;
    lane->owner = OWNER_TASK;
    vck_spinlock_release(&filter->idle_lock);
    if (was_woken)
        lane->waker.ops->wake(lane->waker.data);
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
    if (*ret_buffer)
        return STATUS_SUCCESS;
    lane->is_pieced = (irp->Flags & IRP_PAGING_IO) != 0;
    return lane->is_pieced ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static void init_transfer(struct lane *lane, uint32_t from, void *buffer, uint32_t size_bytes)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(lane->irp);
    bool is_read = stack->MajorFunction == IRP_MJ_READ;
    LONGLONG offset_bytes = is_read ? stack->Parameters.Read.ByteOffset.QuadPart
                                    : stack->Parameters.Write.ByteOffset.QuadPart;
    unsigned flags = !is_read && (stack->Flags & SL_WRITE_THROUGH) ? VCK_REQUEST_FUA : 0;

    vck_request_init(&lane->request, lane->filter->binding->volume,
                     is_read ? VCK_REQUEST_READ : VCK_REQUEST_WRITE, flags,
                     (uint64_t)offset_bytes + from, buffer, size_bytes);
}

static uint32_t transfer_bytes(PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    return stack->MajorFunction == IRP_MJ_READ ? stack->Parameters.Read.Length
                                               : stack->Parameters.Write.Length;
}

/* With the reserve. */
static void begin_piece(struct lane *lane)
{
    struct reserve *reserve = &lane->filter->binding->reserve;

    lane->piece_bytes = VCK_MIN(transfer_bytes(lane->irp) - lane->done_bytes, RESERVE_BYTES);
    lane->origin.start =
        reserve_map(reserve, lane->irp->MdlAddress, lane->done_bytes, lane->piece_bytes);
    lane->origin.mdl = reserve->mdl;
    init_transfer(lane, lane->done_bytes, lane->origin.start, lane->piece_bytes);
}

/* The piece is ready. True: another is under way. */
static bool go_to_next_piece(struct lane *lane, bool is_good)
{
    struct reserve *reserve = &lane->filter->binding->reserve;

    reserve_unmap(reserve);
    lane->done_bytes += lane->piece_bytes;
    lane->piece_bytes = 0;
    if (is_good && lane->done_bytes < transfer_bytes(lane->irp)) {
        begin_piece(lane);
        return true;
    }
    reserve_give_back(reserve, &lane->holder);
    return false;
}

/* A piece is under way, or the whole needs none. False: the reserve is somebody else's. */
static bool is_mapped(struct lane *lane)
{
    if (!lane->is_pieced || lane->piece_bytes != 0)
        return true;
    if (!reserve_take(&lane->filter->binding->reserve, &lane->holder))
        return false;
    begin_piece(lane);
    return true;
}

static NTSTATUS begin_transfer(struct lane *lane)
{
    uint32_t size_bytes = transfer_bytes(lane->irp);
    uint8_t *buffer = NULL;
    NTSTATUS nt_status = find_buffer(lane, size_bytes, &buffer);

    if (NT_SUCCESS(nt_status) && !lane->is_pieced)
        init_transfer(lane, 0, buffer, size_bytes);
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
    lane->is_pieced = false;
    lane->piece_bytes = 0;
    lane->done_bytes = 0;
    *ret_has_request = false;
    switch (stack->MajorFunction) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        nt_status = begin_transfer(lane);
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

/* The hold on `bound` is given back by whoever has brought the lane to rest. */
static void finish(struct lane *lane, NTSTATUS nt_status, ULONG_PTR information)
{
    PIRP irp = lane->irp;

    lane->irp = NULL;
    irp->IoStatus.Status = nt_status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_DISK_INCREMENT);
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
    if (lane->is_pieced && go_to_next_piece(lane, NT_SUCCESS(nt_status)))
        return false;
    finish(lane, nt_status,
           NT_SUCCESS(nt_status) && op <= VCK_REQUEST_WRITE ? transfer_bytes(lane->irp) : 0);
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

/* To the IRP's end (READY) or to where it waits. */
static enum vck_poll go_on(struct lane *lane, const struct vck_waker *waker)
{
    do {
        if (!is_mapped(lane) || vck_future_poll(&lane->request.future, waker) == VCK_PENDING)
            return VCK_PENDING;
    } while (!advance(lane));
    return VCK_READY;
}

/* ---- in ---- */

/* Polls the request on this thread. What the disk has moved at once is decrypted by a worker, if it
 * is enough to be worth the wake. */
static enum vck_poll submit(struct lane *lane)
{
    struct vck_disk_lower_origin *origin = &lane->origin;
    struct vck_disk_io *held;
    enum vck_poll poll;

    if (transfer_bytes(lane->irp) >= WORTH_A_WAKE_BYTES)
        __atomic_store_n(&origin->submitter, vck_thread_id(), __ATOMIC_RELAXED);
    poll = go_on(lane, &lane->waker);
    if (poll == VCK_READY)
        return VCK_READY;
    __atomic_store_n(&origin->submitter, 0, __ATOMIC_SEQ_CST);
    held = __atomic_load_n(&origin->held, __ATOMIC_SEQ_CST);
    hand_over(lane);
    if (held)
        held->done(held);
    return VCK_PENDING;
}

/* Begins the IRP on this thread. It holds `bound` once more than the IRP does, as the lane must be
 * there until it has let go of it. */
static void send_now(struct lane *lane, PIRP irp)
{
    struct filter *filter = lane->filter;

    lane->irp = irp;
    if (begin_irp(lane) && submit(lane) == VCK_PENDING)
        return;
    go_idle(lane);
    if (!vck_irp_queue_is_empty(&filter->queue))
        (void)wake_idle(filter);
    vck_rundown_release(&filter->bound);
}

static bool begins_at_once(PIRP irp)
{
    return IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_READ &&
           vck_current_level() <= VCK_LEVEL_APC && IoGetRemainingStackSize() >= STACK_BYTES;
}

NTSTATUS filter_enqueue(struct filter *filter, PIRP irp)
{
    struct lane *lane = NULL;

    if (begins_at_once(irp) && vck_rundown_acquire(&filter->bound)) {
        lane = take_idle(filter);
        if (lane) {
            IoMarkIrpPending(irp);
            send_now(lane, irp);
        }
        vck_rundown_release(&filter->bound);
    }
    if (!lane) {
        vck_irp_queue_put(&filter->queue, irp);
        (void)wake_idle(filter);
    }
    return STATUS_PENDING;
}

void filter_irp_cancelled(struct vck_irp_queue *queue, PIRP irp)
{
    struct filter *filter = VCK_CONTAINER_OF(queue, struct filter, queue);

    (void)filter_complete(irp, STATUS_CANCELLED, 0);
    vck_rundown_release(&filter->bound);
}

/* ---- the task ---- */

/* With the lane claimed. False: it is idle, and may be a sender's already. */
static bool take_irp(struct lane *lane)
{
    struct filter *filter = lane->filter;

    for (;;) {
        lane->irp = vck_irp_queue_take(&filter->queue);
        if (lane->irp)
            return true;
        go_idle(lane);
        /* Whoever puts an IRP looks for an idle lane afterwards; this looks the other way round. */
        if (vck_irp_queue_is_empty(&filter->queue) || !claim_idle(lane))
            return false;
    }
}

static bool is_ending(const struct lane *lane)
{
    return __atomic_load_n(&lane->filter->binding->is_ending, __ATOMIC_SEQ_CST) != 0;
}

/* No IRP is left, so that no sender has the lane. */
static enum vck_poll end(struct lane *lane)
{
    (void)claim_idle(lane);
    lane->waker.ops->drop(lane->waker.data);
    return VCK_READY;
}

static enum vck_poll lane_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct lane *lane = VCK_CONTAINER_OF(self, struct lane, future);
    struct filter *filter = lane->filter;

    if (!claim(lane))
        return VCK_PENDING;
    if (!lane->waker.ops)
        lane->waker = waker->ops->clone(waker->data);
    for (uint32_t i = 0; i < IRPS_PER_POLL; i++) {
        if (!lane->irp) {
            if (is_ending(lane))
                return end(lane);
            if (!take_irp(lane))
                return is_ending(lane) ? end(lane) : VCK_PENDING;
            if (!begin_irp(lane)) {
                vck_rundown_release(&filter->bound);
                continue;
            }
        }
        if (go_on(lane, waker) == VCK_PENDING)
            return VCK_PENDING;
        vck_rundown_release(&filter->bound);
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
    vck_link_init(&lane->idle_link);
    reserve_holder_init(&lane->holder, &lane->waker);
    vck_task_init(&lane->task, &lane->future);
}

void filter_lanes_end(struct filter *filter, struct binding *binding)
{
    __atomic_store_n(&binding->is_ending, 1, __ATOMIC_SEQ_CST);
    while (wake_idle(filter))
        ;
}
