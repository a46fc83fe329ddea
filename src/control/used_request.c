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

static vck_status add_ranges(struct control_request *r, struct vck_volume *volume,
                             const struct vck_msg_used_request *request) VCK_CAN_WAIT
{
    size_t count = request->ranges.size_bytes / VCK_MSG_RANGE_BYTES;
    struct vck_used_range *ranges;
    vck_status status;

    if (request->ranges.size_bytes % VCK_MSG_RANGE_BYTES)
        return control_explain(&r->why, VCK_INVALID_DATA,
                               "ranges has %u bytes, which is not a multiple of %u",
                               (uint64_t)request->ranges.size_bytes, (uint64_t)VCK_MSG_RANGE_BYTES);
    ranges = vck_alloc(VCK_MAX(count, 1u) * sizeof *ranges, VCK_TAG('V', 'u', 's', 'r'));
    if (!ranges)
        return VCK_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = request->ranges.data + i * VCK_MSG_RANGE_BYTES;

        ranges[i] = (struct vck_used_range){vck_load_le64(at), vck_load_le64(at + 8)};
    }
    status = vck_volume_used_add(volume, request->recording, ranges, count);
    vck_free(ranges);
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
