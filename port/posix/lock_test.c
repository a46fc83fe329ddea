/* SPDX-License-Identifier: Apache-2.0 */
#include "port/posix/abort_test.h"
#include "port/posix/posix.h"

static void test_spin_lock_raises_and_restores(void **state)
{
    struct vck_spinlock lock;
    (void)state;
    vck_spinlock_init(&lock);
    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE);
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_spinlock_acquire(&lock);
    vck_level inside = vck_current_level();
    vck_spinlock_release(&lock);
    assert_int_equal(inside, VCK_LEVEL_DISPATCH);
    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE);
}

/* The analysis forbids it where it can see it; callbacks at DISPATCH do it. */
static void test_nested_spin_lock_stays_raised(void **state) VCK_NO_ANALYSIS
{
    struct vck_spinlock outer;
    struct vck_spinlock inner;
    (void)state;
    vck_spinlock_init(&outer);
    vck_spinlock_init(&inner);
    vck_spinlock_acquire(&outer);
    vck_spinlock_acquire(&inner);
    vck_spinlock_release(&inner);
    assert_int_equal(vck_current_level(), VCK_LEVEL_DISPATCH);
    vck_spinlock_release(&outer);
    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE);
}

static void look_at_region(void *context)
{
    *(bool *)context = vck_in_critical_region();
}

static void test_critical_regions_nest_and_are_per_thread(void **state) VCK_CAN_WAIT
{
    struct vck_thread *thread = NULL;
    bool other_is_inside = true;
    (void)state;
    assert_false(vck_in_critical_region());
    vck_critical_region_enter();
    vck_critical_region_enter();
    assert_int_equal(
        vck_thread_create(look_at_region, &other_is_inside, VCK_THREAD_NORMAL, "look", &thread),
        VCK_OK);
    vck_thread_join(thread);
    assert_false(other_is_inside);
    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE); /* not a level of its own */
    vck_critical_region_leave();
    assert_true(vck_in_critical_region());
    vck_critical_region_leave();
    assert_false(vck_in_critical_region());
}

static void test_mutex_is_held_in_a_critical_region(void **state) VCK_CAN_WAIT
{
    struct vck_mutex outer;
    struct vck_mutex inner;
    (void)state;
    vck_mutex_init(&outer);
    vck_mutex_init(&inner);
    vck_mutex_acquire(&outer);
    vck_mutex_acquire(&inner);
    vck_mutex_release(&outer);
    bool is_inside = vck_in_critical_region();
    vck_mutex_release(&inner);
    assert_true(is_inside);
    assert_false(vck_in_critical_region());
    vck_mutex_fini(&outer);
    vck_mutex_fini(&inner);
}

struct counters {
    struct vck_spinlock spinlock;
    struct vck_mutex mutex;
    unsigned by_spinlock; /* plain: the locks order the accesses */
    unsigned by_mutex;
};

static void count(void *context) VCK_CAN_WAIT
{
    struct counters *counters = context;
    for (unsigned i = 0; i < 20000; i++) {
        vck_spinlock_acquire(&counters->spinlock);
        counters->by_spinlock++;
        vck_spinlock_release(&counters->spinlock);
        vck_mutex_acquire(&counters->mutex);
        counters->by_mutex++;
        vck_mutex_release(&counters->mutex);
    }
}

static void test_locks_exclude(void **state) VCK_NO_ANALYSIS
{
    struct counters counters = {.by_spinlock = 0};
    struct vck_thread *threads[4];
    (void)state;
    vck_spinlock_init(&counters.spinlock);
    vck_mutex_init(&counters.mutex);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(vck_thread_create(count, &counters,
                                           i ? VCK_THREAD_NORMAL : VCK_THREAD_BACKGROUND, "count",
                                           &threads[i]),
                         VCK_OK);
    for (size_t i = 0; i < 4; i++)
        vck_thread_join(threads[i]);
    vck_mutex_fini(&counters.mutex);
    assert_int_equal(counters.by_spinlock, 80000);
    assert_int_equal(counters.by_mutex, 80000);
}

/* ---- misuse; each of these is what the analysis is there to refuse ---- */

static struct vck_spinlock spinlock;
static struct vck_mutex mutex;
static struct vck_event event;

static void assert_passive_under_spin_lock(void) VCK_NO_ANALYSIS
{
    vck_spinlock_acquire(&spinlock);
    vck_level_check(VCK_LEVEL_PASSIVE, "some/file.c", 17);
}

static void take_mutex_under_spin_lock(void) VCK_NO_ANALYSIS
{
    vck_mutex_init(&mutex);
    vck_spinlock_acquire(&spinlock);
    vck_mutex_acquire(&mutex);
}

static void wait_under_spin_lock(void) VCK_NO_ANALYSIS
{
    vck_event_init(&event);
    vck_event_set(&event);
    vck_spinlock_acquire(&spinlock);
    (void)vck_event_wait(&event, VCK_FOREVER);
}

static void take_spin_lock_twice(void) VCK_NO_ANALYSIS
{
    vck_spinlock_acquire(&spinlock);
    vck_spinlock_acquire(&spinlock);
}

static void release_free_spin_lock(void) VCK_NO_ANALYSIS
{
    vck_spinlock_release(&spinlock);
}

static void take_mutex_twice(void) VCK_NO_ANALYSIS
{
    vck_mutex_init(&mutex);
    vck_mutex_acquire(&mutex);
    vck_mutex_acquire(&mutex);
}

static void release_free_mutex(void) VCK_NO_ANALYSIS
{
    vck_mutex_init(&mutex);
    vck_mutex_release(&mutex);
}

static void finish_held_mutex(void) VCK_NO_ANALYSIS
{
    vck_mutex_init(&mutex);
    vck_mutex_acquire(&mutex);
    vck_mutex_fini(&mutex);
}

static void leave_region_never_entered(void)
{
    vck_critical_region_leave();
}

static void fail_assertion(void)
{
    VCK_ASSERT(vck_current_level() == VCK_LEVEL_APC);
}

static void test_misuse_stops_the_program(void **state)
{
    (void)state;
    expect_abort(assert_passive_under_spin_lock,
                 "some/file.c:17: called at DISPATCH, allowed up to PASSIVE");
    expect_abort(take_mutex_under_spin_lock, "called at DISPATCH, allowed up to APC");
    expect_abort(wait_under_spin_lock, "called at DISPATCH, allowed up to APC");
    expect_abort(take_spin_lock_twice, "not taken twice");
    expect_abort(release_free_spin_lock, "released by its holder");
    expect_abort(take_mutex_twice, "not taken twice");
    expect_abort(release_free_mutex, "released by its holder");
    expect_abort(finish_held_mutex, "finished free");
    expect_abort(leave_region_never_entered, "a critical region is left as often as entered");
    expect_abort(fail_assertion, "assertion failed: vck_current_level() == VCK_LEVEL_APC");
}

static void end_with_mutex(void *context) VCK_NO_ANALYSIS
{
    vck_mutex_acquire(context);
}

static void end_with_spin_lock(void *context) VCK_NO_ANALYSIS
{
    vck_spinlock_acquire(context);
}

static void end_in_region(void *context)
{
    (void)context;
    vck_critical_region_enter();
}

static void run_thread(void (*entry)(void *), void *context) VCK_NO_ANALYSIS
{
    struct vck_thread *thread;
    if (vck_thread_create(entry, context, VCK_THREAD_NORMAL, "ending", &thread) == VCK_OK)
        vck_thread_join(thread);
}

static void run_thread_that_keeps_a_mutex(void)
{
    vck_mutex_init(&mutex);
    run_thread(end_with_mutex, &mutex);
}

static void run_thread_that_keeps_a_spin_lock(void)
{
    run_thread(end_with_spin_lock, &spinlock);
}

static void run_thread_that_stays_in_a_region(void)
{
    run_thread(end_in_region, NULL);
}

static void test_threads_end_without_locks(void **state)
{
    (void)state;
    expect_abort(run_thread_that_keeps_a_mutex, "a thread ends without mutexes");
    expect_abort(run_thread_that_keeps_a_spin_lock, "a thread ends at PASSIVE");
    expect_abort(run_thread_that_stays_in_a_region, "a thread ends outside critical regions");
}

int main(void)
{
    /* Those that fork without exec come first, while there is one thread. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misuse_stops_the_program),
        cmocka_unit_test(test_threads_end_without_locks),
        cmocka_unit_test(test_spin_lock_raises_and_restores),
        cmocka_unit_test(test_nested_spin_lock_stays_raised),
        cmocka_unit_test(test_critical_regions_nest_and_are_per_thread),
        cmocka_unit_test(test_mutex_is_held_in_a_critical_region),
        cmocka_unit_test(test_locks_exclude),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
