/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include "port/win/internal.h"

/* NTDLL: whether the process is on its way out, its other threads gone already. */
BOOLEAN NTAPI RtlDllShutdownInProgress(void);

static uint32_t last_id;

uint32_t vck_win_new_thread_id(void)
{
    uint32_t id;
    do
        id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    while (id == 0);
    return id;
}

/* ---- the state of a thread: a fiber-local value, because those tell when a thread ends ---- */

static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
static DWORD index_of_state;

/* What other threads held when the process ended is held for ever: nothing is run then. */
static void CALLBACK end_thread(void *value)
{
    struct thread_state *self = value;
    if (self == NULL || RtlDllShutdownInProgress())
        return;
    /* Whoever asks meanwhile still has it. */
    FlsSetValue(index_of_state, self);
    vck_win_end_slot(self);
    FlsSetValue(index_of_state, NULL);
    HeapFree(GetProcessHeap(), 0, self);
}

static BOOL CALLBACK make_index(INIT_ONCE *unused, void *parameter, void **context)
{
    (void)unused;
    (void)parameter;
    (void)context;
    index_of_state = FlsAlloc(end_thread);
    return index_of_state != FLS_OUT_OF_INDEXES;
}

static struct thread_state *make_state(void)
{
    struct thread_state *self = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof(*self));
    FATAL_UNLESS(self != NULL && FlsSetValue(index_of_state, self), "a thread has its state");
    self->id = vck_win_new_thread_id();
    return self;
}

struct thread_state *vck_win_thread_state(void)
{
    FATAL_UNLESS(InitOnceExecuteOnce(&once, make_index, NULL, NULL), "threads can have states");
    struct thread_state *self = FlsGetValue(index_of_state);
    return self != NULL ? self : make_state();
}

/* ---- levels ---- */

vck_level vck_current_level(void)
{
    return vck_win_thread_state()->level;
}

void *vck_worker_slot_get(void)
{
    const struct thread_state *self = vck_win_thread_state();
    return self->level == VCK_LEVEL_PASSIVE ? self->worker : NULL;
}

void vck_worker_slot_set(void *worker)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_win_thread_state()->worker = worker;
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
    const struct thread_state *self = vck_win_thread_state();
    if (self->level <= highest)
        return;
    fprintf(stderr, "%s:%d", file, line);
    level_is_wrong(self, highest);
}

void vck_level_check_at(vck_level highest, const char *site)
{
    const struct thread_state *self = vck_win_thread_state();
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
    vck_win_thread_state()->region_depth++;
}

void vck_critical_region_leave(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct thread_state *self = vck_win_thread_state();
    FATAL_UNLESS(self->region_depth > 0, "a critical region is left as often as entered");
    self->region_depth--;
}

bool vck_in_critical_region(void)
{
    return vck_win_thread_state()->region_depth > 0;
}
