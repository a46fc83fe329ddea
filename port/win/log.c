/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include "port/win/internal.h"

void vck_port_log(enum vck_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    /* One call, so that lines of different threads do not mix. */
    fprintf(stderr, "vck: %s: %s\n", names[(unsigned)level & 3], line);
}
