/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRPs. Each sin sends one of its own to the lower device, and gets it back by a completion routine
 * that keeps it; what the lower device does with it is the sin.
 */
#include "selftest.h"

static PIRP pended;
static KEVENT came_back;

static NTSTATUS NTAPI keep(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    (void)irp;
    (void)context;
    KeSetEvent(&came_back, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static PIRP make(CCHAR locations)
{
    static uint8_t buffer[8];
    PIRP irp = IoAllocateIrp(locations, FALSE);
    PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(irp);
    stack->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    stack->Parameters.DeviceIoControl.OutputBufferLength = 4;
    irp->AssociatedIrp.SystemBuffer = buffer;
    KeInitializeEvent(&came_back, NotificationEvent, FALSE);
    return irp;
}

static NTSTATUS send(PIRP irp, NTSTATUS (*lower)(PDEVICE_OBJECT device, PIRP irp))
{
    selftest_lower = lower;
    IoSetCompletionRoutine(irp, keep, NULL, TRUE, TRUE, TRUE);
    return IoCallDriver(selftest_lower_device, irp);
}

static void send_and_free(NTSTATUS (*lower)(PDEVICE_OBJECT device, PIRP irp))
{
    PIRP irp = make(1);
    send(irp, lower);
    IoFreeIrp(irp);
}

/* ---- what the lower device does ---- */

static NTSTATUS pend(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    IoMarkIrpPending(irp);
    pended = irp;
    return STATUS_PENDING;
}

static NTSTATUS pend_unmarked(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    pended = irp;
    return STATUS_PENDING;
}

static NTSTATUS forget(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    pended = irp;
    return STATUS_SUCCESS;
}

static NTSTATUS mark_and_complete(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    IoMarkIrpPending(irp);
    return selftest_complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS complete_as_pending(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    selftest_complete(irp, STATUS_PENDING, 0);
    return STATUS_SUCCESS;
}

static void NTAPI cancel(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    IoReleaseCancelSpinLock(irp->CancelIrql);
}

static NTSTATUS complete_cancellable(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    (void)IoSetCancelRoutine(irp, cancel);
    return selftest_complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS complete_too_long(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    return selftest_complete(irp, STATUS_SUCCESS, 8);
}

static NTSTATUS complete_twice(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    selftest_complete(irp, STATUS_SUCCESS, 0);
    return selftest_complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS complete_rightly(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    return selftest_complete(irp, STATUS_SUCCESS, 0);
}

/* ---- sins of the lower device ---- */

static void pending_not_marked(void)
{
    PIRP irp = make(1);
    send(irp, pend_unmarked);
    selftest_complete(irp, STATUS_SUCCESS, 0);
    IoFreeIrp(irp);
}

static void not_completed(void)
{
    PIRP irp = make(1);
    send(irp, forget);
    selftest_complete(irp, STATUS_SUCCESS, 0);
    IoFreeIrp(irp);
}

static void marked_not_pending(void)
{
    send_and_free(mark_and_complete);
}

static void status_pending(void)
{
    send_and_free(complete_as_pending);
}

static void cancel_routine_left(void)
{
    send_and_free(complete_cancellable);
}

static void information(void)
{
    send_and_free(complete_too_long);
}

static void own_completed_twice(void)
{
    send_and_free(complete_twice);
}

static void request_completed_twice(void)
{
    selftest_irp_is_completed = true;
    selftest_complete(selftest_irp, STATUS_SUCCESS, 0);
    selftest_complete(selftest_irp, STATUS_SUCCESS, 0);
}

/* ---- a filter between ---- */

static PDEVICE_OBJECT below;

static NTSTATUS NTAPI ignore_pending(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    (void)irp;
    (void)context;
    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS mark_complete_pend(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    IoMarkIrpPending(irp);
    selftest_complete(irp, STATUS_SUCCESS, 0);
    return STATUS_PENDING;
}

/* The lower device forwards to itself, once. */
static NTSTATUS forward_ignoring(PDEVICE_OBJECT device, PIRP irp)
{
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, ignore_pending, NULL, TRUE, TRUE, TRUE);
    selftest_lower = mark_complete_pend;
    return IoCallDriver(device, irp);
}

static NTSTATUS forward_copy(PDEVICE_OBJECT device, PIRP irp)
{
    *IoGetNextIrpStackLocation(irp) = *IoGetCurrentIrpStackLocation(irp);
    selftest_lower = complete_rightly;
    return IoCallDriver(device, irp);
}

static void pending_not_propagated(void)
{
    PIRP irp = make(2);
    send(irp, forward_ignoring);
    IoFreeIrp(irp);
}

static void stack_copied(void)
{
    PIRP irp = make(2);
    send(irp, forward_copy);
    IoFreeIrp(irp);
}

static NTSTATUS forward_without_room(PDEVICE_OBJECT device, PIRP irp)
{
    IoCallDriver(device, irp);
    return selftest_complete(irp, STATUS_SUCCESS, 0);
}

static void no_stack_location(void)
{
    send_and_free(forward_without_room);
}

/* ---- sins of the sender ---- */

static void freed_in_flight(void)
{
    PIRP irp = make(1);
    send(irp, pend);
    IoFreeIrp(irp);
    selftest_complete(irp, STATUS_SUCCESS, 0);
    IoFreeIrp(irp);
}

static void reused_in_flight(void)
{
    PIRP irp = make(1);
    send(irp, pend);
    IoReuseIrp(irp, STATUS_SUCCESS);
    IoFreeIrp(irp);
}

static PIRP build(PKEVENT event, PIO_STATUS_BLOCK result)
{
    static uint8_t buffer[8];
    KeInitializeEvent(event, NotificationEvent, FALSE);
    return IoBuildDeviceIoControlRequest(0x222000, selftest_lower_device, buffer, 8, buffer, 8,
                                         FALSE, event, result);
}

static void freed_by_system(void)
{
    KEVENT event;
    IO_STATUS_BLOCK result;
    PIRP irp = build(&event, &result);
    selftest_lower = complete_rightly;
    IoCallDriver(selftest_lower_device, irp);
    IoFreeIrp(irp);
}

static void lost(void)
{
    PIRP irp = make(1);
    selftest_lower = complete_rightly;
    IoCallDriver(selftest_lower_device, irp);
}

/* ---- what is left at unload ---- */

static uint64_t irp_memory[128];

static PIRP initialize(PDEVICE_OBJECT device)
{
    PIRP irp = (PIRP)irp_memory;
    IoInitializeIrp(irp, sizeof(irp_memory), (CCHAR)(device->StackSize + 1));
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    IoSetCompletionRoutine(irp, keep, NULL, TRUE, TRUE, TRUE);
    return irp;
}

static void never_completed(void)
{
    selftest_lower = pend;
    IoCallDriver(selftest_lower_device, initialize(selftest_lower_device));
}

static void pend_from_now_on(void)
{
    selftest_lower = pend;
}

/* To the lower device of a second driver like this one, which keeps it. */
static void completion_left(void)
{
    UNICODE_STRING name;
    PFILE_OBJECT file;
    RtlInitUnicodeString(&name, L"\\Device\\selftest2Lower");
    NTSTATUS status = IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &below);
    selftest_expect(NT_SUCCESS(status), "the other driver's device is opened");
    if (!NT_SUCCESS(status))
        return;
    IoCallDriver(below, initialize(below));
    ObDereferenceObject(file);
}

static const struct sin list[] = {
    {"pending-not-marked", pending_not_marked, SIN_NOW, "irp-pending-not-marked"},
    {"not-completed", not_completed, SIN_NOW, "irp-not-completed"},
    {"marked-not-pending", marked_not_pending, SIN_NOW, "irp-marked-not-pending"},
    {"status-pending", status_pending, SIN_NOW, "irp-status-pending"},
    {"cancel-routine-left", cancel_routine_left, SIN_NOW, "irp-cancel-routine-left"},
    {"information", information, SIN_NOW, "irp-information"},
    {"own-completed-twice", own_completed_twice, SIN_NOW, "irp-completed-twice"},
    {"request-completed-twice", request_completed_twice, SIN_NOW, "irp-completed-twice"},
    {"pending-not-propagated", pending_not_propagated, SIN_NOW,
     "irp-pending-not-propagated,irp-pending-not-marked"},
    {"stack-copied", stack_copied, SIN_NOW, "irp-stack-copied"},
    {"no-stack-location", no_stack_location, SIN_NOW, "irp-no-stack-location"},
    {"freed-in-flight", freed_in_flight, SIN_NOW, "irp-freed-in-flight"},
    {"reused-in-flight", reused_in_flight, SIN_NOW, "irp-reused-in-flight"},
    {"freed-by-system", freed_by_system, SIN_NOW, "irp-freed-by-system"},
    {"lost", lost, SIN_NOW, "irp-lost"},
    {"never-completed", never_completed, SIN_AT_UNLOAD, "irp-never-completed"},
    {"completion-left", completion_left, SIN_AT_UNLOAD, "irp-completion-left"},
    {"pend-from-now-on", pend_from_now_on, SIN_NOW, ""},
};
const struct sins irp_sins = {list, sizeof(list) / sizeof(list[0])};
