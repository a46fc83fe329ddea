/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/combine.h"
#include "vck/timeout.h"
#include "sync_test.h"

/* A future that is ready when told, and says how often it was polled and dropped. */
struct told {
    struct vck_future future;
    bool is_ready;
    int polls;
    int drops;
    int result; /* set when READY */
};

static enum vck_poll told_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct told *told = VCK_CONTAINER_OF(self, struct told, future);
    (void)waker;
    told->polls++;
    if (!told->is_ready)
        return VCK_PENDING;
    told->result = 40 + told->polls;
    return VCK_READY;
}

static void told_drop(struct vck_future *self)
{
    VCK_CONTAINER_OF(self, struct told, future)->drops++;
}

#define TOLD                                                                                       \
    {                                                                                              \
        .future = {.poll = told_poll, .drop = told_drop }                                          \
    }

/* ---- join of 2..n ---- */

static void join_of_2_to_n_is_ready_with_the_last_and_keeps_each_result(void **state)
{
    (void)state;
    for (size_t count = 2; count <= 9; count++) {
        struct told told[9];
        struct vck_future *futures[9];
        struct vck_join join;
        struct wakes wakes = {0, 0};

        for (size_t i = 0; i < count; i++) {
            told[i] = (struct told)TOLD;
            futures[i] = &told[i].future;
        }
        vck_join_init(&join, futures, count);
        /* They end in the order opposite to that of the array. */
        for (size_t n = 0; n < count; n++) {
            assert_pending(&join.future, &wakes);
            told[count - 1 - n].is_ready = true;
        }
        assert_ready(&join.future, &wakes);
        for (size_t i = 0; i < count; i++) {
            assert_null(futures[i]);
            assert_int_equal(told[i].drops, 0);
            /* READY once: the result is that of the poll at which it became so, kept since. */
            assert_int_equal(told[i].result, 40 + told[i].polls);
        }
    }
}

static void join_of_none_is_ready_at_once(void **state)
{
    (void)state;
    struct vck_join join;
    struct wakes wakes = {0, 0};

    vck_join_init(&join, NULL, 0);
    assert_ready(&join.future, &wakes);
}

static void join_dropped_in_the_middle_drops_only_the_pending(void **state)
{
    (void)state;
    for (unsigned ready = 0; ready < 8; ready++) {
        struct told told[3] = {TOLD, TOLD, TOLD};
        struct vck_future *futures[3] = {&told[0].future, &told[1].future, &told[2].future};
        struct vck_join join;
        struct wakes wakes = {0, 0};

        for (unsigned i = 0; i < 3; i++)
            told[i].is_ready = ready >> i & 1;
        vck_join_init(&join, futures, 3);
        if (poll_with(&join.future, &wakes) == VCK_READY)
            continue;
        vck_future_drop(&join.future);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(told[i].drops, told[i].is_ready ? 0 : 1);
    }
}

/* ---- select ---- */

static void select_says_the_winner_and_drops_the_losers(void **state)
{
    (void)state;
    for (size_t winner = 0; winner < 4; winner++) {
        for (int before = 0; before < 2; before++) {
            struct told told[4] = {TOLD, TOLD, TOLD, TOLD};
            struct vck_future *futures[4] = {&told[0].future, &told[1].future, &told[2].future,
                                             &told[3].future};
            struct vck_select select;
            struct wakes wakes = {0, 0};

            vck_select_init(&select, futures, 4, 0);
            if (before)
                assert_pending(&select.future, &wakes);
            told[winner].is_ready = true;
            assert_ready(&select.future, &wakes);
            assert_int_equal(select.winner, winner);
            for (size_t i = 0; i < 4; i++)
                assert_int_equal(told[i].drops, i == winner ? 0 : 1);
        }
    }
}

static void select_begins_where_it_is_told_to(void **state)
{
    (void)state;
    size_t first = 0;

    /* All are always ready: going on behind the winner, each wins in turn. */
    for (size_t round = 0; round < 9; round++) {
        struct told told[3] = {TOLD, TOLD, TOLD};
        struct vck_future *futures[3] = {&told[0].future, &told[1].future, &told[2].future};
        struct vck_select select;
        struct wakes wakes = {0, 0};

        for (size_t i = 0; i < 3; i++)
            told[i].is_ready = true;
        vck_select_init(&select, futures, 3, first);
        assert_ready(&select.future, &wakes);
        assert_int_equal(select.winner, round % 3);
        first = (select.winner + 1) % 3;
    }
}

static void select_dropped_in_the_middle_drops_all(void **state)
{
    (void)state;
    for (int polled = 0; polled < 2; polled++) {
        struct told told[2] = {TOLD, TOLD};
        struct vck_future *futures[2] = {&told[0].future, &told[1].future};
        struct vck_select select;
        struct wakes wakes = {0, 0};

        vck_select_init(&select, futures, 2, 1);
        if (polled)
            assert_pending(&select.future, &wakes);
        vck_future_drop(&select.future);
        assert_int_equal(told[0].drops, 1);
        assert_int_equal(told[1].drops, 1);
        assert_null(futures[0]);
    }
}

static void select_of_none_says_so(void **state)
{
    (void)state;
    struct vck_future *futures[2] = {NULL, NULL};
    struct vck_select select;
    struct wakes wakes = {0, 0};

    vck_select_init(&select, futures, 2, 0);
    assert_ready(&select.future, &wakes);
    assert_int_equal(select.winner, 2);
}

/* ---- timeout(future) ---- */

static void timeout_lets_a_ready_future_through(void **state)
{
    (void)state;
    for (int when = 0; when < 2; when++) {
        struct told told = TOLD;
        struct vck_timeout timeout;
        struct wakes wakes = {0, 0};

        /* Even when the time has passed, too. */
        vck_timeout_until_init(&timeout, &told.future, when ? 0 : vck_clock_ns() + 3600000000000u);
        if (!when)
            assert_pending(&timeout.future, &wakes);
        told.is_ready = true;
        assert_ready(&timeout.future, &wakes);
        assert_int_equal(timeout.status, VCK_OK);
        assert_int_equal(told.drops, 0);
        assert_int_equal(wakes.live, 0);
    }
}

static void timeout_drops_the_future_when_the_time_has_passed(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct told told = TOLD;
    struct vck_timeout timeout;

    vck_timeout_init(&timeout, &told.future, 2000000);
    uint64_t before_ns = vck_clock_ns();
    vck_block_on(&timeout.future);
    assert_int_equal(timeout.status, VCK_TIMEOUT);
    assert_int_equal(told.drops, 1);
    assert_true(vck_clock_ns() - before_ns >= 1000000);
}

static void timeout_polled_early_stays_pending(void **state)
{
    (void)state;
    struct told told = TOLD;
    struct vck_timeout timeout;
    struct wakes wakes = {0, 0};

    vck_timeout_init(&timeout, &told.future, UINT64_MAX - 5);
    for (int i = 0; i < 10; i++)
        assert_pending(&timeout.future, &wakes);
    vck_future_drop(&timeout.future);
    assert_int_equal(told.drops, 1);
    assert_int_equal(wakes.live, 0);
}

static void timeout_forever_has_no_limit(void **state)
{
    (void)state;
    struct told told = TOLD;
    struct vck_timeout timeout;
    struct wakes wakes = {0, 0};

    vck_timeout_init(&timeout, &told.future, VCK_FOREVER);
    assert_pending(&timeout.future, &wakes);
    assert_int_equal(wakes.live, 0);
    told.is_ready = true;
    assert_ready(&timeout.future, &wakes);
    assert_int_equal(timeout.status, VCK_OK);
}

static void timeout_dropped_before_a_poll_or_after_drops_the_future_once(void **state)
{
    (void)state;
    for (int polls = 0; polls < 3; polls++) {
        struct told told = TOLD;
        struct vck_timeout timeout;
        struct wakes wakes = {0, 0};

        vck_timeout_init(&timeout, &told.future, 3600000000000u);
        for (int i = 0; i < polls; i++)
            assert_pending(&timeout.future, &wakes);
        vck_future_drop(&timeout.future);
        vck_future_drop(&timeout.future);
        assert_int_equal(told.drops, 1);
        assert_int_equal(wakes.live, 0);
    }
}

static void block_on_until_a_deadline(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct told told = TOLD;

    assert_int_equal(vck_block_on_until(&told.future, 0), VCK_TIMEOUT);
    assert_int_equal(told.polls, 1);
    assert_int_equal(told.drops, 1);
    told.is_ready = true;
    assert_int_equal(vck_block_on_until(&told.future, 0), VCK_OK);
    assert_int_equal(vck_block_on_until(&told.future, VCK_FOREVER), VCK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_of_2_to_n_is_ready_with_the_last_and_keeps_each_result),
        cmocka_unit_test(join_of_none_is_ready_at_once),
        cmocka_unit_test(join_dropped_in_the_middle_drops_only_the_pending),
        cmocka_unit_test(select_says_the_winner_and_drops_the_losers),
        cmocka_unit_test(select_begins_where_it_is_told_to),
        cmocka_unit_test(select_dropped_in_the_middle_drops_all),
        cmocka_unit_test(select_of_none_says_so),
        cmocka_unit_test(timeout_lets_a_ready_future_through),
        cmocka_unit_test(timeout_drops_the_future_when_the_time_has_passed),
        cmocka_unit_test(timeout_polled_early_stays_pending),
        cmocka_unit_test(timeout_forever_has_no_limit),
        cmocka_unit_test(timeout_dropped_before_a_poll_or_after_drops_the_future_once),
        cmocka_unit_test(block_on_until_a_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
