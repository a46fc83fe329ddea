/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/block.h"
#include "vck/bytes.h"
#include "vck/layout.h"

/* Kept free around a metadata block, so that no torn physical block can take both. */
#define BLOCK_MARGIN_BYTES 4096u

vck_status vck_layout_init(struct vck_layout *ret_layout, uint64_t size_bytes,
                           uint32_t sector_size_bytes, uint32_t metadata_size_bytes,
                           uint32_t header_count, uint32_t footer_count)
{
    struct vck_layout layout = {
        .sector_size_bytes = sector_size_bytes,
        .metadata_size_bytes = metadata_size_bytes,
        .header_count = header_count,
        .footer_count = footer_count,
        .replica_count = header_count + footer_count,
    };
    uint64_t metadata_sectors;

    if (sector_size_bytes != 512 && sector_size_bytes != 4096)
        return VCK_INVALID_DATA;
    if (metadata_size_bytes < VCK_METADATA_SIZE_MIN || header_count > 255 || footer_count > 255 ||
        layout.replica_count == 0)
        return VCK_INVALID_DATA;
    layout.volume_sectors = size_bytes / sector_size_bytes;
    layout.region_sectors = metadata_size_bytes / sector_size_bytes;
    metadata_sectors = layout.region_sectors * layout.replica_count;
    if (layout.volume_sectors <= metadata_sectors)
        return VCK_SIZE_MISMATCH;
    layout.data_start_lba = layout.region_sectors * header_count;
    layout.data_sectors = layout.volume_sectors - metadata_sectors;
    *ret_layout = layout;
    return VCK_OK;
}

static bool is_header(const struct vck_layout *layout, uint32_t replica)
{
    return replica < layout->header_count;
}

/* First sector of the region of replica i. */
static uint64_t region_lba(const struct vck_layout *layout, uint32_t replica)
{
    if (is_header(layout, replica))
        return replica * layout->region_sectors;
    return layout->volume_sectors - (layout->replica_count - replica) * layout->region_sectors;
}

uint64_t vck_layout_block_lba(const struct vck_layout *layout, uint32_t replica)
{
    uint64_t lba = region_lba(layout, replica);

    return is_header(layout, replica) ? lba : lba + layout->region_sectors - 1;
}

void vck_layout_vendor_area(const struct vck_layout *layout, uint32_t replica,
                            uint64_t *ret_offset_bytes, uint64_t *ret_size_bytes)
{
    uint64_t region_bytes = layout->region_sectors * layout->sector_size_bytes;
    uint64_t offset_bytes = region_lba(layout, replica) * layout->sector_size_bytes;

    *ret_offset_bytes =
        is_header(layout, replica) ? offset_bytes + BLOCK_MARGIN_BYTES : offset_bytes;
    *ret_size_bytes = region_bytes - BLOCK_MARGIN_BYTES;
}

uint64_t vck_layout_rekey_offset(const struct vck_layout *layout, uint32_t replica, uint32_t copy)
{
    uint64_t offset_bytes;
    uint64_t size_bytes;

    vck_layout_vendor_area(layout, replica, &offset_bytes, &size_bytes);
    return offset_bytes + (copy + 1ull) * VCK_KEY_COPY_BYTES - VCK_REKEY_BLOCK_BYTES;
}

void vck_layout_journal_area(const struct vck_layout *layout, struct vck_journal_area *ret_area)
{
    struct vck_journal_area area = {0};
    uint32_t first = layout->footer_count >= 2 ? layout->replica_count - 2 : 0;
    uint64_t offset_bytes;
    uint64_t size_bytes;
    uint64_t journal_bytes;

    /* The last two footers; every replica (or the first two) where there are fewer. */
    area.replica_count = VCK_MIN(layout->replica_count, VCK_JOURNAL_REPLICAS_MAX);
    vck_layout_vendor_area(layout, first, &offset_bytes, &size_bytes);
    journal_bytes = size_bytes - VCK_KEY_SLOTS_BYTES - 2 * VCK_DAMAGE_SLOT_BYTES;
    area.half_bytes =
        (uint32_t)(journal_bytes / (2 * VCK_JOURNAL_BLOCK_BYTES)) * VCK_JOURNAL_BLOCK_BYTES;
    for (uint32_t i = 0; i < area.replica_count; i++) {
        vck_layout_vendor_area(layout, first + i, &offset_bytes, &size_bytes);
        area.journal_offset_bytes[i] = offset_bytes + VCK_KEY_SLOTS_BYTES;
        area.damage_offset_bytes[i] = offset_bytes + size_bytes - 2 * VCK_DAMAGE_SLOT_BYTES;
    }
    *ret_area = area;
}
