/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"
#include "vck/bytes.h"
#include "vck/request.h"
#include "vck/secret.h"

#define VIEW_TAG VCK_TAG('b', 'v', 'e', 'w')

/* What lies in one sector, or in several whole ones. */
struct piece {
    uint64_t sector_bytes; /* where the (first) sector begins */
    uint64_t skip_bytes;   /* from there to the piece; 0 when it is whole */
    uint64_t size_bytes;
    bool is_whole;
};

vck_status view_init(struct view *view, struct vck_volume *volume, uint32_t block_bytes)
{
    uint32_t sector_bytes = vck_volume_sector_size_bytes(volume);

    if (block_bytes == 0 || sector_bytes % block_bytes != 0)
        return VCK_INVALID_DATA;
    *view = (struct view){
        .volume = volume,
        .block_bytes = block_bytes,
        .blocks = vck_volume_data_sectors(volume) * (sector_bytes / block_bytes),
        .sector = vck_alloc_pages(sector_bytes, VIEW_TAG),
    };
    return view->sector != NULL ? VCK_OK : VCK_NO_MEMORY;
}

void view_fini(struct view *view)
{
    size_t size_bytes;

    if (view->sector == NULL)
        return;
    size_bytes = vck_volume_sector_size_bytes(view->volume);
    vck_wipe(view->sector, size_bytes);
    vck_free_pages(view->sector, size_bytes);
    view->sector = NULL;
}

static vck_status check(const struct view *view, uint64_t lba, uint64_t size_bytes)
{
    if (size_bytes % view->block_bytes != 0)
        return VCK_SIZE_MISMATCH;
    if (lba > view->blocks || size_bytes / view->block_bytes > view->blocks - lba)
        return VCK_OUT_OF_RANGE;
    return VCK_OK;
}

/* The first piece of a range that is not empty. */
static struct piece first_piece(const struct view *view, uint64_t offset_bytes, uint64_t size_bytes)
{
    uint64_t sector_size_bytes = vck_volume_sector_size_bytes(view->volume);
    uint64_t skip_bytes = offset_bytes % sector_size_bytes;
    struct piece piece = {
        .sector_bytes = offset_bytes - skip_bytes,
        .skip_bytes = skip_bytes,
        .size_bytes = size_bytes - size_bytes % sector_size_bytes,
        .is_whole = true,
    };

    if (skip_bytes != 0 || size_bytes < sector_size_bytes) {
        piece.size_bytes = VCK_MIN(size_bytes, sector_size_bytes - skip_bytes);
        piece.is_whole = false;
    }
    return piece;
}

static vck_status sector_io(struct view *view, enum vck_request_op op,
                            uint64_t offset_bytes) VCK_CAN_WAIT
{
    return vck_volume_io(view->volume, op, 0, offset_bytes, view->sector,
                         vck_volume_sector_size_bytes(view->volume));
}

static vck_status read_piece(struct view *view, const struct piece *piece, uint8_t *to) VCK_CAN_WAIT
{
    vck_status status;

    if (piece->is_whole)
        return vck_volume_io(view->volume, VCK_REQUEST_READ, 0, piece->sector_bytes, to,
                             piece->size_bytes);
    status = sector_io(view, VCK_REQUEST_READ, piece->sector_bytes);
    if (status == VCK_OK)
        memcpy(to, view->sector + piece->skip_bytes, piece->size_bytes);
    return status;
}

static vck_status write_piece(struct view *view, const struct piece *piece,
                              const uint8_t *from) VCK_CAN_WAIT
{
    vck_status status;

    /* A write only reads its buffer; requests serve both directions. */
    if (piece->is_whole)
        return vck_volume_io(view->volume, VCK_REQUEST_WRITE, 0, piece->sector_bytes,
                             (void *)(uintptr_t)from, piece->size_bytes);
    status = sector_io(view, VCK_REQUEST_READ, piece->sector_bytes);
    if (status)
        return status;
    memcpy(view->sector + piece->skip_bytes, from, piece->size_bytes);
    return sector_io(view, VCK_REQUEST_WRITE, piece->sector_bytes);
}

vck_status view_read(struct view *view, uint64_t lba, void *buffer, uint64_t size_bytes)
{
    vck_status status = check(view, lba, size_bytes);
    uint64_t offset_bytes = lba * view->block_bytes;

    for (uint64_t at = 0; status == VCK_OK && at < size_bytes;) {
        struct piece piece = first_piece(view, offset_bytes + at, size_bytes - at);

        status = read_piece(view, &piece, (uint8_t *)buffer + at);
        at += piece.size_bytes;
    }
    return status;
}

vck_status view_write(struct view *view, uint64_t lba, const void *buffer, uint64_t size_bytes)
{
    vck_status status = check(view, lba, size_bytes);
    uint64_t offset_bytes = lba * view->block_bytes;

    for (uint64_t at = 0; status == VCK_OK && at < size_bytes;) {
        struct piece piece = first_piece(view, offset_bytes + at, size_bytes - at);

        status = write_piece(view, &piece, (const uint8_t *)buffer + at);
        at += piece.size_bytes;
    }
    return status;
}

vck_status view_flush(struct view *view)
{
    return vck_volume_io(view->volume, VCK_REQUEST_FLUSH, 0, 0, NULL, 0);
}
