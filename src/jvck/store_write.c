/* SPDX-License-Identifier: Apache-2.0 */
#include "store_internal.h"
#include "vck/disk_io.h"

vck_status vck_store_encode(const struct vck_store *store, uint32_t replica,
                            const struct vck_store_state *state, uint8_t *sector,
                            uint64_t *ret_offset_bytes)
{
    const struct vck_layout *layout = &store->layout;
    struct vck_block_header header = store->header;
    struct vck_block_metadata metadata = {
        .encrypted_offset_sectors = state->encrypted_offset_sectors,
        .direction = state->direction,
        .intent = state->intent,
        .generation = state->generation,
        .digest_present = true,
    };
    vck_status status = vck_random(header.salt, sizeof header.salt);

    if (status)
        return status;
    memcpy(metadata.fvek_key1, store->fvek_key1, sizeof metadata.fvek_key1);
    memcpy(metadata.fvek_key2, store->fvek_key2, sizeof metadata.fvek_key2);
    memcpy(metadata.rekey_nonce, store->rekey_nonce, sizeof metadata.rekey_nonce);
    memset(sector, 0, layout->sector_size_bytes);
    status =
        store->codec->seal(store->codec, &header, &metadata, vck_secret_bytes(&store->vmk), sector);
    vck_wipe(&metadata, sizeof metadata);
    if (status == VCK_OK)
        *ret_offset_bytes = vck_layout_block_lba(layout, replica) * layout->sector_size_bytes;
    return status;
}

/* NO_MEMORY of the write is IO: to callers it says that nothing was touched. */
static vck_status write_replica(struct vck_store *store, uint64_t offset_bytes,
                                const uint8_t *sector) VCK_CAN_WAIT
{
    vck_status status =
        vck_disk_write(store->disk, offset_bytes, sector, store->layout.sector_size_bytes);

    return status == VCK_NO_MEMORY ? VCK_IO : status;
}

/* Replicas [first, end), not flushed. */
static vck_status write_replicas(struct vck_store *store, const struct vck_store_state *state,
                                 uint32_t first, uint32_t end, uint8_t *sector) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;

    for (uint32_t i = first; i < end && status == VCK_OK; i++) {
        uint64_t offset_bytes;

        status = vck_store_encode(store, i, state, sector, &offset_bytes);
        if (status == VCK_OK)
            status = write_replica(store, offset_bytes, sector);
    }
    return status;
}

static vck_status flush(struct vck_disk *disk) VCK_CAN_WAIT
{
    vck_status status = vck_disk_flushed(disk, vck_disk_flush(disk));

    return status == VCK_NO_MEMORY ? VCK_IO : status;
}

vck_status vck_store_write_all(struct vck_store *store, const struct vck_store_state *state,
                               bool stale_first)
{
    uint32_t count = store->layout.replica_count;
    uint8_t *sector;
    vck_status status = VCK_OK;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    sector = vck_alloc_pages(VCK_SECTOR_BYTES_MAX, STORE_TAG);
    if (!sector)
        return VCK_NO_MEMORY;
    for (int half = 0; half < 2 && status == VCK_OK; half++) {
        bool others = (half == 0) == stale_first;
        uint32_t first = others ? 1 : 0;
        uint32_t end = others ? count : 1;

        if (first >= end)
            continue;
        status = write_replicas(store, state, first, end, sector);
        if (status == VCK_OK)
            status = flush(store->disk);
    }
    if (status == VCK_OK)
        store->state = *state;
    vck_free_pages(sector, VCK_SECTOR_BYTES_MAX);
    return status;
}

/* ---- the vendor area ---- */

static vck_status vendor_place(const struct vck_store *store, uint32_t replica,
                               uint64_t offset_bytes, uint64_t size_bytes, uint64_t *ret_at_bytes)
{
    uint64_t area_offset_bytes;
    uint64_t area_bytes;

    if (replica >= store->layout.replica_count)
        return VCK_OUT_OF_RANGE;
    vck_layout_vendor_area(&store->layout, replica, &area_offset_bytes, &area_bytes);
    if (offset_bytes > area_bytes || size_bytes > area_bytes - offset_bytes)
        return VCK_OUT_OF_RANGE;
    *ret_at_bytes = area_offset_bytes + offset_bytes;
    return VCK_OK;
}

/* Sector by sector through an aligned buffer; `write` changes only the bytes asked for. */
static vck_status vendor_copy(struct vck_store *store, uint64_t at_bytes, uint8_t *data,
                              size_t size_bytes, bool write) VCK_CAN_WAIT
{
    uint32_t sector_bytes = store->disk->sector_size_bytes;
    uint8_t *sector = vck_alloc_pages(VCK_SECTOR_BYTES_MAX, STORE_TAG);
    vck_status status = VCK_OK;
    size_t done = 0;

    if (!sector)
        return VCK_NO_MEMORY;
    while (done < size_bytes && status == VCK_OK) {
        uint64_t first = (at_bytes + done) / sector_bytes * sector_bytes;
        size_t inside = (size_t)(at_bytes + done - first);
        size_t piece = VCK_MIN(size_bytes - done, sector_bytes - inside);

        status = vck_disk_read(store->disk, first, sector, sector_bytes);
        if (status == VCK_OK && write) {
            memcpy(sector + inside, data + done, piece);
            status = vck_disk_write(store->disk, first, sector, sector_bytes);
        } else if (status == VCK_OK) {
            memcpy(data + done, sector + inside, piece);
        }
        done += piece;
    }
    vck_wipe(sector, VCK_SECTOR_BYTES_MAX);
    vck_free_pages(sector, VCK_SECTOR_BYTES_MAX);
    return status;
}

vck_status vck_store_vendor_read(struct vck_store *store, uint32_t replica, uint64_t offset_bytes,
                                 void *data, size_t size_bytes)
{
    uint64_t at_bytes;
    vck_status status = vendor_place(store, replica, offset_bytes, size_bytes, &at_bytes);

    return status ? status : vendor_copy(store, at_bytes, data, size_bytes, false);
}

vck_status vck_store_vendor_write(struct vck_store *store, uint32_t replica, uint64_t offset_bytes,
                                  const void *data, size_t size_bytes)
{
    uint64_t at_bytes;
    vck_status status = vendor_place(store, replica, offset_bytes, size_bytes, &at_bytes);

    if (status)
        return status;
    /* Only read from when writing. */
    status = vendor_copy(store, at_bytes, (uint8_t *)(uintptr_t)data, size_bytes, true);
    return status ? status : vck_disk_flush(store->disk);
}

vck_status vck_store_vendor_write_all(struct vck_store *store, uint64_t offset_bytes,
                                      const void *data, size_t size_bytes)
{
    vck_status status = VCK_OK;

    for (uint32_t i = 0; i < store->layout.replica_count && status == VCK_OK; i++)
        status = vck_store_vendor_write(store, i, offset_bytes, data, size_bytes);
    return status;
}

void vck_store_reserved_get(const struct vck_store *store,
                            uint8_t ret_reserved[VCK_BLOCK_RESERVED_BYTES])
{
    memcpy(ret_reserved, store->header.reserved, VCK_BLOCK_RESERVED_BYTES);
}

void vck_store_reserved_set(struct vck_store *store,
                            const uint8_t reserved[VCK_BLOCK_RESERVED_BYTES])
{
    memcpy(store->header.reserved, reserved, VCK_BLOCK_RESERVED_BYTES);
}
