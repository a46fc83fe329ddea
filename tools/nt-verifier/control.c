/* SPDX-License-Identifier: Apache-2.0 */
/* Answers what control.h names. */
#include "control.h"
#include "verify.h"

struct request {
    uint8_t *buffer; /* in and out */
    ULONG in_bytes;
    ULONG out_bytes;
    ULONG returned_bytes;
};

struct request_kind {
    ULONG code;
    ULONG in_least_bytes;
    ULONG out_least_bytes;
    NTSTATUS (*answer)(struct request *request);
};

static ULONG read_u32(const uint8_t *bytes)
{
    ULONG value;
    RtlCopyMemory(&value, bytes, sizeof(value));
    return value;
}

static uint64_t read_u64(const uint8_t *bytes)
{
    uint64_t value;
    RtlCopyMemory(&value, bytes, sizeof(value));
    return value;
}

static NTSTATUS answer_findings(struct request *request)
{
    request->returned_bytes = (ULONG)verify_report_read(
        read_u32(request->buffer), (char *)request->buffer, request->out_bytes);
    return STATUS_SUCCESS;
}

static NTSTATUS answer_drivers(struct request *request)
{
    char line[400];
    const struct verify_driver *driver;
    for (size_t i = 0; (driver = verify_driver_number(i)) != NULL; i++) {
        verify_format_summary(driver, line, sizeof(line) - 1);
        ULONG length = (ULONG)strlen(line);
        line[length++] = '\n';
        if (length > request->out_bytes - request->returned_bytes)
            return STATUS_BUFFER_TOO_SMALL;
        RtlCopyMemory(request->buffer + request->returned_bytes, line, length);
        request->returned_bytes += length;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS answer_set_variable(struct request *request)
{
    const uint8_t *in = request->buffer;
    ULONG name_bytes = read_u32(in + 20), head_bytes = 24;
    if (name_bytes > request->in_bytes - head_bytes || name_bytes % sizeof(WCHAR))
        return STATUS_INVALID_PARAMETER;
    return verify_firmware_set_variable((const GUID *)in, (const WCHAR *)(in + head_bytes),
                                        name_bytes / (ULONG)sizeof(WCHAR), read_u32(in + 16),
                                        in + head_bytes + name_bytes,
                                        request->in_bytes - head_bytes - name_bytes);
}

static NTSTATUS answer_set_memory(struct request *request)
{
    return verify_firmware_set_memory(read_u64(request->buffer), request->buffer + 8,
                                      request->in_bytes - 8);
}

static NTSTATUS answer_get_memory(struct request *request)
{
    request->returned_bytes =
        verify_firmware_get_memory(read_u64(request->buffer), request->buffer, request->out_bytes);
    return request->returned_bytes ? STATUS_SUCCESS : STATUS_NOT_FOUND;
}

/* Named behind a number. */
static struct verify_driver *driver_meant(const struct request *request)
{
    char name[VERIFY_NAME_BYTES] = {0};
    RtlCopyMemory(name, request->buffer + 4, min(request->in_bytes - 4, sizeof(name) - 1));
    return verify_driver_named(name);
}

static NTSTATUS answer_fail_allocation(struct request *request)
{
    ULONG nth = read_u32(request->buffer);
    struct verify_driver *driver = driver_meant(request);
    if (!driver)
        return STATUS_NOT_FOUND;
    driver->fail_in = 0;
    LONG64 count = InterlockedExchange64(&driver->allocations, 0);
    driver->fail_in = (LONG)nth;
    RtlCopyMemory(request->buffer, &count, sizeof(count));
    request->returned_bytes = sizeof(count);
    return STATUS_SUCCESS;
}

static NTSTATUS answer_delay_work(struct request *request)
{
    struct verify_driver *driver = driver_meant(request);
    if (!driver)
        return STATUS_NOT_FOUND;
    driver->work_delay_ms = (LONG)read_u32(request->buffer);
    return STATUS_SUCCESS;
}

static NTSTATUS answer_shutdown(struct request *request)
{
    ULONG count = verify_device_shutdown();
    RtlCopyMemory(request->buffer, &count, sizeof(count));
    request->returned_bytes = sizeof(count);
    return STATUS_SUCCESS;
}

static NTSTATUS answer_quarantine(struct request *request)
{
    verify_pool_set_quarantine((SIZE_T)read_u64(request->buffer));
    return STATUS_SUCCESS;
}

static NTSTATUS answer_reset(struct request *request)
{
    (void)request;
    verify_firmware_reset();
    return STATUS_SUCCESS;
}

static NTSTATUS answer_ndis(struct request *request)
{
    uint32_t head[2] = {read_u32(request->buffer), read_u32(request->buffer + 4)};
    return verify_ndis_control(head, request->buffer + sizeof(head),
                               request->in_bytes - (ULONG)sizeof(head), request->buffer,
                               request->out_bytes, &request->returned_bytes);
}

static const struct request_kind kinds[] = {
    {VERIFY_FINDINGS, 4, 0, answer_findings},
    {VERIFY_DRIVERS, 0, 0, answer_drivers},
    {VERIFY_SET_VARIABLE, 24, 0, answer_set_variable},
    {VERIFY_SET_MEMORY, 9, 0, answer_set_memory},
    {VERIFY_GET_MEMORY, 8, 1, answer_get_memory},
    {VERIFY_FAIL_ALLOCATION, 5, 8, answer_fail_allocation},
    {VERIFY_SHUTDOWN, 0, 4, answer_shutdown},
    {VERIFY_QUARANTINE, 8, 0, answer_quarantine},
    {VERIFY_RESET, 0, 0, answer_reset},
    {VERIFY_NDIS, 8, 0, answer_ndis},
    {VERIFY_DELAY_WORK, 5, 0, answer_delay_work},
};

static NTSTATUS answer(ULONG code, struct request *request)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].code != code)
            continue;
        if (request->in_bytes < kinds[i].in_least_bytes ||
            request->out_bytes < kinds[i].out_least_bytes)
            return STATUS_INVALID_PARAMETER;
        return kinds[i].answer(request);
    }
    return STATUS_INVALID_DEVICE_REQUEST;
}

static NTSTATUS complete(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IofCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI dispatch_open(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI dispatch_control(PDEVICE_OBJECT device, PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct request request = {irp->AssociatedIrp.SystemBuffer,
                              stack->Parameters.DeviceIoControl.InputBufferLength,
                              stack->Parameters.DeviceIoControl.OutputBufferLength, 0};
    (void)device;
    NTSTATUS status = answer(stack->Parameters.DeviceIoControl.IoControlCode, &request);
    return complete(irp, status, request.returned_bytes);
}

static WCHAR device_text[] = L"\\Device\\VckVerify";
static WCHAR link_text[] = L"\\DosDevices\\VckVerify";
static UNICODE_STRING device_name = {sizeof(device_text) - sizeof(WCHAR), sizeof(device_text),
                                     device_text};
static UNICODE_STRING link_name = {sizeof(link_text) - sizeof(WCHAR), sizeof(link_text), link_text};

NTSTATUS verify_control_start(PDRIVER_OBJECT driver)
{
    PDEVICE_OBJECT device;
    NTSTATUS status = IoCreateDevice(driver, 0, &device_name, FILE_DEVICE_UNKNOWN,
                                     FILE_DEVICE_SECURE_OPEN, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link_name, &device_name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_open;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_open;
    driver->MajorFunction[IRP_MJ_CLEANUP] = dispatch_open;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_control;
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

void verify_control_stop(PDRIVER_OBJECT driver)
{
    IoDeleteSymbolicLink(&link_name);
    IoDeleteDevice(driver->DeviceObject);
}
