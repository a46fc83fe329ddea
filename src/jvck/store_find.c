/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the block that tells where all the others are. The usual places take three small reads.
 * When none of them has it, the sector that should have it may be torn or unreadable while another
 * replica is whole, at a distance that only the lost block knew: then both ends are searched.
 */
#include "store_internal.h"
#include "vck/disk_io.h"

#define PROBE_BYTES      4096u
#define POSITION_BYTES   512u
#define SCAN_BYTES       (17u * 1024u * 1024u) /* regions up to 16 MiB */
#define SCAN_PIECE_BYTES (1024u * 1024u)

/* Each costs key derivations for every replica: plausible blocks in the data must not add up. */
#define SCAN_CONSIDERED_MAX 16u

/* A dying disk takes seconds for each. */
#define FAILED_READS_MAX 32u

struct finder {
    struct vck_disk *disk;
    struct vck_store_search *search;
    uint8_t *buffer; /* SCAN_PIECE_BYTES, or PROBE_BYTES before the scan */
    vck_status reason;
    uint32_t considered;
    uint32_t failed_reads;
    bool ended;
};

/* ---- why there is none ---- */

static unsigned rank(vck_status status)
{
    static const vck_status order[] = {VCK_SIGNATURE_MISMATCH, VCK_IO,
                                       VCK_CHECKSUM_MISMATCH,  VCK_INVALID_DATA,
                                       VCK_UNSUPPORTED,        VCK_SIZE_MISMATCH};
    unsigned i = 0;
    while (i < VCK_ARRAY_COUNT(order) && order[i] != status)
        i++;
    return i;
}

static void note(struct finder *f, vck_status reason)
{
    if (rank(reason) > rank(f->reason))
        f->reason = reason;
}

/* ---- one position ---- */

static bool find_replica_at(const struct vck_layout *layout, uint64_t offset_bytes,
                            uint32_t *ret_replica)
{
    for (uint32_t i = 0; i < layout->replica_count; i++) {
        if (vck_layout_block_lba(layout, i) * layout->sector_size_bytes == offset_bytes) {
            *ret_replica = i;
            return true;
        }
    }
    return false;
}

/* OK: it has been considered. */
static vck_status look_at(struct finder *f, const uint8_t *block,
                          uint64_t offset_bytes) VCK_CAN_WAIT
{
    struct vck_block_header header;
    struct vck_layout layout;
    uint32_t replica;
    vck_status status = vck_block_decode_header(block, &header);
    if (status != VCK_OK)
        return status;
    if (header.sector_size_bytes < f->disk->sector_size_bytes)
        return VCK_UNSUPPORTED;
    status = vck_layout_init(&layout, f->disk->size_bytes, header.sector_size_bytes,
                             header.metadata_size_bytes, header.header_count, header.footer_count);
    if (status != VCK_OK)
        return status;
    if (!find_replica_at(&layout, offset_bytes, &replica))
        return VCK_SIZE_MISMATCH;
    f->considered++;
    f->ended = f->search->consider(f->search, &header, &layout, replica);
    return VCK_OK;
}

/* ---- the usual places ---- */

/* Reads the whole disk sector that position is in. */
static vck_status probe(struct finder *f, uint64_t offset_bytes) VCK_CAN_WAIT
{
    uint64_t inside = offset_bytes % f->disk->sector_size_bytes;
    if (f->ended)
        return VCK_OK;
    vck_status status =
        vck_disk_read(f->disk, offset_bytes - inside, f->buffer, f->disk->sector_size_bytes);
    if (status == VCK_OK)
        status = look_at(f, f->buffer + inside, offset_bytes);
    if (status == VCK_NO_MEMORY)
        return status;
    if (status != VCK_OK)
        note(f, status);
    return VCK_OK;
}

static uint64_t last_sector(uint64_t size_bytes, uint32_t sector_size_bytes)
{
    return size_bytes - size_bytes % sector_size_bytes - sector_size_bytes;
}

static vck_status probe_places(struct finder *f) VCK_CAN_WAIT
{
    uint64_t size_bytes = f->disk->size_bytes;
    uint64_t fine = last_sector(size_bytes, 512);
    vck_status status = probe(f, fine);
    if (status == VCK_OK && size_bytes >= 4096 && last_sector(size_bytes, 4096) != fine)
        status = probe(f, last_sector(size_bytes, 4096));
    if (status == VCK_OK)
        status = probe(f, 0);
    return status;
}

/* ---- both ends ---- */

static bool may_stop(const struct finder *f)
{
    return f->ended || f->considered >= SCAN_CONSIDERED_MAX;
}

/* Positions in a piece of the disk that is in the buffer, the outermost first. */
static void scan_piece(struct finder *f, uint64_t offset_bytes, uint64_t size_bytes,
                       bool from_end) VCK_CAN_WAIT
{
    uint64_t count = size_bytes / POSITION_BYTES;
    for (uint64_t i = 0; i < count && !may_stop(f); i++) {
        uint64_t at = (from_end ? count - 1 - i : i) * POSITION_BYTES;
        /* What it says is no reason of its own: it may be anybody's data. */
        (void)look_at(f, f->buffer + at, offset_bytes + at);
    }
}

/* A read that fails is taken apart: one bad sector must not hide the others. */
static vck_status scan_range(struct finder *f, uint64_t offset_bytes, uint64_t size_bytes,
                             uint64_t piece_bytes, bool from_end) VCK_CAN_WAIT
{
    for (uint64_t done = 0; done < size_bytes && !may_stop(f);) {
        uint64_t piece = VCK_MIN(size_bytes - done, piece_bytes);
        uint64_t at = from_end ? offset_bytes + size_bytes - done - piece : offset_bytes + done;
        vck_status status = vck_disk_read(f->disk, at, f->buffer, piece);
        if (status == VCK_OK) {
            scan_piece(f, at, piece, from_end);
        } else {
            note(f, status);
            if (status != VCK_IO || ++f->failed_reads > FAILED_READS_MAX)
                return status;
            if (piece_bytes > PROBE_BYTES)
                status = scan_range(f, at, piece, PROBE_BYTES, from_end);
            if (status != VCK_OK && status != VCK_IO)
                return status;
        }
        done += piece;
    }
    return VCK_OK;
}

static vck_status scan_ends(struct finder *f) VCK_CAN_WAIT
{
    uint64_t size_bytes = f->disk->size_bytes;
    uint64_t scanned = VCK_MIN(size_bytes, (uint64_t)SCAN_BYTES);
    scanned -= scanned % f->disk->sector_size_bytes;
    vck_status status =
        scan_range(f, size_bytes - size_bytes % f->disk->sector_size_bytes - scanned, scanned,
                   SCAN_PIECE_BYTES, true);
    if (status == VCK_OK)
        status = scan_range(f, 0, scanned, SCAN_PIECE_BYTES, false);
    return status;
}

/* ---- the whole ---- */

static vck_status with_buffer(struct finder *f, vck_status (*step)(struct finder *f),
                              size_t buffer_bytes) VCK_CAN_WAIT
{
    f->buffer = vck_alloc_pages(buffer_bytes, STORE_TAG);
    if (f->buffer == NULL)
        return VCK_NO_MEMORY;
    vck_status status = step(f);
    /* It may have been somebody's data. */
    vck_wipe(f->buffer, buffer_bytes);
    vck_free_pages(f->buffer, buffer_bytes);
    return status;
}

vck_status vck_store_find(struct vck_disk *disk, struct vck_store_search *search)
{
    struct finder f = {.disk = disk, .search = search, .reason = VCK_SIGNATURE_MISMATCH};
    if (disk->size_bytes < VCK_MAX(disk->sector_size_bytes, POSITION_BYTES))
        return VCK_SIGNATURE_MISMATCH;
    vck_status status = with_buffer(&f, probe_places, PROBE_BYTES);
    if (status == VCK_OK && f.considered == 0)
        status = with_buffer(&f, scan_ends, SCAN_PIECE_BYTES);
    if (f.considered > 0 && status != VCK_NO_MEMORY)
        return VCK_OK;
    return status != VCK_OK ? status : f.reason;
}
