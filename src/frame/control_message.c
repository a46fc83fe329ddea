/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed parts of messages:
 *
 *     binding   0 index | 4 name offset | 8 name bytes | 12 description offset | 16 its bytes
 *     state     0 interface | 4 phase | 8 MTU | 12 link | 16 bits/s | 24 address | 30 EtherType |
 *               32 the nine counters of struct vck_frame_statistics, in its order
 */
#include "vck/frame_control.h"

#define COUNTERS 9u

void vck_frame_binding_encode(const struct vck_frame_binding_message *message,
                              uint8_t out[VCK_FRAME_BINDING_MESSAGE_BYTES])
{
    vck_store_le32(out, message->index);
    vck_store_le32(out + 4, message->name_offset);
    vck_store_le32(out + 8, message->name_bytes);
    vck_store_le32(out + 12, message->description_offset);
    vck_store_le32(out + 16, message->description_bytes);
}

static bool is_within(uint32_t offset, uint32_t size, size_t whole)
{
    return offset <= whole && size <= whole - offset;
}

vck_status vck_frame_binding_decode(struct vck_bytes in,
                                    struct vck_frame_binding_message *ret_message)
{
    struct vck_frame_binding_message message;

    if (in.size_bytes < VCK_FRAME_BINDING_MESSAGE_BYTES)
        return VCK_SIZE_MISMATCH;
    message = (struct vck_frame_binding_message){
        .index = vck_load_le32(in.data),
        .name_offset = vck_load_le32(in.data + 4),
        .name_bytes = vck_load_le32(in.data + 8),
        .description_offset = vck_load_le32(in.data + 12),
        .description_bytes = vck_load_le32(in.data + 16),
    };
    if (!is_within(message.name_offset, message.name_bytes, in.size_bytes) ||
        !is_within(message.description_offset, message.description_bytes, in.size_bytes))
        return VCK_INVALID_DATA;
    *ret_message = message;
    return VCK_OK;
}

/* In the order of the wire. */
static void list_counters(struct vck_frame_statistics *s, uint64_t *ret_counters[COUNTERS])
{
    uint64_t *const counters[COUNTERS] = {
        &s->sent_frames,     &s->sent_bytes,       &s->send_failures,
        &s->received_frames, &s->received_bytes,   &s->dropped_frames,
        &s->filtered_frames, &s->truncated_frames, &s->port_dropped_frames,
    };

    memcpy(ret_counters, counters, sizeof(counters));
}

void vck_frame_state_encode(const struct vck_frame_state_message *message,
                            uint8_t out[VCK_FRAME_STATE_MESSAGE_BYTES])
{
    struct vck_frame_statistics statistics = message->statistics;
    uint64_t *counters[COUNTERS];

    list_counters(&statistics, counters);
    memset(out, 0, VCK_FRAME_STATE_MESSAGE_BYTES);
    vck_store_le32(out, message->interface_index);
    vck_store_le32(out + 4, message->phase);
    vck_store_le32(out + 8, message->mtu_bytes);
    vck_store_le32(out + 12, message->link);
    vck_store_le64(out + 16, message->bits_per_s);
    memcpy(out + 24, message->address, VCK_FRAME_ADDRESS_BYTES);
    vck_store_le16(out + 30, message->ether_type);
    for (size_t i = 0; i < COUNTERS; i++)
        vck_store_le64(out + 32 + 8 * i, *counters[i]);
}

vck_status vck_frame_state_decode(struct vck_bytes in, struct vck_frame_state_message *ret_message)
{
    struct vck_frame_state_message message;
    uint64_t *counters[COUNTERS];

    if (in.size_bytes != VCK_FRAME_STATE_MESSAGE_BYTES)
        return VCK_SIZE_MISMATCH;
    message = (struct vck_frame_state_message){
        .interface_index = vck_load_le32(in.data),
        .phase = vck_load_le32(in.data + 4),
        .mtu_bytes = vck_load_le32(in.data + 8),
        .link = vck_load_le32(in.data + 12),
        .bits_per_s = vck_load_le64(in.data + 16),
        .ether_type = vck_load_le16(in.data + 30),
    };
    if (message.phase >= VCK_FRAME_PHASE_COUNT || message.link > 3)
        return VCK_INVALID_DATA;
    memcpy(message.address, in.data + 24, VCK_FRAME_ADDRESS_BYTES);
    list_counters(&message.statistics, counters);
    for (size_t i = 0; i < COUNTERS; i++)
        *counters[i] = vck_load_le64(in.data + 32 + 8 * i);
    *ret_message = message;
    return VCK_OK;
}
