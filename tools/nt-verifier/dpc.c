/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPCs. Queued ones run one after the other, oldest first, at DISPATCH, on a thread of Wine's pool:
 * as on one processor. A timer's DPC is queued like any other.
 */
#include "verify.h"

static struct user_lock lock;
static struct user_condition idle;
static LIST_ENTRY queue;
static PKDPC running;
static bool is_working;

/* DpcData is not NULL while the DPC is in the queue, as on Windows. */
static bool is_queued(const KDPC *dpc)
{
    return dpc->DpcData != NULL;
}

static void run_one(PKDPC dpc)
{
    PKDEFERRED_ROUTINE routine = dpc->DeferredRoutine;
    void *context = dpc->DeferredContext, *one = dpc->SystemArgument1, *two = dpc->SystemArgument2;
    struct verify_driver *driver = verify_driver_at((void *)(uintptr_t)routine);
    struct verify_context before;

    running = dpc;
    ReleaseSRWLockExclusive(&lock);
    if (driver)
        InterlockedIncrement64(&driver->counters.dpcs);
    before = verify_enter(DISPATCH_LEVEL);
    routine(dpc, context, one, two);
    verify_leave(&before, driver, DISPATCH_LEVEL, "a DPC", (const void *)(uintptr_t)routine);
    AcquireSRWLockExclusive(&lock);
    running = NULL;
}

static void NTAPI work(void *instance, void *context)
{
    (void)instance;
    (void)context;
    AcquireSRWLockExclusive(&lock);
    while (!IsListEmpty(&queue)) {
        PKDPC dpc = CONTAINING_RECORD(RemoveHeadList(&queue), KDPC, DpcListEntry);
        dpc->DpcData = NULL;
        run_one(dpc);
    }
    is_working = false;
    WakeAllConditionVariable(&idle);
    ReleaseSRWLockExclusive(&lock);
}

bool verify_dpc_queue(PKDPC dpc, void *one, void *two)
{
    AcquireSRWLockExclusive(&lock);
    bool is_new = !is_queued(dpc);
    if (is_new) {
        dpc->DpcData = dpc;
        dpc->SystemArgument1 = one;
        dpc->SystemArgument2 = two;
        if (dpc->Importance == HighImportance)
            InsertHeadList(&queue, &dpc->DpcListEntry);
        else
            InsertTailList(&queue, &dpc->DpcListEntry);
        if (!is_working)
            is_working = TrySubmitThreadpoolCallback(work, NULL, NULL);
    }
    ReleaseSRWLockExclusive(&lock);
    return is_new;
}

static bool remove_queued(PKDPC dpc)
{
    AcquireSRWLockExclusive(&lock);
    bool was_queued = is_queued(dpc);
    if (was_queued) {
        RemoveEntryList(&dpc->DpcListEntry);
        dpc->DpcData = NULL;
    }
    ReleaseSRWLockExclusive(&lock);
    return was_queued;
}

static void wait_until_idle(void)
{
    AcquireSRWLockExclusive(&lock);
    while (is_working)
        SleepConditionVariableSRW(&idle, &lock, MAXULONG, 0);
    ReleaseSRWLockExclusive(&lock);
}

static PKDPC find_inside(const void *memory, SIZE_T bytes)
{
    for (LIST_ENTRY *entry = queue.Flink; entry != &queue; entry = entry->Flink) {
        PKDPC dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
        if ((uintptr_t)dpc - (uintptr_t)memory < bytes)
            return dpc;
    }
    return NULL;
}

void verify_dpc_freed(struct verify_driver *driver, const void *memory, SIZE_T bytes)
{
    PKDPC dpc;
    do {
        AcquireSRWLockExclusive(&lock);
        dpc = find_inside(memory, bytes);
        if (dpc)
            RemoveEntryList(&dpc->DpcListEntry);
        ReleaseSRWLockExclusive(&lock);
        if (dpc)
            verify_report("dpc-freed", driver, NULL, "DPC %p is queued and its memory freed",
                          (void *)dpc);
    } while (dpc);
}

void verify_dpc_leaks(struct verify_driver *driver)
{
    bool found = true;
    while (found) {
        PKDPC leaked = NULL;
        AcquireSRWLockExclusive(&lock);
        for (LIST_ENTRY *entry = queue.Flink; entry != &queue && !leaked; entry = entry->Flink) {
            PKDPC dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
            if (verify_driver_at((void *)(uintptr_t)dpc->DeferredRoutine) == driver)
                leaked = dpc;
        }
        void *routine = leaked ? (void *)(uintptr_t)leaked->DeferredRoutine : NULL;
        ReleaseSRWLockExclusive(&lock);
        found = leaked && remove_queued(leaked);
        if (found) {
            struct verify_stack origin = verify_stack_of(routine);
            verify_report("dpc-leak", driver, &origin, "DPC %p is still queued", (void *)leaked);
        }
    }
    /* One that runs is let finish: there is no way to report it that would not crash first. */
    wait_until_idle();
}

NTSTATUS verify_dpc_start(void)
{
    InitializeListHead(&queue);
    return STATUS_SUCCESS;
}

void verify_dpc_stop(void)
{
    wait_until_idle();
}

/* ---- hooks ---- */

static void NTAPI hook_KeInitializeDpc(PKDPC dpc, PKDEFERRED_ROUTINE routine, PVOID context)
{
    RtlZeroMemory(dpc, sizeof(*dpc));
    dpc->Importance = MediumImportance;
    dpc->DeferredRoutine = routine;
    dpc->DeferredContext = context;
}

static BOOLEAN NTAPI hook_KeInsertQueueDpc(PKDPC dpc, PVOID one, PVOID two)
{
    return verify_dpc_queue(dpc, one, two);
}

static BOOLEAN NTAPI hook_KeRemoveQueueDpc(PKDPC dpc)
{
    return remove_queued(dpc);
}

static void NTAPI hook_KeFlushQueuedDpcs(void)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "KeFlushQueuedDpcs");
    wait_until_idle();
}

static void NTAPI hook_KeSetImportanceDpc(PKDPC dpc, KDPC_IMPORTANCE importance)
{
    dpc->Importance = (UCHAR)importance;
}

static void NTAPI hook_KeSetTargetProcessorDpc(PKDPC dpc, CCHAR number)
{
    (void)dpc;
    (void)number;
}

static const struct verify_hook hooks[] = {
    CHECK(KeInitializeDpc),    SUPPLY(KeInsertQueueDpc),  SUPPLY(KeRemoveQueueDpc),
    SUPPLY(KeFlushQueuedDpcs), CHECK(KeSetImportanceDpc), CHECK(KeSetTargetProcessorDpc),
};
const struct verify_hooks verify_dpc_hooks = VERIFY_HOOKS(hooks);
