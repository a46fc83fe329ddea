/* SPDX-License-Identifier: Apache-2.0 */
/* Work items: run at PASSIVE on threads of Wine's pool. A running one keeps its device object. */
#include "verify.h"

typedef void(NTAPI *work_routine_ex)(PVOID object, PVOID context, PVOID item);

/* What drivers know as IO_WORKITEM. */
struct work_item {
    LIST_ENTRY link; /* all there are */
    struct verify_driver *driver;
    PVOID object;
    PIO_WORKITEM_ROUTINE routine;
    work_routine_ex routine_ex;
    PVOID context;
    volatile LONG is_queued;
    struct verify_stack stack;
};

/* A call that is queued or under way; the item may be gone before it ends. */
struct work_call {
    LIST_ENTRY link;
    struct verify_driver *driver;
    struct work_item *item;
    PWORK_QUEUE_ITEM queue_item;
    const void *routine;
};

static struct user_lock lock;
static struct verify_list items, calls;

static void add(struct verify_list *list, LIST_ENTRY *entry)
{
    AcquireSRWLockExclusive(&lock);
    if (!list->head.Flink)
        InitializeListHead(&list->head);
    InsertTailList(&list->head, entry);
    ReleaseSRWLockExclusive(&lock);
}

static void take_out(LIST_ENTRY *entry)
{
    AcquireSRWLockExclusive(&lock);
    RemoveEntryList(entry);
    ReleaseSRWLockExclusive(&lock);
}

static void run_item(struct work_item *item)
{
    PVOID object = item->object, context = item->context;
    PIO_WORKITEM_ROUTINE routine = item->routine;
    work_routine_ex routine_ex = item->routine_ex;
    item->is_queued = false;
    if (routine)
        routine(object, context);
    else
        routine_ex(object, context, item);
    ObDereferenceObject(object);
}

static void delay(LONG milliseconds)
{
    LARGE_INTEGER interval = {.QuadPart = -10000LL * milliseconds};
    if (milliseconds > 0)
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

static void NTAPI run_call(void *instance, void *context)
{
    struct work_call *call = context;
    struct verify_context before = verify_enter(PASSIVE_LEVEL);
    (void)instance;
    if (call->driver)
        InterlockedIncrement64(&call->driver->counters.work_items);
    if (call->driver)
        delay(call->driver->work_delay_ms);
    if (call->item)
        run_item(call->item);
    else
        call->queue_item->WorkerRoutine(call->queue_item->Parameter);
    verify_leave(&before, call->driver, PASSIVE_LEVEL, "a work item", call->routine);
    take_out(&call->link);
    verify_free(call);
}

static void submit(struct work_item *item, PWORK_QUEUE_ITEM queue_item, const void *routine)
{
    struct work_call *call = verify_allocate(sizeof(*call));
    if (!call)
        return;
    *call = (struct work_call){.driver = verify_driver_at(routine),
                               .item = item,
                               .queue_item = queue_item,
                               .routine = routine};
    add(&calls, &call->link);
    TrySubmitThreadpoolCallback(run_call, call, NULL);
}

void verify_work_leaks(struct verify_driver *driver)
{
    bool is_running = false;
    AcquireSRWLockExclusive(&lock);
    LIST_ENTRY *link = calls.head.Flink;
    for (; link && link != &calls.head; link = link->Flink) {
        struct work_call *call = CONTAINING_RECORD(link, struct work_call, link);
        if (call->driver == driver) {
            struct verify_stack origin = verify_stack_of(call->routine);
            verify_report("work-item-running", driver, &origin, "a work item is queued or runs");
            is_running = true;
        }
    }
    for (link = items.head.Flink; link && link != &items.head; link = link->Flink) {
        struct work_item *item = CONTAINING_RECORD(link, struct work_item, link);
        if (item->driver == driver) {
            verify_report("work-item-leak", driver, &item->stack, "work item %p was not freed",
                          (void *)item);
            item->driver = NULL;
        }
    }
    ReleaseSRWLockExclusive(&lock);
    if (is_running)
        verify_keep_mapped(driver);
}

/* ---- hooks ---- */

static PIO_WORKITEM NTAPI hook_IoAllocateWorkItem(PDEVICE_OBJECT device)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, DISPATCH_LEVEL, "IoAllocateWorkItem");
    struct work_item *item = verify_fails_now(driver) ? NULL : verify_allocate(sizeof(*item));
    if (!item)
        return NULL;
    item->driver = driver;
    item->object = device;
    verify_stack_capture(&item->stack);
    add(&items, &item->link);
    return (PIO_WORKITEM)item;
}

static void NTAPI hook_IoFreeWorkItem(PIO_WORKITEM opaque)
{
    struct work_item *item = (struct work_item *)opaque;
    verify_level_check(CALLER, DISPATCH_LEVEL, "IoFreeWorkItem");
    if (item->is_queued) {
        verify_report("work-item-freed-queued", CALLER, &item->stack,
                      "work item %p was freed while queued", (void *)item);
        return;
    }
    take_out(&item->link);
    verify_free(item);
}

static void queue_item(struct work_item *item, const void *routine, void *caller)
{
    verify_level_check(verify_driver_at(caller), DISPATCH_LEVEL, "IoQueueWorkItem");
    if (InterlockedExchange(&item->is_queued, true)) {
        verify_report("work-item-queued-twice", verify_driver_at(caller), &item->stack,
                      "work item %p is queued already", (void *)item);
        return;
    }
    ObReferenceObject(item->object);
    submit(item, NULL, routine);
}

static void NTAPI hook_IoQueueWorkItem(PIO_WORKITEM opaque, PIO_WORKITEM_ROUTINE routine,
                                       WORK_QUEUE_TYPE type, PVOID context)
{
    struct work_item *item = (struct work_item *)opaque;
    (void)type;
    if (!item->is_queued) {
        item->routine = routine;
        item->routine_ex = NULL;
        item->context = context;
    }
    queue_item(item, (const void *)(uintptr_t)routine, __builtin_return_address(0));
}

static void NTAPI hook_IoQueueWorkItemEx(PIO_WORKITEM opaque, work_routine_ex routine,
                                         WORK_QUEUE_TYPE type, PVOID context)
{
    struct work_item *item = (struct work_item *)opaque;
    (void)type;
    if (!item->is_queued) {
        item->routine = NULL;
        item->routine_ex = routine;
        item->context = context;
    }
    queue_item(item, (const void *)(uintptr_t)routine, __builtin_return_address(0));
}

static void NTAPI hook_ExQueueWorkItem(PWORK_QUEUE_ITEM item, WORK_QUEUE_TYPE type)
{
    (void)type;
    verify_level_check(CALLER, DISPATCH_LEVEL, "ExQueueWorkItem");
    submit(NULL, item, (const void *)(uintptr_t)item->WorkerRoutine);
}

static const struct verify_hook hooks[] = {
    CHECK(IoAllocateWorkItem), CHECK(IoFreeWorkItem),   CHECK(IoQueueWorkItem),
    SUPPLY(IoQueueWorkItemEx), SUPPLY(ExQueueWorkItem),
};
const struct verify_hooks verify_work_hooks = VERIFY_HOOKS(hooks);
