/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleep: a future that is ready at a time. Polled early it stays PENDING; durations saturate, and a
 * sleep is never shorter than asked.
 *
 * First polled on a worker it is one of that worker's timers, elsewhere a timer of the port. It
 * stays what it is when it is polled or dropped on another thread, but has to end before that
 * worker's executor is destroyed; in a task it does.
 */
#ifndef VCK_SLEEP_H
#define VCK_SLEEP_H

#include "vck/future.h"
#include "vck/timer.h"

VCK_BEGIN_DECLS

struct vck_sleep {
    struct vck_future future;
    uint64_t deadline_ns;
    struct vck_waker_slot slot;
    uint8_t armed; /* which of the timers */
    union {
        struct vck_task_timer of_worker;
        struct vck_timer of_port;
    } timer;
};

/* Ready at deadline_ns (vck_clock_ns). Once polled it must be polled to READY or dropped; both may
 * wait for a timer callback that is running, so they are for APC and below. Polled after READY it
 * is READY again. */
void vck_sleep_until_init(struct vck_sleep *sleep, uint64_t deadline_ns);
void vck_sleep_init(struct vck_sleep *sleep, uint64_t duration_ns);

VCK_END_DECLS

#endif
