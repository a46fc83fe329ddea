/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executor_test: futures that count what happens to them, scripts that run as a task, and an idle
 * that counts how it is used.
 */
#ifndef VCK_TASK_EXECUTOR_TEST_H
#define VCK_TASK_EXECUTOR_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include "port/posix/abort_test.h"

#include "executor_internal.h"
#include "vck/executor.h"
#include "vck/task.h"

#define MS ((uint64_t)1000000)

/* ---- executors ---- */

static inline struct vck_executor *create_executor(uint32_t workers) VCK_CAN_WAIT
{
    struct vck_executor_options options = {.workers = workers, .name = "test"};
    struct vck_executor *executor = NULL;

    assert_int_equal(vck_executor_create(&options, &executor), VCK_OK);
    return executor;
}

static inline struct vck_executor *prepare_executor(struct vck_idle *idle)
{
    struct vck_executor_options options = {.idle = idle};
    struct vck_executor *executor = NULL;

    assert_int_equal(vck_executor_prepare(&options, &executor), VCK_OK);
    return executor;
}

static inline vck_status wait_for(struct vck_task_join *join) VCK_CAN_WAIT
{
    vck_block_on(&join->future);
    return join->status;
}

static size_t live_before;

static inline int count_live(void **state)
{
    (void)state;
    live_before = vck_alloc_live_count();
    return 0;
}

/* Each test ends with the memory it began with. */
static inline int expect_no_leak(void **state)
{
    (void)state;
    return vck_alloc_live_count() == live_before ? 0 : -1;
}

/* How long the tests that hammer take. */
static inline uint64_t stress_until_ns(void)
{
    const char *seconds = getenv("VCK_STRESS_SECONDS");

    return vck_clock_ns() + (seconds ? strtoull(seconds, NULL, 10) * 1000 : 1000) * MS;
}

/* ---- a future that counts ---- */

struct probe {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    int polls;
    int drops;
    int ready_at;       /* the poll that is READY; 0: none */
    int wakes_per_poll; /* of itself */
    bool keeps_waker;   /* of the first poll, in kept */
    struct vck_waker kept;
    vck_status status; /* what it sets at its end */
    struct vck_worker *worker;
};

static inline void probe_drop(struct vck_future *self)
{
    struct probe *probe = VCK_CONTAINER_OF(self, struct probe, future);

    probe->worker = vck_worker_get_current();
    __atomic_add_fetch(&probe->drops, 1, __ATOMIC_RELEASE);
}

static inline enum vck_poll probe_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct probe *probe = VCK_CONTAINER_OF(self, struct probe, future);
    int polls = probe->polls + 1;

    probe->worker = vck_worker_get_current();
    if (probe->keeps_waker && polls == 1)
        probe->kept = waker->ops->clone(waker->data);
    if (polls == probe->ready_at)
        vck_task_set_status(probe->status);
    else
        for (int i = 0; i < probe->wakes_per_poll; i++)
            waker->ops->wake(waker->data);
    /* Last: whoever waits for the count may look at the rest. */
    __atomic_store_n(&probe->polls, polls, __ATOMIC_RELEASE);
    return polls == probe->ready_at ? VCK_READY : VCK_PENDING;
}

static inline void probe_init(struct probe *probe, int ready_at, int wakes_per_poll)
{
    memset(probe, 0, sizeof(*probe));
    probe->future = (struct vck_future){.poll = probe_poll, .drop = probe_drop};
    probe->ready_at = ready_at;
    probe->wakes_per_poll = wakes_per_poll;
    vck_task_init(&probe->task, &probe->future);
}

static inline void probe_spawn(struct probe *probe, struct vck_executor *executor)
{
    assert_int_equal(vck_executor_spawn(executor, &probe->task, &probe->join), VCK_OK);
}

static inline void wait_for_polls(const struct probe *probe, int polls)
{
    while (__atomic_load_n(&probe->polls, __ATOMIC_ACQUIRE) < polls)
        vck_thread_yield();
}

static inline void use_waker(struct vck_waker *waker, int wakes)
{
    for (int i = 0; i < wakes; i++)
        waker->ops->wake(waker->data);
}

static inline void drop_waker(struct vck_waker *waker)
{
    waker->ops->drop(waker->data);
}

/* ---- a script: one step per turn of its task ---- */

struct script {
    struct vck_future future;
    struct vck_task task;
    int step;
    /* False ends it, and with it the executor. */
    bool (*run_step)(int step, void *context);
    void *context;
};

static inline enum vck_poll script_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct script *script = VCK_CONTAINER_OF(self, struct script, future);

    if (!script->run_step(script->step++, script->context)) {
        vck_executor_shutdown(vck_executor_get_current());
        return VCK_READY;
    }
    waker->ops->wake(waker->data);
    return VCK_PENDING;
}

/* Runs it on this thread. idle may be NULL. */
static inline void run_script(bool (*run_step)(int step, void *context), void *context,
                              struct vck_idle *idle) VCK_CAN_WAIT
{
    struct script script = {
        .future = {.poll = script_poll}, .run_step = run_step, .context = context};
    struct vck_executor *executor = prepare_executor(idle);
    struct vck_task_join join;

    vck_task_init(&script.task, &script.future);
    assert_int_equal(vck_executor_spawn(executor, &script.task, &join), VCK_OK);
    vck_executor_run(executor);
    assert_int_equal(wait_for(&join), VCK_OK);
    vck_executor_destroy(executor);
}

/* ---- an idle that counts ---- */

struct counting_idle {
    struct vck_idle idle;
    struct vck_event event;
    int waits;
    int polls;
    int wakes;
    bool is_waiting;
};

static inline void counting_wait(struct vck_idle *idle, uint64_t deadline_ns) VCK_NO_ANALYSIS
{
    struct counting_idle *self = VCK_CONTAINER_OF(idle, struct counting_idle, idle);

    __atomic_add_fetch(&self->waits, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&self->is_waiting, true, __ATOMIC_RELEASE);
    (void)vck_event_wait(&self->event, deadline_ns);
    __atomic_store_n(&self->is_waiting, false, __ATOMIC_RELEASE);
}

static inline void counting_poll(struct vck_idle *idle)
{
    VCK_CONTAINER_OF(idle, struct counting_idle, idle)->polls++;
}

static inline void counting_wake(struct vck_idle *idle)
{
    struct counting_idle *self = VCK_CONTAINER_OF(idle, struct counting_idle, idle);

    __atomic_add_fetch(&self->wakes, 1, __ATOMIC_RELEASE);
    vck_event_set(&self->event);
}

static const struct vck_idle_ops counting_idle_ops = {counting_wait, counting_poll, counting_wake};

static inline void counting_idle_init(struct counting_idle *idle)
{
    memset(idle, 0, sizeof(*idle));
    idle->idle.ops = &counting_idle_ops;
    vck_event_init(&idle->event);
}

static inline void wait_until_idle(struct counting_idle *idle)
{
    while (!__atomic_load_n(&idle->is_waiting, __ATOMIC_ACQUIRE))
        vck_thread_yield();
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, count_live, expect_no_leak)

#endif
