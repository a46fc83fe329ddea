/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/future.h"

static struct vck_waker noop_clone(void *data)
{
    (void)data;
    return vck_waker_noop;
}

static void noop(void *data)
{
    (void)data;
}

static const struct vck_waker_ops noop_ops = {.clone = noop_clone, .wake = noop, .drop = noop};

const struct vck_waker vck_waker_noop = {.ops = &noop_ops, .data = NULL};

void vck_waker_slot_init(struct vck_waker_slot *slot)
{
    vck_spinlock_init(&slot->lock);
    slot->signalled = false;
    slot->waker = vck_waker_noop;
}

bool vck_waker_slot_poll(struct vck_waker_slot *slot, const struct vck_waker *waker)
{
    /* Cloned before the lock is taken, because a clone may take the parker pool's lock. */
    struct vck_waker old;
    struct vck_waker fresh;
    bool signalled;

    vck_spinlock_acquire(&slot->lock);
    signalled = slot->signalled;
    vck_spinlock_release(&slot->lock);
    if (signalled)
        return true;
    fresh = waker->ops->clone(waker->data);
    vck_spinlock_acquire(&slot->lock);
    signalled = slot->signalled;
    old = fresh;
    if (!signalled) {
        old = slot->waker;
        slot->waker = fresh;
    }
    vck_spinlock_release(&slot->lock);
    old.ops->drop(old.data);
    return signalled;
}

void vck_waker_slot_signal(struct vck_waker_slot *slot)
{
    struct vck_waker waker;

    vck_spinlock_acquire(&slot->lock);
    slot->signalled = true;
    waker = slot->waker;
    slot->waker = vck_waker_noop;
    vck_spinlock_release(&slot->lock);
    /* From here on the slot may be gone; the waker is ours. */
    waker.ops->wake(waker.data);
    waker.ops->drop(waker.data);
}

void vck_waker_slot_cancel(struct vck_waker_slot *slot)
{
    struct vck_waker waker;

    vck_spinlock_acquire(&slot->lock);
    waker = slot->waker;
    slot->waker = vck_waker_noop;
    vck_spinlock_release(&slot->lock);
    waker.ops->drop(waker.data);
}
