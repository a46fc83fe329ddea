/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait_queue: tasks that wait for a condition somebody else changes. The condition is the caller's:
 * a waiter registers, looks at the condition again, and waits; whoever changes it wakes afterwards.
 */
#ifndef VCK_WAIT_QUEUE_H
#define VCK_WAIT_QUEUE_H

#include "vck/future.h"
#include "vck/list.h"

VCK_BEGIN_DECLS

struct vck_wait_queue {
    struct vck_spinlock lock;
    struct vck_link waiters; /* oldest first */
    uint32_t count;          /* read without the lock, to wake nobody cheaply */
};

/* A waiter's place in the queue, in the waiting future. */
struct vck_waiter {
    struct vck_link link;
    struct vck_waker waker;
};

void vck_wait_queue_init(struct vck_wait_queue *queue);
void vck_waiter_init(struct vck_waiter *waiter);

/* Puts the waiter in (or renews its waker). Look at the condition after this, not before. DISPATCH.
 */
void vck_wait_queue_register(struct vck_wait_queue *queue, struct vck_waiter *waiter,
                             const struct vck_waker *waker);
/* Takes the waiter out; harmless when it is not in. Its memory may go afterwards. DISPATCH. */
void vck_wait_queue_cancel(struct vck_wait_queue *queue, struct vck_waiter *waiter);

/* Wakes all, or the oldest. Woken waiters leave the queue. Orders the caller's earlier stores
 * before its look at the queue. DISPATCH. */
void vck_wait_queue_wake_all(struct vck_wait_queue *queue);
void vck_wait_queue_wake_one(struct vck_wait_queue *queue);

VCK_END_DECLS

#endif
