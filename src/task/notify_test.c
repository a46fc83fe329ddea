/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/async_event.h"
#include "vck/notify.h"
#include "vck/timeout.h"
#include "sync_test.h"

/* ---- notify ---- */

static void one_is_kept_for_the_next_to_wait(void **state)
{
    (void)state;
    struct vck_notify notify;
    struct vck_notified notified;
    struct wakes wakes = {0, 0};

    vck_notify_init(&notify);
    vck_notify_one(&notify);
    vck_notify_one(&notify);
    vck_notified_init(&notified, &notify);
    assert_ready(&notified.future, &wakes);
    vck_notified_init(&notified, &notify);
    assert_pending(&notified.future, &wakes);
    vck_future_drop(&notified.future);
    assert_int_equal(wakes.live, 0);
}

static void one_wakes_the_oldest_waiter_only(void **state)
{
    (void)state;
    struct vck_notify notify;
    struct vck_notified notified[3];
    struct wakes wakes[3] = {{0, 0}, {0, 0}, {0, 0}};

    vck_notify_init(&notify);
    for (int i = 0; i < 3; i++) {
        vck_notified_init(&notified[i], &notify);
        assert_pending(&notified[i].future, &wakes[i]);
    }
    for (int i = 0; i < 3; i++) {
        vck_notify_one(&notify);
        for (int k = 0; k < 3; k++)
            assert_int_equal(woken(&wakes[k]), k == i);
        assert_ready(&notified[i].future, &wakes[i]);
        assert_int_equal(wakes[i].live, 0);
    }
    /* Each was used up: nothing is kept. */
    vck_notified_init(&notified[0], &notify);
    assert_pending(&notified[0].future, &wakes[0]);
    vck_future_drop(&notified[0].future);
}

static void all_wakes_who_wait_now_and_is_not_kept(void **state)
{
    (void)state;
    struct vck_notify notify;
    struct vck_notified notified[3];
    struct wakes wakes = {0, 0};

    vck_notify_init(&notify);
    vck_notify_all(&notify);
    for (int i = 0; i < 3; i++) {
        vck_notified_init(&notified[i], &notify);
        assert_pending(&notified[i].future, &wakes);
    }
    vck_notify_all(&notify);
    assert_int_equal(woken(&wakes), 3);
    for (int i = 0; i < 2; i++)
        assert_ready(&notified[i].future, &wakes);
    /* One that notify_all woke has nothing to pass on. */
    vck_future_drop(&notified[2].future);
    vck_notified_init(&notified[0], &notify);
    assert_pending(&notified[0].future, &wakes);
    vck_future_drop(&notified[0].future);
    assert_int_equal(wakes.live, 0);
}

/* Dropped before its first poll, waiting, and notified but not polled; with and without a next. */
static void one_meant_for_a_dropped_wait_goes_to_the_next(void **state)
{
    (void)state;
    for (int point = 0; point < 3; point++) {
        for (int next_waits = 0; next_waits < 2; next_waits++) {
            struct vck_notify notify;
            struct vck_notified first;
            struct vck_notified next;
            struct wakes wakes[2] = {{0, 0}, {0, 0}};

            vck_notify_init(&notify);
            vck_notified_init(&first, &notify);
            vck_notified_init(&next, &notify);
            if (point > 0)
                assert_pending(&first.future, &wakes[0]);
            if (next_waits)
                assert_pending(&next.future, &wakes[1]);
            if (point > 1)
                vck_notify_one(&notify);
            vck_future_drop(&first.future);
            if (point <= 1)
                vck_notify_one(&notify);
            assert_int_equal(woken(&wakes[1]), next_waits);
            assert_ready(&next.future, &wakes[1]);
            assert_int_equal(wakes[0].live + wakes[1].live, 0);
        }
    }
}

static void blocking_wait_times_out_and_keeps_nothing(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_notify notify;

    vck_notify_init(&notify);
    assert_int_equal(vck_notify_wait_until(&notify, vck_clock_ns() + 1000000), VCK_TIMEOUT);
    vck_notify_one(&notify);
    assert_int_equal(vck_notify_wait_until(&notify, VCK_FOREVER), VCK_OK);
    assert_int_equal(vck_notify_wait_until(&notify, 0), VCK_TIMEOUT);
}

/* ---- a future over an event ---- */

static void a_set_event_stays_set_until_reset(void **state)
{
    (void)state;
    struct vck_async_event event;
    struct vck_async_event_wait waits[3];
    struct wakes wakes = {0, 0};

    vck_async_event_init(&event);
    for (int i = 0; i < 3; i++) {
        vck_async_event_wait_init(&waits[i], &event);
        assert_pending(&waits[i].future, &wakes);
    }
    vck_async_event_set(&event);
    vck_async_event_set(&event);
    assert_int_equal(woken(&wakes), 3);
    assert_true(vck_async_event_is_set(&event));
    assert_ready(&waits[0].future, &wakes);
    vck_async_event_wait_init(&waits[0], &event);
    assert_ready(&waits[0].future, &wakes);
    vck_async_event_reset(&event);
    /* Those the set had woken stay woken. */
    assert_ready(&waits[1].future, &wakes);
    vck_future_drop(&waits[2].future);
    vck_async_event_wait_init(&waits[0], &event);
    assert_pending(&waits[0].future, &wakes);
    vck_future_drop(&waits[0].future);
    assert_int_equal(wakes.live, 0);
    vck_async_event_set(&event);
    assert_int_equal(woken(&wakes), 0);
}

static void set_event(void *context)
{
    vck_async_event_set(context);
}

/* Set by a timer's callback, at DISPATCH; waited for on the stack it may then leave. */
static void a_future_over_an_event_that_a_callback_sets(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct vck_async_event event;
        struct vck_timer timer;

        vck_async_event_init(&event);
        vck_timer_init(&timer, set_event, &event);
        vck_timer_set(&timer, vck_clock_ns() + 20000);
        assert_int_equal(vck_async_event_wait_until(&event, VCK_FOREVER), VCK_OK);
        memset(&event, 0xa5, sizeof(event));
        vck_timer_fini(&timer);
    }
}

static void a_blocking_wait_for_an_event_times_out(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_async_event event;

    vck_async_event_init(&event);
    assert_int_equal(vck_async_event_wait_until(&event, vck_clock_ns() + 1000000), VCK_TIMEOUT);
    vck_async_event_set(&event);
    assert_int_equal(vck_async_event_wait_until(&event, 0), VCK_OK);
}

/* ---- stress: every item of work is followed by one notify_one, and none stays undone ---- */

#define WORKERS 3

struct works {
    struct vck_notify notify;
    uint64_t waiting; /* items to do */
    uint64_t done;
    bool stop;
};

static bool take_item(struct works *works)
{
    uint64_t waiting = __atomic_load_n(&works->waiting, __ATOMIC_RELAXED);

    while (waiting != 0)
        if (__atomic_compare_exchange_n(&works->waiting, &waiting, waiting - 1, true,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    return false;
}

static void work(void *context) VCK_CAN_WAIT
{
    struct works *works = context;

    for (uint32_t turn = 0; !__atomic_load_n(&works->stop, __ATOMIC_ACQUIRE); turn++) {
        while (take_item(works))
            __atomic_fetch_add(&works->done, 1, __ATOMIC_RELAXED);
        /* Waits that give up pass on what was meant for them. */
        vck_status status =
            vck_notify_wait_until(&works->notify, turn % 2 ? VCK_FOREVER : vck_clock_ns() + 2000);
        if (status != VCK_OK && status != VCK_TIMEOUT)
            abort();
    }
    /* So that the others see the end, too. */
    vck_notify_one(&works->notify);
}

static void stress_with_threads(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct works works = {.waiting = 0};
    struct vck_thread *threads[WORKERS];
    uint64_t until_ns = vck_clock_ns() + stress_ns();
    uint64_t made = 0;

    vck_notify_init(&works.notify);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(vck_thread_create(work, &works, VCK_THREAD_NORMAL, "work", &threads[i]),
                         VCK_OK);
    while (vck_clock_ns() < until_ns || made % 16 != 0) {
        __atomic_fetch_add(&works.waiting, 1, __ATOMIC_RELEASE);
        vck_notify_one(&works.notify);
        made++;
        /* With every 16th, wait until all is done: a lost notification would be for ever. */
        while (made % 16 == 0 && __atomic_load_n(&works.done, __ATOMIC_ACQUIRE) != made)
            ;
    }
    __atomic_store_n(&works.stop, true, __ATOMIC_RELEASE);
    vck_notify_one(&works.notify);
    for (int i = 0; i < WORKERS; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(works.done, made);
}

/* ---- notify_all against a look that finds nothing ---- */

struct change {
    struct vck_notify made;
    struct vck_notify seen;
    uint64_t until_ns;
    uint64_t count;
    bool is_last;
};

static void change_often(void *context) VCK_CAN_WAIT
{
    struct change *c = context;

    for (;;) {
        __atomic_store_n(&c->is_last, vck_clock_ns() >= c->until_ns, __ATOMIC_RELAXED);
        __atomic_store_n(&c->count, c->count + 1, __ATOMIC_RELEASE);
        vck_notify_all(&c->made);
        if (c->is_last)
            return;
        if (vck_notify_wait_until(&c->seen, VCK_FOREVER) != VCK_OK)
            abort();
    }
}

/* Looks after the wait's first poll, and sleeps when there is nothing new. */
static void wait_for_change(struct change *c, uint64_t known) VCK_CAN_WAIT
{
    struct vck_notified notified;
    struct wakes wakes = {0, 0};

    vck_notified_init(&notified, &c->made);
    if (poll_with(&notified.future, &wakes) == VCK_PENDING) {
        if (__atomic_load_n(&c->count, __ATOMIC_ACQUIRE) == known)
            assert_int_equal(
                vck_block_on_until(&notified.future, vck_clock_ns() + UINT64_C(20000000000)),
                VCK_OK);
        else
            vck_future_drop(&notified.future);
    }
    while (__atomic_load_n(&wakes.live, __ATOMIC_ACQUIRE) != 0)
        ;
}

static void no_change_before_notify_all_is_missed(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct change c = {.until_ns = vck_clock_ns() + stress_ns()};
    struct vck_thread *thread;
    uint64_t known = 0;

    vck_notify_init(&c.made);
    vck_notify_init(&c.seen);
    assert_int_equal(vck_thread_create(change_often, &c, VCK_THREAD_NORMAL, "change", &thread),
                     VCK_OK);
    do {
        vck_notify_one(&c.seen);
        wait_for_change(&c, known);
        known = __atomic_load_n(&c.count, __ATOMIC_ACQUIRE);
    } while (!__atomic_load_n(&c.is_last, __ATOMIC_RELAXED));
    vck_thread_join(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_kept_for_the_next_to_wait),
        cmocka_unit_test(one_wakes_the_oldest_waiter_only),
        cmocka_unit_test(all_wakes_who_wait_now_and_is_not_kept),
        cmocka_unit_test(one_meant_for_a_dropped_wait_goes_to_the_next),
        cmocka_unit_test(blocking_wait_times_out_and_keeps_nothing),
        cmocka_unit_test(a_set_event_stays_set_until_reset),
        cmocka_unit_test(a_future_over_an_event_that_a_callback_sets),
        cmocka_unit_test(a_blocking_wait_for_an_event_times_out),
        cmocka_unit_test(stress_with_threads),
        cmocka_unit_test(no_change_before_notify_all_is_missed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
