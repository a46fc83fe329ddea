/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: one future and what an executor needs to run it. Everything is in the struct, so that
 * nothing is allocated to queue or wake it.
 *
 *              spawn              taken from the queue
 *     new ---------------> queued ------------------> running --READY--> done
 *                            ^  ^                     |  |  |
 *                       wake |  +--- PENDING, woken --+  |  +--- cancel: dropped ---> done
 *                            |                           |                     (CANCELLED)
 *                            +--------- idle <-----------+ PENDING
 *
 * A task that is queued is not queued twice; a wake while it is polled queues it again afterwards;
 * a wake after its end does nothing. Its own worker changes these states and nobody else reads
 * them; other threads speak to a task through one atomic word, which holds "notified", "cancel",
 * "done" and the references.
 *
 * References: the executor holds one until the task has ended, every waker one, and, for a task
 * from vck_task_create, the join handle one.
 */
#ifndef VCK_TASK_H
#define VCK_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/future.h"
#include "vck/list.h"
#include "vck/queue.h"

VCK_BEGIN_DECLS

struct vck_worker;

struct vck_task {
    struct vck_mpsc_node notified; /* in its worker's queue of wakes from elsewhere */
    struct vck_task *next;         /* in its worker's run queue */
    struct vck_future *future;
    struct vck_worker *worker;
    struct vck_link siblings;  /* all tasks of the worker */
    struct vck_waker joiner;   /* valid while `shared` says so */
    uint64_t shared;           /* the atomic word */
    int32_t worker_references; /* taken less dropped on the worker: not yet in `shared` */
    uint8_t state;             /* the worker's */
    uint8_t status;            /* a vck_status: what join yields */
    bool is_allocated;
};

/*
 * A join handle: a future that is READY when the task has ended. status is then OK or what the task
 * set, or CANCELLED. The first poll may come on any thread. Dropping it detaches the task. Polled
 * after READY it is READY again.
 *
 * READY means for a task in the caller's storage that the storage is the caller's again: whoever
 * keeps a waker of the task delays it. A task from vck_task_create is freed with its last
 * reference, the future with it; results go to where the future was told to put them.
 */
struct vck_task_join {
    struct vck_future future;
    struct vck_task *task; /* NULL: consumed */
    vck_status status;     /* once READY */
    bool is_registered;
};

/* A task in the caller's storage around a future that has not been polled. Both stay until the
 * join is READY; when it is detached, until the executor is destroyed and every waker dropped.
 * A task may be initialised and spawned again after that. Any level. */
void vck_task_init(struct vck_task *task, struct vck_future *future);

/* A task with future_bytes of zeroed memory for its future (at least a struct vck_future), at
 * task->future, aligned to 16 bytes; the caller fills it in and spawns the task. NO_MEMORY.
 * DISPATCH. */
VCK_CHECKED vck_status vck_task_create(size_t future_bytes, struct vck_task **ret_task);
/* Frees one that was not spawned; nothing is dropped. Accepts NULL. DISPATCH. */
void vck_task_destroy(struct vck_task *task VCK_TAKES);

/* The join handle of a task in the caller's storage that was spawned without one. A task has one in
 * its life. DISPATCH. */
void vck_task_join_init(struct vck_task_join *join, struct vck_task *task);

/* Asks the task to end: unless its poll under way is READY, its future is dropped on its worker and
 * the join yields CANCELLED. The future's drop runs also when it was never polled. The caller holds
 * a reference or the join handle. Idempotent, harmless after the end. DISPATCH. */
void vck_task_cancel(struct vck_task *task);
/* The same through the handle, which stays; harmless on one that is consumed. DISPATCH. */
void vck_task_join_cancel(struct vck_task_join *join);

/* A reference to a task that was spawned, for as long as a pointer is kept. For a task in the
 * caller's storage it delays the join as a waker does. DISPATCH. */
void vck_task_ref(struct vck_task *task);
void vck_task_unref(struct vck_task *task VCK_TAKES);

/* The task the caller is polled or dropped by, NULL when it is none. Borrowed. Any level. */
struct vck_task *vck_task_get_current(void);
/* What join yields if the current task ends READY; OK unless set. In a task only. PASSIVE. */
void vck_task_set_status(vck_status status);

/* Lets the others go first: PENDING once, woken at once. Under vck_block_on, too. */
struct vck_yield {
    struct vck_future future;
    bool has_yielded;
};

void vck_yield_init(struct vck_yield *yield);

VCK_END_DECLS

#endif
