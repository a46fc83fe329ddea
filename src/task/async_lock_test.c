/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/async_mutex.h"
#include "vck/async_semaphore.h"
#include "sync_test.h"

/* ---- semaphore ---- */

static void permits_are_counted(void **state)
{
    (void)state;
    struct vck_async_semaphore semaphore;

    vck_async_semaphore_init(&semaphore, 3, 5);
    assert_int_equal(vck_async_semaphore_try_acquire(&semaphore, 4), VCK_BUSY);
    assert_int_equal(vck_async_semaphore_try_acquire(&semaphore, 2), VCK_OK);
    assert_int_equal(vck_async_semaphore_free_permits(&semaphore), 1);
    assert_int_equal(vck_async_semaphore_try_acquire(&semaphore, 2), VCK_BUSY);
    vck_async_semaphore_release(&semaphore, 4);
    assert_int_equal(vck_async_semaphore_try_acquire(&semaphore, 5), VCK_OK);
    assert_int_equal(vck_async_semaphore_try_acquire(&semaphore, 1), VCK_BUSY);
}

static void the_semaphore_is_fair(void **state)
{
    (void)state;
    struct vck_async_semaphore semaphore;
    struct vck_async_acquire many;
    struct vck_async_acquire few[2];
    struct wakes wakes[3] = {{0, 0}, {0, 0}, {0, 0}};

    vck_async_semaphore_init(&semaphore, 1, 4);
    vck_async_acquire_init(&many, &semaphore, 3);
    vck_async_acquire_init(&few[0], &semaphore, 1);
    vck_async_acquire_init(&few[1], &semaphore, 1);
    assert_pending(&many.future, &wakes[0]);
    /* One permit is free, but it is kept for the one that came first. */
    assert_pending(&few[0].future, &wakes[1]);
    assert_pending(&few[1].future, &wakes[2]);
    assert_int_equal(vck_async_semaphore_try_acquire(&semaphore, 1), VCK_BUSY);
    vck_async_semaphore_release(&semaphore, 1);
    assert_int_equal(woken(&wakes[0]) + woken(&wakes[1]) + woken(&wakes[2]), 0);
    vck_async_semaphore_release(&semaphore, 2);
    assert_int_equal(woken(&wakes[0]), 1);
    assert_int_equal(woken(&wakes[1]), 1);
    assert_int_equal(woken(&wakes[2]), 0);
    assert_ready(&many.future, &wakes[0]);
    assert_ready(&few[0].future, &wakes[1]);
    assert_pending(&few[1].future, &wakes[2]);
    vck_async_semaphore_release(&semaphore, 4);
    assert_ready(&few[1].future, &wakes[2]);
    assert_int_equal(vck_async_semaphore_free_permits(&semaphore), 3);
    assert_int_equal(wakes[0].live + wakes[1].live + wakes[2].live, 0);
}

/* Dropped before its first poll, waiting, granted but not polled, and READY. */
static void permits_of_a_dropped_wait_go_to_the_next(void **state)
{
    (void)state;
    for (int point = 0; point < 4; point++) {
        struct vck_async_semaphore semaphore;
        struct vck_async_acquire first;
        struct vck_async_acquire next;
        struct wakes wakes[2] = {{0, 0}, {0, 0}};

        vck_async_semaphore_init(&semaphore, 0, 2);
        vck_async_acquire_init(&first, &semaphore, 2);
        vck_async_acquire_init(&next, &semaphore, 2);
        if (point > 0)
            assert_pending(&first.future, &wakes[0]);
        assert_pending(&next.future, &wakes[1]);
        if (point > 1)
            vck_async_semaphore_release(&semaphore, 2);
        if (point > 2)
            assert_ready(&first.future, &wakes[0]);
        vck_future_drop(&first.future);
        if (point <= 1)
            vck_async_semaphore_release(&semaphore, 2);
        if (point == 3) {
            /* READY means the permits were the caller's, to be given back by the caller. */
            assert_pending(&next.future, &wakes[1]);
            vck_async_semaphore_release(&semaphore, 2);
        }
        assert_int_equal(woken(&wakes[1]), 1);
        assert_ready(&next.future, &wakes[1]);
        assert_int_equal(vck_async_semaphore_free_permits(&semaphore), 0);
        assert_int_equal(wakes[0].live + wakes[1].live, 0);
    }
}

static void a_dropped_wait_for_many_lets_those_for_few_go_on(void **state)
{
    (void)state;
    struct vck_async_semaphore semaphore;
    struct vck_async_acquire many;
    struct vck_async_acquire few[3];
    struct wakes wakes = {0, 0};

    vck_async_semaphore_init(&semaphore, 2, 4);
    vck_async_acquire_init(&many, &semaphore, 4);
    assert_pending(&many.future, &wakes);
    for (int i = 0; i < 3; i++) {
        vck_async_acquire_init(&few[i], &semaphore, 1);
        assert_pending(&few[i].future, &wakes);
    }
    vck_future_drop(&many.future);
    assert_int_equal(woken(&wakes), 2);
    assert_ready(&few[0].future, &wakes);
    assert_ready(&few[1].future, &wakes);
    assert_pending(&few[2].future, &wakes);
    vck_future_drop(&few[2].future);
    assert_int_equal(wakes.live, 0);
    vck_async_semaphore_release(&semaphore, 1);
    assert_int_equal(vck_async_semaphore_free_permits(&semaphore), 1);
}

static void blocking_acquire_times_out(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_async_semaphore semaphore;

    vck_async_semaphore_init(&semaphore, 1, 2);
    assert_int_equal(vck_async_semaphore_acquire_until(&semaphore, 1, VCK_FOREVER), VCK_OK);
    assert_int_equal(vck_async_semaphore_acquire_until(&semaphore, 1, vck_clock_ns() + 1000000),
                     VCK_TIMEOUT);
    vck_async_semaphore_release(&semaphore, 1);
    assert_int_equal(vck_async_semaphore_free_permits(&semaphore), 1);
}

static void release_one(void *context)
{
    vck_async_semaphore_release(context, 1);
}

static void a_timer_callback_at_dispatch_may_release(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_async_semaphore semaphore;
    struct vck_timer timer;

    vck_async_semaphore_init(&semaphore, 0, 1);
    vck_timer_init(&timer, release_one, &semaphore);
    vck_timer_set(&timer, vck_clock_ns() + 1000000);
    assert_int_equal(vck_async_semaphore_acquire_until(&semaphore, 1, VCK_FOREVER), VCK_OK);
    vck_timer_fini(&timer);
}

/* ---- mutex ---- */

static void the_mutex_excludes_and_is_fair(void **state)
{
    (void)state;
    struct vck_async_mutex mutex;
    struct vck_async_lock locks[4];
    struct wakes wakes[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};

    vck_async_mutex_init(&mutex);
    for (int i = 0; i < 4; i++)
        vck_async_lock_init(&locks[i], &mutex);
    assert_ready(&locks[0].future, &wakes[0]);
    assert_int_equal(vck_async_mutex_try_lock(&mutex), VCK_BUSY);
    for (int i = 1; i < 4; i++)
        assert_pending(&locks[i].future, &wakes[i]);
    for (int i = 1; i < 4; i++) {
        vck_async_mutex_unlock(&mutex);
        /* It was passed on: nobody can take it in between. */
        assert_int_equal(vck_async_mutex_try_lock(&mutex), VCK_BUSY);
        for (int k = 1; k < 4; k++)
            assert_int_equal(woken(&wakes[k]), k == i);
        assert_ready(&locks[i].future, &wakes[i]);
    }
    vck_async_mutex_unlock(&mutex);
    assert_int_equal(vck_async_mutex_try_lock(&mutex), VCK_OK);
}

static void a_mutex_passed_to_a_dropped_wait_goes_to_the_next(void **state)
{
    (void)state;
    for (int next_waits = 0; next_waits < 2; next_waits++) {
        struct vck_async_mutex mutex;
        struct vck_async_lock first;
        struct vck_async_lock next;
        struct wakes wakes[2] = {{0, 0}, {0, 0}};

        vck_async_mutex_init(&mutex);
        assert_int_equal(vck_async_mutex_try_lock(&mutex), VCK_OK);
        vck_async_lock_init(&first, &mutex);
        vck_async_lock_init(&next, &mutex);
        assert_pending(&first.future, &wakes[0]);
        if (next_waits)
            assert_pending(&next.future, &wakes[1]);
        vck_async_mutex_unlock(&mutex);
        vck_future_drop(&first.future);
        assert_int_equal(woken(&wakes[1]), next_waits);
        assert_ready(&next.future, &wakes[1]);
        assert_int_equal(wakes[0].live + wakes[1].live, 0);
    }
}

static void blocking_lock_times_out(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_async_mutex mutex;

    vck_async_mutex_init(&mutex);
    assert_int_equal(vck_async_mutex_lock_until(&mutex, VCK_FOREVER), VCK_OK);
    assert_int_equal(vck_async_mutex_lock_until(&mutex, vck_clock_ns() + 1000000), VCK_TIMEOUT);
    vck_async_mutex_unlock(&mutex);
    assert_int_equal(vck_async_mutex_lock_until(&mutex, 0), VCK_OK);
}

/* ---- stress ---- */

#define THREADS 4

struct contest {
    struct vck_async_mutex mutex;
    struct vck_async_semaphore semaphore;
    uint64_t until_ns;
    uint64_t by_mutex; /* plain: the mutex orders the accesses */
    uint64_t counts[THREADS];
    uint32_t inside;
    uint32_t next_id;
};

/* Takes it in every way there is; false when it did not get it. */
static bool lock_somehow(struct contest *contest, uint64_t turn) VCK_CAN_WAIT
{
    struct vck_async_lock lock;
    struct wakes wakes = {0, 0};
    bool locked;

    switch (turn % 4) {
    case 0:
        return vck_async_mutex_try_lock(&contest->mutex) == VCK_OK;
    case 1:
        return vck_async_mutex_lock_until(&contest->mutex, VCK_FOREVER) == VCK_OK;
    case 2:
        return vck_async_mutex_lock_until(&contest->mutex, vck_clock_ns() + 3000) == VCK_OK;
    default:
        vck_async_lock_init(&lock, &contest->mutex);
        locked = poll_with(&lock.future, &wakes) == VCK_READY;
        if (!locked)
            vck_future_drop(&lock.future);
        while (__atomic_load_n(&wakes.live, __ATOMIC_ACQUIRE) != 0)
            ;
        return locked;
    }
}

static void use_permits(struct contest *contest, uint32_t permits) VCK_CAN_WAIT
{
    if (vck_async_semaphore_acquire_until(&contest->semaphore, permits, vck_clock_ns() + 50000) !=
        VCK_OK)
        return;
    if (__atomic_add_fetch(&contest->inside, permits, __ATOMIC_RELAXED) > 3)
        abort();
    __atomic_sub_fetch(&contest->inside, permits, __ATOMIC_RELAXED);
    vck_async_semaphore_release(&contest->semaphore, permits);
}

static void contend(void *context) VCK_CAN_WAIT
{
    struct contest *contest = context;
    uint32_t id = __atomic_fetch_add(&contest->next_id, 1, __ATOMIC_RELAXED);

    for (uint64_t turn = id; vck_clock_ns() < contest->until_ns; turn++) {
        if (lock_somehow(contest, turn)) {
            contest->by_mutex++;
            contest->counts[id]++;
            vck_async_mutex_unlock(&contest->mutex);
        }
        use_permits(contest, 1 + (uint32_t)(turn % 3));
    }
}

static void stress_with_threads(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct contest contest = {.until_ns = vck_clock_ns() + stress_ns()};
    struct vck_thread *threads[THREADS];
    uint64_t sum = 0;

    vck_async_mutex_init(&contest.mutex);
    vck_async_semaphore_init(&contest.semaphore, 3, 3);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            vck_thread_create(contend, &contest, VCK_THREAD_NORMAL, "contend", &threads[i]),
            VCK_OK);
    for (int i = 0; i < THREADS; i++)
        vck_thread_join(threads[i]);
    for (int i = 0; i < THREADS; i++)
        sum += contest.counts[i];
    assert_true(sum > 0);
    assert_int_equal(contest.by_mutex, sum);
    assert_int_equal(vck_async_mutex_try_lock(&contest.mutex), VCK_OK);
    assert_int_equal(vck_async_semaphore_free_permits(&contest.semaphore), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permits_are_counted),
        cmocka_unit_test(the_semaphore_is_fair),
        cmocka_unit_test(permits_of_a_dropped_wait_go_to_the_next),
        cmocka_unit_test(a_dropped_wait_for_many_lets_those_for_few_go_on),
        cmocka_unit_test(blocking_acquire_times_out),
        cmocka_unit_test(a_timer_callback_at_dispatch_may_release),
        cmocka_unit_test(the_mutex_excludes_and_is_fair),
        cmocka_unit_test(a_mutex_passed_to_a_dropped_wait_goes_to_the_next),
        cmocka_unit_test(blocking_lock_times_out),
        cmocka_unit_test(stress_with_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
