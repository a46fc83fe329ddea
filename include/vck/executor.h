/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executor: runs tasks on 1 to N workers, each a thread with a run queue and timers of its own. A
 * task stays with the worker it was spawned on. The run queue has no capacity: a task carries its
 * place in it.
 *
 *     created or prepared --shutdown--> closing (spawn fails, every task left is cancelled)
 *             --the last task has ended--> ended --destroy--> freed
 *
 * Nothing is allocated per poll, wake or sleep. What waits for nothing but futures needs no
 * executor: vck_block_on.
 */
#ifndef VCK_EXECUTOR_H
#define VCK_EXECUTOR_H

#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"
#include "vck/task.h"

VCK_BEGIN_DECLS

struct vck_executor;
struct vck_worker;

/*
 * How a worker sleeps. The default is an event; a port whose completions arrive through something
 * the thread has to wait for itself brings its own.
 */
struct vck_idle_ops;

struct vck_idle {
    const struct vck_idle_ops *ops;
};

struct vck_idle_ops {
    /* Sleeps until wake, an event of its own, or the deadline (vck_clock_ns, VCK_FOREVER for none),
     * and runs what completed. It may return early. Worker only. PASSIVE. */
    void (*wait)(struct vck_idle *idle, uint64_t deadline_ns);
    /* Runs what completed, without sleeping; called every 64 polls of a busy worker. Worker only.
     * PASSIVE. */
    void (*poll)(struct vck_idle *idle);
    /* Ends the wait under way or the next one. Called only while the worker sleeps or is about to.
     * Any thread, DISPATCH. */
    void (*wake)(struct vck_idle *idle);
};

#define VCK_WORKERS_MAX 1024u

struct vck_executor_options {
    uint32_t workers;      /* 0: 1; up to VCK_WORKERS_MAX */
    const char *name;      /* of the threads, for debuggers; NULL: "vck-worker" */
    struct vck_idle *idle; /* one worker's only, borrowed until destroy; NULL: an event */
    enum vck_thread_class thread_class; /* of the workers; 0: normal */
};

/* An executor with its threads started. options NULL: all defaults. INVALID_DATA, NO_MEMORY (a
 * thread that cannot be had, too): then nothing is left of it. PASSIVE. */
VCK_CHECKED vck_status vck_executor_create(const struct vck_executor_options *options,
                                           struct vck_executor **ret_executor) VCK_CAN_WAIT;

/* The same for one worker and without a thread: tasks run while somebody is in vck_executor_run.
 * PASSIVE. */
VCK_CHECKED vck_status vck_executor_prepare(const struct vck_executor_options *options,
                                            struct vck_executor **ret_executor);

/* Is the worker of a prepared executor until shutdown has begun and the last task has ended.
 * One thread at a time and not one that is a worker of the same executor; returns at once when the
 * executor has ended. PASSIVE. */
void vck_executor_run(struct vck_executor *executor) VCK_CAN_WAIT;

/* Begins the end and does not wait: no task is spawned any more, those that are left are dropped on
 * their workers and their joins yield CANCELLED. May be called by a task, and again. DISPATCH. */
void vck_executor_shutdown(struct vck_executor *executor);

/* Shuts down, waits until every task has ended, and frees. Timers of its workers have been
 * finished, or at least cancelled, by their owners. Not called by one of its workers. Accepts NULL.
 * PASSIVE. */
void vck_executor_destroy(struct vck_executor *executor VCK_TAKES) VCK_CAN_WAIT;

/*
 * Starts a task: on the calling worker if that is one of the executor's, else on the next in turn.
 * Its future is polled on that worker and nowhere else. With ret_join the caller gets the join
 * handle; without one (NULL) the task is detached. DELETE_PENDING after shutdown began: the task is
 * still the caller's, and *ret_join untouched. DISPATCH.
 */
VCK_CHECKED vck_status vck_executor_spawn(struct vck_executor *executor, struct vck_task *task,
                                          struct vck_task_join *ret_join);

/* The executor, and the worker, whose task or completion the caller is; NULL when it is none, or
 * above PASSIVE. Any level. */
struct vck_executor *vck_executor_get_current(void);
struct vck_worker *vck_worker_get_current(void);

/* Any level. */
uint32_t vck_executor_worker_count(const struct vck_executor *executor);
/* index below the count. Borrowed from the executor. Any level. */
struct vck_worker *vck_executor_get_worker(struct vck_executor *executor, uint32_t index);
struct vck_executor *vck_worker_get_executor(struct vck_worker *worker);
/* What the worker sleeps in. Any level. */
struct vck_idle *vck_worker_get_idle(struct vck_worker *worker);

VCK_END_DECLS

#endif
