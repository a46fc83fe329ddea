/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal: what the files of the Windows port share, the only include of the system's headers, and
 * what the files of port/hosted are written on: the same functions as in port/posix/internal.h,
 * which says what they do.
 */
#ifndef VCK_PORT_WIN_INTERNAL_H
#define VCK_PORT_WIN_INTERNAL_H

#include <windows.h>
#include "port/hosted/hosted.h"
#include "port/win/win.h"

/* Milliseconds until a deadline of vck_clock_ns, rounded up; INFINITE for VCK_FOREVER. */
DWORD vck_win_ms_until(uint64_t deadline_ns);

/* Writes the explanation, adding the system's words for os_error unless it is 0, and returns
 * status. ret_error may be NULL. */
vck_status vck_win_explain(struct vck_win_error *ret_error, vck_status status, uint32_t os_error,
                           const char *format, ...) VCK_PRINTF(4, 5);

struct thread_state *system_thread_state(void);

/* ---- locks and conditions beneath those of the port ---- */

struct system_lock {
    SRWLOCK lock;
};
#define SYSTEM_LOCK_INIT                                                                           \
    {                                                                                              \
        SRWLOCK_INIT                                                                               \
    }

static inline void system_lock_init(struct system_lock *lock)
{
    InitializeSRWLock(&lock->lock);
}

static inline void system_lock_fini(struct system_lock *lock)
{
    (void)lock;
}

static inline void system_lock_take(struct system_lock *lock)
{
    AcquireSRWLockExclusive(&lock->lock);
}

static inline void system_lock_release(struct system_lock *lock)
{
    ReleaseSRWLockExclusive(&lock->lock);
}

struct system_condition {
    CONDITION_VARIABLE condition;
};
#define SYSTEM_CONDITION_INIT                                                                      \
    {                                                                                              \
        CONDITION_VARIABLE_INIT                                                                    \
    }

static inline void system_condition_wait(struct system_condition *condition,
                                         struct system_lock *lock, uint64_t deadline_ns)
{
    (void)SleepConditionVariableSRW(&condition->condition, &lock->lock,
                                    vck_win_ms_until(deadline_ns), 0);
}

static inline void system_condition_wake_one(struct system_condition *condition)
{
    WakeConditionVariable(&condition->condition);
}

static inline void system_condition_wake_all(struct system_condition *condition)
{
    WakeAllConditionVariable(&condition->condition);
}

struct system_once {
    INIT_ONCE once;
};
#define SYSTEM_ONCE_INIT                                                                           \
    {                                                                                              \
        INIT_ONCE_STATIC_INIT                                                                      \
    }

void system_once(struct system_once *once, void (*run)(void));

static inline bool system_word_sleep(uint32_t *word, uint32_t seen, uint64_t deadline_ns)
{
    DWORD wait_ms = vck_win_ms_until(deadline_ns);
    if (wait_ms == 0)
        return false;
    (void)WaitOnAddress(word, &seen, sizeof(seen), wait_ms);
    return true;
}

static inline void system_word_wake(uint32_t *word, bool all)
{
    if (all)
        WakeByAddressAll(word);
    else
        WakeByAddressSingle(word);
}

/* ---- threads ---- */

struct system_thread {
    HANDLE handle;
};
#define SYSTEM_THREAD_RESULT DWORD WINAPI

static inline bool system_thread_start(SYSTEM_THREAD_RESULT (*entry)(void *context), void *context,
                                       struct system_thread *ret_thread)
{
    ret_thread->handle = CreateThread(NULL, 0, entry, context, 0, NULL);
    return ret_thread->handle != NULL;
}

static inline void system_thread_detach(struct system_thread *thread)
{
    CloseHandle(thread->handle);
}

static inline bool system_thread_join(struct system_thread *thread)
{
    bool has_ended = WaitForSingleObject(thread->handle, INFINITE) == WAIT_OBJECT_0;
    CloseHandle(thread->handle);
    return has_ended;
}

void system_thread_name(const char *name);

/* Not the lowest class: such a thread, preempted inside a spin lock, would stop the others for as
 * long as the machine is busy. */
static inline void system_thread_give_way(void)
{
    (void)SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_LOWEST);
}

/* Every thread with a state is watched. */
static inline bool system_thread_watch_end(void)
{
    return true;
}

static inline void system_yield(void)
{
    (void)SwitchToThread();
}

static inline void system_pause(void)
{
    YieldProcessor();
}

static inline void system_nap(void)
{
    Sleep(1);
}

/* ---- memory ---- */

static inline void *system_heap_alloc(size_t size_bytes, uint32_t tag)
{
    (void)tag;
    _Static_assert(MEMORY_ALLOCATION_ALIGNMENT >= 16, "the heap aligns to 16 bytes");
    return HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, size_bytes);
}

static inline void system_heap_free(void *p, uint32_t tag)
{
    (void)tag;
    HeapFree(GetProcessHeap(), 0, p);
}

static inline size_t system_page_bytes(void)
{
    return 4096;
}

void *system_pages_map(size_t size_bytes);

static inline void system_pages_unmap(void *p, size_t size_bytes)
{
    (void)size_bytes;
    FATAL_UNLESS(VirtualFree(p, 0, MEM_RELEASE), "pages to free are mapped");
}

#endif
