/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"
#include "port/nt/nt.h"
#include "vck/bytes.h"
#include "vck/log.h"
#include "vck/thread.h"

#define PORTTEST_IOCTL_RUN    CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define PORTTEST_IOCTL_MISUSE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS)

DRIVER_INITIALIZE DriverEntry VCK_CAN_WAIT;

bool porttest_has_levels(void)
{
    KIRQL before;
    KeRaiseIrql(DISPATCH_LEVEL, &before);
    bool has_levels = KeGetCurrentIrql() == DISPATCH_LEVEL;
    KeLowerIrql(before);
    return has_levels;
}

/* ---- the driver ---- */

static NTSTATUS complete(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI dispatch_open(DEVICE_OBJECT *device, IRP *irp)
{
    (void)device;
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI dispatch_control(DEVICE_OBJECT *device, IRP *irp) VCK_CAN_WAIT
{
    (void)device;
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    const unsigned char *number = irp->AssociatedIrp.SystemBuffer;
    if (stack->Parameters.DeviceIoControl.IoControlCode == PORTTEST_IOCTL_MISUSE &&
        stack->Parameters.DeviceIoControl.InputBufferLength == 1 && porttest_misuse(*number))
        return complete(irp, STATUS_SUCCESS, 0);
    if (stack->Parameters.DeviceIoControl.IoControlCode != PORTTEST_IOCTL_RUN)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    size_t capacity_bytes = stack->Parameters.DeviceIoControl.OutputBufferLength;
    if (capacity_bytes == 0)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    const struct porttest *const *groups;
    size_t count = porttest_groups(&groups);
    return complete(
        irp, STATUS_SUCCESS,
        porttest_run_all(groups, count, irp->AssociatedIrp.SystemBuffer, capacity_bytes));
}

#define NAME_MAX 64u

struct name {
    WCHAR text[NAME_MAX];
    UNICODE_STRING string;
};

/* The prefix and the last part of the service's key. */
static void make_name(struct name *name, const WCHAR *prefix, const UNICODE_STRING *registry_path)
{
    size_t length = 0;
    size_t end = registry_path->Length / sizeof(WCHAR);
    size_t first = end;
    while (first > 0 && registry_path->Buffer[first - 1] != L'\\')
        first--;
    for (; *prefix != 0; prefix++)
        name->text[length++] = *prefix;
    for (size_t i = first; i < end && length < NAME_MAX; i++)
        name->text[length++] = registry_path->Buffer[i];
    name->string = (UNICODE_STRING){.Buffer = name->text,
                                    .Length = (USHORT)(length * sizeof(WCHAR)),
                                    .MaximumLength = sizeof(name->text)};
}

static struct name device_name;
static struct name link_name;
static DEVICE_OBJECT *device_object;

static void NTAPI unload(DRIVER_OBJECT *driver) VCK_CAN_WAIT
{
    (void)driver;
    IoDeleteSymbolicLink(&link_name.string);
    IoDeleteDevice(device_object);
    vck_nt_fini();
}

static NTSTATUS create_device(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    make_name(&device_name, L"\\Device\\", registry_path);
    make_name(&link_name, L"\\DosDevices\\", registry_path);
    NTSTATUS status = IoCreateDevice(driver, 0, &device_name.string, FILE_DEVICE_UNKNOWN,
                                     FILE_DEVICE_SECURE_OPEN, FALSE, &device_object);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link_name.string, &device_name.string);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(device_object);
    return status;
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    vck_status status = vck_nt_init(driver, registry_path);
    if (status != VCK_OK)
        return (NTSTATUS)vck_status_to_nt(status);
    NTSTATUS nt_status = create_device(driver, registry_path);
    if (!NT_SUCCESS(nt_status)) {
        vck_nt_fini();
        return nt_status;
    }
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_open;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_open;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_control;
    driver->DriverUnload = unload;
    device_object->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    vck_log_info("porttest is loaded");
    return STATUS_SUCCESS;
}
