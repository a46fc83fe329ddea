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
        cmocka_unit_test(test_no_memory_creates_nothing),
        cmocka_unit_test(test_log_goes_where_it_is_sent),
        cmocka_unit_test(test_statuses_and_errnos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
