/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being down is announced under the lock, and a wait returns only after it has held the lock or was
 * woken; so the thread that announces it is done with the memory, its release of the lock being its
 * last access.
 */
#include "vck/rundown.h"
#include <stddef.h>

void vck_rundown_init(struct vck_rundown *rundown)
{
    *rundown = (struct vck_rundown){.word = 0};
    vck_spinlock_init(&rundown->lock);
}

void vck_rundown_end(struct vck_rundown *rundown)
{
    vck_spinlock_acquire(&rundown->lock);
    rundown->is_down = true;
    struct vck_waiting_thread *chain = vck_waiters_take_all(&rundown->waiters);
    vck_spinlock_release(&rundown->lock);
    vck_waiters_wake(chain);
}

void vck_rundown_wait_at(struct vck_rundown *rundown, const char *site)
{
    struct vck_waiting_thread waiter;
    vck_level_check_at(VCK_LEVEL_APC, site);
    if (__atomic_fetch_or(&rundown->word, 1, __ATOMIC_ACQ_REL) == 0)
        vck_rundown_end(rundown);
    vck_spinlock_acquire(&rundown->lock);
    bool is_down = rundown->is_down;
    if (!is_down)
        vck_waiters_push(&rundown->waiters, &waiter, 0);
    vck_spinlock_release(&rundown->lock);
    if (!is_down)
        (void)vck_waiters_sleep(&rundown->waiters, &waiter, &rundown->lock, VCK_FOREVER);
}

void vck_rundown_reset(struct vck_rundown *rundown)
{
    vck_spinlock_acquire(&rundown->lock);
    VCK_ASSERT(rundown->is_down && rundown->waiters.first == NULL);
    rundown->is_down = false;
    __atomic_store_n(&rundown->word, 0, __ATOMIC_RELEASE);
    vck_spinlock_release(&rundown->lock);
}
