/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/wait_queue.h"

void vck_wait_queue_init(struct vck_wait_queue *queue)
{
    vck_spinlock_init(&queue->lock);
    vck_link_init(&queue->waiters);
    queue->count = 0;
}

void vck_waiter_init(struct vck_waiter *waiter)
{
    vck_link_init(&waiter->link);
    waiter->waker = vck_waker_noop;
}

void vck_wait_queue_register(struct vck_wait_queue *queue, struct vck_waiter *waiter,
                             const struct vck_waker *waker)
{
    struct vck_waker fresh = waker->ops->clone(waker->data);
    struct vck_waker old;

    vck_spinlock_acquire(&queue->lock);
    old = waiter->waker;
    waiter->waker = fresh;
    if (!vck_link_is_linked(&waiter->link)) {
        vck_list_push_back(&queue->waiters, &waiter->link);
        __atomic_store_n(&queue->count, queue->count + 1, __ATOMIC_RELAXED);
    }
    vck_spinlock_release(&queue->lock);
    old.ops->drop(old.data);
    /* Pairs with the fence in wake: either the waker sees us or we see the condition. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Under the lock: takes the waiter out and hands over its waker. */
static struct vck_waker take_out(struct vck_wait_queue *queue, struct vck_waiter *waiter)
{
    struct vck_waker waker = waiter->waker;

    waiter->waker = vck_waker_noop;
    if (vck_link_is_linked(&waiter->link)) {
        vck_link_remove(&waiter->link);
        __atomic_store_n(&queue->count, queue->count - 1, __ATOMIC_RELAXED);
    }
    return waker;
}

void vck_wait_queue_cancel(struct vck_wait_queue *queue, struct vck_waiter *waiter)
{
    struct vck_waker waker;

    vck_spinlock_acquire(&queue->lock);
    waker = take_out(queue, waiter);
    vck_spinlock_release(&queue->lock);
    waker.ops->drop(waker.data);
}

static bool wake_oldest(struct vck_wait_queue *queue)
{
    struct vck_waker waker = vck_waker_noop;
    bool found;

    vck_spinlock_acquire(&queue->lock);
    found = !vck_list_is_empty(&queue->waiters);
    if (found)
        waker = take_out(queue, VCK_CONTAINER_OF(queue->waiters.next, struct vck_waiter, link));
    vck_spinlock_release(&queue->lock);
    waker.ops->wake(waker.data);
    waker.ops->drop(waker.data);
    return found;
}

static bool somebody_waits(const struct vck_wait_queue *queue)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&queue->count, __ATOMIC_RELAXED) != 0;
}

void vck_wait_queue_wake_all(struct vck_wait_queue *queue)
{
    uint32_t count;

    if (!somebody_waits(queue))
        return;
    /* Bounded, so that waiters who register again at once cannot keep the waker here. */
    vck_spinlock_acquire(&queue->lock);
    count = queue->count;
    vck_spinlock_release(&queue->lock);
    while (count-- > 0 && wake_oldest(queue))
        ;
}

void vck_wait_queue_wake_one(struct vck_wait_queue *queue)
{
    if (somebody_waits(queue))
        (void)wake_oldest(queue);
}
