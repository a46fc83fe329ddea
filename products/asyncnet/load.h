/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: a workload by tasks. A window of lanes, each a task that makes one connection after the
 * other, sends the request, reads the reply and closes.
 */
#ifndef VCK_ASYNCNET_LOAD_H
#define VCK_ASYNCNET_LOAD_H

#include "job.h"
#include "workload.h"

VCK_BEGIN_DECLS

struct load {
    struct job job;
    struct workload workload; /* filled in by the owner, before start */
};

/* Starts window lanes of a job that has begun: it ends, once let go, when every connection has been
 * answered or has failed. NO_MEMORY, DELETE_PENDING (cancelled): the job is cancelled. PASSIVE. */
VCK_CHECKED vck_status load_start(struct load *load, uint64_t window);

VCK_END_DECLS

#endif
