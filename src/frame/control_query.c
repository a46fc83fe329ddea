/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that ask: adapters their numbers, the room what it knows; and those that wait.
 */
#include "control_internal.h"
#include "vck/utf.h"

#define INFO_TAG VCK_TAG('V', 'f', 'i', 'n')

/* ---- requests ---- */

static void oid_queried(struct vck_frame_call *inner)
{
    struct vck_frame_control_call *call = vck_frame_control_of(inner);

    if (inner->status == VCK_SIZE_MISMATCH) {
        vck_frame_control_finish_short(call, "the answer is longer than the buffer");
        return;
    }
    if (inner->status == VCK_OK) {
        vck_store_le32(call->out, call->oid);
        vck_store_le32(call->out + 4, 0);
        call->done_bytes = VCK_FRAME_OID_MESSAGE_BYTES + inner->done_bytes;
    }
    vck_frame_control_ended(inner);
}

void vck_frame_control_query_oid(struct vck_frame_control_call *call)
{
    struct vck_frame_binding *binding;

    if (call->in_bytes < VCK_FRAME_OID_MESSAGE_BYTES) {
        vck_frame_control_refuse(call, VCK_INVALID_DATA,
                                 "a number (OID) and a port, four bytes each, are expected");
        return;
    }
    if (call->out_bytes < VCK_FRAME_OID_MESSAGE_BYTES) {
        vck_frame_control_finish_short(call, "the answer is longer than the buffer");
        return;
    }
    call->oid = vck_load_le32(call->in);
    if (!vck_frame_oid_may_query(call->oid)) {
        vck_frame_control_refuse(call, VCK_PERMISSION_DENIED, "this number may not be asked for");
        return;
    }
    binding = vck_frame_control_enter(call);
    if (!binding)
        return;
    vck_frame_query_init(&call->call, binding, call->oid, call->out + VCK_FRAME_OID_MESSAGE_BYTES,
                         call->out_bytes - VCK_FRAME_OID_MESSAGE_BYTES);
    vck_frame_control_begin(call, oid_queried);
    vck_frame_binding_put(binding);
}

static void oid_set(struct vck_frame_call *inner)
{
    if (inner->status == VCK_SIZE_MISMATCH)
        vck_frame_control_refuse(vck_frame_control_of(inner), VCK_SIZE_MISMATCH,
                                 "the adapter takes data of another length");
    else
        vck_frame_control_ended(inner);
}

static bool is_promiscuous(uint32_t oid, const uint8_t *data)
{
    return oid == VCK_OID_GEN_CURRENT_PACKET_FILTER &&
           (vck_load_le32(data) & VCK_FRAME_FILTER_PROMISCUOUS) != 0;
}

void vck_frame_control_set_oid(struct vck_frame_control_call *call)
{
    const uint8_t *data = call->in + VCK_FRAME_OID_MESSAGE_BYTES;
    struct vck_frame_binding *binding;
    size_t size_bytes;

    if (call->in_bytes < VCK_FRAME_OID_MESSAGE_BYTES) {
        vck_frame_control_refuse(call, VCK_INVALID_DATA,
                                 "a number (OID) and a port, four bytes each, are expected");
        return;
    }
    call->oid = vck_load_le32(call->in);
    size_bytes = call->in_bytes - VCK_FRAME_OID_MESSAGE_BYTES;
    if (size_bytes > UINT32_MAX || !vck_frame_oid_may_set(call->oid, data, (uint32_t)size_bytes)) {
        vck_frame_control_refuse(call, VCK_PERMISSION_DENIED,
                                 "this number may not be set, or not to this");
        return;
    }
    if (is_promiscuous(call->oid, data) && !call->handle->is_admin) {
        vck_frame_control_refuse(call, VCK_PERMISSION_DENIED,
                                 "only administrators may see the frames of others");
        return;
    }
    binding = vck_frame_control_enter(call);
    if (!binding)
        return;
    vck_frame_set_init(&call->call, binding, call->oid, data, size_bytes);
    vck_frame_control_begin(call, oid_set);
    vck_frame_binding_put(binding);
}

/* ---- what is there ---- */

/* Appends a zero-terminated text in UTF-16 with its zero; false: there is no room. */
static bool append(struct vck_frame_control_call *call, size_t *at, const char *text,
                   uint32_t *ret_offset, uint32_t *ret_size)
{
    size_t left = call->out_bytes - *at;
    size_t size = 0;

    if (left < 2 || vck_utf8_to_utf16le((struct vck_bytes){(const uint8_t *)text, strlen(text)},
                                        call->out + *at, left - 2, &size) != VCK_OK)
        return false;
    vck_store_le16(call->out + *at + size, 0);
    *ret_offset = (uint32_t)*at;
    *ret_size = (uint32_t)size + 2;
    *at += size + 2;
    return true;
}

static void describe(struct vck_frame_control_call *call, uint32_t index,
                     const struct vck_frame_info *info)
{
    struct vck_frame_binding_message message = {.index = index};
    size_t at = VCK_FRAME_BINDING_MESSAGE_BYTES;

    if (!append(call, &at, info->name, &message.name_offset, &message.name_bytes) ||
        !append(call, &at, info->description, &message.description_offset,
                &message.description_bytes)) {
        vck_frame_control_finish_short(call, "the names are longer than the buffer");
        return;
    }
    vck_frame_binding_encode(&message, call->out);
    call->done_bytes = at;
    vck_frame_control_finish(call, VCK_OK);
}

void vck_frame_control_query_binding(struct vck_frame_control_call *call)
{
    struct vck_frame_binding *binding;
    struct vck_frame_info *info;
    uint32_t index;

    if (call->in_bytes < 4) {
        vck_frame_control_refuse(call, VCK_INVALID_DATA,
                                 "the number of a binding, four bytes, is expected");
        return;
    }
    if (call->out_bytes < VCK_FRAME_BINDING_MESSAGE_BYTES) {
        vck_frame_control_finish_short(call, "the names are longer than the buffer");
        return;
    }
    index = vck_load_le32(call->in);
    if (vck_frame_binding_at(call->handle->protocol, index, &binding) != VCK_OK) {
        vck_frame_control_refuse(call, VCK_NOT_FOUND, "there are not so many bindings");
        return;
    }
    /* Not on the stack, which is small in a kernel. */
    info = vck_alloc(sizeof(*info), INFO_TAG);
    if (info) {
        vck_frame_binding_info(binding, info);
        describe(call, index, info);
    } else {
        vck_frame_control_finish(call, VCK_NO_MEMORY);
    }
    vck_free(info);
    vck_frame_binding_put(binding);
}

static void encode_state(struct vck_frame_binding *binding, uint16_t ether_type,
                         const struct vck_frame_info *info, uint8_t *out)
{
    struct vck_frame_state_message message = {
        .interface_index = info->index,
        .phase = (uint32_t)info->phase,
        .mtu_bytes = info->mtu_bytes,
        .link = (uint32_t)info->link.is_known | (uint32_t)info->link.is_up << 1,
        .bits_per_s = info->link.bits_per_s,
        .ether_type = ether_type,
    };

    memcpy(message.address, info->address, sizeof(message.address));
    vck_frame_binding_statistics(binding, &message.statistics);
    vck_frame_state_encode(&message, out);
}

void vck_frame_control_query_state(struct vck_frame_control_call *call)
{
    struct vck_frame_binding *binding;
    struct vck_frame_info *info;

    if (call->out_bytes < VCK_FRAME_STATE_MESSAGE_BYTES) {
        vck_frame_control_finish_short(call, "the state has 104 bytes");
        return;
    }
    binding = vck_frame_control_enter(call);
    if (!binding)
        return;
    info = vck_alloc(sizeof(*info), INFO_TAG);
    if (info) {
        vck_frame_binding_info(binding, info);
        encode_state(binding, __atomic_load_n(&call->handle->ether_type, __ATOMIC_RELAXED), info,
                     call->out);
        call->done_bytes = VCK_FRAME_STATE_MESSAGE_BYTES;
    }
    vck_frame_control_finish(call, info ? VCK_OK : VCK_NO_MEMORY);
    vck_free(info);
    vck_frame_binding_put(binding);
}

void vck_frame_control_set_ether_type(struct vck_frame_control_call *call)
{
    struct vck_frame_handle *handle = call->handle;
    uint16_t ether_type;

    if (call->in_bytes != 2) {
        vck_frame_control_refuse(call, VCK_INVALID_DATA, "an EtherType, two bytes, is expected");
        return;
    }
    ether_type = vck_load_le16(call->in);
    vck_spinlock_acquire(&handle->lock);
    __atomic_store_n(&handle->ether_type, ether_type, __ATOMIC_RELAXED);
    if (handle->phase == HANDLE_OPENED)
        vck_frame_set_ether_type(&handle->opener, ether_type);
    vck_spinlock_release(&handle->lock);
    vck_frame_control_finish(call, VCK_OK);
}

/* ---- waiting ---- */

static void status_told(struct vck_frame_call *inner)
{
    struct vck_frame_control_call *call = vck_frame_control_of(inner);

    if (inner->status != VCK_OK && inner->status != VCK_SIZE_MISMATCH) {
        vck_frame_control_ended(inner);
        return;
    }
    vck_store_le32(call->out, inner->code);
    vck_store_le32(call->out + 4, VCK_FRAME_STATUS_MESSAGE_BYTES);
    vck_store_le32(call->out + 8, (uint32_t)inner->done_bytes);
    call->done_bytes = VCK_FRAME_STATUS_MESSAGE_BYTES + inner->done_bytes;
    call->nt = inner->status == VCK_OK ? 0 : VCK_FRAME_NT_TRUNCATED;
    vck_frame_control_put(call);
}

void vck_frame_control_indicate_status(struct vck_frame_control_call *call)
{
    struct vck_frame_binding *binding;

    if (call->out_bytes < VCK_FRAME_STATUS_MESSAGE_BYTES) {
        vck_frame_control_finish_short(call, "a status has 12 bytes and its data");
        return;
    }
    binding = vck_frame_control_enter(call);
    if (!binding)
        return;
    vck_frame_status_init(&call->call, &(struct vck_frame_opener){.binding = binding},
                          call->out + VCK_FRAME_STATUS_MESSAGE_BYTES,
                          call->out_bytes - VCK_FRAME_STATUS_MESSAGE_BYTES);
    vck_frame_control_begin_as_opener(call, status_told);
}

void vck_frame_control_bind_wait(struct vck_frame_control_call *call)
{
    vck_frame_binds_init(&call->call, call->handle->protocol);
    vck_frame_control_begin(call, vck_frame_control_ended);
}
