/* SPDX-License-Identifier: Apache-2.0 */
#include "port/win/internal.h"

/* NTDLL: whether the process is on its way out, its other threads gone already. */
BOOLEAN NTAPI RtlDllShutdownInProgress(void);

/* KERNEL32, Windows 10 1607. */
HRESULT WINAPI SetThreadDescription(HANDLE thread, const wchar_t *description);

static BOOL CALLBACK run_once(INIT_ONCE *unused, void *run, void **context)
{
    void (*const *function)(void) = run;
    (void)unused;
    (void)context;
    (*function)();
    return TRUE;
}

void system_once(struct system_once *once, void (*run)(void))
{
    (void)InitOnceExecuteOnce(&once->once, run_once, &run, NULL);
}

void system_thread_name(const char *name)
{
    wchar_t wide[16] = {0};
    for (size_t i = 0; i + 1 < sizeof(wide) / sizeof(wide[0]) && name[i] != 0; i++)
        wide[i] = (unsigned char)name[i];
    (void)SetThreadDescription(GetCurrentThread(), wide);
}

void *system_pages_map(size_t size_bytes)
{
    size_t whole_bytes = size_bytes != 0 ? size_bytes : 1;
    void *p = VirtualAlloc(NULL, whole_bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    /* Best effort: how much may be locked is the size of the working set. */
    if (p != NULL)
        (void)VirtualLock(p, whole_bytes);
    return p;
}

/* ---- the state of a thread: a fiber-local value, because those tell when a thread ends ---- */

static struct system_once once = SYSTEM_ONCE_INIT;
static DWORD index_of_state = FLS_OUT_OF_INDEXES;

/* What other threads held when the process ended is held for ever: nothing is run then. */
static void CALLBACK end_thread(void *value)
{
    struct thread_state *self = value;
    if (self == NULL || RtlDllShutdownInProgress())
        return;
    /* Whoever asks meanwhile still has it. */
    FlsSetValue(index_of_state, self);
    vck_hosted_end_slot(self);
    FlsSetValue(index_of_state, NULL);
    HeapFree(GetProcessHeap(), 0, self);
}

static void make_index(void)
{
    index_of_state = FlsAlloc(end_thread);
}

static struct thread_state *make_state(void)
{
    struct thread_state *self = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof(*self));
    FATAL_UNLESS(self != NULL && FlsSetValue(index_of_state, self), "a thread has its state");
    self->id = vck_hosted_new_thread_id();
    return self;
}

struct thread_state *system_thread_state(void)
{
    system_once(&once, make_index);
    FATAL_UNLESS(index_of_state != FLS_OUT_OF_INDEXES, "threads can have states");
    struct thread_state *self = FlsGetValue(index_of_state);
    return self != NULL ? self : make_state();
}
