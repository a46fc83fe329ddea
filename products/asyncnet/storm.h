/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storm: many timers of one worker at once. Their deadlines are spread over a span in no order,
 * some of them equal; each must expire no earlier than its own, in the order of the deadlines,
 * equal ones in the order in which they were armed.
 */
#ifndef VCK_ASYNCNET_STORM_H
#define VCK_ASYNCNET_STORM_H

#include "job.h"
#include "vck/async_event.h"
#include "vck/timer.h"

VCK_BEGIN_DECLS

struct storm_timer;

struct storm {
    struct job job;
    struct storm_timer *timers;
    uint64_t count;
    uint64_t span_ns;
    struct vck_async_event over; /* the last one expired */

    /* the worker's; final when the job has ended */
    uint64_t expired;
    uint64_t early;
    uint64_t out_of_order;
    uint64_t latest_ns; /* behind its deadline */
    const struct storm_timer *last;
};

/* Starts the timers of a job that has begun: it ends, once let go, when the last has expired.
 * count: 1 or more. NO_MEMORY, DELETE_PENDING (cancelled): there are none. PASSIVE. */
VCK_CHECKED vck_status storm_start(struct storm *storm, uint64_t count, uint64_t span_ns);
/* Frees the timers; the job has ended, or never began. PASSIVE. */
void storm_fini(struct storm *storm);

VCK_END_DECLS

#endif
