/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/async_event.h"
#include "vck/timeout.h"

void vck_async_event_init(struct vck_async_event *event)
{
    vck_spinlock_init(&event->lock);
    event->is_set = false;
    vck_link_init(&event->waiters);
}

void vck_async_event_set(struct vck_async_event *event)
{
    vck_spinlock_acquire(&event->lock);
    __atomic_store_n(&event->is_set, true, __ATOMIC_RELEASE);
    vck_wait_list_answer_all(&event->lock, &event->waiters, VCK_WAIT_GRANTED);
}

void vck_async_event_reset(struct vck_async_event *event)
{
    vck_spinlock_acquire(&event->lock);
    __atomic_store_n(&event->is_set, false, __ATOMIC_RELAXED);
    vck_spinlock_release(&event->lock);
}

bool vck_async_event_is_set(const struct vck_async_event *event)
{
    return __atomic_load_n(&event->is_set, __ATOMIC_ACQUIRE);
}

static enum vck_poll wait_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_async_event_wait *wait = VCK_CONTAINER_OF(self, struct vck_async_event_wait, future);
    struct vck_async_event *event = wait->event;
    struct vck_waker fresh = waker->ops->clone(waker->data);
    bool ready;

    VCK_ASSERT(vck_wait_node_state(&wait->node) != VCK_WAIT_DONE);
    /* One that waits is READY only when it was answered: until then set may look at the event. */
    vck_spinlock_acquire(&event->lock);
    ready = wait->node.state == VCK_WAIT_GRANTED ||
            (wait->node.state == VCK_WAIT_IDLE && event->is_set);
    if (ready)
        wait->node.state = VCK_WAIT_DONE;
    else
        fresh = vck_wait_list_add(&event->waiters, &wait->node, fresh);
    vck_spinlock_release(&event->lock);
    vck_waker_drop(fresh);
    return ready ? VCK_READY : VCK_PENDING;
}

static void wait_drop(struct vck_future *self)
{
    struct vck_async_event_wait *wait = VCK_CONTAINER_OF(self, struct vck_async_event_wait, future);
    struct vck_waker waker = vck_waker_none();
    uint32_t state = vck_wait_node_state(&wait->node);

    if (state == VCK_WAIT_IDLE || state == VCK_WAIT_DONE)
        return;
    vck_spinlock_acquire(&wait->event->lock);
    if (wait->node.state == VCK_WAIT_QUEUED)
        waker = vck_wait_node_finish(&wait->node, VCK_WAIT_DONE);
    wait->node.state = VCK_WAIT_DONE;
    vck_spinlock_release(&wait->event->lock);
    vck_waker_drop(waker);
}

void vck_async_event_wait_init(struct vck_async_event_wait *wait, struct vck_async_event *event)
{
    *wait = (struct vck_async_event_wait){
        .future = {.poll = wait_poll, .drop = wait_drop},
        .event = event,
    };
    vck_wait_node_init(&wait->node);
}

vck_status vck_async_event_wait_until(struct vck_async_event *event, uint64_t deadline_ns)
{
    struct vck_async_event_wait wait;

    vck_async_event_wait_init(&wait, event);
    return vck_block_on_until(&wait.future, deadline_ns);
}
