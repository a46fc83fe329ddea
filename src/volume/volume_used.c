/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is recorded of the use of a volume, from "begin" to the end of the sweep that looks at it.
 * The map is exchanged with the sweep at a batch boundary, and freed when no request can see it.
 */
#include "volume_sweep.h"

#define USED_TAG VCK_TAG('V', 'u', 's', 'v')

void volume_used_mark(struct vck_volume *volume, uint64_t first_sector, uint64_t sectors)
{
    struct vck_used_map *map = __atomic_load_n(&volume->used, __ATOMIC_ACQUIRE);

    if (map)
        vck_used_map_mark(map, first_sector, sectors);
}

static void free_map(struct vck_used_map *map)
{
    if (!map)
        return;
    vck_used_map_fini(map);
    vck_free(map);
}

/* Everybody who is inside and may write has left, or sees what `used` is now. The sweep, which
 * drains as well, does not run. */
static void drain_writers(struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_guard_drain drain;

    vck_guard_drain_init(&drain, &volume->guard, 0, UINT64_MAX, true);
    vck_block_on(&drain.future);
}

static void exchange(struct vck_volume *volume, struct vck_used_map *map) VCK_CAN_WAIT
{
    struct vck_used_map *old = volume->used;

    __atomic_store_n(&volume->used, map, __ATOMIC_SEQ_CST);
    drain_writers(volume);
    free_map(old);
}

static void put_in_effect(struct vck_volume *volume, bool in_effect)
{
    __atomic_store_n(&volume->used->in_effect, in_effect, __ATOMIC_RELEASE);
    __atomic_store_n(&volume->is_used_only, in_effect, __ATOMIC_RELAXED);
    __atomic_store_n(&volume->skipped_sectors, 0, __ATOMIC_RELAXED);
}

void volume_used_forget(struct vck_volume *volume)
{
    if (!volume->used)
        return;
    put_in_effect(volume, false);
    (void)volume_sweep_hold(volume);
    if (volume_sweep_is_free(volume))
        exchange(volume, NULL);
}

void volume_used_end(struct vck_volume *volume)
{
    free_map(volume->used);
    volume->used = NULL;
}

static vck_status make_map(const struct vck_volume *volume, uint32_t granule_bytes,
                           struct vck_used_map **ret_map)
{
    struct vck_used_map *map = vck_alloc(sizeof *map, USED_TAG);
    uint64_t recording;
    vck_status status;

    if (!map)
        return VCK_NO_MEMORY;
    /* Drawn, so that one of another attachment is not taken for it. */
    status = vck_random(&recording, sizeof recording);
    if (status == VCK_OK)
        status = vck_used_map_init(map, volume->config.data_sectors,
                                   volume->config.sector_size_bytes, granule_bytes);
    if (status) {
        vck_free(map);
        return status;
    }
    map->recording = recording;
    *ret_map = map;
    return VCK_OK;
}

static vck_status check(struct vck_volume *volume)
{
    vck_status status = volume_sweep_check(volume);

    return status == VCK_OK && volume_is_rekeying(volume) ? VCK_BUSY : status;
}

static vck_status begin(struct vck_volume *volume, uint32_t granule_bytes,
                        uint64_t *ret_recording) VCK_CAN_WAIT
{
    struct vck_used_map *map = NULL;
    vck_status status = check(volume);
    bool goes_on;

    if (status == VCK_OK)
        status = make_map(volume, granule_bytes, &map);
    if (status)
        return status;
    goes_on = volume_sweep_hold(volume);
    if (!volume_sweep_is_free(volume)) {
        free_map(map);
        return VCK_BUSY;
    }
    if (volume->used)
        put_in_effect(volume, false);
    exchange(volume, map);
    *ret_recording = map->recording;
    volume_sweep_let_go(volume, goes_on);
    return VCK_OK;
}

vck_status vck_volume_used_begin(struct vck_volume *volume, uint32_t granule_bytes,
                                 uint64_t *ret_recording)
{
    vck_status status;

    vck_mutex_acquire(&volume->control);
    status = begin(volume, granule_bytes, ret_recording);
    vck_mutex_release(&volume->control);
    return status;
}

static vck_status find(struct vck_volume *volume, uint64_t recording)
{
    vck_status status = check(volume);

    if (status)
        return status;
    return volume->used && volume->used->recording == recording ? VCK_OK : VCK_NOT_FOUND;
}

static bool are_inside(const struct vck_volume *volume, const struct vck_used_range *ranges,
                       size_t count)
{
    uint64_t data_bytes = volume->config.data_sectors * volume->config.sector_size_bytes;

    for (size_t i = 0; i < count; i++)
        if (ranges[i].offset_bytes > data_bytes ||
            ranges[i].size_bytes > data_bytes - ranges[i].offset_bytes)
            return false;
    return true;
}

static void add(const struct vck_volume *volume, const struct vck_used_range *range)
{
    uint32_t sector_bytes = volume->config.sector_size_bytes;
    uint64_t first = range->offset_bytes / sector_bytes;
    uint64_t end = range->offset_bytes + range->size_bytes;

    if (range->size_bytes > 0)
        vck_used_map_mark(volume->used, first, (end - 1) / sector_bytes - first + 1);
}

vck_status vck_volume_used_add(struct vck_volume *volume, uint64_t recording,
                               const struct vck_used_range *ranges, size_t count)
{
    vck_status status;

    vck_mutex_acquire(&volume->control);
    status = find(volume, recording);
    if (status == VCK_OK && !are_inside(volume, ranges, count))
        status = VCK_OUT_OF_RANGE;
    for (size_t i = 0; status == VCK_OK && i < count; i++)
        add(volume, &ranges[i]);
    vck_mutex_release(&volume->control);
    return status;
}

static vck_status start(struct vck_volume *volume, uint64_t recording) VCK_CAN_WAIT
{
    vck_status status = find(volume, recording);

    if (status == VCK_OK && !volume->used->in_effect) {
        (void)volume_sweep_hold(volume);
        if (!volume_sweep_is_free(volume))
            return VCK_BUSY;
        put_in_effect(volume, true);
    }
    return status == VCK_OK ? volume_sweep_start(volume, VCK_ENCRYPTING, false) : status;
}

vck_status vck_volume_used_start(struct vck_volume *volume, uint64_t recording)
{
    vck_status status;

    vck_mutex_acquire(&volume->control);
    status = start(volume, recording);
    vck_mutex_release(&volume->control);
    return status;
}
