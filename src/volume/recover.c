/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/recover.h"
#include "vck/disk_io.h"
#include "vck/secret.h"

#define RECOVER_TAG VCK_TAG('V', 'r', 'e', 'c')
#define RECORDS_MAX (2u * VCK_JOURNAL_REPLICAS_MAX)
#define PIECE_BYTES (256u * 1024u)
#define TAG_BYTES   8u

/* A record keeps the chunk size of the device it was written on: any that is possible. */
#define CHUNK_BYTES_MIN  16u
#define PIECE_TAGS_BYTES (PIECE_BYTES / CHUNK_BYTES_MIN * VCK_RECORD_TAGS_BYTES)

/* Requests come in whole sectors, so an entry only has to name a place inside its sector. */
#define DAMAGE_UNIT_BYTES 16u

struct found_record {
    struct vck_record record;
    uint32_t half;
};

struct recovery {
    struct vck_offset_store *store;
    struct vck_store *meta;
    struct vck_disk *disk;
    const struct vck_cipher *below;
    const struct vck_cipher *above; /* without ops: plaintext */
    struct vck_recovery *result;
    uint8_t *half;      /* one half of the journal */
    uint8_t *piece;     /* PIECE_BYTES of data */
    uint8_t *tags;      /* the piece's tags as found on disk */
    bool journal_dirty; /* something is in the halves */
    uint32_t count;
    struct found_record found[RECORDS_MAX];
    struct vck_damage_list damage; /* of the slot that is looked at */
};

static uint32_t sector_size(const struct recovery *r)
{
    return r->meta->layout.sector_size_bytes;
}

/* ---- finding records ---- */

static vck_status read_half(struct recovery *r, uint32_t replica, uint32_t half) VCK_CAN_WAIT
{
    const struct vck_journal_area *area = &r->store->area;

    return vck_disk_read(r->disk,
                         area->journal_offset_bytes[replica] + (uint64_t)half * area->half_bytes,
                         r->half, area->half_bytes);
}

static void keep_in_order(struct recovery *r, const struct found_record *found)
{
    uint32_t at = r->count;

    for (uint32_t i = 0; i < r->count; i++)
        if (r->found[i].record.sequence == found->record.sequence)
            return; /* the other replica's copy of the same record */
    while (at > 0 && r->found[at - 1].record.sequence > found->record.sequence) {
        r->found[at] = r->found[at - 1];
        at--;
    }
    r->found[at] = *found;
    r->count++;
}

/* The one in r->half. */
static vck_status open_half(const struct recovery *r, struct vck_record *ret_record)
{
    return vck_record_open(&r->store->keys, r->half, r->store->area.half_bytes, sector_size(r),
                           r->meta->layout.data_sectors, ret_record);
}

/* A cut may leave a copy unreadable. The other one then says all there is: a record that is only in
 * what was lost was not durable, and nothing has been done of it. */
static vck_status find_in_half(struct recovery *r, uint32_t half) VCK_CAN_WAIT
{
    const struct vck_journal_area *area = &r->store->area;
    vck_status result = VCK_IO;

    for (uint32_t replica = 0; replica < area->replica_count; replica++) {
        struct found_record found = {.half = half};
        vck_status status = read_half(r, replica, half);

        if (status == VCK_IO)
            continue;
        if (status)
            return status;
        result = VCK_OK;
        if (open_half(r, &found.record) == VCK_OK)
            keep_in_order(r, &found);
        if (!vck_all_zero(r->half, area->half_bytes))
            r->journal_dirty = true;
    }
    return result;
}

static vck_status find_records(struct recovery *r) VCK_CAN_WAIT
{
    vck_status status = find_in_half(r, 0);

    return status == VCK_OK ? find_in_half(r, 1) : status;
}

/* Into r->half, from a replica where it is what it was when it was found: what the tags say is
 * done, and a disk may answer otherwise when it is asked again. */
static vck_status read_again(struct recovery *r, const struct found_record *found) VCK_CAN_WAIT
{
    vck_status result = VCK_TAMPERED;

    for (uint32_t replica = 0; replica < r->store->area.replica_count; replica++) {
        struct vck_record record;
        vck_status status = read_half(r, replica, found->half);

        if (status == VCK_OK && open_half(r, &record) == VCK_OK &&
            record.sequence == found->record.sequence)
            return VCK_OK;
        if (status)
            result = status;
    }
    return result;
}

static uint64_t base_generation_max(const struct recovery *r)
{
    uint64_t max = 0;

    for (uint32_t i = 0; i < r->count; i++)
        max = VCK_MAX(max, r->found[i].record.base_generation);
    return max;
}

/* ---- the damage list ---- */

/* As with records, one copy of a slot that can be read is enough. */
static vck_status load_slot(struct recovery *r, uint32_t slot, bool *found) VCK_CAN_WAIT
{
    const struct vck_journal_area *area = &r->store->area;
    uint64_t data_bytes = r->meta->layout.data_sectors * sector_size(r);
    vck_status result = VCK_IO;

    for (uint32_t i = 0; i < area->replica_count; i++) {
        vck_status status =
            vck_disk_read(r->disk, area->damage_offset_bytes[i] + slot * VCK_DAMAGE_SLOT_BYTES,
                          r->piece, VCK_DAMAGE_SLOT_BYTES);
        if (status == VCK_IO)
            continue;
        if (status)
            return status;
        result = VCK_OK;
        status = vck_damage_open(&r->store->keys, r->piece, data_bytes, &r->damage);
        if (status == VCK_OK && (!*found || r->damage.sequence > r->store->damage.sequence)) {
            r->store->damage = r->damage;
            *found = true;
        }
    }
    return result;
}

static vck_status load_damage(struct recovery *r) VCK_CAN_WAIT
{
    bool found = false;
    vck_status status = load_slot(r, 0, &found);

    if (status == VCK_OK)
        status = load_slot(r, 1, &found);
    r->store->damage.chunk_bytes = DAMAGE_UNIT_BYTES;
    return status;
}

static vck_status save_damage(struct recovery *r) VCK_CAN_WAIT
{
    const struct vck_journal_area *area = &r->store->area;
    vck_status status = VCK_OK;

    r->store->damage.sequence++;
    vck_damage_seal(&r->store->keys, &r->store->damage, r->piece);
    for (uint32_t i = 0; i < area->replica_count && status == VCK_OK; i++)
        status = vck_disk_write(r->disk,
                                area->damage_offset_bytes[i] +
                                    (r->store->damage.sequence & 1) * VCK_DAMAGE_SLOT_BYTES,
                                r->piece, VCK_DAMAGE_SLOT_BYTES);
    return status;
}

/* ---- carrying out a record ---- */

static void transform_chunk(struct recovery *r, const struct vck_record *record, uint8_t *chunk,
                            uint64_t at_bytes)
{
    bool is_up = record->direction == VCK_ENCRYPTING;
    const struct vck_cipher *from = is_up ? r->above : r->below;
    const struct vck_cipher *to = is_up ? r->below : r->above;
    uint64_t sector = at_bytes / sector_size(r);
    uint32_t inside = (uint32_t)(at_bytes % sector_size(r));

    if (from->ops)
        from->ops->decrypt_part(from, chunk, chunk, record->chunk_bytes, sector, inside);
    if (to->ops)
        to->ops->encrypt_part(to, chunk, chunk, record->chunk_bytes, sector, inside);
}

static void note_damage(struct recovery *r, uint64_t at_bytes)
{
    uint64_t known;

    if (vck_damage_overlaps(&r->store->damage, at_bytes, DAMAGE_UNIT_BYTES, &known))
        return;
    r->result->chunks_damaged++;
    if (vck_damage_add(&r->store->damage, at_bytes) != VCK_OK)
        r->result->damage_list_full = true;
}

/* Decides each chunk of a piece by its tag. Tells whether one was transformed. */
static bool settle_piece(struct recovery *r, const struct vck_record *record,
                         const uint8_t *expected, uint64_t first_byte, size_t chunks)
{
    uint32_t chunk_bytes = record->chunk_bytes;
    bool changed = false;

    vck_record_tag(&r->store->keys, 0, r->piece, first_byte, chunk_bytes, chunks, r->tags);
    for (size_t i = 0; i < chunks; i++) {
        const uint8_t *on_disk = r->tags + i * VCK_RECORD_TAGS_BYTES;
        const uint8_t *tags = expected + i * VCK_RECORD_TAGS_BYTES;
        uint64_t at_bytes = first_byte + i * chunk_bytes;

        if (vck_equal_constant_time(on_disk, tags, TAG_BYTES)) {
            transform_chunk(r, record, r->piece + i * chunk_bytes, at_bytes);
            r->result->chunks_transformed++;
            changed = true;
        } else if (!vck_equal_constant_time(on_disk, tags + TAG_BYTES, TAG_BYTES)) {
            note_damage(r, at_bytes);
        }
    }
    return changed;
}

/* The record's half is in r->half. */
static vck_status settle_record(struct recovery *r, const struct vck_record *record) VCK_CAN_WAIT
{
    uint64_t first_byte = record->first_sector * sector_size(r);
    uint64_t total = (uint64_t)record->sectors * sector_size(r);
    uint64_t base = r->meta->layout.data_start_lba * sector_size(r) + first_byte;

    for (uint64_t at = 0; at < total; at += PIECE_BYTES) {
        uint64_t size_bytes = VCK_MIN(total - at, PIECE_BYTES);
        const uint8_t *expected =
            r->half + VCK_RECORD_HEADER_BYTES + at / record->chunk_bytes * VCK_RECORD_TAGS_BYTES;
        vck_status status = vck_disk_read(r->disk, base + at, r->piece, size_bytes);

        if (status)
            return status;
        if (settle_piece(r, record, expected, first_byte + at,
                         (size_t)(size_bytes / record->chunk_bytes)))
            status = vck_disk_write(r->disk, base + at, r->piece, size_bytes);
        if (status)
            return status;
    }
    return VCK_OK;
}

static bool applies(const struct recovery *r, const struct vck_record *record)
{
    const struct vck_store_state *state = &r->meta->state;
    uint64_t edge = record->direction == VCK_ENCRYPTING ? record->first_sector
                                                        : record->first_sector + record->sectors;

    return record->base_generation == state->generation && record->direction == state->direction &&
           edge == state->encrypted_offset_sectors;
}

/* Everything the record did becomes durable before the boundary says so. */
static vck_status apply(struct recovery *r, const struct found_record *found) VCK_CAN_WAIT
{
    const struct vck_record *record = &found->record;
    uint32_t damaged_before = r->result->chunks_damaged;
    struct vck_store_state next = r->meta->state;
    vck_status status = read_again(r, found);

    if (status == VCK_OK)
        status = settle_record(r, record);
    if (r->result->damage_list_full) {
        /* The record stays open and tells the next attach the same. */
        r->result->lost_first_byte = record->first_sector * sector_size(r);
        r->result->lost_bytes = (uint64_t)record->sectors * sector_size(r);
        return status;
    }
    if (status == VCK_OK && r->result->chunks_damaged != damaged_before)
        status = save_damage(r);
    if (status == VCK_OK)
        status = vck_disk_flush(r->disk);
    if (status)
        return status;
    next.generation++;
    next.encrypted_offset_sectors = record->direction == VCK_ENCRYPTING
                                        ? record->first_sector + record->sectors
                                        : record->first_sector;
    r->result->records_applied++;
    return vck_store_write_all(r->meta, &next, true);
}

static vck_status apply_records(struct recovery *r) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;

    for (uint32_t i = 0; i < r->count && status == VCK_OK && !r->result->damage_list_full; i++)
        if (applies(r, &r->found[i].record))
            status = apply(r, &r->found[i]);
    return status;
}

/* ---- the whole ---- */

/* The generation moves above every record; then the halves can go. */
static vck_status close_journal(struct recovery *r) VCK_CAN_WAIT
{
    const struct vck_journal_area *area = &r->store->area;
    struct vck_store_state next = r->meta->state;
    vck_status status = VCK_OK;

    if (!r->journal_dirty || r->result->damage_list_full)
        return VCK_OK;
    next.generation = VCK_MAX(next.generation, base_generation_max(r)) + 1;
    status = vck_store_write_all(r->meta, &next, true);
    memset(r->half, 0, area->half_bytes);
    for (uint32_t i = 0; i < 2 * area->replica_count && status == VCK_OK; i++)
        status = vck_disk_write(
            r->disk, area->journal_offset_bytes[i / 2] + (uint64_t)(i % 2) * area->half_bytes,
            r->half, area->half_bytes);
    if (status == VCK_OK)
        status = vck_disk_flush(r->disk);
    return status;
}

/* Volume id and geometry are the same on every replica that opened; the salt never is. */
static bool same_header(const struct vck_block_header *a, const struct vck_block_header *b)
{
    return a->metadata_version == b->metadata_version && a->vendor_id == b->vendor_id &&
           a->vendor_version == b->vendor_version &&
           memcmp(a->reserved, b->reserved, sizeof a->reserved) == 0;
}

static bool equals_winner(const struct recovery *r, const struct vck_replica *replica)
{
    const struct vck_store_state *state = &r->meta->state;

    return replica->status == VCK_OK && same_header(&replica->header, &r->meta->header) &&
           replica->generation == state->generation &&
           replica->encrypted_offset_sectors == state->encrypted_offset_sectors &&
           replica->direction == state->direction && replica->intent == state->intent;
}

/* The winner goes to the replicas that differ; it is not touched itself meanwhile. */
static vck_status write_back(struct recovery *r) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;

    if (!r->meta->any_differs)
        return VCK_OK;
    r->result->wrote_back = true;
    for (uint32_t i = 0; i < r->meta->layout.replica_count && status == VCK_OK; i++) {
        uint64_t offset_bytes;

        if (i == r->meta->winner || equals_winner(r, &r->meta->replicas[i]))
            continue;
        status = vck_store_encode(r->meta, i, &r->meta->state, r->piece, &offset_bytes);
        if (status == VCK_OK)
            status = vck_disk_write(r->disk, offset_bytes, r->piece, sector_size(r));
    }
    return status == VCK_OK ? vck_disk_flush(r->disk) : status;
}

/* A volume that somebody else wrote gets a generation that no record has. */
static vck_status stamp(struct recovery *r) VCK_CAN_WAIT
{
    struct vck_store_state next = r->meta->state;

    if (!r->meta->any_generation_zero && !r->meta->any_digest_absent)
        return VCK_OK;
    next.generation = VCK_MAX(r->meta->generation_max, base_generation_max(r)) + 1;
    r->result->wrote_back = true;
    return vck_store_write_all(r->meta, &next, false);
}

static bool has_work(const struct recovery *r)
{
    return r->journal_dirty || r->meta->any_differs || r->meta->any_generation_zero ||
           r->meta->any_digest_absent;
}

static void note_next_sequence(struct recovery *r)
{
    uint64_t next = 1;

    for (uint32_t i = 0; i < r->count; i++)
        next = VCK_MAX(next, r->found[i].record.sequence + 1);
    r->store->next_sequence = next;
}

static vck_status run(struct recovery *r) VCK_CAN_WAIT
{
    vck_status status = load_damage(r);

    if (status == VCK_OK)
        status = find_records(r);
    if (status)
        return status;
    note_next_sequence(r);
    if (!has_work(r))
        return VCK_OK;
    if (r->disk->read_only)
        return VCK_READ_ONLY;
    status = write_back(r);
    if (status == VCK_OK)
        status = stamp(r);
    if (status == VCK_OK)
        status = apply_records(r);
    if (status == VCK_OK)
        status = close_journal(r);
    return status;
}

static void free_recovery(struct recovery *r)
{
    if (r->half)
        vck_free_pages(r->half, r->store->area.half_bytes);
    if (r->piece) {
        vck_wipe(r->piece, PIECE_BYTES);
        vck_free_pages(r->piece, PIECE_BYTES);
    }
    if (r->tags)
        vck_free_pages(r->tags, PIECE_TAGS_BYTES);
    vck_free(r);
}

vck_status vck_recover(struct vck_offset_store *store, struct vck_cipher_supplier *below,
                       struct vck_cipher_supplier *above, struct vck_recovery *ret_recovery)
{
    struct vck_recovery result = {0};
    struct vck_cipher below_cipher = {0};
    struct vck_cipher above_cipher = {0};
    /* With room for every record of the journal, too large for a kernel's stack. */
    struct recovery *r = vck_alloc(sizeof(*r), RECOVER_TAG);
    vck_status status;

    if (!r)
        return VCK_NO_MEMORY;
    r->store = store;
    r->meta = store->store;
    r->disk = store->store->disk;
    r->result = &result;
    r->below = &below_cipher;
    r->above = &above_cipher;
    status = below->acquire(below, &below_cipher);
    if (status == VCK_OK && above)
        status = above->acquire(above, &above_cipher);
    if (status)
        goto out;
    r->half = vck_alloc_pages(store->area.half_bytes, RECOVER_TAG);
    r->piece = vck_alloc_pages(PIECE_BYTES, RECOVER_TAG);
    r->tags = vck_alloc_pages(PIECE_TAGS_BYTES, RECOVER_TAG);
    status = r->half && r->piece && r->tags ? run(r) : VCK_NO_MEMORY;
    if (status == VCK_OK)
        *ret_recovery = result;
out:
    if (above_cipher.ops)
        above->release(above, &above_cipher);
    if (below_cipher.ops)
        below->release(below, &below_cipher);
    free_recovery(r);
    return status;
}
