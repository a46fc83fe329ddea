/* SPDX-License-Identifier: Apache-2.0 */
#include "port/posix/abort_test.h"
#include "port/posix/posix.h"

#define TAG VCK_TAG('t', 'e', 's', 't')

static struct vck_thread *start(void (*entry)(void *), void *context)
{
    struct vck_thread *thread = NULL;
    assert_int_equal(vck_thread_create(entry, context, VCK_THREAD_NORMAL, "event-test", &thread),
                     VCK_OK);
    return thread;
}

static void test_set_before_wait_is_kept_once(void **state) VCK_CAN_WAIT
{
    struct vck_event event;
    (void)state;
    vck_event_init(&event);
    assert_int_equal(vck_event_wait(&event, 0), VCK_TIMEOUT);
    vck_event_set(&event);
    vck_event_set(&event);
    /* A deadline that has passed does not hide a set. */
    assert_int_equal(vck_event_wait(&event, 0), VCK_OK);
    assert_int_equal(vck_event_wait(&event, 0), VCK_TIMEOUT);
    vck_event_set(&event);
    assert_int_equal(vck_event_wait(&event, VCK_FOREVER), VCK_OK);
    vck_event_fini(&event);
}

static void test_wait_ends_at_its_deadline(void **state) VCK_CAN_WAIT
{
    struct vck_event event;
    (void)state;
    vck_event_init(&event);
    uint64_t deadline_ns = vck_clock_ns() + 5000000;
    assert_int_equal(vck_event_wait(&event, deadline_ns), VCK_TIMEOUT);
    assert_true(vck_clock_ns() >= deadline_ns);
    vck_event_fini(&event);
}

struct pair {
    struct vck_event ping;
    struct vck_event pong;
    unsigned rounds;
    unsigned turn; /* plain: the events order the accesses */
};

static void answer(void *context) VCK_CAN_WAIT
{
    struct pair *pair = context;
    for (unsigned i = 0; i < pair->rounds; i++) {
        (void)vck_event_wait(&pair->ping, VCK_FOREVER);
        pair->turn++;
        vck_event_set(&pair->pong);
    }
}

static void test_set_wakes_and_orders(void **state) VCK_CAN_WAIT
{
    struct pair pair = {.rounds = 5000};
    (void)state;
    vck_event_init(&pair.ping);
    vck_event_init(&pair.pong);
    struct vck_thread *thread = start(answer, &pair);
    for (unsigned i = 0; i < pair.rounds; i++) {
        pair.turn++;
        vck_event_set(&pair.ping);
        assert_int_equal(vck_event_wait(&pair.pong, VCK_FOREVER), VCK_OK);
        assert_int_equal(pair.turn, 2 * (i + 1));
    }
    vck_thread_join(thread);
    vck_event_fini(&pair.ping);
    vck_event_fini(&pair.pong);
}

/* One slot through which a waiter hands its event to a setter. */
struct hand_over {
    struct vck_event *event;
    bool is_over;
};

static void set_whatever_comes(void *context)
{
    struct hand_over *slot = context;
    while (!__atomic_load_n(&slot->is_over, __ATOMIC_ACQUIRE)) {
        struct vck_event *event = __atomic_exchange_n(&slot->event, NULL, __ATOMIC_ACQ_REL);
        if (event != NULL)
            vck_event_set(event);
    }
}

static void test_waiter_may_free_the_event(void **state) VCK_CAN_WAIT
{
    struct hand_over slot = {.event = NULL};
    (void)state;
    struct vck_thread *thread = start(set_whatever_comes, &slot);
    for (unsigned i = 0; i < 20000; i++) {
        struct vck_event *event = vck_alloc(sizeof(*event), TAG);
        assert_non_null(event);
        vck_event_init(event);
        __atomic_store_n(&slot.event, event, __ATOMIC_RELEASE);
        assert_int_equal(vck_event_wait(event, VCK_FOREVER), VCK_OK);
        vck_event_fini(event);
        memset(event, 0x5a, sizeof(*event));
        vck_free(event);
    }
    __atomic_store_n(&slot.is_over, true, __ATOMIC_RELEASE);
    vck_thread_join(thread);
}

struct crowd {
    struct vck_event event;
    struct vck_event woken;
    unsigned released;
};

static void wait_in_crowd(void *context) VCK_CAN_WAIT
{
    struct crowd *crowd = context;
    (void)vck_event_wait(&crowd->event, VCK_FOREVER);
    __atomic_add_fetch(&crowd->released, 1, __ATOMIC_RELAXED);
    vck_event_set(&crowd->woken);
}

static void test_one_set_releases_one_of_many(void **state) VCK_CAN_WAIT
{
    struct crowd crowd = {.released = 0};
    struct vck_thread *threads[4];
    (void)state;
    vck_event_init(&crowd.event);
    vck_event_init(&crowd.woken);
    for (size_t i = 0; i < 4; i++)
        threads[i] = start(wait_in_crowd, &crowd);
    for (unsigned i = 1; i <= 4; i++) {
        vck_event_set(&crowd.event);
        assert_int_equal(vck_event_wait(&crowd.woken, VCK_FOREVER), VCK_OK);
        assert_int_equal(__atomic_load_n(&crowd.released, __ATOMIC_RELAXED), i);
    }
    for (size_t i = 0; i < 4; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(vck_event_wait(&crowd.event, 0), VCK_TIMEOUT);
    vck_event_fini(&crowd.event);
    vck_event_fini(&crowd.woken);
}

static void test_manual_event_stays_set_until_reset(void **state) VCK_CAN_WAIT
{
    struct vck_event event;
    (void)state;
    vck_event_init_manual(&event);
    assert_int_equal(vck_event_wait(&event, 0), VCK_TIMEOUT);
    vck_event_set(&event);
    assert_int_equal(vck_event_wait(&event, VCK_FOREVER), VCK_OK);
    assert_int_equal(vck_event_wait(&event, 0), VCK_OK);
    vck_event_reset(&event);
    assert_int_equal(vck_event_wait(&event, 0), VCK_TIMEOUT);
    uint64_t deadline_ns = vck_clock_ns() + 2000000;
    assert_int_equal(vck_event_wait(&event, deadline_ns), VCK_TIMEOUT);
    assert_true(vck_clock_ns() >= deadline_ns);
    vck_event_fini(&event);
}

static void test_reset_takes_a_set_back(void **state) VCK_CAN_WAIT
{
    struct vck_event event;
    (void)state;
    vck_event_init(&event);
    vck_event_set(&event);
    vck_event_reset(&event);
    assert_int_equal(vck_event_wait(&event, 0), VCK_TIMEOUT);
    vck_event_fini(&event);
}

struct gate {
    struct vck_event event;
    unsigned passed;
};

static void pass_gate(void *context) VCK_CAN_WAIT
{
    struct gate *gate = context;
    (void)vck_event_wait(&gate->event, VCK_FOREVER);
    __atomic_add_fetch(&gate->passed, 1, __ATOMIC_RELAXED);
}

/* The port's own word: how many have begun to wait. */
static unsigned sleepers_of(struct vck_event *event)
{
    uint32_t *word = (uint32_t *)(void *)event->opaque;
    return __atomic_load_n(word, __ATOMIC_RELAXED) >> 2 & 0x3ffff;
}

/* The set is taken back at once: who waited passes, even if it only runs afterwards. */
static void test_manual_set_releases_all_that_wait(void **state) VCK_CAN_WAIT
{
    struct gate gate = {.passed = 0};
    struct vck_thread *threads[4];
    (void)state;
    vck_event_init_manual(&gate.event);
    for (unsigned round = 0; round < 200; round++) {
        for (size_t i = 0; i < 4; i++)
            threads[i] = start(pass_gate, &gate);
        while (sleepers_of(&gate.event) != 4)
            vck_thread_yield();
        vck_event_set(&gate.event);
        vck_event_reset(&gate.event);
        for (size_t i = 0; i < 4; i++)
            vck_thread_join(threads[i]);
    }
    assert_int_equal(gate.passed, 800);
    assert_int_equal(vck_event_wait(&gate.event, 0), VCK_TIMEOUT);
    vck_event_fini(&gate.event);
}

/* Deadlines that pass while sets arrive: every set is consumed exactly once or still there. */
struct race {
    struct vck_event event;
    struct vck_event taken;
    unsigned consumed;
    bool is_over;
};

static void wait_briefly(void *context) VCK_CAN_WAIT
{
    struct race *race = context;
    while (!__atomic_load_n(&race->is_over, __ATOMIC_ACQUIRE)) {
        if (vck_event_wait(&race->event, vck_clock_ns() + 20000) != VCK_OK)
            continue;
        __atomic_add_fetch(&race->consumed, 1, __ATOMIC_RELAXED);
        vck_event_set(&race->taken);
    }
}

static void test_timeouts_lose_no_set(void **state) VCK_CAN_WAIT
{
    struct race race = {.consumed = 0};
    struct vck_thread *threads[2];
    (void)state;
    vck_event_init(&race.event);
    vck_event_init(&race.taken);
    for (size_t i = 0; i < 2; i++)
        threads[i] = start(wait_briefly, &race);
    for (unsigned i = 1; i <= 5000; i++) {
        vck_event_set(&race.event);
        assert_int_equal(vck_event_wait(&race.taken, VCK_FOREVER), VCK_OK);
        assert_int_equal(__atomic_load_n(&race.consumed, __ATOMIC_RELAXED), i);
    }
    __atomic_store_n(&race.is_over, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 2; i++)
        vck_thread_join(threads[i]);
    vck_event_fini(&race.event);
    vck_event_fini(&race.taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_before_wait_is_kept_once),
        cmocka_unit_test(test_wait_ends_at_its_deadline),
        cmocka_unit_test(test_set_wakes_and_orders),
        cmocka_unit_test(test_waiter_may_free_the_event),
        cmocka_unit_test(test_one_set_releases_one_of_many),
        cmocka_unit_test(test_timeouts_lose_no_set),
        cmocka_unit_test(test_manual_event_stays_set_until_reset),
        cmocka_unit_test(test_reset_takes_a_set_back),
        cmocka_unit_test(test_manual_set_releases_all_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
