/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/handover.h"
#include "boot_map.h"

#define NAME_PARTITION_GUID "partition_guid"
#define NAME_VMK            "vmk"

static bool is_vmk_size(size_t size_bytes)
{
    return size_bytes > 0 && size_bytes <= VCK_HANDOVER_VMK_BYTES_MAX;
}

static vck_status read_guid_bytes(struct vck_msgpack_reader *reader, struct vck_guid *ret_guid)
{
    struct vck_guid guid;
    size_t size_bytes;
    vck_status status =
        vck_msgpack_read_bin_into(reader, guid.bytes, sizeof(guid.bytes), &size_bytes);
    if (status || size_bytes != sizeof(guid.bytes))
        return VCK_INVALID_DATA;
    *ret_guid = guid;
    return VCK_OK;
}

static vck_status read_guid(struct vck_msgpack_reader *reader, void *message)
{
    struct vck_handover *handover = message;
    struct vck_bytes text;
    vck_status status;
    if (vck_msgpack_peek(reader) != VCK_MSGPACK_STR) {
        status = read_guid_bytes(reader, &handover->partition_guid);
    } else {
        status = vck_msgpack_read_str(reader, &text);
        if (status == VCK_OK)
            status = vck_guid_parse(text, &handover->partition_guid);
    }
    if (status == VCK_OK && vck_guid_is_zero(&handover->partition_guid))
        status = VCK_INVALID_DATA;
    return status;
}

/* How many bytes the key has, in either form. */
static vck_status measure_vmk(struct vck_msgpack_reader reader, size_t *ret_size_bytes)
{
    struct vck_bytes bin = {0};
    vck_status status;
    if (vck_msgpack_peek(&reader) == VCK_MSGPACK_ARRAY) {
        status = vck_msgpack_read_array(&reader, &bin.size_bytes);
    } else {
        status = vck_msgpack_read_bin(&reader, &bin);
    }
    if (status == VCK_OK)
        *ret_size_bytes = bin.size_bytes;
    return status;
}

/* Straight into the memory that stays: no copy is left anywhere else. */
static vck_status read_vmk(struct vck_msgpack_reader *reader, void *message)
{
    struct vck_handover *handover = message;
    size_t size_bytes;
    vck_status status = measure_vmk(*reader, &size_bytes);
    if (status)
        return status;
    if (!is_vmk_size(size_bytes))
        return VCK_SIZE_MISMATCH;
    status = vck_secret_init(&handover->vmk, size_bytes);
    if (status)
        return status;
    return vck_msgpack_read_bin_into(reader, handover->vmk.data, size_bytes, &size_bytes);
}

vck_status vck_handover_decode(struct vck_bytes payload, struct vck_handover *ret_handover)
{
    static const struct boot_field fields[] = {
        {NAME_PARTITION_GUID, read_guid},
        {NAME_VMK, read_vmk},
    };
    struct vck_handover handover = {0};
    if (payload.size_bytes == 0 || payload.size_bytes > VCK_HANDOVER_BYTES_MAX)
        return VCK_SIZE_MISMATCH;
    vck_status status = boot_map_read(payload, fields, VCK_ARRAY_COUNT(fields), &handover);
    if (status)
        vck_handover_fini(&handover);
    else
        *ret_handover = handover;
    return status;
}

vck_status vck_handover_take(void *payload, size_t size_bytes, struct vck_handover *ret_handover)
{
    struct vck_bytes bytes = {payload, size_bytes};
    vck_status status = vck_handover_decode(bytes, ret_handover);
    vck_wipe(payload, size_bytes);
    return status;
}

vck_status vck_handover_encode(const struct vck_handover *handover, uint8_t *out,
                               size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct vck_msgpack_writer writer;
    if (vck_guid_is_zero(&handover->partition_guid) || !is_vmk_size(handover->vmk.size_bytes))
        return VCK_INVALID_DATA;
    vck_msgpack_writer_init(&writer, out, capacity_bytes);
    vck_msgpack_write_map(&writer, 2);
    vck_msgpack_write_cstr(&writer, NAME_PARTITION_GUID);
    vck_msgpack_write_bin(&writer, handover->partition_guid.bytes, VCK_GUID_SIZE_BYTES);
    vck_msgpack_write_cstr(&writer, NAME_VMK);
    vck_msgpack_write_bin(&writer, handover->vmk.data, handover->vmk.size_bytes);
    vck_status status = vck_msgpack_writer_finish(&writer, ret_size_bytes);
    if (status)
        vck_wipe(out, capacity_bytes);
    return status;
}

bool vck_handover_matches(const struct vck_handover *handover, const struct vck_guid *partition)
{
    return handover->vmk.size_bytes > 0 && !vck_guid_is_zero(partition) &&
           vck_guid_equal(&handover->partition_guid, partition);
}

void vck_handover_fini(struct vck_handover *handover)
{
    vck_secret_fini(&handover->vmk);
    *handover = (struct vck_handover){0};
}
