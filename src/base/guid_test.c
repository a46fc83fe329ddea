/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"
#include "vck/guid.h"

/* The EFI system partition's type, as it is on disk (UEFI specification, GPT). */
static const char esp_text[] = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
static const struct vck_guid esp = {{0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11, 0xBA, 0x4B,
                                     0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B}};
static const uint8_t esp_rfc4122[16] = {0xC1, 0x2A, 0x73, 0x28, 0xF8, 0x1F, 0x11, 0xD2,
                                        0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B};

static void text_becomes_memory_order(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        esp_text,
        "{c12a7328-f81f-11d2-ba4b-00a0c93ec93b}",
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        "{C12A7328-f81f-11D2-ba4b-00A0C93EC93B}",
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(spellings); i++) {
        struct vck_guid guid = {{0}};
        assert_int_equal(vck_guid_parse(bytes_of(spellings[i]), &guid), VCK_OK);
        assert_true(vck_guid_equal(&guid, &esp));
    }
}

static void orders_convert(void **state)
{
    (void)state;
    uint8_t bytes[16];
    struct vck_guid guid = vck_guid_from_rfc4122(esp_rfc4122);
    assert_memory_equal(guid.bytes, esp.bytes, 16);
    vck_guid_to_rfc4122(&esp, bytes);
    assert_memory_equal(bytes, esp_rfc4122, 16);
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "",
        "{}",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b0",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b\n",
        "{c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b}",
        "{c12a7328-f81f-11d2-ba4b-00a0c93ec93b)",
        "(c12a7328-f81f-11d2-ba4b-00a0c93ec93b}",
        "c12a7328f81f-11d2-ba4b-00a0c93ec93b-",
        "c12a7328-f81f-11d2-ba4b000a0c93ec93b",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93g",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec9 b",
        "c12a7328 f81f-11d2-ba4b-00a0c93ec93b",
        "0x2a7328-f81f-11d2-ba4b-00a0c93ec93b",
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(malformed); i++) {
        struct vck_guid guid = esp;
        assert_int_equal(vck_guid_parse(bytes_of(malformed[i]), &guid), VCK_INVALID_DATA);
        assert_memory_equal(guid.bytes, esp.bytes, 16);
    }
}

static void format_is_undone_by_parse(void **state)
{
    (void)state;
    char text[VCK_GUID_TEXT_BYTES];
    vck_guid_format(&esp, text);
    assert_string_equal(text, esp_text);
    for (unsigned round = 0; round < 1000; round++) {
        struct vck_guid guid, parsed;
        for (size_t i = 0; i < 16; i++)
            guid.bytes[i] = (uint8_t)random_u32();
        vck_guid_format(&guid, text);
        assert_int_equal(vck_guid_parse(bytes_of(text), &parsed), VCK_OK);
        assert_true(vck_guid_equal(&guid, &parsed));
        assert_false(vck_guid_is_zero(&guid));
        parsed.bytes[round % 16] ^= 0x10;
        assert_false(vck_guid_equal(&guid, &parsed));
    }
    assert_true(vck_guid_is_zero(&(struct vck_guid){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_memory_order),
        cmocka_unit_test(orders_convert),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(format_is_undone_by_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
