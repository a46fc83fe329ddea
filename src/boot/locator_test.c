/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_test.h"
#include "vck/locator.h"

static const struct limit {
    struct vck_locator locator;
    vck_status status;
} limits[] = {
    {{1, 1}, VCK_OK},
    {{0x7f000, 300}, VCK_OK},
    {{0x100000000, VCK_LOCATOR_LENGTH_BYTES_MAX}, VCK_OK},
    {{UINT64_MAX - 65535, 65535}, VCK_OK},
    {{0, 1}, VCK_OUT_OF_RANGE},
    {{4096, 0}, VCK_OUT_OF_RANGE},
    {{4096, VCK_LOCATOR_LENGTH_BYTES_MAX + 1}, VCK_OUT_OF_RANGE},
    {{4096, UINT64_MAX}, VCK_OUT_OF_RANGE},
    {{UINT64_MAX, 1}, VCK_OUT_OF_RANGE},
    {{UINT64_MAX - 65534, 65535}, VCK_OUT_OF_RANGE},
};

static void assert_same(const struct vck_locator *a, const struct vck_locator *b)
{
    assert_true(a->address == b->address && a->length_bytes == b->length_bytes);
}

static void vendor_guid_is_the_text(void **state)
{
    char text[VCK_GUID_TEXT_BYTES];
    (void)state;
    vck_guid_format(&vck_locator_vendor_guid, text);
    assert_string_equal(text, "59564b43-4448-564f-3132-2d5641522121");
}

/* The four names in the order the bits of `order` choose, as another writer has them. */
static void pack_value(msgpack_packer *packer, const struct vck_locator *locator, unsigned first,
                       bool is_wide, uint32_t version)
{
    msgpack_pack_map(packer, 4);
    for (unsigned i = 0; i < 4; i++) {
        switch ((first + i) % 4) {
        case 0:
            pack_name(packer, "magic");
            msgpack_pack_uint32(packer, VCK_LOCATOR_MAGIC);
            break;
        case 1:
            pack_name(packer, "version");
            if (is_wide)
                msgpack_pack_fix_uint16(packer, (uint16_t)version);
            else
                msgpack_pack_uint16(packer, (uint16_t)version);
            break;
        case 2:
            pack_name(packer, "address");
            if (is_wide)
                msgpack_pack_fix_uint64(packer, locator->address);
            else
                msgpack_pack_uint64(packer, locator->address);
            break;
        default:
            pack_name(packer, "length");
            if (is_wide)
                msgpack_pack_fix_uint64(packer, locator->length_bytes);
            else
                msgpack_pack_uint64(packer, locator->length_bytes);
            break;
        }
    }
}

static void decode_expecting(const msgpack_sbuffer *buffer, const struct vck_locator *locator,
                             vck_status expected)
{
    struct vck_locator decoded = {77, 78}, untouched = decoded;
    struct vck_bytes copy = exact_copy(bytes_of_buffer(buffer));
    assert_int_equal(vck_locator_decode(copy, &decoded), expected);
    assert_same(&decoded, expected == VCK_OK ? locator : &untouched);
    free((void *)copy.data);
}

static void values_of_another_writer_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(limits); i++) {
        for (unsigned form = 0; form < 8; form++) {
            msgpack_sbuffer buffer;
            msgpack_packer packer;
            msgpack_sbuffer_init(&buffer);
            msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
            pack_value(&packer, &limits[i].locator, form % 4, form >= 4, VCK_LOCATOR_VERSION);
            decode_expecting(&buffer, &limits[i].locator, limits[i].status);
            buffer.size = 0;
            pack_value(&packer, &limits[i].locator, form % 4, form >= 4, 2);
            decode_expecting(&buffer, &limits[i].locator, VCK_UNSUPPORTED);
            msgpack_sbuffer_destroy(&buffer);
        }
    }
}

static void what_is_written_is_what_msgpack_writes(void **state)
{
    uint8_t out[VCK_LOCATOR_VALUE_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(limits); i++) {
        const struct vck_locator *locator = &limits[i].locator;
        size_t size_bytes = 0;
        assert_int_equal(vck_locator_encode(locator, out, sizeof(out), &size_bytes),
                         limits[i].status);
        if (limits[i].status)
            continue;
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        pack_value(&packer, locator, 0, false, VCK_LOCATOR_VERSION);
        assert_int_equal(size_bytes, buffer.size);
        assert_memory_equal(out, buffer.data, size_bytes);
        assert_int_equal(vck_locator_encode(locator, out, size_bytes - 1, &size_bytes),
                         VCK_SIZE_MISMATCH);
        msgpack_sbuffer_destroy(&buffer);
    }
}

#define MAGIC   "\xa5magic\xce\x4c\x4b\x43\x56"
#define VERSION "\xa7version\1"
#define ADDRESS                                                                                    \
    "\xa7"                                                                                         \
    "address\xcd\x10\0"
#define LENGTH "\xa6length\x20"

static const struct bad {
    const char *name;
    struct vck_bytes value;
    vck_status status;
} bad[] = {
#define BAD(name, literal, status)                                                                 \
    {                                                                                              \
        name, {(const uint8_t *)(literal), sizeof(literal) - 1}, VCK_##status                      \
    }
    BAD("nothing", "", INVALID_DATA),
    BAD("no map", "\x94\1\1\1\1", INVALID_DATA),
    BAD("no magic", "\x83" VERSION ADDRESS LENGTH, INVALID_DATA),
    BAD("no version", "\x83" MAGIC ADDRESS LENGTH, INVALID_DATA),
    BAD("no address", "\x83" MAGIC VERSION LENGTH, INVALID_DATA),
    BAD("no length", "\x83" MAGIC VERSION ADDRESS, INVALID_DATA),
    BAD("two lengths", "\x85" MAGIC VERSION ADDRESS LENGTH LENGTH, INVALID_DATA),
    BAD("bytes behind the map", "\x84" MAGIC VERSION ADDRESS LENGTH "\0", INVALID_DATA),
    BAD("magic backwards", "\x84\xa5magic\xce\x56\x43\x4b\x4c" VERSION ADDRESS LENGTH,
        SIGNATURE_MISMATCH),
    BAD("magic in the low half only",
        "\x84\xa5magic\xcf\0\0\0\1\x4c\x4b\x43\x56" VERSION ADDRESS LENGTH, SIGNATURE_MISMATCH),
    BAD("magic that is text", "\x84\xa5magic\xa4VCKL" VERSION ADDRESS LENGTH, INVALID_DATA),
    BAD("version 0", "\x84" MAGIC "\xa7version\0" ADDRESS LENGTH, UNSUPPORTED),
    BAD("version 65537", "\x84" MAGIC "\xa7version\xce\0\1\0\1" ADDRESS LENGTH, UNSUPPORTED),
    BAD("version -1", "\x84" MAGIC "\xa7version\xff" ADDRESS LENGTH, INVALID_DATA),
    BAD("address -1",
        "\x84" MAGIC VERSION "\xa7"
        "address\xff" LENGTH,
        INVALID_DATA),
    BAD("length that is a float", "\x84" MAGIC VERSION ADDRESS "\xa6length\xca\0\0\0\0",
        INVALID_DATA),
    BAD("length cut short", "\x84" MAGIC VERSION ADDRESS "\xa6length\xcd\1", INVALID_DATA),
};

static void bad_values_are_refused(void **state)
{
    const struct vck_bytes good = BYTES_OF("\x85\xa1x\xc0" LENGTH ADDRESS VERSION MAGIC);
    struct vck_locator locator = {77, 78}, untouched = locator;
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(bad); i++) {
        struct vck_bytes copy = exact_copy(bad[i].value);
        vck_status status = vck_locator_decode(copy, &locator);
        if (status != bad[i].status)
            fail_msg("%s: %s", bad[i].name, vck_status_name(status));
        assert_same(&locator, &untouched);
        free((void *)copy.data);
    }
    assert_int_equal(vck_locator_decode(good, &locator), VCK_OK);
    assert_same(&locator, &(struct vck_locator){4096, 32});
}

/* ---- the table ---- */

static void repair_checksum(uint8_t table[VCK_LOCATOR_TABLE_BYTES])
{
    uint8_t sum = 0;
    for (size_t i = 0; i < VCK_LOCATOR_TABLE_BYTES; i++)
        sum = (uint8_t)(sum + table[i]);
    table[9] = (uint8_t)(table[9] - sum);
}

static void tables_are_laid_out_as_written(void **state)
{
    static const uint8_t expected[VCK_LOCATOR_TABLE_BYTES] =
        "VCKD\x34\0\0\0\x01\0VCKIT HANDOVER\x01\0\0\0VCK \x01\0\0\0"
        "\x88\x77\x66\x55\x44\x33\x22\x11\x00\x10\0\0\0\0\0";
    uint8_t table[VCK_LOCATOR_TABLE_BYTES], fixed[VCK_LOCATOR_TABLE_BYTES];
    struct vck_locator locator = {0x1122334455667788, 4096};
    (void)state;
    memcpy(fixed, expected, sizeof(fixed));
    repair_checksum(fixed);
    assert_int_equal(vck_locator_table_build(&locator, table), VCK_OK);
    assert_memory_equal(table, fixed, sizeof(table));
}

static void tables_are_read_back(void **state)
{
    uint8_t table[VCK_LOCATOR_TABLE_BYTES + 8];
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(limits); i++) {
        struct vck_locator locator = {77, 78};
        memset(table, 0xEE, sizeof(table));
        assert_int_equal(vck_locator_table_build(&limits[i].locator, table), limits[i].status);
        if (limits[i].status)
            continue;
        struct vck_bytes copy = exact_copy((struct vck_bytes){table, VCK_LOCATOR_TABLE_BYTES});
        assert_int_equal(vck_locator_table_parse(copy, &locator), VCK_OK);
        assert_same(&locator, &limits[i].locator);
        free((void *)copy.data);
        struct vck_bytes longer = {table, sizeof(table)};
        assert_int_equal(vck_locator_table_parse(longer, &locator), VCK_OK);
        for (size_t size = 0; size < VCK_LOCATOR_TABLE_BYTES; size++) {
            copy = exact_copy((struct vck_bytes){table, size});
            assert_int_equal(vck_locator_table_parse(copy, &locator), VCK_SIZE_MISMATCH);
            free((void *)copy.data);
        }
    }
}

static void changed_tables_are_refused(void **state)
{
    static const struct change {
        size_t at;
        uint8_t flip;
        vck_status status; /* once the checksum is right again */
    } changes[] = {
        {0, 1, VCK_SIGNATURE_MISMATCH},
        {3, 0x20, VCK_SIGNATURE_MISMATCH},
        {4, 1, VCK_SIZE_MISMATCH},
        {7, 0x80, VCK_SIZE_MISMATCH},
        {8, 3, VCK_UNSUPPORTED},
        {10, 1, VCK_SIGNATURE_MISMATCH},
        {15, 1, VCK_SIGNATURE_MISMATCH},
        {16, 1, VCK_OK},
        {24, 1, VCK_OK},
        {28, 1, VCK_OK},
        {36, 8, VCK_OK},
        {46, 2, VCK_OUT_OF_RANGE},
        {51, 0x80, VCK_OUT_OF_RANGE},
    };
    const struct vck_locator made = {4096, 100};
    uint8_t table[VCK_LOCATOR_TABLE_BYTES];
    struct vck_bytes bytes = {table, sizeof(table)};
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(changes); i++) {
        struct vck_locator locator = made;
        assert_int_equal(vck_locator_table_build(&made, table), VCK_OK);
        table[changes[i].at] ^= changes[i].flip;
        vck_status unrepaired = vck_locator_table_parse(bytes, &locator);
        assert_true(unrepaired == VCK_CHECKSUM_MISMATCH || unrepaired == changes[i].status);
        assert_int_not_equal(unrepaired, VCK_OK);
        assert_same(&locator, &made);
        repair_checksum(table);
        assert_int_equal(vck_locator_table_parse(bytes, &locator), changes[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vendor_guid_is_the_text),
        cmocka_unit_test(values_of_another_writer_are_read),
        cmocka_unit_test(what_is_written_is_what_msgpack_writes),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(tables_are_laid_out_as_written),
        cmocka_unit_test(tables_are_read_back),
        cmocka_unit_test(changed_tables_are_refused),
    };
    return cmocka_run_group_tests_name("boot-locator", tests, NULL, NULL);
}
