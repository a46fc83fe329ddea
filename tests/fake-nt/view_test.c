/* SPDX-License-Identifier: Apache-2.0 */
/* The buffers of device control requests, by bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "products/vcksys/view.h"
#include "vck/bytes.h"

#define LENGTH_INFO       0x0007405Cu
#define GEOMETRY          0x00070000u
#define GEOMETRY_EX       0x000700A0u
#define PARTITION_INFO    0x00074004u
#define PARTITION_INFO_EX 0x00070048u
#define READ_CAPACITY     0x002D5140u
#define EXTENTS           0x00560000u
#define LOGICAL           0x00560020u
#define PHYSICAL          0x00560024u
#define VERIFY            0x00070014u
#define DATA_SET          0x002D9404u

static const struct view view = {
    .sector_size_bytes = 4096,
    .start_bytes = 131072,
    .size_bytes = 1 << 20,
};

static void each_code_has_its_action(void **state)
{
    static const struct {
        uint32_t code;
        enum view_action bound;
        enum view_action refusing;
    } cases[] = {
        {LENGTH_INFO, VIEW_ANSWER, VIEW_PASS},
        {GEOMETRY, VIEW_ANSWER, VIEW_PASS},
        {GEOMETRY_EX, VIEW_ANSWER, VIEW_PASS},
        {PARTITION_INFO, VIEW_ANSWER, VIEW_PASS},
        {PARTITION_INFO_EX, VIEW_ANSWER, VIEW_PASS},
        {READ_CAPACITY, VIEW_ANSWER, VIEW_PASS},
        {EXTENTS, VIEW_ANSWER, VIEW_PASS},
        {PHYSICAL, VIEW_ANSWER, VIEW_PASS},
        {LOGICAL, VIEW_SHIFT, VIEW_PASS},
        {VERIFY, VIEW_SHIFT, VIEW_PASS},
        {DATA_SET, VIEW_TRIM, VIEW_REFUSE},
        {0x00070024, VIEW_WRITABLE, VIEW_WRITABLE}, /* IOCTL_DISK_IS_WRITABLE */
        {0x0004D004, VIEW_REFUSE, VIEW_REFUSE},     /* IOCTL_SCSI_PASS_THROUGH */
        {0x0004D014, VIEW_REFUSE, VIEW_REFUSE},     /* ... _DIRECT */
        {0x0004D02C, VIEW_REFUSE, VIEW_REFUSE},     /* IOCTL_ATA_PASS_THROUGH */
        {0x0007C018, VIEW_REFUSE, VIEW_REFUSE},     /* IOCTL_DISK_FORMAT_TRACKS */
        {0x0007C064, VIEW_REFUSE, VIEW_REFUSE},     /* IOCTL_DISK_COPY_DATA */
        {0x0007C0D0, VIEW_REFUSE, VIEW_REFUSE},     /* IOCTL_DISK_GROW_PARTITION */
        {0x0056402E, VIEW_REFUSE, VIEW_PASS},       /* IOCTL_VOLUME_READ_PLEX */
        {0x002D1400, VIEW_PASS, VIEW_PASS},         /* IOCTL_STORAGE_QUERY_PROPERTY */
        {0x004D0008, VIEW_PASS, VIEW_PASS},         /* IOCTL_MOUNTDEV_QUERY_DEVICE_NAME */
    };

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        assert_int_equal(view_action_bound(cases[i].code), cases[i].bound);
        assert_int_equal(view_action_refusing(cases[i].code, NULL, 0), cases[i].refusing);
    }
}

/* A query for what is allocated changes nothing. */
static void nondestructive_data_set_actions_pass(void **state)
{
    uint8_t request[28] = {28};

    (void)state;
    vck_store_le32(request + 4, 0x80000005u);
    assert_int_equal(view_action_refusing(DATA_SET, request, sizeof request), VIEW_PASS);
    vck_store_le32(request + 4, 4);
    assert_int_equal(view_action_refusing(DATA_SET, request, sizeof request), VIEW_REFUSE);
}

struct expectation {
    uint32_t at;
    uint32_t size_bytes;
    uint64_t value;
};

/* Whatever part of an answer there is: fields within it are replaced, and no byte beyond it. */
static void check_answer(uint32_t code, const uint8_t *answer, size_t size_bytes,
                         const struct expectation *expected, size_t count)
{
    for (size_t length = 0; length <= size_bytes; length++) {
        uint8_t got[128];

        memcpy(got, answer, size_bytes);
        assert_int_equal(view_rewrite(&view, code, got, length), VCK_OK);
        assert_memory_equal(got + length, answer + length, size_bytes - length);
        for (size_t i = 0; i < count && length == size_bytes; i++) {
            const struct expectation *e = &expected[i];
            uint64_t value =
                e->size_bytes == 8 ? vck_load_le64(got + e->at) : vck_load_le32(got + e->at);

            assert_int_equal(value, e->value);
        }
    }
}

static void answers_show_the_data_region(void **state)
{
    static const struct expectation length[] = {{0, 8, 1 << 20}};
    static const struct expectation partition[] = {{0, 8, 131072}, {8, 8, 1 << 20}};
    static const struct expectation partition_ex[] = {{8, 8, 131072}, {16, 8, 1 << 20}};
    static const struct expectation capacity[] = {{8, 4, 4096}, {16, 8, 256}, {24, 8, 1 << 20}};
    static const struct expectation geometry[] = {
        {0, 8, 16}, {12, 4, 2}, {16, 4, 8}, {20, 4, 4096}, {24, 8, 1 << 20}};
    uint8_t answer[64] = {0};

    (void)state;
    check_answer(LENGTH_INFO, answer, 8, length, 1);
    check_answer(PARTITION_INFO, answer, 32, partition, 2);
    check_answer(PARTITION_INFO_EX, answer, 40, partition_ex, 2);
    check_answer(READ_CAPACITY, answer, 32, capacity, 3);
    vck_store_le32(answer + 12, 2);
    vck_store_le32(answer + 16, 8);
    check_answer(GEOMETRY, answer, 24, geometry, 4);
    check_answer(GEOMETRY_EX, answer, 40, geometry, 5);
}

static void extents_are_cut_to_the_data_region(void **state)
{
    static const struct expectation expected[] = {{16, 8, 65536 + 100000},
                                                  {24, 8, 0}, /* all of it metadata */
                                                  {40, 8, 1000000 + 31072},
                                                  {48, 8, 300000}, /* cut in front */
                                                  {64, 8, 5000000},
                                                  {72, 8, (1 << 20) - 300000},
                                                  {0, 4, 3}}; /* cut behind */
    uint8_t answer[80] = {0};

    (void)state;
    vck_store_le32(answer, 3);
    vck_store_le64(answer + 16, 65536);
    vck_store_le64(answer + 24, 100000);
    vck_store_le64(answer + 40, 1000000);
    vck_store_le64(answer + 48, 331072);
    vck_store_le64(answer + 64, 5000000);
    vck_store_le64(answer + 72, 2 << 20);
    check_answer(EXTENTS, answer, 80, expected, 7);
}

static void places_are_shifted_both_ways(void **state)
{
    uint8_t buffer[16] = {0};

    (void)state;
    vck_store_le64(buffer, (1 << 20) - 1);
    assert_int_equal(view_shift(&view, LOGICAL, buffer, 8), VCK_OK);
    assert_int_equal(vck_load_le64(buffer), 131072 + (1 << 20) - 1);
    assert_int_equal(view_rewrite(&view, PHYSICAL, buffer, 8), VCK_OK);
    assert_int_equal(vck_load_le64(buffer), (1 << 20) - 1);
    vck_store_le64(buffer, 131071);
    assert_int_equal(view_rewrite(&view, PHYSICAL, buffer, 8), VCK_INVALID_DATA);
    vck_store_le64(buffer, 1 << 20);
    assert_int_equal(view_shift(&view, LOGICAL, buffer, 8), VCK_OUT_OF_RANGE);
    assert_int_equal(view_shift(&view, LOGICAL, buffer, 7), VCK_SIZE_MISMATCH);
    vck_store_le64(buffer, 4096);
    vck_store_le32(buffer + 8, (1 << 20) - 4096);
    assert_int_equal(view_shift(&view, VERIFY, buffer, 12), VCK_OK);
    assert_int_equal(vck_load_le64(buffer), 4096 + 131072);
    assert_int_equal(view_shift(&view, VERIFY, buffer, 12), VCK_OUT_OF_RANGE);
    assert_int_equal(view_shift(&view, VERIFY, buffer, 11), VCK_SIZE_MISMATCH);
}

static void trims_end_at_whole_sectors(void **state)
{
    static const uint64_t cases[][4] = {
        {0, 4096, 0, 4096},
        {1, 8191, 4096, 4096},
        {1, 4095, 4096, 0},
        {4096, 4095, 4096, 0},
        {0, UINT64_MAX, 0, 1 << 20},
        {UINT64_MAX, UINT64_MAX, 1 << 20, 0},
        {(1 << 20) - 4096, 1 << 30, (1 << 20) - 4096, 4096},
    };
    uint8_t request[48] = {28};
    struct view_trim trim;

    (void)state;
    vck_store_le32(request + 4, 1);
    vck_store_le32(request + 20, 32);
    vck_store_le32(request + 24, 16);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        uint64_t offset;
        uint64_t size;

        vck_store_le64(request + 32, cases[i][0]);
        vck_store_le64(request + 40, cases[i][1]);
        assert_int_equal(view_trim_parse(request, sizeof request, &trim), VCK_OK);
        assert_int_equal(trim.count, 1);
        view_trim_range(&view, &trim, 0, &offset, &size);
        assert_int_equal(size, cases[i][3]);
        if (size)
            assert_int_equal(offset, cases[i][2]);
    }
}

static void trims_that_do_not_fit_are_refused(void **state)
{
    static const uint32_t cases[][3] = {
        {0, 28, VCK_INVALID_DATA},  {28, 27, VCK_INVALID_DATA},         {20, 27, VCK_INVALID_DATA},
        {24, 15, VCK_INVALID_DATA}, {24, 0, VCK_INVALID_DATA},          {24, 32, VCK_INVALID_DATA},
        {20, 49, VCK_INVALID_DATA}, {24, 0xFFFFFFF0, VCK_INVALID_DATA}, {4, 4, VCK_UNSUPPORTED},
    };
    struct view_trim trim;

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        uint8_t request[48] = {28};
        size_t size = sizeof request;

        vck_store_le32(request + 4, 1);
        vck_store_le32(request + 20, 32);
        vck_store_le32(request + 24, 16);
        if (cases[i][0] == 28)
            size = cases[i][1];
        else if (cases[i][0] == 0)
            size = 0;
        else
            vck_store_le32(request + cases[i][0], cases[i][1]);
        assert_int_equal(view_trim_parse(request, size, &trim), cases[i][2]);
    }
}

static void a_trim_of_the_whole_device_is_one_of_the_region(void **state)
{
    uint8_t request[28] = {28, 0, 0, 0, 1, 0, 0, 0, 1};
    struct view_trim trim;
    uint64_t offset;
    uint64_t size;

    (void)state;
    assert_int_equal(view_trim_parse(request, sizeof request, &trim), VCK_OK);
    assert_true(trim.whole);
    view_trim_range(&view, &trim, 0, &offset, &size);
    assert_int_equal(offset, 0);
    assert_int_equal(size, 1 << 20);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_its_action),
        cmocka_unit_test(nondestructive_data_set_actions_pass),
        cmocka_unit_test(answers_show_the_data_region),
        cmocka_unit_test(extents_are_cut_to_the_data_region),
        cmocka_unit_test(places_are_shifted_both_ways),
        cmocka_unit_test(trims_end_at_whole_sectors),
        cmocka_unit_test(trims_that_do_not_fit_are_refused),
        cmocka_unit_test(a_trim_of_the_whole_device_is_one_of_the_region),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
