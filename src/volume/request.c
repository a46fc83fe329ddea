/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/request.h"
#include "vck/plan.h"
#include "volume_internal.h"

/* One disk operation moves at most this much of the caller's own buffer. */
#define DIRECT_PIECE_BYTES (64u * 1024u * 1024u)

static bool is_write(const struct vck_request *r)
{
    return r->op == VCK_REQUEST_WRITE || r->op == VCK_REQUEST_ZERO || r->op == VCK_REQUEST_DISCARD;
}

static uint32_t sector_size(const struct vck_request *r)
{
    return r->volume->shape.sector_size_bytes;
}

static uint64_t absolute_bytes(const struct vck_request *r)
{
    return r->volume->shape.data_start_lba * sector_size(r) + r->offset_bytes + r->done_bytes;
}

static uint64_t current_sector(const struct vck_request *r)
{
    return (r->offset_bytes + r->done_bytes) / sector_size(r);
}

static bool buffer_is_aligned(const struct vck_request *r)
{
    return (uintptr_t)r->buffer % r->volume->disk->alignment_bytes == 0;
}

/* What can be said before anything is touched. */
static vck_status check(struct vck_request *r, uint64_t *ret_first, uint64_t *ret_sectors)
{
    struct vck_volume *volume = r->volume;

    if (is_write(r)) {
        if (vck_volume_is_read_only(volume))
            return VCK_READ_ONLY;
        if (__atomic_load_n(&volume->flush_failed, __ATOMIC_ACQUIRE))
            return VCK_IO;
        if (r->op == VCK_REQUEST_DISCARD && !volume->disk_can_discard)
            return VCK_UNSUPPORTED;
    }
    return vck_plan_range(sector_size(r), volume->shape.data_sectors, r->offset_bytes,
                          r->size_bytes, ret_first, ret_sectors);
}

/* ---- reading ---- */

static void begin_read(struct vck_request *r)
{
    uint64_t limit = r->bounce ? BOUNCE_BYTES : DIRECT_PIECE_BYTES;

    r->piece_bytes = (uint32_t)VCK_MIN(r->size_bytes - r->done_bytes, limit);
    vck_disk_future_init(&r->io, r->volume->disk, VCK_DISK_READ, 0, absolute_bytes(r),
                         r->bounce ? r->bounce : r->buffer + r->done_bytes, r->piece_bytes);
}

/* What a segment is stored under; NULL: it is plaintext. */
static struct vck_cipher_supplier *cipher_of(const struct vck_request *r,
                                             enum vck_segment_kind kind)
{
    const struct vck_io_config *config = &r->volume->config;
    bool is_below =
        kind == VCK_SEGMENT_CIPHER || (kind == VCK_SEGMENT_HOT && r->enter.view.hot_is_cipher);

    return is_below ? config->cipher : config->above;
}

static vck_status decrypt_segment(struct vck_request *r, const struct vck_segment *segment,
                                  uint8_t *to, const uint8_t *from)
{
    const struct vck_guard_view *view = &r->enter.view;
    struct vck_cipher_supplier *supplier = cipher_of(r, segment->kind);
    size_t size_bytes = (size_t)segment->sectors * sector_size(r);
    struct vck_cipher cipher;

    if (segment->kind == VCK_SEGMENT_HOT)
        from = view->hot_data + (segment->first_sector - view->cipher_end) * sector_size(r);
    if (!supplier) {
        if (to != from)
            memcpy(to, from, size_bytes);
        return VCK_OK;
    }
    if (supplier->acquire(supplier, &cipher) != VCK_OK)
        return VCK_CRYPTO_FAILED;
    cipher.ops->decrypt(&cipher, to, from, size_bytes, segment->first_sector);
    supplier->release(supplier, &cipher);
    return VCK_OK;
}

/* The piece that was read becomes plaintext in the caller's buffer. */
static vck_status decrypt_piece(struct vck_request *r)
{
    uint64_t first = current_sector(r);
    uint8_t *to = r->buffer + r->done_bytes;
    const uint8_t *from = r->bounce ? r->bounce : to;
    struct vck_plan plan;
    vck_status status = VCK_OK;

    vck_plan_init(&plan, &r->enter.view, first, r->piece_bytes / sector_size(r));
    for (uint32_t i = 0; i < plan.count && status == VCK_OK; i++) {
        const struct vck_segment *segment = &plan.segments[i];
        size_t at = (size_t)(segment->first_sector - first) * sector_size(r);

        status = decrypt_segment(r, segment, to + at, from + at);
    }
    return status;
}

static enum vck_poll read_all(struct vck_request *r, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&r->part_co);
    if (vck_damage_touches(&r->volume->damage, r->offset_bytes, r->size_bytes,
                           &r->damaged_offset_bytes)) {
        r->status = VCK_DAMAGED;
        VCK_CO_RETURN(&r->part_co);
    }
    if (!buffer_is_aligned(r)) {
        vck_pool_get_init(&r->get, &r->volume->pool);
        VCK_CO_AWAIT(&r->part_co, &r->get.future, waker);
        r->bounce = r->get.buffer;
    }
    while (r->done_bytes < r->size_bytes) {
        begin_read(r);
        VCK_CO_AWAIT(&r->part_co, &r->io.future, waker);
        r->status = r->io.io.status;
        if (r->status == VCK_OK)
            r->status = decrypt_piece(r);
        if (r->status)
            VCK_CO_RETURN(&r->part_co);
        r->done_bytes += r->piece_bytes;
    }
    VCK_CO_END(&r->part_co);
}

/* ---- writing ---- */

/* The next piece is stored in one way. */
static void size_write_piece(struct vck_request *r)
{
    uint64_t left_sectors = (r->size_bytes - r->done_bytes) / sector_size(r);
    struct vck_plan plan;
    uint64_t bytes;

    vck_plan_init(&plan, &r->enter.view, current_sector(r), left_sectors);
    r->piece_cipher = cipher_of(r, plan.segments[0].kind);
    r->piece_direct = !r->piece_cipher && r->op == VCK_REQUEST_WRITE && buffer_is_aligned(r);
    bytes = plan.segments[0].sectors * sector_size(r);
    r->piece_bytes = (uint32_t)VCK_MIN(bytes, r->piece_direct ? DIRECT_PIECE_BYTES : BOUNCE_BYTES);
}

/* Fills the bounce buffer; the caller's buffer is only read. */
static vck_status fill_bounce(struct vck_request *r)
{
    struct vck_cipher_supplier *supplier = r->piece_cipher;
    const uint8_t *from = r->op == VCK_REQUEST_ZERO ? r->bounce : r->buffer + r->done_bytes;
    struct vck_cipher cipher;

    if (r->op == VCK_REQUEST_ZERO)
        memset(r->bounce, 0, r->piece_bytes);
    if (!supplier) {
        if (from != r->bounce)
            memcpy(r->bounce, from, r->piece_bytes);
        return VCK_OK;
    }
    if (supplier->acquire(supplier, &cipher) != VCK_OK)
        return VCK_CRYPTO_FAILED;
    cipher.ops->encrypt(&cipher, r->bounce, from, r->piece_bytes, current_sector(r));
    supplier->release(supplier, &cipher);
    return VCK_OK;
}

static void begin_write(struct vck_request *r)
{
    bool whole = r->done_bytes == 0 && r->piece_bytes == r->size_bytes;
    bool fua = (r->flags & VCK_REQUEST_FUA) != 0;

    r->flush_at_end = fua && !whole;
    vck_disk_future_init(&r->io, r->volume->disk, VCK_DISK_WRITE, fua && whole ? VCK_DISK_FUA : 0,
                         absolute_bytes(r), r->piece_direct ? r->buffer + r->done_bytes : r->bounce,
                         r->piece_bytes);
}

static void begin_flush(struct vck_request *r)
{
    vck_disk_future_init(&r->io, r->volume->disk, VCK_DISK_FLUSH, 0, 0, NULL, 0);
}

static void end_flush(struct vck_request *r)
{
    r->status = vck_disk_flushed(r->volume->disk, r->io.io.status);
    if (r->status)
        volume_note_flush_failure(r->volume);
}

/* A write that is to be durable is a flush, too: what it was told about others is said once. */
static void end_write(struct vck_request *r)
{
    struct vck_disk *disk = r->volume->disk;

    r->status = r->io.io.status;
    if (r->io.io.flags & VCK_DISK_FUA)
        r->status = vck_disk_flushed(disk, r->status);
    if (vck_disk_flushed(disk, VCK_OK) != VCK_OK)
        volume_note_flush_failure(r->volume);
}

static enum vck_poll write_all(struct vck_request *r, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&r->part_co);
    while (r->done_bytes < r->size_bytes) {
        size_write_piece(r);
        if (!r->piece_direct && !r->bounce) {
            vck_pool_get_init(&r->get, &r->volume->pool);
            VCK_CO_AWAIT(&r->part_co, &r->get.future, waker);
            r->bounce = r->get.buffer;
        }
        if (!r->piece_direct)
            r->status = fill_bounce(r);
        if (r->status)
            VCK_CO_RETURN(&r->part_co);
        begin_write(r);
        VCK_CO_AWAIT(&r->part_co, &r->io.future, waker);
        end_write(r);
        if (r->status)
            VCK_CO_RETURN(&r->part_co);
        r->done_bytes += r->piece_bytes;
    }
    if (vck_damage_touches(&r->volume->damage, r->offset_bytes, r->size_bytes,
                           &r->damaged_offset_bytes)) {
        vck_damage_forget_init(&r->forget, &r->volume->damage, r->offset_bytes, r->size_bytes);
        VCK_CO_AWAIT(&r->part_co, &r->forget.future, waker);
        r->status = r->forget.status;
        if (r->forget.flush_failed)
            volume_note_flush_failure(r->volume);
        if (r->status)
            VCK_CO_RETURN(&r->part_co);
    }
    if (r->flush_at_end) {
        begin_flush(r);
        VCK_CO_AWAIT(&r->part_co, &r->io.future, waker);
        end_flush(r);
    }
    VCK_CO_END(&r->part_co);
}

static enum vck_poll discard(struct vck_request *r, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&r->part_co);
    vck_disk_future_init(&r->io, r->volume->disk, VCK_DISK_DISCARD, 0, absolute_bytes(r), NULL,
                         r->size_bytes);
    VCK_CO_AWAIT(&r->part_co, &r->io.future, waker);
    r->status = r->io.io.status;
    VCK_CO_END(&r->part_co);
}

static enum vck_poll flush(struct vck_request *r, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&r->part_co);
    if (__atomic_load_n(&r->volume->flush_failed, __ATOMIC_ACQUIRE)) {
        r->status = VCK_IO;
        VCK_CO_RETURN(&r->part_co);
    }
    begin_flush(r);
    VCK_CO_AWAIT(&r->part_co, &r->io.future, waker);
    end_flush(r);
    VCK_CO_END(&r->part_co);
}

/* ---- the whole ---- */

/* A provider's own transformation: blocking hooks, pieces that fit their sector count. */
static vck_status run_custom(struct vck_request *r)
{
    struct vck_custom_io *custom = r->volume->config.custom;
    uint64_t first = r->offset_bytes / sector_size(r);
    uint32_t sectors = (uint32_t)(r->size_bytes / sector_size(r));

    switch (r->op) {
    case VCK_REQUEST_READ:
        return custom->read(custom, first, r->buffer, sectors);
    case VCK_REQUEST_WRITE:
        return custom->write(custom, first, r->buffer, sectors);
    case VCK_REQUEST_FLUSH:
        return custom->flush(custom);
    case VCK_REQUEST_DISCARD:
    case VCK_REQUEST_ZERO:
        break;
    }
    return VCK_UNSUPPORTED;
}

static enum vck_poll carry_out(struct vck_request *r, const struct vck_waker *waker)
{
    if (r->volume->config.kind == VCK_IO_CUSTOM) {
        r->status = run_custom(r);
        return VCK_READY;
    }
    switch (r->op) {
    case VCK_REQUEST_READ:
        return read_all(r, waker);
    case VCK_REQUEST_FLUSH:
        return flush(r, waker);
    case VCK_REQUEST_DISCARD:
        return discard(r, waker);
    case VCK_REQUEST_WRITE:
    case VCK_REQUEST_ZERO:
        break;
    }
    return write_all(r, waker);
}

bool vck_request_ends_briefly(const struct vck_request *request, uint32_t decrypt_bytes)
{
    uint64_t damaged_offset_bytes;

    switch (request->op) {
    case VCK_REQUEST_READ:
        return request->size_bytes <= decrypt_bytes;
    case VCK_REQUEST_WRITE:
    case VCK_REQUEST_ZERO:
        return request->done_bytes + request->piece_bytes == request->size_bytes &&
               !request->flush_at_end &&
               !vck_damage_touches(&request->volume->damage, request->offset_bytes,
                                   request->size_bytes, &damaged_offset_bytes);
    case VCK_REQUEST_FLUSH:
        return true;
    case VCK_REQUEST_DISCARD:
        break;
    }
    return false;
}

static void give_back(struct vck_request *r)
{
    vck_pool_put(&r->volume->pool, r->bounce);
    r->bounce = NULL;
    vck_guard_leave(&r->enter);
    vck_volume_release(r->volume);
}

static enum vck_poll request_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_request *r = VCK_CONTAINER_OF(self, struct vck_request, future);
    uint64_t first = 0;
    uint64_t sectors = 0;

    VCK_CO_BEGIN(&r->co);
    r->begun = true;
    vck_volume_reference(r->volume);
    __atomic_fetch_add(&r->volume->foreground_requests, 1, __ATOMIC_RELAXED);
    r->status = check(r, &first, &sectors);
    /* A flush is somewhere, too: who waits for everybody to leave waits for it. */
    vck_guard_enter_init(&r->enter, &r->volume->guard, first, first + VCK_MAX(sectors, 1),
                         is_write(r));
    if (r->status == VCK_OK && (sectors != 0 || r->op == VCK_REQUEST_FLUSH)) {
        VCK_CO_AWAIT(&r->co, &r->enter.future, waker);
        r->status = r->enter.status;
        /* The key may have come meanwhile. */
        if (r->status == VCK_OK && is_write(r) && vck_volume_is_read_only(r->volume))
            r->status = VCK_READ_ONLY;
        if (r->status == VCK_OK && (r->op == VCK_REQUEST_WRITE || r->op == VCK_REQUEST_ZERO))
            volume_used_mark(r->volume, r->enter.first, r->enter.end - r->enter.first);
        if (r->status == VCK_OK)
            VCK_CO_CALL(&r->co, carry_out(r, waker));
    }
    give_back(r);
    VCK_CO_END(&r->co);
}

/* Only a request that waits to enter can be withdrawn; later its I/O owns the buffers. */
static void request_drop(struct vck_future *self)
{
    struct vck_request *r = VCK_CONTAINER_OF(self, struct vck_request, future);

    if (!r->begun || r->co.resume_at == VCK_CO_DONE)
        return;
    VCK_ASSERT(!r->enter.slot);
    vck_future_drop(&r->enter.future);
    give_back(r);
}

void vck_request_init(struct vck_request *request, struct vck_volume *volume,
                      enum vck_request_op op, unsigned flags, uint64_t offset_bytes, void *buffer,
                      uint64_t size_bytes)
{
    /* Field by field: clearing the whole struct would cost more than a small request. */
    request->future.poll = request_poll;
    request->future.drop = request_drop;
    request->status = VCK_OK;
    request->damaged_offset_bytes = 0;
    request->begun = false;
    request->co.resume_at = 0;
    request->part_co.resume_at = 0;
    request->volume = volume;
    request->op = op;
    request->flags = flags;
    request->offset_bytes = offset_bytes;
    request->size_bytes = op == VCK_REQUEST_FLUSH ? 0 : size_bytes;
    request->buffer = buffer;
    request->done_bytes = 0;
    request->bounce = NULL;
    request->flush_at_end = false;
}

vck_status vck_volume_io(struct vck_volume *volume, enum vck_request_op op, unsigned flags,
                         uint64_t offset_bytes, void *buffer, uint64_t size_bytes)
{
    struct vck_request request;

    vck_request_init(&request, volume, op, flags, offset_bytes, buffer, size_bytes);
    vck_block_on(&request.future);
    return request.status;
}
