/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRPs: each that a watched driver meets is tracked from then on, by address.
 *
 *     OWNED --IoCallDriver--> FLYING --IoCompleteRequest--> COMPLETING --> COMPLETED
 *       ^                       ^                               |
 *       |                       |                      a completion routine
 *       |                       +---- IoCallDriver ----------- HELD (it kept the IRP)
 *       +-------------------------------------- IoReuseIrp ------+
 *
 * Its memory may be anybody's as soon as it is completed. So an IRP is only read while its tracking
 * says that it is open, under the lock that whoever completes or frees it takes first; what is
 * needed later (was it marked pending?) is noted before.
 */
#include "irp.h"

enum {
    BUCKETS = 1024,
    COMPLETED_MAX = 2048,
};

static struct user_lock lock;
static LIST_ENTRY buckets[BUCKETS];
static LIST_ENTRY completed; /* oldest first: known so that a second completion is found */
static ULONG completed_count;
static ULONG64 generations;

/* ---- tracking ---- */

void verify_irp_lock(void)
{
    AcquireSRWLockExclusive(&lock);
}

void verify_irp_unlock(void)
{
    ReleaseSRWLockExclusive(&lock);
}

static LIST_ENTRY *bucket_of(const IRP *irp)
{
    LIST_ENTRY *bucket = &buckets[((uintptr_t)irp >> 4) * 0x9e3779b97f4a7c15ull >> 54];
    if (!bucket->Flink)
        InitializeListHead(bucket);
    return bucket;
}

struct irp_track *verify_irp_find(const IRP *irp)
{
    LIST_ENTRY *bucket = bucket_of(irp);
    for (LIST_ENTRY *link = bucket->Flink; link != bucket; link = link->Flink) {
        struct irp_track *track = CONTAINING_RECORD(link, struct irp_track, link);
        if (track->irp == irp)
            return track;
    }
    return NULL;
}

static void leave_completed(struct irp_track *track)
{
    if (track->state == IRP_COMPLETED) {
        RemoveEntryList(&track->completed);
        completed_count--;
    }
}

void verify_irp_forget(struct irp_track *track)
{
    leave_completed(track);
    RemoveEntryList(&track->link);
    verify_free(track);
}

struct irp_track *verify_irp_begin(PIRP irp, enum irp_state state, struct verify_driver *owner)
{
    struct irp_track *track = verify_irp_find(irp);
    if (track) {
        leave_completed(track);
        RemoveEntryList(&track->link);
        RtlZeroMemory(track, sizeof(*track));
    } else {
        track = verify_allocate(sizeof(*track));
    }
    if (!track)
        return NULL;
    track->irp = irp;
    track->state = state;
    track->owner = owner;
    track->generation = ++generations;
    InsertTailList(bucket_of(irp), &track->link);
    return track;
}

static void finish(struct irp_track *track)
{
    if (!completed.Flink)
        InitializeListHead(&completed);
    track->state = IRP_COMPLETED;
    InsertTailList(&completed, &track->completed);
    if (++completed_count > COMPLETED_MAX)
        verify_irp_forget(CONTAINING_RECORD(completed.Flink, struct irp_track, completed));
}

/* ---- places in the stack ---- */

static uint64_t bit(int location)
{
    return location > 0 && location < 64 ? 1ull << location : 0;
}

static bool has_current(const IRP *irp)
{
    return irp->CurrentLocation >= 1 && irp->CurrentLocation <= irp->StackCount;
}

static bool is_marked(PIRP irp)
{
    return has_current(irp) && IoGetCurrentIrpStackLocation(irp)->Control & SL_PENDING_RETURNED;
}

static void note_mark(struct irp_track *track, PIRP irp)
{
    if (is_marked(irp))
        track->marked |= bit(irp->CurrentLocation);
}

/* ---- dispatch ---- */

struct visit {
    ULONG64 generation;
    ULONG flight;
    int location;
    PIO_STACK_LOCATION stack;
};

static void begin_visit(PIRP irp, struct verify_driver *driver, struct visit *ret_visit)
{
    verify_irp_lock();
    struct irp_track *track = verify_irp_find(irp);
    /* One that is being completed cannot arrive: it was freed, and this is another in its place. */
    if (!track || track->state == IRP_COMPLETED || track->state == IRP_COMPLETING)
        track = verify_irp_begin(irp, IRP_FLYING, NULL);
    *ret_visit = (struct visit){.location = irp->CurrentLocation,
                                .stack = IoGetCurrentIrpStackLocation(irp)};
    if (track && ret_visit->location < IRP_LOCATIONS) {
        track->holder = driver;
        track->major = ret_visit->stack->MajorFunction;
        track->walked_to = 0;
        track->marked &= ~bit(ret_visit->location);
        track->propagates &= ~bit(ret_visit->location);
        ret_visit->generation = track->generation;
        ret_visit->flight = ++track->flights[ret_visit->location];
    }
    verify_irp_unlock();
}

/* What the driver said by its return, against what became of the IRP. The lock is held. */
static void judge(struct irp_track *track, const struct visit *visit, struct verify_driver *driver,
                  NTSTATUS status, const struct verify_stack *origin)
{
    bool is_open = track->state == IRP_FLYING && track->walked_to < visit->location;
    bool is_marked_now = (track->marked & bit(visit->location)) != 0;
    if (is_open)
        is_marked_now = is_marked_now || visit->stack->Control & SL_PENDING_RETURNED;
    bool propagates = (track->propagates & bit(visit->location)) != 0;

    if (status == STATUS_PENDING) {
        if (!is_marked_now && !propagates)
            verify_report("irp-pending-not-marked", driver, origin,
                          "major %u returned STATUS_PENDING without marking the IRP", track->major);
        return;
    }
    if (is_open)
        verify_report("irp-not-completed", driver, origin,
                      "major %u returned %08lx, and the IRP is neither completed nor pending",
                      track->major, status);
    else if (is_marked_now)
        verify_report("irp-marked-not-pending", driver, origin,
                      "major %u marked the IRP pending and returned %08lx", track->major, status);
}

static void end_visit(PIRP irp, const struct visit *visit, struct verify_driver *driver,
                      NTSTATUS status, const void *routine)
{
    struct verify_stack origin = verify_stack_of(routine);
    verify_irp_lock();
    struct irp_track *track = visit->generation ? verify_irp_find(irp) : NULL;
    if (track && track->generation == visit->generation &&
        track->flights[visit->location] == visit->flight)
        judge(track, visit, driver, status, &origin);
    verify_irp_unlock();
}

/* Whether the IRP is of a program's handle of one of the driver's own devices. One of a device
 * below a filter holds nothing of the filter's, which may come and go between its CREATE and its
 * CLOSE. */
static bool is_of_own_handle(const struct verify_driver *driver, const IRP *irp)
{
    const FILE_OBJECT *file = IoGetCurrentIrpStackLocation((PIRP)(uintptr_t)irp)->FileObject;
    return irp->RequestorMode == UserMode && file && file->DeviceObject &&
           file->DeviceObject->DriverObject == driver->object;
}

NTSTATUS NTAPI verify_irp_dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    struct verify_driver *driver = verify_driver_of_object(device->DriverObject);
    UCHAR major = IoGetCurrentIrpStackLocation(irp)->MajorFunction;
    PDRIVER_DISPATCH routine = driver->dispatch[major];
    KIRQL level = verify_level();
    bool is_own_handle =
        (major == IRP_MJ_CREATE || major == IRP_MJ_CLOSE) && is_of_own_handle(driver, irp);
    struct visit visit;

    InterlockedIncrement64(&driver->counters.irps_dispatched);
    if (is_own_handle && major == IRP_MJ_CREATE)
        InterlockedIncrement(&driver->open_handles);
    begin_visit(irp, driver, &visit);
    struct verify_context before = verify_enter(level);
    NTSTATUS status = routine(device, irp);
    verify_leave(&before, driver, level, "a dispatch routine", (const void *)(uintptr_t)routine);
    end_visit(irp, &visit, driver, status, (const void *)(uintptr_t)routine);
    verify_driver_watch(driver);
    if (is_own_handle && major == IRP_MJ_CLOSE)
        InterlockedDecrement(&driver->open_handles);
    return status;
}

void verify_irp_dispatch_prepare(struct verify_driver *driver)
{
    for (size_t i = 0; i < VERIFY_MAJORS; i++) {
        PDRIVER_DISPATCH routine = driver->object->MajorFunction[i];
        /* Those it left alone are Wine's. */
        if (verify_driver_at((void *)(uintptr_t)routine) == driver) {
            driver->dispatch[i] = routine;
            driver->object->MajorFunction[i] = verify_irp_dispatch;
        }
    }
}

/* ---- completion routines ---- */

static void check_propagated(struct irp_track *track, PIRP irp, struct verify_driver *driver,
                             const struct verify_stack *origin)
{
    if (irp->PendingReturned && has_current(irp) && !is_marked(irp))
        verify_report("irp-pending-not-propagated", driver, origin,
                      "major %u: PendingReturned is set, the routine did not mark the IRP",
                      track->major);
    note_mark(track, irp);
}

/* In the place of each completion routine set by a watched driver; at the level of the caller. */
static NTSTATUS NTAPI complete_watched(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    int location = irp->CurrentLocation - 1;
    PIO_COMPLETION_ROUTINE routine = NULL;
    ULONG64 generation = 0;

    verify_irp_lock();
    struct irp_track *track = verify_irp_find(irp);
    if (track && location > 0 && location < IRP_LOCATIONS) {
        routine = track->routines[location];
        track->routines[location] = NULL;
        track->state = IRP_HELD;
        track->walked_to = location;
        generation = track->generation;
    }
    verify_irp_unlock();
    if (!routine) {
        verify_report("irp-stack-copied", NULL, NULL,
                      "a stack location with its completion routine was copied");
        return STATUS_SUCCESS;
    }

    struct verify_driver *driver = verify_driver_at((void *)(uintptr_t)routine);
    struct verify_stack origin = verify_stack_of((const void *)(uintptr_t)routine);
    KIRQL level = verify_level();
    struct verify_context before = verify_enter(level);
    NTSTATUS status = routine(device, irp, context);
    verify_leave(&before, driver, level, "a completion routine", (const void *)(uintptr_t)routine);
    if (status == STATUS_MORE_PROCESSING_REQUIRED)
        return status;
    verify_irp_lock();
    track = verify_irp_find(irp);
    if (track && track->generation == generation) {
        check_propagated(track, irp, driver, &origin);
        track->state = IRP_COMPLETING;
    }
    verify_irp_unlock();
    return status;
}

/* Puts the watching routine in the place of the one the caller set for below. A caller that has
 * skipped its location leaves what is there: the watching routine of a driver above, or the
 * system's own, which is the end of the way. The lock is held. */
static void watch_completion(struct irp_track *track, PIRP irp)
{
    PIO_STACK_LOCATION next = IoGetNextIrpStackLocation(irp);
    int location = irp->CurrentLocation - 1;
    bool has_routine =
        next->CompletionRoutine &&
        next->Control & (SL_INVOKE_ON_CANCEL | SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR);
    if (!has_routine) {
        track->propagates |= bit(irp->CurrentLocation);
    } else if (verify_driver_at((void *)(uintptr_t)next->CompletionRoutine) &&
               location < IRP_LOCATIONS) {
        track->routines[location] = next->CompletionRoutine;
        next->CompletionRoutine = complete_watched;
    }
}

static NTSTATUS FASTCALL hook_IofCallDriver(PDEVICE_OBJECT device, PIRP irp)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, DISPATCH_LEVEL, "IoCallDriver");
    if (irp->CurrentLocation <= 1) {
        verify_report("irp-no-stack-location", driver, NULL, "IRP %p has no stack location left",
                      (void *)irp);
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    verify_irp_lock();
    struct irp_track *track = verify_irp_find(irp);
    if (!track || track->state == IRP_COMPLETED)
        track = verify_irp_begin(irp, IRP_FLYING, NULL);
    if (track) {
        track->state = IRP_FLYING;
        track->walked_to = 0;
        note_mark(track, irp);
        watch_completion(track, irp);
    }
    verify_irp_unlock();
    return IofCallDriver(device, irp);
}

/* ---- completing ---- */

static ULONG_PTR transfer_bytes(const IO_STACK_LOCATION *stack)
{
    switch (stack->MajorFunction) {
    case IRP_MJ_READ:
        return stack->Parameters.Read.Length;
    case IRP_MJ_WRITE:
        return stack->Parameters.Write.Length;
    case IRP_MJ_DEVICE_CONTROL:
        if ((stack->Parameters.DeviceIoControl.IoControlCode & 3) == METHOD_BUFFERED)
            return stack->Parameters.DeviceIoControl.OutputBufferLength;
        break;
    default:
        break;
    }
    return MAXULONG_PTR;
}

static void check_completed(struct verify_driver *driver, PIRP irp)
{
    const IO_STACK_LOCATION *stack = has_current(irp) ? IoGetCurrentIrpStackLocation(irp) : NULL;
    NTSTATUS status = irp->IoStatus.Status;
    if (status == STATUS_PENDING)
        verify_report("irp-status-pending", driver, NULL, "completed with STATUS_PENDING");
    if (irp->CancelRoutine)
        verify_report("irp-cancel-routine-left", driver, NULL,
                      "completed with a cancel routine still set");
    if (stack && NT_SUCCESS(status) && irp->IoStatus.Information > transfer_bytes(stack))
        verify_report("irp-information", driver, NULL,
                      "major %u completed with Information %llu, more than the buffer's %llu",
                      stack->MajorFunction, (unsigned long long)irp->IoStatus.Information,
                      (unsigned long long)transfer_bytes(stack));
}

/* Wine frees what these return, and knows nothing of our blocks. */
static void hand_over_result(PIRP irp)
{
    const IO_STACK_LOCATION *stack = has_current(irp) ? IoGetCurrentIrpStackLocation(irp) : NULL;
    if (!stack || stack->MajorFunction != IRP_MJ_PNP || !NT_SUCCESS(irp->IoStatus.Status))
        return;
    switch (stack->MinorFunction) {
    case IRP_MN_QUERY_DEVICE_RELATIONS:
    case IRP_MN_QUERY_ID:
    case IRP_MN_QUERY_DEVICE_TEXT:
    case IRP_MN_QUERY_RESOURCES:
    case IRP_MN_QUERY_RESOURCE_REQUIREMENTS:
    case IRP_MN_QUERY_BUS_INFORMATION:
        irp->IoStatus.Information =
            (ULONG_PTR)verify_pool_hand_over((void *)irp->IoStatus.Information);
        break;
    default:
        break;
    }
}

/* A driver's own IRP that came back to it has no location left that could complete it. */
static bool was_completed(const struct irp_track *track, const IRP *irp)
{
    return track->state == IRP_COMPLETED || track->state == IRP_COMPLETING ||
           (track->state == IRP_HELD && track->owner && !track->is_freed_by_system &&
            !has_current(irp));
}

/* False when it must not be completed; the generation that is. */
static bool begin_completing(struct verify_driver *driver, PIRP irp, ULONG64 *ret_generation)
{
    struct irp_track *track = verify_irp_find(irp);
    *ret_generation = 0;
    if (track && was_completed(track, irp)) {
        verify_report("irp-completed-twice", driver, NULL, "IRP %p, major %u", (void *)irp,
                      track->major);
        return false;
    }
    if (!track)
        track = verify_irp_begin(irp, IRP_FLYING, NULL);
    if (track) {
        note_mark(track, irp);
        track->state = IRP_COMPLETING;
        track->walked_to = irp->CurrentLocation;
        track->completer = verify_thread_current();
        *ret_generation = track->generation;
    }
    return true;
}

static void end_completing(PIRP irp, ULONG64 generation)
{
    struct irp_track *track = verify_irp_find(irp);
    if (!track || track->generation != generation || track->state != IRP_COMPLETING ||
        track->completer != verify_thread_current())
        return;
    if (track->owner && !track->is_freed_by_system)
        verify_report("irp-lost", track->owner, &track->stack,
                      "no completion routine kept the driver's own IRP");
    track->owner = NULL;
    finish(track);
}

static void FASTCALL hook_IofCompleteRequest(PIRP irp, CCHAR boost)
{
    struct verify_driver *driver = CALLER;
    ULONG64 generation;
    verify_level_check(driver, DISPATCH_LEVEL, "IoCompleteRequest");
    verify_irp_lock();
    bool may_complete = begin_completing(driver, irp, &generation);
    verify_irp_unlock();
    if (!may_complete)
        return;
    check_completed(driver, irp);
    hand_over_result(irp);
    IofCompleteRequest(irp, boost);
    verify_irp_lock();
    end_completing(irp, generation);
    verify_irp_unlock();
}

/* ---- what is left ---- */

/* A routine of the driver that completion will call. */
static PIO_COMPLETION_ROUTINE routine_in(const struct irp_track *track,
                                         const struct verify_driver *driver)
{
    for (int i = 0; i < IRP_LOCATIONS; i++) {
        if (track->routines[i] && verify_driver_at((void *)(uintptr_t)track->routines[i]) == driver)
            return track->routines[i];
    }
    return NULL;
}

static void report_left(struct irp_track *track, struct verify_driver *driver)
{
    bool is_flying = track->state == IRP_FLYING || track->state == IRP_HELD;
    PIO_COMPLETION_ROUTINE routine = routine_in(track, driver);
    struct verify_stack dispatch =
        verify_stack_of((const void *)(uintptr_t)driver->dispatch[track->major]);
    struct verify_stack completion = verify_stack_of((const void *)(uintptr_t)routine);
    if (track->owner == driver && track->state != IRP_COMPLETED)
        verify_report("irp-leak", driver, &track->stack, "IRP %p was not freed",
                      (void *)track->irp);
    else if (is_flying && track->holder == driver)
        verify_report("irp-never-completed", driver, &dispatch, "IRP %p, major %u",
                      (void *)track->irp, track->major);
    else if (is_flying && routine)
        verify_report("irp-completion-left", driver, &completion,
                      "IRP %p, major %u, will call a completion routine of the driver",
                      (void *)track->irp, track->major);
    /* The next driver may be loaded where this one was. */
    for (int i = 0; i < IRP_LOCATIONS; i++) {
        if (verify_driver_at((void *)(uintptr_t)track->routines[i]) == driver)
            track->routines[i] = NULL;
    }
    if (track->owner == driver)
        track->owner = NULL;
    if (track->holder == driver)
        track->holder = NULL;
}

void verify_irp_leaks(struct verify_driver *driver)
{
    verify_irp_lock();
    for (size_t i = 0; i < BUCKETS; i++) {
        LIST_ENTRY *link = buckets[i].Flink;
        for (; link && link != &buckets[i]; link = link->Flink)
            report_left(CONTAINING_RECORD(link, struct irp_track, link), driver);
    }
    verify_irp_unlock();
}

static const struct verify_hook hooks[] = {
    CHECK(IofCallDriver),
    CHECK(IofCompleteRequest),
};
const struct verify_hooks verify_irp_hooks = VERIFY_HOOKS(hooks);
