/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiters: the threads that wait at a blocking primitive, first come, first served. The primitives
 * of the room hold one; others have no use for it. The owner's spin lock covers the queue; zeroed
 * memory is an empty one.
 */
#ifndef VCK_WAITERS_H
#define VCK_WAITERS_H

#include <stdbool.h>
#include <stdint.h>
#include "port/port.h"

VCK_BEGIN_DECLS

/* Lies on the stack of the thread that waits. Once it is out of the queue and woken, it may go. */
struct vck_waiting_thread {
    struct vck_waiting_thread *next;
    struct vck_event event;
    uint32_t thread_id;
    uint32_t want; /* the primitive's */
};

struct vck_waiters {
    struct vck_waiting_thread *first;
    struct vck_waiting_thread *last;
};

/* Puts the calling thread last. Under the owner's lock. DISPATCH. */
void vck_waiters_push(struct vck_waiters *waiters, struct vck_waiting_thread *waiter,
                      uint32_t want);
/* Takes the first out, NULL when there is none; and all, as a chain. Under the owner's lock. */
struct vck_waiting_thread *vck_waiters_pop(struct vck_waiters *waiters);
struct vck_waiting_thread *vck_waiters_take_all(struct vck_waiters *waiters);

/* Wakes a chain that was taken out. Best without the owner's lock. DISPATCH. */
void vck_waiters_wake(struct vck_waiting_thread *chain);

/* Sleeps until taken out and woken (OK), or takes the waiter out at the deadline (TIMEOUT). Without
 * the owner's lock. APC. */
vck_status vck_waiters_sleep(struct vck_waiters *waiters, struct vck_waiting_thread *waiter,
                             struct vck_spinlock *lock, uint64_t deadline_ns) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
