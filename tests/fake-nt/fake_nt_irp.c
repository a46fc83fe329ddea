/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "fake_nt.h"
#include "fake_nt_internal.h"
#include "port/port.h"

/*
 * One call of a dispatch routine. It has two ends, the routine's return and the completion's way
 * past its stack location, in any order; the later one compares what they saw and frees it.
 */
struct fake_call {
    struct fake_call *outer; /* at the same location: a device that skipped its own */
    uint32_t ends;
    bool was_marked;
    bool returned_pending;
};

static size_t live_irps;
static struct vck_spinlock cancel_lock;

size_t fake_live_irps(void)
{
    return __atomic_load_n(&live_irps, __ATOMIC_RELAXED);
}

/* ---- making ---- */

static void reset(PIRP irp)
{
    CHAR count = irp->StackCount;
    struct fake_requestor *requestor = irp->fake_requestor;

    memset(irp, 0, sizeof *irp + (size_t)count * sizeof irp->fake_stack[0]);
    irp->StackCount = count;
    irp->CurrentLocation = (CHAR)(count + 1);
    irp->fake_requestor = requestor;
}

PIRP IoAllocateIrp(CCHAR stack_size, BOOLEAN charge_quota)
{
    PIRP irp;

    (void)charge_quota;
    VCK_ASSERT_LEVEL(VCK_LEVEL_DISPATCH);
    if (fake_should_fail())
        return NULL;
    irp = calloc(1, sizeof *irp + (size_t)stack_size * sizeof irp->fake_stack[0]);
    VCK_ASSERT(irp != NULL);
    irp->StackCount = stack_size;
    reset(irp);
    __atomic_fetch_add(&live_irps, 1, __ATOMIC_RELAXED);
    return irp;
}

/* Whatever comes from outside cannot fail for want of an IRP. */
PIRP fake_irp_create(PDEVICE_OBJECT device, struct fake_requestor *requestor)
{
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(device);
    CCHAR count = top->StackSize;
    PIRP irp = calloc(1, sizeof *irp + (size_t)count * sizeof irp->fake_stack[0]);

    ObDereferenceObject(top);
    VCK_ASSERT(irp != NULL);
    irp->StackCount = count;
    irp->fake_requestor = requestor;
    reset(irp);
    __atomic_fetch_add(&live_irps, 1, __ATOMIC_RELAXED);
    return irp;
}

static bool has_calls(const IRP *irp)
{
    for (CHAR i = 0; i < irp->StackCount; i++)
        if (irp->fake_stack[i].fake_calls)
            return true;
    return false;
}

void IoFreeIrp(PIRP irp)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_DISPATCH);
    VCK_ASSERT(!has_calls(irp) && "an IRP is freed by whoever got it back");
    VCK_ASSERT(!irp->MdlAddress && "IoFreeIrp does not free MDLs");
    __atomic_fetch_sub(&live_irps, 1, __ATOMIC_RELAXED);
    free(irp);
}

void IoReuseIrp(PIRP irp, NTSTATUS status)
{
    VCK_ASSERT(!has_calls(irp) && "an IRP is reused by whoever got it back");
    reset(irp);
    irp->IoStatus.Status = status;
}

/* ---- stack locations ---- */

PIO_STACK_LOCATION IoGetCurrentIrpStackLocation(PIRP irp)
{
    VCK_ASSERT(irp->CurrentLocation >= 1 && irp->CurrentLocation <= irp->StackCount);
    return &irp->fake_stack[irp->CurrentLocation - 1];
}

PIO_STACK_LOCATION IoGetNextIrpStackLocation(PIRP irp)
{
    VCK_ASSERT(irp->CurrentLocation >= 2 && "a stack location is left");
    return &irp->fake_stack[irp->CurrentLocation - 2];
}

void IoSkipCurrentIrpStackLocation(PIRP irp)
{
    VCK_ASSERT(irp->CurrentLocation <= irp->StackCount);
    irp->CurrentLocation++;
}

void IoCopyCurrentIrpStackLocationToNext(PIRP irp)
{
    IO_STACK_LOCATION *next = IoGetNextIrpStackLocation(irp);

    *next = *IoGetCurrentIrpStackLocation(irp);
    next->Control = 0;
    next->CompletionRoutine = NULL;
    next->Context = NULL;
    next->fake_calls = NULL;
}

void IoSetCompletionRoutine(PIRP irp, PIO_COMPLETION_ROUTINE routine, PVOID context,
                            BOOLEAN on_success, BOOLEAN on_error, BOOLEAN on_cancel)
{
    IO_STACK_LOCATION *next = IoGetNextIrpStackLocation(irp);

    next->CompletionRoutine = routine;
    next->Context = context;
    next->Control =
        (UCHAR)((on_success ? SL_INVOKE_ON_SUCCESS : 0) | (on_error ? SL_INVOKE_ON_ERROR : 0) |
                (on_cancel ? SL_INVOKE_ON_CANCEL : 0));
}

void IoMarkIrpPending(PIRP irp)
{
    IoGetCurrentIrpStackLocation(irp)->Control |= SL_PENDING_RETURNED;
}

/* ---- down and up ---- */

static void end_call(struct fake_call *call)
{
    if (__atomic_add_fetch(&call->ends, 1, __ATOMIC_ACQ_REL) < 2)
        return;
    VCK_ASSERT(call->was_marked == call->returned_pending &&
               "marked pending exactly when STATUS_PENDING is returned");
    free(call);
}

NTSTATUS IoCallDriver(PDEVICE_OBJECT device, PIRP irp)
{
    struct fake_call *call = calloc(1, sizeof *call);
    IO_STACK_LOCATION *stack;
    NTSTATUS status;

    VCK_ASSERT(call != NULL);
    VCK_ASSERT(!device->fake_is_deleted && "an IRP is sent to a device that is there");
    VCK_ASSERT(irp->CurrentLocation >= 2 && "a stack location is left");
    irp->CurrentLocation--;
    stack = IoGetCurrentIrpStackLocation(irp);
    stack->DeviceObject = device;
    call->outer = stack->fake_calls;
    stack->fake_calls = call;
    if (stack->MajorFunction != IRP_MJ_READ && stack->MajorFunction != IRP_MJ_WRITE)
        VCK_ASSERT_LEVEL(stack->MajorFunction == IRP_MJ_POWER ? VCK_LEVEL_DISPATCH : VCK_LEVEL_APC);
    status = device->DriverObject->MajorFunction[stack->MajorFunction](device, irp);
    call->returned_pending = status == STATUS_PENDING;
    end_call(call);
    return status;
}

static bool wants(const IRP *irp, UCHAR control)
{
    if (__atomic_load_n(&irp->Cancel, __ATOMIC_RELAXED) && (control & SL_INVOKE_ON_CANCEL))
        return true;
    return (control &
            (NT_SUCCESS(irp->IoStatus.Status) ? SL_INVOKE_ON_SUCCESS : SL_INVOKE_ON_ERROR)) != 0;
}

/* Past the current location. True: its completion routine took the IRP. */
static bool leave_location(PIRP irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct fake_call *call = stack->fake_calls;
    PIO_COMPLETION_ROUTINE routine = stack->CompletionRoutine;
    bool is_marked = (stack->Control & SL_PENDING_RETURNED) != 0;
    bool is_last = irp->CurrentLocation == irp->StackCount;

    stack->fake_calls = NULL;
    while (call) {
        struct fake_call *outer = call->outer;

        call->was_marked = is_marked;
        end_call(call);
        call = outer;
    }
    irp->PendingReturned = is_marked;
    irp->CurrentLocation++;
    if (routine && wants(irp, stack->Control))
        return routine(is_last ? NULL : IoGetCurrentIrpStackLocation(irp)->DeviceObject, irp,
                       stack->Context) == STATUS_MORE_PROCESSING_REQUIRED;
    if (is_marked && !is_last)
        IoMarkIrpPending(irp);
    return false;
}

static void hand_back(PIRP irp)
{
    struct fake_requestor *requestor = irp->fake_requestor;

    VCK_ASSERT(requestor && "a driver takes its own IRPs back");
    requestor->done(requestor->context, irp);
}

void IoCompleteRequest(PIRP irp, CCHAR boost)
{
    (void)boost;
    VCK_ASSERT_LEVEL(VCK_LEVEL_DISPATCH);
    VCK_ASSERT(irp->CurrentLocation <= irp->StackCount && "an IRP is completed once");
    VCK_ASSERT(irp->IoStatus.Status != STATUS_PENDING);
    VCK_ASSERT(!__atomic_load_n(&irp->CancelRoutine, __ATOMIC_ACQUIRE) &&
               "a completed IRP cannot be cancelled");
    while (irp->CurrentLocation <= irp->StackCount)
        if (leave_location(irp))
            return;
    hand_back(irp);
}

/* ---- cancelling ---- */

PDRIVER_CANCEL IoSetCancelRoutine(PIRP irp, PDRIVER_CANCEL routine)
{
    return __atomic_exchange_n(&irp->CancelRoutine, routine, __ATOMIC_SEQ_CST);
}

void IoAcquireCancelSpinLock(KIRQL *irql) VCK_NO_ANALYSIS
{
    *irql = (KIRQL)vck_current_level();
    vck_spinlock_acquire(&cancel_lock);
}

void IoReleaseCancelSpinLock(KIRQL irql) VCK_NO_ANALYSIS
{
    vck_spinlock_release(&cancel_lock);
    VCK_ASSERT(irql == (KIRQL)vck_current_level());
}

/* The caller knows that the IRP has not been handed back. */
BOOLEAN IoCancelIrp(PIRP irp)
{
    PDRIVER_CANCEL routine;
    KIRQL irql;

    IoAcquireCancelSpinLock(&irql);
    __atomic_store_n(&irp->Cancel, TRUE, __ATOMIC_SEQ_CST);
    routine = IoSetCancelRoutine(irp, NULL);
    if (!routine) {
        IoReleaseCancelSpinLock(irql);
        return FALSE;
    }
    irp->CancelIrql = irql;
    routine(IoGetCurrentIrpStackLocation(irp)->DeviceObject, irp);
    return TRUE;
}

static ULONG_PTR stack_left; /* atomic */

void fake_stack_left(ULONG_PTR size_bytes)
{
    __atomic_store_n(&stack_left, size_bytes, __ATOMIC_RELAXED);
}

ULONG_PTR IoGetRemainingStackSize(void)
{
    ULONG_PTR left = __atomic_load_n(&stack_left, __ATOMIC_RELAXED);

    return left ? left : 16384;
}
