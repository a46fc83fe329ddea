/* SPDX-License-Identifier: Apache-2.0 */
#include "control_internal.h"

static vck_status check(struct control_request *r, const char *name,
                        const struct vck_optional_u32 *said, uint64_t there)
{
    if (!said->is_present || said->value == there)
        return VCK_OK;
    return control_explain(&r->why, VCK_VALIDATION_FAILED,
                           "%s is %u in the request and %u on the volume", name,
                           (uint64_t)said->value, there);
}

vck_status control_geometry_check(struct control_request *r, const struct control_geometry *said,
                                  const struct vck_layout *layout)
{
    vck_status status = check(r, "use_header", &said->header_count, layout->header_count);

    if (status == VCK_OK)
        status = check(r, "use_footer", &said->footer_count, layout->footer_count);
    if (status == VCK_OK)
        status = check(r, "metadata_size", &said->metadata_size_bytes, layout->metadata_size_bytes);
    return status;
}

vck_status control_layout_init(struct control_request *r, const struct vck_disk *disk,
                               const struct control_geometry *geometry, uint32_t sector_size_bytes,
                               struct vck_layout *ret_layout)
{
    uint64_t size_bytes = disk->size_bytes;
    uint32_t headers = geometry->header_count.value;
    uint32_t footers = geometry->footer_count.value;
    vck_status status;

    if (headers > UINT8_MAX || footers > UINT8_MAX)
        return control_explain(&r->why, VCK_INVALID_DATA,
                               "%u header and %u footer replicas: at most 255 of each",
                               (uint64_t)headers, (uint64_t)footers);
    if (sector_size_bytes < disk->sector_size_bytes)
        return control_explain(&r->why, VCK_UNSUPPORTED,
                               "the volume has sectors of %u bytes, the disk of %u",
                               (uint64_t)sector_size_bytes, (uint64_t)disk->sector_size_bytes);
    status = vck_layout_init(ret_layout, size_bytes, sector_size_bytes,
                             geometry->metadata_size_bytes.value, headers, footers);
    if (status)
        control_explain(&r->why, status,
                        "%u header and %u footer replicas of %u bytes do not fit a disk of %u",
                        (uint64_t)headers, (uint64_t)footers,
                        (uint64_t)geometry->metadata_size_bytes.value, size_bytes);
    return status;
}
