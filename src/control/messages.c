/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/messages.h"
#include "message_shape.h"

/* ---- the messages ---- */

#define FIELD(msg, member, field_type, need, most)                                                 \
    {                                                                                              \
        .name = #member, .type = (field_type), .required = (need),                                 \
        .offset = offsetof(struct vck_msg_##msg, member), .max = (most)                            \
    }
#define PATH(msg, member, need)        FIELD(msg, member, MESSAGE_STR, need, VCK_MSG_PATH_BYTES_MAX)
#define TEXT(msg, member, need)        FIELD(msg, member, MESSAGE_STR, need, VCK_MSG_TEXT_BYTES_MAX)
#define BYTES(msg, member, need, most) FIELD(msg, member, MESSAGE_BYTES, need, most)
#define U32(msg, member, need)         FIELD(msg, member, MESSAGE_U32, need, 0)
#define U64(msg, member, need)         FIELD(msg, member, MESSAGE_U64, need, 0)
#define BOOL(msg, member, need)        FIELD(msg, member, MESSAGE_BOOL, need, 0)
#define MAYBE_U32(msg, member)         FIELD(msg, member, MESSAGE_MAYBE_U32, false, 0)
#define MAYBE_U64(msg, member)         FIELD(msg, member, MESSAGE_MAYBE_U64, false, 0)

static const struct message_field volume_request_fields[] = {
    PATH(volume_request, volume_path, true),
};

static const struct message_field volume_status_fields[] = {
    PATH(volume_status, volume_path, true),      U32(volume_status, state, true),
    U64(volume_status, encrypted_sector, true),  U64(volume_status, total_sectors, true),
    U32(volume_status, sector_size, true),       BOOL(volume_status, is_attached, true),
    BOOL(volume_status, filter_below_fsd, true), U32(volume_status, direction, false),
    U64(volume_status, damaged_chunks, false),   U32(volume_status, rate_mib_s, false),
    U64(volume_status, bytes_per_s, false),      TEXT(volume_status, error, false),
    BOOL(volume_status, rekeying, false),        U64(volume_status, rekeyed_sector, false),
    BOOL(volume_status, is_suspended, false),    BOOL(volume_status, used_only, false),
    U64(volume_status, skipped_sectors, false),
};

static const struct message_field progress_event_fields[] = {
    U64(progress_event, encrypted_sector, true),
    U64(progress_event, total_sectors, true),
    U32(progress_event, state, true),
    TEXT(progress_event, error, false),
};

static const struct message_field prepare_request_fields[] = {
    PATH(prepare_request, volume_path, true),
    PATH(prepare_request, nt_device_path, false),
    MAYBE_U32(prepare_request, use_header),
    MAYBE_U32(prepare_request, use_footer),
    MAYBE_U32(prepare_request, metadata_size),
    BYTES(prepare_request, vmk, false, VCK_MSG_VMK_BYTES_MAX),
    BYTES(prepare_request, metadata_block, false, VCK_MSG_BLOCK_BYTES_MAX),
    BOOL(prepare_request, is_os_volume, false),
};

static const struct message_field prepare_response_fields[] = {
    U64(prepare_response, offset_sector, true),
    U64(prepare_response, data_sectors, true),
    U32(prepare_response, sector_size, true),
    PATH(prepare_response, raw_partition_path, false),
    PATH(prepare_response, raw_disk_path, false),
    MAYBE_U64(prepare_response, partition_start_lba),
    BOOL(prepare_response, fully_attached, false),
};

static const struct message_field attach_request_fields[] = {
    PATH(attach_request, volume_path, true),
    BYTES(attach_request, vmk, true, VCK_MSG_VMK_BYTES_MAX),
    MAYBE_U32(attach_request, use_header),
    MAYBE_U32(attach_request, use_footer),
    MAYBE_U32(attach_request, metadata_size),
    PATH(attach_request, nt_device_path, false),
    PATH(attach_request, raw_partition_path, false),
};

static const struct message_field attach_response_fields[] = {
    U64(attach_response, offset_sector, true),
    U64(attach_response, total_sectors, true),
    U32(attach_response, sector_size, true),
};

static const struct message_field volume_entry_fields[] = {
    PATH(volume_entry, volume_path, true),     U32(volume_entry, state, true),
    U64(volume_entry, encrypted_sector, true), U64(volume_entry, total_sectors, true),
    U32(volume_entry, sector_size, true),      BOOL(volume_entry, is_os_volume, true),
    BOOL(volume_entry, is_suspended, false),
};

static const struct message_field volume_list_fields[] = {
    FIELD(volume_list, volumes, MESSAGE_ENTRIES, true, VCK_MSG_COUNT_MAX),
};

static const struct message_field bench_request_fields[] = {
    U64(bench_request, size_bytes, false),
};

static const struct message_field bench_response_fields[] = {
    U64(bench_response, size_bytes, true),
    U64(bench_response, encrypt_mib_s, true),
    U64(bench_response, decrypt_mib_s, true),
};

static const struct message_field rate_request_fields[] = {
    PATH(rate_request, volume_path, true),
    U32(rate_request, mib_per_s, true),
};

static const struct message_field damage_list_fields[] = {
    U32(damage_list, chunk_bytes, true),
    FIELD(damage_list, offsets, MESSAGE_U64S, true, VCK_MSG_COUNT_MAX),
};

static const struct message_field text_fields[] = {
    TEXT(text, text, true),
};

static const struct message_field keys_request_fields[] = {
    PATH(keys_request, volume_path, true),
    U64(keys_request, base_generation, true),
    BYTES(keys_request, table, true, VCK_MSG_TABLE_BYTES_MAX),
    BOOL(keys_request, start_over, false),
    BYTES(keys_request, vmk, false, VCK_MSG_VMK_BYTES_MAX),
    BYTES(keys_request, new_vmk, false, VCK_MSG_VMK_BYTES_MAX),
};

static const struct message_field keys_response_fields[] = {
    U64(keys_response, generation, true),
    U32(keys_response, replicas, true),
    U32(keys_response, failed_replicas, true),
};

static const struct message_field wake_request_fields[] = {
    PATH(wake_request, volume_path, true),
    BYTES(wake_request, vmk, true, VCK_MSG_VMK_BYTES_MAX),
};

static const struct message_field metadata_request_fields[] = {
    PATH(metadata_request, volume_path, true),
    U64(metadata_request, offset_bytes, true),
    U32(metadata_request, size_bytes, true),
};

static const struct message_field metadata_response_fields[] = {
    U64(metadata_response, disk_bytes, true),
    U32(metadata_response, sector_size, true),
    BYTES(metadata_response, metadata, true, VCK_MSG_METADATA_BYTES_MAX),
};

static const struct message_field used_recording_fields[] = {
    U64(used_recording, recording, true),
};

static const struct message_field used_request_fields[] = {
    PATH(used_request, volume_path, true),
    U64(used_request, recording, true),
    BYTES(used_request, ranges, false, VCK_MSG_RANGES_BYTES_MAX),
};

#define CHECK_SIZE(msg) _Static_assert(sizeof(struct vck_msg_##msg) <= MESSAGE_BYTES_MAX, #msg)
CHECK_SIZE(volume_status);
CHECK_SIZE(prepare_request);
CHECK_SIZE(prepare_response);
CHECK_SIZE(attach_request);

#define SHAPE(msg)                                                                                 \
    {                                                                                              \
        .fields = msg##_fields, .count = VCK_ARRAY_COUNT(msg##_fields),                            \
        .size_bytes = sizeof(struct vck_msg_##msg)                                                 \
    }

static const struct message_shape shapes[VCK_MESSAGE_TYPE_COUNT] = {
    [VCK_MESSAGE_EMPTY] = {.size_bytes = sizeof(struct vck_msg_empty)},
    [VCK_MESSAGE_VOLUME_REQUEST] = SHAPE(volume_request),
    [VCK_MESSAGE_VOLUME_STATUS] = SHAPE(volume_status),
    [VCK_MESSAGE_PROGRESS_EVENT] = SHAPE(progress_event),
    [VCK_MESSAGE_PREPARE_REQUEST] = SHAPE(prepare_request),
    [VCK_MESSAGE_PREPARE_RESPONSE] = SHAPE(prepare_response),
    [VCK_MESSAGE_ATTACH_REQUEST] = SHAPE(attach_request),
    [VCK_MESSAGE_ATTACH_RESPONSE] = SHAPE(attach_response),
    [VCK_MESSAGE_VOLUME_LIST] = SHAPE(volume_list),
    [VCK_MESSAGE_BENCH_REQUEST] = SHAPE(bench_request),
    [VCK_MESSAGE_BENCH_RESPONSE] = SHAPE(bench_response),
    [VCK_MESSAGE_RATE_REQUEST] = SHAPE(rate_request),
    [VCK_MESSAGE_DAMAGE_LIST] = SHAPE(damage_list),
    [VCK_MESSAGE_TEXT] = SHAPE(text),
    [VCK_MESSAGE_KEYS_REQUEST] = SHAPE(keys_request),
    [VCK_MESSAGE_KEYS_RESPONSE] = SHAPE(keys_response),
    [VCK_MESSAGE_WAKE_REQUEST] = SHAPE(wake_request),
    [VCK_MESSAGE_METADATA_REQUEST] = SHAPE(metadata_request),
    [VCK_MESSAGE_METADATA_RESPONSE] = SHAPE(metadata_response),
    [VCK_MESSAGE_USED_RECORDING] = SHAPE(used_recording),
    [VCK_MESSAGE_USED_REQUEST] = SHAPE(used_request),
};

const struct message_shape message_entry_shape = SHAPE(volume_entry);

/* ---- the public forms ---- */

static vck_status fault_status(const struct vck_message_fault *fault,
                               struct vck_message_fault *ret_fault)
{
    if (ret_fault)
        *ret_fault = *fault;
    return fault->kind == VCK_MESSAGE_NO_FAULT ? VCK_OK : VCK_INVALID_DATA;
}

vck_status vck_message_decode(enum vck_message_type type, uint8_t *buffer, size_t size_bytes,
                              void *ret_message, struct vck_message_fault *ret_fault)
{
    struct vck_message_fault fault = {0};

    if (type == VCK_MESSAGE_NONE) {
        /* Nothing, or a map in which nothing is known. */
        if (size_bytes > 0)
            message_decode(&shapes[VCK_MESSAGE_EMPTY], buffer, size_bytes, ret_message, &fault);
    } else {
        message_decode(&shapes[type], buffer, size_bytes, ret_message, &fault);
    }
    return fault_status(&fault, ret_fault);
}

vck_status vck_message_encode(enum vck_message_type type, const void *message, uint8_t *buffer,
                              size_t capacity_bytes, size_t *ret_size_bytes)
{
    if (type == VCK_MESSAGE_NONE) {
        *ret_size_bytes = 0;
        return VCK_OK;
    }
    return message_encode(&shapes[type], message, buffer, capacity_bytes, ret_size_bytes);
}

const char *vck_message_fault_text(enum vck_message_fault_kind kind)
{
    static const char *const texts[] = {
        [VCK_MESSAGE_NO_FAULT] = "is well formed",
        [VCK_MESSAGE_FAULT_MALFORMED] = "is not MessagePack or is cut short",
        [VCK_MESSAGE_FAULT_NOT_A_MAP] = "is not a map",
        [VCK_MESSAGE_FAULT_KEY] = "has a key that is not a string",
        [VCK_MESSAGE_FAULT_TYPE] = "has the wrong type",
        [VCK_MESSAGE_FAULT_RANGE] = "does not fit its integer",
        [VCK_MESSAGE_FAULT_LENGTH] = "is too long",
        [VCK_MESSAGE_FAULT_TEXT] = "is not UTF-8 text or holds a zero byte",
        [VCK_MESSAGE_FAULT_REPEATED] = "is there twice",
        [VCK_MESSAGE_FAULT_MISSING] = "is missing",
        [VCK_MESSAGE_FAULT_TRAILING] = "has bytes after its end",
    };

    return (size_t)kind < VCK_ARRAY_COUNT(texts) ? texts[kind] : "is wrong";
}
