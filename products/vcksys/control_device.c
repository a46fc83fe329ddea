/* SPDX-License-Identifier: Apache-2.0 */
#include "control_device.h"
#include "control_request.h"
#include "port/nt/control_object.h"
#include "port/nt/irp_queue.h"
#include "requestor.h"
#include "vck/bytes.h"
#include "vck/log.h"

#define LOOK_THREADS   1u
#define CHANGE_THREADS 3u

/* Requests that wait, and the threads that perform them. */
struct lane {
    struct vck_irp_queue queue;
    struct vck_event filled;
    struct vck_thread *threads[CHANGE_THREADS];
    uint32_t count;
    bool is_started;
};

static struct control_device {
    PDEVICE_OBJECT device; /* NULL: not started */
    struct control_device_options options;
    struct lane look;
    struct lane change;
    uint32_t is_stopping; /* atomic */
    bool is_published;
    bool hears_shutdown;
} control;

bool control_device_is(const DEVICE_OBJECT *device)
{
    return device == control.device && device;
}

bool control_device_is_stopping(void)
{
    return __atomic_load_n(&control.is_stopping, __ATOMIC_ACQUIRE) != 0;
}

bool control_device_is_cancelled(struct vck_control_host *host,
                                 const struct vck_control_caller *caller)
{
    (void)host;
    return control_device_is_stopping() || control_request_is_cancelled(caller->context);
}

static NTSTATUS complete(PIRP irp, NTSTATUS status, size_t size_bytes)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = size_bytes;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* ---- threads ---- */

static struct control_request *request_of(PIRP irp)
{
    return irp->Tail.Overlay.DriverContext[1];
}

/* The request goes first: completion may end the process that waits for it, and with it the last
 * that keeps the driver. */
static void finish(struct control_request *request, NTSTATUS status, size_t size_bytes)
{
    PIRP irp = request->irp;

    control_request_destroy(request);
    (void)complete(irp, status, size_bytes);
}

static void refuse_deferred(struct vck_work *work)
{
    struct control_request *request = VCK_CONTAINER_OF(work, struct control_request, work);

    finish(request, STATUS_CANCELLED, 0);
}

/* Pages are freed at PASSIVE, and a cancel routine runs above. */
static void cancelled(struct vck_irp_queue *queue, PIRP irp)
{
    (void)queue;
    vck_defer(&request_of(irp)->work, refuse_deferred);
}

static void serve(struct control_request *request) VCK_CAN_WAIT
{
    size_t size_bytes = 0;
    NTSTATUS status;

    if (control_device_is_stopping())
        status = STATUS_DELETE_PENDING;
    else if (control_request_is_cancelled(request))
        status = STATUS_CANCELLED;
    else
        status = control_request_perform(request, control.options.host, &size_bytes);
    if (control.options.handled)
        control.options.handled(control.options.host);
    finish(request, status, NT_SUCCESS(status) ? size_bytes : 0);
}

/* One set wakes one thread: who takes a request and sees another wakes the next. */
static void work(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct lane *lane = context;

    for (;;) {
        PIRP irp = vck_irp_queue_take(&lane->queue);

        if (irp) {
            if (!vck_irp_queue_is_empty(&lane->queue))
                vck_event_set(&lane->filled);
            serve(request_of(irp));
        } else if (control_device_is_stopping()) {
            vck_event_set(&lane->filled);
            return;
        } else {
            (void)vck_event_wait(&lane->filled, VCK_FOREVER);
        }
    }
}

static void lane_stop(struct lane *lane) VCK_CAN_WAIT
{
    if (!lane->is_started)
        return;
    vck_event_set(&lane->filled);
    for (uint32_t i = 0; i < lane->count; i++)
        vck_thread_join(lane->threads[i]);
    lane->is_started = false;
    vck_event_fini(&lane->filled);
}

static vck_status lane_start(struct lane *lane, uint32_t count, const char *name)
{
    vck_status status = VCK_OK;

    vck_irp_queue_init(&lane->queue, cancelled);
    vck_event_init(&lane->filled);
    lane->is_started = true;
    lane->count = 0;
    while (status == VCK_OK && lane->count < count) {
        status =
            vck_thread_create(work, lane, VCK_THREAD_NORMAL, name, &lane->threads[lane->count]);
        if (status == VCK_OK)
            lane->count++;
    }
    return status;
}

/* ---- majors ---- */

static NTSTATUS handle_create(PIRP irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct control_handle *handle;

    if (!stack->FileObject)
        return STATUS_INVALID_PARAMETER;
    if (stack->FileObject->FileName.Length)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (control_device_is_stopping())
        return STATUS_DELETE_PENDING;
    handle = control_handle_create(vck_nt_granted_access(stack));
    if (!handle)
        return STATUS_INSUFFICIENT_RESOURCES;
    stack->FileObject->FsContext = handle;
    return STATUS_SUCCESS;
}

static struct control_handle *handle_of(PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    return stack->FileObject ? stack->FileObject->FsContext : NULL;
}

static NTSTATUS handle_cleanup(PIRP irp)
{
    struct control_handle *handle = handle_of(irp);

    if (handle)
        __atomic_store_n(&handle->is_closed, 1, __ATOMIC_RELEASE);
    return STATUS_SUCCESS;
}

static NTSTATUS handle_close(PIRP irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct control_handle *handle = handle_of(irp);

    if (handle) {
        stack->FileObject->FsContext = NULL;
        control_handle_release(handle);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS handle_request(PIRP irp) VCK_CAN_WAIT
{
    struct control_handle *handle = handle_of(irp);
    struct control_request *request = NULL;
    struct lane *lane;
    vck_status status;

    if (!handle)
        return STATUS_INVALID_HANDLE;
    if (control_device_is_stopping())
        return STATUS_DELETE_PENDING;
    status = control_request_create(irp, handle, requestor_is_admin(irp), &request);
    if (status)
        return (NTSTATUS)vck_status_to_nt(status);
    irp->Tail.Overlay.DriverContext[1] = request;
    lane = control_request_is_slow(request) ? &control.change : &control.look;
    vck_irp_queue_put(&lane->queue, irp);
    vck_event_set(&lane->filled);
    return STATUS_PENDING;
}

NTSTATUS control_device_dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    NTSTATUS status;

    (void)device;
    switch (IoGetCurrentIrpStackLocation(irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        status = handle_create(irp);
        break;
    case IRP_MJ_CLEANUP:
        status = handle_cleanup(irp);
        break;
    case IRP_MJ_CLOSE:
        status = handle_close(irp);
        break;
    case IRP_MJ_DEVICE_CONTROL:
        status = handle_request(irp);
        break;
    case IRP_MJ_SHUTDOWN:
        if (control.options.shutdown)
            control.options.shutdown(control.options.host);
        status = STATUS_SUCCESS;
        break;
    default:
        status = STATUS_INVALID_DEVICE_REQUEST;
        break;
    }
    return status == STATUS_PENDING ? status : complete(irp, status, 0);
}

/* ---- up and down ---- */

static vck_status status_of(NTSTATUS status)
{
    return NT_SUCCESS(status) ? VCK_OK : vck_status_from_nt((uint32_t)status);
}

vck_status control_device_start(const struct control_device_options *options)
{
    vck_status status;

    control.options = *options;
    __atomic_store_n(&control.is_stopping, 0, __ATOMIC_RELEASE);
    status = vck_nt_device_create(options->driver, CONTROL_DEVICE_NAME, 0, &control.device);
    if (status == VCK_OK) {
        status = lane_start(&control.look, LOOK_THREADS, "vck-look");
        if (status == VCK_OK)
            status = lane_start(&control.change, CHANGE_THREADS, "vck-change");
    }
    if (status)
        control_device_stop();
    return status;
}

vck_status control_device_publish(void)
{
    vck_status status = vck_nt_link_create(CONTROL_DEVICE_LINK, CONTROL_DEVICE_NAME);

    if (status)
        return status;
    control.is_published = true;
    status = status_of(IoRegisterShutdownNotification(control.device));
    control.hears_shutdown = status == VCK_OK;
    control.device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return status;
}

void control_device_stop(void)
{
    if (!control.device)
        return;
    if (control.is_published)
        vck_nt_link_delete(CONTROL_DEVICE_LINK);
    if (control.hears_shutdown)
        IoUnregisterShutdownNotification(control.device);
    control.is_published = false;
    control.hears_shutdown = false;
    __atomic_store_n(&control.is_stopping, 1, __ATOMIC_RELEASE);
    lane_stop(&control.change);
    lane_stop(&control.look);
    vck_defer_drain();
    IoDeleteDevice(control.device);
    control.device = NULL;
}
