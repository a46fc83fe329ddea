/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WAITED_FOR stands exactly while the list is not empty. It begins and ends under the lock, so
 * under the lock it stays; the other two states change without.
 */
#include "vck/notify.h"
#include "vck/timeout.h"

enum {
    QUIET,      /* nobody waits, nothing is kept */
    NOTIFIED,   /* a notify_one is kept for the next to wait */
    WAITED_FOR, /* the list has waiters */
};

#define FOR_ALL  VCK_WAIT_REFUSED /* notify_all's answer: nothing to pass on when it is dropped */
#define FOR_THIS VCK_WAIT_GRANTED /* notify_one's */

void vck_notify_init(struct vck_notify *notify)
{
    notify->state = QUIET;
    vck_spinlock_init(&notify->lock);
    vck_link_init(&notify->waiters);
}

static uint32_t state_of(const struct vck_notify *notify)
{
    return __atomic_load_n(&notify->state, __ATOMIC_ACQUIRE);
}

static bool change(struct vck_notify *notify, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&notify->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* Under the lock, after a waiter left the list. */
static void settle(struct vck_notify *notify)
{
    if (state_of(notify) == WAITED_FOR && vck_list_is_empty(&notify->waiters))
        __atomic_store_n(&notify->state, (uint32_t)QUIET, __ATOMIC_RELEASE);
}

/* False when nobody waits any more. */
static bool notify_oldest(struct vck_notify *notify)
{
    struct vck_waker waker = vck_waker_none();
    struct vck_wait_node *node;

    vck_spinlock_acquire(&notify->lock);
    node = vck_wait_list_oldest(&notify->waiters);
    if (node) {
        waker = vck_wait_node_finish(node, FOR_THIS);
        settle(notify);
    }
    vck_spinlock_release(&notify->lock);
    vck_waker_wake_and_drop(waker);
    return node != NULL;
}

void vck_notify_one(struct vck_notify *notify)
{
    for (;;) {
        uint32_t state = state_of(notify);
        if (state == WAITED_FOR) {
            if (notify_oldest(notify))
                return;
        } else if (change(notify, state, NOTIFIED)) {
            return;
        }
    }
}

void vck_notify_all(struct vck_notify *notify)
{
    if (state_of(notify) != WAITED_FOR)
        return;
    vck_spinlock_acquire(&notify->lock);
    if (state_of(notify) == WAITED_FOR)
        __atomic_store_n(&notify->state, (uint32_t)QUIET, __ATOMIC_RELEASE);
    vck_wait_list_answer_all(&notify->lock, &notify->waiters, FOR_ALL);
}

/* ---- waiting ---- */

/* Under the lock: true when a notification was kept for the caller. */
static bool consume_or_announce(struct vck_notify *notify)
{
    for (;;) {
        uint32_t state = state_of(notify);
        if (state == NOTIFIED && change(notify, NOTIFIED, QUIET))
            return true;
        if (state == WAITED_FOR || (state == QUIET && change(notify, QUIET, WAITED_FOR)))
            return false;
    }
}

static bool is_answered(const struct vck_notified *notified)
{
    uint32_t state = vck_wait_node_state(&notified->node);

    return state == FOR_THIS || state == FOR_ALL;
}

static enum vck_poll wait_in_line(struct vck_notified *notified, const struct vck_waker *waker)
{
    struct vck_notify *notify = notified->notify;
    struct vck_waker fresh = waker->ops->clone(waker->data);
    bool ready;

    vck_spinlock_acquire(&notify->lock);
    ready = is_answered(notified);
    if (notified->node.state == VCK_WAIT_IDLE)
        ready = consume_or_announce(notify);
    if (!ready)
        fresh = vck_wait_list_add(&notify->waiters, &notified->node, fresh);
    vck_spinlock_release(&notify->lock);
    vck_waker_drop(fresh);
    if (ready)
        notified->node.state = VCK_WAIT_DONE;
    return ready ? VCK_READY : VCK_PENDING;
}

static enum vck_poll notified_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_notified *notified = VCK_CONTAINER_OF(self, struct vck_notified, future);
    struct vck_notify *notify = notified->notify;
    bool ready = is_answered(notified);

    VCK_ASSERT(vck_wait_node_state(&notified->node) != VCK_WAIT_DONE);
    if (vck_wait_node_state(&notified->node) == VCK_WAIT_IDLE)
        ready = state_of(notify) == NOTIFIED && change(notify, NOTIFIED, QUIET);
    if (!ready)
        return wait_in_line(notified, waker);
    notified->node.state = VCK_WAIT_DONE;
    return VCK_READY;
}

static void notified_drop(struct vck_future *self)
{
    struct vck_notified *notified = VCK_CONTAINER_OF(self, struct vck_notified, future);
    struct vck_notify *notify = notified->notify;
    struct vck_waker waker = vck_waker_none();
    uint32_t state = vck_wait_node_state(&notified->node);

    if (state == VCK_WAIT_IDLE || state == VCK_WAIT_DONE)
        return;
    vck_spinlock_acquire(&notify->lock);
    state = notified->node.state;
    if (state == VCK_WAIT_QUEUED) {
        waker = vck_wait_node_finish(&notified->node, VCK_WAIT_DONE);
        settle(notify);
    }
    vck_spinlock_release(&notify->lock);
    notified->node.state = VCK_WAIT_DONE;
    vck_waker_drop(waker);
    if (state == FOR_THIS)
        vck_notify_one(notify);
}

void vck_notified_init(struct vck_notified *notified, struct vck_notify *notify)
{
    *notified = (struct vck_notified){
        .future = {.poll = notified_poll, .drop = notified_drop},
        .notify = notify,
    };
    vck_wait_node_init(&notified->node);
}

vck_status vck_notify_wait_until(struct vck_notify *notify, uint64_t deadline_ns)
{
    struct vck_notified notified;

    vck_notified_init(&notified, notify);
    return vck_block_on_until(&notified.future, deadline_ns);
}
