/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vck/coroutine.h"
#include "vck/future.h"
#include "vck/sleep.h"
#include "vck/wait_queue.h"

/* ---- a future that counts its polls and is ready at the n-th ---- */

struct nth {
    struct vck_future future;
    int polls;
    int ready_at;
};

static enum vck_poll nth_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct nth *nth = VCK_CONTAINER_OF(self, struct nth, future);

    if (++nth->polls >= nth->ready_at)
        return VCK_READY;
    waker->ops->wake(waker->data);
    return VCK_PENDING;
}

static void block_on_polls_until_ready(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct nth nth = {.future = {.poll = nth_poll}, .ready_at = 5};

    vck_block_on(&nth.future);
    assert_int_equal(nth.polls, 5);
}

/* ---- wakes from another thread ---- */

struct signalled {
    struct vck_future future;
    struct vck_waker_slot slot;
    uint64_t delay_ns;
};

static enum vck_poll signalled_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct signalled *signalled = VCK_CONTAINER_OF(self, struct signalled, future);

    return vck_waker_slot_poll(&signalled->slot, waker) ? VCK_READY : VCK_PENDING;
}

static void signal_later(void *context)
{
    struct signalled *signalled = context;
    uint64_t until_ns = vck_clock_ns() + signalled->delay_ns;

    while (vck_clock_ns() < until_ns)
        ;
    vck_waker_slot_signal(&signalled->slot);
}

/* The signal may be the last to touch the slot, which is on this stack and reused at once. */
static void a_signal_from_a_thread_wakes(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        struct signalled signalled = {.future = {.poll = signalled_poll}, .delay_ns = i * 500};
        struct vck_thread *thread = NULL;

        vck_waker_slot_init(&signalled.slot);
        assert_int_equal(
            vck_thread_create(signal_later, &signalled, VCK_THREAD_NORMAL, "signal", &thread),
            VCK_OK);
        vck_block_on(&signalled.future);
        vck_thread_join(thread);
    }
}

static void a_cancelled_slot_wakes_nobody(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_waker_slot slot;

    vck_waker_slot_init(&slot);
    assert_false(vck_waker_slot_poll(&slot, &vck_waker_noop));
    vck_waker_slot_cancel(&slot);
    vck_waker_slot_signal(&slot);
    assert_true(vck_waker_slot_poll(&slot, &vck_waker_noop));
}

/* ---- sleep ---- */

static void sleep_is_not_short(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_sleep nap;
    uint64_t before_ns = vck_clock_ns();

    vck_sleep_init(&nap, 3000000);
    vck_block_on(&nap.future);
    assert_true(vck_clock_ns() - before_ns >= 3000000);
}

static void sleep_polled_early_stays_pending(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_sleep nap;

    vck_sleep_init(&nap, UINT64_MAX);
    assert_int_equal(nap.deadline_ns, UINT64_MAX);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vck_future_poll(&nap.future, &vck_waker_noop), VCK_PENDING);
    vck_future_drop(&nap.future);
}

static void sleep_in_the_past_is_ready(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_sleep nap;

    vck_sleep_until_init(&nap, vck_clock_ns());
    assert_int_equal(vck_future_poll(&nap.future, &vck_waker_noop), VCK_READY);
}

/* ---- wait queue ---- */

static int wakes;

static struct vck_waker counting_clone(void *data);

static void counting_wake(void *data)
{
    (void)data;
    wakes++;
}

static void counting_drop(void *data)
{
    (void)data;
}

static const struct vck_waker_ops counting_ops = {counting_clone, counting_wake, counting_drop};

static struct vck_waker counting_clone(void *data)
{
    return (struct vck_waker){&counting_ops, data};
}

static const struct vck_waker counting = {&counting_ops, NULL};

static void wait_queue_wakes_oldest_then_all(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_wait_queue queue;
    struct vck_waiter waiters[4];

    wakes = 0;
    vck_wait_queue_init(&queue);
    for (int i = 0; i < 4; i++) {
        vck_waiter_init(&waiters[i]);
        vck_wait_queue_register(&queue, &waiters[i], &counting);
    }
    vck_wait_queue_register(&queue, &waiters[0], &counting);
    assert_int_equal(queue.count, 4);
    vck_wait_queue_wake_one(&queue);
    assert_int_equal(wakes, 1);
    assert_false(vck_link_is_linked(&waiters[0].link));
    vck_wait_queue_cancel(&queue, &waiters[1]);
    vck_wait_queue_cancel(&queue, &waiters[1]);
    vck_wait_queue_wake_all(&queue);
    assert_int_equal(wakes, 3);
    assert_int_equal(queue.count, 0);
}

/* ---- coroutine ---- */

struct sum {
    struct vck_future future;
    struct vck_coroutine co;
    struct nth step;
    int i;
    int total;
};

static enum vck_poll sum_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct sum *sum = VCK_CONTAINER_OF(self, struct sum, future);

    VCK_CO_BEGIN(&sum->co);
    for (sum->i = 1; sum->i <= 4; sum->i++) {
        sum->step = (struct nth){.future = {.poll = nth_poll}, .ready_at = sum->i};
        VCK_CO_AWAIT(&sum->co, &sum->step.future, waker);
        sum->total += sum->step.polls;
    }
    VCK_CO_END(&sum->co);
}

static void coroutine_resumes_where_it_waited(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct sum sum = {.future = {.poll = sum_poll}};

    vck_block_on(&sum.future);
    assert_int_equal(sum.total, 1 + 2 + 3 + 4);
    assert_int_equal(sum.co.resume_at, VCK_CO_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_on_polls_until_ready),
        cmocka_unit_test(a_signal_from_a_thread_wakes),
        cmocka_unit_test(a_cancelled_slot_wakes_nobody),
        cmocka_unit_test(sleep_is_not_short),
        cmocka_unit_test(sleep_polled_early_stays_pending),
        cmocka_unit_test(sleep_in_the_past_is_ready),
        cmocka_unit_test(wait_queue_wakes_oldest_then_all),
        cmocka_unit_test(coroutine_resumes_where_it_waited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
