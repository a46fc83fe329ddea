/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of misuse of the real locks, each time with the call sites: the child that runs into
 * it leaves them in shared memory.
 */
#include "thread_test.h"
#include <sys/mman.h>
#include "vck/condition.h"
#include "vck/once.h"
#include "vck/rundown.h"
#include "vck/rwlock.h"
#include "vck/semaphore.h"
#include "vck/thread.h"

struct places {
    char first[128];
    char second[128];
};

static struct places *places; /* shared with the child */

/* Runs a statement and keeps where it stands. */
#define FIRST_AT(statement)                                                                        \
    do {                                                                                           \
        snprintf(places->first, sizeof(places->first), "%s", VCK_HERE);                            \
        statement;                                                                                 \
    } while (0)
#define SECOND_AT(statement)                                                                       \
    do {                                                                                           \
        snprintf(places->second, sizeof(places->second), "%s", VCK_HERE);                          \
        statement;                                                                                 \
    } while (0)

static char report[1024];

/* Runs f in a child that it stops; its report must have `why`, and both places it kept. */
static void expect_report(void (*f)(void), const char *why)
{
    memset(places, 0, sizeof(*places));
    expect_abort_text(f, why, report, sizeof(report));
    if (places->first[0] != 0)
        assert_non_null(strstr(report, places->first));
    if (places->second[0] != 0)
        assert_non_null(strstr(report, places->second));
    assert_true(places->first[0] != 0 || places->second[0] != 0);
}

static struct vck_spinlock spin;
static struct vck_spinlock other_spin;
static struct vck_mutex mutex;
static struct vck_mutex other_mutex;
static struct vck_rwlock rwlock;
static struct vck_condition condition;
static struct vck_event event;
static struct vck_semaphore semaphore;
static struct vck_once once;
static struct vck_rundown rundown;

static void init_all(void)
{
    vck_spinlock_init(&spin);
    vck_spinlock_init(&other_spin);
    vck_mutex_init(&mutex);
    vck_mutex_init(&other_mutex);
    vck_rwlock_init(&rwlock);
    vck_condition_init(&condition);
    vck_event_init(&event);
    vck_semaphore_init(&semaphore, 1, 1);
    vck_rundown_init(&rundown);
}

static void run_thread(void (*entry)(void *)) VCK_NO_ANALYSIS
{
    vck_thread_join(start(entry, NULL));
}

/* ---- blocking above APC level ---- */

static vck_status run_nothing(void *context)
{
    (void)context;
    return VCK_OK;
}

#define WAITS_UNDER_SPIN_LOCK(name, statement)                                                     \
    static void name(void) VCK_NO_ANALYSIS                                                         \
    {                                                                                              \
        FIRST_AT(vck_spinlock_acquire(&spin));                                                     \
        SECOND_AT(statement);                                                                      \
    }

static vck_status ignored;
WAITS_UNDER_SPIN_LOCK(raised_mutex, vck_mutex_acquire(&mutex))
WAITS_UNDER_SPIN_LOCK(raised_event, ignored = vck_event_wait(&event, 0))
WAITS_UNDER_SPIN_LOCK(raised_read, vck_rwlock_acquire_shared(&rwlock))
WAITS_UNDER_SPIN_LOCK(raised_write, vck_rwlock_acquire_exclusive(&rwlock))
WAITS_UNDER_SPIN_LOCK(raised_condition, vck_condition_wait(&condition, &mutex))
WAITS_UNDER_SPIN_LOCK(raised_semaphore, ignored = vck_semaphore_wait(&semaphore, 0))
WAITS_UNDER_SPIN_LOCK(raised_once, ignored = vck_once_run(&once, run_nothing, NULL))
WAITS_UNDER_SPIN_LOCK(raised_rundown, vck_rundown_wait(&rundown))
WAITS_UNDER_SPIN_LOCK(raised_park, ignored = vck_thread_park_until(0))
WAITS_UNDER_SPIN_LOCK(raised_sleep, vck_thread_sleep(0))

static void enter_region_raised(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_spinlock_acquire(&spin));
    vck_critical_region_enter();
}

static void test_blocking_above_apc_names_both_call_sites(void **state)
{
    static void (*const waits[])(void) = {
        raised_mutex,     raised_event, raised_read,    raised_write, raised_condition,
        raised_semaphore, raised_once,  raised_rundown, raised_park,  raised_sleep,
    };
    (void)state;
    (void)ignored;
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
        expect_report(waits[i], ": called at DISPATCH, allowed up to APC; raised by the spin lock "
                                "taken at ");
    expect_report(enter_region_raised, "called at DISPATCH, allowed up to APC");
}

/* The opposite: what only wakes is for timer callbacks and code under spin locks too. */
static void test_what_wakes_may_be_called_at_dispatch(void **state) VCK_NO_ANALYSIS
{
    static struct vck_once done;
    struct vck_thread_handle *self = vck_thread_get_current();
    struct vck_thread_handle *found = NULL;
    (void)state;
    assert_non_null(self);
    vck_spinlock_acquire(&spin);
    vck_status statuses[] = {
        vck_semaphore_release(&semaphore, 0),
        vck_once_try(&done, run_nothing, NULL),
        vck_thread_find(vck_thread_id(), &found),
    };
    vck_condition_signal(&condition);
    vck_condition_broadcast(&condition);
    vck_event_set(&event);
    vck_event_reset(&event);
    bool is_acquired = vck_rundown_acquire(&rundown);
    if (is_acquired)
        vck_rundown_release(&rundown);
    vck_thread_handle_ref(self);
    vck_thread_unpark(self);
    vck_thread_handle_unref(self);
    vck_thread_handle_unref(found);
    vck_spinlock_release(&spin);
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        assert_int_equal(statuses[i], VCK_OK);
    assert_true(is_acquired);
    assert_ptr_equal(found, self);
    vck_threads_fini();
}

/* ---- releasing ---- */

static void release_free_spin_lock(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_spinlock_acquire(&spin));
    vck_spinlock_release(&spin);
    SECOND_AT(vck_spinlock_release(&spin));
}

static void release_spin_lock_never_taken(void) VCK_NO_ANALYSIS
{
    SECOND_AT(vck_spinlock_release(&spin));
}

static void hold_spin_lock(void *context) VCK_NO_ANALYSIS
{
    (void)context;
    FIRST_AT(vck_spinlock_acquire(&spin));
    vck_event_set(&event);
    for (;;)
        continue;
}

static void release_spin_lock_of_another(void) VCK_NO_ANALYSIS
{
    struct vck_thread *holder = start(hold_spin_lock, NULL);
    (void)vck_event_wait(&event, VCK_FOREVER);
    SECOND_AT(vck_spinlock_release(&spin));
    vck_thread_join(holder);
}

static void release_free_mutex(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_mutex_acquire(&mutex));
    vck_mutex_release(&mutex);
    SECOND_AT(vck_mutex_release(&mutex));
}

static void release_mutex(void *context) VCK_NO_ANALYSIS
{
    (void)context;
    SECOND_AT(vck_mutex_release(&mutex));
}

static void release_mutex_of_another(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_mutex_acquire(&mutex));
    run_thread(release_mutex);
}

static void release_write_of_another(void *context) VCK_NO_ANALYSIS
{
    (void)context;
    SECOND_AT(vck_rwlock_release_exclusive(&rwlock));
}

static void release_rwlock_of_a_writer(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_rwlock_acquire_exclusive(&rwlock));
    run_thread(release_write_of_another);
}

static void release_read_of_another(void *context) VCK_NO_ANALYSIS
{
    (void)context;
    SECOND_AT(vck_rwlock_release_shared(&rwlock));
}

static void release_rwlock_of_a_reader(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_rwlock_acquire_shared(&rwlock));
    run_thread(release_read_of_another);
}

static void finish_held_mutex(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_mutex_acquire(&mutex));
    vck_mutex_fini(&mutex);
}

static void finish_held_rwlock(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_rwlock_acquire_shared(&rwlock));
    SECOND_AT(vck_rwlock_fini(&rwlock));
}

static void test_release_by_another_names_both_call_sites(void **state)
{
    (void)state;
    expect_report(release_free_spin_lock, "a spin lock is released by its holder");
    expect_report(release_spin_lock_never_taken, "a spin lock is released by its holder");
    expect_report(release_spin_lock_of_another, "a spin lock is released by its holder");
    expect_report(release_free_mutex, "a mutex is released by its holder");
    expect_report(release_mutex_of_another, "a mutex is released by its holder");
    expect_report(release_rwlock_of_a_writer, "a reader/writer lock is released by its holder");
    expect_report(release_rwlock_of_a_reader, "a reader/writer lock is released by its holder");
    expect_report(finish_held_mutex, "a mutex is finished free");
    expect_report(finish_held_rwlock, "a reader/writer lock is finished free");
}

/* ---- taking twice ---- */

static void take_spin_lock_twice(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_spinlock_acquire(&spin));
    SECOND_AT(vck_spinlock_acquire(&spin));
}

static void take_mutex_twice(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_mutex_acquire(&mutex));
    SECOND_AT(vck_mutex_acquire(&mutex));
}

static void read_twice(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_rwlock_acquire_shared(&rwlock));
    SECOND_AT(vck_rwlock_acquire_shared(&rwlock));
}

static void read_then_write(void) VCK_NO_ANALYSIS
{
    FIRST_AT(vck_rwlock_acquire_shared(&rwlock));
    SECOND_AT(vck_rwlock_acquire_exclusive(&rwlock));
}

static void test_recursive_take_names_both_call_sites(void **state)
{
    (void)state;
    expect_report(take_spin_lock_twice, "a spin lock is not taken twice by one thread");
    expect_report(take_mutex_twice, "a mutex is not taken twice by one thread");
    expect_report(read_twice, "a reader/writer lock is not taken twice by one thread");
    expect_report(read_then_write, "a reader/writer lock is not taken twice by one thread");
}

/* ---- order ---- */

static void take_mutex_then_rwlock(void *context) VCK_NO_ANALYSIS
{
    (void)context;
    FIRST_AT(vck_mutex_acquire(&mutex));
    SECOND_AT(vck_rwlock_acquire_shared(&rwlock));
    vck_rwlock_release_shared(&rwlock);
    vck_mutex_release(&mutex);
}

static void invert_mutex_and_rwlock(void) VCK_NO_ANALYSIS
{
    run_thread(take_mutex_then_rwlock);
    vck_rwlock_acquire_exclusive(&rwlock);
    vck_mutex_acquire(&mutex);
}

static void invert_mutexes(void) VCK_NO_ANALYSIS
{
    vck_mutex_acquire(&mutex);
    vck_mutex_acquire(&other_mutex);
    vck_mutex_release(&mutex);
    vck_mutex_release(&other_mutex);
    FIRST_AT(vck_mutex_acquire(&other_mutex));
    SECOND_AT(vck_mutex_acquire(&mutex));
}

static void invert_spin_locks(void) VCK_NO_ANALYSIS
{
    vck_spinlock_acquire(&spin);
    vck_spinlock_acquire(&other_spin);
    vck_spinlock_release(&other_spin);
    vck_spinlock_release(&spin);
    FIRST_AT(vck_spinlock_acquire(&other_spin));
    SECOND_AT(vck_spinlock_acquire(&spin));
}

/* A wait gives its mutex back and takes it again, with what else is held. */
static void invert_by_a_wait(void) VCK_NO_ANALYSIS
{
    vck_mutex_acquire(&mutex);
    FIRST_AT(vck_mutex_acquire(&other_mutex));
    SECOND_AT(ignored = vck_condition_wait_until(&condition, &mutex, 0));
}

static void test_lock_order_inversion_names_both_call_sites_of_both_orders(void **state)
{
    (void)state;
    expect_report(invert_mutex_and_rwlock, "locks are taken in one order: now ");
    expect_report(invert_mutexes, "locks are taken in one order: now ");
    expect_report(invert_spin_locks, "locks are taken in one order: now ");
    expect_report(invert_by_a_wait, "locks are taken in one order: now ");
}

/* ---- ends of threads ---- */

static void keep_spin_lock(void *context) VCK_NO_ANALYSIS
{
    (void)context;
    FIRST_AT(vck_spinlock_acquire(&spin));
}

static void keep_mutex(void *context) VCK_NO_ANALYSIS
{
    (void)context;
    FIRST_AT(vck_mutex_acquire(&mutex));
}

static void keep_rwlock(void *context) VCK_NO_ANALYSIS
{
    (void)context;
    FIRST_AT(vck_rwlock_acquire_shared(&rwlock));
}

static void end_with_spin_lock(void)
{
    run_thread(keep_spin_lock);
}

static void end_with_mutex(void)
{
    run_thread(keep_mutex);
}

static void end_with_rwlock(void)
{
    run_thread(keep_rwlock);
}

static void spawn_and_end_with_spin_lock(void) VCK_NO_ANALYSIS
{
    struct vck_thread_handle *handle;
    if (vck_thread_spawn(NULL, keep_spin_lock, NULL, VCK_THREAD_NORMAL, "ends", &handle) == VCK_OK)
        vck_thread_handle_join(handle);
}

static void test_lock_held_at_thread_end_names_its_call_site(void **state)
{
    (void)state;
    expect_report(end_with_spin_lock, "a thread ends at PASSIVE");
    expect_report(spawn_and_end_with_spin_lock, "at PASSIVE");
    expect_report(end_with_mutex, "a thread ends without mutexes");
    expect_report(end_with_rwlock, "a thread ends outside critical regions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocking_above_apc_names_both_call_sites),
        cmocka_unit_test(test_release_by_another_names_both_call_sites),
        cmocka_unit_test(test_recursive_take_names_both_call_sites),
        cmocka_unit_test(test_lock_order_inversion_names_both_call_sites_of_both_orders),
        cmocka_unit_test(test_lock_held_at_thread_end_names_its_call_site),
        cmocka_unit_test(test_what_wakes_may_be_called_at_dispatch),
    };
    places = mmap(NULL, sizeof(*places), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (places == MAP_FAILED)
        return 1;
    init_all();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
