/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_test.h"
#include "vck/once.h"

struct made {
    struct vck_once once;
    struct vck_event entered;
    struct vck_event may_end;
    unsigned runs;
    unsigned value; /* plain: the once orders the accesses */
    unsigned failures_left;
    unsigned wrong;
    unsigned failed;
};

static vck_status make(void *context)
{
    struct made *made = context;
    made->runs++;
    if (made->failures_left > 0) {
        made->failures_left--;
        return VCK_IO;
    }
    made->value = 17;
    return VCK_OK;
}

static vck_status make_slowly(void *context) VCK_CAN_WAIT
{
    struct made *made = context;
    vck_event_set(&made->entered);
    (void)vck_event_wait(&made->may_end, VCK_FOREVER);
    return make(context);
}

static void test_once_runs_once(void **state) VCK_CAN_WAIT
{
    struct made made = {.runs = 0};
    (void)state;
    assert_false(vck_once_is_done(&made.once));
    assert_int_equal(vck_once_run(&made.once, make, &made), VCK_OK);
    assert_int_equal(vck_once_run(&made.once, make, &made), VCK_OK);
    assert_int_equal(vck_once_try(&made.once, make, &made), VCK_OK);
    assert_true(vck_once_is_done(&made.once));
    assert_int_equal(made.runs, 1);
}

static void test_failed_once_is_tried_again(void **state) VCK_CAN_WAIT
{
    struct made made = {.failures_left = 2};
    (void)state;
    assert_int_equal(vck_once_run(&made.once, make, &made), VCK_IO);
    assert_int_equal(vck_once_try(&made.once, make, &made), VCK_IO);
    assert_int_equal(vck_once_try(&made.once, make, &made), VCK_OK);
    assert_int_equal(made.runs, 3);
}

static void run_slowly(void *context) VCK_CAN_WAIT
{
    struct made *made = context;
    vck_status status = vck_once_run(&made->once, make_slowly, made);
    if (status != VCK_OK)
        __atomic_add_fetch(&made->failed, 1, __ATOMIC_RELAXED);
    else if (made->value != 17)
        __atomic_add_fetch(&made->wrong, 1, __ATOMIC_RELAXED);
}

static void test_others_wait_or_are_told_busy(void **state) VCK_CAN_WAIT
{
    struct made made = {.failures_left = 1};
    struct vck_thread *threads[3];
    (void)state;
    vck_event_init(&made.entered);
    vck_event_init(&made.may_end);
    for (size_t i = 0; i < 3; i++)
        threads[i] = start(run_slowly, &made);
    (void)vck_event_wait(&made.entered, VCK_FOREVER);
    wait_for_waiters(&made.once.waiters, &made.once.lock, 2);
    assert_int_equal(vck_once_try(&made.once, make, &made), VCK_BUSY);
    vck_event_set(&made.may_end);
    /* It fails there; one of the two that waited tries. */
    (void)vck_event_wait(&made.entered, VCK_FOREVER);
    vck_event_set(&made.may_end);
    for (size_t i = 0; i < 3; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(made.runs, 2);
    assert_int_equal(made.failed, 1);
    assert_int_equal(made.wrong, 0);
}

static vck_status ask_itself(void *context)
{
    return vck_once_try(context, ask_itself, context);
}

static void ask_inside(void)
{
    static struct vck_once once;
    if (vck_once_try(&once, ask_itself, &once) != VCK_OK)
        _exit(1);
}

static void test_once_inside_itself_stops_the_program(void **state)
{
    (void)state;
    expect_abort(ask_inside, "once->runner != vck_thread_id()");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_inside_itself_stops_the_program),
        cmocka_unit_test(test_once_runs_once),
        cmocka_unit_test(test_failed_once_is_tried_again),
        cmocka_unit_test(test_others_wait_or_are_told_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
