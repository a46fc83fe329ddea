/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_test.h"
#include "vck/condition.h"

struct box {
    struct vck_mutex mutex;
    struct vck_condition filled;
    struct vck_condition emptied;
    unsigned value; /* 0 is empty; under the mutex */
    unsigned sum;
    unsigned woken;
};

static void init(struct box *box)
{
    *box = (struct box){.value = 0};
    vck_mutex_init(&box->mutex);
    vck_condition_init(&box->filled);
    vck_condition_init(&box->emptied);
}

static void fini(struct box *box)
{
    vck_condition_fini(&box->filled);
    vck_condition_fini(&box->emptied);
    vck_mutex_fini(&box->mutex);
}

static bool is_empty(void *context)
{
    return ((struct box *)context)->value == 0;
}

static bool is_full(void *context)
{
    return ((struct box *)context)->value != 0;
}

static void wait_once(void *context) VCK_CAN_WAIT
{
    struct box *box = context;
    vck_mutex_acquire(&box->mutex);
    vck_condition_wait(&box->filled, &box->mutex);
    box->woken++;
    vck_mutex_release(&box->mutex);
}

static unsigned woken(struct box *box) VCK_CAN_WAIT
{
    vck_mutex_acquire(&box->mutex);
    unsigned count = box->woken;
    vck_mutex_release(&box->mutex);
    return count;
}

static void test_signal_wakes_one_and_broadcast_all(void **state) VCK_CAN_WAIT
{
    struct box box;
    struct vck_thread *threads[4];
    (void)state;
    init(&box);
    vck_condition_signal(&box.filled); /* nobody waits: nothing is kept */
    for (size_t i = 0; i < 4; i++)
        threads[i] = start(wait_once, &box);
    wait_for_waiters(&box.filled.waiters, &box.filled.lock, 4);
    vck_condition_signal(&box.filled);
    wait_for_waiters(&box.filled.waiters, &box.filled.lock, 3);
    while (woken(&box) == 0)
        vck_thread_yield();
    assert_int_equal(woken(&box), 1);
    vck_condition_broadcast(&box.filled);
    for (size_t i = 0; i < 4; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(box.woken, 4);
    fini(&box);
}

static void test_timed_wait_ends_at_its_deadline_with_the_mutex(void **state) VCK_CAN_WAIT
{
    struct box box;
    (void)state;
    init(&box);
    vck_mutex_acquire(&box.mutex);
    uint64_t deadline_ns = vck_clock_ns() + 3 * MILLISECOND_NS;
    vck_status status = vck_condition_wait_until(&box.filled, &box.mutex, deadline_ns);
    bool is_late = vck_clock_ns() >= deadline_ns;
    bool holds = vck_in_critical_region();
    vck_mutex_release(&box.mutex);
    assert_int_equal(status, VCK_TIMEOUT);
    assert_true(is_late);
    assert_true(holds);
    fini(&box);
}

static void test_wait_while_asks_the_predicate(void **state) VCK_CAN_WAIT
{
    struct box box;
    (void)state;
    init(&box);
    vck_mutex_acquire(&box.mutex);
    uint64_t deadline_ns = vck_clock_ns() + MILLISECOND_NS;
    vck_status at_once =
        vck_condition_wait_while(&box.filled, &box.mutex, is_full, &box, VCK_FOREVER);
    vck_status timed_out =
        vck_condition_wait_while(&box.filled, &box.mutex, is_empty, &box, deadline_ns);
    box.value = 1;
    vck_status past = vck_condition_wait_while(&box.filled, &box.mutex, is_empty, &box, 0);
    vck_mutex_release(&box.mutex);
    assert_int_equal(at_once, VCK_OK);
    assert_int_equal(timed_out, VCK_TIMEOUT);
    assert_int_equal(past, VCK_OK);
    fini(&box);
}

#define VALUES 5000u

static void consume(void *context) VCK_CAN_WAIT
{
    struct box *box = context;
    for (unsigned i = 0; i < VALUES; i++) {
        vck_mutex_acquire(&box->mutex);
        (void)vck_condition_wait_while(&box->filled, &box->mutex, is_empty, box, VCK_FOREVER);
        box->sum += box->value;
        box->value = 0;
        vck_condition_signal(&box->emptied);
        vck_mutex_release(&box->mutex);
    }
}

static void test_values_pass_through_a_box(void **state) VCK_CAN_WAIT
{
    struct box box;
    struct vck_thread *threads[2];
    (void)state;
    init(&box);
    for (size_t i = 0; i < 2; i++)
        threads[i] = start(consume, &box);
    for (unsigned i = 0; i < 2 * VALUES; i++) {
        vck_mutex_acquire(&box.mutex);
        (void)vck_condition_wait_while(&box.emptied, &box.mutex, is_full, &box, VCK_FOREVER);
        box.value = 1 + i % 7;
        vck_mutex_release(&box.mutex);
        vck_condition_signal(&box.filled); /* also without the mutex */
    }
    for (size_t i = 0; i < 2; i++)
        vck_thread_join(threads[i]);
    unsigned expected = 0;
    for (unsigned i = 0; i < 2 * VALUES; i++)
        expected += 1 + i % 7;
    assert_int_equal(box.sum, expected);
    fini(&box);
}

struct race {
    struct vck_mutex mutex;
    struct vck_condition condition;
    unsigned ended; /* by a signal; under the mutex, as `waiting` */
    unsigned waiting;
    bool is_over;
};

static void wait_briefly(void *context) VCK_CAN_WAIT
{
    struct race *race = context;
    vck_mutex_acquire(&race->mutex);
    while (!race->is_over) {
        vck_status status =
            vck_condition_wait_until(&race->condition, &race->mutex, vck_clock_ns() + 20000);
        race->ended += status == VCK_OK;
    }
    vck_mutex_release(&race->mutex);
}

/* A signal that finds a waiter ends a wait with OK, however close its deadline is. */
static void test_signals_and_deadlines_race(void **state) VCK_CAN_WAIT
{
    struct race race = {.is_over = false};
    unsigned taken = 0;
    (void)state;
    vck_mutex_init(&race.mutex);
    vck_condition_init(&race.condition);
    struct vck_thread *thread = start(wait_briefly, &race);
    while (taken < 500) {
        vck_spinlock_acquire(&race.condition.lock);
        struct vck_waiting_thread *waiter = vck_waiters_pop(&race.condition.waiters);
        vck_spinlock_release(&race.condition.lock);
        taken += waiter != NULL;
        vck_waiters_wake(waiter);
        vck_thread_yield();
    }
    vck_mutex_acquire(&race.mutex);
    race.is_over = true;
    vck_mutex_release(&race.mutex);
    vck_thread_join(thread);
    assert_int_equal(race.ended, taken);
    vck_condition_fini(&race.condition);
    vck_mutex_fini(&race.mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signal_wakes_one_and_broadcast_all),
        cmocka_unit_test(test_timed_wait_ends_at_its_deadline_with_the_mutex),
        cmocka_unit_test(test_wait_while_asks_the_predicate),
        cmocka_unit_test(test_values_pass_through_a_box),
        cmocka_unit_test(test_signals_and_deadlines_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
