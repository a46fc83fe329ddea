/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleep: a future that is ready at a time. Polled early it stays PENDING; durations saturate.
 */
#ifndef VCK_SLEEP_H
#define VCK_SLEEP_H

#include "vck/future.h"

VCK_BEGIN_DECLS

struct vck_sleep {
    struct vck_future future;
    struct vck_timer timer;
    struct vck_waker_slot slot;
    uint64_t deadline_ns;
    bool armed;
};

/* Ready at deadline_ns (vck_clock_ns). Once polled it must be polled to READY or dropped; both may
 * wait for a timer callback that is running, so they are for APC and below. */
void vck_sleep_until_init(struct vck_sleep *sleep, uint64_t deadline_ns);
void vck_sleep_init(struct vck_sleep *sleep, uint64_t duration_ns);

VCK_END_DECLS

#endif
