/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"
#include "port/nt/control_object.h"
#include "port/nt/irp_pending.h"
#include "vck/bytes.h"
#include "vck/frame_control.h"
#include "vck/holds.h"

#define DEVICE_TAG VCK_TAG('V', 'n', 'd', 'p')

static struct {
    PDEVICE_OBJECT device; /* NULL: not started */
    struct vck_frame_protocol *protocol;
    bool is_published;
} prot;

/* An open file. Counted: requests outlive its close where the system does not wait for them. */
struct file {
    struct vck_frame_handle handle; /* first */
    uint32_t references;
    uint32_t is_cleaned; /* atomic */
};

/* A request under way. */
struct request {
    struct vck_irp_pending pending;
    struct vck_frame_control_call call;
    struct file *file;
    uint32_t references; /* who begins it, and the IRP */
    uint32_t is_begun;   /* atomic: there is a call to cancel */
    uint32_t is_cancelled;
};

static NTSTATUS complete(PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* ---- files ---- */

static struct file *file_of(PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    return stack->FileObject ? stack->FileObject->FsContext : NULL;
}

static void release_file(struct file *file)
{
    if (vck_holds_put(&file->references))
        vck_free(file);
}

static NTSTATUS open_file(PIRP irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    ACCESS_MASK access = vck_nt_granted_access(stack);
    struct file *file;

    if (!stack->FileObject)
        return STATUS_INVALID_PARAMETER;
    if (stack->FileObject->FileName.Length)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    file = vck_alloc(sizeof(*file), DEVICE_TAG);
    if (!file)
        return STATUS_INSUFFICIENT_RESOURCES;
    file->references = 1;
    vck_frame_handle_init(&file->handle, prot.protocol);
    file->handle.can_read = (access & FILE_READ_DATA) != 0;
    file->handle.can_write = (access & FILE_WRITE_DATA) != 0;
    /* The device's descriptor lets nobody else write. */
    file->handle.is_admin = file->handle.can_write;
    stack->FileObject->FsContext = file;
    return STATUS_SUCCESS;
}

static NTSTATUS clean_up(PIRP irp) VCK_CAN_WAIT
{
    struct file *file = file_of(irp);

    if (file && !__atomic_exchange_n(&file->is_cleaned, 1, __ATOMIC_ACQ_REL))
        vck_frame_handle_cleanup(&file->handle);
    return STATUS_SUCCESS;
}

static NTSTATUS close_file(PIRP irp) VCK_CAN_WAIT
{
    struct file *file = file_of(irp);

    (void)clean_up(irp);
    if (file) {
        IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext = NULL;
        release_file(file);
    }
    return STATUS_SUCCESS;
}

/* ---- requests ---- */

static void release_request(struct request *request)
{
    if (!vck_holds_put(&request->references))
        return;
    release_file(request->file);
    vck_free(request);
}

/* Either this or the one who begins sees that both have happened. */
static void cancelled(struct vck_irp_pending *pending)
{
    struct request *request = VCK_CONTAINER_OF(pending, struct request, pending);

    __atomic_store_n(&request->is_cancelled, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&request->is_begun, __ATOMIC_SEQ_CST))
        vck_frame_control_cancel(&request->call);
}

static void gone(struct vck_irp_pending *pending)
{
    release_request(VCK_CONTAINER_OF(pending, struct request, pending));
}

static void done(struct vck_frame_control_call *call)
{
    struct request *request = VCK_CONTAINER_OF(call, struct request, call);

    vck_irp_pending_end(&request->pending, (NTSTATUS)call->nt, call->done_bytes);
}

/* The frame of a read or a write. */
static NTSTATUS map_frame(PIRP irp, uint8_t **ret_frame)
{
    *ret_frame = NULL;
    if (irp->MdlAddress)
        *ret_frame =
            MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute);
    return irp->MdlAddress && !*ret_frame ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;
}

static NTSTATUS describe(PIRP irp, struct vck_frame_control_call *call)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    uint8_t *frame = irp->AssociatedIrp.SystemBuffer;
    NTSTATUS status = STATUS_SUCCESS;

    switch (stack->MajorFunction) {
    case IRP_MJ_READ:
        status = map_frame(irp, &frame);
        call->code = VCK_FRAME_CODE_READ;
        call->out = frame;
        call->out_bytes = frame ? stack->Parameters.Read.Length : 0;
        break;
    case IRP_MJ_WRITE:
        status = map_frame(irp, &frame);
        call->code = VCK_FRAME_CODE_WRITE;
        call->in = frame;
        call->in_bytes = frame ? stack->Parameters.Write.Length : 0;
        call->in_chain = (struct vck_descriptor *)(void *)irp->MdlAddress;
        break;
    default:
        call->code = stack->Parameters.DeviceIoControl.IoControlCode;
        call->in = call->out = frame;
        call->in_bytes = frame ? stack->Parameters.DeviceIoControl.InputBufferLength : 0;
        call->out_bytes = frame ? stack->Parameters.DeviceIoControl.OutputBufferLength : 0;
        break;
    }
    return status;
}

static NTSTATUS begin_request(PIRP irp) VCK_CAN_WAIT
{
    struct file *file = file_of(irp);
    struct request *request;
    NTSTATUS status;

    if (!file)
        return STATUS_INVALID_HANDLE;
    request = vck_alloc(sizeof(*request), DEVICE_TAG);
    if (!request)
        return STATUS_INSUFFICIENT_RESOURCES;
    request->call.handle = &file->handle;
    request->call.done = done;
    status = describe(irp, &request->call);
    if (status) {
        vck_free(request);
        return status;
    }
    __atomic_fetch_add(&file->references, 1, __ATOMIC_RELAXED);
    request->file = file;
    request->references = 2;
    vck_irp_pending_begin(&request->pending, irp, cancelled, gone);
    vck_frame_control_start(&request->call);
    __atomic_store_n(&request->is_begun, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&request->is_cancelled, __ATOMIC_SEQ_CST))
        vck_frame_control_cancel(&request->call);
    release_request(request);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    NTSTATUS status = STATUS_INVALID_DEVICE_REQUEST;

    (void)device;
    switch (IoGetCurrentIrpStackLocation(irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        status = open_file(irp);
        break;
    case IRP_MJ_CLEANUP:
        status = clean_up(irp);
        break;
    case IRP_MJ_CLOSE:
        status = close_file(irp);
        break;
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
    case IRP_MJ_DEVICE_CONTROL:
        status = begin_request(irp);
        break;
    default:
        break;
    }
    return status == STATUS_PENDING ? status : complete(irp, status);
}

/* ---- up and down ---- */

vck_status device_start(PDRIVER_OBJECT driver, struct vck_frame_protocol *protocol)
{
    vck_status status = vck_nt_device_create(driver, NDISPROT_DEVICE_NAME, 0, &prot.device);

    if (status)
        return status;
    prot.protocol = protocol;
    prot.device->Flags |= DO_DIRECT_IO;
    for (size_t i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver->MajorFunction[i] = dispatch;
    return VCK_OK;
}

vck_status device_publish(void)
{
    vck_status status = vck_nt_link_create(NDISPROT_DEVICE_LINK, NDISPROT_DEVICE_NAME);

    prot.is_published = status == VCK_OK;
    if (prot.is_published)
        prot.device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return status;
}

void device_hide(void)
{
    if (prot.is_published)
        vck_nt_link_delete(NDISPROT_DEVICE_LINK);
    prot.is_published = false;
}

void device_stop(void)
{
    if (prot.device)
        IoDeleteDevice(prot.device);
    prot.device = NULL;
}
