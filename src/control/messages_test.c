/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vck/codes.h"
#include "vck/messages.h"

static uint8_t buffer[VCK_FRAME_BYTES_MAX];

static size_t encode(enum vck_message_type type, const void *message)
{
    size_t size = 0;

    assert_int_equal(vck_message_encode(type, message, buffer, sizeof(buffer), &size), VCK_OK);
    return size;
}

/* ---- round trips ---- */

static void prepare_request_round_trip(void **state)
{
    const uint8_t key[3] = {0, 200, 255};
    uint8_t block[512];
    struct vck_msg_prepare_request in = {
        .volume_path = "/srv/d\xc3\xa4ta.img",
        .use_footer = {true, 2},
        .metadata_size = {true, UINT32_MAX},
        .vmk = {key, sizeof(key)},
        .metadata_block = {block, sizeof(block)},
        .is_os_volume = true,
    };
    struct vck_msg_prepare_request out;

    (void)state;
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (uint8_t)(i * 7);
    size_t size = encode(VCK_MESSAGE_PREPARE_REQUEST, &in);
    assert_int_equal(vck_msg_prepare_request_decode(buffer, size, &out, NULL), VCK_OK);
    assert_string_equal(out.volume_path, in.volume_path);
    assert_string_equal(out.nt_device_path, "");
    assert_false(out.use_header.is_present);
    assert_true(out.use_footer.is_present);
    assert_int_equal(out.use_footer.value, 2);
    assert_int_equal(out.metadata_size.value, UINT32_MAX);
    assert_int_equal(out.vmk.size_bytes, sizeof(key));
    assert_memory_equal(out.vmk.data, key, sizeof(key));
    assert_int_equal(out.metadata_block.size_bytes, sizeof(block));
    assert_memory_equal(out.metadata_block.data, block, sizeof(block));
    assert_true(out.is_os_volume);
}

static void status_round_trip(void **state)
{
    struct vck_msg_volume_status in = {
        .volume_path = "v",
        .state = 3,
        .encrypted_sector = UINT64_MAX,
        .total_sectors = 1ull << 33,
        .sector_size = 4096,
        .is_attached = true,
        .direction = 1,
        .damaged_chunks = 5,
        .rate_mib_s = 100,
        .bytes_per_s = 1ull << 40,
        .error = "sweep: device failed",
        .rekeying = true,
        .rekeyed_sector = 77,
    };
    struct vck_msg_volume_status out;

    (void)state;
    size_t size = encode(VCK_MESSAGE_VOLUME_STATUS, &in);
    assert_int_equal(vck_msg_volume_status_decode(buffer, size, &out, NULL), VCK_OK);
    assert_string_equal(out.volume_path, "v");
    assert_string_equal(out.error, in.error);
    assert_int_equal(out.state, 3);
    assert_true(out.encrypted_sector == UINT64_MAX);
    assert_true(out.total_sectors == 1ull << 33);
    assert_int_equal(out.sector_size, 4096);
    assert_true(out.is_attached);
    assert_false(out.filter_below_fsd);
    assert_int_equal(out.direction, 1);
    assert_int_equal(out.damaged_chunks, 5);
    assert_int_equal(out.rate_mib_s, 100);
    assert_true(out.bytes_per_s == 1ull << 40);
    assert_true(out.rekeying);
    assert_int_equal(out.rekeyed_sector, 77);
}

static void lists_round_trip(void **state)
{
    struct vck_msg_volume_entry entries[2] = {{.volume_path = "/a", .total_sectors = 9},
                                              {.volume_path = "/b", .is_os_volume = true}};
    struct vck_msg_volume_entry got[2];
    struct vck_msg_volume_list in = {.volumes = entries, .count = 2};
    struct vck_msg_volume_list out = {.volumes = got, .capacity = 2};
    uint64_t offsets[3] = {0, 512, 1ull << 50};
    uint64_t got_offsets[3];
    struct vck_msg_damage_list damage = {.chunk_bytes = 16, .offsets = offsets, .count = 3};
    struct vck_msg_damage_list got_damage = {.offsets = got_offsets, .capacity = 3};
    struct vck_message_fault fault;

    (void)state;
    size_t size = encode(VCK_MESSAGE_VOLUME_LIST, &in);
    assert_int_equal(vck_msg_volume_list_decode(buffer, size, &out, NULL), VCK_OK);
    assert_int_equal(out.count, 2);
    assert_string_equal(got[0].volume_path, "/a");
    assert_int_equal(got[0].total_sectors, 9);
    assert_true(got[1].is_os_volume);
    size = encode(VCK_MESSAGE_DAMAGE_LIST, &damage);
    assert_int_equal(vck_msg_damage_list_decode(buffer, size, &got_damage, NULL), VCK_OK);
    assert_int_equal(got_damage.count, 3);
    assert_memory_equal(got_offsets, offsets, sizeof(offsets));

    out = (struct vck_msg_volume_list){.volumes = got, .capacity = 1};
    size = encode(VCK_MESSAGE_VOLUME_LIST, &in);
    assert_int_equal(vck_msg_volume_list_decode(buffer, size, &out, &fault), VCK_INVALID_DATA);
    assert_int_equal(fault.kind, VCK_MESSAGE_FAULT_LENGTH);
}

static void keys_round_trip(void **state)
{
    static const uint8_t table[VCK_MSG_TABLE_BYTES_MAX + 1] = {1, 2, 3};
    static uint8_t large[VCK_FRAME_BYTES_MAX];
    const struct vck_msg_keys_request in = {.volume_path = "/a",
                                            .base_generation = UINT64_MAX,
                                            .table = {table, VCK_MSG_TABLE_BYTES_MAX},
                                            .start_over = true,
                                            .vmk = {table, 3},
                                            .new_vmk = {table, 2}};
    struct vck_msg_keys_request out, more = in;
    size_t size;

    (void)state;
    assert_int_equal(vck_msg_keys_request_encode(&in, large, sizeof(large), &size), VCK_OK);
    assert_int_equal(vck_msg_keys_request_decode(large, size, &out, NULL), VCK_OK);
    assert_string_equal(out.volume_path, "/a");
    assert_true(out.base_generation == UINT64_MAX && out.start_over);
    assert_int_equal(out.table.size_bytes, VCK_MSG_TABLE_BYTES_MAX);
    assert_memory_equal(out.table.data, table, VCK_MSG_TABLE_BYTES_MAX);
    assert_int_equal(out.vmk.size_bytes, 3);
    assert_int_equal(out.new_vmk.size_bytes, 2);
    more.table.size_bytes++;
    assert_int_equal(vck_msg_keys_request_encode(&more, large, sizeof(large), &size),
                     VCK_OUT_OF_RANGE);
}

/* Every message with its members zero. Arrays have no room, and need none. */
static void zero_round_trip(void **state)
{
    (void)state;
    for (int type = VCK_MESSAGE_NONE; type < VCK_MESSAGE_TYPE_COUNT; type++) {
        VCK_ALIGNAS(8) uint8_t in[512] = {0};
        VCK_ALIGNAS(8) uint8_t out[512] = {0};
        size_t size = encode((enum vck_message_type)type, in);

        assert_int_equal(vck_message_decode((enum vck_message_type)type, buffer, size, out, NULL),
                         VCK_OK);
    }
}

/* What is left out, what is nil, and that another implementation reads it all. */
static void encoding(void **state)
{
    static const uint8_t expected[] = "\x83\xadoffset_sector\x05\xac"
                                      "data_sectors\xcd\x01\x00"
                                      "\xabsector_size\xcd\x02\x00";
    struct vck_msg_prepare_response response = {
        .offset_sector = 5, .data_sectors = 256, .sector_size = 512};
    struct vck_msg_attach_request request = {.volume_path = "/v", .vmk = {(const uint8_t *)"k", 1}};
    msgpack_unpacked unpacked;
    size_t size = encode(VCK_MESSAGE_PREPARE_RESPONSE, &response);

    (void)state;
    assert_memory_equal(buffer + 1, expected + 1, sizeof(expected) - 2);
    /* partition_start_lba is nil, fully_attached false, the paths are left out. */
    assert_int_equal(buffer[0], 0x85);
    assert_int_equal(buffer[size - 1], 0xc2);

    size = encode(VCK_MESSAGE_ATTACH_REQUEST, &request);
    msgpack_unpacked_init(&unpacked);
    assert_int_equal(msgpack_unpack_next(&unpacked, (char *)buffer, size, NULL),
                     MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(unpacked.data.type, MSGPACK_OBJECT_MAP);
    assert_int_equal(unpacked.data.via.map.size, 5);
    assert_int_equal(unpacked.data.via.map.ptr[1].val.type, MSGPACK_OBJECT_BIN);
    assert_int_equal(unpacked.data.via.map.ptr[2].val.type, MSGPACK_OBJECT_NIL);
    msgpack_unpacked_destroy(&unpacked);
}

static void encoder_bounds(void **state)
{
    static char long_text[VCK_MSG_PATH_BYTES_MAX + 2];
    struct vck_msg_volume_request request = {.volume_path = "/some/volume"};
    size_t size = encode(VCK_MESSAGE_VOLUME_REQUEST, &request);
    size_t got = 77;

    (void)state;
    for (size_t capacity = 0; capacity < size; capacity++) {
        uint8_t *exact = malloc(capacity + 1);

        assert_int_equal(vck_msg_volume_request_encode(&request, exact, capacity, &got),
                         VCK_SIZE_MISMATCH);
        assert_int_equal(got, 77);
        free(exact);
    }
    memset(long_text, 'x', sizeof(long_text) - 1);
    request.volume_path = long_text;
    assert_int_equal(vck_msg_volume_request_encode(&request, buffer, sizeof(buffer), &got),
                     VCK_OUT_OF_RANGE);
}

/* ---- what a decoder takes ---- */

static vck_status decode_attach(const char *bytes, size_t size, struct vck_msg_attach_request *out,
                                struct vck_message_fault *fault)
{
    memcpy(buffer, bytes, size);
    return vck_msg_attach_request_decode(buffer, size, out, fault);
}

#define DECODE_ATTACH(literal, out, fault) decode_attach(literal, sizeof(literal) - 1, out, fault)

static void tolerance(void **state)
{
    struct vck_msg_attach_request out;
    struct vck_message_fault fault;

    (void)state;
    /* Another order, an unknown key with something nested, integers in wide forms, nil, and a key
     * as an array of integers in both forms. */
    assert_int_equal(
        DECODE_ATTACH("\x86\xa3vmk\x93\x01\xcc\xff\xcd\x00\x80"
                      "\xa7unknown\x92\x81\xa1x\xc0\xcb\x00\x00\x00\x00\x00\x00\x00\x00"
                      "\xaause_header\xcf\x00\x00\x00\x00\x00\x00\x00\x02"
                      "\xaause_footer\xc0"
                      "\xadmetadata_size\xd3\x00\x00\x00\x00\x00\x10\x00\x00"
                      "\xabvolume_path\xd9\x02/v",
                      &out, &fault),
        VCK_OK);
    assert_int_equal(fault.kind, VCK_MESSAGE_NO_FAULT);
    assert_string_equal(out.volume_path, "/v");
    assert_int_equal(out.vmk.size_bytes, 3);
    assert_memory_equal(out.vmk.data, "\x01\xff\x80", 3);
    assert_int_equal(out.use_header.value, 2);
    assert_false(out.use_footer.is_present);
    assert_int_equal(out.metadata_size.value, 1 << 20);
}

static const struct {
    const char *name;
    const char *bytes;
    size_t size;
    enum vck_message_fault_kind kind;
    const char *field;
} malformed[] = {
#define CASE(name, literal, kind, field)                                                           \
    {                                                                                              \
        name, literal, sizeof(literal) - 1, VCK_MESSAGE_FAULT_##kind, field                        \
    }
    CASE("no bytes", "", MALFORMED, NULL),
    CASE("nil", "\xc0", NOT_A_MAP, NULL),
    CASE("an array", "\x90", NOT_A_MAP, NULL),
    CASE("a byte that starts nothing", "\xc1", MALFORMED, NULL),
    CASE("a map that promises more", "\x82\xabvolume_path\xa1v", MALFORMED, NULL),
    CASE("a map of 2^32 pairs", "\xdf\xff\xff\xff\xff", MALFORMED, NULL),
    CASE("a key that is an integer", "\x82\x01\x02\x03\x04", KEY, NULL),
    CASE("a key that is nil", "\x81\xc0\xc0", KEY, NULL),
    CASE("nothing that is required", "\x80", MISSING, "volume_path"),
    CASE("no key", "\x81\xabvolume_path\xa1v", MISSING, "vmk"),
    CASE("a path that is nil", "\x81\xabvolume_path\xc0", TYPE, "volume_path"),
    CASE("a path that is bytes", "\x81\xabvolume_path\xc4\x01v", TYPE, "volume_path"),
    CASE("a path that is a number", "\x81\xabvolume_path\x07", TYPE, "volume_path"),
    CASE("a path cut short", "\x81\xabvolume_path\xa5/v", TEXT, "volume_path"),
    CASE("a path with a zero byte", "\x81\xabvolume_path\xa3/\0v", TEXT, "volume_path"),
    CASE("a path that is not UTF-8", "\x81\xabvolume_path\xa2/\xff", TEXT, "volume_path"),
    CASE("a path twice", "\x82\xabvolume_path\xa1v\xabvolume_path\xa1v", REPEATED, "volume_path"),
    CASE("a key that is text", "\x82\xabvolume_path\xa1v\xa3vmk\xa1k", TYPE, "vmk"),
    CASE("a key with a large integer", "\x82\xabvolume_path\xa1v\xa3vmk\x91\xcd\x01\x00", TYPE,
         "vmk"),
    CASE("a key with a negative integer", "\x82\xabvolume_path\xa1v\xa3vmk\x91\xff", TYPE, "vmk"),
    CASE("a key cut short", "\x82\xabvolume_path\xa1v\xa3vmk\xc4\x20k", MALFORMED, "vmk"),
    CASE("a count that is negative", "\x81\xaause_header\xff", RANGE, "use_header"),
    CASE("a count beyond 32 bits", "\x81\xaause_header\xcf\x00\x00\x00\x01\x00\x00\x00\x00", RANGE,
         "use_header"),
    CASE("a count that is a float", "\x81\xaause_header\xca\x00\x00\x00\x00", TYPE, "use_header"),
    CASE("a count that is bool", "\x81\xaause_header\xc3", TYPE, "use_header"),
    CASE("bytes after the end", "\x82\xabvolume_path\xa1v\xa3vmk\xc4\x01k\x00", TRAILING, NULL),
    CASE("an unknown value cut short", "\x81\xa1x\xc4\x05", MALFORMED, NULL),
    CASE("an unknown value nested deep",
         "\x81\xa1x\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0",
         MALFORMED, NULL),
#undef CASE
};

static void malformed_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(malformed); i++) {
        struct vck_msg_attach_request out;
        struct vck_msg_attach_request before;
        struct vck_message_fault fault;
        uint8_t *exact = malloc(malformed[i].size + 1);

        memset(&out, 0x5a, sizeof(out));
        before = out;
        memcpy(exact, malformed[i].bytes, malformed[i].size);
        print_message("# %s\n", malformed[i].name);
        assert_int_equal(vck_msg_attach_request_decode(exact, malformed[i].size, &out, &fault),
                         VCK_INVALID_DATA);
        assert_int_equal(fault.kind, malformed[i].kind);
        if (malformed[i].field)
            assert_string_equal(fault.field, malformed[i].field);
        else
            assert_null(fault.field);
        assert_true(fault.offset_bytes <= malformed[i].size);
        assert_memory_equal(&out, &before, sizeof(out));
        free(exact);
    }
}

/* A message cut at any byte is refused, without reading past the cut. */
static void cut_messages(void **state)
{
    const uint8_t key[32] = {1};
    struct vck_msg_prepare_request in = {.volume_path = "/v", .vmk = {key, sizeof(key)}};
    size_t size = encode(VCK_MESSAGE_PREPARE_REQUEST, &in);

    (void)state;
    for (size_t cut = 0; cut < size; cut++) {
        struct vck_msg_prepare_request out;
        uint8_t *exact = malloc(cut + 1);

        memcpy(exact, buffer, cut);
        uint8_t *tight = malloc(cut ? cut : 1);
        memcpy(tight, exact, cut);
        assert_int_equal(vck_msg_prepare_request_decode(tight, cut, &out, NULL), VCK_INVALID_DATA);
        free(tight);
        free(exact);
    }
}

static void long_fields(void **state)
{
    static uint8_t key[VCK_MSG_VMK_BYTES_MAX + 1];
    uint8_t *message = malloc(8192);
    struct vck_msg_attach_request out;
    struct vck_message_fault fault;
    size_t size = 0;

    (void)state;
    for (int as_array = 0; as_array < 2; as_array++) {
        msgpack_sbuffer packed;
        msgpack_packer packer;

        msgpack_sbuffer_init(&packed);
        msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
        msgpack_pack_map(&packer, 1);
        msgpack_pack_str_with_body(&packer, "vmk", 3);
        if (as_array) {
            msgpack_pack_array(&packer, sizeof(key));
            for (size_t i = 0; i < sizeof(key); i++)
                msgpack_pack_int(&packer, 255);
        } else {
            msgpack_pack_bin_with_body(&packer, key, sizeof(key));
        }
        size = packed.size;
        memcpy(message, packed.data, size);
        msgpack_sbuffer_destroy(&packed);
        assert_int_equal(vck_msg_attach_request_decode(message, size, &out, &fault),
                         VCK_INVALID_DATA);
        assert_int_equal(fault.kind, VCK_MESSAGE_FAULT_LENGTH);
        assert_string_equal(fault.field, "vmk");
    }
    free(message);
}

/* ---- codes ---- */

static void codes(void **state)
{
    uint32_t next = 0x800;

    (void)state;
    for (size_t i = 0; i < VCK_CODE_COUNT; i++) {
        const struct vck_code_info *info = &vck_code_table[i];

        assert_ptr_equal(vck_code_find(info->code), info);
        /* CTL_CODE(0x22, function, METHOD_BUFFERED, access) */
        assert_int_equal(info->code >> 16, 0x22);
        assert_int_equal(info->code & 3, 0);
        assert_true((info->code >> 2 & 0xfff) >= next);
        next = (info->code >> 2 & 0xfff) + 1;
        assert_true((info->code & 0xc000) == 0x4000 || (info->code & 0xc000) == 0x8000);
        assert_int_equal(vck_code_writes(info->code), (info->code & 0xc000) == 0x8000);
    }
    assert_null(vck_code_find(0x002260fc));
    assert_null(vck_code_find(0));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepare_request_round_trip),
        cmocka_unit_test(status_round_trip),
        cmocka_unit_test(lists_round_trip),
        cmocka_unit_test(keys_round_trip),
        cmocka_unit_test(zero_round_trip),
        cmocka_unit_test(encoding),
        cmocka_unit_test(encoder_bounds),
        cmocka_unit_test(tolerance),
        cmocka_unit_test(malformed_messages),
        cmocka_unit_test(cut_messages),
        cmocka_unit_test(long_fields),
        cmocka_unit_test(codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
