/* SPDX-License-Identifier: Apache-2.0 */
#include "jvck_test.h"
#include "vck/journal.h"
#include "vck/layout.h"

#define HALF_BYTES (2u * VCK_JOURNAL_BLOCK_BYTES)

static struct vck_journal_keys random_keys(void)
{
    struct vck_journal_keys keys;
    uint8_t id[16];
    uint8_t key1[32];
    uint8_t key2[32];
    random_bytes(id, sizeof(id));
    random_bytes(key1, sizeof(key1));
    random_bytes(key2, sizeof(key2));
    assert_int_equal(vck_journal_keys_derive(&keys, id, key1, key2), VCK_OK);
    return keys;
}

/* ---- records ---- */

/* A record of whole sectors that fits HALF_BYTES. */
static struct vck_record random_record(uint32_t sector_size)
{
    uint32_t chunk = 16u << random_below(sector_size == 512 ? 6 : 9);
    uint32_t max = vck_record_sectors_max(HALF_BYTES, sector_size, chunk);
    return (struct vck_record){
        .direction = random_below(2) ? VCK_DECRYPTING : VCK_ENCRYPTING,
        .sequence = random_u64(),
        .base_generation = random_u64(),
        .first_sector = random_below(1u << 30),
        .sectors = max == 0 ? 1 : 1 + (uint32_t)random_below(max),
        .chunk_bytes = chunk,
    };
}

static void records_come_back(void **state)
{
    struct vck_journal_keys keys = random_keys();
    uint8_t half[HALF_BYTES];
    unsigned fitted = 0;
    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t sector_size = i % 2 ? 512 : 4096;
        struct vck_record record = random_record(sector_size);
        struct vck_record read;
        size_t size;
        size_t used = VCK_RECORD_HEADER_BYTES +
                      (size_t)vck_record_chunk_count(&record, sector_size) * VCK_RECORD_TAGS_BYTES;
        uint64_t end = record.first_sector + record.sectors;
        random_bytes(half, sizeof(half));
        vck_status status = vck_record_seal(&keys, &record, sector_size, half, sizeof(half), &size);
        if (used > sizeof(half)) {
            assert_int_equal(status, VCK_SIZE_MISMATCH);
            continue;
        }
        fitted++;
        assert_int_equal(status, VCK_OK);
        assert_int_equal(size % VCK_JOURNAL_BLOCK_BYTES, 0);
        assert_true(size >= used && size - used < VCK_JOURNAL_BLOCK_BYTES);
        for (size_t at = used; at < size; at++)
            assert_int_equal(half[at], 0);
        assert_int_equal(vck_record_open(&keys, half, sizeof(half), sector_size, end, &read),
                         VCK_OK);
        assert_int_equal(read.direction, record.direction);
        assert_int_equal(read.sequence, record.sequence);
        assert_int_equal(read.base_generation, record.base_generation);
        assert_int_equal(read.first_sector, record.first_sector);
        assert_int_equal(read.sectors, record.sectors);
        assert_int_equal(read.chunk_bytes, record.chunk_bytes);
        assert_int_equal(vck_record_open(&keys, half, sizeof(half), sector_size, end - 1, &read),
                         VCK_INVALID_DATA);
    }
    assert_true(fitted > 1000);
}

static void no_changed_bit_of_a_record_goes_unnoticed(void **state)
{
    struct vck_journal_keys keys = random_keys();
    struct vck_record record = {.sectors = 3, .chunk_bytes = 512, .sequence = 9};
    struct vck_record read = {.sequence = 77};
    uint8_t half[VCK_JOURNAL_BLOCK_BYTES];
    size_t size;
    (void)state;
    random_bytes(half, sizeof(half));
    assert_int_equal(vck_record_seal(&keys, &record, 512, half, sizeof(half), &size), VCK_OK);
    for (unsigned bit = 0; bit < 8 * (VCK_RECORD_HEADER_BYTES + 3 * 16); bit++) {
        half[bit / 8] ^= (uint8_t)(1u << bit % 8);
        vck_status status = vck_record_open(&keys, half, sizeof(half), 512, 1000, &read);
        assert_true(status == VCK_SIGNATURE_MISMATCH || status == VCK_UNSUPPORTED ||
                    status == VCK_INVALID_DATA || status == VCK_TAMPERED);
        assert_int_equal(read.sequence, 77);
        half[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* What lies behind the record belongs to an older, longer one. */
    half[VCK_RECORD_HEADER_BYTES + 3 * 16] = 1;
    assert_int_equal(vck_record_open(&keys, half, sizeof(half), 512, 1000, &read), VCK_OK);
    struct vck_journal_keys others = random_keys();
    assert_int_equal(vck_record_open(&others, half, sizeof(half), 512, 1000, &read), VCK_TAMPERED);
    memset(half, 0, 4);
    assert_int_equal(vck_record_open(&keys, half, sizeof(half), 512, 1000, &read), VCK_NOT_FOUND);
}

struct shape_case {
    uint32_t sectors;
    uint32_t chunk_bytes;
    uint64_t first_sector;
    vck_status sealed;
    vck_status opened;
};

static const struct shape_case shape_cases[] = {
    {1, 512, 0, VCK_OK, VCK_OK},
    {0, 512, 0, VCK_INVALID_DATA, VCK_OK},
    {1, 0, 0, VCK_INVALID_DATA, VCK_OK},
    {1, 8, 0, VCK_INVALID_DATA, VCK_OK},
    {1, 16, 0, VCK_OK, VCK_OK},
    {1, 48, 0, VCK_INVALID_DATA, VCK_OK},
    {1, 1024, 0, VCK_INVALID_DATA, VCK_OK},
    {UINT32_MAX, 512, 0, VCK_SIZE_MISMATCH, VCK_OK},
    {UINT32_MAX, 16, 0, VCK_SIZE_MISMATCH, VCK_OK},
    {1, 512, 99, VCK_OK, VCK_OK},
    {1, 512, 100, VCK_OK, VCK_INVALID_DATA},
    {2, 512, UINT64_MAX, VCK_OK, VCK_INVALID_DATA},
};

static void records_have_domains(void **state)
{
    struct vck_journal_keys keys = random_keys();
    uint8_t half[HALF_BYTES];
    (void)state;
    memset(half, 0, sizeof(half));
    for (size_t i = 0; i < VCK_ARRAY_COUNT(shape_cases); i++) {
        const struct shape_case *c = &shape_cases[i];
        struct vck_record record = {
            .sectors = c->sectors, .chunk_bytes = c->chunk_bytes, .first_sector = c->first_sector};
        struct vck_record read;
        size_t size;
        assert_int_equal(vck_record_seal(&keys, &record, 512, half, sizeof(half), &size),
                         c->sealed);
        if (c->sealed == VCK_OK)
            assert_int_equal(vck_record_open(&keys, half, size, 512, 100, &read), c->opened);
    }
}

static void the_largest_record_fits_and_no_larger_one(void **state)
{
    struct vck_journal_keys keys = random_keys();
    (void)state;
    for (uint32_t blocks = 0; blocks < 12; blocks++) {
        for (uint32_t chunk = 16; chunk <= 4096; chunk *= 2) {
            uint32_t half_bytes = blocks * VCK_JOURNAL_BLOCK_BYTES;
            uint8_t *half = calloc(1, half_bytes + 1);
            struct vck_record record = {.chunk_bytes = chunk};
            size_t size;
            assert_non_null(half);
            record.sectors = vck_record_sectors_max(half_bytes, 4096, chunk);
            if (record.sectors > 0)
                assert_int_equal(vck_record_seal(&keys, &record, 4096, half, half_bytes, &size),
                                 VCK_OK);
            record.sectors++;
            assert_int_equal(vck_record_seal(&keys, &record, 4096, half, half_bytes, &size),
                             VCK_SIZE_MISMATCH);
            free(half);
        }
    }
    assert_int_equal(vck_record_sectors_max(28672, 512, 512), 1787);
    assert_int_equal(vck_record_sectors_max(28672, 512, 0), 0);
    assert_int_equal(vck_record_sectors_max(28672, 512, 1024), 0);
    assert_int_equal(vck_record_sectors_max(71, 512, 512), 0);
}

/* A tag depends on key, place and content, and does not reach into its neighbour. */
static void tags_tell_chunks_apart(void **state)
{
    struct vck_journal_keys keys = random_keys();
    uint8_t data[4][512];
    uint8_t table[4 * VCK_RECORD_TAGS_BYTES];
    uint8_t one[VCK_RECORD_TAGS_BYTES] = {0};
    (void)state;
    memset(data, 0x5a, sizeof(data));
    memset(table, 0xcc, sizeof(table));
    vck_record_tag(&keys, 0, data, 1 << 20, 512, 4, table);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned at = 8; at < 16; at++)
            assert_int_equal(table[16 * i + at], 0xcc);
        for (unsigned j = 0; j < i; j++)
            assert_memory_not_equal(table + 16 * i, table + 16 * j, 8);
        vck_record_tag(&keys, 1, data[i], (1 << 20) + 512 * i, 512, 1, one);
        assert_memory_equal(one + 8, table + 16 * i, 8);
    }
    data[2][511] ^= 1;
    vck_record_tag(&keys, 1, data, 1 << 20, 512, 4, table);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(memcmp(table + 16 * i, table + 16 * i + 8, 8) == 0, i != 2);
}

/* ---- the damage list ---- */

static void lists_come_back(void **state)
{
    struct vck_journal_keys keys = random_keys();
    struct vck_damage_list list = {.sequence = 5, .chunk_bytes = 512};
    struct vck_damage_list read;
    uint8_t slot[VCK_DAMAGE_SLOT_BYTES] = {0};
    (void)state;
    assert_int_equal(vck_damage_open(&keys, slot, 1 << 20, &read), VCK_NOT_FOUND);
    for (unsigned i = 0; i <= VCK_DAMAGE_MAX; i++) {
        vck_damage_seal(&keys, &list, slot);
        assert_int_equal(vck_damage_open(&keys, slot, UINT64_C(512) << 30, &read), VCK_OK);
        assert_int_equal(read.sequence, 5);
        assert_int_equal(read.count, i);
        assert_memory_equal(read.offset_bytes, list.offset_bytes, i * sizeof(uint64_t));
        while (list.count == i) {
            vck_status status = vck_damage_add(&list, random_below(1 << 30) * 512);
            assert_int_equal(status, i < VCK_DAMAGE_MAX ? VCK_OK : VCK_DISK_FULL);
            if (status != VCK_OK)
                break;
        }
    }
    assert_int_equal(vck_damage_add(&list, list.offset_bytes[300]), VCK_OK);
    assert_int_equal(list.count, VCK_DAMAGE_MAX);
}

static void no_changed_bit_of_a_list_goes_unnoticed(void **state)
{
    struct vck_journal_keys keys = random_keys();
    struct vck_damage_list list = {.sequence = 5};
    struct vck_damage_list read = {.sequence = 77};
    uint8_t slot[VCK_DAMAGE_SLOT_BYTES];
    (void)state;
    for (uint64_t i = 0; i < VCK_DAMAGE_MAX; i++)
        assert_int_equal(vck_damage_add(&list, 16 * i), VCK_OK);
    vck_damage_seal(&keys, &list, slot);
    for (unsigned bit = 0; bit < 8 * VCK_DAMAGE_SLOT_BYTES; bit += bit < 1024 ? 1 : 13) {
        slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
        vck_status status = vck_damage_open(&keys, slot, 1 << 20, &read);
        assert_true(status == VCK_SIGNATURE_MISMATCH || status == VCK_UNSUPPORTED ||
                    status == VCK_INVALID_DATA || status == VCK_TAMPERED);
        assert_int_equal(read.sequence, 77);
        slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(vck_damage_open(&keys, slot, 16 * 503, &read), VCK_INVALID_DATA);
    assert_int_equal(vck_damage_open(&keys, slot, 16 * 503 + 1, &read), VCK_OK);
    list.offset_bytes[503] += 8;
    vck_damage_seal(&keys, &list, slot);
    assert_int_equal(vck_damage_open(&keys, slot, 1 << 20, &read), VCK_INVALID_DATA);
}

static void lists_of_others_are_sorted(void **state)
{
    struct vck_journal_keys keys = random_keys();
    struct vck_damage_list list = {.count = 4, .offset_bytes = {1024, 0, 512, 1024}};
    struct vck_damage_list read;
    uint8_t slot[VCK_DAMAGE_SLOT_BYTES];
    (void)state;
    vck_damage_seal(&keys, &list, slot);
    assert_int_equal(vck_damage_open(&keys, slot, 4096, &read), VCK_OK);
    assert_int_equal(read.count, 3);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(read.offset_bytes[i], 512 * i);
}

/* Against a set of flags, one for each chunk of a small region. */
#define CHUNKS 64u

static void lists_behave_like_sets(void **state)
{
    struct vck_damage_list list = {.chunk_bytes = 512};
    bool lost[CHUNKS] = {false};
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t first = random_below(CHUNKS * 4) * 128;
        uint64_t size = random_below(3000) / 128 * 128;
        uint64_t found = UINT64_MAX;
        uint64_t expected = UINT64_MAX;
        uint32_t covered = 0;
        for (uint64_t i = CHUNKS; i-- > 0;)
            if (lost[i] && size > 0 && i * 512 < first + size && first < i * 512 + 512)
                expected = i * 512;
        assert_int_equal(vck_damage_overlaps(&list, first, size, &found), expected != UINT64_MAX);
        assert_int_equal(found, expected);
        for (uint64_t i = 0; i < CHUNKS; i++)
            if (lost[i] && i * 512 >= first && i * 512 + 512 <= first + size) {
                lost[i] = false;
                covered++;
            }
        assert_int_equal(vck_damage_remove_covered(&list, first, size), covered);
        uint64_t added = random_below(CHUNKS);
        lost[added] = true;
        assert_int_equal(vck_damage_add(&list, added * 512), VCK_OK);
        for (uint32_t i = 1; i < list.count; i++)
            assert_true(list.offset_bytes[i - 1] < list.offset_bytes[i]);
    }
}

static void ranges_at_the_end_do_not_wrap(void **state)
{
    struct vck_damage_list list = {
        .chunk_bytes = 512, .count = 2, .offset_bytes = {0, UINT64_MAX - 511}};
    uint64_t found = 0;
    (void)state;
    assert_true(vck_damage_overlaps(&list, UINT64_MAX - 1, UINT64_MAX, &found));
    assert_int_equal(found, UINT64_MAX - 511);
    assert_int_equal(vck_damage_remove_covered(&list, UINT64_MAX - 511, UINT64_MAX), 1);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.offset_bytes[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back),
        cmocka_unit_test(no_changed_bit_of_a_record_goes_unnoticed),
        cmocka_unit_test(records_have_domains),
        cmocka_unit_test(the_largest_record_fits_and_no_larger_one),
        cmocka_unit_test(tags_tell_chunks_apart),
        cmocka_unit_test(lists_come_back),
        cmocka_unit_test(no_changed_bit_of_a_list_goes_unnoticed),
        cmocka_unit_test(lists_of_others_are_sorted),
        cmocka_unit_test(lists_behave_like_sets),
        cmocka_unit_test(ranges_at_the_end_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
