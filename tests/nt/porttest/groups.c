/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"
#include "vck/bytes.h"

size_t porttest_groups(const struct porttest *const **ret_groups)
{
    static const struct porttest *const groups[] = {
        porttest_memory,  porttest_locks, porttest_events,
        porttest_threads, porttest_time,  porttest_tasks,
    };

    *ret_groups = groups;
    return VCK_ARRAY_COUNT(groups);
}
