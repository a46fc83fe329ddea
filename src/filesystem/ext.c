/* SPDX-License-Identifier: Apache-2.0 */
/* ext2, ext3 and ext4: the bitmaps of its groups, and where those and the inode tables lie. */
#include "filesystem_internal.h"

#define SUPER_BYTES    1024u
#define SUPER_AT_BYTES 1024u
#define MAGIC          0xef53u

#define STATE_VALID  1u
#define STATE_ERRORS 2u
#define STATE_ORPHAN 4u

#define COMPAT_JOURNAL       0x4u
#define COMPAT_SPARSE2       0x200u
#define INCOMPAT_RECOVER     0x4u
#define INCOMPAT_JOURNAL_DEV 0x8u
#define INCOMPAT_META_BG     0x10u
#define INCOMPAT_EXTENTS     0x40u
#define INCOMPAT_64BIT       0x80u
/* filetype, meta_bg, extents, 64bit, mmp, flex_bg, ea_inode, csum_seed, largedir, inline_data,
 * encrypt, casefold */
#define INCOMPAT_KNOWN          0x3e7d2u
#define RO_COMPAT_SPARSE        0x1u
#define RO_COMPAT_GDT_CSUM      0x10u
#define RO_COMPAT_BIGALLOC      0x200u
#define RO_COMPAT_METADATA_CSUM 0x400u
/* sparse_super to extra_isize, quota, bigalloc, metadata_csum, read-only, project, verity,
 * orphan_present */
#define RO_COMPAT_KNOWN 0x1b77fu

#define GROUP_BLOCK_UNINIT 2u

struct ext {
    uint64_t blocks;
    uint64_t groups;
    uint64_t first_block;
    uint64_t block_bytes;
    uint64_t cluster_blocks;
    uint64_t group_blocks;
    uint64_t table_blocks; /* of an inode table */
    uint64_t descriptor_bytes;
    uint64_t reserved_blocks; /* for descriptors, behind those of the superblocks */
    uint64_t first_meta_group;
    uint32_t compat;
    uint32_t incompat;
    uint32_t ro_compat;
    uint32_t backups[2];
};

struct group {
    uint64_t bitmap;
    uint64_t inode_bitmap;
    uint64_t table;
    uint64_t free_clusters;
    bool is_uninit;
};

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static void load(struct ext *e, const uint8_t *super)
{
    uint64_t inode_bytes = vck_load_le16(super + 0x58);
    uint64_t table_bytes;

    if (vck_load_le32(super + 0x4c) > 0) {
        e->compat = vck_load_le32(super + 0x5c);
        e->incompat = vck_load_le32(super + 0x60);
        e->ro_compat = vck_load_le32(super + 0x64);
    } else {
        inode_bytes = 128;
    }
    e->blocks = vck_load_le32(super + 0x4);
    e->descriptor_bytes = 32;
    if (e->incompat & INCOMPAT_64BIT) {
        e->blocks |= (uint64_t)vck_load_le32(super + 0x150) << 32;
        e->descriptor_bytes = vck_load_le16(super + 0xfe);
    }
    e->first_block = vck_load_le32(super + 0x14);
    e->group_blocks = vck_load_le32(super + 0x20);
    e->block_bytes = UINT64_C(1024) << (vck_load_le32(super + 0x18) & 7);
    e->cluster_blocks = 1;
    if (e->ro_compat & RO_COMPAT_BIGALLOC)
        e->cluster_blocks = UINT64_C(1)
                            << ((vck_load_le32(super + 0x1c) - vck_load_le32(super + 0x18)) & 31);
    table_bytes = inode_bytes * vck_load_le32(super + 0x28);
    e->table_blocks = divide_up(table_bytes, e->block_bytes);
    e->reserved_blocks = vck_load_le16(super + 0xce);
    e->first_meta_group = vck_load_le32(super + 0x104);
    e->backups[0] = vck_load_le32(super + 0x24c);
    e->backups[1] = vck_load_le32(super + 0x250);
}

static vck_status check_state(struct search *s, const struct ext *e, const uint8_t *super)
{
    uint32_t state = vck_load_le16(super + 0x3a);

    s->report->name = e->incompat & INCOMPAT_EXTENTS ? "ext4"
                      : e->compat & COMPAT_JOURNAL   ? "ext3"
                                                     : "ext2";
    if (e->incompat & INCOMPAT_JOURNAL_DEV)
        return search_refuse(s, VCK_UNSUPPORTED, "is the journal of another file system");
    if (e->incompat & INCOMPAT_RECOVER)
        return search_refuse(s, VCK_NOT_READY, "is in use, or its journal has to be replayed");
    if ((e->incompat & ~INCOMPAT_KNOWN) || (e->ro_compat & ~RO_COMPAT_KNOWN))
        return search_refuse(s, VCK_UNSUPPORTED, "has features that are not known");
    if (state & (STATE_ERRORS | STATE_ORPHAN))
        return search_refuse(s, VCK_NOT_READY, "has errors");
    if (!(state & STATE_VALID))
        return search_refuse(s, VCK_NOT_READY, "is in use, or was not unmounted cleanly");
    return VCK_OK;
}

static bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static bool has_sane_sizes(const struct ext *e, const uint8_t *super)
{
    uint32_t log_block = vck_load_le32(super + 0x18);
    uint32_t log_cluster = vck_load_le32(super + 0x1c);
    uint64_t clusters = vck_load_le32(super + 0x24);
    bool is_big = (e->ro_compat & RO_COMPAT_BIGALLOC) != 0;

    if (log_block > 6 || (is_big && (log_cluster < log_block || log_cluster > 20)))
        return false;
    if (is_big && clusters * e->cluster_blocks != e->group_blocks)
        return false;
    /* Bits that fill bytes, in one block. */
    return e->group_blocks > 0 && e->group_blocks % (8 * e->cluster_blocks) == 0 &&
           e->group_blocks / e->cluster_blocks <= 8 * e->block_bytes && e->table_blocks > 0 &&
           is_power_of_two(e->descriptor_bytes) && e->descriptor_bytes <= e->block_bytes &&
           e->descriptor_bytes >= (e->incompat & INCOMPAT_64BIT ? 64u : 32u);
}

static vck_status check_geometry(struct search *s, struct ext *e, const uint8_t *super)
{
    uint64_t inodes = vck_load_le32(super + 0x0);
    uint64_t first_expected =
        e->block_bytes == 1024 && !(e->ro_compat & RO_COMPAT_BIGALLOC) ? 1 : 0;

    if (!has_sane_sizes(e, super) || e->first_block != first_expected ||
        e->blocks <= e->first_block)
        return search_refuse(s, VCK_INVALID_DATA, "contradicts itself in its superblock");
    if (e->blocks > s->source->size_bytes / e->block_bytes)
        return search_refuse(s, VCK_INVALID_DATA, "is larger than the volume");
    e->groups = divide_up(e->blocks - e->first_block, e->group_blocks);
    if (inodes != e->groups * vck_load_le32(super + 0x28))
        return search_refuse(s, VCK_INVALID_DATA, "contradicts itself in its superblock");
    return VCK_OK;
}

/* ---- where things lie ---- */

static uint64_t group_start(const struct ext *e, uint64_t group)
{
    return e->first_block + group * e->group_blocks;
}

static bool is_power_of(uint64_t value, uint64_t base)
{
    while (value % base == 0)
        value /= base;
    return value == 1;
}

static bool has_super(const struct ext *e, uint64_t group)
{
    if (group == 0)
        return true;
    if (e->compat & COMPAT_SPARSE2)
        return group == e->backups[0] || group == e->backups[1];
    if (group == 1 || !(e->ro_compat & RO_COMPAT_SPARSE))
        return true;
    return group % 2 != 0 &&
           (is_power_of(group, 3) || is_power_of(group, 5) || is_power_of(group, 7));
}

static uint64_t descriptors_per_block(const struct ext *e)
{
    return e->block_bytes / e->descriptor_bytes;
}

static uint64_t descriptor_block(const struct ext *e, uint64_t index)
{
    uint64_t group = index * descriptors_per_block(e);

    if (!(e->incompat & INCOMPAT_META_BG) || index < e->first_meta_group)
        return SUPER_AT_BYTES / e->block_bytes + 1 + index;
    /* With blocks of 1 KiB that begin at 0, the superblock is in block 1. */
    if (e->block_bytes == 1024 && e->first_block == 0 && index == 0)
        return 2;
    return group_start(e, group) + has_super(e, group);
}

/* With meta_bg the descriptors of some groups lie in the first, second and last of these. */
static bool has_meta_descriptors(const struct ext *e, uint64_t group)
{
    uint64_t place = group % descriptors_per_block(e);

    return (e->incompat & INCOMPAT_META_BG) &&
           group / descriptors_per_block(e) >= e->first_meta_group &&
           (place < 2 || place == descriptors_per_block(e) - 1);
}

/* Blocks at the start of a group, for superblock and descriptors. */
static uint64_t base_blocks(const struct ext *e, uint64_t group)
{
    uint64_t all = divide_up(e->groups, descriptors_per_block(e));

    if (e->incompat & INCOMPAT_META_BG)
        all = VCK_MIN(all, e->first_meta_group);
    return (has_super(e, group) ? 1 + all + e->reserved_blocks : 0) +
           has_meta_descriptors(e, group);
}

/* ---- groups ---- */

static vck_status use_blocks(struct search *s, const struct ext *e, uint64_t first, uint64_t count)
{
    if (first < e->first_block || first >= e->blocks || count > e->blocks - first)
        return search_refuse(s, VCK_INVALID_DATA, "refers to places beyond its end");
    return search_used(s, first * e->block_bytes, count * e->block_bytes);
}

static void load_group(const struct ext *e, const uint8_t *descriptor, struct group *ret_group)
{
    bool is_wide = e->descriptor_bytes >= 64;

    *ret_group = (struct group){
        .bitmap = vck_load_le32(descriptor),
        .inode_bitmap = vck_load_le32(descriptor + 4),
        .table = vck_load_le32(descriptor + 8),
        .free_clusters = vck_load_le16(descriptor + 0xc),
        .is_uninit = (vck_load_le16(descriptor + 0x12) & GROUP_BLOCK_UNINIT) &&
                     (e->ro_compat & (RO_COMPAT_GDT_CSUM | RO_COMPAT_METADATA_CSUM)),
    };
    if (is_wide) {
        ret_group->bitmap |= (uint64_t)vck_load_le32(descriptor + 0x20) << 32;
        ret_group->inode_bitmap |= (uint64_t)vck_load_le32(descriptor + 0x24) << 32;
        ret_group->table |= (uint64_t)vck_load_le32(descriptor + 0x28) << 32;
        ret_group->free_clusters |= (uint64_t)vck_load_le16(descriptor + 0x2c) << 16;
    }
}

static uint64_t count_zeroes(const uint8_t *bits, uint64_t count)
{
    uint64_t zeroes = 0;

    for (uint64_t i = 0; i < count; i++)
        zeroes += !(bits[i / 8] >> i % 8 & 1);
    return zeroes;
}

static uint64_t blocks_inside(uint64_t first, uint64_t count, uint64_t start, uint64_t end)
{
    uint64_t low = VCK_MAX(first, start);
    uint64_t high = VCK_MIN(first + count, end);

    return high > low ? high - low : 0;
}

/* A group whose bitmap was never written holds at most what describes it. Where it says that it
 * holds more, all of it counts as used. */
static vck_status use_unwritten(struct search *s, const struct ext *e, uint64_t start, uint64_t end,
                                const struct group *group, uint64_t base)
{
    uint64_t own = base + blocks_inside(group->bitmap, 1, start, end) +
                   blocks_inside(group->inode_bitmap, 1, start, end) +
                   blocks_inside(group->table, e->table_blocks, start, end);
    uint64_t clusters = divide_up(end - start, e->cluster_blocks);

    if (group->free_clusters > clusters)
        return search_refuse(s, VCK_INVALID_DATA, "counts more free blocks than it has");
    if (clusters - group->free_clusters > own)
        return use_blocks(s, e, start, end - start);
    return use_blocks(s, e, start, VCK_MIN(base, end - start));
}

static vck_status use_bitmap(struct search *s, const struct ext *e, uint64_t start, uint64_t end,
                             const struct group *group)
{
    uint64_t clusters = divide_up(end - start, e->cluster_blocks);
    uint64_t unit_bytes = e->cluster_blocks * e->block_bytes;
    vck_status status = search_read(s, group->bitmap * e->block_bytes, s->other,
                                    (size_t)VCK_MIN(e->block_bytes, SEARCH_BUFFER_BYTES));

    if (status)
        return status;
    if (count_zeroes(s->other, clusters) != group->free_clusters)
        return search_refuse(s, VCK_INVALID_DATA, "counts other free blocks than it has");
    return search_used_bits(s, s->other, clusters, start * e->block_bytes, unit_bytes,
                            end * e->block_bytes);
}

static vck_status use_group(struct search *s, const struct ext *e, uint64_t number,
                            const uint8_t *descriptor)
{
    uint64_t start = group_start(e, number);
    uint64_t end = VCK_MIN(start + e->group_blocks, e->blocks);
    struct group group;
    vck_status status;

    load_group(e, descriptor, &group);
    status = use_blocks(s, e, group.bitmap, 1);
    if (status == VCK_OK)
        status = use_blocks(s, e, group.inode_bitmap, 1);
    if (status == VCK_OK)
        status = use_blocks(s, e, group.table, e->table_blocks);
    if (status)
        return status;
    return group.is_uninit ? use_unwritten(s, e, start, end, &group, base_blocks(e, number))
                           : use_bitmap(s, e, start, end, &group);
}

static vck_status use_groups(struct search *s, const struct ext *e)
{
    uint64_t per_block = descriptors_per_block(e);
    vck_status status = VCK_OK;

    for (uint64_t i = 0; i < e->groups && status == VCK_OK; i++) {
        uint64_t block = descriptor_block(e, i / per_block);

        if (i % per_block == 0) {
            status = use_blocks(s, e, block, 1);
            if (status == VCK_OK)
                status = search_read(s, block * e->block_bytes, s->buffer, (size_t)e->block_bytes);
        }
        if (status == VCK_OK)
            status = use_group(s, e, i, s->buffer + i % per_block * e->descriptor_bytes);
    }
    return status;
}

vck_status search_ext(struct search *s)
{
    uint8_t *super = s->buffer; /* too large for a kernel's stack; nobody needs it for the groups */
    struct ext e = {0};
    uint64_t end_bytes;
    vck_status status;

    if (s->source->size_bytes < SUPER_AT_BYTES + SUPER_BYTES)
        return VCK_NOT_FOUND;
    status = search_read(s, SUPER_AT_BYTES, super, SUPER_BYTES);
    if (status)
        return status;
    if (vck_load_le16(super + 0x38) != MAGIC)
        return VCK_NOT_FOUND;
    load(&e, super);
    status = check_state(s, &e, super);
    if (status == VCK_OK)
        status = check_geometry(s, &e, super);
    if (status)
        return status;
    end_bytes = e.blocks * e.block_bytes;
    status = search_used(
        s, 0, VCK_MAX((e.first_block + 1) * e.block_bytes, SUPER_AT_BYTES + SUPER_BYTES));
    if (status == VCK_OK)
        status = use_groups(s, &e);
    return status == VCK_OK ? search_used(s, end_bytes, s->source->size_bytes - end_bytes) : status;
}
