/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "port/port.h"
#include "vck/block.h"
#include "vck/disk_io.h"
#include "vck/prepare.h"
#include "vck/secret.h"
#include "vck/store.h"

#define PREPARE_TAG  VCK_TAG('J', 'p', 'r', 'e')
#define ZEROES_BYTES (128u * 1024u)

/* ---- checks ---- */

static vck_status check_metadata_size(uint32_t size_bytes)
{
    if (size_bytes < VCK_METADATA_SIZE_MIN || size_bytes % VCK_JOURNAL_BLOCK_BYTES != 0)
        return VCK_INVALID_DATA;
    return VCK_OK;
}

static vck_status fault(enum vck_prepare_fault what, vck_status status,
                        enum vck_prepare_fault *ret_fault)
{
    *ret_fault = what;
    return status;
}

/* The parameters alone, without the disk. */
static vck_status check_params(const struct vck_prepare_params *params, uint32_t metadata_size,
                               uint32_t sector_size, enum vck_prepare_fault *ret_fault)
{
    uint32_t headers = params->header_count;
    uint32_t footers = params->footer_count;
    if (params->vmk.size_bytes < 1 || params->vmk.size_bytes > VCK_VMK_BYTES_MAX)
        return fault(VCK_PREPARE_FAULT_KEY_SIZE, VCK_INVALID_DATA, ret_fault);
    if (headers > VCK_REPLICAS_PER_END_MAX || footers > VCK_REPLICAS_PER_END_MAX ||
        headers + footers == 0)
        return fault(VCK_PREPARE_FAULT_REPLICAS, VCK_INVALID_DATA, ret_fault);
    if (headers + footers == 1 && !params->single_replica)
        return fault(VCK_PREPARE_FAULT_SINGLE, VCK_VALIDATION_FAILED, ret_fault);
    if (check_metadata_size(metadata_size) != VCK_OK)
        return fault(VCK_PREPARE_FAULT_METADATA_SIZE, VCK_INVALID_DATA, ret_fault);
    if (sector_size != 512 && sector_size != 4096)
        return fault(VCK_PREPARE_FAULT_SECTOR_SIZE, VCK_INVALID_DATA, ret_fault);
    return VCK_OK;
}

vck_status vck_prepare_check(const struct vck_prepare_params *params, uint64_t size_bytes,
                             uint32_t disk_sector_size_bytes, struct vck_layout *ret_layout,
                             enum vck_prepare_fault *ret_fault)
{
    uint32_t metadata_size = params->metadata_size_bytes;
    uint32_t sector_size = params->sector_size_bytes;
    if (metadata_size == 0)
        metadata_size = VCK_METADATA_SIZE_DEFAULT;
    if (sector_size == 0)
        sector_size = disk_sector_size_bytes;
    *ret_fault = VCK_PREPARE_NO_FAULT;
    vck_status status = check_params(params, metadata_size, sector_size, ret_fault);
    if (status != VCK_OK)
        return status;
    if (sector_size < disk_sector_size_bytes)
        return fault(VCK_PREPARE_FAULT_SECTOR_TOO_FINE, VCK_UNSUPPORTED, ret_fault);
    if (size_bytes % sector_size != 0)
        return fault(VCK_PREPARE_FAULT_NOT_WHOLE, VCK_SIZE_MISMATCH, ret_fault);
    status = vck_layout_init(ret_layout, size_bytes, sector_size, metadata_size,
                             params->header_count, params->footer_count);
    return status == VCK_OK ? VCK_OK : fault(VCK_PREPARE_FAULT_TOO_SMALL, status, ret_fault);
}

/* A volume that is damaged beyond opening is still somebody's volume. */
static bool is_volume_there(vck_status inspected)
{
    return inspected != VCK_SIGNATURE_MISMATCH && inspected != VCK_IO && inspected != VCK_NO_MEMORY;
}

/* *existing holds what was found; finish it in every case. */
static vck_status check_existing(struct vck_disk *disk, bool overwrite, struct vck_store *existing,
                                 enum vck_prepare_fault *ret_fault) VCK_CAN_WAIT
{
    vck_status status = vck_store_inspect(existing, disk);
    if (status == VCK_IO || status == VCK_NO_MEMORY)
        return status;
    if (is_volume_there(status) && !overwrite)
        return fault(VCK_PREPARE_FAULT_EXISTS, VCK_ALREADY_EXISTS, ret_fault);
    return VCK_OK;
}

/* ---- writing ---- */

static vck_status write_zeroes(struct vck_disk *disk, const uint8_t *zeroes, uint64_t offset_bytes,
                               uint64_t size_bytes) VCK_CAN_WAIT
{
    while (size_bytes > 0) {
        uint64_t piece = VCK_MIN(size_bytes, (uint64_t)ZEROES_BYTES);
        vck_status status = vck_disk_write(disk, offset_bytes, zeroes, piece);
        if (status != VCK_OK)
            return status;
        offset_bytes += piece;
        size_bytes -= piece;
    }
    return VCK_OK;
}

/* Blocks of an earlier volume that the new regions do not cover would be found again as soon as the
 * new ones are lost. Only what passed its checks as a block is touched. */
static vck_status retire_existing(struct vck_disk *disk, const struct vck_store *existing,
                                  const uint8_t *zeroes) VCK_CAN_WAIT
{
    for (uint32_t i = 0; existing->replicas != NULL && i < existing->layout.replica_count; i++) {
        if (!existing->replicas[i].header_valid)
            continue;
        uint64_t lba = vck_layout_block_lba(&existing->layout, i);
        uint64_t sector_size = existing->layout.sector_size_bytes;
        vck_status status = write_zeroes(disk, zeroes, lba * sector_size, sector_size);
        if (status != VCK_OK)
            return status;
    }
    return VCK_OK;
}

static vck_status clear_regions(struct vck_disk *disk, const struct vck_layout *layout,
                                const uint8_t *zeroes) VCK_CAN_WAIT
{
    uint64_t sector_size = layout->sector_size_bytes;
    uint64_t data_end_lba = layout->data_start_lba + layout->data_sectors;
    vck_status status = write_zeroes(disk, zeroes, 0, layout->data_start_lba * sector_size);
    if (status != VCK_OK)
        return status;
    return write_zeroes(disk, zeroes, data_end_lba * sector_size,
                        (layout->volume_sectors - data_end_lba) * sector_size);
}

static vck_status clear(struct vck_disk *disk, const struct vck_layout *layout,
                        const struct vck_store *existing) VCK_CAN_WAIT
{
    uint8_t *zeroes = vck_alloc_pages(ZEROES_BYTES, PREPARE_TAG);
    if (zeroes == NULL)
        return VCK_NO_MEMORY;
    vck_status status = retire_existing(disk, existing, zeroes);
    if (status == VCK_OK)
        status = clear_regions(disk, layout, zeroes);
    if (status == VCK_OK)
        status = vck_disk_flush(disk);
    vck_free_pages(zeroes, ZEROES_BYTES);
    return status;
}

/* ---- what is written ---- */

/* A random UUID, version 4. */
static vck_status make_volume_id(uint8_t ret_id[16])
{
    uint8_t id[16];
    vck_status status = vck_random(id, sizeof(id));
    if (status != VCK_OK)
        return status;
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    memcpy(ret_id, id, sizeof(id));
    return VCK_OK;
}

/* XTS with equal keys is weak. That two are drawn equal means that the generator is broken. */
static vck_status make_fvek(struct vck_block_metadata *metadata)
{
    vck_status status = vck_random(metadata->fvek_key1, sizeof(metadata->fvek_key1));
    if (status == VCK_OK)
        status = vck_random(metadata->fvek_key2, sizeof(metadata->fvek_key2));
    if (status != VCK_OK)
        return status;
    return vck_equal_constant_time(metadata->fvek_key1, metadata->fvek_key2, VCK_FVEK_KEY_BYTES)
               ? VCK_CRYPTO_FAILED
               : VCK_OK;
}

static vck_status init_store(struct vck_store *store, struct vck_disk *disk,
                             const struct vck_layout *layout, struct vck_bytes vmk)
{
    struct vck_block_header header = {
        .metadata_version = VCK_METADATA_PLAIN,
        .metadata_size_bytes = layout->metadata_size_bytes,
        .sector_size_bytes = layout->sector_size_bytes,
        .header_count = (uint8_t)layout->header_count,
        .footer_count = (uint8_t)layout->footer_count,
    };
    struct vck_block_metadata metadata = {
        .direction = VCK_ENCRYPTING,
        .intent = VCK_INTENT_UNRECORDED,
        .generation = 1,
        .digest_present = true,
    };
    vck_status status = make_volume_id(header.volume_id);
    if (status == VCK_OK)
        status = make_fvek(&metadata);
    if (status == VCK_OK)
        status = vck_store_init_new(store, disk, &header, &metadata, vmk);
    vck_wipe(&metadata, sizeof(metadata));
    return status;
}

/* Too large for a kernel's stack. */
struct stores {
    struct vck_store existing;
    struct vck_store made;
};

static vck_status write_volume(struct vck_disk *disk, const struct vck_layout *layout,
                               const struct vck_prepare_params *params, struct stores *stores,
                               enum vck_prepare_fault *ret_fault) VCK_CAN_WAIT
{
    vck_status status =
        check_existing(disk, params->overwrite_existing, &stores->existing, ret_fault);
    if (status == VCK_OK)
        status = init_store(&stores->made, disk, layout, params->vmk);
    if (status == VCK_OK)
        status = clear(disk, layout, &stores->existing);
    if (status != VCK_OK)
        return status;
    struct vck_store_state state = stores->made.state;
    return vck_store_write_all(&stores->made, &state, false);
}

vck_status vck_prepare_volume(struct vck_disk *disk, const struct vck_prepare_params *params,
                              struct vck_prepare_result *ret_result,
                              enum vck_prepare_fault *ret_fault)
{
    struct vck_layout layout;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status =
        vck_prepare_check(params, disk->size_bytes, disk->sector_size_bytes, &layout, ret_fault);
    if (status == VCK_OK && disk->read_only)
        status = fault(VCK_PREPARE_FAULT_READ_ONLY, VCK_READ_ONLY, ret_fault);
    if (status != VCK_OK)
        return status;
    struct stores *stores = vck_alloc(sizeof(*stores), PREPARE_TAG);
    if (stores == NULL)
        return VCK_NO_MEMORY;
    status = write_volume(disk, &layout, params, stores, ret_fault);
    if (status == VCK_OK) {
        ret_result->layout = layout;
        memcpy(ret_result->volume_id, stores->made.header.volume_id, sizeof(ret_result->volume_id));
    }
    vck_store_fini(&stores->made);
    vck_store_fini(&stores->existing);
    vck_free(stores);
    return status;
}
