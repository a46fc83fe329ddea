/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_test.h"
#include "port/port.h"
#include "vck/handover.h"

static const uint8_t known_guid[16] = {0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde,
                                       0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
static const char known_text[] = "12345678-9abc-def0-1122-334455667788";

enum guid_form { GUID_BIN, GUID_ARRAY, GUID_TEXT, GUID_UPPER, GUID_BRACES, GUID_FORMS };

static void pack_integers(msgpack_packer *packer, const uint8_t *data, size_t size_bytes)
{
    msgpack_pack_array(packer, size_bytes);
    for (size_t i = 0; i < size_bytes; i++) {
        if (i % 2 == 0)
            msgpack_pack_uint8(packer, data[i]);
        else
            msgpack_pack_fix_int32(packer, data[i]);
    }
}

static void pack_bin(msgpack_packer *packer, const uint8_t *data, size_t size_bytes)
{
    msgpack_pack_bin_with_body(packer, data, size_bytes);
}

static void pack_guid(msgpack_packer *packer, enum guid_form form)
{
    pack_name(packer, "partition_guid");
    switch (form) {
    case GUID_BIN:
        pack_bin(packer, known_guid, sizeof(known_guid));
        break;
    case GUID_ARRAY:
        pack_integers(packer, known_guid, sizeof(known_guid));
        break;
    case GUID_TEXT:
        pack_name(packer, known_text);
        break;
    case GUID_UPPER:
        pack_name(packer, "12345678-9ABC-DEF0-1122-334455667788");
        break;
    default:
        pack_name(packer, "{12345678-9abc-def0-1122-334455667788}");
        break;
    }
}

static void pack_vmk(msgpack_packer *packer, bool is_array, const uint8_t *vmk, size_t size_bytes)
{
    pack_name(packer, "vmk");
    if (is_array)
        pack_integers(packer, vmk, size_bytes);
    else
        pack_bin(packer, vmk, size_bytes);
}

static void pack_something_else(msgpack_packer *packer)
{
    pack_name(packer, "comment");
    msgpack_pack_map(packer, 1);
    msgpack_pack_double(packer, 1.5);
    msgpack_pack_array(packer, 2);
    msgpack_pack_nil(packer);
    msgpack_pack_true(packer);
}

static void decode_and_compare(struct vck_bytes payload, const uint8_t *vmk, size_t vmk_bytes)
{
    struct vck_handover handover;
    struct vck_bytes copy = exact_copy(payload);
    assert_int_equal(vck_handover_decode(copy, &handover), VCK_OK);
    assert_memory_equal(handover.partition_guid.bytes, known_guid, sizeof(known_guid));
    assert_int_equal(handover.vmk.size_bytes, vmk_bytes);
    assert_memory_equal(handover.vmk.data, vmk, vmk_bytes);
    vck_handover_fini(&handover);
    vck_handover_fini(&handover);
    free((void *)copy.data);
}

static void each_form_is_read(void **state)
{
    static const size_t sizes[] = {1, 15, 16, 32, 255, 256, VCK_HANDOVER_VMK_BYTES_MAX};
    uint8_t vmk[VCK_HANDOVER_VMK_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(vmk); i++)
        vmk[i] = (uint8_t)random_u32();
    for (unsigned form = 0; form < GUID_FORMS * 2 * 2 * 2; form++) {
        for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
            enum guid_form guid_form = form % GUID_FORMS;
            unsigned rest = form / GUID_FORMS;
            bool is_array = rest & 1, is_vmk_first = rest & 2, has_more = rest & 4;
            msgpack_sbuffer buffer;
            msgpack_packer packer;
            msgpack_sbuffer_init(&buffer);
            msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
            msgpack_pack_map(&packer, has_more ? 3 : 2);
            if (is_vmk_first)
                pack_vmk(&packer, is_array, vmk, sizes[i]);
            else
                pack_guid(&packer, guid_form);
            if (has_more)
                pack_something_else(&packer);
            if (is_vmk_first)
                pack_guid(&packer, guid_form);
            else
                pack_vmk(&packer, is_array, vmk, sizes[i]);
            decode_and_compare(bytes_of_buffer(&buffer), vmk, sizes[i]);
            msgpack_sbuffer_destroy(&buffer);
        }
    }
}

/* A handover whose key is size_bytes of 0xA5. */
static struct vck_handover make_handover(size_t size_bytes)
{
    struct vck_handover handover = {0};
    memcpy(handover.partition_guid.bytes, known_guid, sizeof(known_guid));
    assert_int_equal(vck_secret_init(&handover.vmk, size_bytes), VCK_OK);
    memset(handover.vmk.data, 0xA5, size_bytes);
    return handover;
}

static void what_is_written_is_what_msgpack_writes(void **state)
{
    static const size_t sizes[] = {1, 32, 255, 256, VCK_HANDOVER_VMK_BYTES_MAX};
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        uint8_t out[VCK_HANDOVER_ENCODED_BYTES_MAX];
        struct vck_handover handover = make_handover(sizes[i]);
        size_t size_bytes;
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        msgpack_pack_map(&packer, 2);
        pack_guid(&packer, GUID_BIN);
        pack_vmk(&packer, false, handover.vmk.data, sizes[i]);
        assert_int_equal(vck_handover_encode(&handover, out, sizeof(out), &size_bytes), VCK_OK);
        assert_int_equal(size_bytes, buffer.size);
        assert_memory_equal(out, buffer.data, size_bytes);
        decode_and_compare((struct vck_bytes){out, size_bytes}, handover.vmk.data, sizes[i]);
        vck_handover_fini(&handover);
        msgpack_sbuffer_destroy(&buffer);
    }
}

static void what_does_not_fit_is_wiped(void **state)
{
    struct vck_handover handover = make_handover(32);
    uint8_t out[128];
    size_t size_bytes, whole;
    (void)state;
    assert_int_equal(vck_handover_encode(&handover, out, sizeof(out), &whole), VCK_OK);
    for (size_t capacity = 0; capacity < whole; capacity++) {
        memset(out, 1, sizeof(out));
        assert_int_equal(vck_handover_encode(&handover, out, capacity, &size_bytes),
                         VCK_SIZE_MISMATCH);
        assert_true(vck_all_zero(out, capacity));
        assert_int_equal(out[capacity], 1);
    }
    vck_handover_fini(&handover);
}

static void what_has_no_meaning_is_not_written(void **state)
{
    struct vck_handover handover = make_handover(32), empty = {0};
    struct vck_handover large = make_handover(VCK_HANDOVER_VMK_BYTES_MAX + 1);
    uint8_t out[VCK_HANDOVER_ENCODED_BYTES_MAX + 1];
    size_t size_bytes;
    (void)state;
    empty.partition_guid = handover.partition_guid;
    assert_int_equal(vck_handover_encode(&empty, out, sizeof(out), &size_bytes), VCK_INVALID_DATA);
    assert_int_equal(vck_handover_encode(&large, out, sizeof(out), &size_bytes), VCK_INVALID_DATA);
    memset(handover.partition_guid.bytes, 0, VCK_GUID_SIZE_BYTES);
    assert_int_equal(vck_handover_encode(&handover, out, sizeof(out), &size_bytes),
                     VCK_INVALID_DATA);
    vck_handover_fini(&handover);
    vck_handover_fini(&large);
}

#define GUID   "\xaepartition_guid"
#define BIN    "\xc4\x10xV4\x12\xbc\x9a\xf0\xde\x11\"3DUfw\x88"
#define VMK    "\xa3vmk"
#define KEY    "\xc4\x02kk"
#define ZEROS  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define LEVELS "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"

static const struct bad {
    const char *name;
    struct vck_bytes payload;
    vck_status status;
} bad[] = {
#define BAD(name, literal, status)                                                                 \
    {                                                                                              \
        name, {(const uint8_t *)(literal), sizeof(literal) - 1}, VCK_##status                      \
    }
    BAD("nothing", "", SIZE_MISMATCH),
    BAD("no map", "\x92" BIN KEY, INVALID_DATA),
    BAD("an empty map", "\x80", INVALID_DATA),
    BAD("no key", "\x81" GUID BIN, INVALID_DATA),
    BAD("no guid", "\x81" VMK KEY, INVALID_DATA),
    BAD("two keys", "\x83" GUID BIN VMK KEY VMK KEY, INVALID_DATA),
    BAD("two guids", "\x83" GUID BIN GUID BIN VMK KEY, INVALID_DATA),
    BAD("bytes behind the map", "\x82" GUID BIN VMK KEY "\xc0", INVALID_DATA),
    BAD("a pair missing", "\x83" GUID BIN VMK KEY, INVALID_DATA),
    BAD("a name that is a number", "\x83" GUID BIN VMK KEY "\1\1", INVALID_DATA),
    BAD("a name in capitals", "\x82" GUID BIN "\xa3VMK" KEY, INVALID_DATA),
    BAD("an empty key", "\x82" GUID BIN VMK "\xc4\0", SIZE_MISMATCH),
    BAD("an empty array", "\x82" GUID BIN VMK "\x90", SIZE_MISMATCH),
    BAD("a key that is text", "\x82" GUID BIN VMK "\xa2kk", INVALID_DATA),
    BAD("a key that is nil", "\x82" GUID BIN VMK "\xc0", INVALID_DATA),
    BAD("a key of large integers", "\x82" GUID BIN VMK "\x91\xcd\1\0", INVALID_DATA),
    BAD("a key of negative integers", "\x82" GUID BIN VMK "\x92\1\xff", INVALID_DATA),
    BAD("a key of texts", "\x82" GUID BIN VMK "\x91\xa1k", INVALID_DATA),
    BAD("a key cut short", "\x82" GUID BIN VMK "\xc4\x03kk", INVALID_DATA),
    BAD("a key said to be huge", "\x82" GUID BIN VMK "\xc6\xff\xff\xff\xff", INVALID_DATA),
    BAD("a guid of 15 bytes",
        "\x82" GUID "\xc4\x0f"
        "012345678901234" VMK KEY,
        INVALID_DATA),
    BAD("a guid of 17 bytes",
        "\x82" GUID "\xc4\x11"
        "01234567890123456" VMK KEY,
        INVALID_DATA),
    BAD("a guid of zeros", "\x82" GUID "\xc4\x10" ZEROS VMK KEY, INVALID_DATA),
    BAD("a guid of text zeros",
        "\x82" GUID "\xd9\x24"
        "00000000-0000-0000-0000-000000000000" VMK KEY,
        INVALID_DATA),
    BAD("a guid with a wrong digit",
        "\x82" GUID "\xd9\x24"
        "1234567g-9abc-def0-1122-334455667788" VMK KEY,
        INVALID_DATA),
    BAD("a guid of text without dashes",
        "\x82" GUID "\xd9\x20"
        "123456789abcdef01122334455667788" VMK KEY,
        INVALID_DATA),
    BAD("a guid that is a number", "\x82" GUID "\1" VMK KEY, INVALID_DATA),
    BAD("a stranger that nests too deep", "\x83\xa1x" LEVELS "\xc0" GUID BIN VMK KEY, INVALID_DATA),
};

static void bad_payloads_are_refused(void **state)
{
    size_t live = vck_alloc_live_count();
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(bad); i++) {
        struct vck_handover handover, before;
        struct vck_bytes copy = exact_copy(bad[i].payload);
        memset(&handover, 0x5A, sizeof(handover));
        memcpy(&before, &handover, sizeof(before));
        vck_status status = vck_handover_decode(copy, &handover);
        if (status != bad[i].status)
            fail_msg("%s: %s", bad[i].name, vck_status_name(status));
        assert_memory_equal(&handover, &before, sizeof(before));
        assert_int_equal(vck_alloc_live_count(), live);
        free((void *)copy.data);
    }
}

static void a_payload_cut_anywhere_is_refused(void **state)
{
    const struct vck_bytes whole = BYTES_OF("\x82" GUID BIN VMK KEY);
    struct vck_handover handover;
    (void)state;
    for (size_t size = 0; size < whole.size_bytes; size++) {
        struct vck_bytes copy = exact_copy((struct vck_bytes){whole.data, size});
        assert_int_not_equal(vck_handover_decode(copy, &handover), VCK_OK);
        free((void *)copy.data);
    }
    assert_int_equal(vck_handover_decode(whole, &handover), VCK_OK);
    vck_handover_fini(&handover);
}

/* The limits of the key and of the whole, each at its edge. */
static void long_payloads_are_refused(void **state)
{
    static uint8_t payload[VCK_HANDOVER_BYTES_MAX + 1];
    struct vck_handover handover;
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    (void)state;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2);
    pack_guid(&packer, GUID_BIN);
    pack_vmk(&packer, false, payload, VCK_HANDOVER_VMK_BYTES_MAX + 1);
    assert_int_equal(vck_handover_decode(bytes_of_buffer(&buffer), &handover), VCK_SIZE_MISMATCH);
    buffer.size = 0;
    msgpack_pack_map(&packer, 3);
    pack_guid(&packer, GUID_BIN);
    pack_vmk(&packer, true, known_guid, 16);
    pack_name(&packer, "fill");
    size_t fill = VCK_HANDOVER_BYTES_MAX - buffer.size - 3;
    pack_bin(&packer, payload, fill);
    assert_int_equal(buffer.size, VCK_HANDOVER_BYTES_MAX);
    memcpy(payload, buffer.data, buffer.size);
    struct vck_bytes bytes = {payload, sizeof(payload) - 1};
    assert_int_equal(vck_handover_decode(bytes, &handover), VCK_OK);
    vck_handover_fini(&handover);
    bytes.size_bytes++;
    assert_int_equal(vck_handover_decode(bytes, &handover), VCK_SIZE_MISMATCH);
    msgpack_sbuffer_destroy(&buffer);
}

static void taking_wipes_the_payload(void **state)
{
    struct vck_handover handover;
    uint8_t good[] = "\x82" GUID BIN VMK KEY, wrong[] = "\x82" GUID BIN VMK "\xa2kk";
    (void)state;
    assert_int_equal(vck_handover_take(good, sizeof(good) - 1, &handover), VCK_OK);
    assert_true(vck_all_zero(good, sizeof(good)));
    assert_int_equal(handover.vmk.size_bytes, 2);
    assert_memory_equal(handover.vmk.data, "kk", 2);
    vck_handover_fini(&handover);
    assert_int_equal(vck_handover_take(wrong, sizeof(wrong) - 1, &handover), VCK_INVALID_DATA);
    assert_true(vck_all_zero(wrong, sizeof(wrong)));
}

static void no_memory_is_reported(void **state)
{
    uint8_t payload[] = "\x82" GUID BIN VMK KEY;
    struct vck_handover handover;
    size_t live = vck_alloc_live_count();
    (void)state;
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_handover_take(payload, sizeof(payload) - 1, &handover), VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
    assert_true(vck_all_zero(payload, sizeof(payload)));
    assert_int_equal(vck_alloc_live_count(), live);
}

static void only_its_partition_matches(void **state)
{
    struct vck_handover handover = make_handover(1), empty = {0};
    struct vck_guid partition = handover.partition_guid, zero = {0};
    (void)state;
    assert_true(vck_handover_matches(&handover, &partition));
    assert_false(vck_handover_matches(&empty, &partition));
    assert_false(vck_handover_matches(&empty, &zero));
    assert_false(vck_handover_matches(&handover, &zero));
    for (size_t i = 0; i < VCK_GUID_SIZE_BYTES; i++) {
        partition.bytes[i] ^= 1;
        assert_false(vck_handover_matches(&handover, &partition));
        partition.bytes[i] ^= 1;
    }
    /* The same text, its fields in the other order. */
    partition = vck_guid_from_rfc4122(known_guid);
    assert_false(vck_handover_matches(&handover, &partition));
    vck_handover_fini(&handover);
    assert_false(vck_handover_matches(&handover, &zero));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_read),
        cmocka_unit_test(what_is_written_is_what_msgpack_writes),
        cmocka_unit_test(what_does_not_fit_is_wiped),
        cmocka_unit_test(what_has_no_meaning_is_not_written),
        cmocka_unit_test(bad_payloads_are_refused),
        cmocka_unit_test(a_payload_cut_anywhere_is_refused),
        cmocka_unit_test(long_payloads_are_refused),
        cmocka_unit_test(taking_wipes_the_payload),
        cmocka_unit_test(no_memory_is_reported),
        cmocka_unit_test(only_its_partition_matches),
    };
    return cmocka_run_group_tests_name("boot-handover", tests, NULL, NULL);
}
