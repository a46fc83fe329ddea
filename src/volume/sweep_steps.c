/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep_steps.h"

/* One is read while the one before it is transformed. */
#define PIECE_BYTES (1024u * 1024u)

static uint64_t disk_offset_bytes(const struct vck_sweep *sweep,
                                  const struct vck_sweep_batch *batch)
{
    return (sweep->target.data_start_lba + batch->first_sector) * sweep->target.sector_size_bytes;
}

/* The piece that begins there. */
static struct vck_disk_future *piece_io(struct vck_sweep *sweep, uint64_t at_bytes)
{
    return &sweep->read_io[at_bytes / PIECE_BYTES % VCK_ARRAY_COUNT(sweep->read_io)];
}

static void begin_piece_read(struct vck_sweep *sweep, const struct vck_sweep_batch *batch)
{
    uint64_t at = sweep->read_at_bytes;
    uint64_t size_bytes = VCK_MIN(sweep_batch_bytes(sweep, batch) - at, PIECE_BYTES);
    struct vck_disk_future *io = piece_io(sweep, at);

    vck_disk_future_init(io, sweep->target.disk, VCK_DISK_READ, VCK_DISK_ASYNC,
                         disk_offset_bytes(sweep, batch) + at, batch->data + at, size_bytes);
    vck_disk_future_start(io);
    sweep->read_at_bytes += size_bytes;
}

void sweep_read_begin(struct vck_sweep *sweep)
{
    sweep->read_at_bytes = 0;
    sweep->transform_at_bytes = 0;
}

void sweep_read_ahead(struct vck_sweep *sweep, const struct vck_sweep_batch *batch)
{
    uint64_t ahead_bytes = VCK_ARRAY_COUNT(sweep->read_io) * (uint64_t)PIECE_BYTES;
    uint64_t end_bytes =
        VCK_MIN(sweep_batch_bytes(sweep, batch), sweep->transform_at_bytes + ahead_bytes);

    while (sweep->read_at_bytes < end_bytes)
        begin_piece_read(sweep, batch);
}

struct vck_disk_future *sweep_read_piece(struct vck_sweep *sweep)
{
    if (sweep->transform_at_bytes == sweep->read_at_bytes)
        return NULL;
    return piece_io(sweep, sweep->transform_at_bytes);
}

static void init_batch_write(struct vck_sweep *sweep)
{
    vck_disk_future_init(&sweep->write_io, sweep->target.disk, VCK_DISK_WRITE, VCK_DISK_ASYNC,
                         disk_offset_bytes(sweep, &sweep->cur), sweep->cur.data,
                         sweep_batch_bytes(sweep, &sweep->cur));
}

void sweep_begin_write(struct vck_sweep *sweep)
{
    init_batch_write(sweep);
    vck_disk_future_init(&sweep->flush_io, sweep->target.disk, VCK_DISK_FLUSH, VCK_DISK_ASYNC, 0,
                         NULL, 0);
    sweep->writing_batch = true;
    sweep->flushing_batch = false;
    vck_disk_future_start(&sweep->write_io);
}

bool sweep_write_is_busy(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    if (!sweep->writing_batch)
        return false;
    if (!sweep->flushing_batch) {
        if (vck_future_poll(&sweep->write_io.future, waker) == VCK_PENDING)
            return true;
        sweep->flushing_batch = sweep->write_io.io.status == VCK_OK;
    }
    if (sweep->flushing_batch && vck_future_poll(&sweep->flush_io.future, waker) == VCK_PENDING)
        return true;
    sweep->flush_io.io.status = vck_disk_flushed(sweep->target.disk, sweep->flush_io.io.status);
    sweep->writing_batch = false;
    return false;
}

enum vck_poll sweep_step_flush(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&sweep->step_co);
    vck_disk_future_init(&sweep->io, sweep->target.disk, VCK_DISK_FLUSH, 0, 0, NULL, 0);
    VCK_CO_AWAIT(&sweep->step_co, &sweep->io.future, waker);
    sweep->step_status = vck_disk_flushed(sweep->target.disk, sweep->io.io.status);
    if (sweep->step_status)
        __atomic_store_n(&sweep->flush_failed, true, __ATOMIC_RELEASE);
    VCK_CO_END(&sweep->step_co);
}

/* Encodes sweep->writing for sweep->replica and prepares its write. */
static vck_status begin_state_write(struct vck_sweep *sweep)
{
    const struct vck_store *store = sweep->target.store->store;
    uint64_t offset_bytes;
    vck_status status =
        vck_store_encode(store, sweep->replica, &sweep->writing, sweep->sector, &offset_bytes);

    if (status)
        return status;
    vck_disk_future_init(&sweep->io, sweep->target.disk, VCK_DISK_WRITE, 0, offset_bytes,
                         sweep->sector, sweep->target.sector_size_bytes);
    return VCK_OK;
}

enum vck_poll sweep_step_write_first(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&sweep->step_co);
    sweep->replica = 0;
    sweep->step_status = begin_state_write(sweep);
    if (sweep->step_status)
        VCK_CO_RETURN(&sweep->step_co);
    VCK_CO_AWAIT(&sweep->step_co, &sweep->io.future, waker);
    sweep->step_status = sweep->io.io.status;
    VCK_CO_END(&sweep->step_co);
}

enum vck_poll sweep_step_write_others(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&sweep->step_co);
    sweep->step_status = VCK_OK;
    for (sweep->replica = 1; sweep->replica < sweep->target.store->store->layout.replica_count;
         sweep->replica++) {
        sweep->step_status = begin_state_write(sweep);
        if (sweep->step_status)
            VCK_CO_RETURN(&sweep->step_co);
        VCK_CO_AWAIT(&sweep->step_co, &sweep->io.future, waker);
        sweep->step_status = sweep->io.io.status;
        if (sweep->step_status)
            VCK_CO_RETURN(&sweep->step_co);
    }
    VCK_CO_END(&sweep->step_co);
}

enum vck_poll sweep_step_write_record(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    const struct vck_journal_area *area = &sweep->target.store->area;

    VCK_CO_BEGIN(&sweep->step_co);
    sweep->step_status = VCK_OK;
    for (sweep->replica = 0; sweep->replica < area->replica_count; sweep->replica++) {
        vck_disk_future_init(&sweep->io, sweep->target.disk, VCK_DISK_WRITE, 0,
                             area->journal_offset_bytes[sweep->replica] +
                                 vck_record_offset_bytes(sweep->record_sequence, area->half_bytes),
                             sweep->record, sweep->record_used_bytes);
        VCK_CO_AWAIT(&sweep->step_co, &sweep->io.future, waker);
        sweep->step_status = sweep->io.io.status;
        if (sweep->step_status)
            VCK_CO_RETURN(&sweep->step_co);
    }
    VCK_CO_END(&sweep->step_co);
}

enum vck_poll sweep_step_rewrite_batch(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&sweep->step_co);
    init_batch_write(sweep);
    VCK_CO_AWAIT(&sweep->step_co, &sweep->write_io.future, waker);
    sweep->step_status = sweep->write_io.io.status;
    VCK_CO_END(&sweep->step_co);
}

/* The record buffer is at most a half; its next use fills it anew. */
enum vck_poll sweep_step_zero_halves(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    const struct vck_journal_area *area = &sweep->target.store->area;
    uint64_t offset_bytes;
    uint64_t at_bytes;

    VCK_CO_BEGIN(&sweep->step_co);
    memset(sweep->record, 0, sweep->record_bytes);
    sweep->step_status = VCK_OK;
    for (sweep->replica = 0; sweep->replica < area->replica_count; sweep->replica++) {
        for (sweep->zero_at_bytes = 0; sweep->zero_at_bytes < 2ull * area->half_bytes;
             sweep->zero_at_bytes += sweep->record_bytes) {
            at_bytes = sweep->zero_at_bytes;
            offset_bytes = area->journal_offset_bytes[sweep->replica] + at_bytes;
            vck_disk_future_init(&sweep->io, sweep->target.disk, VCK_DISK_WRITE, 0, offset_bytes,
                                 sweep->record,
                                 VCK_MIN(sweep->record_bytes, 2ull * area->half_bytes - at_bytes));
            VCK_CO_AWAIT(&sweep->step_co, &sweep->io.future, waker);
            sweep->step_status = sweep->io.io.status;
            if (sweep->step_status)
                VCK_CO_RETURN(&sweep->step_co);
        }
    }
    VCK_CO_END(&sweep->step_co);
}

/* Buffers of a sweep are whole blocks, so the record's holds a slot, and a rekey record. */
enum vck_poll sweep_step_write_damage(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    const struct vck_offset_store *store = sweep->target.store;

    VCK_CO_BEGIN(&sweep->step_co);
    sweep->step_status = VCK_OK;
    vck_damage_seal(&store->keys, &store->damage, sweep->record);
    for (sweep->replica = 0; sweep->replica < store->area.replica_count; sweep->replica++) {
        vck_disk_future_init(&sweep->io, sweep->target.disk, VCK_DISK_WRITE, 0,
                             store->area.damage_offset_bytes[sweep->replica] +
                                 (store->damage.sequence & 1) * VCK_DAMAGE_SLOT_BYTES,
                             sweep->record, VCK_DAMAGE_SLOT_BYTES);
        VCK_CO_AWAIT(&sweep->step_co, &sweep->io.future, waker);
        sweep->step_status = sweep->io.io.status;
        if (sweep->step_status)
            VCK_CO_RETURN(&sweep->step_co);
    }
    VCK_CO_END(&sweep->step_co);
}

/* sweep->replica counts the places. */
enum vck_poll sweep_step_zero_rekey(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    const struct vck_layout *layout = &sweep->target.store->store->layout;

    VCK_CO_BEGIN(&sweep->step_co);
    sweep->step_status = VCK_OK;
    memset(sweep->record, 0, VCK_REKEY_BLOCK_BYTES);
    for (sweep->replica = 0; sweep->replica < VCK_KEY_COPIES * layout->replica_count;
         sweep->replica++) {
        vck_disk_future_init(&sweep->io, sweep->target.disk, VCK_DISK_WRITE, 0,
                             vck_layout_rekey_offset(layout, sweep->replica / VCK_KEY_COPIES,
                                                     sweep->replica % VCK_KEY_COPIES),
                             sweep->record, VCK_REKEY_BLOCK_BYTES);
        VCK_CO_AWAIT(&sweep->step_co, &sweep->io.future, waker);
        sweep->step_status = sweep->io.io.status;
        if (sweep->step_status)
            VCK_CO_RETURN(&sweep->step_co);
    }
    VCK_CO_END(&sweep->step_co);
}

/* After a failed flush there is nothing to try again: only an abort ends the attempts. */
enum vck_poll sweep_step_fail_forever(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    (void)waker;
    sweep->step_status = VCK_IO;
    return VCK_READY;
}
