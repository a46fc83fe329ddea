/* SPDX-License-Identifier: Apache-2.0 */
/* What a host that hides the metadata of an attached volume shows to who may change it. */
#include "control_internal.h"

static vck_status explain(struct control_request *r, const struct vck_volume *volume,
                          vck_status status)
{
    const char *path = vck_volume_path(volume);

    if (status == VCK_INVALID_DATA)
        return control_explain(&r->why, status, "%s: whole sectors of its disk can be read", path);
    if (status == VCK_OUT_OF_RANGE)
        return control_explain(&r->why, status, "%s: this is beyond the end of its disk", path);
    return control_explain(&r->why, status, "%s: its metadata cannot be read: %s", path,
                           vck_status_text(status));
}

static vck_status respond(struct control_request *r, struct vck_volume *volume,
                          const struct vck_msg_metadata_request *request) VCK_CAN_WAIT
{
    struct vck_volume_disk_size disk;
    struct vck_msg_metadata_response response = {0};
    uint8_t *buffer = vck_alloc_pages(VCK_MSG_METADATA_BYTES_MAX, CONTROL_TAG);
    vck_status status = VCK_NO_MEMORY;

    if (!buffer)
        goto out;
    status =
        vck_volume_read_metadata(volume, request->offset_bytes, request->size_bytes, buffer, &disk);
    if (status) {
        status = explain(r, volume, status);
        goto out;
    }
    response.metadata = (struct vck_bytes){buffer, request->size_bytes};
    response.disk_bytes = disk.size_bytes;
    response.sector_size = disk.sector_size_bytes;
    status = control_respond(r, &response);
out:
    vck_free_pages(buffer, VCK_MSG_METADATA_BYTES_MAX);
    return status;
}

vck_status control_read_metadata(struct control_request *r, const void *message)
{
    const struct vck_msg_metadata_request *request = message;
    struct vck_volume *volume = NULL;
    vck_status status;

    if (request->size_bytes > VCK_MSG_METADATA_BYTES_MAX)
        return control_explain(&r->why, VCK_INVALID_DATA, "%s: at most %u bytes are read at once",
                               r->info->name, (uint64_t)VCK_MSG_METADATA_BYTES_MAX);
    status = control_find(r, request->volume_path, &volume);
    if (status)
        return status;
    status = respond(r, volume, request);
    vck_volume_release(volume);
    return status;
}
