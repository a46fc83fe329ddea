/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "port/posix/abort_test.h"
#include <errno.h>
#include <pthread.h>
#include "port/posix/posix.h"
#include "vck/bytes.h"

struct seen {
    vck_level level;
    char name[16];
    int niceness;
    bool is_signal_blocked;
};

static void look(void *context)
{
    struct seen *seen = context;
    sigset_t blocked;
    seen->level = vck_current_level();
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    seen->niceness = getpriority(PRIO_PROCESS, (id_t)gettid());
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    seen->is_signal_blocked = sigismember(&blocked, SIGTERM) == 1;
}

static void run(enum vck_thread_class thread_class, const char *name,
                struct seen *seen) VCK_CAN_WAIT
{
    struct vck_thread *thread;
    size_t before = vck_alloc_live_count();
    assert_int_equal(vck_thread_create(look, seen, thread_class, name, &thread), VCK_OK);
    vck_thread_join(thread);
    assert_int_equal(vck_alloc_live_count(), before);
}

static void test_thread_runs_as_asked(void **state) VCK_CAN_WAIT
{
    struct seen seen = {.level = VCK_LEVEL_DISPATCH};
    int own = getpriority(PRIO_PROCESS, 0);
    (void)state;
    run(VCK_THREAD_NORMAL, "a-name", &seen);
    assert_int_equal(seen.level, VCK_LEVEL_PASSIVE);
    assert_string_equal(seen.name, "a-name");
    assert_int_equal(seen.niceness, own);
    assert_true(seen.is_signal_blocked);
}

static void test_background_thread_gives_way(void **state) VCK_CAN_WAIT
{
    struct seen seen = {.level = VCK_LEVEL_DISPATCH};
    int own = getpriority(PRIO_PROCESS, 0);
    (void)state;
    run(VCK_THREAD_BACKGROUND, "a-name-that-is-too-long", &seen);
    assert_int_equal(seen.niceness, 19);
    assert_string_equal(seen.name, "a-name-that-is-");
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
}

static void test_creator_keeps_its_signals(void **state) VCK_CAN_WAIT
{
    struct seen seen;
    sigset_t before;
    sigset_t after;
    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    run(VCK_THREAD_NORMAL, "signals", &seen);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < NSIG; number++)
        assert_int_equal(sigismember(&before, number), sigismember(&after, number));
}

/* ---- detached threads ---- */

struct detached {
    struct vck_event gone_is_called;
    pthread_key_t key; /* its destructor runs after the entry has been left */
    uint32_t id;
    uint32_t id_inside;
    vck_level gone_level;
    bool has_slot;
    bool is_destructor_run;
    bool was_destructor_run;
};

static void last_words(void *value)
{
    struct detached *detached = value;
    detached->is_destructor_run = true;
}

static void run_detached(void *context)
{
    struct detached *detached = context;
    detached->id_inside = vck_thread_id();
    detached->has_slot = vck_thread_slot() == detached;
    vck_thread_slot_clear();
    pthread_setspecific(detached->key, detached);
}

static void detached_is_gone(void *context)
{
    struct detached *detached = context;
    detached->was_destructor_run = detached->is_destructor_run;
    detached->gone_level = vck_current_level();
    vck_event_set(&detached->gone_is_called);
}

static void test_detached_thread_tells_when_it_is_gone(void **state) VCK_CAN_WAIT
{
    struct detached detached = {.gone_level = VCK_LEVEL_DISPATCH};
    size_t before = vck_alloc_live_count();
    (void)state;
    vck_event_init(&detached.gone_is_called);
    assert_int_equal(pthread_key_create(&detached.key, last_words), 0);
    assert_int_equal(vck_thread_create_detached(run_detached, &detached, VCK_THREAD_NORMAL,
                                                "detached", detached_is_gone, &detached.id),
                     VCK_OK);
    assert_int_equal(vck_event_wait(&detached.gone_is_called, VCK_FOREVER), VCK_OK);
    assert_true(detached.has_slot);
    assert_true(detached.was_destructor_run);
    assert_int_equal(detached.gone_level, VCK_LEVEL_PASSIVE);
    assert_int_equal(detached.id, detached.id_inside);
    assert_int_not_equal(detached.id, vck_thread_id());
    assert_int_equal(vck_alloc_live_count(), before);
    pthread_key_delete(detached.key);
    vck_event_fini(&detached.gone_is_called);

    detached.id = 0;
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_thread_create_detached(run_detached, &detached, VCK_THREAD_NORMAL, "none",
                                                detached_is_gone, &detached.id),
                     VCK_NO_MEMORY);
    assert_int_equal(detached.id, 0);
}

/* ---- the slot ---- */

static unsigned slots_ended;

static void slot_ended(void *value)
{
    *(bool *)value = true;
    slots_ended++;
    vck_thread_slot_clear();
}

static void fill_slot(void *context)
{
    if (vck_thread_slot() != NULL || vck_thread_slot_set(context, slot_ended) != VCK_OK ||
        vck_thread_slot() != context)
        abort();
}

static void fill_and_clear_slot(void *context)
{
    fill_slot(context);
    vck_thread_slot_clear();
    if (vck_thread_slot() != NULL)
        abort();
}

static void fill_and_reset_slots(void *context)
{
    fill_slot(context);
    vck_thread_slot_reset_all();
    if (vck_thread_slot() != NULL)
        abort();
}

static bool run_with_flag(void (*entry)(void *)) VCK_CAN_WAIT
{
    struct vck_thread *thread = NULL;
    bool has_ended = false;
    assert_int_equal(vck_thread_create(entry, &has_ended, VCK_THREAD_NORMAL, "slot", &thread),
                     VCK_OK);
    vck_thread_join(thread);
    return has_ended;
}

static void test_slot_is_per_thread_and_ends_with_it(void **state) VCK_CAN_WAIT
{
    (void)state;
    assert_true(run_with_flag(fill_slot));
    assert_null(vck_thread_slot());
    assert_false(run_with_flag(fill_and_clear_slot));
    assert_false(run_with_flag(fill_and_reset_slots));
    assert_int_equal(slots_ended, 1);
}

static void test_no_memory_creates_nothing(void **state)
{
    struct seen seen;
    struct vck_thread *thread = NULL;
    (void)state;
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_thread_create(look, &seen, VCK_THREAD_NORMAL, "none", &thread),
                     VCK_NO_MEMORY);
    assert_null(thread);
}

/* ---- log ---- */

static char logged[64];

static void keep_line(void *context, enum vck_log_level level, const char *line)
{
    snprintf(context, sizeof(logged), "%d %s", (int)level, line);
}

static void test_log_goes_where_it_is_sent(void **state)
{
    (void)state;
    vck_posix_set_log(keep_line, logged);
    vck_port_log(VCK_LOG_WARNING, "a line");
    vck_posix_set_log(NULL, NULL);
    assert_string_equal(logged, "1 a line");
}

static void log_and_abort(void)
{
    vck_port_log(VCK_LOG_ERROR, "to standard error");
    abort();
}

static void test_log_goes_to_stderr(void **state)
{
    (void)state;
    expect_abort(log_and_abort, "vck: error: to standard error\n");
}

/* ---- errno ---- */

static void test_statuses_and_errnos(void **state)
{
    static const struct {
        int os_error;
        vck_status status;
    } cases[] = {
        {0, VCK_OK},
        {EINVAL, VCK_INVALID_DATA},
        {ENOENT, VCK_NOT_FOUND},
        {EIO, VCK_IO},
        {EACCES, VCK_PERMISSION_DENIED},
        {ENOMEM, VCK_NO_MEMORY},
        {EBUSY, VCK_BUSY},
        {EROFS, VCK_READ_ONLY},
        {ENOSPC, VCK_DISK_FULL},
        {EKEYREJECTED, VCK_WRONG_KEY},
        {ECONNREFUSED, VCK_REFUSED},
        {ETIMEDOUT, VCK_TIMEOUT},
    };
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        assert_int_equal(vck_posix_status_from_errno(cases[i].os_error), cases[i].status);
        assert_int_equal(vck_posix_errno_from_status(cases[i].status), cases[i].os_error);
    }
    assert_int_equal(vck_posix_status_from_errno(EDQUOT), VCK_DISK_FULL);
    assert_int_equal(vck_posix_status_from_errno(EPERM), VCK_PERMISSION_DENIED);
    assert_int_equal(vck_posix_status_from_errno(12345), VCK_IO);
    assert_int_equal(vck_posix_errno_from_status((vck_status)12345), EIO);
    /* No failure becomes success. */
    for (int status = 1; status < VCK_STATUS_COUNT; status++)
        assert_int_not_equal(vck_posix_errno_from_status((vck_status)status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_goes_to_stderr),
        cmocka_unit_test(test_thread_runs_as_asked),
        cmocka_unit_test(test_background_thread_gives_way),
        cmocka_unit_test(test_creator_keeps_its_signals),
        cmocka_unit_test(test_detached_thread_tells_when_it_is_gone),
        cmocka_unit_test(test_slot_is_per_thread_and_ends_with_it),
        cmocka_unit_test(test_no_memory_creates_nothing),
        cmocka_unit_test(test_log_goes_where_it_is_sent),
        cmocka_unit_test(test_statuses_and_errnos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
