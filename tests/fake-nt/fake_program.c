/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_program.h"

/* ---- the driver ---- */

NTSTATUS fake_driver_load(PDRIVER_OBJECT driver, PCWSTR service)
{
    UNICODE_STRING path;

    RtlInitUnicodeString(&path, service);
    return driver->DriverInit(driver, &path);
}

void fake_driver_unload(PDRIVER_OBJECT driver)
{
    assert_non_null(driver->DriverUnload);
    driver->DriverUnload(driver);
    assert_null(driver->DeviceObject);
    *driver = (DRIVER_OBJECT){.DriverInit = driver->DriverInit,
                              .DriverExtension = driver->DriverExtension};
}

void fake_driver_load_with_failures(PDRIVER_OBJECT driver, PCWSTR service, bool of_memory)
{
    size_t live = vck_alloc_live_count();
    bool is_through = false;

    for (uint64_t nth = 1; !is_through; nth++) {
        assert_true(nth < 500);
        if (of_memory)
            vck_alloc_fail_nth(nth);
        else
            fake_fail_nth(nth);
        is_through = NT_SUCCESS(fake_driver_load(driver, service));
        vck_alloc_fail_nth(0);
        fake_fail_nth(0);
        if (is_through)
            fake_driver_unload(driver);
        assert_null(driver->DeviceObject);
        assert_int_equal(fake_system.handles, 0);
        assert_null(fake_system.hears_shutdown);
        assert_int_equal(vck_alloc_live_count(), live);
    }
}

/* ---- requests ---- */

static void on_done(void *context, PIRP irp)
{
    struct fake_call *call = context;

    call->status = irp->IoStatus.Status;
    call->information = irp->IoStatus.Information;
    irp->MdlAddress = NULL;
    if (call->mdl)
        fake_mdl_free(call->mdl);
    if (!call->keeps_irp)
        IoFreeIrp(irp);
    vck_event_set(&call->done);
}

PIO_STACK_LOCATION fake_call_begin(struct fake_call *call, PDEVICE_OBJECT device,
                                   struct file_object *file, UCHAR major)
{
    PIO_STACK_LOCATION stack;

    call->requestor = (struct fake_requestor){.done = on_done, .context = call};
    call->device = device;
    call->mdl = NULL;
    vck_event_init(&call->done);
    call->irp = fake_irp_create(device, &call->requestor);
    call->irp->RequestorMode = UserMode;
    call->irp->AssociatedIrp.SystemBuffer = call->buffer;
    stack = IoGetNextIrpStackLocation(call->irp);
    stack->MajorFunction = major;
    stack->FileObject = file;
    return stack;
}

void fake_call_begin_control(struct fake_call *call, PDEVICE_OBJECT device,
                             struct file_object *file, uint32_t code, uint32_t input_bytes,
                             uint32_t output_bytes)
{
    PIO_STACK_LOCATION stack = fake_call_begin(call, device, file, IRP_MJ_DEVICE_CONTROL);

    stack->Parameters.DeviceIoControl.IoControlCode = code;
    stack->Parameters.DeviceIoControl.InputBufferLength = input_bytes;
    stack->Parameters.DeviceIoControl.OutputBufferLength = output_bytes;
}

void fake_call_go(struct fake_call *call)
{
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(call->device);

    if (call->comes_cancelled)
        (void)IoCancelIrp(call->irp);
    call->returned = IoCallDriver(top, call->irp);
    ObDereferenceObject(top);
}

uint32_t fake_call_await(struct fake_call *call)
{
    vck_event_wait(&call->done, VCK_FOREVER);
    vck_event_fini(&call->done);
    if (call->returned != STATUS_PENDING)
        assert_int_equal(call->returned, call->status);
    if (!NT_SUCCESS(call->status))
        assert_int_equal(call->information, 0);
    return (uint32_t)call->status;
}

/* ---- files ---- */

static NTSTATUS call_now(PDEVICE_OBJECT device, struct file_object *file, UCHAR major,
                         struct io_security_context *security) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));
    NTSTATUS status;

    fake_call_begin(call, device, file, major)->Parameters.Create.SecurityContext = security;
    fake_call_go(call);
    status = (NTSTATUS)fake_call_await(call);
    free(call);
    return status;
}

NTSTATUS fake_file_open(PDEVICE_OBJECT device, struct file_object *file, ACCESS_MASK access)
{
    struct io_security_context security = {.DesiredAccess = access};

    *file = (struct file_object){0};
    return call_now(device, file, IRP_MJ_CREATE, &security);
}

NTSTATUS fake_file_major(PDEVICE_OBJECT device, struct file_object *file, UCHAR major)
{
    return call_now(device, file, major, NULL);
}

void fake_file_close(PDEVICE_OBJECT device, struct file_object *file)
{
    assert_int_equal(fake_file_major(device, file, IRP_MJ_CLEANUP), STATUS_SUCCESS);
    assert_int_equal(fake_file_major(device, file, IRP_MJ_CLOSE), STATUS_SUCCESS);
    assert_null(file->FsContext);
}
