/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_test.h"
#include "vck/coroutine.h"
#include "vck/sleep.h"

/* ---- spawn and join ---- */

static void a_task_runs_to_its_end_and_is_joined(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(0);
    struct probe probe;

    (void)state;
    probe_init(&probe, 3, 1);
    probe_spawn(&probe, executor);
    assert_int_equal(wait_for(&probe.join), VCK_OK);
    assert_int_equal(probe.polls, 3);
    assert_int_equal(probe.drops, 0);
    assert_ptr_equal(probe.worker, vck_executor_get_worker(executor, 0));
    vck_executor_destroy(executor);
}

static void join_yields_the_status_the_task_set(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct probe probe;

    (void)state;
    probe_init(&probe, 1, 0);
    probe.status = VCK_DAMAGED;
    probe_spawn(&probe, executor);
    assert_int_equal(wait_for(&probe.join), VCK_DAMAGED);
    vck_executor_destroy(executor);
}

static void join_polled_after_ready_is_ready_again(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct probe probe;

    (void)state;
    probe_init(&probe, 1, 0);
    probe_spawn(&probe, executor);
    assert_int_equal(wait_for(&probe.join), VCK_OK);
    assert_int_equal(vck_future_poll(&probe.join.future, &vck_waker_noop), VCK_READY);
    vck_task_join_cancel(&probe.join);
    vck_future_drop(&probe.join.future);
    assert_int_equal(probe.join.status, VCK_OK);
    vck_executor_destroy(executor);
}

/* A join handle that goes from one waiter to another. */
static void join_wakes_who_polled_last(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct probe probe;

    (void)state;
    probe_init(&probe, 2, 0);
    probe.keeps_waker = true;
    probe_spawn(&probe, executor);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vck_future_poll(&probe.join.future, &vck_waker_noop), VCK_PENDING);
    wait_for_polls(&probe, 1);
    use_waker(&probe.kept, 1);
    drop_waker(&probe.kept);
    assert_int_equal(wait_for(&probe.join), VCK_OK);
    vck_executor_destroy(executor);
}

/* An allocated task: a probe's future in memory of the task's. */
static struct probe *make_allocated(int ready_at, int wakes_per_poll, struct vck_task **ret_task)
{
    struct probe *probe;

    assert_int_equal(vck_task_create(sizeof(struct probe), ret_task), VCK_OK);
    probe = VCK_CONTAINER_OF((*ret_task)->future, struct probe, future);
    assert_int_equal((uintptr_t)probe % 16, 0);
    probe_init(probe, ready_at, wakes_per_poll);
    return probe;
}

static void an_allocated_task_goes_with_its_last_reference(void **state) VCK_CAN_WAIT
{
    size_t live = vck_alloc_live_count();
    struct vck_executor *executor = create_executor(1);
    struct vck_task *task = NULL;
    struct vck_task_join join;
    struct vck_waker kept;
    struct probe *probe = make_allocated(2, 0, &task);

    (void)state;
    probe->keeps_waker = true;
    assert_int_equal(vck_executor_spawn(executor, task, &join), VCK_OK);
    wait_for_polls(probe, 1);
    kept = probe->kept;
    use_waker(&kept, 1);
    /* Unlike the caller's storage, it does not wait for the waker. */
    assert_int_equal(wait_for(&join), VCK_OK);
    vck_executor_destroy(executor);
    assert_int_equal(vck_alloc_live_count(), live + 1);
    use_waker(&kept, 2);
    drop_waker(&kept);
    assert_int_equal(vck_alloc_live_count(), live);
}

static void task_create_refuses_what_cannot_be(void **state)
{
    struct vck_task *task = NULL;

    (void)state;
    assert_int_equal(vck_task_create(sizeof(struct vck_future) - 1, &task), VCK_INVALID_DATA);
    assert_int_equal(vck_task_create(SIZE_MAX, &task), VCK_INVALID_DATA);
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_task_create(sizeof(struct vck_future), &task), VCK_NO_MEMORY);
    assert_null(task);
    vck_task_destroy(NULL);
}

static void a_dropped_join_handle_detaches(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct vck_task *task = NULL;
    struct vck_task_join join;
    struct probe *probe = make_allocated(0, 1, &task);

    (void)state;
    assert_int_equal(vck_executor_spawn(executor, task, &join), VCK_OK);
    assert_int_equal(vck_future_poll(&join.future, &vck_waker_noop), VCK_PENDING);
    vck_future_drop(&join.future);
    /* It runs on, until shutdown. */
    wait_for_polls(probe, 3);
    vck_executor_destroy(executor);
}

static void a_task_spawned_without_a_handle_is_detached(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct vck_task *task = NULL;

    (void)state;
    (void)make_allocated(2, 1, &task);
    assert_int_equal(vck_executor_spawn(executor, task, NULL), VCK_OK);
    vck_executor_destroy(executor);
}

/* ---- wakes ---- */

struct wakes {
    struct probe probe;
    struct probe other;
    int polls_seen;
};

static bool wake_a_queued_task(int step, void *context)
{
    struct wakes *w = context;

    switch (step) {
    case 0:
        probe_init(&w->probe, 0, 0);
        w->probe.keeps_waker = true;
        probe_spawn(&w->probe, vck_executor_get_current());
        assert_int_equal(w->probe.polls, 0);
        return true;
    case 1:
        assert_int_equal(w->probe.polls, 1);
        use_waker(&w->probe.kept, 5);
        return true;
    case 2:
    case 3:
        assert_int_equal(w->probe.polls, 2);
        return true;
    }
    drop_waker(&w->probe.kept);
    return false;
}

static void a_queued_task_is_not_queued_twice(void **state) VCK_CAN_WAIT
{
    struct wakes w;

    (void)state;
    run_script(wake_a_queued_task, &w, NULL);
    assert_int_equal(wait_for(&w.probe.join), VCK_CANCELLED);
    assert_int_equal(w.probe.polls, 2);
    assert_int_equal(w.probe.drops, 1);
}

static bool wake_during_polls(int step, void *context)
{
    struct wakes *w = context;

    if (step == 0) {
        probe_init(&w->probe, 5, 3);
        probe_init(&w->other, 5, 3);
        probe_spawn(&w->probe, vck_executor_get_current());
        probe_spawn(&w->other, vck_executor_get_current());
        return true;
    }
    /* Each turn of the script, one turn of each of them: woken thrice, queued once, behind. */
    assert_int_equal(w->probe.polls, VCK_MIN(step, 5));
    assert_int_equal(w->other.polls, VCK_MIN(step, 5));
    return step < 7;
}

static void a_wake_during_a_poll_queues_again_after_it(void **state) VCK_CAN_WAIT
{
    struct wakes w;

    (void)state;
    run_script(wake_during_polls, &w, NULL);
    assert_int_equal(wait_for(&w.probe.join), VCK_OK);
    assert_int_equal(wait_for(&w.other.join), VCK_OK);
}

static bool wake_an_ended_task(int step, void *context)
{
    struct wakes *w = context;

    if (step == 0) {
        probe_init(&w->probe, 1, 0);
        w->probe.keeps_waker = true;
        probe_spawn(&w->probe, vck_executor_get_current());
        return true;
    }
    assert_int_equal(w->probe.polls, 1);
    use_waker(&w->probe.kept, 2);
    return step < 3;
}

static void a_wake_after_the_end_does_nothing(void **state) VCK_CAN_WAIT
{
    struct wakes w;
    struct vck_waker clone;

    (void)state;
    run_script(wake_an_ended_task, &w, NULL);
    /* The executor has gone, too. */
    use_waker(&w.probe.kept, 2);
    clone = w.probe.kept.ops->clone(w.probe.kept.data);
    assert_int_equal(vck_future_poll(&w.probe.join.future, &vck_waker_noop), VCK_PENDING);
    drop_waker(&w.probe.kept);
    assert_int_equal(vck_future_poll(&w.probe.join.future, &vck_waker_noop), VCK_PENDING);
    vck_task_cancel(&w.probe.task);
    use_waker(&clone, 1);
    drop_waker(&clone);
    /* With the last waker the storage is ours again. */
    assert_int_equal(vck_future_poll(&w.probe.join.future, &vck_waker_noop), VCK_READY);
    assert_int_equal(w.probe.join.status, VCK_OK);
    assert_int_equal(w.probe.polls, 1);
}

static void a_task_is_woken_from_a_thread_and_at_dispatch(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct vck_spinlock lock;
    struct probe probe;

    (void)state;
    vck_spinlock_init(&lock);
    probe_init(&probe, 3, 0);
    probe.keeps_waker = true;
    vck_spinlock_acquire(&lock);
    probe_spawn(&probe, executor);
    vck_spinlock_release(&lock);
    wait_for_polls(&probe, 1);
    use_waker(&probe.kept, 1);
    wait_for_polls(&probe, 2);
    vck_spinlock_acquire(&lock);
    use_waker(&probe.kept, 1);
    drop_waker(&probe.kept);
    vck_spinlock_release(&lock);
    assert_int_equal(wait_for(&probe.join), VCK_OK);
    vck_executor_destroy(executor);
}

/* What borrows the worker's thread above PASSIVE must not touch its run queue. */
static bool wake_at_dispatch_on_the_worker(int step, void *context)
{
    struct wakes *w = context;
    struct vck_spinlock lock;

    if (step == 0) {
        probe_init(&w->probe, 2, 0);
        w->probe.keeps_waker = true;
        probe_spawn(&w->probe, vck_executor_get_current());
        return true;
    }
    if (step == 1) {
        vck_spinlock_init(&lock);
        vck_spinlock_acquire(&lock);
        assert_null(vck_worker_get_current());
        assert_null(vck_executor_get_current());
        assert_null(vck_task_get_current());
        use_waker(&w->probe.kept, 1);
        drop_waker(&w->probe.kept);
        vck_spinlock_release(&lock);
        assert_int_equal(w->probe.task.state, TASK_IDLE);
    }
    return __atomic_load_n(&w->probe.polls, __ATOMIC_ACQUIRE) < 2;
}

static void a_worker_at_dispatch_is_somewhere_else(void **state) VCK_CAN_WAIT
{
    struct wakes w;

    (void)state;
    run_script(wake_at_dispatch_on_the_worker, &w, NULL);
    assert_int_equal(wait_for(&w.probe.join), VCK_OK);
}

/* ---- cancel ---- */

static bool cancel_in_every_state(int step, void *context)
{
    struct probe *probes = context;

    if (step == 0) {
        for (int i = 0; i < 4; i++) {
            probe_init(&probes[i], i == 3 ? 1 : 0, i == 1);
            probe_spawn(&probes[i], vck_executor_get_current());
        }
        vck_task_join_cancel(&probes[0].join); /* never polled */
        return true;
    }
    for (int i = 0; i < 4; i++)
        vck_task_join_cancel(&probes[i].join); /* 1: queued, 2: idle, 3: ended */
    return step < 4;
}

static void cancel_drops_the_future_and_join_yields_cancelled(void **state) VCK_CAN_WAIT
{
    struct probe probes[4];

    (void)state;
    run_script(cancel_in_every_state, probes, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(wait_for(&probes[i].join), i == 3 ? VCK_OK : VCK_CANCELLED);
        assert_int_equal(probes[i].drops, i != 3);
        assert_int_equal(probes[i].polls, i != 0);
    }
}

static void cancel_from_a_thread_drops_on_the_worker(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(2);
    struct probe probe;

    (void)state;
    probe_init(&probe, 0, 0);
    probe_spawn(&probe, executor);
    wait_for_polls(&probe, 1);
    vck_task_join_cancel(&probe.join);
    vck_task_join_cancel(&probe.join);
    assert_int_equal(wait_for(&probe.join), VCK_CANCELLED);
    assert_int_equal(probe.drops, 1);
    assert_ptr_equal(probe.worker, vck_executor_get_worker(executor, 0));
    vck_executor_destroy(executor);
}

struct suicide {
    struct vck_future future;
    struct vck_task task;
    bool is_ready;
    int drops;
};

static enum vck_poll suicide_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct suicide *suicide = VCK_CONTAINER_OF(self, struct suicide, future);

    (void)waker;
    assert_ptr_equal(vck_task_get_current(), &suicide->task);
    vck_task_cancel(&suicide->task);
    return suicide->is_ready ? VCK_READY : VCK_PENDING;
}

static void suicide_drop(struct vck_future *self)
{
    VCK_CONTAINER_OF(self, struct suicide, future)->drops++;
}

static void a_task_may_cancel_itself(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct suicide suicide = {.future = {suicide_poll, suicide_drop}, .is_ready = i == 1};
        struct vck_task_join join;

        vck_task_init(&suicide.task, &suicide.future);
        assert_int_equal(vck_executor_spawn(executor, &suicide.task, &join), VCK_OK);
        assert_int_equal(wait_for(&join), i == 1 ? VCK_OK : VCK_CANCELLED);
        assert_int_equal(suicide.drops, i == 0);
    }
    vck_executor_destroy(executor);
}

/* ---- shutdown ---- */

static void shutdown_cancels_what_is_left(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint32_t workers = 1; workers <= 3; workers++) {
        struct vck_executor *executor = create_executor(workers);
        struct probe probes[10];

        for (int i = 0; i < 10; i++) {
            probe_init(&probes[i], 0, i % 2);
            probe_spawn(&probes[i], executor);
        }
        wait_for_polls(&probes[3], 1);
        vck_executor_destroy(executor);
        for (int i = 0; i < 10; i++) {
            assert_int_equal(probes[i].drops, 1);
            assert_int_equal(wait_for(&probes[i].join), VCK_CANCELLED);
        }
    }
}

static void spawn_fails_after_shutdown_began(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(2);
    struct vck_task *task = NULL;
    struct vck_task_join join = {.status = VCK_IO};
    struct probe *probe = make_allocated(1, 0, &task);

    (void)state;
    vck_executor_shutdown(executor);
    vck_executor_shutdown(executor);
    assert_int_equal(vck_executor_spawn(executor, task, &join), VCK_DELETE_PENDING);
    assert_int_equal(join.status, VCK_IO);
    assert_int_equal(probe->polls, 0);
    /* The task is still ours. */
    vck_task_destroy(task);
    vck_executor_destroy(executor);
}

static bool spawn_while_closing(int step, void *context)
{
    struct probe *probe = context;

    (void)step;
    vck_executor_shutdown(vck_executor_get_current());
    assert_int_equal(vck_executor_spawn(vck_executor_get_current(), &probe->task, &probe->join),
                     VCK_DELETE_PENDING);
    return false;
}

static void spawn_in_a_task_fails_after_shutdown_began(void **state) VCK_CAN_WAIT
{
    struct probe probe;

    (void)state;
    probe_init(&probe, 1, 0);
    run_script(spawn_while_closing, &probe, NULL);
    assert_int_equal(probe.polls, 0);
}

static void a_prepared_executor_that_never_ran_drops_its_tasks(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = prepare_executor(NULL);
    struct probe probe;

    (void)state;
    probe_init(&probe, 1, 0);
    probe_spawn(&probe, executor);
    vck_executor_destroy(executor);
    assert_int_equal(wait_for(&probe.join), VCK_CANCELLED);
    assert_int_equal(probe.polls, 0);
    assert_int_equal(probe.drops, 1);
    vck_executor_destroy(NULL);
}

static void run_on_a_thread(void *context) VCK_CAN_WAIT
{
    vck_executor_run(context);
}

static void destroy_waits_for_who_runs_it(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct vck_executor *executor = prepare_executor(NULL);
        struct vck_thread *thread = NULL;
        struct probe probe;

        probe_init(&probe, 0, i % 2);
        probe_spawn(&probe, executor);
        assert_int_equal(
            vck_thread_create(run_on_a_thread, executor, VCK_THREAD_NORMAL, "run", &thread),
            VCK_OK);
        wait_for_polls(&probe, 1);
        vck_executor_destroy(executor);
        assert_int_equal(wait_for(&probe.join), VCK_CANCELLED);
        vck_thread_join(thread);
    }
}

static void run_returns_at_once_after_the_end(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = prepare_executor(NULL);

    (void)state;
    vck_executor_shutdown(executor);
    vck_executor_run(executor);
    vck_executor_run(executor);
    assert_null(vck_executor_get_current());
    vck_executor_destroy(executor);
}

/* ---- making executors ---- */

static void an_executor_without_its_threads_is_not_created(void **state) VCK_CAN_WAIT
{
    struct vck_executor_options options = {.workers = 3};
    size_t live = vck_alloc_live_count();
    vck_status status = VCK_NO_MEMORY;
    uint64_t n = 0;

    (void)state;
    while (status == VCK_NO_MEMORY) {
        struct vck_executor *executor = NULL;

        vck_alloc_fail_nth(++n);
        status = vck_executor_create(&options, &executor);
        vck_alloc_fail_nth(0);
        assert_true((status == VCK_OK) == (executor != NULL));
        vck_executor_destroy(executor);
        assert_int_equal(vck_alloc_live_count(), live);
    }
    assert_int_equal(status, VCK_OK);
    /* The executor and three threads. */
    assert_true(n > 4);
}

static void options_that_cannot_be_are_refused(void **state) VCK_CAN_WAIT
{
    struct vck_executor_options many = {.workers = VCK_WORKERS_MAX + 1};
    struct counting_idle idle;
    struct vck_executor_options two_of_one_idle = {.workers = 2, .idle = &idle.idle};
    struct vck_executor_options two_without_threads = {.workers = 2};
    struct vck_executor *executor = NULL;

    (void)state;
    assert_int_equal(vck_executor_create(&many, &executor), VCK_INVALID_DATA);
    assert_int_equal(vck_executor_create(&two_of_one_idle, &executor), VCK_INVALID_DATA);
    assert_int_equal(vck_executor_prepare(&two_without_threads, &executor), VCK_INVALID_DATA);
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_executor_prepare(NULL, &executor), VCK_NO_MEMORY);
    assert_null(executor);
}

/* ---- workers ---- */

struct family {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    struct probe child;
    struct vck_worker *worker;
};

static enum vck_poll family_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct family *family = VCK_CONTAINER_OF(self, struct family, future);

    if (!family->worker) {
        family->worker = vck_worker_get_current();
        probe_spawn(&family->child, vck_executor_get_current());
    }
    return vck_future_poll(&family->child.join.future, waker);
}

static void tasks_stay_with_the_worker_that_spawned_them(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(3);
    struct family families[6] = {0};

    (void)state;
    assert_int_equal(vck_executor_worker_count(executor), 3);
    for (uint32_t i = 0; i < 6; i++) {
        families[i].future.poll = family_poll;
        probe_init(&families[i].child, 3, 1);
        vck_task_init(&families[i].task, &families[i].future);
        assert_int_equal(vck_executor_spawn(executor, &families[i].task, &families[i].join),
                         VCK_OK);
    }
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(wait_for(&families[i].join), VCK_OK);
        /* From outside they go round. */
        assert_ptr_equal(families[i].worker, vck_executor_get_worker(executor, i % 3));
        assert_ptr_equal(families[i].child.worker, families[i].worker);
        assert_int_equal(families[i].child.join.status, VCK_OK);
        assert_ptr_equal(vck_worker_get_executor(families[i].worker), executor);
    }
    vck_executor_destroy(executor);
}

static void outside_of_tasks_nothing_is_current(void **state)
{
    (void)state;
    assert_null(vck_executor_get_current());
    assert_null(vck_worker_get_current());
    assert_null(vck_task_get_current());
}

static void the_run_queue_has_no_capacity(void **state) VCK_CAN_WAIT
{
    enum { COUNT = 100000 };
    struct vck_executor *executor = prepare_executor(NULL);
    struct probe *probes = calloc(COUNT, sizeof(*probes));

    (void)state;
    assert_non_null(probes);
    for (int i = 0; i < COUNT; i++) {
        probe_init(&probes[i], 2, 1);
        probe_spawn(&probes[i], executor);
    }
    vck_executor_shutdown(executor);
    vck_executor_run(executor);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(wait_for(&probes[i].join), VCK_CANCELLED);
    vck_executor_destroy(executor);
    free(probes);
}

/* ---- sleeping ---- */

static void a_wake_costs_no_call_when_the_worker_is_awake(void **state) VCK_CAN_WAIT
{
    struct counting_idle idle;
    struct vck_executor_options options = {.idle = &idle.idle};
    struct vck_executor *executor = NULL;
    struct probe busy;
    struct probe woken;
    int wakes;

    (void)state;
    counting_idle_init(&idle);
    assert_int_equal(vck_executor_create(&options, &executor), VCK_OK);
    assert_ptr_equal(vck_worker_get_idle(vck_executor_get_worker(executor, 0)), &idle.idle);
    probe_init(&busy, 0, 1);
    probe_init(&woken, 0, 0);
    woken.keeps_waker = true;
    probe_spawn(&busy, executor);
    probe_spawn(&woken, executor);
    wait_for_polls(&busy, 1);
    wait_for_polls(&woken, 1);
    wakes = __atomic_load_n(&idle.wakes, __ATOMIC_ACQUIRE);
    for (int i = 2; i < 100; i++) {
        use_waker(&woken.kept, 1);
        wait_for_polls(&woken, i);
    }
    assert_int_equal(__atomic_load_n(&idle.wakes, __ATOMIC_ACQUIRE), wakes);
    drop_waker(&woken.kept);
    vck_executor_destroy(executor);
    /* A busy worker looks after its completions, every 64 polls. */
    assert_in_range(idle.polls, 1, busy.polls / 32 + 1);
    assert_int_equal(wait_for(&busy.join), VCK_CANCELLED);
    assert_int_equal(wait_for(&woken.join), VCK_CANCELLED);
    vck_event_fini(&idle.event);
}

static bool count_idle_polls(int step, void *context)
{
    struct counting_idle *idle = context;

    assert_int_equal(idle->polls, step / 64);
    assert_int_equal(idle->waits, 0);
    return step < 1000;
}

static void a_busy_worker_polls_its_idle_every_64_polls(void **state) VCK_CAN_WAIT
{
    struct counting_idle idle;

    (void)state;
    counting_idle_init(&idle);
    run_script(count_idle_polls, &idle, &idle.idle);
    vck_event_fini(&idle.event);
}

static void a_sleeping_worker_is_woken_once(void **state) VCK_CAN_WAIT
{
    struct counting_idle idle;
    struct vck_executor_options options = {.idle = &idle.idle};
    struct vck_executor *executor = NULL;
    struct probe probe;

    (void)state;
    counting_idle_init(&idle);
    assert_int_equal(vck_executor_create(&options, &executor), VCK_OK);
    probe_init(&probe, 0, 0);
    probe.keeps_waker = true;
    wait_until_idle(&idle);
    probe_spawn(&probe, executor);
    wait_for_polls(&probe, 1);
    assert_int_equal(__atomic_load_n(&idle.wakes, __ATOMIC_ACQUIRE), 1);
    for (int i = 2; i < 50; i++) {
        wait_until_idle(&idle);
        use_waker(&probe.kept, 1);
        wait_for_polls(&probe, i);
    }
    assert_int_equal(__atomic_load_n(&idle.wakes, __ATOMIC_ACQUIRE), 49);
    vck_task_join_cancel(&probe.join);
    drop_waker(&probe.kept);
    assert_int_equal(wait_for(&probe.join), VCK_CANCELLED);
    vck_executor_destroy(executor);
    vck_event_fini(&idle.event);
}

/* ---- no allocation ---- */

struct frugal {
    struct vck_sleep sleep;
    struct probe probe;
    struct vck_yield yield;
    bool is_asleep;
};

static bool work_without_memory(int step, void *context)
{
    struct frugal *f = context;
    struct vck_waker waker = {NULL, NULL};

    if (step == 0) {
        probe_init(&f->probe, 0, 1);
        f->probe.keeps_waker = true;
        probe_spawn(&f->probe, vck_executor_get_current());
        vck_sleep_init(&f->sleep, 2 * MS);
        /* From here on the next allocation fails, and is counted as failed once only. */
        vck_alloc_fail_nth(1);
        return true;
    }
    waker = f->probe.kept;
    use_waker(&waker, 1);
    if (vck_future_poll(&f->sleep.future, &waker) == VCK_PENDING)
        return true;
    drop_waker(&f->probe.kept);
    return false;
}

static void nothing_is_allocated_per_poll_wake_or_sleep(void **state) VCK_CAN_WAIT
{
    struct frugal f = {.is_asleep = false};

    (void)state;
    run_script(work_without_memory, &f, NULL);
    assert_true(f.probe.polls > 2);
    assert_int_equal(wait_for(&f.probe.join), VCK_CANCELLED);
    /* The failure is still to come, so nobody has asked for memory. */
    assert_null(vck_alloc(1, VCK_TAG('t', 'e', 's', 't')));
    vck_alloc_fail_nth(0);
}

/* ---- yield ---- */

static void yield_is_pending_once(void **state) VCK_CAN_WAIT
{
    struct vck_yield yield;

    (void)state;
    vck_yield_init(&yield);
    vck_block_on(&yield.future);
    assert_int_equal(vck_future_poll(&yield.future, &vck_waker_noop), VCK_READY);
    vck_yield_init(&yield);
    assert_int_equal(vck_future_poll(&yield.future, &vck_waker_noop), VCK_PENDING);
    assert_int_equal(vck_future_poll(&yield.future, &vck_waker_noop), VCK_READY);
}

struct turns {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    struct vck_coroutine co;
    struct vck_yield yield;
    char *log;
    char name;
    int i;
};

static enum vck_poll turns_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct turns *t = VCK_CONTAINER_OF(self, struct turns, future);

    VCK_CO_BEGIN(&t->co);
    for (t->i = 0; t->i < 3; t->i++) {
        strncat(t->log, &t->name, 1);
        vck_yield_init(&t->yield);
        VCK_CO_AWAIT(&t->co, &t->yield.future, waker);
    }
    VCK_CO_END(&t->co);
}

static void yield_lets_the_others_go_first(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct turns turns[3] = {0};
    char log[10] = "";

    (void)state;
    /* All three are there before the first runs. */
    for (int i = 0; i < 3; i++) {
        turns[i] = (struct turns){.future = {.poll = turns_poll}, .log = log};
        turns[i].name = (char)('a' + i);
        vck_task_init(&turns[i].task, &turns[i].future);
    }
    vck_executor_destroy(executor);
    executor = prepare_executor(NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vck_executor_spawn(executor, &turns[i].task, &turns[i].join), VCK_OK);
    struct vck_thread *thread = NULL;
    assert_int_equal(
        vck_thread_create(run_on_a_thread, executor, VCK_THREAD_NORMAL, "run", &thread), VCK_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wait_for(&turns[i].join), VCK_OK);
    assert_string_equal(log, "abcabcabc");
    vck_executor_destroy(executor);
    vck_thread_join(thread);
}

static void poll_a_coroutine_after_its_end(void)
{
    char log[10] = "";
    struct turns turns = {.future = {.poll = turns_poll}, .log = log, .name = 'x'};

    for (int i = 0; i < 10; i++)
        (void)vck_future_poll(&turns.future, &vck_waker_noop);
}

static void a_coroutine_polled_after_ready_stops_the_program(void **state)
{
    (void)state;
    expect_abort(poll_a_coroutine_after_its_end, "polled after READY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(a_task_runs_to_its_end_and_is_joined),
        A_TEST(join_yields_the_status_the_task_set),
        A_TEST(join_polled_after_ready_is_ready_again),
        A_TEST(join_wakes_who_polled_last),
        A_TEST(an_allocated_task_goes_with_its_last_reference),
        A_TEST(task_create_refuses_what_cannot_be),
        A_TEST(a_dropped_join_handle_detaches),
        A_TEST(a_task_spawned_without_a_handle_is_detached),
        A_TEST(a_queued_task_is_not_queued_twice),
        A_TEST(a_wake_during_a_poll_queues_again_after_it),
        A_TEST(a_wake_after_the_end_does_nothing),
        A_TEST(a_task_is_woken_from_a_thread_and_at_dispatch),
        A_TEST(a_worker_at_dispatch_is_somewhere_else),
        A_TEST(cancel_drops_the_future_and_join_yields_cancelled),
        A_TEST(cancel_from_a_thread_drops_on_the_worker),
        A_TEST(a_task_may_cancel_itself),
        A_TEST(shutdown_cancels_what_is_left),
        A_TEST(spawn_fails_after_shutdown_began),
        A_TEST(spawn_in_a_task_fails_after_shutdown_began),
        A_TEST(a_prepared_executor_that_never_ran_drops_its_tasks),
        A_TEST(destroy_waits_for_who_runs_it),
        A_TEST(run_returns_at_once_after_the_end),
        A_TEST(an_executor_without_its_threads_is_not_created),
        A_TEST(options_that_cannot_be_are_refused),
        A_TEST(tasks_stay_with_the_worker_that_spawned_them),
        A_TEST(outside_of_tasks_nothing_is_current),
        A_TEST(the_run_queue_has_no_capacity),
        A_TEST(a_wake_costs_no_call_when_the_worker_is_awake),
        A_TEST(a_busy_worker_polls_its_idle_every_64_polls),
        A_TEST(a_sleeping_worker_is_woken_once),
        A_TEST(nothing_is_allocated_per_poll_wake_or_sleep),
        A_TEST(yield_is_pending_once),
        A_TEST(yield_lets_the_others_go_first),
        A_TEST(a_coroutine_polled_after_ready_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
