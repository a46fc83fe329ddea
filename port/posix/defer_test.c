/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "port/port.h"
#include "vck/bytes.h"

struct job {
    struct vck_work work;
    uint32_t number;
    uint32_t again; /* how often it defers itself once more */
    bool is_slow;
};

static uint32_t order[64];
static uint32_t run_count;
static uint32_t first_id;
static struct vck_spinlock raising;

static void run(struct vck_work *work)
{
    struct job *job = VCK_CONTAINER_OF(work, struct job, work);
    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE);
    assert_int_not_equal(vck_thread_id(), first_id);
    if (job->is_slow) {
        for (int i = 0; i < 1000; i++)
            vck_thread_yield();
    }
    order[run_count++ % VCK_ARRAY_COUNT(order)] = job->number;
    if (job->again > 0) {
        job->again--;
        vck_defer(work, run);
    }
}

static int setup(void **state)
{
    (void)state;
    run_count = 0;
    first_id = vck_thread_id();
    return 0;
}

static void test_work_deferred_at_dispatch_runs_at_passive_in_order(void **state) VCK_CAN_WAIT
{
    struct job jobs[40] = {0};
    (void)state;
    vck_spinlock_acquire(&raising);
    for (uint32_t i = 0; i < 40; i++) {
        jobs[i].number = i;
        vck_defer(&jobs[i].work, run);
    }
    vck_spinlock_release(&raising);
    vck_defer_drain();
    assert_int_equal(run_count, 40);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(order[i], i);
}

static void test_drain_waits_for_work_that_work_defers(void **state) VCK_CAN_WAIT
{
    struct job job = {.again = 30, .is_slow = true};
    (void)state;
    vck_defer(&job.work, run);
    vck_defer_drain();
    assert_int_equal(run_count, 31);
    vck_defer_drain();
}

static void drain_inside(struct vck_work *work) VCK_CAN_WAIT
{
    (void)work;
    vck_defer_drain();
    run_count++;
}

static void test_drain_inside_work_does_not_wait_for_itself(void **state) VCK_CAN_WAIT
{
    struct job job = {0};
    (void)state;
    vck_defer(&job.work, drain_inside);
    vck_defer_drain();
    assert_int_equal(run_count, 1);
}

static uint32_t counted;

static void count(struct vck_work *work)
{
    (void)work;
    counted++;
}

static void defer_and_drain(void *context) VCK_CAN_WAIT
{
    uint32_t *done = context;
    for (int i = 0; i < 300; i++) {
        struct vck_work work = {0};
        vck_defer(&work, count);
        vck_defer_drain();
        ++*done;
    }
}

static void test_threads_defer_and_drain_at_once(void **state) VCK_CAN_WAIT
{
    struct vck_thread *threads[3];
    uint32_t done[3] = {0};
    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            vck_thread_create(defer_and_drain, &done[i], VCK_THREAD_NORMAL, "defers", &threads[i]),
            VCK_OK);
    for (size_t i = 0; i < 3; i++) {
        vck_thread_join(threads[i]);
        assert_int_equal(done[i], 300);
    }
    assert_int_equal(counted, 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_work_deferred_at_dispatch_runs_at_passive_in_order, setup),
        cmocka_unit_test_setup(test_drain_waits_for_work_that_work_defers, setup),
        cmocka_unit_test_setup(test_drain_inside_work_does_not_wait_for_itself, setup),
        cmocka_unit_test_setup(test_threads_defer_and_drain_at_once, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
