/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How references are counted: those taken and dropped on the task's own worker in a plain counter,
 * the others in the atomic word. Neither alone says anything while the task lives, but then the
 * executor's reference is there; at the task's end the worker adds its counter to the word, and
 * from then on everybody counts in the word.
 */
#include "executor_internal.h"
#include "vck/wait_list.h"

#define TASK_TAG VCK_TAG('t', 'a', 's', 'k')

static uint64_t load(const struct vck_task *task)
{
    return __atomic_load_n(&task->shared, __ATOMIC_ACQUIRE);
}

/* ---- making ---- */

void vck_task_init(struct vck_task *task, struct vck_future *future)
{
    memset(task, 0, sizeof(*task));
    task->future = future;
}

struct allocated_task {
    struct vck_task task;
    VCK_ALIGNAS(16) unsigned char future[];
};

vck_status vck_task_create(size_t future_bytes, struct vck_task **ret_task)
{
    struct allocated_task *made = NULL;

    if (future_bytes < sizeof(struct vck_future) ||
        future_bytes > SIZE_MAX - sizeof(struct allocated_task))
        return VCK_INVALID_DATA;
    made = vck_alloc(sizeof(*made) + future_bytes, TASK_TAG);
    if (!made)
        return VCK_NO_MEMORY;
    made->task.future = (struct vck_future *)(void *)made->future;
    made->task.is_allocated = true;
    *ret_task = &made->task;
    return VCK_OK;
}

void vck_task_destroy(struct vck_task *task)
{
    if (!task)
        return;
    VCK_ASSERT(task->is_allocated && task->worker == NULL);
    vck_free(task);
}

void task_prepare(struct vck_task *task, struct vck_worker *worker, bool is_joined)
{
    uint64_t references = 1u + (task->is_allocated && is_joined);

    task->worker = worker;
    task->state = TASK_NEW;
    task->status = VCK_OK;
    task->worker_references = 0;
    __atomic_store_n(&task->shared, references * TASK_REFERENCE, __ATOMIC_RELAXED);
}

/* ---- the end ---- */

/* Takes the joiner's waker if there is one; a joiner that finds it taken comes again. */
static bool take_joiner(struct vck_task *task, struct vck_waker *ret_waker)
{
    uint64_t before = __atomic_fetch_and(&task->shared, ~TASK_JOINER, __ATOMIC_ACQ_REL);

    if (before & TASK_JOINER)
        *ret_waker = task->joiner;
    return (before & TASK_JOINER) != 0;
}

/* Nobody refers to it any more. Storage of the caller's is the caller's once JOINABLE is seen, so
 * the joiner's waker is out before. */
static void last_reference_gone(struct vck_task *task)
{
    struct vck_waker joiner = vck_waker_noop;
    uint64_t seen = load(task);

    if (task->is_allocated) {
        vck_free(task);
        return;
    }
    do {
        if (seen & TASK_JOINER) {
            (void)take_joiner(task, &joiner);
            seen &= ~TASK_JOINER;
        }
    } while (!__atomic_compare_exchange_n(&task->shared, &seen, seen | TASK_JOINABLE, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    vck_waker_wake_and_drop(joiner);
}

static void unref_shared(struct vck_task *task)
{
    uint64_t before = load(task);

    /* The only reference is the caller's: nobody can change the word any more. */
    if (task->is_allocated && (before & TASK_DONE) && before / TASK_REFERENCE == 1) {
        vck_free(task);
        return;
    }
    before = __atomic_fetch_sub(&task->shared, TASK_REFERENCE, __ATOMIC_ACQ_REL);
    if ((before & TASK_DONE) == 0)
        return;
    VCK_ASSERT(before / TASK_REFERENCE != 0);
    if (before / TASK_REFERENCE == 1)
        last_reference_gone(task);
}

/* The executor's reference goes, and with it the task from its worker's view. */
static void release(struct vck_task *task)
{
    task->worker->task_count--;
    unref_shared(task);
}

/* What the word becomes at the task's end. The executor's reference goes with it unless it is still
 * needed: by a notification on the way, or to hand over an allocated task's joiner. */
static uint64_t ended(const struct vck_task *task, uint64_t word)
{
    word += (uint64_t)(int64_t)task->worker_references * TASK_REFERENCE + TASK_DONE;
    if (task->is_allocated)
        word |= TASK_JOINABLE;
    if ((word & TASK_NOTIFIED) || (task->is_allocated && (word & TASK_JOINER)))
        return word;
    word -= TASK_REFERENCE;
    if (task->is_allocated || word / TASK_REFERENCE != 0)
        return word;
    /* Only the joiner still knows the task: it is let go now, or once its waker is out. */
    return word & TASK_JOINER ? word & ~TASK_JOINER : word | TASK_JOINABLE;
}

static const struct vck_waker_ops task_waker_ops;

/* The joiner is mostly a task of the same worker, which is the caller. */
static void wake_joiner(struct vck_worker *worker, struct vck_waker waker)
{
    struct vck_task *task = waker.data;

    if (waker.ops != &task_waker_ops || task->worker != worker || task->state == TASK_ENDED) {
        vck_waker_wake_and_drop(waker);
        return;
    }
    task_wake_here(task);
    task->worker_references--;
}

static void finish_allocated(struct vck_worker *worker, struct vck_task *task, uint64_t after)
{
    struct vck_waker joiner;

    if ((after & TASK_JOINER) && take_joiner(task, &joiner))
        wake_joiner(worker, joiner);
    if ((after & (TASK_NOTIFIED | TASK_JOINER)) == TASK_JOINER)
        unref_shared(task);
    else if (after / TASK_REFERENCE == 0)
        last_reference_gone(task);
}

static void finish_own(struct vck_worker *worker, struct vck_task *task, uint64_t after)
{
    struct vck_waker joiner;

    if (after / TASK_REFERENCE != 0 || (after & TASK_JOINABLE))
        return;
    joiner = task->joiner;
    /* A cancel that is overwritten came after the end. */
    __atomic_store_n(&task->shared, after | TASK_JOINABLE, __ATOMIC_RELEASE);
    wake_joiner(worker, joiner);
}

static void finish(struct vck_task *task, vck_status status)
{
    struct vck_worker *worker = task->worker;
    bool is_allocated = task->is_allocated;
    uint64_t before = load(task);
    uint64_t after;

    vck_link_remove(&task->siblings);
    task->state = TASK_ENDED;
    task->status = (uint8_t)status;
    do
        after = ended(task, before);
    while (!__atomic_compare_exchange_n(&task->shared, &before, after, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE));
    /* From here on the task is ours only as far as `after` says. */
    if ((after & TASK_NOTIFIED) == 0)
        worker->task_count--;
    if (is_allocated)
        finish_allocated(worker, task, after);
    else
        finish_own(worker, task, after);
}

/* ---- running ---- */

static bool is_here(const struct vck_task *task)
{
    return worker_is_current(task->worker) && task->state != TASK_ENDED;
}

void task_run(struct vck_task *task)
{
    struct vck_worker *worker = task->worker;
    struct vck_waker waker = {.ops = &task_waker_ops, .data = task};

    task->state = TASK_RUNNING;
    worker->running = task;
    if ((load(task) & TASK_CANCEL) || worker->is_closing) {
        vck_future_drop(task->future);
        finish(task, VCK_CANCELLED);
    } else if (vck_future_poll(task->future, &waker) == VCK_READY) {
        finish(task, (vck_status)task->status);
    } else if (task->state == TASK_RUNNING_WOKEN) {
        worker_queue(worker, task);
    } else {
        task->state = TASK_IDLE;
    }
    worker->running = NULL;
}

void task_wake_here(struct vck_task *task)
{
    if (task->state == TASK_IDLE)
        worker_queue(task->worker, task);
    else if (task->state == TASK_RUNNING)
        task->state = TASK_RUNNING_WOKEN;
}

static void wake_from_elsewhere(struct vck_task *task)
{
    struct vck_worker *worker = task->worker;
    uint64_t before = __atomic_fetch_or(&task->shared, TASK_NOTIFIED, __ATOMIC_ACQ_REL);

    if (before & (TASK_NOTIFIED | TASK_DONE))
        return;
    worker_enter(worker);
    vck_mpsc_push(&worker->notified, &task->notified);
    worker_signal(worker);
    worker_leave(worker);
}

void task_take_notification(struct vck_task *task)
{
    (void)__atomic_fetch_and(&task->shared, ~TASK_NOTIFIED, __ATOMIC_ACQ_REL);
    if (task->state == TASK_NEW)
        worker_adopt(task->worker, task);
    else if (task->state == TASK_ENDED)
        release(task);
    else
        task_wake_here(task);
}

/* ---- wakers ---- */

void vck_task_ref(struct vck_task *task)
{
    if (is_here(task))
        task->worker_references++;
    else
        (void)__atomic_fetch_add(&task->shared, TASK_REFERENCE, __ATOMIC_RELAXED);
}

void vck_task_unref(struct vck_task *task)
{
    if (is_here(task))
        task->worker_references--;
    else
        unref_shared(task);
}

static struct vck_waker waker_clone(void *data)
{
    vck_task_ref(data);
    return (struct vck_waker){.ops = &task_waker_ops, .data = data};
}

static void waker_wake(void *data)
{
    struct vck_task *task = data;

    if (is_here(task))
        task_wake_here(task);
    else
        wake_from_elsewhere(task);
}

static void waker_drop(void *data)
{
    vck_task_unref(data);
}

static void waker_wake_and_drop(void *data)
{
    struct vck_task *task = data;

    if (is_here(task)) {
        task_wake_here(task);
        task->worker_references--;
        return;
    }
    wake_from_elsewhere(task);
    vck_task_unref(task);
}

static const struct vck_waker_ops task_waker_ops = {
    .clone = waker_clone,
    .wake = waker_wake,
    .drop = waker_drop,
    .wake_and_drop = waker_wake_and_drop,
};

/* ---- from outside ---- */

void vck_task_cancel(struct vck_task *task)
{
    (void)__atomic_fetch_or(&task->shared, TASK_CANCEL, __ATOMIC_ACQ_REL);
    waker_wake(task);
}

struct vck_task *vck_task_get_current(void)
{
    struct vck_worker *worker = vck_worker_get_current();

    return worker ? worker->running : NULL;
}

void vck_task_set_status(vck_status status)
{
    struct vck_task *task = vck_task_get_current();

    VCK_ASSERT(task != NULL);
    task->status = (uint8_t)status;
}

/* ---- yield ---- */

static enum vck_poll yield_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_yield *yield = VCK_CONTAINER_OF(self, struct vck_yield, future);

    if (yield->has_yielded)
        return VCK_READY;
    yield->has_yielded = true;
    waker->ops->wake(waker->data);
    return VCK_PENDING;
}

void vck_yield_init(struct vck_yield *yield)
{
    *yield = (struct vck_yield){.future = {.poll = yield_poll}};
}
