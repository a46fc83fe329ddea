/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blocked thread sleeps on a parker. A waker may be used after block_on has returned, so parkers
 * are counted and live in a pool, not on the stack. The pool has a fixed size and nothing is
 * allocated: a thread that finds it empty polls on a timer instead.
 */
#include "vck/future.h"

#define PARKER_COUNT     256
#define POLL_INTERVAL_NS (1000u * 1000u)

struct parker {
    struct vck_event event;
    uint32_t references; /* 0: free */
    bool ready;          /* event is initialised */
};

static struct parker parkers[PARKER_COUNT];
static struct vck_spinlock pool_lock;
static uint32_t pool_hint;

/* What a waker of this thread points to: the parker is taken at the first clone only. */
struct sleeper {
    struct parker *parker;
    bool pool_empty;
};

static struct parker *parker_take(void)
{
    struct parker *found = NULL;

    vck_spinlock_acquire(&pool_lock);
    for (uint32_t i = 0; i < PARKER_COUNT && !found; i++) {
        struct parker *parker = &parkers[(pool_hint + i) % PARKER_COUNT];
        if (__atomic_load_n(&parker->references, __ATOMIC_ACQUIRE) == 0) {
            parker->references = 1;
            pool_hint = (pool_hint + i + 1) % PARKER_COUNT;
            found = parker;
        }
    }
    vck_spinlock_release(&pool_lock);
    if (found && !found->ready) {
        vck_event_init(&found->event);
        found->ready = true;
    }
    return found;
}

static void parker_drop(void *data)
{
    struct parker *parker = data;

    __atomic_fetch_sub(&parker->references, 1, __ATOMIC_RELEASE);
}

static void parker_wake(void *data)
{
    struct parker *parker = data;

    vck_event_set(&parker->event);
}

static struct vck_waker parker_clone(void *data);

static const struct vck_waker_ops parker_ops = {
    .clone = parker_clone,
    .wake = parker_wake,
    .drop = parker_drop,
};

static struct vck_waker parker_clone(void *data)
{
    struct parker *parker = data;

    __atomic_fetch_add(&parker->references, 1, __ATOMIC_RELAXED);
    return (struct vck_waker){.ops = &parker_ops, .data = parker};
}

static struct vck_waker sleeper_clone(void *data)
{
    struct sleeper *sleeper = data;

    if (!sleeper->parker)
        sleeper->parker = parker_take();
    if (!sleeper->parker) {
        sleeper->pool_empty = true;
        return vck_waker_noop;
    }
    return parker_clone(sleeper->parker);
}

static void sleeper_wake(void *data)
{
    struct vck_waker clone = sleeper_clone(data);

    /* A wake during a poll: the sleep that follows must end at once. */
    clone.ops->wake(clone.data);
    clone.ops->drop(clone.data);
}

static void sleeper_drop(void *data)
{
    (void)data;
}

static const struct vck_waker_ops sleeper_ops = {
    .clone = sleeper_clone,
    .wake = sleeper_wake,
    .drop = sleeper_drop,
};

static void sleep_until_woken(struct sleeper *sleeper) VCK_CAN_WAIT
{
    struct vck_event pause;

    if (sleeper->parker && !sleeper->pool_empty) {
        (void)vck_event_wait(&sleeper->parker->event, VCK_FOREVER);
        return;
    }
    vck_event_init(&pause);
    (void)vck_event_wait(&pause, vck_clock_ns() + POLL_INTERVAL_NS);
    vck_event_fini(&pause);
}

void vck_block_on(struct vck_future *future)
{
    struct sleeper sleeper = {NULL, false};
    struct vck_waker waker = {.ops = &sleeper_ops, .data = &sleeper};

    while (vck_future_poll(future, &waker) == VCK_PENDING)
        sleep_until_woken(&sleeper);
    if (sleeper.parker)
        parker_drop(sleeper.parker);
}

struct slot_wait {
    struct vck_future future;
    struct vck_waker_slot *slot;
};

static enum vck_poll slot_wait_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct slot_wait *wait = VCK_CONTAINER_OF(self, struct slot_wait, future);

    return vck_waker_slot_poll(wait->slot, waker) ? VCK_READY : VCK_PENDING;
}

void vck_waker_slot_wait(struct vck_waker_slot *slot)
{
    struct slot_wait wait = {.future = {.poll = slot_wait_poll}, .slot = slot};

    vck_block_on(&wait.future);
}
