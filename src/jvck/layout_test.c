/* SPDX-License-Identifier: Apache-2.0 */
#include "jvck_test.h"
#include "vck/bytes.h"
#include "vck/layout.h"

#define ROUNDS 20000

/* ---- published layouts ---- */

static void check_vector(const char *from)
{
    struct vck_layout layout;
    uint64_t sector_size = vectors_u64(from, "sector_size");
    assert_int_equal(vck_layout_init(&layout, vectors_u64(from, "sectors") * sector_size,
                                     (uint32_t)sector_size,
                                     (uint32_t)vectors_u64(from, "metadata_size"),
                                     (uint32_t)vectors_u64(from, "headers"),
                                     (uint32_t)vectors_u64(from, "footers")),
                     VCK_OK);
    assert_int_equal(layout.data_start_lba, vectors_u64(from, "data_start"));
    assert_int_equal(layout.data_sectors, vectors_u64(from, "data_sectors"));
    const char *lba = vectors_find(from, "block_lbas");
    for (uint32_t i = 0; i < layout.replica_count; i++) {
        char *end;
        assert_int_equal(vck_layout_block_lba(&layout, i), strtoull(lba + 1, &end, 10));
        lba = end;
    }
    assert_int_equal(*lba, ']');
}

static void published_layouts(void **state)
{
    char *text = vectors_read(VECTORS);
    unsigned count = 0;
    (void)state;
    for (const char *at = strstr(text, "\"layout\""); (at = strstr(at, "{\"sectors\"")) != NULL;
         at++, count++)
        check_vector(at);
    assert_int_equal(count, 3);
    free(text);
}

/* ---- any layout ---- */

struct span {
    uint64_t first;
    uint64_t end;
};

static void assert_inside(struct span inner, struct span outer)
{
    assert_true(inner.first >= outer.first && inner.end <= outer.end && inner.first < inner.end);
}

static void assert_apart(struct span a, struct span b)
{
    assert_true(a.end <= b.first || b.end <= a.first);
}

/* The region of replica i as the format words it. */
static struct span region(const struct vck_layout *layout, uint32_t i)
{
    uint64_t ss = layout->sector_size_bytes;
    uint64_t rs = layout->metadata_size_bytes / ss;
    uint64_t first = i < layout->header_count ? i * rs
                                              : layout->volume_sectors - layout->footer_count * rs +
                                                    (i - layout->header_count) * rs;
    return (struct span){first * ss, (first + rs) * ss};
}

static struct span vendor_area(const struct vck_layout *layout, uint32_t i)
{
    uint64_t offset;
    uint64_t size;
    vck_layout_vendor_area(layout, i, &offset, &size);
    return (struct span){offset, offset + size};
}

/* Regions and data follow each other without a gap or an overlap, from 0 to the end. */
static void check_cover(const struct vck_layout *layout)
{
    uint64_t ss = layout->sector_size_bytes;
    uint64_t at = 0;
    for (uint32_t i = 0; i <= layout->replica_count; i++) {
        if (i == layout->header_count) {
            assert_int_equal(layout->data_start_lba * ss, at);
            assert_true(layout->data_sectors >= 1);
            at += layout->data_sectors * ss;
        }
        if (i < layout->replica_count) {
            assert_int_equal(region(layout, i).first, at);
            at = region(layout, i).end;
        }
    }
    assert_int_equal(at, layout->volume_sectors * ss);
}

static void check_replica(const struct vck_layout *layout, uint32_t i)
{
    uint64_t ss = layout->sector_size_bytes;
    uint64_t lba = vck_layout_block_lba(layout, i);
    struct span block = {lba * ss, lba * ss + ss};
    struct span area = vendor_area(layout, i);
    bool is_header = i < layout->header_count;
    struct span around = {is_header ? block.first : block.end - 4096,
                          is_header ? block.first + 4096 : block.end};
    assert_inside(block, region(layout, i));
    assert_int_equal(is_header ? block.first : block.end,
                     is_header ? region(layout, i).first : region(layout, i).end);
    assert_inside(area, region(layout, i));
    assert_apart(area, around);
    assert_int_equal(area.first % ss, 0);
    assert_int_equal(area.end % ss, 0);
}

static void check_journal(const struct vck_layout *layout)
{
    struct vck_journal_area area;
    uint32_t expected = layout->replica_count == 1 ? 1 : 2;
    vck_layout_journal_area(layout, &area);
    assert_int_equal(area.replica_count, expected);
    assert_int_equal(area.half_bytes % VCK_JOURNAL_BLOCK_BYTES, 0);
    assert_true(area.half_bytes > 0);
    for (uint32_t copy = 0; copy < area.replica_count; copy++) {
        uint64_t journal = area.journal_offset_bytes[copy];
        uint64_t damage = area.damage_offset_bytes[copy];
        struct span both = {journal, journal + 2 * (uint64_t)area.half_bytes};
        struct span slots = {damage, damage + 2 * VCK_DAMAGE_SLOT_BYTES};
        uint32_t i = 0;
        while (i < layout->replica_count && vendor_area(layout, i).first + 57344 != journal)
            i++;
        assert_true(i < layout->replica_count);
        if (layout->footer_count >= 2)
            assert_int_equal(i, layout->replica_count - 2 + copy);
        assert_inside(both, vendor_area(layout, i));
        assert_int_equal(slots.end, vendor_area(layout, i).end);
        assert_apart(both, slots);
        /* Nothing that a larger half could have used is left over. */
        assert_true(slots.first - both.end < 2 * VCK_JOURNAL_BLOCK_BYTES);
    }
    if (area.replica_count == 2)
        assert_true(area.journal_offset_bytes[0] != area.journal_offset_bytes[1]);
}

static void any_layout_is_sound(void **state)
{
    unsigned accepted = 0;
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct vck_layout layout;
        uint32_t ss = random_below(2) ? 512 : 4096;
        uint32_t metadata_size = 131072 + (uint32_t)random_below(round % 2 ? 1u << 20 : 4096);
        uint32_t headers = (uint32_t)random_below(round % 8 ? 4 : 256);
        uint32_t footers = (uint32_t)random_below(round % 8 ? 4 : 256);
        uint64_t taken = (uint64_t)(headers + footers) * (metadata_size / ss);
        uint64_t size = (taken + random_below(3)) * ss + random_below(ss);
        vck_status status = vck_layout_init(&layout, size, ss, metadata_size, headers, footers);
        if (headers + footers == 0) {
            assert_int_equal(status, VCK_INVALID_DATA);
        } else if (size / ss == taken) {
            assert_int_equal(status, VCK_SIZE_MISMATCH);
        } else {
            assert_int_equal(status, VCK_OK);
            assert_int_equal(layout.volume_sectors, size / ss);
            check_cover(&layout);
            for (uint32_t i = 0; i < layout.replica_count; i++)
                check_replica(&layout, i);
            check_journal(&layout);
            accepted++;
        }
    }
    assert_true(accepted > ROUNDS / 2);
}

/* ---- limits ---- */

static void limits(void **state)
{
    struct vck_layout layout;
    struct vck_journal_area area;
    (void)state;
    assert_int_equal(vck_layout_init(&layout, 1 << 20, 1024, 131072, 0, 2), VCK_INVALID_DATA);
    assert_int_equal(vck_layout_init(&layout, 1 << 20, 512, 131071, 0, 2), VCK_INVALID_DATA);
    assert_int_equal(vck_layout_init(&layout, UINT64_MAX, 512, 131072, 256, 0), VCK_INVALID_DATA);
    assert_int_equal(vck_layout_init(&layout, UINT64_MAX, 512, 131072, 0, 256), VCK_INVALID_DATA);
    assert_int_equal(vck_layout_init(&layout, UINT64_MAX, 512, 131072, UINT32_MAX, 1),
                     VCK_INVALID_DATA);
    assert_int_equal(vck_layout_init(&layout, 0, 512, 131072, 0, 1), VCK_SIZE_MISMATCH);
    assert_int_equal(vck_layout_init(&layout, UINT64_MAX, 512, UINT32_MAX, 255, 255), VCK_OK);
    assert_int_equal(vck_layout_block_lba(&layout, 509), UINT64_MAX / 512 - 1);
    assert_int_equal(layout.data_sectors, UINT64_MAX / 512 - UINT64_C(510) * (UINT32_MAX / 512));
    /* The sizes that the format names. */
    assert_int_equal(vck_layout_init(&layout, 1 << 30, 512, 131072, 0, 2), VCK_OK);
    vck_layout_journal_area(&layout, &area);
    assert_int_equal(area.half_bytes, 28672);
    assert_int_equal(vck_layout_init(&layout, 1 << 30, 512, 1 << 20, 0, 2), VCK_OK);
    vck_layout_journal_area(&layout, &area);
    assert_int_equal(area.half_bytes, 487424);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_layouts),
        cmocka_unit_test(any_layout_is_sound),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
