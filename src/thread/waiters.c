/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/waiters.h"
#include <stddef.h>

void vck_waiters_push(struct vck_waiters *waiters, struct vck_waiting_thread *waiter, uint32_t want)
{
    vck_event_init(&waiter->event);
    waiter->next = NULL;
    waiter->thread_id = vck_thread_id();
    waiter->want = want;
    if (waiters->first == NULL)
        waiters->first = waiter;
    else
        waiters->last->next = waiter;
    waiters->last = waiter;
}

struct vck_waiting_thread *vck_waiters_pop(struct vck_waiters *waiters)
{
    struct vck_waiting_thread *first = waiters->first;
    if (first == NULL)
        return NULL;
    waiters->first = first->next;
    first->next = NULL;
    return first;
}

struct vck_waiting_thread *vck_waiters_take_all(struct vck_waiters *waiters)
{
    struct vck_waiting_thread *chain = waiters->first;
    waiters->first = NULL;
    return chain;
}

void vck_waiters_wake(struct vck_waiting_thread *chain)
{
    while (chain != NULL) {
        struct vck_waiting_thread *next = chain->next;
        vck_event_set(&chain->event);
        chain = next;
    }
}

/* False when somebody else has taken it out. */
static bool remove_waiter(struct vck_waiters *waiters, struct vck_waiting_thread *waiter)
{
    struct vck_waiting_thread *before = NULL;
    struct vck_waiting_thread *at = waiters->first;
    while (at != NULL && at != waiter) {
        before = at;
        at = at->next;
    }
    if (at == NULL)
        return false;
    if (before == NULL)
        waiters->first = at->next;
    else
        before->next = at->next;
    if (waiters->last == at)
        waiters->last = before;
    return true;
}

vck_status vck_waiters_sleep(struct vck_waiters *waiters, struct vck_waiting_thread *waiter,
                             struct vck_spinlock *lock, uint64_t deadline_ns)
{
    vck_status status = vck_event_wait(&waiter->event, deadline_ns);
    if (status != VCK_OK) {
        vck_spinlock_acquire(lock);
        bool was_waiting = remove_waiter(waiters, waiter);
        vck_spinlock_release(lock);
        /* Else the wake-up is on its way, and the waiter may not go before it came. */
        if (!was_waiting)
            status = vck_event_wait(&waiter->event, VCK_FOREVER);
    }
    vck_event_fini(&waiter->event);
    return status;
}
