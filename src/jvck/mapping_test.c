/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/mapping.h"
#include "jvck_test.h"

#define SECTORS_MAX 4096u
#define ROUNDS      300
#define ZEROES      "0000000000000000000000000000000000000000000000000000000000000000"

/* ---- against what each sector is, one by one ---- */

struct volume {
    struct vck_layout layout;
    struct vck_damage_list damage;
    uint64_t encrypted_sectors;
};

static void make_volume(struct volume *volume)
{
    uint32_t sector_size = random_below(2) ? 4096 : 512;
    uint32_t headers = (uint32_t)random_below(3);
    uint64_t data_sectors = 1 + random_below(SECTORS_MAX);
    uint64_t size_bytes = (uint64_t)(headers + 1) * 131072 + data_sectors * sector_size;
    assert_int_equal(vck_layout_init(&volume->layout, size_bytes + random_below(512), sector_size,
                                     131072, headers, 1),
                     VCK_OK);
    assert_int_equal(volume->layout.data_sectors, data_sectors);
    volume->encrypted_sectors = random_below(data_sectors + 1);
    volume->damage = (struct vck_damage_list){.chunk_bytes = 16};
    for (uint64_t i = random_below(6); i > 0; i--)
        assert_int_equal(
            vck_damage_add(&volume->damage, random_below(data_sectors * sector_size) & ~15ull),
            VCK_OK);
}

static enum vck_mapping_kind kind_of_sector(const struct volume *volume, uint64_t sector)
{
    uint64_t unused;
    uint32_t bytes = volume->layout.sector_size_bytes;
    if (vck_damage_overlaps(&volume->damage, sector * bytes, bytes, &unused))
        return VCK_MAPPING_ERROR;
    return sector < volume->encrypted_sectors ? VCK_MAPPING_CRYPT : VCK_MAPPING_LINEAR;
}

static void check_segment(const struct volume *volume, const struct vck_mapping_segment *segment)
{
    uint64_t units = volume->layout.sector_size_bytes / VCK_MAPPING_UNIT_BYTES;
    uint64_t data_start = volume->layout.data_start_lba * units;
    assert_true(segment->length > 0);
    assert_int_equal(segment->start % units, 0);
    assert_int_equal(segment->length % units, 0);
    for (uint64_t at = segment->start; at < segment->start + segment->length; at += units)
        assert_int_equal(kind_of_sector(volume, at / units), segment->kind);
    if (segment->kind != VCK_MAPPING_ERROR)
        assert_int_equal(segment->offset, data_start + segment->start);
    if (segment->kind == VCK_MAPPING_CRYPT)
        assert_int_equal(segment->tweak, segment->start);
}

static void every_sector_is_mapped_as_what_it_is(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct volume volume;
        struct vck_mapping mapping;
        struct vck_mapping_segment segment;
        uint64_t at = 0;
        enum vck_mapping_kind last = VCK_MAPPING_ERROR;
        make_volume(&volume);
        assert_int_equal(
            vck_mapping_init(&mapping, &volume.layout, volume.encrypted_sectors, &volume.damage),
            VCK_OK);
        while (vck_mapping_next(&mapping, at, &segment)) {
            assert_int_equal(segment.start, at);
            /* Lost sectors stand alone; everything else is one line for as long as it lasts. */
            assert_true(at == 0 || segment.kind != last || last == VCK_MAPPING_ERROR);
            check_segment(&volume, &segment);
            last = segment.kind;
            at += segment.length;
        }
        assert_int_equal(at * VCK_MAPPING_UNIT_BYTES,
                         volume.layout.data_sectors * volume.layout.sector_size_bytes);
    }
}

static void more_ciphertext_than_sectors_is_refused(void **state)
{
    struct vck_layout layout;
    struct vck_mapping mapping;
    (void)state;
    assert_int_equal(vck_layout_init(&layout, 1 << 20, 512, 131072, 0, 1), VCK_OK);
    assert_int_equal(vck_mapping_init(&mapping, &layout, layout.data_sectors, NULL), VCK_OK);
    assert_int_equal(vck_mapping_init(&mapping, &layout, layout.data_sectors + 1, NULL),
                     VCK_OUT_OF_RANGE);
}

/* ---- the text ---- */

static void assert_parameters(uint32_t sector_size_bytes, bool allows_discards,
                              enum vck_mapping_kind kind, const uint8_t *keys, const char *expected)
{
    char text[512];
    struct vck_mapping mapping = {.sector_size_bytes = sector_size_bytes,
                                  .allow_discards = allows_discards};
    struct vck_mapping_segment segment = {
        .kind = kind, .start = 800, .length = 80, .offset = 1056, .tweak = 800};
    size_t size = strlen(expected) + 1;
    /* Exactly what fits does: one byte less is too little. */
    memset(text, 'x', sizeof(text));
    assert_int_equal(vck_mapping_parameters(&mapping, &segment, "8:17", keys, text, size + 1),
                     VCK_OK);
    assert_string_equal(text, expected);
    assert_int_equal(text[size + 1], 'x');
    if (size > 1)
        assert_int_equal(vck_mapping_parameters(&mapping, &segment, "8:17", keys, text, size - 1),
                         VCK_OUT_OF_RANGE);
}

static void targets_are_spelt_as_the_kernel_reads_them(void **state)
{
    uint8_t keys[VCK_MAPPING_KEY_BYTES];
    (void)state;
    for (unsigned i = 0; i < sizeof(keys); i++)
        keys[i] = (uint8_t)(i * 37 + 9);
    assert_parameters(512, false, VCK_MAPPING_LINEAR, keys, "8:17 1056");
    assert_parameters(512, false, VCK_MAPPING_ERROR, keys, "");
    assert_parameters(512, false, VCK_MAPPING_CRYPT, NULL,
                      "aes-xts-plain64 " ZEROES ZEROES " 800 8:17 1056");
    assert_parameters(4096, false, VCK_MAPPING_CRYPT, keys,
                      "aes-xts-plain64 "
                      "092e53789dc2e70c31567ba0c5ea0f34597ea3c8ed12375c81a6cbf0153a5f84"
                      "a9cef3183d6287acd1f61b40658aafd4f91e43688db2d7fc21466b90b5daff24"
                      " 800 8:17 1056 2 sector_size:4096 iv_large_sectors");
    assert_parameters(512, true, VCK_MAPPING_CRYPT, NULL,
                      "aes-xts-plain64 " ZEROES ZEROES " 800 8:17 1056 1 allow_discards");
    assert_parameters(4096, true, VCK_MAPPING_CRYPT, NULL,
                      "aes-xts-plain64 " ZEROES ZEROES
                      " 800 8:17 1056 3 sector_size:4096 iv_large_sectors allow_discards");
    assert_string_equal(vck_mapping_target(VCK_MAPPING_CRYPT), "crypt");
    assert_string_equal(vck_mapping_target(VCK_MAPPING_LINEAR), "linear");
    assert_string_equal(vck_mapping_target(VCK_MAPPING_ERROR), "error");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sector_is_mapped_as_what_it_is),
        cmocka_unit_test(more_ciphertext_than_sectors_is_refused),
        cmocka_unit_test(targets_are_spelt_as_the_kernel_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
