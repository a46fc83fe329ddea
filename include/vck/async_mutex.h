/* SPDX-License-Identifier: Apache-2.0 */
/*
 * async_mutex: a mutex that tasks wait for without blocking a thread, in the order they came, and
 * that may be held across an await. It has no owner thread and raises no level; taking it and
 * giving it back without contention is one atomic operation each.
 */
#ifndef VCK_ASYNC_MUTEX_H
#define VCK_ASYNC_MUTEX_H

#include "vck/async_semaphore.h"

VCK_BEGIN_DECLS

struct vck_async_mutex {
    struct vck_async_semaphore semaphore;
};

/* Unlocked. It may go when nobody holds it, waits for it or is in a call on it. */
void vck_async_mutex_init(struct vck_async_mutex *mutex);

/* Waits for the mutex. READY: the caller holds it. Dropping it before that gives up the place; if
 * the mutex had been passed to it, it goes to the next. Not recursive. DISPATCH. */
struct vck_async_lock {
    struct vck_future future;
    struct vck_async_acquire acquire;
};
void vck_async_lock_init(struct vck_async_lock *lock, struct vck_async_mutex *mutex);

/* OK, or BUSY when it is held. DISPATCH. */
VCK_CHECKED vck_status vck_async_mutex_try_lock(struct vck_async_mutex *mutex);
/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_async_mutex_lock_until(struct vck_async_mutex *mutex,
                                                  uint64_t deadline_ns) VCK_CAN_WAIT;
/* Passes it to the one that waits longest. Unlocking one that is not locked is caught. DISPATCH. */
void vck_async_mutex_unlock(struct vck_async_mutex *mutex);

VCK_END_DECLS

#endif
