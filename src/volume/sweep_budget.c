/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep_budget.h"

static struct vck_spinlock budget_lock;
static uint64_t used_bytes;
static struct vck_wait_queue waiting;
static bool ready;

/* Under the lock. A sweep that wants more than there is at all gets it when nobody else has any. */
static bool try_take(uint64_t bytes)
{
    if (used_bytes != 0 && used_bytes + bytes > VCK_SWEEP_BUDGET_BYTES)
        return false;
    used_bytes += bytes;
    return true;
}

static bool take_locked(uint64_t bytes)
{
    bool taken;

    vck_spinlock_acquire(&budget_lock);
    if (!ready) {
        vck_wait_queue_init(&waiting);
        ready = true;
    }
    taken = try_take(bytes);
    vck_spinlock_release(&budget_lock);
    return taken;
}

bool sweep_budget_take(uint64_t bytes, struct vck_waiter *waiter, const struct vck_waker *waker)
{
    if (!take_locked(bytes)) {
        vck_wait_queue_register(&waiting, waiter, waker);
        if (!take_locked(bytes))
            return false;
    }
    vck_wait_queue_cancel(&waiting, waiter);
    return true;
}

void sweep_budget_give(uint64_t bytes)
{
    vck_spinlock_acquire(&budget_lock);
    VCK_ASSERT(used_bytes >= bytes);
    used_bytes -= bytes;
    vck_spinlock_release(&budget_lock);
    vck_wait_queue_wake_all(&waiting);
}

void sweep_budget_forget(struct vck_waiter *waiter)
{
    if (__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        vck_wait_queue_cancel(&waiting, waiter);
}

bool sweep_budget_is_wanted(void)
{
    return __atomic_load_n(&waiting.count, __ATOMIC_RELAXED) != 0;
}
