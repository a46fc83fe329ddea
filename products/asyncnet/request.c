/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"
#include "port/nt/irp_pending.h"
#include "run.h"
#include "vck/holds.h"
#include "vck/log.h"

#define REQUEST_TAG VCK_TAG('A', 'r', 'e', 'q')
#define NS_PER_MS   UINT64_C(1000000)

/* ---- handles ---- */

/* Counted: a request may outlive the handle it came through. */
struct handle {
    uint32_t references;
    struct vck_spinlock lock; /* covers these */
    struct vck_link requests; /* pending */
    char last_error[MESSAGE_TEXT_BYTES];
};

/* An IRP that waits for the end of its run. */
struct request {
    struct run_asker asker;
    struct vck_irp_pending pending;
    struct run *run; /* with a reference */
    struct handle *handle;
    struct vck_link link;
};

/* NULL: another driver's IRP, for which nobody opened anything. */
static struct handle *handle_of(PIRP irp)
{
    PFILE_OBJECT file = IoGetCurrentIrpStackLocation(irp)->FileObject;

    return file ? file->FsContext : NULL;
}

static void reference_handle(struct handle *handle)
{
    __atomic_fetch_add(&handle->references, 1, __ATOMIC_RELAXED);
}

static void release_handle(struct handle *handle)
{
    if (vck_holds_put(&handle->references))
        vck_free(handle);
}

NTSTATUS request_open(PIRP irp)
{
    PFILE_OBJECT file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    struct handle *handle;

    if (!file)
        return STATUS_INVALID_PARAMETER;
    if (file->FileName.Length)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    handle = vck_alloc(sizeof(*handle), REQUEST_TAG);
    if (!handle)
        return STATUS_INSUFFICIENT_RESOURCES;
    handle->references = 1;
    vck_spinlock_init(&handle->lock);
    vck_link_init(&handle->requests);
    file->FsContext = handle;
    return STATUS_SUCCESS;
}

/* Under the lock, because a request that ends leaves the list first. */
NTSTATUS request_cleanup(PIRP irp)
{
    struct handle *handle = handle_of(irp);

    if (!handle)
        return STATUS_SUCCESS;
    vck_spinlock_acquire(&handle->lock);
    VCK_LIST_FOR_EACH(link, next, &handle->requests)
    run_cancel(VCK_CONTAINER_OF(link, struct request, link)->run);
    vck_spinlock_release(&handle->lock);
    return STATUS_SUCCESS;
}

NTSTATUS request_close(PIRP irp)
{
    struct handle *handle = handle_of(irp);

    if (!handle)
        return STATUS_SUCCESS;
    IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext = NULL;
    release_handle(handle);
    return STATUS_SUCCESS;
}

/* ---- buffers ---- */

static struct vck_bytes input_of(PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    const uint8_t *buffer = irp->AssociatedIrp.SystemBuffer;

    return (struct vck_bytes){buffer,
                              buffer ? stack->Parameters.DeviceIoControl.InputBufferLength : 0};
}

static NTSTATUS answer(PIRP irp, const struct message_shape *shape, const void *message,
                       size_t *ret_size_bytes)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    uint8_t *buffer = irp->AssociatedIrp.SystemBuffer;
    size_t capacity_bytes = buffer ? stack->Parameters.DeviceIoControl.OutputBufferLength : 0;

    return message_encode(shape, message, buffer, capacity_bytes, ret_size_bytes)
               ? STATUS_BUFFER_TOO_SMALL
               : STATUS_SUCCESS;
}

/* The status of a request that is refused, whose handle remembers why. */
static NTSTATUS refuse(struct handle *handle, vck_status status, const char *why)
{
    if (!why[0])
        why = status == VCK_NOT_READY ? "the network is not started" : vck_status_text(status);
    vck_spinlock_acquire(&handle->lock);
    message_fault(handle->last_error, why);
    vck_spinlock_release(&handle->lock);
    return (NTSTATUS)vck_status_to_nt(status);
}

/* ---- requests that wait for a run ---- */

static void request_gone(struct vck_irp_pending *pending)
{
    struct request *request = VCK_CONTAINER_OF(pending, struct request, pending);

    run_release(request->run);
    release_handle(request->handle);
    vck_free(request);
}

static void request_cancelled(struct vck_irp_pending *pending)
{
    run_cancel(VCK_CONTAINER_OF(pending, struct request, pending)->run);
}

static NTSTATUS answer_result(PIRP irp, struct run *run, size_t *ret_size_bytes)
{
    struct message_timers_result timers;
    struct message_result result;

    if (run->kind == RUN_TIMERS) {
        run_get_timers_result(run, &timers);
        return answer(irp, &message_timers_result, &timers, ret_size_bytes);
    }
    run_get_result(run, &result);
    return answer(irp, &message_result, &result, ret_size_bytes);
}

/* On a worker, at the end of the run. */
static void request_ended(struct run_asker *asker, struct run *run)
{
    struct request *request = VCK_CONTAINER_OF(asker, struct request, asker);
    size_t size_bytes = 0;
    NTSTATUS status;

    vck_spinlock_acquire(&request->handle->lock);
    vck_link_remove(&request->link);
    vck_spinlock_release(&request->handle->lock);
    status = run->status ? refuse(request->handle, run->status, "")
                         : answer_result(request->pending.irp, run, &size_bytes);
    vck_irp_pending_end(&request->pending, status, size_bytes);
}

static void start_run(struct run *run, const void *message) VCK_CAN_WAIT
{
    const struct message_load *load = message;
    const struct message_timers *timers = message;

    if (run->kind == RUN_TIMERS)
        run_start_timers(run, timers->count, timers->span_ms * NS_PER_MS);
    else if (run->kind == RUN_THREADS)
        run_start_threads(run, (uint32_t)load->concurrency);
    else
        run_start_load(run, load->concurrency);
}

/* The run may end, and the request with it, before its start returns. */
static NTSTATUS pend(struct request *request, struct handle *handle, PIRP irp,
                     const void *message) VCK_CAN_WAIT
{
    struct run *run = request->run;

    request->handle = handle;
    reference_handle(handle);
    vck_spinlock_acquire(&handle->lock);
    vck_list_push_back(&handle->requests, &request->link);
    vck_spinlock_release(&handle->lock);
    vck_irp_pending_begin(&request->pending, irp, request_cancelled, request_gone);
    vck_object_reference(run->object, REQUEST_TAG);
    start_run(run, message);
    vck_object_release(run->object, REQUEST_TAG);
    return STATUS_PENDING;
}

/* A run that knows what to do. */
static vck_status prepare(struct asyncnet *asyncnet, enum run_kind kind, struct run_asker *asker,
                          const void *message, char *ret_fault, struct run **ret_run) VCK_CAN_WAIT
{
    vck_status status = run_create(asyncnet, kind, asker, ret_run);

    if (status || kind == RUN_TIMERS)
        return status;
    status = run_set_workload(*ret_run, message, ret_fault);
    if (status)
        run_discard(*ret_run);
    return status;
}

static NTSTATUS serve_run(struct asyncnet *asyncnet, PIRP irp, enum run_kind kind,
                          const void *message, bool is_background) VCK_CAN_WAIT
{
    struct handle *handle = handle_of(irp);
    struct request *request = NULL;
    char fault[MESSAGE_TEXT_BYTES] = "";
    struct run *run = NULL;
    vck_status status;

    if (!is_background) {
        request = vck_alloc(sizeof(*request), REQUEST_TAG);
        if (!request)
            return refuse(handle, VCK_NO_MEMORY, "");
        request->asker.ended = request_ended;
    }
    status = prepare(asyncnet, kind, request ? &request->asker : NULL, message, fault, &run);
    if (status) {
        vck_free(request);
        return refuse(handle, status, fault);
    }
    if (request) {
        request->run = run;
        return pend(request, handle, irp, message);
    }
    start_run(run, message);
    run_release(run);
    return STATUS_SUCCESS;
}

/* ---- each request ---- */

static NTSTATUS serve_load(struct asyncnet *asyncnet, PIRP irp, enum run_kind kind) VCK_CAN_WAIT
{
    const struct message_shape *shape = kind == RUN_LOAD ? &message_load : &message_threads;
    char fault[MESSAGE_TEXT_BYTES] = "";
    struct message_load load;
    vck_status status = message_decode(shape, input_of(irp), &load, fault);

    return status ? refuse(handle_of(irp), status, fault)
                  : serve_run(asyncnet, irp, kind, &load, load.is_background);
}

static NTSTATUS serve_timers(struct asyncnet *asyncnet, PIRP irp) VCK_CAN_WAIT
{
    char fault[MESSAGE_TEXT_BYTES] = "";
    struct message_timers timers;
    vck_status status = message_decode(&message_timers, input_of(irp), &timers, fault);

    return status ? refuse(handle_of(irp), status, fault)
                  : serve_run(asyncnet, irp, RUN_TIMERS, &timers, timers.is_background);
}

static NTSTATUS serve_echo(struct asyncnet *asyncnet, PIRP irp, size_t *ret_size_bytes) VCK_CAN_WAIT
{
    char fault[MESSAGE_TEXT_BYTES] = "";
    struct message_echo echo;
    struct vck_address address;
    vck_status status = message_decode(&message_echo, input_of(irp), &echo, fault);

    if (status == VCK_OK)
        status = message_get_address(echo.address, echo.port, &address, fault);
    if (status)
        return refuse(handle_of(irp), status, fault);
    /* No server is started whose port cannot be told. */
    echo.port = UINT16_MAX;
    if (answer(irp, &message_echo, &echo, ret_size_bytes))
        return STATUS_BUFFER_TOO_SMALL;
    status = run_echo(asyncnet, &address, &address);
    if (status)
        return refuse(handle_of(irp), status, fault);
    echo.port = address.port;
    return answer(irp, &message_echo, &echo, ret_size_bytes);
}

static NTSTATUS serve_status(struct asyncnet *asyncnet, PIRP irp, size_t *ret_size_bytes)
{
    struct message_status status;

    asyncnet_get_status(asyncnet, &status);
    return answer(irp, &message_status, &status, ret_size_bytes);
}

static NTSTATUS serve_last_error(PIRP irp, size_t *ret_size_bytes)
{
    struct handle *handle = handle_of(irp);
    struct message_text text;

    vck_spinlock_acquire(&handle->lock);
    message_fault(text.text, handle->last_error);
    vck_spinlock_release(&handle->lock);
    return answer(irp, &message_text, &text, ret_size_bytes);
}

static NTSTATUS serve_plain(PIRP irp, vck_status status, const char *why)
{
    return status ? refuse(handle_of(irp), status, why) : STATUS_SUCCESS;
}

NTSTATUS request_serve(struct asyncnet *asyncnet, PIRP irp, size_t *ret_size_bytes)
{
    if (!handle_of(irp))
        return STATUS_INVALID_HANDLE;
    switch (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode) {
    case ASYNCNET_START:
        return serve_plain(irp, asyncnet_start(asyncnet), "");
    case ASYNCNET_STOP:
        return serve_plain(irp, asyncnet_stop(asyncnet), "");
    case ASYNCNET_LOAD:
        return serve_load(asyncnet, irp, RUN_LOAD);
    case ASYNCNET_THREADS:
        return serve_load(asyncnet, irp, RUN_THREADS);
    case ASYNCNET_TIMERS:
        return serve_timers(asyncnet, irp);
    case ASYNCNET_ECHO_START:
        return serve_echo(asyncnet, irp, ret_size_bytes);
    case ASYNCNET_ECHO_STOP:
        return serve_plain(irp, run_echo_stop(asyncnet), "the echo server is not running");
    case ASYNCNET_STATUS:
        return serve_status(asyncnet, irp, ret_size_bytes);
    case ASYNCNET_LAST_ERROR:
        return serve_last_error(irp, ret_size_bytes);
    default:
        return refuse(handle_of(irp), VCK_UNSUPPORTED, "there is no such request");
    }
}
