/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job: something under way in many tasks, or threads, that can be cancelled at any level and says
 * when nothing of it is left.
 *
 *     begun --members enter--> running --go, and the last member leaves--> ended
 *        \------- cancel: nobody enters any more, tasks are dropped -------/
 *
 * It is a task group and a task that waits for the group. Whoever begins a job is its first member
 * until go, so that it cannot end while it is being set up.
 */
#ifndef VCK_ASYNCNET_JOB_H
#define VCK_ASYNCNET_JOB_H

#include "vck/coroutine.h"
#include "vck/executor.h"
#include "vck/task_group.h"

VCK_BEGIN_DECLS

struct job {
    struct vck_executor *executor;
    struct vck_task_group group;
    void (*ended)(struct job *job);
    uint32_t is_cancelled; /* atomic */
    uint64_t begin_ns;
    uint64_t end_ns; /* once ended */
};

/* ended runs on a worker of the executor, when the last member has left; the job may go then,
 * unless its owner still lets others cancel it. The executor outlives it. NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status job_begin(struct job *job, struct vck_executor *executor,
                                 void (*ended)(struct job *job));
/* No longer a member: ended may come now. PASSIVE. */
void job_go(struct job *job);

/* Harmless after the end and when repeated. DISPATCH. */
void job_cancel(struct job *job);
/* Any level. */
bool job_is_cancelled(const struct job *job);

/* A member that is no task: a thread. DELETE_PENDING when the job was cancelled. DISPATCH. */
VCK_CHECKED vck_status job_enter(struct job *job);
void job_leave(struct job *job);

/* A task of a job. It comes first in the struct of what the task does. */
struct job_task {
    struct vck_group_member member; /* what the executor polls */
    struct vck_future future;       /* what the member polls, and drops on cancel */
    struct vck_coroutine co;
    struct vck_task *task; /* owns the memory of all this */
};

/* size_bytes of zeroed memory that begin with a job_task, polled and dropped by these. It belongs
 * to the task and goes with it. NO_MEMORY. DISPATCH. */
VCK_CHECKED vck_status job_task_create(size_t size_bytes,
                                       enum vck_poll (*poll)(struct vck_future *self,
                                                             const struct vck_waker *waker),
                                       void (*drop)(struct vck_future *self),
                                       struct job_task **ret_task);
/* Starts it as a member of the job. When it fails (DELETE_PENDING: the job was cancelled) the task
 * is freed, and its drop is not called. DISPATCH. */
VCK_CHECKED vck_status job_task_spawn(struct job *job, struct job_task *task VCK_TAKES);

VCK_END_DECLS

#endif
