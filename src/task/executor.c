/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_internal.h"

#define EXECUTOR_TAG VCK_TAG('e', 'x', 'e', 'c')
#define LINE_BYTES   64u

/* ---- making ---- */

static struct vck_executor *allocate(uint32_t worker_count)
{
    size_t size_bytes = sizeof(struct vck_executor) + worker_count * sizeof(struct vck_worker);
    unsigned char *memory = vck_alloc(size_bytes + LINE_BYTES, EXECUTOR_TAG);
    struct vck_executor *executor;

    if (!memory)
        return NULL;
    executor =
        (struct vck_executor *)(void *)(memory + LINE_BYTES - (uintptr_t)memory % LINE_BYTES);
    executor->memory = memory;
    executor->worker_count = worker_count;
    return executor;
}

static vck_status make(const struct vck_executor_options *options, enum run_state run_state,
                       struct vck_executor **ret_executor)
{
    uint32_t worker_count = VCK_MAX(options->workers, 1u);
    struct vck_executor *executor;

    if (worker_count > VCK_WORKERS_MAX || (worker_count > 1 && options->idle))
        return VCK_INVALID_DATA;
    executor = allocate(worker_count);
    if (!executor)
        return VCK_NO_MEMORY;
    executor->run_state = run_state;
    vck_event_init(&executor->ran);
    for (uint32_t i = 0; i < worker_count; i++)
        worker_init(&executor->workers[i], executor, options->idle);
    *ret_executor = executor;
    return VCK_OK;
}

static const struct vck_executor_options defaults;

vck_status vck_executor_prepare(const struct vck_executor_options *options,
                                struct vck_executor **ret_executor)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!options)
        options = &defaults;
    if (options->workers > 1)
        return VCK_INVALID_DATA;
    return make(options, RUN_UNCLAIMED, ret_executor);
}

static void worker_main(void *context) VCK_CAN_WAIT
{
    worker_run(context);
}

static vck_status start(struct vck_executor *executor, const struct vck_executor_options *options)
{
    const char *name = options->name ? options->name : "vck-worker";
    vck_status status = VCK_OK;

    for (uint32_t i = 0; i < executor->worker_count && status == VCK_OK; i++)
        status = vck_thread_create(worker_main, &executor->workers[i], options->thread_class, name,
                                   &executor->workers[i].thread);
    return status;
}

vck_status vck_executor_create(const struct vck_executor_options *options,
                               struct vck_executor **ret_executor)
{
    struct vck_executor *executor = NULL;
    vck_status status;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!options)
        options = &defaults;
    status = make(options, RUN_BY_THREADS, &executor);
    if (status != VCK_OK)
        return status;
    status = start(executor, options);
    if (status != VCK_OK) {
        vck_executor_destroy(executor);
        return status;
    }
    *ret_executor = executor;
    return VCK_OK;
}

/* ---- running and ending ---- */

void vck_executor_run(struct vck_executor *executor)
{
    uint32_t expected = RUN_UNCLAIMED;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!__atomic_compare_exchange_n(&executor->run_state, &expected, RUN_CLAIMED, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        VCK_ASSERT(expected == RUN_ENDED);
        return;
    }
    worker_run(&executor->workers[0]);
    __atomic_store_n(&executor->run_state, RUN_ENDED, __ATOMIC_RELEASE);
    vck_event_set(&executor->ran);
}

void vck_executor_shutdown(struct vck_executor *executor)
{
    uint32_t worker_count = executor->worker_count;
    struct vck_worker *workers = executor->workers;

    /* Inside all of them, because the executor may be freed as soon as the last is left. */
    for (uint32_t i = 0; i < worker_count; i++)
        worker_enter(&workers[i]);
    __atomic_store_n(&executor->is_closing, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < worker_count; i++)
        worker_signal(&workers[i]);
    for (uint32_t i = 0; i < worker_count; i++)
        worker_leave(&workers[i]);
}

/* Somebody's run, and if there was none, ours. */
static void end_prepared(struct vck_executor *executor) VCK_CAN_WAIT
{
    if (__atomic_load_n(&executor->run_state, __ATOMIC_ACQUIRE) == RUN_UNCLAIMED)
        vck_executor_run(executor);
    (void)vck_event_wait(&executor->ran, VCK_FOREVER);
}

void vck_executor_destroy(struct vck_executor *executor)
{
    if (!executor)
        return;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(vck_executor_get_current() != executor);
    vck_executor_shutdown(executor);
    if (__atomic_load_n(&executor->run_state, __ATOMIC_RELAXED) != RUN_BY_THREADS)
        end_prepared(executor);
    for (uint32_t i = 0; i < executor->worker_count; i++) {
        if (executor->workers[i].thread)
            vck_thread_join(executor->workers[i].thread);
    }
    for (uint32_t i = 0; i < executor->worker_count; i++)
        worker_fini(&executor->workers[i]);
    vck_event_fini(&executor->ran);
    vck_free(executor->memory);
}

/* ---- spawning ---- */

static bool is_closing(const struct vck_executor *executor)
{
    return __atomic_load_n(&executor->is_closing, __ATOMIC_SEQ_CST) != 0;
}

static vck_status spawn_here(struct vck_worker *worker, struct vck_task *task,
                             struct vck_task_join *join)
{
    if (is_closing(worker->executor))
        return VCK_DELETE_PENDING;
    task_prepare(task, worker, join != NULL);
    worker_adopt(worker, task);
    if (join)
        task_join_init(join, task);
    return VCK_OK;
}

static vck_status spawn_there(struct vck_worker *worker, struct vck_task *task,
                              struct vck_task_join *join)
{
    vck_status status = VCK_DELETE_PENDING;

    worker_enter(worker);
    if (!is_closing(worker->executor)) {
        task_prepare(task, worker, join != NULL);
        task->shared |= TASK_NOTIFIED;
        /* Before the push: the task may be over when push returns. */
        if (join)
            task_join_init(join, task);
        vck_mpsc_push(&worker->notified, &task->notified);
        worker_signal(worker);
        status = VCK_OK;
    }
    worker_leave(worker);
    return status;
}

vck_status vck_executor_spawn(struct vck_executor *executor, struct vck_task *task,
                              struct vck_task_join *ret_join)
{
    struct vck_worker *here = vck_worker_get_current();
    uint32_t turn;

    if (here && here->executor == executor)
        return spawn_here(here, task, ret_join);
    turn = __atomic_fetch_add(&executor->next_worker, 1, __ATOMIC_RELAXED);
    return spawn_there(&executor->workers[turn % executor->worker_count], task, ret_join);
}

/* ---- who is who ---- */

struct vck_worker *vck_worker_get_current(void)
{
    return vck_worker_slot_get();
}

struct vck_executor *vck_executor_get_current(void)
{
    struct vck_worker *worker = vck_worker_get_current();

    return worker ? worker->executor : NULL;
}

uint32_t vck_executor_worker_count(const struct vck_executor *executor)
{
    return executor->worker_count;
}

struct vck_worker *vck_executor_get_worker(struct vck_executor *executor, uint32_t index)
{
    VCK_ASSERT(index < executor->worker_count);
    return &executor->workers[index];
}

struct vck_executor *vck_worker_get_executor(struct vck_worker *worker)
{
    return worker->executor;
}

struct vck_idle *vck_worker_get_idle(struct vck_worker *worker)
{
    return worker->idle;
}
