/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "port/uefi/uefi.h"

static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VCK_STATUS_COUNT; i++) {
        efi_status firmware = vck_uefi_status_of((vck_status)i);

        /* Success is one thing only, on both sides. */
        assert_int_equal(firmware == EFI_SUCCESS, i == VCK_OK);
        assert_int_equal(vck_uefi_status(firmware) == VCK_OK, i == VCK_OK);
    }
}

static void test_what_callers_act_on(void **state)
{
    (void)state;
    /* Block devices: what the specification says of ranges, sizes and protection. */
    assert_int_equal(vck_uefi_status_of(VCK_OUT_OF_RANGE), EFI_INVALID_PARAMETER);
    assert_int_equal(vck_uefi_status_of(VCK_SIZE_MISMATCH), EFI_BAD_BUFFER_SIZE);
    assert_int_equal(vck_uefi_status_of(VCK_READ_ONLY), EFI_WRITE_PROTECTED);
    assert_int_equal(vck_uefi_status_of(VCK_DAMAGED), EFI_DEVICE_ERROR);
    assert_int_equal(vck_uefi_status(EFI_NOT_FOUND), VCK_NOT_FOUND);
    assert_int_equal(vck_uefi_status(EFI_WRITE_PROTECTED), VCK_READ_ONLY);
    assert_int_equal(vck_uefi_status(EFI_MEDIA_CHANGED), VCK_IO);
    assert_int_equal(vck_uefi_status(EFI_ERROR_BIT | 99), VCK_IO);
    /* A warning is not an error, and not a success either. */
    assert_int_equal(vck_uefi_status(1), VCK_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_what_callers_act_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
