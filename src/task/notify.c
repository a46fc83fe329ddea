/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/notify.h"
#include "vck/timeout.h"

#define FOR_ALL  VCK_WAIT_REFUSED /* notify_all's answer: nothing to pass on when it is dropped */
#define FOR_THIS VCK_WAIT_GRANTED /* notify_one's */

void vck_notify_init(struct vck_notify *notify)
{
    notify->is_kept = false;
    vck_spinlock_init(&notify->lock);
    vck_link_init(&notify->waiters);
}

void vck_notify_one(struct vck_notify *notify)
{
    struct vck_waker waker = vck_waker_none();
    struct vck_wait_node *node;

    vck_spinlock_acquire(&notify->lock);
    node = vck_wait_list_oldest(&notify->waiters);
    if (node)
        waker = vck_wait_node_finish(node, FOR_THIS);
    else
        notify->is_kept = true;
    vck_spinlock_release(&notify->lock);
    vck_waker_wake_and_drop(waker);
}

/* Without a look that leaves out the lock: the lock orders this after the change it tells of. */
void vck_notify_all(struct vck_notify *notify)
{
    vck_spinlock_acquire(&notify->lock);
    vck_wait_list_answer_all(&notify->lock, &notify->waiters, FOR_ALL);
}

/* ---- waiting ---- */

/* Under the lock. */
static bool is_answered(struct vck_notified *notified)
{
    struct vck_notify *notify = notified->notify;
    bool is_kept = notify->is_kept;

    if (notified->node.state != VCK_WAIT_IDLE)
        return notified->node.state != VCK_WAIT_QUEUED;
    notify->is_kept = false;
    return is_kept;
}

static enum vck_poll wait_in_line(struct vck_notified *notified, const struct vck_waker *waker)
{
    struct vck_notify *notify = notified->notify;
    struct vck_waker unused = waker->ops->clone(waker->data);
    bool ready;

    vck_spinlock_acquire(&notify->lock);
    ready = is_answered(notified);
    if (!ready)
        unused = vck_wait_list_add(&notify->waiters, &notified->node, unused);
    vck_spinlock_release(&notify->lock);
    vck_waker_drop(unused);
    return ready ? VCK_READY : VCK_PENDING;
}

static enum vck_poll notified_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_notified *notified = VCK_CONTAINER_OF(self, struct vck_notified, future);
    uint32_t state = vck_wait_node_state(&notified->node);

    VCK_ASSERT(state != VCK_WAIT_DONE);
    if (state != FOR_THIS && state != FOR_ALL && wait_in_line(notified, waker) == VCK_PENDING)
        return VCK_PENDING;
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
    if (state == VCK_WAIT_QUEUED)
        waker = vck_wait_node_finish(&notified->node, VCK_WAIT_DONE);
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
