/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include "port/posix/posix.h"

static void log_to_stderr(void *context, enum vck_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    (void)context;
    /* One call, so that lines of different threads do not mix. */
    fprintf(stderr, "vck: %s: %s\n", names[(unsigned)level & 3], line);
}

static void (*destination)(void *context, enum vck_log_level level,
                           const char *line) = log_to_stderr;
static void *destination_context;

void vck_posix_set_log(void (*log)(void *context, enum vck_log_level level, const char *line),
                       void *context)
{
    destination_context = context;
    __atomic_store_n(&destination, log == NULL ? log_to_stderr : log, __ATOMIC_RELEASE);
}

void vck_port_log(enum vck_log_level level, const char *line)
{
    void (*log)(void *, enum vck_log_level, const char *) =
        __atomic_load_n(&destination, __ATOMIC_ACQUIRE);
    log(destination_context, level, line);
}
