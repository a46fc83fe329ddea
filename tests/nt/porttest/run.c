/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"
#include "port/port.h"
#include "vck/log.h"
#include "vck/thread.h"

#define THREADS_MAX 64u

/* ---- the running test ---- */

static struct {
    uint32_t has_failed;
    const char *what;
    const char *file;
    int line;
    const char *skip_reason;
} current;

bool porttest_check(bool cond, const char *what, const char *file, int line)
{
    if (cond || __atomic_exchange_n(&current.has_failed, 1, __ATOMIC_RELAXED) != 0)
        return cond;
    current.what = what;
    current.file = file;
    current.line = line;
    return false;
}

void porttest_skip(const char *why)
{
    current.skip_reason = why;
}

void porttest_run_threads(unsigned count, void (*entry)(void *context), void *context)
{
    struct vck_thread *threads[THREADS_MAX];
    unsigned started = 0;
    while (started < count && CHECK(vck_thread_create(entry, context, VCK_THREAD_NORMAL, "test",
                                                      &threads[started]) == VCK_OK))
        started++;
    while (started > 0)
        vck_thread_join(threads[--started]);
}

/* ---- the report ---- */

struct report {
    char *text;
    size_t capacity_bytes;
    size_t used_bytes;
    unsigned number;
};

static void run_one(struct report *report, const struct porttest *test) VCK_CAN_WAIT
{
    vck_log_info("%s", test->name); /* a test that never ends is found by it */
    size_t live_before = vck_alloc_live_count();
    current.has_failed = 0;
    current.skip_reason = NULL;
    if (test->run)
        test->run();
    else
        test->run_with(test->context);
    vck_threads_fini();
    CHECK(vck_alloc_live_count() == live_before);
    char *at = report->text + report->used_bytes;
    size_t left_bytes = report->capacity_bytes - report->used_bytes;
    report->number++;
    if (current.has_failed)
        report->used_bytes +=
            vck_format(at, left_bytes, "not ok %u - %s\n# %s:%d: %s\n", report->number, test->name,
                       current.file, current.line, current.what);
    else
        report->used_bytes += vck_format(at, left_bytes, "ok %u - %s%s%s\n", report->number,
                                         test->name, current.skip_reason ? " # SKIP " : "",
                                         current.skip_reason ? current.skip_reason : "");
}

size_t porttest_run_all(const struct porttest *const groups[], size_t group_count, char *text,
                        size_t capacity_bytes)
{
    struct report report = {.text = text, .capacity_bytes = capacity_bytes};
    for (size_t i = 0; i < group_count; i++)
        for (const struct porttest *test = groups[i]; test->name != NULL; test++)
            run_one(&report, test);
    report.used_bytes += vck_format(text + report.used_bytes, capacity_bytes - report.used_bytes,
                                    "1..%u\n", report.number);
    return report.used_bytes;
}
