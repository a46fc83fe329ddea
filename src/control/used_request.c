/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypting only what is used: what that is, somebody reads out of the volume and says here. */
#include "control_internal.h"

static vck_status explain_used(struct control_request *r, struct vck_volume *volume,
                               vck_status status)
{
    const char *path = vck_volume_path(volume);
    struct vck_volume_status now;

    vck_volume_query(volume, &now);
    if (status == VCK_NOT_FOUND)
        return control_explain(&r->why, status,
                               "what is used of %s is not recorded any more: another request has "
                               "begun anew or started its sweep",
                               path);
    if (status == VCK_OUT_OF_RANGE)
        return control_explain(&r->why, status,
                               "a range does not lie in the %u sectors of the data of %s",
                               now.total_sectors, path);
    if (status == VCK_BUSY && !now.is_rekeying)
        return control_explain(&r->why, status, "%s: its sweep is stuck in a batch", path);
    return control_explain_sweep(r, volume, status);
}

vck_status control_record_used(struct control_request *r, const void *message)
{
    const struct vck_msg_volume_request *request = message;
    struct vck_msg_used_recording response;
    struct vck_volume *volume = NULL;
    vck_status status = control_find(r, request->volume_path, &volume);

    if (status)
        return status;
    status = control_may_encrypt(r, volume);
    if (status == VCK_OK)
        status = explain_used(r, volume, vck_volume_used_begin(volume, 0, &response.recording));
    vck_volume_release(volume);
    return status ? status : control_respond(r, &response);
}

/* All of them are good, or none is added. */
static vck_status check_ranges(struct control_request *r, const struct vck_volume *volume,
                               struct vck_bytes ranges)
{
    uint64_t data_bytes = vck_volume_data_sectors(volume) * vck_volume_sector_size_bytes(volume);

    if (ranges.size_bytes % VCK_MSG_RANGE_BYTES)
        return control_explain(&r->why, VCK_INVALID_DATA,
                               "ranges has %u bytes, which is not a multiple of %u",
                               (uint64_t)ranges.size_bytes, (uint64_t)VCK_MSG_RANGE_BYTES);
    for (size_t at = 0; at < ranges.size_bytes; at += VCK_MSG_RANGE_BYTES) {
        uint64_t offset_bytes = vck_load_le64(ranges.data + at);

        if (offset_bytes > data_bytes ||
            vck_load_le64(ranges.data + at + 8) > data_bytes - offset_bytes)
            return VCK_OUT_OF_RANGE;
    }
    return VCK_OK;
}

static vck_status add_ranges(struct control_request *r, struct vck_volume *volume,
                             const struct vck_msg_used_request *request) VCK_CAN_WAIT
{
    vck_status status = check_ranges(r, volume, request->ranges);

    for (size_t at = 0; at < request->ranges.size_bytes && status == VCK_OK;
         at += VCK_MSG_RANGE_BYTES)
        status = vck_volume_used_add(volume, request->recording,
                                     vck_load_le64(request->ranges.data + at),
                                     vck_load_le64(request->ranges.data + at + 8));
    return status;
}

vck_status control_add_used(struct control_request *r, const void *message)
{
    const struct vck_msg_used_request *request = message;
    struct vck_volume *volume = NULL;
    vck_status status = control_find(r, request->volume_path, &volume);

    if (status)
        return status;
    status = add_ranges(r, volume, request);
    if (!r->why.text[0])
        status = explain_used(r, volume, status);
    vck_volume_release(volume);
    return control_respond_empty(r, status);
}

vck_status control_start_used(struct control_request *r, const void *message)
{
    const struct vck_msg_used_request *request = message;
    struct vck_volume *volume = NULL;
    vck_status status = control_find(r, request->volume_path, &volume);

    if (status)
        return status;
    status = control_may_encrypt(r, volume);
    if (status == VCK_OK)
        status = explain_used(r, volume, vck_volume_used_start(volume, request->recording));
    vck_volume_release(volume);
    return control_respond_empty(r, status);
}
