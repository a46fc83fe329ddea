/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/async_mutex.h"

void vck_async_mutex_init(struct vck_async_mutex *mutex)
{
    vck_async_semaphore_init(&mutex->semaphore, 1, 1);
}

static enum vck_poll lock_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_async_lock *lock = VCK_CONTAINER_OF(self, struct vck_async_lock, future);

    return vck_future_poll(&lock->acquire.future, waker);
}

static void lock_drop(struct vck_future *self)
{
    struct vck_async_lock *lock = VCK_CONTAINER_OF(self, struct vck_async_lock, future);

    vck_future_drop(&lock->acquire.future);
}

void vck_async_lock_init(struct vck_async_lock *lock, struct vck_async_mutex *mutex)
{
    lock->future = (struct vck_future){.poll = lock_poll, .drop = lock_drop};
    vck_async_acquire_init(&lock->acquire, &mutex->semaphore, 1);
}

vck_status vck_async_mutex_try_lock(struct vck_async_mutex *mutex)
{
    return vck_async_semaphore_try_acquire(&mutex->semaphore, 1);
}

vck_status vck_async_mutex_lock_until(struct vck_async_mutex *mutex, uint64_t deadline_ns)
{
    return vck_async_semaphore_acquire_until(&mutex->semaphore, 1, deadline_ns);
}

void vck_async_mutex_unlock(struct vck_async_mutex *mutex)
{
    vck_async_semaphore_release(&mutex->semaphore, 1);
}
