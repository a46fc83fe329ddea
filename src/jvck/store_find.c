/* SPDX-License-Identifier: Apache-2.0 */
#include "store_find.h"
#include "vck/disk_io.h"
#include "vck/layout.h"

#define FIND_TAG VCK_TAG('V', 'f', 'n', 'd')

/* How far from an end of the disk another replica is looked for when the outer one is broken. */
#define SCAN_BYTES (17u * 1024u * 1024u)
#define READ_BYTES (1024u * 1024u)

struct finder {
    struct vck_disk *disk;
    uint8_t *buffer; /* READ_BYTES */
    vck_status reason;
    struct vck_block_header header;
};

/* SIGNATURE_MISMATCH is the weakest reason: something that looks like a block is worth more. */
static void note_reason(struct finder *f, vck_status status)
{
    if (f->reason == VCK_SIGNATURE_MISMATCH)
        f->reason = status;
}

static bool decode(struct finder *f, const uint8_t *block)
{
    vck_status status = vck_block_decode_header(block, &f->header);

    if (status)
        note_reason(f, status);
    return status == VCK_OK;
}

/* Whole sectors of the disk around [offset_bytes, + VCK_BLOCK_BYTES). */
static bool try_at(struct finder *f, uint64_t offset_bytes) VCK_CAN_WAIT
{
    uint64_t first = offset_bytes / f->disk->sector_size_bytes * f->disk->sector_size_bytes;
    vck_status status =
        vck_disk_read(f->disk, first, f->buffer, VCK_MAX(f->disk->sector_size_bytes, 512u));

    if (status) {
        note_reason(f, status);
        return false;
    }
    return decode(f, f->buffer + (offset_bytes - first));
}

static bool find_outer(struct finder *f) VCK_CAN_WAIT
{
    uint64_t size_bytes = f->disk->size_bytes;
    uint64_t last_512 = size_bytes / 512 * 512;
    uint64_t last_4096 = size_bytes / 4096 * 4096;

    if (last_512 >= 512 && try_at(f, last_512 - 512))
        return true;
    if (last_4096 >= 4096 && try_at(f, last_4096 - 4096))
        return true;
    return size_bytes >= VCK_BLOCK_BYTES && try_at(f, 0);
}

/* Whether the volume that the header describes would have a replica exactly here. */
static bool lies_right(struct finder *f, uint64_t offset_bytes)
{
    const struct vck_block_header *header = &f->header;
    struct vck_layout layout;

    if (vck_layout_init(&layout, f->disk->size_bytes, header->sector_size_bytes,
                        header->metadata_size_bytes, header->header_count,
                        header->footer_count) != VCK_OK)
        return false;
    for (uint32_t i = 0; i < layout.replica_count; i++)
        if (vck_layout_block_lba(&layout, i) * layout.sector_size_bytes == offset_bytes)
            return true;
    return false;
}

/* Every 512 bytes of [first, end), both multiples of the disk's sector. */
static bool scan(struct finder *f, uint64_t first, uint64_t end) VCK_CAN_WAIT
{
    for (uint64_t at = first; at < end; at += READ_BYTES) {
        uint64_t size_bytes = VCK_MIN(end - at, READ_BYTES);
        vck_status status = vck_disk_read(f->disk, at, f->buffer, size_bytes);

        if (status) {
            note_reason(f, status);
            continue;
        }
        for (uint64_t i = 0; i + VCK_BLOCK_BYTES <= size_bytes; i += 512)
            if (vck_load_le32(f->buffer + i) == 0x4B43564Au && decode(f, f->buffer + i) &&
                lies_right(f, at + i))
                return true;
    }
    return false;
}

static bool find_inner(struct finder *f) VCK_CAN_WAIT
{
    uint64_t sector = f->disk->sector_size_bytes;
    uint64_t end = f->disk->size_bytes / sector * sector;
    uint64_t span = VCK_MIN(end, SCAN_BYTES);

    return scan(f, end - span, end) || scan(f, 0, VCK_MIN(span, end - span));
}

vck_status store_find(struct vck_disk *disk, struct vck_block_header *ret_header)
{
    struct finder f = {.disk = disk, .reason = VCK_SIGNATURE_MISMATCH};
    vck_status status = VCK_OK;

    f.buffer = vck_alloc_pages(READ_BYTES, FIND_TAG);
    if (!f.buffer)
        return VCK_NO_MEMORY;
    if (find_outer(&f) || find_inner(&f))
        *ret_header = f.header;
    else
        status = f.reason;
    vck_free_pages(f.buffer, READ_BYTES);
    return status;
}
