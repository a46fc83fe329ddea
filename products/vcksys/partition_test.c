/* SPDX-License-Identifier: Apache-2.0 */
#include "partition.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void answers(void **state)
{
    uint8_t info[PARTITION_INFO_BYTES] = {0};
    struct vck_guid guid;
    struct vck_guid expected;

    (void)state;
    for (size_t i = 0; i < sizeof(info); i++)
        info[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(expected.bytes); i++)
        expected.bytes[i] = (uint8_t)(48 + i);
    vck_store_le32(info, 1);
    assert_int_equal(partition_guid_of((struct vck_bytes){info, sizeof(info)}, &guid), VCK_OK);
    assert_true(vck_guid_equal(&guid, &expected));
    assert_int_equal(partition_guid_of((struct vck_bytes){info, 64}, &guid), VCK_OK);
    for (size_t size = 0; size < 64; size++)
        assert_int_equal(partition_guid_of((struct vck_bytes){info, size}, &guid),
                         VCK_SIZE_MISMATCH);
    vck_store_le32(info, 0); /* MBR */
    assert_int_equal(partition_guid_of((struct vck_bytes){info, sizeof(info)}, &guid),
                     VCK_NOT_FOUND);
    vck_store_le32(info, 2); /* raw */
    assert_int_equal(partition_guid_of((struct vck_bytes){info, 4}, &guid), VCK_NOT_FOUND);
}

static void locations(void **state)
{
    uint8_t info[PARTITION_INFO_BYTES] = {0};
    uint8_t number[DEVICE_NUMBER_BYTES] = {0};
    const struct vck_bytes no_answer = {NULL, 0};
    struct vck_control_location where = {0};

    (void)state;
    vck_store_le64(info + 8, 1048576);
    vck_store_le32(number, 7);
    vck_store_le32(number + 4, 12);
    vck_store_le32(number + 8, 3);
    partition_locate((struct vck_bytes){info, sizeof(info)},
                     (struct vck_bytes){number, sizeof(number)}, &where);
    assert_string_equal(where.raw_partition_path, "\\Device\\Harddisk12\\Partition3");
    assert_string_equal(where.raw_disk_path, "\\Device\\Harddisk12\\Partition0");
    assert_true(where.start_bytes.is_present);
    assert_int_equal(where.start_bytes.value, 1048576);

    where = (struct vck_control_location){0};
    vck_store_le32(number + 8, UINT32_MAX); /* a disk that has no partitions */
    partition_locate(no_answer, (struct vck_bytes){number, sizeof(number)}, &where);
    assert_string_equal(where.raw_partition_path, "");
    assert_string_equal(where.raw_disk_path, "\\Device\\Harddisk12\\Partition0");
    assert_false(where.start_bytes.is_present);

    where = (struct vck_control_location){0};
    vck_store_le32(number, 2); /* a CD */
    partition_locate((struct vck_bytes){info, 15}, (struct vck_bytes){number, sizeof(number)},
                     &where);
    assert_string_equal(where.raw_disk_path, "");
    assert_false(where.start_bytes.is_present);
    vck_store_le32(number, 7);
    partition_locate(no_answer, (struct vck_bytes){number, sizeof(number) - 1}, &where);
    assert_string_equal(where.raw_disk_path, "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(locations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
