/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/condition.h"
#include <stddef.h>

void vck_condition_init(struct vck_condition *condition)
{
    *condition = (struct vck_condition){.waiters = {NULL, NULL}};
    vck_spinlock_init(&condition->lock);
}

void vck_condition_fini(struct vck_condition *condition)
{
    VCK_ASSERT(condition->waiters.first == NULL);
}

vck_status vck_condition_wait_at(struct vck_condition *condition, struct vck_mutex *mutex,
                                 uint64_t deadline_ns, const char *site)
{
    struct vck_waiting_thread waiter;
    vck_level_check_at(VCK_LEVEL_APC, site);
    vck_spinlock_acquire(&condition->lock);
    vck_waiters_push(&condition->waiters, &waiter, 0);
    vck_spinlock_release(&condition->lock);
    vck_mutex_release_at(mutex, site);
    vck_status status =
        vck_waiters_sleep(&condition->waiters, &waiter, &condition->lock, deadline_ns);
    vck_mutex_acquire_at(mutex, site);
    return status;
}

vck_status vck_condition_wait_while_at(struct vck_condition *condition, struct vck_mutex *mutex,
                                       bool (*predicate)(void *context), void *context,
                                       uint64_t deadline_ns, const char *site)
{
    vck_status status = VCK_OK;
    while (predicate(context)) {
        if (status != VCK_OK)
            return status;
        status = vck_condition_wait_at(condition, mutex, deadline_ns, site);
    }
    return VCK_OK;
}

void vck_condition_signal(struct vck_condition *condition)
{
    vck_spinlock_acquire(&condition->lock);
    struct vck_waiting_thread *first = vck_waiters_pop(&condition->waiters);
    vck_spinlock_release(&condition->lock);
    vck_waiters_wake(first);
}

void vck_condition_broadcast(struct vck_condition *condition)
{
    vck_spinlock_acquire(&condition->lock);
    struct vck_waiting_thread *chain = vck_waiters_take_all(&condition->waiters);
    vck_spinlock_release(&condition->lock);
    vck_waiters_wake(chain);
}
