/* SPDX-License-Identifier: Apache-2.0 */
/* The order of writes that leaves the old or the new slots at any cut. */
#include "internal.h"
#include "vck/disk_io.h"

vck_status key_writer_begin(struct key_writer *writer, const struct vck_store *store,
                            struct vck_key_table *table, uint64_t generation)
{
    size_t size_bytes = store->layout.replica_count * sizeof(*writer->has_failed);
    *writer = (struct key_writer){
        .layout = &store->layout, .disk = store->disk, .table = table, .generation = generation};
    if (store->disk->read_only)
        return VCK_READ_ONLY;
    writer->has_failed = vck_alloc(size_bytes, KEYS_TAG);
    if (writer->has_failed == NULL)
        return VCK_NO_MEMORY;
    memset(writer->has_failed, 0, size_bytes);
    return VCK_OK;
}

void key_writer_end(struct key_writer *writer)
{
    vck_free(writer->has_failed);
    writer->has_failed = NULL;
}

/* ---- rounds ---- */

static vck_status write_copy(struct key_writer *writer, uint32_t replica,
                             uint64_t generation) VCK_CAN_WAIT
{
    uint64_t at = vck_key_copy_offset(writer->layout, replica, generation % KEY_COPIES);
    vck_status status =
        vck_disk_write(writer->disk, at, writer->table->bytes, sizeof(writer->table->bytes));
    if (status != VCK_OK)
        return status;
    status = vck_disk_flush(writer->disk);
    writer->flush_failed |= status != VCK_OK;
    return status;
}

vck_status key_writer_round(struct key_writer *writer, struct vck_bytes vmk)
{
    uint64_t generation = writer->generation + 1;
    vck_status status = vck_key_table_seal(writer->table, generation, vmk);
    if (status != VCK_OK)
        return status;
    for (uint32_t i = 0; i < writer->layout->replica_count; i++) {
        if (writer->has_failed[i] || write_copy(writer, i, generation) == VCK_OK)
            continue;
        writer->has_failed[i] = true;
        writer->failed_replicas++;
    }
    if (writer->failed_replicas == writer->layout->replica_count)
        return VCK_IO;
    writer->generation = generation;
    return VCK_OK;
}

vck_status key_writer_change(struct key_writer *writer, struct vck_bytes vmk)
{
    vck_status status = key_writer_round(writer, vmk);
    if (status == VCK_OK)
        status = key_writer_round(writer, vmk);
    return status == VCK_OK && writer->failed_replicas > 0 ? VCK_IO : status;
}

/* ---- rotation ---- */

/* After a clean end both halves are zero. */
static vck_status check_journal(const struct vck_store *store) VCK_CAN_WAIT
{
    struct vck_journal_area area;
    vck_status status = VCK_OK;
    uint8_t *block = vck_alloc_pages(VCK_JOURNAL_BLOCK_BYTES, KEYS_TAG);
    if (block == NULL)
        return VCK_NO_MEMORY;
    vck_layout_journal_area(&store->layout, &area);
    for (uint32_t i = 0; i < 2 * area.replica_count && status == VCK_OK; i++) {
        uint64_t at = area.journal_offset_bytes[i / 2] + i % 2 * area.half_bytes;
        status = vck_disk_read(store->disk, at, block, VCK_JOURNAL_BLOCK_BYTES);
        if (status == VCK_OK && !vck_all_zero(block, VCK_JOURNAL_BLOCK_BYTES))
            status = VCK_BUSY;
    }
    vck_free_pages(block, VCK_JOURNAL_BLOCK_BYTES);
    return status;
}

/* Whatever was written of it, the next write is newer. When nothing was, the store stays what the
 * disk is: its owner goes on with it, and records of the journal name its generation. */
static vck_status seal_blocks(struct vck_store *store, struct vck_bytes new_vmk) VCK_CAN_WAIT
{
    struct vck_secret before = store->vmk;
    struct vck_secret vmk = {0};
    vck_status status = vck_secret_init_copy(&vmk, new_vmk);
    if (status != VCK_OK)
        return status;
    store->vmk = vmk;
    struct vck_store_state state = store->state;
    state.generation = VCK_MAX(store->generation_max, state.generation) + 1;
    status = vck_store_write_all(store, &state, true);
    if (status == VCK_NO_MEMORY) {
        store->vmk = before;
        vck_secret_fini(&vmk);
    } else {
        store->state.generation = state.generation;
        vck_secret_fini(&before);
    }
    return status;
}

vck_status key_writer_rotate(struct key_writer *writer, struct vck_store *store,
                             struct vck_bytes new_vmk)
{
    /* The new FVEK of a rekey is wrapped under the VMK, and would have to change with it. */
    vck_status status = vck_store_is_rekeying(store) ? VCK_BUSY : check_journal(store);
    if (status == VCK_OK)
        status = key_writer_round(writer, new_vmk);
    if (status == VCK_OK && writer->failed_replicas > 0)
        status = VCK_IO;
    if (status == VCK_OK) {
        status = seal_blocks(store, new_vmk);
        writer->flush_failed |= status != VCK_OK && status != VCK_NO_MEMORY;
    }
    if (status == VCK_OK)
        status = key_writer_round(writer, new_vmk);
    return status == VCK_OK && writer->failed_replicas > 0 ? VCK_IO : status;
}
