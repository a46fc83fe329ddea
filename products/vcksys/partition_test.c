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

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(answers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
