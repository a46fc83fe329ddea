/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_test.h"
#include "vck/sleep.h"
#include "vck/timer.h"

_Static_assert(sizeof(struct vck_task_timer) < 100, "a million of them is affordable");

/* ---- the wheel, against a list ---- */

#define MODEL_TIMERS 200u

struct model {
    struct timer_wheel wheel;
    struct vck_task_timer timers[MODEL_TIMERS];
    uint64_t armed_as[MODEL_TIMERS]; /* order of arming, 0: not armed */
    uint64_t arms;
    uint64_t now_ns;
    uint64_t random;
};

static uint64_t next_random(struct model *m)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return m->random >> 16;
}

/* Distances of every magnitude, with many equal deadlines. */
static uint64_t random_deadline_ns(struct model *m)
{
    uint64_t distance_ns = next_random(m) >> (next_random(m) % 48);

    if (next_random(m) % 4 == 0)
        return m->now_ns & ~(uint64_t)0xff;
    if (next_random(m) % 16 == 0)
        return VCK_FOREVER - distance_ns % 3;
    return m->now_ns + (distance_ns & ~(uint64_t)7);
}

static void model_arm(struct model *m, size_t i, uint64_t deadline_ns)
{
    if (m->armed_as[i] != 0)
        timer_wheel_remove(&m->wheel, &m->timers[i]);
    m->timers[i].deadline_ns = deadline_ns;
    m->armed_as[i] = ++m->arms;
    timer_wheel_insert(&m->wheel, &m->timers[i]);
}

static size_t model_earliest(const struct model *m)
{
    size_t earliest = MODEL_TIMERS;

    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        if (m->armed_as[i] == 0)
            continue;
        if (earliest == MODEL_TIMERS ||
            m->timers[i].deadline_ns < m->timers[earliest].deadline_ns ||
            (m->timers[i].deadline_ns == m->timers[earliest].deadline_ns &&
             m->armed_as[i] < m->armed_as[earliest]))
            earliest = i;
    }
    return earliest;
}

static void model_advance(struct model *m, uint64_t now_ns)
{
    struct vck_task_timer *timer;
    size_t expected = model_earliest(m);

    if (expected != MODEL_TIMERS && m->timers[expected].deadline_ns > now_ns) {
        uint64_t next_ns = timer_wheel_next_ns(&m->wheel);
        assert_true(next_ns <= m->timers[expected].deadline_ns);
        assert_true(next_ns > m->now_ns);
    }
    m->now_ns = now_ns;
    while ((timer = timer_wheel_pop(&m->wheel, now_ns)) != NULL) {
        expected = model_earliest(m);
        assert_true(expected != MODEL_TIMERS);
        assert_ptr_equal(timer, &m->timers[expected]);
        assert_true(timer->deadline_ns <= now_ns);
        m->armed_as[expected] = 0;
    }
    expected = model_earliest(m);
    assert_true(expected == MODEL_TIMERS || m->timers[expected].deadline_ns > now_ns);
    assert_int_equal(timer_wheel_is_empty(&m->wheel), expected == MODEL_TIMERS);
}

static void model_step(struct model *m)
{
    size_t i = next_random(m) % MODEL_TIMERS;
    uint64_t deadline_ns = random_deadline_ns(m);

    switch (next_random(m) % 8) {
    case 0:
        if (m->armed_as[i] != 0)
            timer_wheel_remove(&m->wheel, &m->timers[i]);
        m->armed_as[i] = 0;
        return;
    case 1:
        model_advance(m, m->now_ns + (next_random(m) >> (20 + next_random(m) % 28)));
        return;
    case 2:
        i = model_earliest(m);
        if (i != MODEL_TIMERS && m->timers[i].deadline_ns < VCK_FOREVER / 2)
            model_advance(m, VCK_MAX(m->now_ns, m->timers[i].deadline_ns - m->arms % 2));
        return;
    default:
        model_arm(m, i, VCK_MAX(deadline_ns, m->now_ns));
    }
}

static void wheel_expires_by_deadline_and_ties_in_order_of_arming(void **state)
{
    static struct model m;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        memset(&m, 0, sizeof(m));
        m.random = seed;
        m.now_ns = seed * 0x123456789abcu;
        timer_wheel_init(&m.wheel, m.now_ns);
        for (int i = 0; i < 3000; i++)
            model_step(&m);
        model_advance(&m, UINT64_MAX);
        assert_true(timer_wheel_is_empty(&m.wheel));
        assert_true(timer_wheel_next_ns(&m.wheel) == VCK_FOREVER);
    }
}

static void wheel_takes_a_deadline_in_the_past_next(void **state)
{
    static struct model m;

    (void)state;
    timer_wheel_init(&m.wheel, 1000000);
    model_arm(&m, 0, 1000001);
    model_arm(&m, 1, 5);
    model_arm(&m, 2, 0);
    assert_ptr_equal(timer_wheel_pop(&m.wheel, 1000000), &m.timers[1]);
    assert_ptr_equal(timer_wheel_pop(&m.wheel, 1000000), &m.timers[2]);
    assert_null(timer_wheel_pop(&m.wheel, 1000000));
    assert_int_equal(timer_wheel_next_ns(&m.wheel), 1000001);
    assert_ptr_equal(timer_wheel_pop(&m.wheel, 1000001), &m.timers[0]);
}

/* ---- timers of a worker ---- */

struct clockwork {
    struct vck_task_timer timer;
    struct vck_event expired;
    int count;
    int limit; /* cancels itself then; 0: no */
    uint64_t at_ns;
    uint64_t again_ns;
    char name;
    char *log;
    struct vck_worker *worker;
    bool may_return;
    bool is_slow;
};

static void on_expired(struct vck_task_timer *timer)
{
    struct clockwork *c = VCK_CONTAINER_OF(timer, struct clockwork, timer);
    size_t length = c->log ? strlen(c->log) : 0;

    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE);
    c->worker = vck_worker_get_current();
    c->at_ns = vck_clock_ns();
    if (c->log)
        c->log[length] = c->name;
    if (__atomic_add_fetch(&c->count, 1, __ATOMIC_RELEASE) == c->limit)
        (void)vck_task_timer_cancel(timer);
    if (c->again_ns != 0) {
        vck_task_timer_arm(timer, c->again_ns, 0);
        c->again_ns = 0;
    }
    vck_event_set(&c->expired);
    while (c->is_slow && !__atomic_load_n(&c->may_return, __ATOMIC_ACQUIRE))
        vck_thread_yield();
}

static void clockwork_init(struct clockwork *c, struct vck_executor *executor)
{
    memset(c, 0, sizeof(*c));
    vck_event_init(&c->expired);
    vck_task_timer_init(&c->timer, vck_executor_get_worker(executor, 0), on_expired);
}

static void clockwork_fini(struct clockwork *c) VCK_CAN_WAIT
{
    vck_task_timer_fini(&c->timer);
    vck_event_fini(&c->expired);
}

static void wait_for_expiry(struct clockwork *c) VCK_CAN_WAIT
{
    assert_int_equal(vck_event_wait(&c->expired, VCK_FOREVER), VCK_OK);
}

static void a_timer_expires_on_its_worker_and_not_early(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct clockwork c;

    (void)state;
    clockwork_init(&c, executor);
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t deadline_ns = vck_clock_ns() + i * MS / 2;

        vck_task_timer_arm(&c.timer, deadline_ns, 0);
        wait_for_expiry(&c);
        assert_true(c.at_ns >= deadline_ns);
        assert_ptr_equal(c.worker, vck_executor_get_worker(executor, 0));
        assert_false(vck_task_timer_cancel(&c.timer));
    }
    clockwork_fini(&c);
    assert_int_equal(c.count, 5);
    vck_executor_destroy(executor);
}

static void timers_expire_by_deadline_and_ties_in_order(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct clockwork c[5];
    char log[8] = "";
    uint64_t start_ns = vck_clock_ns() + 20 * MS;

    (void)state;
    for (int i = 0; i < 5; i++) {
        clockwork_init(&c[i], executor);
        c[i].name = (char)('a' + i);
        c[i].log = log;
    }
    vck_task_timer_arm(&c[3].timer, start_ns + 100, 0);
    vck_task_timer_arm(&c[1].timer, start_ns, 0);
    vck_task_timer_arm(&c[4].timer, start_ns, 0);
    vck_task_timer_arm(&c[0].timer, start_ns - 1, 0);
    vck_task_timer_arm(&c[2].timer, start_ns, 0);
    /* Armed again, it is the last of its deadline. */
    vck_task_timer_arm(&c[1].timer, start_ns, 0);
    for (int i = 0; i < 5; i++) {
        wait_for_expiry(&c[i]);
        clockwork_fini(&c[i]);
    }
    assert_string_equal(log, "aecbd");
    vck_executor_destroy(executor);
}

static void a_periodic_timer_keeps_its_phase_until_cancelled(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct clockwork c;
    struct clockwork later;
    uint64_t start_ns = vck_clock_ns() + MS;

    (void)state;
    clockwork_init(&c, executor);
    clockwork_init(&later, executor);
    c.limit = 4;
    vck_task_timer_arm(&c.timer, start_ns, MS);
    while (__atomic_load_n(&c.count, __ATOMIC_ACQUIRE) < 4)
        wait_for_expiry(&c);
    assert_true(c.at_ns >= start_ns + 3 * MS);
    vck_task_timer_arm(&later.timer, vck_clock_ns() + 3 * MS, 0);
    wait_for_expiry(&later);
    clockwork_fini(&later);
    clockwork_fini(&c);
    assert_int_equal(c.count, 4);
    assert_int_equal((c.timer.deadline_ns - start_ns) % MS, 0);
    vck_executor_destroy(executor);
}

static void missed_periods_are_left_out(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct clockwork c;
    uint64_t start_ns = vck_clock_ns() - 1000 * MS;

    (void)state;
    clockwork_init(&c, executor);
    /* A thousand periods in the past count as one. */
    vck_task_timer_arm(&c.timer, start_ns, 1000 * MS + 1);
    wait_for_expiry(&c);
    assert_true(vck_task_timer_cancel(&c.timer));
    assert_true(c.timer.deadline_ns > c.at_ns - MS);
    vck_task_timer_arm(&c.timer, start_ns, UINT64_MAX);
    wait_for_expiry(&c);
    /* The next would be beyond the clock's end. */
    assert_false(vck_task_timer_cancel(&c.timer));
    clockwork_fini(&c);
    assert_int_equal(c.count, 2);
    vck_executor_destroy(executor);
}

static void a_callback_may_arm_again(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct clockwork c;
    uint64_t again_ns = vck_clock_ns() + 2 * MS;

    (void)state;
    clockwork_init(&c, executor);
    c.again_ns = again_ns;
    vck_task_timer_arm(&c.timer, 0, 0);
    while (__atomic_load_n(&c.count, __ATOMIC_ACQUIRE) < 2)
        wait_for_expiry(&c);
    assert_true(c.at_ns >= again_ns);
    clockwork_fini(&c);
    assert_int_equal(c.count, 2);
    vck_executor_destroy(executor);
}

struct mayfly {
    struct vck_task_timer timer;
    struct vck_event *gone;
};

static void end_mayfly(struct vck_task_timer *timer) VCK_NO_ANALYSIS
{
    struct mayfly *mayfly = VCK_CONTAINER_OF(timer, struct mayfly, timer);
    struct vck_event *gone = mayfly->gone;

    vck_task_timer_fini(timer);
    memset(mayfly, 0x5a, sizeof(*mayfly));
    vck_free(mayfly);
    vck_event_set(gone);
}

static void a_callback_may_free_its_timer(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct vck_event gone;

    (void)state;
    vck_event_init(&gone);
    for (uint64_t i = 0; i < 10; i++) {
        struct mayfly *mayfly = vck_alloc(sizeof(*mayfly), VCK_TAG('t', 'e', 's', 't'));

        assert_non_null(mayfly);
        mayfly->gone = &gone;
        vck_task_timer_init(&mayfly->timer, vck_executor_get_worker(executor, 0), end_mayfly);
        vck_task_timer_arm(&mayfly->timer, vck_clock_ns() + i * 10000, i % 2 ? MS : 0);
        assert_int_equal(vck_event_wait(&gone, VCK_FOREVER), VCK_OK);
    }
    vck_event_fini(&gone);
    vck_executor_destroy(executor);
}

static void cancel_says_whether_it_was_in_time(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct vck_spinlock lock;
    struct clockwork c;

    (void)state;
    vck_spinlock_init(&lock);
    clockwork_init(&c, executor);
    assert_false(vck_task_timer_cancel(&c.timer));
    vck_spinlock_acquire(&lock);
    vck_task_timer_arm(&c.timer, VCK_FOREVER, 0);
    vck_task_timer_arm(&c.timer, vck_clock_ns() + 10000 * MS, 0);
    assert_true(vck_task_timer_cancel(&c.timer));
    assert_false(vck_task_timer_cancel(&c.timer));
    vck_spinlock_release(&lock);
    clockwork_fini(&c);
    assert_int_equal(c.count, 0);
    vck_executor_destroy(executor);
}

static void allow_later(void *context) VCK_CAN_WAIT
{
    struct clockwork *c = context;
    struct vck_sleep nap;

    vck_sleep_init(&nap, 2 * MS);
    vck_block_on(&nap.future);
    __atomic_store_n(&c->may_return, true, __ATOMIC_RELEASE);
}

static void fini_waits_for_a_running_callback(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct vck_thread *thread = NULL;
    struct clockwork c;

    (void)state;
    clockwork_init(&c, executor);
    c.is_slow = true;
    vck_task_timer_arm(&c.timer, 0, 1000 * MS);
    wait_for_expiry(&c);
    assert_int_equal(vck_thread_create(allow_later, &c, VCK_THREAD_NORMAL, "allow", &thread),
                     VCK_OK);
    clockwork_fini(&c);
    assert_true(c.may_return);
    vck_thread_join(thread);
    vck_executor_destroy(executor);
}

static void
an_earlier_timer_shortens_the_sleep_and_a_later_one_costs_nothing(void **state) VCK_CAN_WAIT
{
    struct counting_idle idle;
    struct vck_executor_options options = {.idle = &idle.idle};
    struct vck_executor *executor = NULL;
    struct clockwork soon;
    struct clockwork late;
    uint64_t now_ns = vck_clock_ns();

    (void)state;
    counting_idle_init(&idle);
    assert_int_equal(vck_executor_create(&options, &executor), VCK_OK);
    clockwork_init(&soon, executor);
    clockwork_init(&late, executor);
    wait_until_idle(&idle);
    vck_task_timer_arm(&late.timer, now_ns + 3600000 * MS, 0);
    while (__atomic_load_n(&idle.waits, __ATOMIC_ACQUIRE) < 2)
        vck_thread_yield();
    wait_until_idle(&idle);
    assert_int_equal(__atomic_load_n(&idle.wakes, __ATOMIC_ACQUIRE), 1);
    vck_task_timer_arm(&late.timer, now_ns + 7200000 * MS, 0);
    assert_int_equal(__atomic_load_n(&idle.wakes, __ATOMIC_ACQUIRE), 1);
    vck_task_timer_arm(&soon.timer, now_ns + MS, 0);
    wait_for_expiry(&soon);
    assert_int_equal(__atomic_load_n(&idle.wakes, __ATOMIC_ACQUIRE), 2);
    clockwork_fini(&soon);
    clockwork_fini(&late);
    vck_executor_destroy(executor);
    vck_event_fini(&idle.event);
}

static void destroy_with_an_armed_timer(void) VCK_NO_ANALYSIS
{
    struct vck_executor *executor = prepare_executor(NULL);
    struct clockwork c;

    clockwork_init(&c, executor);
    vck_task_timer_arm(&c.timer, VCK_FOREVER, 0);
    vck_executor_destroy(executor);
}

static void destroy_with_an_armed_timer_stops_the_program(void **state)
{
    (void)state;
    expect_abort(destroy_with_an_armed_timer, "timer_wheel_is_empty");
}

/* ---- sleep ---- */

struct sleeper {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    struct vck_sleep sleep;
    bool is_polled;
};

static enum vck_poll sleeper_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct sleeper *s = VCK_CONTAINER_OF(self, struct sleeper, future);
    enum vck_poll result = vck_future_poll(&s->sleep.future, waker);

    __atomic_store_n(&s->is_polled, true, __ATOMIC_RELEASE);
    return result;
}

static void sleeper_drop(struct vck_future *self)
{
    vck_future_drop(&VCK_CONTAINER_OF(self, struct sleeper, future)->sleep.future);
}

static void sleeper_spawn(struct sleeper *s, struct vck_executor *executor, uint64_t duration_ns)
{
    *s = (struct sleeper){.future = {sleeper_poll, sleeper_drop}};
    vck_sleep_init(&s->sleep, duration_ns);
    vck_task_init(&s->task, &s->future);
    assert_int_equal(vck_executor_spawn(executor, &s->task, &s->join), VCK_OK);
}

static bool has_timers(struct vck_executor *executor)
{
    struct vck_worker *worker = vck_executor_get_worker(executor, 0);
    bool is_empty;

    vck_spinlock_acquire(&worker->timer_lock);
    is_empty = timer_wheel_is_empty(&worker->timers);
    vck_spinlock_release(&worker->timer_lock);
    return !is_empty;
}

static void a_sleep_on_a_worker_is_one_of_its_timers(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct sleeper s;
    uint64_t before_ns = vck_clock_ns();

    (void)state;
    sleeper_spawn(&s, executor, 30 * MS);
    while (!__atomic_load_n(&s.is_polled, __ATOMIC_ACQUIRE))
        vck_thread_yield();
    assert_true(has_timers(executor) || vck_clock_ns() - before_ns >= 30 * MS);
    assert_int_equal(wait_for(&s.join), VCK_OK);
    assert_true(vck_clock_ns() - before_ns >= 30 * MS);
    assert_false(has_timers(executor));
    vck_executor_destroy(executor);
}

static void a_cancelled_sleep_leaves_no_timer(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct sleeper s;

    (void)state;
    sleeper_spawn(&s, executor, UINT64_MAX);
    while (!__atomic_load_n(&s.is_polled, __ATOMIC_ACQUIRE))
        vck_thread_yield();
    assert_true(has_timers(executor));
    vck_task_join_cancel(&s.join);
    assert_int_equal(wait_for(&s.join), VCK_CANCELLED);
    assert_false(has_timers(executor));
    vck_executor_destroy(executor);
}

static void many_sleeps_end_in_order(void **state) VCK_CAN_WAIT
{
    enum { COUNT = 500 };
    static struct sleeper s[COUNT];
    struct vck_executor *executor = create_executor(1);

    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        sleeper_spawn(&s[i], executor, (i * 7919 % COUNT) * 10000);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(wait_for(&s[i].join), VCK_OK);
    vck_executor_destroy(executor);
}

/* A task that polls somebody else's sleep once, so that it becomes this worker's. */
struct lender {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    struct vck_sleep *sleep;
};

static enum vck_poll lender_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct lender *lender = VCK_CONTAINER_OF(self, struct lender, future);

    (void)waker;
    for (int i = 0; i < 3; i++)
        (void)vck_future_poll(&lender->sleep->future, &vck_waker_noop);
    return VCK_READY;
}

static void lend(struct vck_sleep *sleep, struct vck_executor *executor) VCK_CAN_WAIT
{
    struct lender lender = {.future = {.poll = lender_poll}, .sleep = sleep};

    vck_task_init(&lender.task, &lender.future);
    assert_int_equal(vck_executor_spawn(executor, &lender.task, &lender.join), VCK_OK);
    assert_int_equal(wait_for(&lender.join), VCK_OK);
}

static void a_sleep_may_end_on_another_thread_than_its_worker(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct vck_sleep sleep;

    (void)state;
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t duration_ns = i % 3 == 2 ? UINT64_MAX : i * 2000;
        uint64_t before_ns = vck_clock_ns();

        vck_sleep_init(&sleep, duration_ns);
        lend(&sleep, executor);
        /* Polled to its end here, dropped about when it expires, dropped long before. */
        if (i % 3 == 0) {
            vck_block_on(&sleep.future);
            assert_true(vck_clock_ns() - before_ns >= duration_ns);
        } else {
            vck_future_drop(&sleep.future);
        }
        memset(&sleep, 0x5a, sizeof(sleep));
    }
    assert_false(has_timers(executor));
    vck_executor_destroy(executor);
}

static void a_sleep_polled_after_ready_is_ready_again(void **state) VCK_CAN_WAIT
{
    struct vck_sleep sleep;

    (void)state;
    vck_sleep_init(&sleep, MS);
    vck_block_on(&sleep.future);
    assert_int_equal(vck_future_poll(&sleep.future, &vck_waker_noop), VCK_READY);
    vck_future_drop(&sleep.future);
}

static void a_sleep_at_the_clocks_end_never_wraps(void **state)
{
    struct vck_sleep sleep;

    (void)state;
    vck_sleep_init(&sleep, UINT64_MAX - 1);
    assert_true(sleep.deadline_ns == UINT64_MAX);
    vck_sleep_until_init(&sleep, UINT64_MAX);
    assert_int_equal(vck_future_poll(&sleep.future, &vck_waker_noop), VCK_PENDING);
    vck_future_drop(&sleep.future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(wheel_expires_by_deadline_and_ties_in_order_of_arming),
        A_TEST(wheel_takes_a_deadline_in_the_past_next),
        A_TEST(a_timer_expires_on_its_worker_and_not_early),
        A_TEST(timers_expire_by_deadline_and_ties_in_order),
        A_TEST(a_periodic_timer_keeps_its_phase_until_cancelled),
        A_TEST(missed_periods_are_left_out),
        A_TEST(a_callback_may_arm_again),
        A_TEST(a_callback_may_free_its_timer),
        A_TEST(cancel_says_whether_it_was_in_time),
        A_TEST(fini_waits_for_a_running_callback),
        A_TEST(an_earlier_timer_shortens_the_sleep_and_a_later_one_costs_nothing),
        A_TEST(destroy_with_an_armed_timer_stops_the_program),
        A_TEST(a_sleep_on_a_worker_is_one_of_its_timers),
        A_TEST(a_cancelled_sleep_leaves_no_timer),
        A_TEST(many_sleeps_end_in_order),
        A_TEST(a_sleep_may_end_on_another_thread_than_its_worker),
        A_TEST(a_sleep_polled_after_ready_is_ready_again),
        A_TEST(a_sleep_at_the_clocks_end_never_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
