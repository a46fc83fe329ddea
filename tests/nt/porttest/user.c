/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <wchar.h>
#include "porttest.h"
#include "vck/bytes.h"

#define TEXT_BYTES 65536u

/* The port imitates them. */
bool porttest_has_levels(void)
{
    return true;
}

int wmain(void);

int wmain(void) VCK_NO_ANALYSIS
{
    static char text[TEXT_BYTES];
    static const struct porttest *const groups[] = {
        porttest_locks, porttest_events, porttest_threads, porttest_time, porttest_tasks,
    };
    size_t size_bytes = porttest_run_all(groups, VCK_ARRAY_COUNT(groups), text, sizeof(text));
    printf("%.*s", (int)size_bytes, text);
    return 0;
}
