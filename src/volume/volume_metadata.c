/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/disk_io.h"
#include "volume_sweep.h"

vck_status vck_volume_change_metadata(struct vck_volume *volume,
                                      vck_status (*work)(void *context,
                                                         struct vck_volume_metadata *metadata),
                                      void *context)
{
    struct vck_volume_metadata metadata = {0};
    vck_status status = VCK_OK;
    bool goes_on;

    vck_mutex_acquire(&volume->control);
    if (volume->detached)
        status = VCK_DELETED;
    else if (__atomic_load_n(&volume->flush_failed, __ATOMIC_ACQUIRE))
        status = VCK_IO;
    if (status == VCK_OK) {
        goes_on = volume_sweep_hold(volume);
        metadata.disk = volume->disk;
        metadata.is_stuck = volume->sweep_exists;
        if (volume->has_config && volume->config.offset_store)
            metadata.store = volume->config.offset_store->store;
        status = work(context, &metadata);
        if (metadata.flush_failed)
            volume_note_flush_failure(volume);
        else
            volume_sweep_let_go(volume, goes_on);
    }
    vck_mutex_release(&volume->control);
    return status;
}

static vck_status read_outside_data(struct vck_volume *volume, uint64_t offset_bytes,
                                    uint32_t size_bytes, uint8_t *buffer) VCK_CAN_WAIT
{
    struct vck_disk *disk = volume->disk;
    uint64_t sector_bytes = volume->config.sector_size_bytes;
    uint64_t data_begin = volume->config.data_start_lba * sector_bytes;
    uint64_t data_end = data_begin + volume->config.data_sectors * sector_bytes;
    uint64_t end_bytes = offset_bytes + size_bytes;
    vck_status status;

    if ((offset_bytes | size_bytes) % disk->sector_size_bytes != 0)
        return VCK_INVALID_DATA;
    if (size_bytes > disk->size_bytes || offset_bytes > disk->size_bytes - size_bytes)
        return VCK_OUT_OF_RANGE;
    if (size_bytes == 0)
        return VCK_OK;
    status = vck_disk_read(disk, offset_bytes, buffer, size_bytes);
    data_begin = VCK_MIN(VCK_MAX(data_begin, offset_bytes), end_bytes);
    data_end = VCK_MIN(VCK_MAX(data_end, offset_bytes), end_bytes);
    memset(buffer + (data_begin - offset_bytes), 0, data_end - data_begin);
    return status;
}

vck_status vck_volume_read_metadata(struct vck_volume *volume, uint64_t offset_bytes,
                                    uint32_t size_bytes, void *buffer,
                                    struct vck_volume_disk_size *ret_disk)
{
    vck_status status = VCK_DELETED;

    vck_mutex_acquire(&volume->control);
    if (!volume->detached)
        status = read_outside_data(volume, offset_bytes, size_bytes, buffer);
    if (status == VCK_OK) {
        ret_disk->size_bytes = volume->disk->size_bytes;
        ret_disk->sector_size_bytes = volume->disk->sector_size_bytes;
    }
    vck_mutex_release(&volume->control);
    return status;
}
