/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "port/posix/abort_test.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include "port/posix/posix.h"

#ifndef PR_GET_IO_FLUSHER
#define PR_GET_IO_FLUSHER 58
#endif

/* The sanitizers replace mlockall by nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_LOCKING_REAL false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_LOCKING_REAL false
#endif
#endif
#ifndef IS_LOCKING_REAL
#define IS_LOCKING_REAL true
#endif

#define MAPPED_BYTES (64u << 20)

/* A line of /proc/self/status in kilobytes, 0 when absent. */
static unsigned long read_status(const char *name)
{
    char line[128];
    unsigned long value = 0;
    FILE *f = fopen("/proc/self/status", "re");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoul(line + strlen(name), NULL, 10);
    fclose(f);
    return value;
}

static long read_oom_score(void)
{
    char line[32] = "";
    FILE *f = fopen("/proc/self/oom_score_adj", "re");
    if (f == NULL)
        return 0;
    if (fgets(line, sizeof(line), f) == NULL)
        line[0] = 0;
    fclose(f);
    return strtol(line, NULL, 10);
}

/* Maps more than an ordinary limit on locked memory, and leaves it there. */
static bool can_map(void)
{
    void *p = mmap(NULL, MAPPED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED;
}

/* The number of the first claim that does not hold, 0 when all do. */
static int check_report(void)
{
    struct vck_posix_protection report;
    vck_posix_protect_process(&report);
    unsigned long resident_before = read_status("VmRSS:");
    unsigned long locked_before = read_status("VmLck:");
    if (!can_map())
        return 1;
    if (IS_LOCKING_REAL && report.memory_locked && locked_before == 0)
        return 2;
    if (IS_LOCKING_REAL && report.future_memory_locked &&
        read_status("VmLck:") < locked_before + MAPPED_BYTES / 1024)
        return 3;
    /* Locked on fault: what is mapped and not used costs nothing. */
    if (read_status("VmRSS:") > resident_before + MAPPED_BYTES / 2048)
        return 4;
    if (report.io_flusher != (prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1))
        return 5;
    if (report.oom_exempt && read_oom_score() != -1000)
        return 6;
    if (!report.not_dumpable || prctl(PR_GET_DUMPABLE) != 0)
        return 7;
    return 0;
}

static int run_child(uid_t uid)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const struct rlimit little = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
        if (uid != geteuid() && (setrlimit(RLIMIT_MEMLOCK, &little) != 0 || setuid(uid) != 0))
            _exit(100);
        _exit(check_report());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_what_is_reported_holds(void **state)
{
    (void)state;
    assert_int_equal(run_child(geteuid()), 0);
}

static void test_without_privileges_the_process_still_works(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("# already without privileges\n");
        skip();
    }
    assert_int_equal(run_child(65534), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_reported_holds),
        cmocka_unit_test(test_without_privileges_the_process_still_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
