/* SPDX-License-Identifier: Apache-2.0 */
/*
 * async_semaphore: a number of permits that tasks wait for, strictly in the order they came: a task
 * that wants many is not overtaken by those that want few. Without waiters, acquire and release are
 * one atomic operation each.
 */
#ifndef VCK_ASYNC_SEMAPHORE_H
#define VCK_ASYNC_SEMAPHORE_H

#include "vck/wait_list.h"

VCK_BEGIN_DECLS

struct vck_async_semaphore {
    uint64_t state; /* free permits * 2, plus 1 while somebody waits */
    uint32_t max_permits;
    struct vck_spinlock lock;
    struct vck_link waiters;
};

/* free_permits are there at the start, max_permits are there at most. The semaphore may go when no
 * call on it is in progress and nobody waits; a task that got the last permit it waited for may
 * thus be the one that ends it. */
void vck_async_semaphore_init(struct vck_async_semaphore *semaphore, uint32_t free_permits,
                              uint32_t max_permits);

/* Waits for permits (1 to max_permits), all at once. READY: they are the caller's until released.
 * Dropping it before that gives up the place, and permits already set aside for it go to the next.
 * Taking the permits is the caller's whole duty: forgetting a READY future keeps them. DISPATCH. */
struct vck_async_acquire {
    struct vck_future future;
    struct vck_async_semaphore *semaphore;
    struct vck_wait_node node;
    uint32_t permits;
};
void vck_async_acquire_init(struct vck_async_acquire *acquire,
                            struct vck_async_semaphore *semaphore, uint32_t permits);

/* OK; BUSY when that many are not free, or others wait for them. DISPATCH. */
VCK_CHECKED vck_status vck_async_semaphore_try_acquire(struct vck_async_semaphore *semaphore,
                                                       uint32_t permits);
/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_async_semaphore_acquire_until(struct vck_async_semaphore *semaphore,
                                                         uint32_t permits,
                                                         uint64_t deadline_ns) VCK_CAN_WAIT;
/* Gives permits back, by whoever has them. More than max_permits is a bug that is caught. DISPATCH.
 */
void vck_async_semaphore_release(struct vck_async_semaphore *semaphore, uint32_t permits);

/* Permits free now, for statistics. */
uint32_t vck_async_semaphore_free_permits(const struct vck_async_semaphore *semaphore);

VCK_END_DECLS

#endif
