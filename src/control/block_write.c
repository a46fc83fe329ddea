/* SPDX-License-Identifier: Apache-2.0 */
#include "control_internal.h"
#include "vck/disk_io.h"
#include "vck/secret.h"
#include "vck/store.h"

static uint64_t replica_offset_bytes(const struct control_block *block, uint32_t replica)
{
    return vck_layout_block_lba(&block->layout, replica) * block->layout.sector_size_bytes;
}

static uint8_t *before_of(const struct control_block *block, uint32_t replica)
{
    return block->before + (size_t)replica * block->layout.sector_size_bytes;
}

static bool is_same_id(const struct control_block *block, const struct vck_block_header *header)
{
    return memcmp(block->header.volume_id, header->volume_id, sizeof(header->volume_id)) == 0;
}

static bool is_same_geometry(const struct control_block *block,
                             const struct vck_block_header *header)
{
    return block->header.header_count == header->header_count &&
           block->header.footer_count == header->footer_count &&
           block->header.sector_size_bytes == header->sector_size_bytes &&
           block->header.metadata_size_bytes == header->metadata_size_bytes;
}

/* ---- who is there already ---- */

static vck_status check_header(struct control_request *r, const struct control_block *block,
                               const struct vck_block_header *header)
{
    if (!is_same_id(block, header))
        return control_explain(&r->why, VCK_ALREADY_EXISTS,
                               "the disk holds replicas of another volume");
    if (!is_same_geometry(block, header))
        return control_explain(
            &r->why, VCK_VALIDATION_FAILED,
            "the disk holds this volume with %u headers, %u footers of %u bytes "
            "and sectors of %u; metadata_block says %u, %u, %u and %u",
            (uint64_t)header->header_count, (uint64_t)header->footer_count,
            (uint64_t)header->metadata_size_bytes, (uint64_t)header->sector_size_bytes,
            (uint64_t)block->header.header_count, (uint64_t)block->header.footer_count,
            (uint64_t)block->header.metadata_size_bytes, (uint64_t)block->header.sector_size_bytes);
    return VCK_OK;
}

/* The replicas of whatever volume the disk's own metadata describes. */
static vck_status check_found(struct control_request *r, struct vck_disk *disk,
                              const struct control_block *block) VCK_CAN_WAIT
{
    struct vck_store *store = vck_alloc(sizeof(*store), CONTROL_TAG);
    vck_status status;

    if (!store)
        return VCK_NO_MEMORY;
    status = vck_store_inspect(store, disk);
    if (status != VCK_IO && status != VCK_NO_MEMORY) {
        status = VCK_OK;
        for (uint32_t i = 0; store->replicas && i < store->layout.replica_count; i++)
            if (status == VCK_OK && store->replicas[i].header_valid)
                status = check_header(r, block, &store->replicas[i].header);
    }
    vck_store_fini(store);
    vck_free(store);
    return status;
}

/* The places that are about to be written. */
static vck_status check_places(struct control_request *r, const struct control_block *block)
{
    struct vck_block_header header;

    for (uint32_t i = 0; i < block->layout.replica_count; i++) {
        if (vck_block_decode_header(before_of(block, i), &header) == VCK_OK) {
            vck_status status = check_header(r, block, &header);

            if (status)
                return status;
        }
    }
    return VCK_OK;
}

/* Whether what the disk says of the ciphertext on it differs from what the block says. */
static bool sets_back(const struct vck_store *store, const struct vck_block_metadata *metadata)
{
    bool same_key1 =
        vck_equal_constant_time(store->fvek_key1, metadata->fvek_key1, VCK_FVEK_KEY_BYTES);
    bool same_key2 =
        vck_equal_constant_time(store->fvek_key2, metadata->fvek_key2, VCK_FVEK_KEY_BYTES);
    bool same_place = store->state.encrypted_offset_sectors == metadata->encrypted_offset_sectors &&
                      store->state.direction == metadata->direction;

    if (vck_store_is_rekeying(store))
        return true;
    return store->state.generation >= metadata->generation &&
           (!same_place ||
            (!(same_key1 && same_key2) && store->state.encrypted_offset_sectors > 0));
}

/* Only with the key can it be seen which of the two is older. */
static vck_status check_not_older(struct control_request *r, struct vck_disk *disk,
                                  struct vck_bytes vmk,
                                  const struct control_block *block) VCK_CAN_WAIT
{
    struct vck_store *store = vck_alloc(sizeof(*store), CONTROL_TAG);
    struct vck_block_metadata metadata = {0};
    vck_status status = VCK_OK;

    if (!store)
        return VCK_NO_MEMORY;
    if (vck_store_open(store, disk, vmk, NULL, VCK_STORE_ANY_REPLICA) == VCK_OK &&
        store->codec->unseal(store->codec, block->data, vmk, &metadata) == VCK_OK &&
        sets_back(store, &metadata))
        status = control_explain(&r->why, VCK_VALIDATION_FAILED,
                                 "metadata_block is older than the disk: %u encrypted sectors in "
                                 "it, %u on the disk",
                                 metadata.encrypted_offset_sectors,
                                 store->state.encrypted_offset_sectors);
    vck_wipe(&metadata, sizeof(metadata));
    vck_store_fini(store);
    vck_free(store);
    return status;
}

/* ---- writing ---- */

/* One replica, a flush, the others, a flush: a cut leaves one whole. `which` names the sector of a
 * replica. */
static vck_status write_staggered(struct vck_disk *disk, const struct control_block *block,
                                  const uint8_t *sectors, size_t stride_bytes) VCK_CAN_WAIT
{
    uint32_t size_bytes = block->layout.sector_size_bytes;
    vck_status status = VCK_OK;

    for (uint32_t i = 0; i < block->layout.replica_count && status == VCK_OK; i++) {
        status = vck_disk_write(disk, replica_offset_bytes(block, i), sectors + i * stride_bytes,
                                size_bytes);
        if (status == VCK_OK && (i == 0 || i + 1 == block->layout.replica_count))
            status = vck_disk_flush(disk);
    }
    return status;
}

static vck_status read_before(struct vck_disk *disk, struct control_block *block) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;

    /* And one more, to look at what is there when it is to be put back. */
    block->before_bytes =
        (size_t)(block->layout.replica_count + 1) * block->layout.sector_size_bytes;
    block->before = vck_alloc_pages(block->before_bytes, CONTROL_TAG);
    if (!block->before)
        return VCK_NO_MEMORY;
    for (uint32_t i = 0; i < block->layout.replica_count && status == VCK_OK; i++)
        status = vck_disk_read(disk, replica_offset_bytes(block, i), before_of(block, i),
                               block->layout.sector_size_bytes);
    return status;
}

static bool is_written_already(const struct control_block *block, const uint8_t *sector)
{
    for (uint32_t i = 0; i < block->layout.replica_count; i++)
        if (memcmp(before_of(block, i), sector, block->layout.sector_size_bytes) != 0)
            return false;
    return true;
}

static vck_status write_block(struct control_request *r, struct vck_disk *disk,
                              struct control_block *block) VCK_CAN_WAIT
{
    uint32_t size_bytes = block->layout.sector_size_bytes;
    uint8_t *sector = vck_alloc_pages(size_bytes, CONTROL_TAG);
    vck_status status = VCK_OK;

    if (!sector)
        return VCK_NO_MEMORY;
    memcpy(sector, block->data, VCK_BLOCK_BYTES);
    if (is_written_already(block, sector))
        goto out;
    status = disk->read_only ? VCK_READ_ONLY : VCK_OK;
    if (status == VCK_OK) {
        block->is_written = true;
        status = write_staggered(disk, block, sector, 0);
    }
    if (status)
        control_explain(&r->why, status, "writing metadata_block to %u replicas: %s",
                        (uint64_t)block->layout.replica_count, vck_status_text(status));
out:
    vck_free_pages(sector, size_bytes);
    return status;
}

vck_status control_block_write(struct control_request *r, struct vck_disk *disk,
                               struct vck_bytes vmk, struct control_block *block)
{
    vck_status status = check_found(r, disk, block);

    if (status == VCK_OK)
        status = read_before(disk, block);
    if (status == VCK_OK)
        status = check_places(r, block);
    if (status == VCK_OK && vmk.size_bytes)
        status = check_not_older(r, disk, vmk, block);
    if (status == VCK_OK)
        status = write_block(r, disk, block);
    if (status)
        control_block_undo(disk, block);
    return status;
}

/* Whether nobody has written a replica since. Recovery does, once the volume has its key: what it
 * has carried out is lost with a block that says where it began. */
static bool is_still_ours(struct vck_disk *disk, const struct control_block *block) VCK_CAN_WAIT
{
    uint32_t size_bytes = block->layout.sector_size_bytes;
    uint8_t *there = before_of(block, block->layout.replica_count);

    for (uint32_t i = 0; i < block->layout.replica_count; i++)
        if (vck_disk_read(disk, replica_offset_bytes(block, i), there, size_bytes) == VCK_OK &&
            memcmp(there, before_of(block, i), size_bytes) != 0 &&
            memcmp(there, block->data, VCK_BLOCK_BYTES) != 0)
            return false;
    return true;
}

void control_block_undo(struct vck_disk *disk, struct control_block *block)
{
    if (block->is_written && is_still_ours(disk, block) &&
        write_staggered(disk, block, block->before, block->layout.sector_size_bytes) != VCK_OK)
        vck_port_log(VCK_LOG_ERROR, "the metadata that was on the disk could not be put back");
    block->is_written = false;
}

void control_block_fini(struct control_block *block)
{
    if (block->before)
        vck_free_pages(block->before, block->before_bytes);
    block->before = NULL;
}
