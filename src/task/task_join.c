/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The joiner's waker is in the task. The joiner writes it while TASK_JOINER is clear and then sets
 * the bit; whoever clears the bit owns the waker. The task's end clears it at most once, so a
 * joiner that finds its bit cleared knows that JOINABLE follows within a few instructions.
 */
#include "executor_internal.h"

static void consume(struct vck_task_join *join)
{
    struct vck_task *task = join->task;

    join->task = NULL;
    join->status = (vck_status)task->status;
    if (task->is_allocated)
        vck_task_unref(task);
}

static bool is_same(const struct vck_waker *a, const struct vck_waker *b)
{
    return a->ops == b->ops && a->data == b->data;
}

/* Takes the waker back; false when the task's end was faster. */
static bool withdraw(struct vck_task_join *join)
{
    struct vck_task *task = join->task;
    uint64_t before = __atomic_fetch_and(&task->shared, ~TASK_JOINER, __ATOMIC_ACQ_REL);
    struct vck_waker waker;

    if ((before & TASK_JOINER) == 0)
        return false;
    waker = task->joiner;
    join->is_registered = false;
    waker.ops->drop(waker.data);
    return true;
}

/* Leaves the waker with the task; false when the task has ended meanwhile. */
static bool leave_waker(struct vck_task_join *join, const struct vck_waker *waker)
{
    struct vck_task *task = join->task;
    struct vck_waker clone = waker->ops->clone(waker->data);
    uint64_t before = __atomic_load_n(&task->shared, __ATOMIC_ACQUIRE);

    task->joiner = clone;
    while ((before & TASK_JOINABLE) == 0) {
        if (__atomic_compare_exchange_n(&task->shared, &before, before | TASK_JOINER, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            join->is_registered = true;
            return true;
        }
    }
    clone.ops->drop(clone.data);
    return false;
}

static bool is_joinable(const struct vck_task *task)
{
    return (__atomic_load_n(&task->shared, __ATOMIC_ACQUIRE) & TASK_JOINABLE) != 0;
}

static enum vck_poll join_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_task_join *join = VCK_CONTAINER_OF(self, struct vck_task_join, future);

    if (!join->task)
        return VCK_READY;
    if (is_joinable(join->task)) {
        consume(join);
        return VCK_READY;
    }
    if (join->is_registered) {
        if (is_same(&join->task->joiner, waker))
            return VCK_PENDING;
        if (!withdraw(join)) {
            waker->ops->wake(waker->data);
            return VCK_PENDING;
        }
    }
    if (leave_waker(join, waker))
        return VCK_PENDING;
    consume(join);
    return VCK_READY;
}

static void join_drop(struct vck_future *self)
{
    struct vck_task_join *join = VCK_CONTAINER_OF(self, struct vck_task_join, future);
    struct vck_task *task = join->task;

    if (!task)
        return;
    if (join->is_registered)
        (void)withdraw(join);
    join->task = NULL;
    if (task->is_allocated)
        vck_task_unref(task);
}

void task_join_init(struct vck_task_join *join, struct vck_task *task)
{
    *join = (struct vck_task_join){
        .future = {.poll = join_poll, .drop = join_drop},
        .task = task,
    };
}

void vck_task_join_init(struct vck_task_join *join, struct vck_task *task)
{
    /* The handle of an allocated task is one of its references. */
    VCK_ASSERT(!task->is_allocated && task->worker != NULL);
    task_join_init(join, task);
}

void vck_task_join_cancel(struct vck_task_join *join)
{
    if (join->task)
        vck_task_cancel(join->task);
}
