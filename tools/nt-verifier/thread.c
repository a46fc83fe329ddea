/* SPDX-License-Identifier: Apache-2.0 */
/* System threads: which driver's code each runs, and what it ends with. */
#include "verify.h"

struct verify_system_thread {
    LIST_ENTRY link;
    struct verify_driver *driver;
    PKSTART_ROUTINE routine;
    PVOID context;
    struct verify_stack stack;
};

static struct verify_list threads;

static void add(struct verify_system_thread *thread)
{
    AcquireSRWLockExclusive(&threads.lock);
    if (!threads.head.Flink)
        InitializeListHead(&threads.head);
    InsertTailList(&threads.head, &thread->link);
    ReleaseSRWLockExclusive(&threads.lock);
}

static void take_out(struct verify_system_thread *thread)
{
    AcquireSRWLockExclusive(&threads.lock);
    RemoveEntryList(&thread->link);
    ReleaseSRWLockExclusive(&threads.lock);
    verify_free(thread);
}

/* The thread is about to end, by itself or by returning. */
static void end_thread(void)
{
    static const struct verify_context clean = {PASSIVE_LEVEL, 0, 0, 0};
    struct verify_thread *current = verify_thread_current();
    struct verify_system_thread *thread = current->system_thread;
    if (!thread)
        return;
    verify_leave(&clean, thread->driver, PASSIVE_LEVEL, "a thread",
                 (const void *)(uintptr_t)thread->routine);
    current->system_thread = NULL;
    take_out(thread);
}

static void NTAPI run(PVOID context)
{
    struct verify_system_thread *thread = context;
    verify_thread_current()->system_thread = thread;
    verify_thread_current()->level = PASSIVE_LEVEL;
    thread->routine(thread->context);
    end_thread();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS create(PHANDLE ret_handle, ULONG access, POBJECT_ATTRIBUTES attributes,
                       HANDLE process, PCLIENT_ID ret_id, PKSTART_ROUTINE routine, PVOID context,
                       void *caller)
{
    struct verify_driver *driver = verify_driver_at(caller);
    verify_level_check(driver, PASSIVE_LEVEL, "PsCreateSystemThread");
    struct verify_system_thread *thread =
        verify_fails_now(driver) ? NULL : verify_allocate(sizeof(*thread));
    if (!thread)
        return STATUS_INSUFFICIENT_RESOURCES;
    thread->driver = driver;
    thread->routine = routine;
    thread->context = context;
    verify_stack_capture(&thread->stack);
    if (driver)
        InterlockedIncrement64(&driver->counters.threads);
    add(thread);
    NTSTATUS status =
        PsCreateSystemThread(ret_handle, access, attributes, process, ret_id, run, thread);
    if (!NT_SUCCESS(status))
        take_out(thread);
    return status;
}

/* A thread that has let go of everything but its last instructions is given a moment. */
static bool still_runs(struct verify_driver *driver)
{
    for (LIST_ENTRY *link = threads.head.Flink; link && link != &threads.head; link = link->Flink) {
        if (CONTAINING_RECORD(link, struct verify_system_thread, link)->driver == driver)
            return true;
    }
    return false;
}

void verify_thread_leaks(struct verify_driver *driver)
{
    bool is_running;
    AcquireSRWLockExclusive(&threads.lock);
    is_running = still_runs(driver);
    for (LIST_ENTRY *link = threads.head.Flink; link && link != &threads.head; link = link->Flink) {
        struct verify_system_thread *thread =
            CONTAINING_RECORD(link, struct verify_system_thread, link);
        if (thread->driver == driver)
            verify_report("thread-leak", driver, &thread->stack, "a system thread still runs");
    }
    ReleaseSRWLockExclusive(&threads.lock);
    if (is_running)
        verify_keep_mapped(driver);
}

static NTSTATUS NTAPI hook_PsCreateSystemThread(PHANDLE ret_handle, ULONG access,
                                                POBJECT_ATTRIBUTES attributes, HANDLE process,
                                                PCLIENT_ID ret_id, PKSTART_ROUTINE routine,
                                                PVOID context)
{
    return create(ret_handle, access, attributes, process, ret_id, routine, context,
                  __builtin_return_address(0));
}

/* The object whose driver the thread keeps loaded is not needed: a thread that is left is reported,
 * and its driver stays mapped. */
static NTSTATUS NTAPI hook_IoCreateSystemThread(PVOID object, PHANDLE ret_handle, ULONG access,
                                                POBJECT_ATTRIBUTES attributes, HANDLE process,
                                                PCLIENT_ID ret_id, PKSTART_ROUTINE routine,
                                                PVOID context)
{
    (void)object;
    return create(ret_handle, access, attributes, process, ret_id, routine, context,
                  __builtin_return_address(0));
}

static NTSTATUS NTAPI hook_PsTerminateSystemThread(NTSTATUS status)
{
    end_thread();
    return PsTerminateSystemThread(status);
}

static const struct verify_hook hooks[] = {
    CHECK(PsCreateSystemThread),
    SUPPLY(IoCreateSystemThread),
    CHECK(PsTerminateSystemThread),
};
const struct verify_hooks verify_thread_hooks = VERIFY_HOOKS(hooks);
