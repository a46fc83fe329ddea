/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait_list: waiters in order of arrival, each answered by name: the one who has what they wait for
 * takes the oldest out, writes its answer and wakes it. What was given to a waiter is thereby its
 * own; nobody who comes later can take it. For locks and channels; where a waiter only looks at a
 * condition again, use a wait queue.
 *
 * The list is a vck_link of its owner, covered by its owner's spin lock. Every function is called
 * under that lock (unless it says otherwise), never calls a waker, and hands out the wakers that
 * are to be woken or dropped once the lock is released. DISPATCH.
 */
#ifndef VCK_WAIT_LIST_H
#define VCK_WAIT_LIST_H

#include "vck/future.h"
#include "vck/list.h"

VCK_BEGIN_DECLS

enum vck_wait_state {
    VCK_WAIT_IDLE = 0, /* has not waited yet */
    VCK_WAIT_QUEUED,   /* in the list */
    VCK_WAIT_GRANTED,  /* has what it waited for */
    VCK_WAIT_REFUSED,  /* will never get it */
    VCK_WAIT_DONE,     /* its future was READY or dropped */
};

/* A waiter's place, in the waiting future. */
struct vck_wait_node {
    struct vck_link link;
    struct vck_waker waker;
    uint32_t state; /* enum vck_wait_state */
};

/* Nobody's waker: what those below say when there is none to be woken. Unlike vck_waker_noop it is
 * not to be called. */
static inline struct vck_waker vck_waker_none(void)
{
    struct vck_waker none = {NULL, NULL};

    return none;
}

/* Gives up a waker, if it is one. Not under a lock. */
static inline void vck_waker_drop(struct vck_waker waker)
{
    if (waker.ops)
        waker.ops->drop(waker.data);
}

/* The same after waking it. Not under a lock. */
static inline void vck_waker_wake_and_drop(struct vck_waker waker)
{
    if (!waker.ops)
        return;
    if (waker.ops->wake_and_drop) {
        waker.ops->wake_and_drop(waker.data);
        return;
    }
    waker.ops->wake(waker.data);
    waker.ops->drop(waker.data);
}

static inline void vck_wait_node_init(struct vck_wait_node *node)
{
    vck_link_init(&node->link);
    node->waker = vck_waker_none();
    node->state = VCK_WAIT_IDLE;
}

/* Without the lock. What the answer came with is visible; but whoever answered may still hold the
 * lock. */
static inline uint32_t vck_wait_node_state(const struct vck_wait_node *node)
{
    return __atomic_load_n(&node->state, __ATOMIC_ACQUIRE);
}

/* The same waker, so that there is no need to clone it anew. Any level, no lock. */
static inline bool vck_waker_is_same(const struct vck_waker *a, const struct vck_waker *b)
{
    return a->ops == b->ops && a->data == b->data;
}

/* Puts the waiter behind the others, or leaves it where it is, with a waker it owns from now on.
 * Returns the waker it had before, to be dropped. */
static inline struct vck_waker vck_wait_list_add(struct vck_link *list, struct vck_wait_node *node,
                                                 struct vck_waker fresh)
{
    struct vck_waker old = node->waker;

    node->waker = fresh;
    if (node->state != VCK_WAIT_QUEUED) {
        vck_list_push_back(list, &node->link);
        __atomic_store_n(&node->state, (uint32_t)VCK_WAIT_QUEUED, __ATOMIC_RELAXED);
    }
    return old;
}

/* The oldest waiter; NULL when nobody waits. */
static inline struct vck_wait_node *vck_wait_list_oldest(struct vck_link *list)
{
    if (vck_list_is_empty(list))
        return NULL;
    return VCK_CONTAINER_OF(list->next, struct vck_wait_node, link);
}

/* Takes the waiter out with an answer and returns its waker. The waiter's memory may go as soon as
 * it sees the answer. */
static inline struct vck_waker vck_wait_node_finish(struct vck_wait_node *node,
                                                    enum vck_wait_state answer)
{
    struct vck_waker waker = node->waker;

    node->waker = vck_waker_none();
    vck_link_remove(&node->link);
    __atomic_store_n(&node->state, (uint32_t)answer, __ATOMIC_RELEASE);
    return waker;
}

/* Answers all who are in the list at the call, and wakes them one after the other. Called with the
 * lock, returns without it; takes it again only while there is another to answer, so whatever holds
 * the lock may go once all have their answers. */
void vck_wait_list_answer_all(struct vck_spinlock *lock, struct vck_link *list,
                              enum vck_wait_state answer) VCK_RELEASES(*lock)
    VCK_RELEASES(vck_raised);

VCK_END_DECLS

#endif
