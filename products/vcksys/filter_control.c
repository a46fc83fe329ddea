/* SPDX-License-Identifier: Apache-2.0 */
/* Device control requests: sizes and places as a bound volume has them. All codes that are looked
 * into are METHOD_BUFFERED; the system buffer holds the question and then the answer. */
#include "products/vcksys/filter_internal.h"

static NTSTATUS NTAPI answered(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct filter *filter = context;
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    IO_STATUS_BLOCK *result = &irp->IoStatus;
    ULONG_PTR size_bytes = stack->Parameters.DeviceIoControl.OutputBufferLength;
    uint8_t *answer = irp->AssociatedIrp.SystemBuffer;

    (void)device;
    size_bytes = VCK_MIN(size_bytes, result->Information);
    if ((NT_SUCCESS(result->Status) || result->Status == STATUS_BUFFER_OVERFLOW) && answer &&
        view_rewrite(&filter->binding->view, stack->Parameters.DeviceIoControl.IoControlCode,
                     answer, size_bytes) != VCK_OK) {
        result->Status = STATUS_INVALID_PARAMETER;
        result->Information = 0;
    }
    vck_rundown_release(&filter->bound);
    return STATUS_SUCCESS;
}

/* The hold on `bound` goes with the IRP and ends when it comes back. Pending in any case: the
 * result may differ from what the device below returns here. */
static NTSTATUS ask_below(struct filter *filter, PIRP irp)
{
    IoMarkIrpPending(irp);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, answered, filter, TRUE, TRUE, TRUE);
    (void)IoCallDriver(filter->lower, irp);
    return STATUS_PENDING;
}

static NTSTATUS leave_with(struct filter *filter, PIRP irp, NTSTATUS nt_status)
{
    vck_rundown_release(&filter->bound);
    return filter_complete(irp, nt_status, 0);
}

static NTSTATUS leave_and_pass(struct filter *filter, PIRP irp)
{
    vck_rundown_release(&filter->bound);
    return filter_pass(filter, irp);
}

static NTSTATUS shift(struct filter *filter, PIRP irp, const IO_STACK_LOCATION *stack)
{
    uint8_t *request = irp->AssociatedIrp.SystemBuffer;
    ULONG size_bytes = request ? stack->Parameters.DeviceIoControl.InputBufferLength : 0;
    vck_status status =
        view_shift(&filter->binding->view, stack->Parameters.DeviceIoControl.IoControlCode, request,
                   size_bytes);

    if (status)
        return leave_with(filter, irp, (NTSTATUS)vck_status_to_nt(status));
    return ask_below(filter, irp);
}

static NTSTATUS trim(struct filter *filter, PIRP irp, const IO_STACK_LOCATION *stack)
{
    const uint8_t *request = irp->AssociatedIrp.SystemBuffer;
    struct view_trim unused;
    vck_status status = VCK_INVALID_DATA;

    if (request)
        status =
            view_trim_parse(request, stack->Parameters.DeviceIoControl.InputBufferLength, &unused);
    if (status)
        return leave_with(filter, irp, (NTSTATUS)vck_status_to_nt(status));
    return filter_enqueue(filter, irp);
}

static NTSTATUS control_bound(struct filter *filter, PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    switch (view_action_bound(stack->Parameters.DeviceIoControl.IoControlCode)) {
    case VIEW_ANSWER:
        return ask_below(filter, irp);
    case VIEW_SHIFT:
        return shift(filter, irp, stack);
    case VIEW_TRIM:
        return trim(filter, irp, stack);
    case VIEW_REFUSE:
        return leave_with(filter, irp, STATUS_NOT_SUPPORTED);
    case VIEW_WRITABLE:
        if (vck_volume_is_read_only(filter->binding->volume))
            return leave_with(filter, irp, STATUS_MEDIA_WRITE_PROTECTED);
        break;
    case VIEW_PASS:
        break;
    }
    return leave_and_pass(filter, irp);
}

static bool is_writing(PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    const uint8_t *request = irp->AssociatedIrp.SystemBuffer;
    size_t size_bytes = request ? stack->Parameters.DeviceIoControl.InputBufferLength : 0;

    return view_action_refusing(stack->Parameters.DeviceIoControl.IoControlCode, request,
                                size_bytes) != VIEW_PASS;
}

NTSTATUS filter_device_control(struct filter *filter, PIRP irp)
{
    bool is_bound = vck_rundown_acquire(&filter->bound);

    if (filter_refuses_now(filter, is_bound) && is_writing(irp))
        return filter_refuse(filter, irp, is_bound);
    return is_bound ? control_bound(filter, irp) : filter_pass(filter, irp);
}
