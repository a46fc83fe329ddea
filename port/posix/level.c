/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include "port/posix/internal.h"

static _Thread_local struct thread_state state;
static uint32_t last_id;

struct thread_state *vck_posix_thread_state(void)
{
    while (state.id == 0)
        state.id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    return &state;
}

vck_level vck_current_level(void)
{
    return state.level;
}

static const char *level_name(vck_level level)
{
    static const char *const names[] = {"PASSIVE", "APC", "DISPATCH"};
    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "unknown level";
}

void vck_level_check(vck_level highest, const char *file, int line)
{
    if (state.level <= highest)
        return;
    fprintf(stderr, "%s:%d: called at %s, allowed up to %s\n", file, line, level_name(state.level),
            level_name(highest));
    abort();
}

void vck_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}
