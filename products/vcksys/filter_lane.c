/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: each carries one IRP through the volume at a time and completes it.
 *
 *     idle --taken by--> its task --------> begin --> request(s) --> finish --> idle
 *       |                                     ^        |      ^
 *       +--> whoever sends a read: begins it -+     pending --+-- the task, or what completed below
 *
 * A read goes down on the thread that sends it, so that the disk works while a worker wakes, if
 * that has stack left; what needs the processor first (a write is encrypted) is for the workers.
 * A request that ends briefly once its last operation has come back ends there, at whatever level
 * that is; what needs the processor longer then (a large read is decrypted) does so only at
 * PASSIVE, and beyond some length is for the workers, too.
 */
#include "products/vcksys/filter_internal.h"

/* IRPs a lane may finish in one poll before the other tasks of its worker have their turn. */
#define IRPS_PER_POLL 8u

/* What going on takes of somebody's stack, down to the disk or up to the sender, with the drivers
 * there; paging comes when there is little left. */
#define STACK_BYTES 8192u

/* lane->state */
enum {
    LANE_RESTS,        /* idle, or pending: nobody polls its request */
    LANE_POLLED,       /* by one of: its task, a sender, a completion */
    LANE_POLLED_WOKEN, /* and there is more to poll for */
};

/* ---- idle lanes: state, idle_link and task_waker are under the filter's idle_lock ---- */

/* The lane that went idle last, for the caller to poll; NULL: all are busy. */
static struct lane *take_idle(struct filter *filter)
{
    struct lane *lane = NULL;
    struct vck_link *link;

    vck_spinlock_acquire(&filter->idle_lock);
    link = vck_list_pop_front(&filter->idle);
    if (link) {
        lane = VCK_CONTAINER_OF(link, struct lane, idle_link);
        lane->state = LANE_POLLED;
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

        waker = lane->task_waker.ops->clone(lane->task_waker.data);
    }
    vck_spinlock_release(&filter->idle_lock);
    waker.ops->wake(waker.data);
    waker.ops->drop(waker.data);
    return link != NULL;
}

/* By who polls it. */
static void go_idle(struct lane *lane)
{
    struct filter *filter = lane->filter;

    vck_spinlock_acquire(&filter->idle_lock);
    lane->state = LANE_RESTS;
    vck_list_push_front(&filter->idle, &lane->idle_link);
    vck_spinlock_release(&filter->idle_lock);
}

/* For the task, of a lane it has made idle. False: somebody has taken it since. */
static bool claim_idle(struct lane *lane)
{
    struct filter *filter = lane->filter;
    bool was_idle;

    vck_spinlock_acquire(&filter->idle_lock);
    was_idle = vck_link_is_linked(&lane->idle_link);
    if (was_idle)
        lane->state = LANE_POLLED;
    vck_link_remove(&lane->idle_link);
    vck_spinlock_release(&filter->idle_lock);
    return was_idle;
}

/* ---- who polls ---- */

/* To poll a lane that rests. False: somebody else does, and began to after what the caller knows of
 * or will be told of it by the waker. */
static bool claim(struct lane *lane)
{
    struct filter *filter = lane->filter;
    bool rested;

    vck_spinlock_acquire(&filter->idle_lock);
    rested = lane->state == LANE_RESTS;
    if (rested) {
        lane->state = LANE_POLLED;
        vck_link_remove(&lane->idle_link);
    }
    vck_spinlock_release(&filter->idle_lock);
    return rested;
}

/* After a poll that said pending. False: it is to be polled again. */
static bool let_go(struct lane *lane)
{
    struct filter *filter = lane->filter;
    bool rests;

    vck_spinlock_acquire(&filter->idle_lock);
    rests = lane->state == LANE_POLLED;
    lane->state = rests ? LANE_RESTS : LANE_POLLED;
    vck_spinlock_release(&filter->idle_lock);
    return rests;
}

/* The same, but what is to be polled again is so by the task. */
static void hand_over(struct lane *lane)
{
    struct filter *filter = lane->filter;
    bool was_woken;

    vck_spinlock_acquire(&filter->idle_lock);
    was_woken = lane->state == LANE_POLLED_WOKEN;
    lane->state = LANE_RESTS;
    vck_spinlock_release(&filter->idle_lock);
    if (was_woken)
        lane->task_waker.ops->wake(lane->task_waker.data);
}

/* The waker of a lane's requests: a reference to the task like the task's own. */
static struct vck_waker lane_clone(void *data)
{
    struct lane *lane = data;

    (void)lane->task_waker.ops->clone(lane->task_waker.data);
    return lane->waker;
}

static void lane_wake(void *data)
{
    struct lane *lane = data;
    struct filter *filter = lane->filter;
    bool rests;

    vck_spinlock_acquire(&filter->idle_lock);
    rests = lane->state == LANE_RESTS;
    if (!rests)
        lane->state = LANE_POLLED_WOKEN;
    vck_spinlock_release(&filter->idle_lock);
    if (rests)
        lane->task_waker.ops->wake(lane->task_waker.data);
}

static void lane_drop_waker(void *data)
{
    struct lane *lane = data;

    lane->task_waker.ops->drop(lane->task_waker.data);
}

static const struct vck_waker_ops lane_waker_ops = {
    .clone = lane_clone,
    .wake = lane_wake,
    .drop = lane_drop_waker,
};

/* ---- below ---- */

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

/* A sender or a completion has brought the lane's IRP to its end. Gives back the IRP's hold on
 * `bound`: without another one the lane may be gone. */
static void come_to_rest(struct lane *lane)
{
    struct filter *filter = lane->filter;

    go_idle(lane);
    if (!vck_irp_queue_is_empty(&filter->queue))
        (void)wake_idle(filter);
    vck_rundown_release(&filter->bound);
}

/* At DISPATCH others wait for the whole processor. */
static bool ends_here(const struct lane *lane)
{
    const struct vck_request *request = &lane->request;

    if (lane->is_pieced || IoGetRemainingStackSize() < STACK_BYTES)
        return false;
    return vck_request_ends_briefly(request, VCK_REQUEST_BRIEF_BYTES) ||
           (vck_request_ends_briefly(request, VCK_REQUEST_SHORT_BYTES) &&
            vck_current_level() == VCK_LEVEL_PASSIVE);
}

void filter_arrived(void *context, struct vck_disk_lower_origin *origin, struct vck_disk_io *io)
{
    struct lane *lane = VCK_CONTAINER_OF(origin, struct lane, origin);
    enum vck_poll poll;

    (void)context;
    if (__atomic_load_n(&lane->submitter, __ATOMIC_RELAXED) == vck_thread_id()) {
        __atomic_store_n(&lane->held, io, __ATOMIC_RELAXED);
        return;
    }
    if (!ends_here(lane) || !claim(lane)) {
        io->done(io);
        return;
    }
    io->done(io);
    do {
        poll = lane_go_on(lane);
    } while (poll == VCK_PENDING && !let_go(lane));
    if (poll == VCK_READY)
        come_to_rest(lane);
}

/* ---- in ---- */

/* Polls the request on this thread. */
static enum vck_poll submit_small(struct lane *lane)
{
    enum vck_poll poll;

    do {
        poll = lane_go_on(lane);
    } while (poll == VCK_PENDING && !let_go(lane));
    return poll;
}

/* What the disk has moved at once, or by the time this thread is back, is decrypted by a worker. */
static enum vck_poll submit_large(struct lane *lane)
{
    struct vck_disk_io *held;
    enum vck_poll poll;

    __atomic_store_n(&lane->held, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&lane->submitter, vck_thread_id(), __ATOMIC_RELAXED);
    poll = lane_go_on(lane);
    __atomic_store_n(&lane->submitter, 0, __ATOMIC_SEQ_CST);
    if (poll == VCK_READY)
        return VCK_READY;
    held = __atomic_load_n(&lane->held, __ATOMIC_SEQ_CST);
    hand_over(lane);
    if (held)
        held->done(held);
    return VCK_PENDING;
}

/* Begins the IRP on this thread. It holds `bound` once more than the IRP does, as the lane must be
 * there until it has let go of it. */
static void send_now(struct lane *lane, PIRP irp)
{
    bool is_large = lane_transfer_bytes(irp) > VCK_REQUEST_BRIEF_BYTES;

    lane->irp = irp;
    if (lane_begin_irp(lane) && (is_large ? submit_large(lane) : submit_small(lane)) == VCK_PENDING)
        return;
    come_to_rest(lane);
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
    lane->task_waker.ops->drop(lane->task_waker.data);
    return VCK_READY;
}

/* With the lane claimed. PENDING: it is not claimed any more. */
static enum vck_poll carry_on(struct lane *lane)
{
    for (uint32_t i = 0; i < IRPS_PER_POLL;) {
        if (!lane->irp) {
            if (is_ending(lane))
                return end(lane);
            if (!take_irp(lane))
                return is_ending(lane) ? end(lane) : VCK_PENDING;
            if (!lane_begin_irp(lane)) {
                vck_rundown_release(&lane->filter->bound);
                i++;
                continue;
            }
        }
        if (lane_go_on(lane) == VCK_READY) {
            vck_rundown_release(&lane->filter->bound);
            i++;
        } else if (let_go(lane)) {
            return VCK_PENDING;
        }
    }
    lane_wake(lane);
    hand_over(lane);
    return VCK_PENDING;
}

static enum vck_poll lane_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct lane *lane = VCK_CONTAINER_OF(self, struct lane, future);

    if (!claim(lane))
        return VCK_PENDING;
    if (!lane->task_waker.ops)
        lane->task_waker = waker->ops->clone(waker->data);
    return carry_on(lane);
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
    lane->waker = (struct vck_waker){.ops = &lane_waker_ops, .data = lane};
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
