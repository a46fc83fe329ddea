/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that open an adapter, read frames and write them.
 */
#include "control_internal.h"
#include "vck/utf.h"

/* ---- opening ---- */

static void set_phase(struct vck_frame_handle *handle, enum handle_phase phase)
{
    vck_spinlock_acquire(&handle->lock);
    if (handle->phase != HANDLE_ENDED)
        handle->phase = (uint8_t)phase;
    vck_spinlock_release(&handle->lock);
}

static void close_and_finish(struct vck_work *work) VCK_NO_ANALYSIS
{
    struct vck_frame_control_call *call =
        VCK_CONTAINER_OF(work, struct vck_frame_control_call, work);

    vck_frame_close(&call->handle->opener);
    set_phase(call->handle, HANDLE_NEW);
    vck_frame_control_refuse(call, call->status, vck_frame_control_explain(call->status));
}

/* The filter is set: frames come. Otherwise, or when the handle has ended meanwhile, the binding is
 * given back, which may have to wait for another level. */
static void filter_set(struct vck_frame_call *inner)
{
    struct vck_frame_control_call *call = vck_frame_control_of(inner);
    struct vck_frame_handle *handle = call->handle;

    call->status = inner->status;
    vck_spinlock_acquire(&handle->lock);
    if (handle->phase == HANDLE_ENDED && call->status == VCK_OK)
        call->status = VCK_CANCELLED;
    if (call->status == VCK_OK)
        handle->phase = HANDLE_OPENED;
    vck_spinlock_release(&handle->lock);
    if (call->status == VCK_OK)
        vck_frame_control_finish(call, VCK_OK);
    else
        vck_defer(&call->work, close_and_finish);
}

/* UTF-16, with or without zeros at its end. */
static vck_status decode_name(const struct vck_frame_control_call *call,
                              uint8_t utf8[VCK_FRAME_NAME_BYTES], size_t *ret_size_bytes)
{
    struct vck_bytes name = {call->in, call->in_bytes};

    while (name.size_bytes >= 2 && vck_load_le16(name.data + name.size_bytes - 2) == 0)
        name.size_bytes -= 2;
    if (name.size_bytes == 0)
        return VCK_INVALID_DATA;
    return vck_utf16le_to_utf8(name, utf8, VCK_FRAME_NAME_BYTES, ret_size_bytes);
}

static vck_status claim(struct vck_frame_control_call *call, struct vck_bytes name) VCK_CAN_WAIT
{
    struct vck_frame_handle *handle = call->handle;
    vck_status status = VCK_OK;

    vck_spinlock_acquire(&handle->lock);
    if (handle->phase == HANDLE_NEW)
        handle->phase = HANDLE_OPENING;
    else
        status = handle->phase == HANDLE_ENDED ? VCK_CANCELLED : VCK_ALREADY_EXISTS;
    vck_spinlock_release(&handle->lock);
    if (status)
        return status;
    status =
        vck_frame_open(handle->protocol, name,
                       __atomic_load_n(&handle->ether_type, __ATOMIC_RELAXED), &handle->opener);
    if (status)
        set_phase(handle, HANDLE_NEW);
    return status;
}

static const char *explain_open(vck_status status)
{
    switch (status) {
    case VCK_NOT_FOUND:
        return "no adapter of that name is bound";
    case VCK_BUSY:
        return "another handle has the adapter open";
    case VCK_ALREADY_EXISTS:
        return "this handle has an adapter open";
    case VCK_NOT_READY:
        return "the protocol is not running";
    default:
        return vck_frame_control_explain(status);
    }
}

void vck_frame_control_open_device(struct vck_frame_control_call *call) VCK_CAN_WAIT
{
    uint8_t utf8[VCK_FRAME_NAME_BYTES];
    struct vck_bytes name = {utf8, 0};
    vck_status status = decode_name(call, utf8, &name.size_bytes);

    if (status) {
        vck_frame_control_refuse(call, VCK_INVALID_DATA, "an adapter's name in UTF-16 is expected");
        return;
    }
    status = claim(call, name);
    if (status) {
        vck_frame_control_refuse(call, status, explain_open(status));
        return;
    }
    vck_store_le32(call->data, VCK_FRAME_FILTER_DEFAULT);
    vck_frame_set_init(&call->call, call->handle->opener.binding, VCK_OID_GEN_CURRENT_PACKET_FILTER,
                       call->data, sizeof(call->data));
    vck_frame_control_begin(call, filter_set);
}

/* ---- frames ---- */

static void frame_read(struct vck_frame_call *inner)
{
    struct vck_frame_control_call *call = vck_frame_control_of(inner);

    call->done_bytes = inner->done_bytes;
    if (inner->status != VCK_SIZE_MISMATCH) {
        vck_frame_control_ended(inner);
        return;
    }
    call->nt = VCK_FRAME_NT_TRUNCATED;
    vck_frame_control_put(call);
}

void vck_frame_control_read_frame(struct vck_frame_control_call *call)
{
    struct vck_frame_binding *binding;

    if (call->out_bytes == 0) {
        vck_frame_control_finish_short(call, "a read needs room for a frame");
        return;
    }
    binding = vck_frame_control_enter(call);
    if (!binding)
        return;
    vck_frame_read_init(&call->call, &(struct vck_frame_opener){.binding = binding}, call->out,
                        call->out_bytes);
    vck_frame_control_begin_as_opener(call, frame_read);
}

static void frame_written(struct vck_frame_call *inner)
{
    struct vck_frame_control_call *call = vck_frame_control_of(inner);

    if (inner->status == VCK_OK)
        call->done_bytes = call->in_bytes;
    if (inner->status == VCK_INVALID_DATA)
        vck_frame_control_refuse(
            call, VCK_INVALID_DATA,
            "a frame has 14 bytes or more, and the adapter's own source address");
    else if (inner->status == VCK_SIZE_MISMATCH)
        vck_frame_control_refuse(call, VCK_SIZE_MISMATCH,
                                 "the frame is longer than the adapter's MTU");
    else
        vck_frame_control_ended(inner);
}

void vck_frame_control_write_frame(struct vck_frame_control_call *call)
{
    struct vck_descriptor *chain = call->in_chain;
    struct vck_frame_binding *binding;

    if (call->in_bytes > UINT32_MAX) {
        vck_frame_control_refuse(call, VCK_SIZE_MISMATCH,
                                 "the frame is longer than the adapter's MTU");
        return;
    }
    binding = vck_frame_control_enter(call);
    if (!binding)
        return;
    if (!chain) {
        chain = &call->descriptor;
        vck_descriptor_init(chain, (void *)(uintptr_t)call->in, (uint32_t)call->in_bytes);
    }
    vck_frame_send_init(&call->call, &(struct vck_frame_opener){.binding = binding}, chain, 0,
                        (uint32_t)call->in_bytes, 0);
    vck_frame_control_begin_as_opener(call, frame_written);
}
