/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executor_internal: what tasks, workers, timers and the executor know of each other.
 *
 * A worker's run queue and everything else under "the worker's" is touched by its thread only.
 * Others push to `notified` and then look whether the worker sleeps. Whoever does so is counted in
 * `visitors` for that time: a worker ends when it has no tasks and no visitors, so its memory and
 * its idle are there until the last visitor has left.
 */
#ifndef VCK_TASK_EXECUTOR_INTERNAL_H
#define VCK_TASK_EXECUTOR_INTERNAL_H

#include "timer_wheel.h"
#include "vck/executor.h"

/* ---- the atomic word of a task ---- */

#define TASK_NOTIFIED                                                                              \
    ((uint64_t)1) /* in the worker's queue of wakes from elsewhere, or on the way */
#define TASK_CANCEL    ((uint64_t)2)  /* asked to end */
#define TASK_DONE      ((uint64_t)4)  /* has ended on its worker; all references are in the word */
#define TASK_JOINER    ((uint64_t)8)  /* task->joiner is valid; who clears this owns it */
#define TASK_JOINABLE  ((uint64_t)16) /* join answers READY */
#define TASK_REFERENCE ((uint64_t)32) /* the count's unit; signed until TASK_DONE */

/* task->state, the worker's */
enum task_state {
    TASK_NEW = 0,
    TASK_IDLE,
    TASK_QUEUED,
    TASK_RUNNING,
    TASK_RUNNING_WOKEN,
    TASK_ENDED,
};

/* ---- workers ---- */

struct event_idle {
    struct vck_idle idle;
    struct vck_event event;
};

struct vck_worker {
    /* the worker's */
    struct vck_task *first; /* the run queue */
    struct vck_task *last;
    struct vck_task *running;
    struct vck_link tasks; /* that have not ended */
    uint64_t task_count;   /* these, and ended ones with a notification on the way */
    uint32_t polls;        /* since idle's poll */
    bool is_closing;
    struct vck_executor *executor;
    struct vck_thread *thread; /* NULL: of a prepared executor */
    struct vck_idle *idle;
    struct event_idle event_idle; /* used unless the caller brought one */

    /* everybody's */
    VCK_ALIGNAS(64) struct vck_mpsc notified;
    uint32_t is_sleeping;
    uint32_t visitors;

    /* under timer_lock */
    VCK_ALIGNAS(64) struct vck_spinlock timer_lock;
    uint64_t planned_ns; /* when the worker looks at its timers by itself */
    struct vck_task_timer *expiring;
    struct vck_link expiry_waiters;
    struct timer_wheel timers;
};

enum run_state {
    RUN_BY_THREADS,
    RUN_UNCLAIMED, /* prepared: for whoever comes first */
    RUN_CLAIMED,
    RUN_ENDED,
};

struct vck_executor {
    void *memory; /* what was allocated; this starts at a cache line */
    uint32_t worker_count;
    uint32_t next_worker;
    uint32_t is_closing;
    uint32_t run_state; /* of a prepared executor */
    struct vck_event ran;
    VCK_ALIGNAS(64) struct vck_worker workers[];
};

static inline bool worker_is_current(const struct vck_worker *worker)
{
    return vck_worker_slot_get() == worker;
}

/* idle may be NULL. */
void worker_init(struct vck_worker *worker, struct vck_executor *executor, struct vck_idle *idle);
/* The worker has ended. */
void worker_fini(struct vck_worker *worker);
/* Runs tasks on this thread until the executor is closing and the last of them has ended. */
void worker_run(struct vck_worker *worker) VCK_CAN_WAIT;

/* Between them worker and idle stay. DISPATCH. */
void worker_enter(struct vck_worker *worker);
void worker_leave(struct vck_worker *worker);
/* Ends the worker's sleep after something it looks at has changed. Between enter and leave, or
 * where its memory is safe for another reason. DISPATCH. */
void worker_signal(struct vck_worker *worker);

/* Appends to the run queue. The worker's thread only. */
static inline void worker_queue(struct vck_worker *worker, struct vck_task *task)
{
    /* Should this poll be the last, it leaves the list of its siblings. */
    __builtin_prefetch(task->siblings.prev, 1);
    __builtin_prefetch(task->siblings.next, 1);
    task->state = TASK_QUEUED;
    task->next = NULL;
    if (worker->last)
        worker->last->next = task;
    else
        worker->first = task;
    worker->last = task;
}

/* Takes a task over that has just been spawned. The worker's thread only. */
void worker_adopt(struct vck_worker *worker, struct vck_task *task);

/* ---- tasks ---- */

/* Makes it known to a worker before it is spawned there. */
void task_prepare(struct vck_task *task, struct vck_worker *worker, bool is_joined);
void task_join_init(struct vck_task_join *join, struct vck_task *task);
/* Wakes a task on its own worker. */
void task_wake_here(struct vck_task *task);
/* The worker's thread polls a queued task, or ends it. */
void task_run(struct vck_task *task);
/* The worker's thread takes a notification from its queue. */
void task_take_notification(struct vck_task *task);

/* ---- timers ---- */

void worker_timers_init(struct vck_worker *worker);
/* Runs what has expired, up to a limit; true when more may be due. */
bool worker_timers_expire(struct vck_worker *worker);
/* Until when the worker may sleep; remembers it for those who arm timers. */
uint64_t worker_timers_plan(struct vck_worker *worker);

#endif
