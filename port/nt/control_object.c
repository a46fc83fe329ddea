/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/control_object.h"
#include "port/nt/security.h"
#include "vck/log.h"

static vck_status status_of(NTSTATUS status)
{
    return NT_SUCCESS(status) ? VCK_OK : vck_status_from_nt((uint32_t)status);
}

static vck_status set_security(PDEVICE_OBJECT device)
{
    VCK_ALIGNAS(8) uint8_t descriptor[VCK_SECURITY_DESCRIPTOR_BYTES];
    HANDLE handle = NULL;
    NTSTATUS status = ObOpenObjectByPointer(device, OBJ_KERNEL_HANDLE, NULL, WRITE_DAC, NULL,
                                            KernelMode, &handle);

    if (NT_SUCCESS(status)) {
        vck_security_descriptor_build(descriptor);
        status = ZwSetSecurityObject(
            handle, DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION, descriptor);
        (void)ZwClose(handle);
    }
    if (NT_SUCCESS(status))
        return VCK_OK;
    vck_log_error("control device: its security descriptor cannot be set: %x", (unsigned)status);
    return VCK_PERMISSION_DENIED;
}

vck_status vck_nt_device_create(PDRIVER_OBJECT driver, const wchar_t *name, ULONG extension_bytes,
                                PDEVICE_OBJECT *ret_device)
{
    PDEVICE_OBJECT device = NULL;
    UNICODE_STRING string;
    vck_status status;

    RtlInitUnicodeString(&string, name);
    status = status_of(IoCreateDevice(driver, extension_bytes, &string, FILE_DEVICE_UNKNOWN,
                                      FILE_DEVICE_SECURE_OPEN, FALSE, &device));
    if (status)
        return status;
    status = set_security(device);
    if (status)
        IoDeleteDevice(device);
    else
        *ret_device = device;
    return status;
}

vck_status vck_nt_link_create(const wchar_t *link, const wchar_t *name)
{
    UNICODE_STRING link_string;
    UNICODE_STRING name_string;

    RtlInitUnicodeString(&link_string, link);
    RtlInitUnicodeString(&name_string, name);
    return status_of(IoCreateSymbolicLink(&link_string, &name_string));
}

void vck_nt_link_delete(const wchar_t *link)
{
    UNICODE_STRING string;

    RtlInitUnicodeString(&string, link);
    (void)IoDeleteSymbolicLink(&string);
}

/* The system tells what the handle was granted, or has checked it against each request's code by
 * itself. */
ACCESS_MASK vck_nt_granted_access(const IO_STACK_LOCATION *stack)
{
    const IO_SECURITY_CONTEXT *context = stack->Parameters.Create.SecurityContext;

    if (!context)
        return FILE_READ_DATA | FILE_WRITE_DATA;
    if (context->AccessState)
        return context->AccessState->PreviouslyGrantedAccess | context->DesiredAccess;
    return context->DesiredAccess;
}
