/* SPDX-License-Identifier: Apache-2.0 */
#include "port/posix/abort_test.h"
#include <sched.h>
#include "port/posix/posix.h"

#define MS ((uint64_t)1000000)

static void test_clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t last_ns = vck_clock_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now_ns = vck_clock_ns();
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
}

struct expiry {
    struct vck_timer timer;
    struct vck_event expired;
    vck_level level;
    uint64_t at_ns;
    unsigned count;
    unsigned *order; /* shared; counts expiries of all */
    unsigned place;
    uint64_t again_ns; /* when to set it again from the callback; 0: not */
};

static void note(void *context)
{
    struct expiry *e = context;
    e->level = vck_current_level();
    e->at_ns = vck_clock_ns();
    e->count++;
    if (e->order != NULL)
        e->place = ++*e->order;
    if (e->again_ns != 0) {
        vck_timer_set(&e->timer, e->again_ns);
        e->again_ns = 0;
        return;
    }
    vck_event_set(&e->expired);
}

static void init(struct expiry *e)
{
    memset(e, 0, sizeof(*e));
    vck_event_init(&e->expired);
    vck_timer_init(&e->timer, note, e);
}

static void fini(struct expiry *e) VCK_CAN_WAIT
{
    vck_timer_fini(&e->timer);
    vck_event_fini(&e->expired);
}

static void test_timer_expires_at_dispatch_and_not_early(void **state) VCK_CAN_WAIT
{
    struct expiry e;
    (void)state;
    init(&e);
    uint64_t deadline_ns = vck_clock_ns() + 3 * MS;
    vck_timer_set(&e.timer, deadline_ns);
    assert_int_equal(vck_event_wait(&e.expired, VCK_FOREVER), VCK_OK);
    assert_int_equal(e.level, VCK_LEVEL_DISPATCH);
    assert_true(e.at_ns >= deadline_ns);
    assert_int_equal(e.count, 1);
    fini(&e);
}

static void test_timers_expire_in_order_of_deadlines(void **state) VCK_CAN_WAIT
{
    static const unsigned deadlines_ms[] = {9, 3, 6, 12, 1};
    static const unsigned places[] = {4, 2, 3, 5, 1};
    struct expiry all[5];
    unsigned order = 0;
    (void)state;
    uint64_t start_ns = vck_clock_ns();
    for (size_t i = 0; i < 5; i++) {
        init(&all[i]);
        all[i].order = &order;
    }
    for (size_t i = 0; i < 5; i++)
        vck_timer_set(&all[i].timer, start_ns + deadlines_ms[i] * MS);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(vck_event_wait(&all[i].expired, VCK_FOREVER), VCK_OK);
    for (size_t i = 0; i < 5; i++)
        fini(&all[i]);
    /* Only when the machine kept us from setting all of them in time may the order differ. */
    if (all[4].at_ns < start_ns + 3 * MS)
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(all[i].place, places[i]);
    assert_int_equal(order, 5);
}

static void test_new_deadline_replaces_the_old(void **state) VCK_CAN_WAIT
{
    struct expiry e;
    (void)state;
    init(&e);
    vck_timer_set(&e.timer, VCK_FOREVER);
    vck_timer_set(&e.timer, vck_clock_ns() + MS);
    assert_int_equal(vck_event_wait(&e.expired, VCK_FOREVER), VCK_OK);
    assert_int_equal(vck_event_wait(&e.expired, vck_clock_ns() + 5 * MS), VCK_TIMEOUT);
    fini(&e);
    assert_int_equal(e.count, 1);
}

static void test_callback_may_set_it_again(void **state) VCK_CAN_WAIT
{
    struct expiry e;
    (void)state;
    init(&e);
    e.again_ns = vck_clock_ns() + 2 * MS;
    uint64_t again_ns = e.again_ns;
    vck_timer_set(&e.timer, vck_clock_ns());
    assert_int_equal(vck_event_wait(&e.expired, VCK_FOREVER), VCK_OK);
    fini(&e);
    assert_int_equal(e.count, 2);
    assert_true(e.at_ns >= again_ns);
}

static void test_fini_disarms(void **state) VCK_CAN_WAIT
{
    struct expiry e;
    struct expiry later;
    (void)state;
    init(&e);
    init(&later);
    vck_timer_set(&e.timer, vck_clock_ns() + 5 * MS);
    vck_timer_fini(&e.timer);
    unsigned count = e.count;
    vck_timer_set(&later.timer, vck_clock_ns() + 8 * MS);
    assert_int_equal(vck_event_wait(&later.expired, VCK_FOREVER), VCK_OK);
    assert_int_equal(e.count, count);
    vck_event_fini(&e.expired);
    fini(&later);
}

struct slow {
    struct vck_timer timer;
    struct vck_event entered;
    bool may_return;
    bool has_returned;
};

static void return_when_allowed(void *context)
{
    struct slow *slow = context;
    vck_event_set(&slow->entered);
    while (!__atomic_load_n(&slow->may_return, __ATOMIC_ACQUIRE))
        sched_yield();
    vck_timer_set(&slow->timer, vck_clock_ns());
    __atomic_store_n(&slow->has_returned, true, __ATOMIC_RELEASE);
}

static void allow(void *context)
{
    struct slow *slow = context;
    __atomic_store_n(&slow->may_return, true, __ATOMIC_RELEASE);
}

static void test_fini_waits_for_a_running_callback(void **state) VCK_CAN_WAIT
{
    struct slow slow = {.may_return = false};
    struct vck_thread *thread;
    (void)state;
    vck_event_init(&slow.entered);
    vck_timer_init(&slow.timer, return_when_allowed, &slow);
    vck_timer_set(&slow.timer, vck_clock_ns());
    assert_int_equal(vck_event_wait(&slow.entered, VCK_FOREVER), VCK_OK);
    assert_int_equal(vck_thread_create(allow, &slow, VCK_THREAD_NORMAL, "allow", &thread), VCK_OK);
    vck_timer_fini(&slow.timer);
    assert_true(slow.has_returned);
    vck_thread_join(thread);
    vck_event_fini(&slow.entered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_does_not_go_back),
        cmocka_unit_test(test_timer_expires_at_dispatch_and_not_early),
        cmocka_unit_test(test_timers_expire_in_order_of_deadlines),
        cmocka_unit_test(test_new_deadline_replaces_the_old),
        cmocka_unit_test(test_callback_may_set_it_again),
        cmocka_unit_test(test_fini_disarms),
        cmocka_unit_test(test_fini_waits_for_a_running_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
