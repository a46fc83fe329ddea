/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_internal.h"

#define POLLS_PER_ROUND         64u
#define NOTIFICATIONS_PER_ROUND 256u
/* How long a worker that ends waits for a visitor that is on its way out. */
#define VISITOR_WAIT_NS (50u * 1000u)

/* ---- the default idle: an event ---- */

static void event_wait(struct vck_idle *idle, uint64_t deadline_ns) VCK_NO_ANALYSIS
{
    struct event_idle *self = VCK_CONTAINER_OF(idle, struct event_idle, idle);

    (void)vck_event_wait(&self->event, deadline_ns);
}

static void event_poll(struct vck_idle *idle)
{
    (void)idle;
}

static void event_wake(struct vck_idle *idle)
{
    struct event_idle *self = VCK_CONTAINER_OF(idle, struct event_idle, idle);

    vck_event_set(&self->event);
}

static const struct vck_idle_ops event_idle_ops = {event_wait, event_poll, event_wake};

/* ---- making ---- */

void worker_init(struct vck_worker *worker, struct vck_executor *executor, struct vck_idle *idle)
{
    worker->executor = executor;
    worker->event_idle.idle.ops = &event_idle_ops;
    vck_event_init(&worker->event_idle.event);
    worker->idle = idle ? idle : &worker->event_idle.idle;
    vck_link_init(&worker->tasks);
    vck_mpsc_init(&worker->notified);
    worker_timers_init(worker);
}

void worker_fini(struct vck_worker *worker)
{
    VCK_ASSERT(worker->task_count == 0 && worker->visitors == 0);
    VCK_ASSERT(timer_wheel_is_empty(&worker->timers));
    vck_event_fini(&worker->event_idle.event);
}

/* ---- visitors ---- */

void worker_enter(struct vck_worker *worker)
{
    (void)__atomic_fetch_add(&worker->visitors, 1, __ATOMIC_SEQ_CST);
}

void worker_leave(struct vck_worker *worker)
{
    (void)__atomic_fetch_sub(&worker->visitors, 1, __ATOMIC_RELEASE);
}

void worker_signal(struct vck_worker *worker)
{
    /* Pairs with the fence in go_to_sleep: either this sees the sleeper or the sleeper the change.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&worker->is_sleeping, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&worker->is_sleeping, 0, __ATOMIC_ACQ_REL))
        worker->idle->ops->wake(worker->idle);
}

/* ---- the run queue ---- */

void worker_adopt(struct vck_worker *worker, struct vck_task *task)
{
    worker->task_count++;
    vck_list_push_back(&worker->tasks, &task->siblings);
    worker_queue(worker, task);
}

static bool take_notifications(struct vck_worker *worker)
{
    struct vck_mpsc_node *node;
    bool any = false;

    for (unsigned i = 0; i < NOTIFICATIONS_PER_ROUND; i++) {
        node = vck_mpsc_pop(&worker->notified);
        if (!node)
            break;
        task_take_notification(VCK_CONTAINER_OF(node, struct vck_task, notified));
        any = true;
    }
    return any;
}

static void run_some(struct vck_worker *worker)
{
    for (unsigned i = 0; i < POLLS_PER_ROUND && worker->first; i++) {
        struct vck_task *task = worker->first;

        worker->first = task->next;
        if (!worker->first)
            worker->last = NULL;
        __builtin_prefetch(worker->first);
        worker->polls++;
        task_run(task);
    }
    if (worker->polls >= POLLS_PER_ROUND) {
        worker->polls = 0;
        worker->idle->ops->poll(worker->idle);
    }
}

/* ---- the end ---- */

static bool executor_is_closing(const struct vck_worker *worker)
{
    return __atomic_load_n(&worker->executor->is_closing, __ATOMIC_SEQ_CST) != 0;
}

/* Each task gets a last turn, in which it is dropped. */
static void begin_closing(struct vck_worker *worker)
{
    worker->is_closing = true;
    VCK_LIST_FOR_EACH(link, next, &worker->tasks)
    task_wake_here(VCK_CONTAINER_OF(link, struct vck_task, siblings));
}

/* Whoever entered before the closing was seen may still have something to push; nobody does later
 * who is not counted by a task. */
static bool has_ended(struct vck_worker *worker)
{
    return worker->is_closing && worker->task_count == 0 &&
           __atomic_load_n(&worker->visitors, __ATOMIC_SEQ_CST) == 0 && !take_notifications(worker);
}

/* ---- the loop ---- */

static void go_to_sleep(struct vck_worker *worker)
{
    uint64_t deadline_ns;

    __atomic_store_n(&worker->is_sleeping, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (take_notifications(worker) || executor_is_closing(worker) != worker->is_closing) {
        __atomic_store_n(&worker->is_sleeping, 0, __ATOMIC_RELAXED);
        return;
    }
    deadline_ns = worker_timers_plan(worker);
    if (worker->is_closing && worker->task_count == 0)
        deadline_ns = VCK_MIN(deadline_ns, vck_clock_ns() + VISITOR_WAIT_NS);
    worker->idle->ops->wait(worker->idle, deadline_ns);
    __atomic_store_n(&worker->is_sleeping, 0, __ATOMIC_RELAXED);
    worker->polls = 0;
}

void worker_run(struct vck_worker *worker)
{
    void *outer = vck_worker_slot_get();

    vck_worker_slot_set(worker);
    for (;;) {
        run_some(worker);
        (void)take_notifications(worker);
        if (!worker->is_closing && executor_is_closing(worker))
            begin_closing(worker);
        if (worker_timers_expire(worker) || worker->first)
            continue;
        if (has_ended(worker))
            break;
        if (!worker->first)
            go_to_sleep(worker);
    }
    vck_worker_slot_set(outer);
}
