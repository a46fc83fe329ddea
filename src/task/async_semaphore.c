/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The waiting bit is set exactly while the list is not empty, and both change only under the lock.
 * While it is set, permits change only under the lock, too.
 */
#include "vck/async_semaphore.h"
#include "vck/timeout.h"

#define SOMEBODY_WAITS ((uint64_t)1)
#define PERMITS(n)     ((uint64_t)(n) << 1)

void vck_async_semaphore_init(struct vck_async_semaphore *semaphore, uint32_t free_permits,
                              uint32_t max_permits)
{
    VCK_ASSERT(free_permits <= max_permits);
    *semaphore = (struct vck_async_semaphore){
        .state = PERMITS(free_permits),
        .max_permits = max_permits,
    };
    vck_spinlock_init(&semaphore->lock);
    vck_link_init(&semaphore->waiters);
}

uint32_t vck_async_semaphore_free_permits(const struct vck_async_semaphore *semaphore)
{
    return (uint32_t)(__atomic_load_n(&semaphore->state, __ATOMIC_RELAXED) >> 1);
}

static bool change_state(struct vck_async_semaphore *semaphore, uint64_t *from, uint64_t to)
{
    return __atomic_compare_exchange_n(&semaphore->state, from, to, true, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

vck_status vck_async_semaphore_try_acquire(struct vck_async_semaphore *semaphore, uint32_t permits)
{
    uint64_t state = __atomic_load_n(&semaphore->state, __ATOMIC_RELAXED);

    do {
        if ((state & SOMEBODY_WAITS) || state < PERMITS(permits))
            return VCK_BUSY;
    } while (!change_state(semaphore, &state, state - PERMITS(permits)));
    return VCK_OK;
}

/* Under the lock: takes the permits, or makes sure that whoever releases some will look for
 * waiters.
 */
static bool take_or_announce(struct vck_async_semaphore *semaphore, uint32_t permits)
{
    uint64_t state = __atomic_load_n(&semaphore->state, __ATOMIC_RELAXED);
    bool enough;

    do {
        enough = !(state & SOMEBODY_WAITS) && state >= PERMITS(permits);
    } while (!change_state(semaphore, &state,
                           enough ? state - PERMITS(permits) : state | SOMEBODY_WAITS));
    return enough;
}

/* Under the lock, after a waiter left. */
static void clear_if_nobody_waits(struct vck_async_semaphore *semaphore)
{
    if (vck_list_is_empty(&semaphore->waiters))
        __atomic_fetch_and(&semaphore->state, ~SOMEBODY_WAITS, __ATOMIC_RELAXED);
}

/* Under the lock: whether the oldest waiter can have what it wants. */
static bool can_grant(struct vck_async_semaphore *semaphore)
{
    struct vck_wait_node *node = vck_wait_list_oldest(&semaphore->waiters);

    return node && VCK_CONTAINER_OF(node, struct vck_async_acquire, node)->permits <=
                       vck_async_semaphore_free_permits(semaphore);
}

/* Gives free permits to those who wait. Each look at the list says whether there is another, so
 * that nothing is touched after the last was woken. */
static void grant_waiters(struct vck_async_semaphore *semaphore, uint32_t released)
{
    bool more = true;

    while (more) {
        struct vck_waker waker = vck_waker_none();
        vck_spinlock_acquire(&semaphore->lock);
        __atomic_fetch_add(&semaphore->state, PERMITS(released), __ATOMIC_ACQ_REL);
        released = 0;
        if (can_grant(semaphore)) {
            struct vck_wait_node *node = vck_wait_list_oldest(&semaphore->waiters);
            uint32_t permits = VCK_CONTAINER_OF(node, struct vck_async_acquire, node)->permits;
            __atomic_fetch_sub(&semaphore->state, PERMITS(permits), __ATOMIC_RELAXED);
            waker = vck_wait_node_finish(node, VCK_WAIT_GRANTED);
            clear_if_nobody_waits(semaphore);
        }
        more = can_grant(semaphore);
        vck_spinlock_release(&semaphore->lock);
        vck_waker_wake_and_drop(waker);
    }
}

void vck_async_semaphore_release(struct vck_async_semaphore *semaphore, uint32_t permits)
{
    uint64_t state = __atomic_load_n(&semaphore->state, __ATOMIC_RELAXED);

    do {
        VCK_ASSERT((state >> 1) + permits <= semaphore->max_permits);
        if (state & SOMEBODY_WAITS) {
            grant_waiters(semaphore, permits);
            return;
        }
    } while (!change_state(semaphore, &state, state + PERMITS(permits)));
}

/* ---- waiting ---- */

static enum vck_poll wait_in_line(struct vck_async_acquire *acquire, const struct vck_waker *waker)
{
    struct vck_async_semaphore *semaphore = acquire->semaphore;
    struct vck_waker fresh = waker->ops->clone(waker->data);
    bool acquired;

    /* An answer, too, is looked at under the lock: then whoever gave it has left the semaphore. */
    vck_spinlock_acquire(&semaphore->lock);
    acquired = acquire->node.state == VCK_WAIT_GRANTED;
    if (acquire->node.state == VCK_WAIT_IDLE)
        acquired = take_or_announce(semaphore, acquire->permits);
    if (!acquired)
        fresh = vck_wait_list_add(&semaphore->waiters, &acquire->node, fresh);
    else
        acquire->node.state = VCK_WAIT_DONE;
    vck_spinlock_release(&semaphore->lock);
    vck_waker_drop(fresh);
    return acquired ? VCK_READY : VCK_PENDING;
}

static enum vck_poll acquire_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_async_acquire *acquire = VCK_CONTAINER_OF(self, struct vck_async_acquire, future);

    VCK_ASSERT(vck_wait_node_state(&acquire->node) != VCK_WAIT_DONE);
    if (vck_wait_node_state(&acquire->node) == VCK_WAIT_IDLE &&
        vck_async_semaphore_try_acquire(acquire->semaphore, acquire->permits) == VCK_OK) {
        acquire->node.state = VCK_WAIT_DONE;
        return VCK_READY;
    }
    return wait_in_line(acquire, waker);
}

static void acquire_drop(struct vck_future *self)
{
    struct vck_async_acquire *acquire = VCK_CONTAINER_OF(self, struct vck_async_acquire, future);
    struct vck_async_semaphore *semaphore = acquire->semaphore;
    struct vck_waker waker = vck_waker_none();
    uint32_t state = vck_wait_node_state(&acquire->node);
    uint32_t given_back = 0;

    if (state == VCK_WAIT_IDLE || state == VCK_WAIT_DONE)
        return;
    vck_spinlock_acquire(&semaphore->lock);
    if (acquire->node.state == VCK_WAIT_GRANTED)
        given_back = acquire->permits;
    else
        waker = vck_wait_node_finish(&acquire->node, VCK_WAIT_DONE);
    clear_if_nobody_waits(semaphore);
    vck_spinlock_release(&semaphore->lock);
    acquire->node.state = VCK_WAIT_DONE;
    vck_waker_drop(waker);
    /* Those behind it may want less than it did. */
    if (given_back)
        vck_async_semaphore_release(semaphore, given_back);
    else
        grant_waiters(semaphore, 0);
}

void vck_async_acquire_init(struct vck_async_acquire *acquire,
                            struct vck_async_semaphore *semaphore, uint32_t permits)
{
    VCK_ASSERT(permits != 0 && permits <= semaphore->max_permits);
    *acquire = (struct vck_async_acquire){
        .future = {.poll = acquire_poll, .drop = acquire_drop},
        .semaphore = semaphore,
        .permits = permits,
    };
    vck_wait_node_init(&acquire->node);
}

vck_status vck_async_semaphore_acquire_until(struct vck_async_semaphore *semaphore,
                                             uint32_t permits, uint64_t deadline_ns)
{
    struct vck_async_acquire acquire;

    vck_async_acquire_init(&acquire, semaphore, permits);
    return vck_block_on_until(&acquire.future, deadline_ns);
}
