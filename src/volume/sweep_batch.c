/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep_steps.h"

/* Tagged, transformed and tagged again before the next: stays in the innermost caches. */
#define TRANSFORM_BYTES (64u * 1024u)

struct vck_sweep_batch sweep_batch_after(const struct vck_sweep *sweep, uint64_t offset_sectors,
                                         uint32_t limit_sectors, uint8_t *data)
{
    uint64_t left = sweep->direction == VCK_ENCRYPTING ? sweep->target.data_sectors - offset_sectors
                                                       : offset_sectors;
    uint32_t sectors = (uint32_t)VCK_MIN(left, limit_sectors);
    uint64_t first;

    if (sweep_used_map(sweep))
        sectors = (uint32_t)vck_used_map_run(sweep_used_map(sweep), offset_sectors, sectors);
    first = sweep->direction == VCK_ENCRYPTING ? offset_sectors : offset_sectors - sectors;
    return (struct vck_sweep_batch){.first_sector = first, .sectors = sectors, .data = data};
}

uint64_t sweep_boundary_after(const struct vck_sweep *sweep, const struct vck_sweep_batch *batch)
{
    return sweep->direction == VCK_ENCRYPTING ? batch->first_sector + batch->sectors
                                              : batch->first_sector;
}

/* The way of a batch: out of one cipher into the other. Without ops: plaintext. */
struct way {
    struct vck_cipher from;
    struct vck_cipher to;
};

/* Whole sectors. */
static void transform(struct vck_sweep *sweep, const struct way *way,
                      const struct vck_sweep_batch *batch, uint64_t at_bytes, uint64_t size_bytes)
{
    const struct vck_offset_store *store = sweep->target.store;
    uint32_t sector_size_bytes = sweep->target.sector_size_bytes;
    uint64_t first_sector = batch->first_sector + at_bytes / sector_size_bytes;
    uint64_t first_byte = first_sector * sector_size_bytes;
    size_t chunks = (size_t)(size_bytes / store->chunk_bytes);
    uint8_t *data = batch->data + at_bytes;
    uint8_t *table = sweep->record + VCK_RECORD_HEADER_BYTES +
                     at_bytes / store->chunk_bytes * VCK_RECORD_TAGS_BYTES;

    vck_record_tag(&store->keys, 0, data, first_byte, store->chunk_bytes, chunks, table);
    if (way->from.ops)
        way->from.ops->decrypt(&way->from, data, data, (size_t)size_bytes, first_sector);
    if (way->to.ops)
        way->to.ops->encrypt(&way->to, data, data, (size_t)size_bytes, first_sector);
    vck_record_tag(&store->keys, 1, data, first_byte, store->chunk_bytes, chunks, table);
}

uint64_t sweep_batch_bytes(const struct vck_sweep *sweep, const struct vck_sweep_batch *batch)
{
    return (uint64_t)batch->sectors * sweep->target.sector_size_bytes;
}

vck_status sweep_piece_transform(struct vck_sweep *sweep, const struct vck_sweep_batch *batch,
                                 uint64_t size_bytes)
{
    bool is_up = sweep->direction == VCK_ENCRYPTING;
    struct vck_cipher_supplier *from = is_up ? sweep->target.above : sweep->target.cipher;
    struct vck_cipher_supplier *to = is_up ? sweep->target.cipher : sweep->target.above;
    struct way way = {0};
    uint64_t at = sweep->transform_at_bytes;
    uint64_t end = at + size_bytes;
    vck_status status = from ? from->acquire(from, &way.from) : VCK_OK;

    if (status == VCK_OK && to)
        status = to->acquire(to, &way.to);
    for (; status == VCK_OK && at < end; at += TRANSFORM_BYTES)
        transform(sweep, &way, batch, at, VCK_MIN(end - at, TRANSFORM_BYTES));
    if (way.to.ops)
        to->release(to, &way.to);
    if (way.from.ops)
        from->release(from, &way.from);
    return status;
}

vck_status sweep_record_seal(struct vck_sweep *sweep, const struct vck_sweep_batch *batch,
                             uint64_t base_generation)
{
    struct vck_offset_store *store = sweep->target.store;
    struct vck_record record = {
        .direction = sweep->direction,
        .sequence = store->next_sequence,
        .base_generation = base_generation,
        .first_sector = batch->first_sector,
        .sectors = batch->sectors,
        .chunk_bytes = store->chunk_bytes,
    };
    vck_status status =
        vck_record_seal(&store->keys, &record, sweep->target.sector_size_bytes, sweep->record,
                        sweep->record_bytes, &sweep->record_used_bytes);

    if (status)
        return status;
    sweep->record_sequence = record.sequence;
    store->next_sequence++;
    return VCK_OK;
}

/* ---- views ---- */

void sweep_view_lock(struct vck_sweep *sweep, const struct vck_sweep_batch *a,
                     const struct vck_sweep_batch *b)
{
    uint64_t first = a->first_sector;
    uint64_t end = a->first_sector + a->sectors;

    if (b && b->sectors) {
        first = VCK_MIN(first, b->first_sector);
        end = VCK_MAX(end, b->first_sector + b->sectors);
    }
    sweep->view.lock_first = first;
    sweep->view.lock_end = end;
    vck_guard_publish(sweep->target.guard, &sweep->view);
}

void sweep_view_serve(struct vck_sweep *sweep, const struct vck_sweep_batch *batch)
{
    sweep->view.cipher_end = batch->first_sector;
    sweep->view.hot_end = batch->first_sector + batch->sectors;
    sweep->view.hot_data = batch->data;
    sweep->view.hot_is_cipher = sweep->direction == VCK_ENCRYPTING;
    vck_guard_publish(sweep->target.guard, &sweep->view);
}

void sweep_view_settle(struct vck_sweep *sweep, uint64_t boundary_sectors,
                       const struct vck_sweep_batch *still_locked)
{
    bool locked = still_locked && still_locked->sectors;

    sweep->view = (struct vck_guard_view){
        .cipher_end = boundary_sectors,
        .hot_end = boundary_sectors,
        .lock_first = locked ? still_locked->first_sector : 0,
        .lock_end = locked ? still_locked->first_sector + still_locked->sectors : 0,
    };
    vck_guard_publish(sweep->target.guard, &sweep->view);
}
