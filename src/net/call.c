/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls in flight and their deadlines. A call is touched by its owner, by the port and, when its
 * time is up or it is cancelled, by others: each has a hold, and the last to let go signals the
 * owner. From then on the memory is the owner's alone.
 *
 *     new --first poll--> in flight --last hold gone--> signalled --poll--> finished
 */
#include "net_internal.h"

enum call_state {
    CALL_NEW,
    CALL_IN_FLIGHT,
    CALL_FINISHED,
};

static void forget_deadline(struct vck_network_call *call)
{
    struct vck_network *network = call->network;

    if (!call->has_deadline)
        return;
    vck_spinlock_acquire(&network->lock);
    vck_link_remove(&call->link);
    vck_spinlock_release(&network->lock);
}

static void put(struct vck_network_call *call)
{
    if (!vck_holds_put(&call->holds))
        return;
    forget_deadline(call);
    vck_waker_slot_signal(&call->slot); /* the call may be gone now */
}

void vck_network_call_done(struct vck_network_call *call)
{
    put(call);
}

void vck_network_call_cancel(struct vck_network_call *call)
{
    if (!call->ops->cancel || !vck_holds_try(&call->holds))
        return;
    __atomic_store_n(&call->cancelled, true, __ATOMIC_SEQ_CST);
    call->ops->cancel(call);
    put(call);
}

vck_status vck_network_call_status(const struct vck_network_call *call, vck_status status)
{
    return status == VCK_CANCELLED && call->timed_out ? VCK_TIMEOUT : status;
}

/* ---- deadlines ---- */

/* Under the lock. From the back: deadlines mostly come in order. */
static void insert(struct vck_network *network, struct vck_network_call *call)
{
    struct vck_link *before = network->deadlines.prev;

    while (before != &network->deadlines &&
           VCK_CONTAINER_OF(before, struct vck_network_call, link)->deadline_ns > call->deadline_ns)
        before = before->prev;
    vck_link_insert_between(&call->link, before, before->next);
}

/* Under the lock: sees to it that somebody looks when the deadline passes. A timer is left at an
 * earlier time than needed rather than set again by every call; a driver that is awake looks before
 * it sleeps. True when it sleeps for too long. */
static bool expect(struct vck_network *network, uint64_t deadline_ns)
{
    if (deadline_ns >= network->armed_ns)
        return false;
    if (network->is_driven)
        return true;
    network->armed_ns = deadline_ns;
    vck_timer_set(&network->timer, deadline_ns);
    return false;
}

static void arm(struct vck_network_call *call)
{
    struct vck_network *network = call->network;
    bool sleeps_too_long;

    /* Only our own hold is left: it is done. */
    if (__atomic_load_n(&call->holds, __ATOMIC_ACQUIRE) == 1)
        return;
    if (call->deadline_ns == 0)
        call->deadline_ns = call->ops->deadline ? call->ops->deadline(call) : VCK_FOREVER;
    if (call->deadline_ns == VCK_FOREVER)
        return;
    call->has_deadline = true;
    vck_spinlock_acquire(&network->lock);
    insert(network, call);
    sleeps_too_long = expect(network, call->deadline_ns);
    vck_spinlock_release(&network->lock);
    if (sleeps_too_long)
        vck_sockets_wake(network->sockets);
}

static uint64_t earliest(const struct vck_network *network)
{
    if (vck_list_is_empty(&network->deadlines))
        return VCK_FOREVER;
    return VCK_CONTAINER_OF(network->deadlines.next, struct vck_network_call, link)->deadline_ns;
}

/* The earliest call whose time is up, out of the list and held; sets the timer for the next when
 * there is none. */
static struct vck_network_call *take_late(struct vck_network *network, uint64_t now_ns)
{
    struct vck_network_call *late = NULL;

    vck_spinlock_acquire(&network->lock);
    while (!late && earliest(network) <= now_ns) {
        struct vck_network_call *first =
            VCK_CONTAINER_OF(network->deadlines.next, struct vck_network_call, link);
        vck_link_remove(&first->link);
        if (vck_holds_try(&first->holds))
            late = first;
    }
    if (!late && !network->is_driven) {
        network->armed_ns = VCK_FOREVER;
        (void)expect(network, earliest(network));
    }
    vck_spinlock_release(&network->lock);
    return late;
}

void vck_network_deadlines_passed(void *context)
{
    struct vck_network *network = context;
    uint64_t now_ns = vck_clock_ns();
    struct vck_network_call *late;

    while ((late = take_late(network, now_ns)) != NULL) {
        late->timed_out = true;
        if (late->ops->cancel)
            late->ops->cancel(late);
        put(late);
    }
}

/* ---- driven networks ---- */

static bool has_deadlines(struct vck_network *network)
{
    bool has;

    vck_spinlock_acquire(&network->lock);
    network->armed_ns = 0; /* awake */
    has = !vck_list_is_empty(&network->deadlines);
    vck_spinlock_release(&network->lock);
    return has;
}

void vck_network_wait(struct vck_network *network, uint64_t deadline_ns)
{
    vck_spinlock_acquire(&network->lock);
    network->armed_ns = VCK_MIN(deadline_ns, earliest(network));
    deadline_ns = network->armed_ns;
    vck_spinlock_release(&network->lock);
    vck_sockets_wait(network->sockets, deadline_ns);
    if (has_deadlines(network))
        vck_network_deadlines_passed(network);
}

void vck_network_poll(struct vck_network *network)
{
    vck_sockets_poll(network->sockets);
    if (has_deadlines(network))
        vck_network_deadlines_passed(network);
}

/* ---- the future ---- */

static void begin(struct vck_network_call *call)
{
    call->state = CALL_IN_FLIGHT;
    /* The port's hold, and ours until the deadline is set. */
    __atomic_store_n(&call->holds, 2, __ATOMIC_RELEASE);
    call->ops->begin(call);
    /* A cancel may have come before the port had the call. */
    if (__atomic_load_n(&call->cancelled, __ATOMIC_SEQ_CST))
        call->ops->cancel(call);
    arm(call);
    put(call);
}

static enum vck_poll call_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_network_call *call = VCK_CONTAINER_OF(self, struct vck_network_call, future);

    if (call->state == CALL_NEW)
        begin(call);
    VCK_ASSERT(call->state == CALL_IN_FLIGHT); /* not polled after READY */
    if (!vck_waker_slot_poll(&call->slot, waker))
        return VCK_PENDING;
    call->state = CALL_FINISHED;
    call->ops->finish(call, false);
    return VCK_READY;
}

/* Drops come from waiting code, which the function pointer hides from the analysis. */
static void call_drop(struct vck_future *self) VCK_NO_ANALYSIS
{
    struct vck_network_call *call = VCK_CONTAINER_OF(self, struct vck_network_call, future);

    if (call->state != CALL_IN_FLIGHT) {
        call->state = CALL_FINISHED;
        return;
    }
    vck_network_call_cancel(call);
    vck_waker_slot_wait(&call->slot);
    call->state = CALL_FINISHED;
    call->ops->finish(call, true);
}

void vck_network_call_init(struct vck_network_call *call, const struct vck_network_call_ops *ops,
                           struct vck_network *network)
{
    *call = (struct vck_network_call){
        .future = {.poll = call_poll, .drop = call_drop},
        .ops = ops,
        .network = network,
        .state = CALL_NEW,
    };
    vck_link_init(&call->link);
    vck_waker_slot_init(&call->slot);
}
