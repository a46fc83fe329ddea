/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads: the same workload as load's by threads that block: what sequential code looks like, and
 * what it costs.
 */
#ifndef VCK_ASYNCNET_THREADS_H
#define VCK_ASYNCNET_THREADS_H

#include "job.h"
#include "vck/thread.h"
#include "workload.h"

VCK_BEGIN_DECLS

#define THREADS_MAX 64u

/* One thread, and the socket that whoever cancels it has to close. */
struct fetcher {
    struct threads *threads;
    struct vck_thread_handle *handle;
    struct vck_spinlock lock; /* covers socket */
    struct vck_socket *socket;
};

struct threads {
    struct job job;
    struct workload workload; /* filled in by the owner, before start */
    struct fetcher fetchers[THREADS_MAX];
    uint32_t count;
};

/* Starts count threads of a job that has begun: it ends, once let go, when every connection has
 * been answered or has failed. Each holds owner until its last instruction. NO_MEMORY,
 * DELETE_PENDING (cancelled, or owner): the job is cancelled. PASSIVE. */
VCK_CHECKED vck_status threads_start(struct threads *threads, struct vck_object *owner,
                                     uint32_t count);

/* In place of job_cancel: also ends the calls that the threads wait in. DISPATCH. */
void threads_cancel(struct threads *threads);

/* Joins the threads of a job that has ended: they are on their last instructions. PASSIVE. */
void threads_fini(struct threads *threads) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
