/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"
#include "vck/status.h"

/* The protocol's table, written down a second time: these numbers are on the wire. */
static const struct {
    vck_status status;
    unsigned number;
    const char *name;
    uint32_t nt;
} table[] = {
    {VCK_OK, 0, "OK", 0},
    {VCK_INVALID_DATA, 1, "INVALID_DATA", 0xC000000D},
    {VCK_VALIDATION_FAILED, 2, "VALIDATION_FAILED", 0xC000003E},
    {VCK_UNSUPPORTED, 3, "UNSUPPORTED", 0xC00000BB},
    {VCK_NOT_FOUND, 4, "NOT_FOUND", 0xC0000225},
    {VCK_PERMISSION_DENIED, 5, "PERMISSION_DENIED", 0xC0000022},
    {VCK_SIZE_MISMATCH, 6, "SIZE_MISMATCH", 0xC0000206},
    {VCK_SIGNATURE_MISMATCH, 7, "SIGNATURE_MISMATCH", 0xC000014F},
    {VCK_CHECKSUM_MISMATCH, 8, "CHECKSUM_MISMATCH", 0xC000003F},
    {VCK_CRYPTO_FAILED, 9, "CRYPTO_FAILED", 0xC000028A},
    {VCK_IO, 10, "IO", 0xC0000185},
    {VCK_NO_MEMORY, 11, "NO_MEMORY", 0xC000009A},
    {VCK_BUSY, 12, "BUSY", 0xC0000043},
    {VCK_WRONG_KEY, 13, "WRONG_KEY", 0xC000006A},
    {VCK_TAMPERED, 14, "TAMPERED", 0xC0000428},
    {VCK_DAMAGED, 15, "DAMAGED", 0xC000009C},
    {VCK_READ_ONLY, 16, "READ_ONLY", 0xC00000A2},
    {VCK_NOT_READY, 17, "NOT_READY", 0xC00000A3},
    {VCK_ALREADY_EXISTS, 18, "ALREADY_EXISTS", 0xC0000035},
    {VCK_OUT_OF_RANGE, 19, "OUT_OF_RANGE", 0xC0000015},
    {VCK_DISK_FULL, 20, "DISK_FULL", 0xC000007F},
    {VCK_UNREACHABLE, 21, "UNREACHABLE", 0xC000023C},
    {VCK_REFUSED, 22, "REFUSED", 0xC0000236},
    {VCK_RESET, 23, "RESET", 0xC000020D},
    {VCK_ADDRESS_IN_USE, 24, "ADDRESS_IN_USE", 0xC000020A},
    {VCK_DELETED, 25, "DELETED", 0xC0000123},
    {VCK_DELETE_PENDING, 26, "DELETE_PENDING", 0xC0000056},
    {VCK_CANCELLED, 27, "CANCELLED", 0xC0000120},
    {VCK_TIMEOUT, 28, "TIMEOUT", 0xC00000B5},
};

static void numbers_and_names_are_frozen(void **state)
{
    (void)state;
    assert_int_equal(VCK_ARRAY_COUNT(table), VCK_STATUS_COUNT);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(table); i++) {
        assert_int_equal(table[i].status, table[i].number);
        assert_int_equal(table[i].number, i);
        assert_string_equal(vck_status_name(table[i].status), table[i].name);
    }
}

static void texts_tell_statuses_apart(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VCK_STATUS_COUNT; i++) {
        const char *text = vck_status_text((vck_status)i);
        assert_true(text[0] >= 'a' && text[0] <= 'z');
        assert_true(text[strlen(text) - 1] != '.');
        for (unsigned other = 0; other < i; other++)
            assert_string_not_equal(text, vck_status_text((vck_status)other));
    }
    assert_string_equal(vck_status_text(VCK_WRONG_KEY), "wrong key");
}

static void ntstatus_goes_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(table); i++) {
        assert_int_equal(vck_status_to_nt(table[i].status), table[i].nt);
        assert_int_equal(vck_status_from_nt(table[i].nt), table[i].status);
    }
}

static void strangers_are_errors(void **state)
{
    (void)state;
    assert_int_equal(vck_status_from_nt(0xC0000001u), VCK_IO);
    assert_int_equal(vck_status_from_nt(VCK_NT_BUFFER_TOO_SMALL), VCK_IO);
    assert_int_equal(vck_status_from_nt(0x00000103u), VCK_IO);
    assert_int_equal(vck_status_to_nt(VCK_STATUS_COUNT), 0xC0000185);
    assert_int_equal(vck_status_to_nt((vck_status)0x7FFFFFFF), 0xC0000185);
    assert_string_equal(vck_status_text(VCK_STATUS_COUNT), "unknown status");
    assert_string_equal(vck_status_name(VCK_STATUS_COUNT), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_names_are_frozen),
        cmocka_unit_test(texts_tell_statuses_apart),
        cmocka_unit_test(ntstatus_goes_there_and_back),
        cmocka_unit_test(strangers_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
