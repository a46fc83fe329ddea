/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers. Wine keeps each timer, so that it can be waited for, but does not know its DPC: the DPC
 * is queued here, by a thread that keeps the timers that are set in the order in which they are
 * due. So cancelling is exact: after it the DPC is not queued any more.
 */
#include "verify.h"

enum { UNITS_PER_MS = 10000 };

struct timer_entry {
    LIST_ENTRY link;
    PKTIMER timer;
    PKDPC dpc;
    struct verify_driver *driver;
    LONG64 due; /* interrupt time, 100 ns */
    LONG period_ms;
    struct verify_stack stack;
};

static struct user_lock lock;
static struct user_condition changed;
static LIST_ENTRY timers; /* by due */
static PETHREAD thread;
static bool is_stopping;

static LONG64 due_of(LARGE_INTEGER due)
{
    LARGE_INTEGER system;
    if (due.QuadPart < 0)
        return verify_now() - due.QuadPart;
    GetSystemTimePreciseAsFileTime(&system);
    return verify_now() + due.QuadPart - system.QuadPart;
}

static void insert(struct timer_entry *entry)
{
    LIST_ENTRY *after = timers.Flink;
    while (after != &timers &&
           CONTAINING_RECORD(after, struct timer_entry, link)->due <= entry->due)
        after = after->Flink;
    InsertTailList(after, &entry->link);
    if (timers.Flink == &entry->link)
        WakeAllConditionVariable(&changed);
}

static struct timer_entry *find(const KTIMER *timer)
{
    for (LIST_ENTRY *link = timers.Flink; link != &timers; link = link->Flink) {
        struct timer_entry *entry = CONTAINING_RECORD(link, struct timer_entry, link);
        if (entry->timer == timer)
            return entry;
    }
    return NULL;
}

/* The lock is held. */
static void expire(struct timer_entry *entry)
{
    RemoveEntryList(&entry->link);
    if (entry->dpc)
        verify_dpc_queue(entry->dpc, NULL, NULL);
    if (entry->period_ms) {
        entry->due += (LONG64)entry->period_ms * UNITS_PER_MS;
        insert(entry);
    } else {
        verify_free(entry);
    }
}

static void NTAPI run(PVOID context)
{
    (void)context;
    AcquireSRWLockExclusive(&lock);
    while (!is_stopping) {
        ULONG wait_ms = MAXULONG;
        if (!IsListEmpty(&timers)) {
            struct timer_entry *first = CONTAINING_RECORD(timers.Flink, struct timer_entry, link);
            LONG64 left = first->due - verify_now();
            if (left <= 0) {
                expire(first);
                continue;
            }
            wait_ms = (ULONG)min((left + UNITS_PER_MS - 1) / UNITS_PER_MS, 60000);
        }
        SleepConditionVariableSRW(&changed, &lock, wait_ms, 0);
    }
    ReleaseSRWLockExclusive(&lock);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

NTSTATUS verify_timer_start(void)
{
    HANDLE handle;
    InitializeListHead(&timers);
    is_stopping = false;
    NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, run, NULL);
    if (!NT_SUCCESS(status))
        return status;
    status = ObReferenceObjectByHandle(handle, SYNCHRONIZE, *__imp_PsThreadType, KernelMode,
                                       (PVOID *)&thread, NULL);
    ZwClose(handle);
    return status;
}

void verify_timer_stop(void)
{
    AcquireSRWLockExclusive(&lock);
    is_stopping = true;
    WakeAllConditionVariable(&changed);
    ReleaseSRWLockExclusive(&lock);
    KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread);
    while (!IsListEmpty(&timers))
        verify_free(CONTAINING_RECORD(RemoveHeadList(&timers), struct timer_entry, link));
}

/* ---- what is left ---- */

static void stop(struct timer_entry *entry)
{
    KeCancelTimer(entry->timer);
    RemoveEntryList(&entry->link);
    verify_free(entry);
}

void verify_timer_freed(struct verify_driver *driver, const void *memory, SIZE_T bytes)
{
    AcquireSRWLockExclusive(&lock);
    LIST_ENTRY *link = timers.Flink;
    while (link != &timers) {
        struct timer_entry *entry = CONTAINING_RECORD(link, struct timer_entry, link);
        link = link->Flink;
        if ((uintptr_t)entry->timer - (uintptr_t)memory < bytes) {
            verify_report("timer-freed", driver, &entry->stack,
                          "timer %p is set and its memory freed", (void *)entry->timer);
            stop(entry);
        }
    }
    ReleaseSRWLockExclusive(&lock);
}

void verify_timer_leaks(struct verify_driver *driver)
{
    AcquireSRWLockExclusive(&lock);
    LIST_ENTRY *link = timers.Flink;
    while (link != &timers) {
        struct timer_entry *entry = CONTAINING_RECORD(link, struct timer_entry, link);
        link = link->Flink;
        bool is_its = entry->driver == driver ||
                      (entry->dpc &&
                       verify_driver_at((void *)(uintptr_t)entry->dpc->DeferredRoutine) == driver);
        if (is_its) {
            verify_report("timer-leak", driver, &entry->stack, "timer %p is still set",
                          (void *)entry->timer);
            stop(entry);
        }
    }
    ReleaseSRWLockExclusive(&lock);
}

/* ---- hooks ---- */

/* Whether it was set before. */
static bool take_out(const KTIMER *timer)
{
    struct timer_entry *entry = find(timer);
    if (!entry)
        return false;
    RemoveEntryList(&entry->link);
    verify_free(entry);
    return true;
}

static BOOLEAN set_timer(PKTIMER timer, LARGE_INTEGER due, LONG period_ms, PKDPC dpc, void *caller)
{
    struct timer_entry *entry = verify_allocate(sizeof(*entry));
    verify_level_check(verify_driver_at(caller), DISPATCH_LEVEL, "KeSetTimer");
    if (entry) {
        *entry = (struct timer_entry){.timer = timer,
                                      .dpc = dpc,
                                      .driver = verify_driver_at(caller),
                                      .due = due_of(due),
                                      .period_ms = period_ms};
        verify_stack_capture(&entry->stack);
        if (entry->driver)
            InterlockedIncrement64(&entry->driver->counters.timers_set);
    }
    AcquireSRWLockExclusive(&lock);
    bool was_set = take_out(timer);
    if (entry)
        insert(entry);
    /* Wine's timer is cancelled apart: setting one that is set waits for its callback with a lock
     * that the callback takes. */
    KeCancelTimer(timer);
    KeSetTimerEx(timer, due, period_ms, NULL);
    ReleaseSRWLockExclusive(&lock);
    return was_set;
}

static BOOLEAN NTAPI hook_KeSetTimer(PKTIMER timer, LARGE_INTEGER due, PKDPC dpc)
{
    return set_timer(timer, due, 0, dpc, __builtin_return_address(0));
}

static BOOLEAN NTAPI hook_KeSetTimerEx(PKTIMER timer, LARGE_INTEGER due, LONG period, PKDPC dpc)
{
    return set_timer(timer, due, period, dpc, __builtin_return_address(0));
}

static BOOLEAN NTAPI hook_KeSetCoalescableTimer(PKTIMER timer, LARGE_INTEGER due, ULONG period,
                                                ULONG tolerable_delay, PKDPC dpc)
{
    (void)tolerable_delay;
    return set_timer(timer, due, (LONG)period, dpc, __builtin_return_address(0));
}

static BOOLEAN NTAPI hook_KeCancelTimer(PKTIMER timer)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "KeCancelTimer");
    AcquireSRWLockExclusive(&lock);
    bool was_set = take_out(timer);
    KeCancelTimer(timer);
    ReleaseSRWLockExclusive(&lock);
    return was_set;
}

static BOOLEAN NTAPI hook_KeReadStateTimer(PKTIMER timer)
{
    return timer->Header.SignalState != 0;
}

static const struct verify_hook hooks[] = {
    CHECK(KeSetTimer),    CHECK(KeSetTimerEx),      SUPPLY(KeSetCoalescableTimer),
    CHECK(KeCancelTimer), SUPPLY(KeReadStateTimer),
};
const struct verify_hooks verify_timer_hooks = VERIFY_HOOKS(hooks);
