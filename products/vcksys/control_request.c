/* SPDX-License-Identifier: Apache-2.0 */
#include "control_request.h"
#include <string.h>
#include "vck/holds.h"
#include "vck/secret.h"

#define REQUEST_TAG VCK_TAG('V', 'i', 'o', 'c')
/* What the deepest request needs and half as much again; a thread has 24 KiB of its own. */
#define STACK_BYTES 0x8000u

/* ---- handles ---- */

struct control_handle *control_handle_create(ACCESS_MASK access)
{
    struct control_handle *handle = vck_alloc(sizeof(*handle), REQUEST_TAG);

    if (!handle)
        return NULL;
    handle->references = 1;
    handle->can_read = (access & FILE_READ_DATA) != 0;
    handle->can_write = (access & FILE_WRITE_DATA) != 0;
    vck_spinlock_init(&handle->lock);
    return handle;
}

static void reference(struct control_handle *handle)
{
    __atomic_fetch_add(&handle->references, 1, __ATOMIC_RELAXED);
}

void control_handle_release(struct control_handle *handle)
{
    if (vck_holds_put(&handle->references))
        vck_free(handle);
}

static void load_last_error(struct control_request *request)
{
    vck_spinlock_acquire(&request->handle->lock);
    memcpy(request->caller.last_error, request->handle->last_error,
           sizeof(request->caller.last_error));
    vck_spinlock_release(&request->handle->lock);
}

static void keep_last_error(struct control_request *request)
{
    vck_spinlock_acquire(&request->handle->lock);
    memcpy(request->handle->last_error, request->caller.last_error,
           sizeof(request->handle->last_error));
    vck_spinlock_release(&request->handle->lock);
}

/* ---- requests ---- */

/* Nobody reads the input a second time: the dispatcher works on the copy, and the buffer is only
 * written to. */
static vck_status copy_message(struct control_request *request)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(request->irp);
    size_t size_bytes = stack->Parameters.DeviceIoControl.InputBufferLength;
    uint8_t *input = request->irp->AssociatedIrp.SystemBuffer;

    if (size_bytes == 0)
        return VCK_OK;
    if (!input)
        return VCK_INVALID_DATA;
    if (size_bytes <= VCK_FRAME_BYTES_MAX) {
        request->message = vck_alloc_pages(size_bytes, REQUEST_TAG);
        if (request->message)
            memcpy(request->message, input, size_bytes);
    }
    vck_wipe(input, size_bytes);
    if (size_bytes > VCK_FRAME_BYTES_MAX)
        return VCK_INVALID_DATA;
    request->message_bytes = size_bytes;
    return request->message ? VCK_OK : VCK_NO_MEMORY;
}

vck_status control_request_create(PIRP irp, struct control_handle *handle, bool is_admin,
                                  struct control_request **ret_request)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct control_request *request = vck_alloc(sizeof(*request), REQUEST_TAG);
    vck_status status;

    if (!request)
        return VCK_NO_MEMORY;
    reference(handle);
    request->irp = irp;
    request->handle = handle;
    request->code = stack->Parameters.DeviceIoControl.IoControlCode;
    request->caller.can_read = handle->can_read;
    request->caller.can_write = handle->can_write;
    request->caller.is_admin = is_admin;
    request->caller.context = request;
    status = copy_message(request);
    if (status)
        control_request_destroy(request);
    else
        *ret_request = request;
    return status;
}

void control_request_destroy(struct control_request *request)
{
    if (request->message) {
        vck_wipe(request->message, request->message_bytes);
        vck_free_pages(request->message, request->message_bytes);
    }
    control_handle_release(request->handle);
    vck_free(request);
}

bool control_request_is_cancelled(const struct control_request *request)
{
    return __atomic_load_n(&request->irp->Cancel, __ATOMIC_ACQUIRE) ||
           __atomic_load_n(&request->handle->is_closed, __ATOMIC_ACQUIRE);
}

bool control_request_is_slow(const struct control_request *request)
{
    return vck_code_writes(request->code) || request->code == VCK_CODE_BENCH_AES;
}

struct performance {
    struct control_request *request;
    struct vck_control_host *host;
    uint32_t status;
    size_t size_bytes;
};

static VOID NTAPI perform(PVOID parameter) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct performance *p = parameter;
    struct control_request *request = p->request;
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(request->irp);
    uint8_t *output = request->irp->AssociatedIrp.SystemBuffer;
    size_t capacity_bytes = output ? stack->Parameters.DeviceIoControl.OutputBufferLength : 0;

    p->status = vck_control_handle(p->host, &request->caller, request->code, request->message,
                                   request->message_bytes, output, capacity_bytes, &p->size_bytes);
}

NTSTATUS control_request_perform(struct control_request *request, struct vck_control_host *host,
                                 size_t *ret_size_bytes)
{
    struct performance p = {.request = request, .host = host};
    NTSTATUS status;

    load_last_error(request);
    status = KeExpandKernelStackAndCalloutEx(perform, &p, STACK_BYTES, TRUE, NULL);
    if (!NT_SUCCESS(status))
        return STATUS_INSUFFICIENT_RESOURCES;
    if (p.status)
        keep_last_error(request);
    else
        *ret_size_bytes = p.size_bytes;
    return (NTSTATUS)p.status;
}
