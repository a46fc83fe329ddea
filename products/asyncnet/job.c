/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

/* ---- the end ---- */

struct watcher {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_group_wait wait;
    struct job *job;
};

static enum vck_poll watcher_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct watcher *watcher = VCK_CONTAINER_OF(self, struct watcher, future);
    struct job *job = watcher->job;

    VCK_CO_BEGIN(&watcher->co);
    VCK_CO_AWAIT(&watcher->co, &watcher->wait.future, waker);
    vck_task_group_close(&job->group);
    job->end_ns = vck_clock_ns();
    job->ended(job);
    VCK_CO_END(&watcher->co);
}

static vck_status watch(struct job *job)
{
    struct watcher *watcher;
    struct vck_task *task;
    vck_status status = vck_task_create(sizeof(*watcher), &task);

    if (status)
        return status;
    watcher = VCK_CONTAINER_OF(task->future, struct watcher, future);
    watcher->future.poll = watcher_poll;
    watcher->job = job;
    vck_group_wait_init(&watcher->wait, &job->group);
    status = vck_executor_spawn(job->executor, task, NULL);
    if (status)
        vck_task_destroy(task);
    return status;
}

/* ---- the job ---- */

vck_status job_begin(struct job *job, struct vck_executor *executor, void (*ended)(struct job *job))
{
    vck_status status;

    *job = (struct job){.executor = executor, .ended = ended, .begin_ns = vck_clock_ns()};
    vck_task_group_init(&job->group);
    status = vck_task_group_enter(&job->group);
    return status ? status : watch(job);
}

void job_go(struct job *job)
{
    vck_task_group_leave(&job->group);
}

void job_cancel(struct job *job)
{
    __atomic_store_n(&job->is_cancelled, 1, __ATOMIC_SEQ_CST);
    vck_task_group_cancel(&job->group);
}

bool job_is_cancelled(const struct job *job)
{
    return __atomic_load_n(&job->is_cancelled, __ATOMIC_SEQ_CST) != 0;
}

vck_status job_enter(struct job *job)
{
    return vck_task_group_enter(&job->group);
}

void job_leave(struct job *job)
{
    vck_task_group_leave(&job->group);
}

/* ---- its tasks ---- */

vck_status job_task_create(size_t size_bytes,
                           enum vck_poll (*poll)(struct vck_future *self,
                                                 const struct vck_waker *waker),
                           void (*drop)(struct vck_future *self), struct job_task **ret_task)
{
    struct vck_task *task;
    struct job_task *made;
    vck_status status = vck_task_create(size_bytes, &task);

    if (status)
        return status;
    made = VCK_CONTAINER_OF(task->future, struct job_task, member.future);
    made->future = (struct vck_future){.poll = poll, .drop = drop};
    made->task = task;
    *ret_task = made;
    return VCK_OK;
}

vck_status job_task_spawn(struct job *job, struct job_task *task)
{
    vck_status status = vck_group_member_init(&task->member, &job->group, &task->future);

    if (status)
        goto out;
    status = vck_executor_spawn(job->executor, task->task, NULL);
    if (status) {
        task->future.drop = NULL;
        vck_future_drop(&task->member.future);
    }
out:
    if (status)
        vck_task_destroy(task->task);
    return status;
}
