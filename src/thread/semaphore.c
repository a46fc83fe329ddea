/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/semaphore.h"
#include <stddef.h>

void vck_semaphore_init(struct vck_semaphore *semaphore, uint32_t count, uint32_t limit)
{
    VCK_ASSERT(limit > 0 && count <= limit);
    *semaphore = (struct vck_semaphore){.count = count, .limit = limit};
    vck_spinlock_init(&semaphore->lock);
}

void vck_semaphore_fini(struct vck_semaphore *semaphore)
{
    VCK_ASSERT(semaphore->waiters.first == NULL);
}

vck_status vck_semaphore_wait_at(struct vck_semaphore *semaphore, uint64_t deadline_ns,
                                 const char *site)
{
    struct vck_waiting_thread waiter;
    vck_level_check_at(VCK_LEVEL_APC, site);
    vck_spinlock_acquire(&semaphore->lock);
    bool is_taken = semaphore->count > 0;
    if (is_taken)
        semaphore->count--;
    else
        vck_waiters_push(&semaphore->waiters, &waiter, 1);
    vck_spinlock_release(&semaphore->lock);
    if (is_taken)
        return VCK_OK;
    return vck_waiters_sleep(&semaphore->waiters, &waiter, &semaphore->lock, deadline_ns);
}

/* Hands units to those that wait, as a chain, and keeps the rest. Under the lock. */
static struct vck_waiting_thread *hand_out(struct vck_semaphore *semaphore, uint32_t units)
{
    struct vck_waiting_thread *chain = NULL;
    while (units > 0 && semaphore->waiters.first != NULL) {
        struct vck_waiting_thread *waiter = vck_waiters_pop(&semaphore->waiters);
        waiter->next = chain;
        chain = waiter;
        units--;
    }
    semaphore->count += units;
    return chain;
}

vck_status vck_semaphore_release(struct vck_semaphore *semaphore, uint32_t units)
{
    struct vck_waiting_thread *chain = NULL;
    vck_status status = VCK_OK;
    vck_spinlock_acquire(&semaphore->lock);
    if (units > semaphore->limit - semaphore->count)
        status = VCK_OUT_OF_RANGE;
    else
        chain = hand_out(semaphore, units);
    vck_spinlock_release(&semaphore->lock);
    vck_waiters_wake(chain);
    return status;
}
