/* SPDX-License-Identifier: Apache-2.0 */
#include "asyncnet_fixture.h"
#include <string.h>

/* ---- up and down ---- */

void asyncnet_begin(struct asyncnet_fixture *f)
{
    *f = (struct asyncnet_fixture){.live = vck_alloc_live_count()};
    fake_system_begin();
    f->driver.DriverExtension = &f->extension;
}

NTSTATUS asyncnet_load_driver(struct asyncnet_fixture *f)
{
    UNICODE_STRING path;

    RtlInitUnicodeString(&path,
                         L"\\Registry\\Machine\\SYSTEM\\CurrentControlSet\\Services\\asyncnet");
    return DriverEntry(&f->driver, &path);
}

void asyncnet_unload_driver(struct asyncnet_fixture *f)
{
    f->driver.DriverUnload(&f->driver);
    assert_null(f->driver.DeviceObject);
}

void asyncnet_end(struct asyncnet_fixture *f)
{
    assert_null(f->driver.DeviceObject);
    fake_system_end();
    vck_defer_drain();
    assert_int_equal(fake_live_irps(), 0);
    assert_int_equal(fake_live_devices(), 0);
    assert_int_equal(vck_alloc_live_count(), f->live);
}

/* ---- IRPs ---- */

static void on_done(void *context, PIRP irp)
{
    struct asyncnet_call *call = context;

    call->status = irp->IoStatus.Status;
    call->information = irp->IoStatus.Information;
    if (!call->keeps_irp)
        IoFreeIrp(irp);
    vck_event_set(&call->done);
}

static PIO_STACK_LOCATION begin_call(struct asyncnet_fixture *f, struct asyncnet_call *call,
                                     struct file_object *file, UCHAR major)
{
    PIO_STACK_LOCATION stack;

    call->requestor = (struct fake_requestor){.done = on_done, .context = call};
    vck_event_init(&call->done);
    call->irp = fake_irp_create(f->driver.DeviceObject, &call->requestor);
    call->irp->RequestorMode = UserMode;
    call->irp->AssociatedIrp.SystemBuffer = call->buffer;
    stack = IoGetNextIrpStackLocation(call->irp);
    stack->MajorFunction = major;
    stack->FileObject = file;
    return stack;
}

uint32_t asyncnet_await(struct asyncnet_call *call)
{
    vck_event_wait(&call->done, VCK_FOREVER);
    vck_event_fini(&call->done);
    if (call->returned != STATUS_PENDING)
        assert_int_equal(call->returned, call->status);
    if (!NT_SUCCESS(call->status))
        assert_int_equal(call->information, 0);
    return (uint32_t)call->status;
}

NTSTATUS asyncnet_major(struct asyncnet_fixture *f, struct file_object *file, UCHAR major)
{
    struct asyncnet_call *call = calloc(1, sizeof(*call));
    NTSTATUS status;

    begin_call(f, call, file, major);
    call->returned = IoCallDriver(f->driver.DeviceObject, call->irp);
    status = (NTSTATUS)asyncnet_await(call);
    free(call);
    return status;
}

NTSTATUS asyncnet_open(struct asyncnet_fixture *f, struct file_object *file)
{
    *file = (struct file_object){0};
    return asyncnet_major(f, file, IRP_MJ_CREATE);
}

void asyncnet_close(struct asyncnet_fixture *f, struct file_object *file)
{
    assert_int_equal(asyncnet_major(f, file, IRP_MJ_CLEANUP), STATUS_SUCCESS);
    assert_int_equal(asyncnet_major(f, file, IRP_MJ_CLOSE), STATUS_SUCCESS);
    assert_null(file->FsContext);
}

/* ---- requests ---- */

void asyncnet_send(struct asyncnet_fixture *f, struct asyncnet_call *call, struct file_object *file,
                   uint32_t code, const struct message_shape *shape, const void *message,
                   uint32_t room)
{
    PIO_STACK_LOCATION stack;
    size_t bytes = 0;

    if (shape)
        assert_int_equal(message_encode(shape, message, call->buffer, sizeof(call->buffer), &bytes),
                         VCK_OK);
    stack = begin_call(f, call, file, IRP_MJ_DEVICE_CONTROL);
    stack->Parameters.DeviceIoControl.IoControlCode = code;
    stack->Parameters.DeviceIoControl.InputBufferLength = (ULONG)bytes;
    stack->Parameters.DeviceIoControl.OutputBufferLength = room;
    if (call->comes_cancelled)
        (void)IoCancelIrp(call->irp);
    call->returned = IoCallDriver(f->driver.DeviceObject, call->irp);
}

uint32_t asyncnet_request(struct asyncnet_fixture *f, struct asyncnet_call *call, uint32_t code,
                          const struct message_shape *shape, const void *message)
{
    asyncnet_send(f, call, &f->file, code, shape, message, sizeof(call->buffer));
    return asyncnet_await(call);
}

uint32_t asyncnet_do(struct asyncnet_fixture *f, uint32_t code)
{
    struct asyncnet_call *call = calloc(1, sizeof(*call));
    uint32_t status;

    asyncnet_send(f, call, &f->file, code, NULL, NULL, 0);
    status = asyncnet_await(call);
    free(call);
    return status;
}

static void read_answer(const struct asyncnet_call *call, const struct message_shape *shape,
                        void *ret_message)
{
    char fault[MESSAGE_TEXT_BYTES] = "";

    if (message_decode(shape, (struct vck_bytes){call->buffer, call->information}, ret_message,
                       fault))
        fail_msg("%s", fault);
}

struct message_status asyncnet_status(struct asyncnet_fixture *f)
{
    struct asyncnet_call *call = calloc(1, sizeof(*call));
    struct message_status status;

    assert_int_equal(asyncnet_request(f, call, ASYNCNET_STATUS, NULL, NULL), 0);
    read_answer(call, &message_status, &status);
    free(call);
    return status;
}

struct message_text asyncnet_last_error(struct asyncnet_fixture *f)
{
    struct asyncnet_call *call = calloc(1, sizeof(*call));
    struct message_text text;

    assert_int_equal(asyncnet_request(f, call, ASYNCNET_LAST_ERROR, NULL, NULL), 0);
    read_answer(call, &message_text, &text);
    free(call);
    return text;
}

struct message_load asyncnet_load(uint64_t connections, uint64_t concurrency, uint16_t port)
{
    return (struct message_load){
        .connections = connections,
        .concurrency = concurrency,
        .timeout_ms = 60000,
        .port = port,
        .address = "127.0.0.1",
        .path = "/",
    };
}

void asyncnet_read_result(const struct asyncnet_call *call, struct asyncnet_result *ret_result)
{
    ret_result->result.codes = (struct message_counts){ret_result->codes, 1000};
    ret_result->result.errors = (struct message_counts){ret_result->errors, VCK_STATUS_COUNT};
    read_answer(call, &message_result, &ret_result->result);
}
