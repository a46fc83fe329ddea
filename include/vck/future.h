/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future: something that will be ready later. A future is a struct whose first member is
 * `struct vck_future`; its state lives in the struct, nothing is allocated behind it.
 *
 * poll returns PENDING only after it has arranged for the waker to be woken; READY exactly once.
 * A future that was never polled, or is READY, may simply be forgotten; one that is PENDING must be
 * polled to the end or dropped, which withdraws what it registered.
 *
 * A waker is two words. It is borrowed for the call of poll; whoever keeps it clones it. Waking is
 * allowed from any thread, at DISPATCH, more than once, and after the waiting has ended.
 */
#ifndef VCK_FUTURE_H
#define VCK_FUTURE_H

#include <stdbool.h>
#include <stdint.h>
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/annotate.h"

VCK_BEGIN_DECLS

enum vck_poll {
    VCK_PENDING = 0,
    VCK_READY = 1,
};

struct vck_waker_ops;

struct vck_waker {
    const struct vck_waker_ops *ops;
    void *data;
};

struct vck_waker_ops {
    struct vck_waker (*clone)(void *data);
    void (*wake)(void *data);
    void (*drop)(void *data);
    void (*wake_and_drop)(void *data); /* both at once; NULL: one after the other */
};

struct vck_future {
    enum vck_poll (*poll)(struct vck_future *self, const struct vck_waker *waker);
    void (*drop)(struct vck_future *self); /* NULL: nothing to withdraw */
};

static inline enum vck_poll vck_future_poll(struct vck_future *future,
                                            const struct vck_waker *waker)
{
    return future->poll(future, waker);
}

static inline void vck_future_drop(struct vck_future *future)
{
    if (future->drop)
        future->drop(future);
}

/* A waker that does nothing: for polling by hand. */
extern const struct vck_waker vck_waker_noop;

/* Polls until READY on the calling thread, sleeping in between. Needs no executor and allocates
 * nothing; a future that is ready at its first poll costs no more than that poll. APC. */
void vck_block_on(struct vck_future *future) VCK_CAN_WAIT;

/*
 * A place for one waiter and one signal. signal may run on any thread up to DISPATCH and may be the
 * last to touch the slot: as soon as a poll has seen the signal, the slot's memory may go.
 */
struct vck_waker_slot {
    struct vck_spinlock lock;
    bool signalled;
    struct vck_waker waker;
};

void vck_waker_slot_init(struct vck_waker_slot *slot);
/* True when signalled; otherwise keeps a clone of the waker, in place of an earlier one. */
bool vck_waker_slot_poll(struct vck_waker_slot *slot, const struct vck_waker *waker);
void vck_waker_slot_signal(struct vck_waker_slot *slot);
/* Returns when signalled, sleeping on the calling thread until then. APC. */
void vck_waker_slot_wait(struct vck_waker_slot *slot) VCK_CAN_WAIT;
/* Forgets the waker without a signal. */
void vck_waker_slot_cancel(struct vck_waker_slot *slot);

VCK_END_DECLS

#endif
