/* SPDX-License-Identifier: Apache-2.0 */
#include "store_internal.h"

vck_status vck_store_init_new(struct vck_store *store, struct vck_disk *disk,
                              const struct vck_block_header *header,
                              const struct vck_block_metadata *metadata, struct vck_bytes vmk)
{
    vck_status status;

    memset(store, 0, sizeof *store);
    store->disk = disk;
    if (header->vendor_id != 0 || header->metadata_version != VCK_METADATA_PLAIN ||
        header->sector_size_bytes < disk->sector_size_bytes)
        return VCK_UNSUPPORTED;
    if (vmk.size_bytes == 0 || vmk.size_bytes > VCK_VMK_BYTES_MAX)
        return VCK_INVALID_DATA;
    status =
        vck_layout_init(&store->layout, disk->size_bytes, header->sector_size_bytes,
                        header->metadata_size_bytes, header->header_count, header->footer_count);
    if (status)
        return status;
    store->replicas = vck_alloc(store->layout.replica_count * sizeof *store->replicas, STORE_TAG);
    if (!store->replicas)
        return VCK_NO_MEMORY;
    store->header = *header;
    store->codec = &vck_block_default_codec;
    store->state = (struct vck_store_state){
        .encrypted_offset_sectors = metadata->encrypted_offset_sectors,
        .direction = metadata->direction,
        .intent = metadata->intent,
        .generation = metadata->generation,
    };
    memcpy(store->fvek_key1, metadata->fvek_key1, sizeof store->fvek_key1);
    memcpy(store->fvek_key2, metadata->fvek_key2, sizeof store->fvek_key2);
    return vck_secret_init_copy(&store->vmk, vmk);
}

void vck_store_fini(struct vck_store *store)
{
    vck_secret_fini(&store->vmk);
    vck_free(store->replicas);
    vck_wipe(store, sizeof *store);
}
