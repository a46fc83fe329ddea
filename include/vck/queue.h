/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue: an intrusive first-in first-out queue without a lock, many producers and one consumer.
 * Every push is one exchange and one store, so it may be done at any level and never waits for
 * anybody. Elements of one producer come out in the order it pushed them.
 *
 * A push in progress hides itself and what was pushed behind it from the consumer until it is done.
 * So pop may answer NULL though a later push has already returned: producers signal the consumer
 * after their push, and a consumer that got NULL waits for a signal. Then nothing is overlooked,
 * because the push that hid the others has its own signal still to come.
 *
 * Source: D. Vyukov, "Intrusive MPSC node-based queue".
 */
#ifndef VCK_QUEUE_H
#define VCK_QUEUE_H

#include <stddef.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

/* In each element; VCK_CONTAINER_OF finds the element. In at most one queue at a time. */
struct vck_mpsc_node {
    struct vck_mpsc_node *next;
};

/* Not to be moved: it points into itself. */
struct vck_mpsc {
    struct vck_mpsc_node *newest; /* the producers' end */
    struct vck_mpsc_node *oldest; /* the consumer's end; only it touches this */
    struct vck_mpsc_node stub;    /* keeps the queue from ever being without a node */
};

static inline void vck_mpsc_init(struct vck_mpsc *queue)
{
    queue->newest = &queue->stub;
    queue->oldest = &queue->stub;
    queue->stub.next = NULL;
}

/* Lends node to the queue until pop returns it. Any thread, any level. */
static inline void vck_mpsc_push(struct vck_mpsc *queue, struct vck_mpsc_node *node)
{
    __atomic_store_n(&node->next, (struct vck_mpsc_node *)NULL, __ATOMIC_RELAXED);
    struct vck_mpsc_node *before = __atomic_exchange_n(&queue->newest, node, __ATOMIC_ACQ_REL);
    __atomic_store_n(&before->next, node, __ATOMIC_RELEASE);
}

/* The oldest node, NULL when there is none to be seen. What its producer wrote before the push is
 * visible, and the node's memory may go at once. One consumer at a time, any level. */
static inline struct vck_mpsc_node *vck_mpsc_pop(struct vck_mpsc *queue)
{
    struct vck_mpsc_node *oldest = queue->oldest;
    struct vck_mpsc_node *next = __atomic_load_n(&oldest->next, __ATOMIC_ACQUIRE);
    if (oldest == &queue->stub) {
        if (next == NULL)
            return NULL;
        queue->oldest = next;
        oldest = next;
        next = __atomic_load_n(&oldest->next, __ATOMIC_ACQUIRE);
    }
    if (next == NULL) {
        /* The last node can be given away only once another stands behind it: the stub. */
        if (__atomic_load_n(&queue->newest, __ATOMIC_ACQUIRE) != oldest)
            return NULL;
        vck_mpsc_push(queue, &queue->stub);
        next = __atomic_load_n(&oldest->next, __ATOMIC_ACQUIRE);
        if (next == NULL)
            return NULL;
    }
    queue->oldest = next;
    return oldest;
}

VCK_END_DECLS

#endif
