/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_test.h"
#include "vck/semaphore.h"

static void test_semaphore_counts_up_to_its_limit(void **state) VCK_CAN_WAIT
{
    struct vck_semaphore semaphore;
    (void)state;
    vck_semaphore_init(&semaphore, 1, 3);
    assert_int_equal(vck_semaphore_release(&semaphore, 3), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_semaphore_release(&semaphore, UINT32_MAX), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_semaphore_release(&semaphore, 2), VCK_OK);
    assert_int_equal(vck_semaphore_release(&semaphore, 1), VCK_OUT_OF_RANGE);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(vck_semaphore_wait(&semaphore, 0), VCK_OK);
    assert_int_equal(vck_semaphore_wait(&semaphore, 0), VCK_TIMEOUT);
    vck_semaphore_fini(&semaphore);
}

static void test_timed_wait_takes_nothing(void **state) VCK_CAN_WAIT
{
    struct vck_semaphore semaphore;
    (void)state;
    vck_semaphore_init(&semaphore, 0, 2);
    uint64_t deadline_ns = vck_clock_ns() + 2 * MILLISECOND_NS;
    assert_int_equal(vck_semaphore_wait(&semaphore, deadline_ns), VCK_TIMEOUT);
    assert_true(vck_clock_ns() >= deadline_ns);
    assert_int_equal(vck_semaphore_release(&semaphore, 2), VCK_OK);
    assert_int_equal(semaphore.count, 2);
    vck_semaphore_fini(&semaphore);
}

struct queue {
    struct vck_semaphore semaphore;
    unsigned served;
};

struct customer {
    struct queue *queue;
    unsigned place;
};

static void queue_up(void *context) VCK_CAN_WAIT
{
    struct customer *customer = context;
    if (vck_semaphore_wait(&customer->queue->semaphore, VCK_FOREVER) == VCK_OK)
        customer->place = __atomic_fetch_add(&customer->queue->served, 1, __ATOMIC_RELAXED);
}

static void test_semaphore_serves_in_order(void **state) VCK_CAN_WAIT
{
    struct queue queue = {.served = 0};
    struct customer customers[3];
    struct vck_thread *threads[3];
    (void)state;
    vck_semaphore_init(&queue.semaphore, 0, 3);
    for (unsigned i = 0; i < 3; i++) {
        customers[i] = (struct customer){.queue = &queue, .place = 99};
        threads[i] = start(queue_up, &customers[i]);
        wait_for_waiters(&queue.semaphore.waiters, &queue.semaphore.lock, i + 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(vck_semaphore_release(&queue.semaphore, 1), VCK_OK);
        vck_thread_join(threads[i]);
        assert_int_equal(customers[i].place, i);
    }
    vck_semaphore_fini(&queue.semaphore);
}

struct work {
    struct vck_semaphore units;
    unsigned inside;
    unsigned most;
    unsigned taken;
    bool is_over;
};

static void take_and_give(void *context) VCK_CAN_WAIT
{
    struct work *work = context;
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t deadline_ns = i % 2 ? VCK_FOREVER : vck_clock_ns() + 5000;
        if (vck_semaphore_wait(&work->units, deadline_ns) != VCK_OK)
            continue;
        unsigned inside = __atomic_add_fetch(&work->inside, 1, __ATOMIC_RELAXED);
        if (inside > 2)
            __atomic_store_n(&work->most, inside, __ATOMIC_RELAXED);
        __atomic_sub_fetch(&work->inside, 1, __ATOMIC_RELAXED);
        if (vck_semaphore_release(&work->units, 1) != VCK_OK)
            __atomic_store_n(&work->most, 1000, __ATOMIC_RELAXED);
    }
}

static void test_units_are_neither_lost_nor_made(void **state) VCK_CAN_WAIT
{
    struct work work = {.inside = 0};
    struct vck_thread *threads[4];
    (void)state;
    vck_semaphore_init(&work.units, 2, 2);
    for (size_t i = 0; i < 4; i++)
        threads[i] = start(take_and_give, &work);
    for (size_t i = 0; i < 4; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(work.most, 0);
    assert_int_equal(work.units.count, 2);
    vck_semaphore_fini(&work.units);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_semaphore_counts_up_to_its_limit),
        cmocka_unit_test(test_timed_wait_takes_nothing),
        cmocka_unit_test(test_semaphore_serves_in_order),
        cmocka_unit_test(test_units_are_neither_lost_nor_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
