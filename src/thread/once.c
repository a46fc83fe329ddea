/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/once.h"
#include <stddef.h>

enum once_state {
    STATE_IDLE,
    STATE_RUNNING,
    STATE_DONE,
};

bool vck_once_is_done(const struct vck_once *once)
{
    return __atomic_load_n(&once->state, __ATOMIC_ACQUIRE) == STATE_DONE;
}

/* The state found. IDLE: the caller runs it now. RUNNING: waiter, unless NULL, is in the queue. */
static enum once_state enter(struct vck_once *once, struct vck_waiting_thread *waiter)
{
    vck_spinlock_acquire(&once->lock);
    enum once_state state = (enum once_state)once->state;
    VCK_ASSERT(state != STATE_RUNNING || once->runner != vck_thread_id());
    if (state == STATE_IDLE) {
        __atomic_store_n(&once->state, STATE_RUNNING, __ATOMIC_RELAXED);
        once->runner = vck_thread_id();
    } else if (state == STATE_RUNNING && waiter != NULL) {
        vck_waiters_push(&once->waiters, waiter, 0);
    }
    vck_spinlock_release(&once->lock);
    return state;
}

static vck_status run_now(struct vck_once *once, vck_status (*run)(void *context), void *context)
{
    vck_status status = run(context);
    vck_spinlock_acquire(&once->lock);
    __atomic_store_n(&once->state, status == VCK_OK ? STATE_DONE : STATE_IDLE, __ATOMIC_RELEASE);
    struct vck_waiting_thread *chain = vck_waiters_take_all(&once->waiters);
    vck_spinlock_release(&once->lock);
    vck_waiters_wake(chain);
    return status;
}

vck_status vck_once_run_at(struct vck_once *once, vck_status (*run)(void *context), void *context,
                           const char *site)
{
    vck_level_check_at(VCK_LEVEL_APC, site);
    while (!vck_once_is_done(once)) {
        struct vck_waiting_thread waiter;
        enum once_state found = enter(once, &waiter);
        if (found == STATE_IDLE)
            return run_now(once, run, context);
        if (found == STATE_RUNNING)
            (void)vck_waiters_sleep(&once->waiters, &waiter, &once->lock, VCK_FOREVER);
    }
    return VCK_OK;
}

vck_status vck_once_try(struct vck_once *once, vck_status (*run)(void *context), void *context)
{
    if (vck_once_is_done(once))
        return VCK_OK;
    enum once_state found = enter(once, NULL);
    if (found == STATE_IDLE)
        return run_now(once, run, context);
    return found == STATE_DONE ? VCK_OK : VCK_BUSY;
}
