/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer: timers of an executor's worker. Each worker has one wheel of them, and its sleep's
 * deadline is the one timer of the platform they use. Time is vck_clock_ns, kept to the
 * nanosecond; timers of one deadline expire in the order in which they were armed. Arming neither
 * allocates nor fails. For timers without an executor see port/port.h.
 */
#ifndef VCK_TIMER_H
#define VCK_TIMER_H

#include <stdbool.h>
#include <stdint.h>
#include "port/port.h"
#include "vck/list.h"

VCK_BEGIN_DECLS

struct vck_worker;

struct vck_task_timer {
    struct vck_link link;
    uint64_t deadline_ns;
    uint16_t slot; /* its place in the wheel */
    uint8_t level;
    bool is_armed;
    uint64_t period_ns; /* 0: once */
    struct vck_worker *worker;
    void (*expired)(struct vck_task_timer *timer);
};

/* A timer of a worker (vck_worker_get_current, vck_executor_get_worker). expired runs on that
 * worker at PASSIVE, between polls, without a lock; it may arm, cancel and finish the timer, and
 * its last use of the storage may be its own. It must not wait. Any level. */
void vck_task_timer_init(struct vck_task_timer *timer, struct vck_worker *worker,
                         void (*expired)(struct vck_task_timer *timer));

/* Arms, in place of what was armed before: expires at deadline_ns or, when that has passed, at
 * once; VCK_FOREVER is never. With a period it is then armed again every period_ns after that
 * deadline; expirations that were missed are left out. The worker's executor is not destroyed
 * meanwhile. Any thread, DISPATCH. */
void vck_task_timer_arm(struct vck_task_timer *timer, uint64_t deadline_ns, uint64_t period_ns);

/* True when the timer was armed and is not any more: expired will not run (again). False when it
 * was not armed; expired may then just be running. Any thread, DISPATCH. */
bool vck_task_timer_cancel(struct vck_task_timer *timer);

/* Cancels and, called elsewhere than on the worker, waits until expired has returned. Afterwards
 * the storage may go. Before the worker's executor is destroyed. APC. */
void vck_task_timer_fini(struct vck_task_timer *timer) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
