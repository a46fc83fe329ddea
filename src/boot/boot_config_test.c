/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include "boot_test.h"
#include "port/port.h"
#include "vck/boot_config.h"
#include "vck/handover.h"

#define GUID  "\"partition_guid\": \"12345678-9abc-def0-1122-334455667788\""
#define NEEDS GUID ", \"osloader\": \"\\\\EFI\\\\os.efi\""

static vck_status parse(const char *text, struct vck_boot_config *ret_config,
                        struct vck_boot_config_error *ret_error)
{
    struct vck_bytes copy = exact_copy((struct vck_bytes){(const uint8_t *)text, strlen(text)});
    vck_status status = vck_boot_config_parse(copy, ret_config, ret_error);

    free((void *)(uintptr_t)copy.data);
    return status;
}

static struct vck_boot_config parse_good(const char *text)
{
    struct vck_boot_config config;
    struct vck_boot_config_error error;
    vck_status status = parse(text, &config, &error);

    if (status != VCK_OK)
        print_error("line %u: %s\nin: %s\n", error.line, error.text, text);
    assert_int_equal(status, VCK_OK);
    return config;
}

static void test_least(void **state)
{
    static const uint8_t guid[16] = {0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde,
                                     0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    struct vck_boot_config config = parse_good("{" NEEDS "}");

    (void)state;
    assert_memory_equal(config.partition_guid.bytes, guid, 16);
    assert_string_equal(config.osloader, "\\EFI\\os.efi");
    assert_string_equal(config.initrd, "");
    assert_string_equal(config.options, "");
    assert_string_equal(config.passed_over, "");
    assert_null(config.vmk.data);
    assert_int_equal(config.timeout_s, VCK_BOOT_TIMEOUT_S_DEFAULT);
    assert_int_equal(config.mode, VCK_BOOT_OVERLAY);
    vck_boot_config_fini(&config);
}

static void test_everything(void **state)
{
    struct vck_boot_config config = parse_good(
        "\xef\xbb\xbf\r\n{\t\"mode\" : \"patch\",\n \"what\": {\"pcrs\": [7, 11], \"x\": [[], {}, "
        "[{\"y\": null}]]},\n\"options\":\"root=/dev/mapper/os \\\"q\\\" \\u00e4\\ud83d\\ude00\","
        "\"vmk\": \"AAECAw==\", \"initrd\": \"boot/initrd.img\", \"osloader\": \"/boot/vmlinuz\","
        "\"timeout\": 0, \"later\": -1.5e3, \"partition_guid\": "
        "\"{12345678-9ABC-DEF0-1122-334455667788}\"}\n");

    (void)state;
    assert_int_equal(config.mode, VCK_BOOT_PATCH);
    assert_string_equal(config.passed_over, "what");
    assert_false(config.tpm.is_wanted);
    assert_string_equal(config.options, "root=/dev/mapper/os \"q\" \xc3\xa4\xf0\x9f\x98\x80");
    assert_int_equal(config.vmk.size_bytes, 4);
    assert_memory_equal(config.vmk.data, "\x00\x01\x02\x03", 4);
    assert_string_equal(config.initrd, "\\boot\\initrd.img");
    assert_string_equal(config.osloader, "\\boot\\vmlinuz");
    assert_int_equal(config.timeout_s, 0);
    vck_boot_config_fini(&config);
    vck_boot_config_fini(&config);
    assert_int_equal(vck_alloc_live_count(), 0);
}

static void test_tpm(void **state)
{
    struct vck_boot_config config = parse_good("{" NEEDS ", \"tpm\": {}}");

    (void)state;
    assert_true(config.tpm.is_wanted && !config.tpm.has_slot);
    vck_boot_config_fini(&config);
    config = parse_good("{\"tpm\":{ \"later\" : [1], \"slot\":31 } , " NEEDS "}");
    assert_true(config.tpm.is_wanted && config.tpm.has_slot);
    assert_int_equal(config.tpm.slot, 31);
    assert_string_equal(config.passed_over, "later");
    vck_boot_config_fini(&config);
}

struct wrong {
    const char *text;
    uint32_t line;
    const char *says;
};

static const struct wrong wrongs[] = {
    {"{" NEEDS ", \"tpm\": true}", 1, "tpm is an object: { is expected"},
    {"{" NEEDS ", \"tpm\": {\"slot\": 32}}", 1, "the number is too large"},
    {"{" NEEDS ", \"tpm\": {\"slot\": 1, \"slot\": 1}}", 1, "a name is there twice"},
    {"{" NEEDS ", \"tpm\": {\"slot\": 1]}", 1, "a comma or } is expected"},
    {"{" NEEDS ", \"tpm\": {}, \"tpm\": {}}", 1, "a name is there twice"},
    {"", 1, "the file is a JSON object: { is expected"},
    {"\x7f"
     "ELF",
     1, "the file is a JSON object: { is expected"},
    {"[]", 1, "the file is a JSON object: { is expected"},
    {"{", 1, "a string in quotes is expected"},
    {"{}", 1, "partition_guid is missing"},
    {"{" GUID "}", 1, "osloader is missing"},
    {"{" NEEDS, 1, "a comma or } is expected"},
    {"{" NEEDS ",}", 1, "a string in quotes is expected"},
    {"{" NEEDS "} x", 1, "the file goes on after the object"},
    {"{\n" NEEDS ",\n\n\"mode\" \"patch\"}", 4, "a colon is expected after a name"},
    {"{\n" NEEDS ",\n" GUID "}", 3, "a name is there twice"},
    {"{\"partition_guid\": \"1234\"}", 1, "partition_guid is a GUID with its dashes"},
    {"{\"partition_guid\": 1}", 1, "a string in quotes is expected"},
    {"{\"partition_guid\": \"00000000-0000-0000-0000-000000000000\"}", 1,
     "partition_guid is not all zeros"},
    {"{\"osloader\": \"\"}", 1, "the path is empty"},
    {"{\"osloader\": \"\\\\\"}", 1, "the path names no file"},
    {"{\"initrd\": \"/\"}", 1, "the path names no file"},
    {"{\"osloader\": \"EFI/\"}", 1, "the path names no file"},
    {"{\"osloader\": \"a\\tb\"}", 1, "a control character in a path"},
    {"{\"osloader\": \"\\EFI\"}", 1, "no such escape; a backslash is written twice"},
    {"{\"osloader\": \"a\nb\"}", 1, "the string has no end in its line"},
    {"{\"osloader\": \"a", 1, "the string has no end"},
    {"{\"osloader\": \"a\\", 1, "the string has no end"},
    {"{\"osloader\": \"\xff\"}", 1, "a string is not UTF-8"},
    {"{\"osloader\": \"\x01\"}", 1, "a control character in a string"},
    {"{\"osloader\": \"\\u12g4\"}", 1, "\\u needs four hexadecimal digits"},
    {"{\"osloader\": \"\\u0000\"}", 1, "\\u0000 in a string"},
    {"{\"osloader\": \"\\ud800\"}", 1, "half of a character behind \\u"},
    {"{\"osloader\": \"\\ud800\\u0041\"}", 1, "half of a character behind \\u"},
    {"{\"osloader\": \"\\udc00\"}", 1, "half of a character behind \\u"},
    {"{\"timeout\": -1}", 1, "a whole number is expected"},
    {"{\"timeout\": 1.5}", 1, "a whole number is expected"},
    {"{\"timeout\": 1e3}", 1, "a whole number is expected"},
    {"{\"timeout\": 01}", 1, "a whole number is expected"},
    {"{\"timeout\": \"1\"}", 1, "a whole number is expected"},
    {"{\"timeout\": 86401}", 1, "the number is too large"},
    {"{\"mode\": \"both\"}", 1, "mode is \"overlay\" or \"patch\""},
    {"{\"mode\": \"a mode that is longer than any\"}", 1, "the string is too long"},
    {"{\"vmk\": \"\"}", 1, "vmk is a key of 1 to 1024 bytes in base64"},
    {"{\"vmk\": \"AAE\"}", 1, "vmk is a key of 1 to 1024 bytes in base64"},
    {"{\"vmk\": \"AAF=\"}", 1, "vmk is a key of 1 to 1024 bytes in base64"},
    {"{\"vmk\": \"A===\"}", 1, "vmk is a key of 1 to 1024 bytes in base64"},
    {"{\"vmk\": \"====\"}", 1, "vmk is a key of 1 to 1024 bytes in base64"},
    {"{\"vmk\": \"AA==AA==\"}", 1, "vmk is a key of 1 to 1024 bytes in base64"},
    {"{\"vmk\": \"AA-_\"}", 1, "vmk is a key of 1 to 1024 bytes in base64"},
    {"{\"x\": }", 1, "a value is expected"},
    {"{\"x\": [1 2]}", 1, "a comma or the end is expected"},
    {"{\"x\": [1}}", 1, "a comma or the end is expected"},
    {"{\"x\": {\"y\" 1}}", 1, "a colon is expected"},
    {"{\"x\": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", 1, "too many values inside each other"},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(wrongs); i++) {
        struct vck_boot_config config;
        struct vck_boot_config_error error;

        memset(&config, 0x5a, sizeof(config));
        assert_int_equal(parse(wrongs[i].text, &config, &error), VCK_INVALID_DATA);
        assert_string_equal(error.text, wrongs[i].says);
        assert_int_equal(error.line, wrongs[i].line);
        assert_int_equal(*(uint8_t *)&config, 0x5a);
    }
    assert_int_equal(vck_alloc_live_count(), 0);
}

static void test_key_sizes(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[2048];
    uint8_t key[VCK_HANDOVER_VMK_BYTES_MAX + 3] = {0};

    (void)state;
    for (size_t size = 1; size <= VCK_HANDOVER_VMK_BYTES_MAX + 1; size++) {
        struct vck_boot_config config;
        struct vck_boot_config_error error;
        size_t used = (size_t)snprintf(text, sizeof(text), "{" NEEDS ", \"vmk\": \"");

        key[size - 1] = (uint8_t)random_u32();
        for (size_t i = 0; i < size; i += 3) {
            uint32_t group = (uint32_t)key[i] << 16;
            group |= i + 1 < size ? (uint32_t)key[i + 1] << 8 : 0;
            group |= i + 2 < size ? key[i + 2] : 0;
            text[used++] = digits[group >> 18];
            text[used++] = digits[group >> 12 & 63];
            text[used++] = (char)(i + 1 < size ? digits[group >> 6 & 63] : '=');
            text[used++] = (char)(i + 2 < size ? digits[group & 63] : '=');
        }
        strcpy(text + used, "\"}");
        if (size > VCK_HANDOVER_VMK_BYTES_MAX) {
            assert_int_equal(parse(text, &config, &error), VCK_INVALID_DATA);
            continue;
        }
        config = parse_good(text);
        assert_int_equal(config.vmk.size_bytes, size);
        assert_memory_equal(config.vmk.data, key, size);
        vck_boot_config_fini(&config);
    }
}

static void test_limits(void **state)
{
    static char text[VCK_BOOT_CONFIG_BYTES_MAX + 2];
    struct vck_boot_config config;
    struct vck_boot_config_error error;
    char path[VCK_BOOT_PATH_BYTES];

    (void)state;
    memset(text, ' ', sizeof(text) - 1);
    memcpy(text, "{" NEEDS "}", strlen("{" NEEDS "}"));
    assert_int_equal(parse(text, &config, &error), VCK_INVALID_DATA);
    assert_string_equal(error.text, "longer than 65536 bytes");
    text[VCK_BOOT_CONFIG_BYTES_MAX] = 0;
    config = parse_good(text);
    vck_boot_config_fini(&config);

    /* A path that just fits with the root before it, and one more. */
    memset(path, 'x', sizeof(path));
    path[VCK_BOOT_PATH_BYTES - 2] = 0;
    snprintf(text, sizeof(text), "{" GUID ", \"osloader\": \"%s\"}", path);
    config = parse_good(text);
    assert_int_equal(strlen(config.osloader), VCK_BOOT_PATH_BYTES - 1);
    vck_boot_config_fini(&config);
    path[VCK_BOOT_PATH_BYTES - 2] = 'x';
    path[VCK_BOOT_PATH_BYTES - 1] = 0;
    snprintf(text, sizeof(text), "{" GUID ", \"osloader\": \"%s\"}", path);
    assert_int_equal(parse(text, &config, &error), VCK_INVALID_DATA);
    assert_string_equal(error.text, "the string is too long");
}

static void test_no_memory(void **state)
{
    struct vck_boot_config config;
    struct vck_boot_config_error error;

    (void)state;
    vck_alloc_fail_nth(1);
    assert_int_equal(parse("{" NEEDS ", \"vmk\": \"AAAA\"}", &config, &error), VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
    assert_string_equal(error.text, "");
    assert_int_equal(vck_alloc_live_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least),     cmocka_unit_test(test_everything),
        cmocka_unit_test(test_tpm),       cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_key_sizes), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
