/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/plan.h"

vck_status vck_plan_range(uint32_t sector_size_bytes, uint64_t data_sectors, uint64_t offset_bytes,
                          uint64_t size_bytes, uint64_t *ret_first_sector, uint64_t *ret_sectors)
{
    uint64_t first = offset_bytes / sector_size_bytes;
    uint64_t sectors = size_bytes / sector_size_bytes;

    if (offset_bytes % sector_size_bytes != 0 || size_bytes % sector_size_bytes != 0)
        return VCK_INVALID_DATA;
    if (first > data_sectors || sectors > data_sectors - first)
        return VCK_OUT_OF_RANGE;
    *ret_first_sector = first;
    *ret_sectors = sectors;
    return VCK_OK;
}

static void add(struct vck_plan *plan, enum vck_segment_kind kind, uint64_t first, uint64_t end)
{
    if (first < end)
        plan->segments[plan->count++] = (struct vck_segment){kind, first, end - first};
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

void vck_plan_init(struct vck_plan *ret_plan, const struct vck_guard_view *view,
                   uint64_t first_sector, uint64_t sectors)
{
    uint64_t end = first_sector + sectors;
    uint64_t cipher_end = clamp(view->cipher_end, first_sector, end);
    uint64_t hot_end = clamp(view->hot_end, cipher_end, end);

    ret_plan->count = 0;
    add(ret_plan, VCK_SEGMENT_CIPHER, first_sector, cipher_end);
    add(ret_plan, VCK_SEGMENT_HOT, cipher_end, hot_end);
    add(ret_plan, VCK_SEGMENT_PLAIN, hot_end, end);
}
