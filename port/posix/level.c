/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include "port/posix/internal.h"

_Thread_local struct thread_state vck_posix_state;
static uint32_t last_id;

uint32_t vck_posix_new_thread_id(void)
{
    uint32_t id;
    do
        id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    while (id == 0);
    return id;
}

vck_level vck_current_level(void)
{
    return vck_posix_state.level;
}

void *vck_worker_slot_get(void)
{
    return vck_posix_state.level == VCK_LEVEL_PASSIVE ? vck_posix_state.worker : NULL;
}

void vck_worker_slot_set(void *worker)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_posix_state.worker = worker;
}

static const char *level_name(vck_level level)
{
    static const char *const names[] = {"PASSIVE", "APC", "DISPATCH"};
    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "unknown level";
}

/* The level, and the spin lock that raised it where that is known. */
__attribute__((noreturn)) VCK_COLD static void level_is_wrong(vck_level highest)
{
    const char *raised_at = vck_lock_check_raised_at(&vck_posix_state.locks);
    fprintf(stderr, ": called at %s, allowed up to %s%s%s\n", level_name(vck_posix_state.level),
            level_name(highest), raised_at ? "; raised by the spin lock taken at " : "",
            raised_at ? raised_at : "");
    abort();
}

void vck_level_check(vck_level highest, const char *file, int line)
{
    if (vck_posix_state.level <= highest)
        return;
    fprintf(stderr, "%s:%d", file, line);
    level_is_wrong(highest);
}

void vck_level_check_at(vck_level highest, const char *site)
{
    if (vck_posix_state.level <= highest)
        return;
    fputs(site ? site : "a place unknown", stderr);
    level_is_wrong(highest);
}

void vck_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}

/* ---- critical regions: counted only, nothing suspends a thread here ---- */

void vck_critical_region_enter(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    vck_posix_state.region_depth++;
}

void vck_critical_region_leave(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    FATAL_UNLESS(vck_posix_state.region_depth > 0, "a critical region is left as often as entered");
    vck_posix_state.region_depth--;
}

bool vck_in_critical_region(void)
{
    return vck_posix_state.region_depth > 0;
}
