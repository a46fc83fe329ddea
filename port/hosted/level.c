/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include "port/hosted/system.h"

static uint32_t last_id;

uint32_t vck_hosted_new_thread_id(void)
{
    uint32_t id;
    do
        id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    while (id == 0);
    return id;
}

vck_level vck_current_level(void)
{
    return system_thread_state()->level;
}

void *vck_worker_slot_get(void)
{
    const struct thread_state *self = system_thread_state();
    return self->level == VCK_LEVEL_PASSIVE ? self->worker : NULL;
}

void vck_worker_slot_set(void *worker)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    system_thread_state()->worker = worker;
}

static const char *level_name(vck_level level)
{
    static const char *const names[] = {"PASSIVE", "APC", "DISPATCH"};
    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "unknown level";
}

/* The level, and the spin lock that raised it where that is known. */
__attribute__((noreturn)) VCK_COLD static void level_is_wrong(const struct thread_state *self,
                                                              vck_level highest)
{
    const char *raised_at = vck_lock_check_raised_at(&self->locks);
    fprintf(stderr, ": called at %s, allowed up to %s%s%s\n", level_name(self->level),
            level_name(highest), raised_at ? "; raised by the spin lock taken at " : "",
            raised_at ? raised_at : "");
    abort();
}

void vck_level_check(vck_level highest, const char *file, int line)
{
    const struct thread_state *self = system_thread_state();
    if (self->level <= highest)
        return;
    fprintf(stderr, "%s:%d", file, line);
    level_is_wrong(self, highest);
}

void vck_level_check_at(vck_level highest, const char *site)
{
    const struct thread_state *self = system_thread_state();
    if (self->level <= highest)
        return;
    fputs(site ? site : "a place unknown", stderr);
    level_is_wrong(self, highest);
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
    system_thread_state()->region_depth++;
}

void vck_critical_region_leave(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct thread_state *self = system_thread_state();
    FATAL_UNLESS(self->region_depth > 0, "a critical region is left as often as entered");
    self->region_depth--;
}

bool vck_in_critical_region(void)
{
    return system_thread_state()->region_depth > 0;
}
