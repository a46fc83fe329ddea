/* SPDX-License-Identifier: Apache-2.0 */
/* FAT12, FAT16 and FAT32: what the table says of each cluster. */
#include "filesystem_internal.h"

struct fat {
    uint64_t sector_bytes;
    uint64_t cluster_bytes;
    uint64_t table_at;    /* the one that counts, bytes */
    uint64_t table_bytes; /* of each */
    uint64_t first_table_at;
    uint32_t tables;
    bool is_mirrored;
    uint64_t data_at; /* cluster 2, bytes */
    uint64_t clusters;
    uint64_t root_cluster; /* 0: it has a place of its own */
    uint32_t bits;         /* of an entry */
};

static bool is_boot_sector(const uint8_t *b)
{
    uint32_t sector_bytes = vck_load_le16(b + 0xb);
    uint32_t per_cluster = b[0xd];

    return vck_load_le16(b + 0x1fe) == 0xaa55 && (b[0] == 0xeb || b[0] == 0xe9) &&
           sector_bytes >= 512 && sector_bytes <= 4096 &&
           (sector_bytes & (sector_bytes - 1)) == 0 && per_cluster != 0 &&
           (per_cluster & (per_cluster - 1)) == 0 && vck_load_le16(b + 0xe) != 0 &&
           (b[0x10] == 1 || b[0x10] == 2) && (b[0x15] == 0xf0 || b[0x15] >= 0xf8) &&
           (vck_load_le16(b + 0x16) != 0 || vck_load_le32(b + 0x24) != 0);
}

static void choose_table(struct fat *f, const uint8_t *b)
{
    uint32_t flags = f->bits == 32 ? vck_load_le16(b + 0x28) : 0;

    f->is_mirrored = !(flags & 0x80);
    f->table_at = f->first_table_at + (f->is_mirrored ? 0 : flags & 0xf) * f->table_bytes;
}

static vck_status load(struct search *s, const uint8_t *b, struct fat *f)
{
    uint64_t small = vck_load_le16(b + 0x13);
    uint64_t sectors = small ? small : vck_load_le32(b + 0x20);
    uint64_t table_sectors = vck_load_le16(b + 0x16);
    uint64_t root_bytes = 32u * vck_load_le16(b + 0x11);
    bool is_32 = table_sectors == 0;
    uint64_t root_sectors;
    uint64_t before;

    if (is_32)
        table_sectors = vck_load_le32(b + 0x24);
    f->sector_bytes = vck_load_le16(b + 0xb);
    f->cluster_bytes = f->sector_bytes * b[0xd];
    f->tables = b[0x10];
    f->table_bytes = table_sectors * f->sector_bytes;
    f->first_table_at = vck_load_le16(b + 0xe) * f->sector_bytes;
    root_sectors = (root_bytes + f->sector_bytes - 1) / f->sector_bytes;
    before = vck_load_le16(b + 0xe) + f->tables * table_sectors + root_sectors;
    s->report->name = "FAT";
    if (before >= sectors || (is_32 && root_bytes != 0))
        return search_refuse(s, VCK_INVALID_DATA, "contradicts itself in its boot sector");
    if (sectors > s->source->size_bytes / f->sector_bytes)
        return search_refuse(s, VCK_INVALID_DATA, "is larger than the volume");
    f->data_at = before * f->sector_bytes;
    f->clusters = (sectors - before) / b[0xd];
    f->bits = is_32 ? 32 : f->clusters < 4085 ? 12 : 16;
    f->root_cluster = is_32 ? vck_load_le32(b + 0x2c) : 0;
    choose_table(f, b);
    s->report->name = is_32 ? "FAT32" : f->bits == 16 ? "FAT16" : "FAT12";
    if (is_32 && vck_load_le16(b + 0x2a) != 0)
        return search_refuse(s, VCK_UNSUPPORTED, "has a version that is not known");
    if (f->table_bytes * 8 / f->bits < f->clusters + 2 ||
        f->table_at >= f->first_table_at + f->tables * f->table_bytes ||
        (is_32 && (f->root_cluster < 2 || f->root_cluster >= f->clusters + 2)))
        return search_refuse(s, VCK_INVALID_DATA, "contradicts itself in its boot sector");
    return VCK_OK;
}

static uint32_t entry(const struct fat *f, const uint8_t *table, uint64_t index)
{
    switch (f->bits) {
    case 12:
        return (vck_load_le16(table + index * 3 / 2) >> (index % 2 ? 4 : 0)) & 0xfff;
    case 16:
        return vck_load_le16(table + index * 2);
    default:
        return vck_load_le32(table + index * 4) & 0xfffffff;
    }
}

/* The second entry, and a byte of the boot sector, say whether somebody has it open. */
static vck_status check_state(struct search *s, const struct fat *f, const uint8_t *b)
{
    uint32_t media = entry(f, s->buffer, 0) & 0xff;
    uint32_t state = entry(f, s->buffer, 1);
    uint32_t flags = b[f->bits == 32 ? 0x41 : 0x25];
    uint32_t clean = f->bits == 32 ? 0x8000000 : 0x8000;
    uint32_t good = f->bits == 32 ? 0x4000000 : 0x4000;

    if (media != b[0x15])
        return search_refuse(s, VCK_INVALID_DATA, "contradicts itself in its table");
    if ((flags & 1) || (f->bits != 12 && !(state & clean)))
        return search_refuse(s, VCK_NOT_READY, "is in use, or was not unmounted cleanly");
    if ((flags & 2) || (f->bits != 12 && !(state & good)))
        return search_refuse(s, VCK_NOT_READY, "has errors");
    return VCK_OK;
}

/* A piece of the table into the buffer; all mirrored tables have to agree. */
static vck_status read_piece(struct search *s, const struct fat *f, uint64_t at, size_t size_bytes)
{
    vck_status status = search_read(s, f->table_at + at, s->buffer, size_bytes);

    if (status || f->tables == 1 || !f->is_mirrored)
        return status;
    status = search_read(s, f->table_at + f->table_bytes + at, s->other, size_bytes);
    if (status == VCK_OK && memcmp(s->buffer, s->other, size_bytes) != 0)
        status = search_refuse(s, VCK_INVALID_DATA, "has two tables that differ");
    return status;
}

/* Pieces of whole entries, and of whole bytes: 3 * 4096 entries of each kind are both. */
#define PIECE_ENTRIES 12288u

static vck_status use_entries(struct search *s, const struct fat *f, uint64_t first, uint64_t count)
{
    vck_status status = VCK_OK;

    for (uint64_t i = 0; i < count && status == VCK_OK; i++) {
        uint64_t cluster = first + i;
        bool is_used = entry(f, s->buffer, i) != 0;

        if (cluster == f->root_cluster && !is_used && cluster != 0)
            status = search_refuse(s, VCK_INVALID_DATA, "has a root directory that is free");
        else if (is_used && cluster >= 2)
            status =
                search_used(s, f->data_at + (cluster - 2) * f->cluster_bytes, f->cluster_bytes);
    }
    return status;
}

static vck_status use_table(struct search *s, const struct fat *f, const uint8_t *b)
{
    uint64_t entries = f->clusters + 2;
    vck_status status = VCK_OK;

    for (uint64_t first = 0; first < entries && status == VCK_OK; first += PIECE_ENTRIES) {
        uint64_t count = VCK_MIN(entries - first, PIECE_ENTRIES);
        uint64_t at = first * f->bits / 8;
        uint64_t size_bytes = VCK_MIN(f->table_bytes - at, PIECE_ENTRIES * f->bits / 8);

        status = read_piece(s, f, at, (size_t)size_bytes);
        if (status == VCK_OK && first == 0)
            status = check_state(s, f, b);
        if (status == VCK_OK)
            status = use_entries(s, f, first, count);
    }
    return status;
}

vck_status search_fat(struct search *s)
{
    const uint8_t *boot = s->boot;
    struct fat f = {0};
    uint64_t end_bytes;
    vck_status status;

    if (!is_boot_sector(boot))
        return VCK_NOT_FOUND;
    status = load(s, boot, &f);
    if (status == VCK_OK)
        status = search_used(s, 0, f.data_at);
    if (status == VCK_OK)
        status = use_table(s, &f, boot);
    end_bytes = f.data_at + f.clusters * f.cluster_bytes;
    return status == VCK_OK ? search_used(s, end_bytes, s->source->size_bytes - end_bytes) : status;
}
