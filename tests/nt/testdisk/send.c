/* SPDX-License-Identifier: Apache-2.0 */
#include "send.h"

#define TAG_SEND              'nDTV'
#define MS_100NS              10000ll
#define WAIT_AFTER_CANCEL_MS  300000
#define TIMEOUT_DEFAULT_MS    300000
#define NAME_BYTES_MAX        512u
#define FILE_OBJECT_TYPE_CODE 5

/* Outlives the wait where a driver completes late. */
struct sending {
    KEVENT done;
    LONG reference_count;
    LONG completion_count;
    ULONG pending_returned;
    IO_STATUS_BLOCK result;
};

/* One open file, shared by all requests that want one. */
static FILE_OBJECT open_file;

static void drop(struct sending *sending)
{
    if (InterlockedDecrement(&sending->reference_count) == 0)
        ExFreePoolWithTag(sending, TAG_SEND);
}

/* The header's declaration of the import reads one level too deep. */
extern POBJECT_TYPE *__imp_IoDriverObjectType;

NTSTATUS td_find_driver(const WCHAR *name, PDRIVER_OBJECT *ret_driver)
{
    UNICODE_STRING string;
    PVOID driver;
    RtlInitUnicodeString(&string, name);
    NTSTATUS status = ObReferenceObjectByName(&string, OBJ_CASE_INSENSITIVE, NULL, 0,
                                              *__imp_IoDriverObjectType, KernelMode, NULL, &driver);
    if (NT_SUCCESS(status))
        *ret_driver = driver;
    return status;
}

static bool has_name(PDEVICE_OBJECT device, PCUNICODE_STRING name)
{
    ULONG size;
    POBJECT_NAME_INFORMATION info = ExAllocatePoolWithTag(NonPagedPool, NAME_BYTES_MAX, TAG_SEND);
    if (!info)
        return false;
    NTSTATUS status = ObQueryNameString(device, info, NAME_BYTES_MAX, &size);
    bool is_equal = NT_SUCCESS(status) && RtlEqualUnicodeString(&info->Name, name, TRUE);
    ExFreePoolWithTag(info, TAG_SEND);
    return is_equal;
}

static NTSTATUS find_named(const struct td_send *send, PDEVICE_OBJECT *ret_device)
{
    PDRIVER_OBJECT driver;
    UNICODE_STRING name;
    NTSTATUS status = td_find_driver((const WCHAR *)send->driver, &driver);
    if (!NT_SUCCESS(status))
        return status;
    RtlInitUnicodeString(&name, (const WCHAR *)send->device);
    PDEVICE_OBJECT device = driver->DeviceObject;
    while (device && name.Length > 0 && !has_name(device, &name))
        device = device->NextDevice;
    if (device)
        ObReferenceObject(device);
    ObDereferenceObject(driver);
    *ret_device = device;
    return device ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

NTSTATUS td_find_target(struct td_disk *disk, const struct td_send *send,
                        PDEVICE_OBJECT *ret_device)
{
    if (send->target == TD_TO_NAMED)
        return find_named(send, ret_device);
    if (!disk)
        return STATUS_NO_SUCH_DEVICE;
    if (send->target == TD_TO_STACK) {
        *ret_device = IoGetAttachedDeviceReference(disk->device);
    } else {
        ObReferenceObject(disk->device);
        *ret_device = disk->device;
    }
    return STATUS_SUCCESS;
}

PMDL td_mdl(void *data, ULONG size_bytes)
{
    PMDL mdl = IoAllocateMdl(data, size_bytes, FALSE, FALSE, NULL);
    if (!mdl)
        return NULL;
    MmBuildMdlForNonPagedPool(mdl);
    /* Where that did nothing, the address is the mapping. */
    if (!(mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL))) {
        mdl->MappedSystemVa = data;
        mdl->MdlFlags = (CSHORT)(mdl->MdlFlags | MDL_SOURCE_IS_NONPAGED_POOL);
    }
    return mdl;
}

static NTSTATUS NTAPI completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct sending *sending = context;
    (void)device;
    InterlockedIncrement(&sending->completion_count);
    sending->pending_returned = irp->PendingReturned;
    sending->result = irp->IoStatus;
    KeSetEvent(&sending->done, IO_NO_INCREMENT, FALSE);
    drop(sending);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void fill_irp(PIRP irp, PDEVICE_OBJECT device, const struct td_send *send, UCHAR *data)
{
    PIO_STACK_LOCATION sp = IoGetNextIrpStackLocation(irp);
    irp->IoStatus.Status = (NTSTATUS)send->initial_status;
    irp->Flags = send->irp_flags;
    irp->RequestorMode = send->flags & TD_SEND_FROM_USER ? UserMode : KernelMode;
    sp->MajorFunction = (UCHAR)send->major;
    sp->MinorFunction = (UCHAR)send->minor;
    sp->Flags = (UCHAR)send->stack_flags;
    sp->Parameters.Others.Argument1 = (PVOID)(ULONG_PTR)send->arguments[0];
    sp->Parameters.Others.Argument2 = (PVOID)(ULONG_PTR)send->arguments[1];
    sp->Parameters.Others.Argument3 = (PVOID)(ULONG_PTR)send->arguments[2];
    sp->Parameters.Others.Argument4 = (PVOID)(ULONG_PTR)send->arguments[3];
    if (send->flags & TD_SEND_ARGUMENT)
        sp->Parameters.Others.Argument1 = data;
    if (send->flags & TD_SEND_SYSTEM_BUFFER)
        irp->AssociatedIrp.SystemBuffer = data;
    if (send->flags & TD_SEND_FILE) {
        open_file.Type = FILE_OBJECT_TYPE_CODE;
        open_file.Size = sizeof open_file;
        open_file.DeviceObject = device;
        sp->FileObject = &open_file;
        irp->Tail.Overlay.OriginalFileObject = &open_file;
    }
}

static bool wait(struct sending *sending, LONGLONG milliseconds)
{
    LARGE_INTEGER timeout = {.QuadPart = -milliseconds * MS_100NS};
    return KeWaitForSingleObject(&sending->done, Executive, KernelMode, FALSE, &timeout) ==
           STATUS_SUCCESS;
}

/* False: it never completed. */
static bool wait_or_cancel(struct sending *sending, PIRP irp, const struct td_send *send,
                           struct td_sent *sent)
{
    ULONG limit = send->timeout_ms ? send->timeout_ms : TIMEOUT_DEFAULT_MS;
    if (wait(sending, limit))
        return true;
    sent->was_cancelled = 1;
    IoCancelIrp(irp);
    return wait(sending, WAIT_AFTER_CANCEL_MS);
}

static void free_irp(PIRP irp, PMDL mdl)
{
    irp->MdlAddress = NULL;
    if (mdl)
        IoFreeMdl(mdl);
    IoFreeIrp(irp);
}

NTSTATUS td_send_and_wait(PDEVICE_OBJECT device, const struct td_send *send, UCHAR *data,
                          struct td_sent *ret_sent)
{
    struct td_sent sent = {0};
    PMDL mdl = NULL;
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;
    struct sending *sending = ExAllocatePoolWithTag(NonPagedPool, sizeof *sending, TAG_SEND);
    PIRP irp = IoAllocateIrp(device->StackSize, FALSE);
    if (send->flags & TD_SEND_MDL && send->data_bytes > 0)
        mdl = td_mdl(data, send->data_bytes);
    if (!sending || !irp || (send->flags & TD_SEND_MDL && send->data_bytes > 0 && !mdl))
        goto out;
    RtlZeroMemory(sending, sizeof *sending);
    sending->reference_count = 2;
    KeInitializeEvent(&sending->done, NotificationEvent, FALSE);
    fill_irp(irp, device, send, data);
    irp->MdlAddress = mdl;
    IoSetCompletionRoutine(irp, completed, sending, TRUE, TRUE, TRUE);
    sent.returned = (ULONG)IoCallDriver(device, irp);
    status = wait_or_cancel(sending, irp, send, &sent) ? STATUS_SUCCESS : STATUS_TIMEOUT;
    sent.status = (ULONG)sending->result.Status;
    sent.information = sending->result.Information;
    sent.pending_returned = sending->pending_returned;
    sent.completions = (ULONG)sending->completion_count;
    if (status == STATUS_SUCCESS)
        free_irp(irp, mdl);
    drop(sending);
    *ret_sent = sent;
    return status;
out:
    if (mdl)
        IoFreeMdl(mdl);
    if (irp)
        IoFreeIrp(irp);
    if (sending)
        ExFreePoolWithTag(sending, TAG_SEND);
    return status;
}

NTSTATUS td_ask(PDEVICE_OBJECT device, ULONG code, void *answer, ULONG answer_bytes)
{
    struct td_sent sent;
    struct td_send send = {
        .major = IRP_MJ_DEVICE_CONTROL,
        .flags = TD_SEND_SYSTEM_BUFFER,
        .data_bytes = answer_bytes,
        .initial_status = (ULONG)STATUS_NOT_SUPPORTED,
        .arguments = {answer_bytes, 0, code, 0},
    };
    UCHAR *data = ExAllocatePoolWithTag(NonPagedPool, answer_bytes, TAG_SEND);
    if (!data)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = td_send_and_wait(device, &send, data, &sent);
    if (status == STATUS_TIMEOUT)
        return status;
    if (NT_SUCCESS(status))
        status = (NTSTATUS)sent.status;
    if (NT_SUCCESS(status) && sent.information < answer_bytes)
        status = STATUS_INFO_LENGTH_MISMATCH;
    if (NT_SUCCESS(status))
        RtlCopyMemory(answer, data, answer_bytes);
    ExFreePoolWithTag(data, TAG_SEND);
    return status;
}
