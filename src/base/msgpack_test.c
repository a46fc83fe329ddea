/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"
#include <msgpack.h>
#include "vck/msgpack.h"

#define DOCUMENT_BYTES 65536

/* ---- writing, against msgpack-c ---- */

struct both {
    struct vck_msgpack_writer writer;
    msgpack_packer packer;
};

static int64_t random_integer(void)
{
    uint64_t value = (uint64_t)random_u32() << 32 | random_u32();
    value >>= random_u32() % 64;
    return random_u32() % 2 == 0 ? (int64_t)value : (int64_t)(0 - value);
}

/* Lengths around the borders between the forms. */
static size_t random_size(void)
{
    static const size_t borders[] = {0, 1, 15, 16, 31, 32, 255, 256, 300};
    return borders[random_u32() % VCK_ARRAY_COUNT(borders)];
}

static void write_bytes(struct both *both, bool is_str)
{
    char data[300];
    size_t size_bytes = random_size();
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = is_str ? (char)(random_u32() % 128) : (char)random_u32();
    if (is_str) {
        vck_msgpack_write_str(&both->writer, data, size_bytes);
        msgpack_pack_str(&both->packer, size_bytes);
        msgpack_pack_str_body(&both->packer, data, size_bytes);
    } else {
        vck_msgpack_write_bin(&both->writer, data, size_bytes);
        msgpack_pack_bin(&both->packer, size_bytes);
        msgpack_pack_bin_body(&both->packer, data, size_bytes);
    }
}

static void write_integer(struct both *both)
{
    int64_t value = random_integer();
    if (random_u32() % 2 == 0) {
        vck_msgpack_write_u64(&both->writer, (uint64_t)value);
        msgpack_pack_uint64(&both->packer, (uint64_t)value);
    } else {
        vck_msgpack_write_i64(&both->writer, value);
        msgpack_pack_int64(&both->packer, value);
    }
}

static void write_document(struct both *both, unsigned depth);

static void write_container(struct both *both, unsigned depth)
{
    size_t count = random_u32() % 40 == 0 ? 15 + random_u32() % 3 : random_u32() % 5;
    bool is_map = random_u32() % 2 == 0;
    if (is_map) {
        vck_msgpack_write_map(&both->writer, count);
        msgpack_pack_map(&both->packer, count);
    } else {
        vck_msgpack_write_array(&both->writer, count);
        msgpack_pack_array(&both->packer, count);
    }
    for (size_t i = 0; i < (is_map ? 2 * count : count); i++)
        write_document(both, depth - 1);
}

static void write_document(struct both *both, unsigned depth)
{
    bool value;
    switch (random_u32() % (depth == 0 ? 6 : 9)) {
    case 0:
        vck_msgpack_write_nil(&both->writer);
        msgpack_pack_nil(&both->packer);
        break;
    case 1:
        value = random_u32() % 2 == 0;
        vck_msgpack_write_bool(&both->writer, value);
        (void)(value ? msgpack_pack_true(&both->packer) : msgpack_pack_false(&both->packer));
        break;
    case 2:
        write_bytes(both, true);
        break;
    case 3:
        write_bytes(both, false);
        break;
    case 4:
    case 5:
        write_integer(both);
        break;
    default:
        write_container(both, depth);
    }
}

static void documents_are_written_as_msgpack_c_does(void **state)
{
    (void)state;
    static uint8_t data[DOCUMENT_BYTES];
    for (unsigned round = 0; round < 3000; round++) {
        msgpack_sbuffer theirs;
        struct both both;
        size_t size_bytes;
        msgpack_sbuffer_init(&theirs);
        msgpack_packer_init(&both.packer, &theirs, msgpack_sbuffer_write);
        vck_msgpack_writer_init(&both.writer, data, sizeof(data));
        write_document(&both, random_u32() % 5);
        assert_int_equal(vck_msgpack_writer_finish(&both.writer, &size_bytes), VCK_OK);
        assert_int_equal(size_bytes, theirs.size);
        assert_memory_equal(data, theirs.data, size_bytes);
        msgpack_sbuffer_destroy(&theirs);
    }
}

static void integers_at_the_borders_take_the_shortest_form(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int offset = -2; offset <= 2; offset++) {
            uint64_t value = ((uint64_t)1 << bit) + (uint64_t)offset;
            uint8_t data[64];
            msgpack_sbuffer theirs;
            struct both both;
            msgpack_sbuffer_init(&theirs);
            msgpack_packer_init(&both.packer, &theirs, msgpack_sbuffer_write);
            vck_msgpack_writer_init(&both.writer, data, sizeof(data));
            vck_msgpack_write_u64(&both.writer, value);
            vck_msgpack_write_i64(&both.writer, (int64_t)value);
            vck_msgpack_write_i64(&both.writer, (int64_t)(0 - value));
            msgpack_pack_uint64(&both.packer, value);
            msgpack_pack_int64(&both.packer, (int64_t)value);
            msgpack_pack_int64(&both.packer, (int64_t)(0 - value));
            assert_int_equal(both.writer.used_bytes, theirs.size);
            assert_memory_equal(data, theirs.data, theirs.size);
            msgpack_sbuffer_destroy(&theirs);
        }
    }
}

static void counts_beyond_16_bits_take_the_long_form(void **state)
{
    (void)state;
    static char data[70000];
    static uint8_t out[80000];
    struct vck_msgpack_writer writer;
    struct vck_msgpack_reader reader;
    struct vck_bytes str;
    size_t size_bytes, count;
    vck_msgpack_writer_init(&writer, out, sizeof(out));
    vck_msgpack_write_str(&writer, data, sizeof(data));
    vck_msgpack_write_array(&writer, 65536);
    assert_int_equal(vck_msgpack_writer_finish(&writer, &size_bytes), VCK_OK);
    assert_int_equal(size_bytes, 5 + sizeof(data) + 5);
    vck_msgpack_reader_init(&reader, (struct vck_bytes){out, size_bytes + 65536 - 60000});
    assert_int_equal(vck_msgpack_read_str(&reader, &str), VCK_OK);
    assert_int_equal(str.size_bytes, sizeof(data));
    assert_int_equal(vck_msgpack_read_array(&reader, &count), VCK_INVALID_DATA);
    vck_msgpack_writer_init(&writer, out, 5);
    vck_msgpack_write_map(&writer, 65536);
    assert_memory_equal(out, "\xDF\0\1\0\0", 5);
}

static void a_full_writer_stays_full(void **state)
{
    (void)state;
    uint8_t data[16];
    size_t size_bytes = 99;
    for (size_t capacity = 0; capacity < 12; capacity++) {
        struct vck_msgpack_writer writer;
        memset(data, 0xA5, sizeof(data));
        vck_msgpack_writer_init(&writer, data, capacity);
        vck_msgpack_write_map(&writer, 1);
        vck_msgpack_write_cstr(&writer, "size");
        vck_msgpack_write_u64(&writer, 0x123456);
        vck_msgpack_write_nil(&writer);
        assert_int_equal(vck_msgpack_writer_finish(&writer, &size_bytes), VCK_SIZE_MISMATCH);
        assert_int_equal(size_bytes, 99);
        for (size_t i = capacity; i < sizeof(data); i++)
            assert_int_equal(data[i], 0xA5);
    }
}

/* ---- reading, against msgpack-c ---- */

static void assert_integer_read(struct vck_msgpack_reader *reader, const msgpack_object *object)
{
    uint64_t unsigned_value;
    int64_t signed_value;
    struct vck_msgpack_reader again = *reader;
    bool is_negative = object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
    assert_int_equal(vck_msgpack_peek(reader), VCK_MSGPACK_INT);
    if (is_negative) {
        assert_int_equal(vck_msgpack_read_u64(reader, &unsigned_value), VCK_INVALID_DATA);
    } else {
        assert_int_equal(vck_msgpack_read_u64(reader, &unsigned_value), VCK_OK);
        assert_int_equal(unsigned_value, object->via.u64);
    }
    if (!is_negative && object->via.u64 > INT64_MAX) {
        assert_int_equal(vck_msgpack_read_i64(&again, &signed_value), VCK_INVALID_DATA);
    } else {
        assert_int_equal(vck_msgpack_read_i64(&again, &signed_value), VCK_OK);
        assert_int_equal(signed_value, object->via.i64);
        *reader = again;
    }
}

static void assert_bytes_read(struct vck_msgpack_reader *reader, const msgpack_object *object)
{
    struct vck_bytes bytes;
    if (object->type == MSGPACK_OBJECT_STR) {
        assert_int_equal(vck_msgpack_peek(reader), VCK_MSGPACK_STR);
        assert_int_equal(vck_msgpack_read_str(reader, &bytes), VCK_OK);
        assert_int_equal(bytes.size_bytes, object->via.str.size);
        assert_memory_equal(bytes.data, object->via.str.ptr, bytes.size_bytes);
    } else {
        assert_int_equal(vck_msgpack_peek(reader), VCK_MSGPACK_BIN);
        assert_int_equal(vck_msgpack_read_bin(reader, &bytes), VCK_OK);
        assert_int_equal(bytes.size_bytes, object->via.bin.size);
        assert_memory_equal(bytes.data, object->via.bin.ptr, bytes.size_bytes);
    }
}

static void assert_document_read(struct vck_msgpack_reader *reader, const msgpack_object *object)
{
    size_t count;
    bool value;
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        assert_int_equal(vck_msgpack_read_nil(reader), VCK_OK);
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        assert_int_equal(vck_msgpack_read_bool(reader, &value), VCK_OK);
        assert_int_equal(value, object->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        assert_integer_read(reader, object);
        break;
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN:
        assert_bytes_read(reader, object);
        break;
    case MSGPACK_OBJECT_ARRAY:
        assert_int_equal(vck_msgpack_read_array(reader, &count), VCK_OK);
        assert_int_equal(count, object->via.array.size);
        for (size_t i = 0; i < count; i++)
            assert_document_read(reader, &object->via.array.ptr[i]);
        break;
    case MSGPACK_OBJECT_MAP:
        assert_int_equal(vck_msgpack_read_map(reader, &count), VCK_OK);
        assert_int_equal(count, object->via.map.size);
        for (size_t i = 0; i < count; i++) {
            assert_document_read(reader, &object->via.map.ptr[i].key);
            assert_document_read(reader, &object->via.map.ptr[i].val);
        }
        break;
    default:
        assert_int_equal(vck_msgpack_skip(reader), VCK_OK);
    }
}

/* Any width that holds the value, not only the shortest. */
static void pack_any_width(msgpack_packer *packer, int64_t value)
{
    switch (random_u32() % 9) {
    case 0:
        msgpack_pack_fix_uint8(packer, (uint8_t)value);
        break;
    case 1:
        msgpack_pack_fix_uint16(packer, (uint16_t)value);
        break;
    case 2:
        msgpack_pack_fix_uint32(packer, (uint32_t)value);
        break;
    case 3:
        msgpack_pack_fix_uint64(packer, (uint64_t)value);
        break;
    case 4:
        msgpack_pack_fix_int8(packer, (int8_t)value);
        break;
    case 5:
        msgpack_pack_fix_int16(packer, (int16_t)value);
        break;
    case 6:
        msgpack_pack_fix_int32(packer, (int32_t)value);
        break;
    case 7:
        msgpack_pack_fix_int64(packer, value);
        break;
    default:
        msgpack_pack_int64(packer, value);
    }
}

static void pack_bytes(msgpack_packer *packer)
{
    char data[300];
    size_t size_bytes = random_size();
    unsigned kind = random_u32() % 3;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(random_u32() % (kind == 0 ? 128 : 256));
    if (kind == 0) {
        msgpack_pack_str(packer, size_bytes);
        msgpack_pack_str_body(packer, data, size_bytes);
    } else if (kind == 1) {
        msgpack_pack_bin(packer, size_bytes);
        msgpack_pack_bin_body(packer, data, size_bytes);
    } else {
        size_bytes = random_u32() % 2 == 0 ? (size_t)1 << random_u32() % 5 : size_bytes;
        msgpack_pack_ext(packer, size_bytes, (int8_t)random_u32());
        msgpack_pack_ext_body(packer, data, size_bytes);
    }
}

static void pack_document(msgpack_packer *packer, unsigned depth)
{
    size_t count = random_u32() % 5;
    switch (random_u32() % (depth == 0 ? 6 : 9)) {
    case 0:
        (void)(random_u32() % 2 == 0 ? msgpack_pack_nil(packer) : msgpack_pack_true(packer));
        break;
    case 1:
        (void)(random_u32() % 2 == 0 ? msgpack_pack_float(packer, 1.5f)
                                     : msgpack_pack_double(packer, -2.5));
        break;
    case 2:
    case 3:
        pack_any_width(packer, random_integer());
        break;
    case 4:
    case 5:
        pack_bytes(packer);
        break;
    case 6:
        msgpack_pack_array(packer, count);
        for (size_t i = 0; i < count; i++)
            pack_document(packer, depth - 1);
        break;
    default:
        msgpack_pack_map(packer, count);
        for (size_t i = 0; i < 2 * count; i++)
            pack_document(packer, depth - 1);
    }
}

static void documents_of_msgpack_c_are_read(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        msgpack_sbuffer document;
        msgpack_packer packer;
        msgpack_unpacked unpacked;
        struct vck_msgpack_reader reader;
        size_t at = 0;
        msgpack_sbuffer_init(&document);
        msgpack_packer_init(&packer, &document, msgpack_sbuffer_write);
        pack_document(&packer, random_u32() % 5);
        msgpack_unpacked_init(&unpacked);
        assert_int_equal(msgpack_unpack_next(&unpacked, document.data, document.size, &at),
                         MSGPACK_UNPACK_SUCCESS);
        struct vck_bytes data = {(const uint8_t *)document.data, document.size};
        vck_msgpack_reader_init(&reader, data);
        assert_document_read(&reader, &unpacked.data);
        assert_int_equal(vck_msgpack_reader_end(&reader), VCK_OK);
        vck_msgpack_reader_init(&reader, data);
        assert_int_equal(vck_msgpack_skip(&reader), VCK_OK);
        assert_int_equal(vck_msgpack_reader_end(&reader), VCK_OK);
        for (data.size_bytes = 0; data.size_bytes < VCK_MIN(document.size, 200u);
             data.size_bytes++) {
            vck_msgpack_reader_init(&reader, data);
            assert_int_equal(vck_msgpack_skip(&reader), VCK_INVALID_DATA);
            assert_int_equal(reader.at, 0);
        }
        msgpack_unpacked_destroy(&unpacked);
        msgpack_sbuffer_destroy(&document);
    }
}

/* Where the bytes cannot hold a 32-bit count, for which msgpack-c would allocate first, both must
 * agree on what is a value and where it ends. */
static void random_bytes_are_judged_as_by_msgpack_c(void **state)
{
    (void)state;
    unsigned accepted_count = 0;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t data[24];
        struct vck_msgpack_reader reader;
        msgpack_unpacked unpacked;
        size_t at = 0;
        for (size_t i = 0; i < sizeof(data); i++) {
            data[i] = (uint8_t)random_u32();
            if (data[i] == 0xDD || data[i] == 0xDF)
                data[i] = 0xC0;
        }
        msgpack_unpacked_init(&unpacked);
        bool is_theirs = msgpack_unpack_next(&unpacked, (const char *)data, sizeof(data), &at) ==
                         MSGPACK_UNPACK_SUCCESS;
        vck_msgpack_reader_init(&reader, (struct vck_bytes){data, sizeof(data)});
        assert_int_equal(vck_msgpack_skip(&reader) == VCK_OK, is_theirs);
        assert_int_equal(reader.at, is_theirs ? at : 0);
        accepted_count += is_theirs;
        msgpack_unpacked_destroy(&unpacked);
    }
    assert_in_range(accepted_count, 1000, 19000);
}

/* ---- limits ---- */

static void nesting_is_limited(void **state)
{
    (void)state;
    uint8_t data[VCK_MSGPACK_DEPTH_MAX + 2];
    struct vck_msgpack_reader reader;
    memset(data, 0x91, sizeof(data));
    data[VCK_MSGPACK_DEPTH_MAX] = 0xC0;
    vck_msgpack_reader_init(&reader, (struct vck_bytes){data, VCK_MSGPACK_DEPTH_MAX + 1});
    assert_int_equal(vck_msgpack_skip(&reader), VCK_OK);
    assert_int_equal(vck_msgpack_reader_end(&reader), VCK_OK);
    data[VCK_MSGPACK_DEPTH_MAX] = 0x91;
    data[VCK_MSGPACK_DEPTH_MAX + 1] = 0xC0;
    vck_msgpack_reader_init(&reader, (struct vck_bytes){data, sizeof(data)});
    assert_int_equal(vck_msgpack_skip(&reader), VCK_INVALID_DATA);
    assert_int_equal(reader.at, 0);
}

static void refused_values_leave_reader_and_result(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size_bytes;
    } refused[] = {
        {"", 0},                         /* nothing */
        {"\xC1", 1},                     /* starts nothing */
        {"\xCD\x01", 2},                 /* integer cut short */
        {"\xA3\x61\x62", 3},             /* str cut short */
        {"\xA2\xC0\x80", 3},             /* not UTF-8 */
        {"\xC4\x02\x00", 3},             /* bin cut short */
        {"\xC6\xFF\xFF\xFF\xFF\x00", 6}, /* huge bin */
        {"\xDD\xFF\xFF\xFF\xFF\x00", 6}, /* huge array */
        {"\xDF\x80\x00\x00\x01\x00", 6}, /* huge map */
        {"\x93\x01\x02", 3},             /* more elements than bytes */
        {"\x82\x01\x02\x03", 4},         /* more pairs than bytes */
        {"\xC8\xFF\xFF\x00", 4},         /* huge extension */
        {"\xCB\x00\x00\x00", 4},         /* float cut short */
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(refused); i++) {
        struct vck_msgpack_reader reader;
        uint64_t u64 = 99;
        int64_t i64 = 99;
        size_t count = 99;
        bool flag = true;
        uint8_t out[4] = {99, 99, 99, 99};
        struct vck_bytes bytes = {out, 99};
        vck_msgpack_reader_init(
            &reader, (struct vck_bytes){(const uint8_t *)refused[i].bytes, refused[i].size_bytes});
        assert_int_equal(vck_msgpack_read_nil(&reader), VCK_INVALID_DATA);
        assert_int_equal(vck_msgpack_read_bool(&reader, &flag), VCK_INVALID_DATA);
        assert_int_equal(vck_msgpack_read_u64(&reader, &u64), VCK_INVALID_DATA);
        assert_int_equal(vck_msgpack_read_i64(&reader, &i64), VCK_INVALID_DATA);
        assert_int_equal(vck_msgpack_read_str(&reader, &bytes), VCK_INVALID_DATA);
        assert_int_equal(vck_msgpack_read_bin(&reader, &bytes), VCK_INVALID_DATA);
        assert_int_equal(vck_msgpack_read_bin_into(&reader, out, 4, &count), VCK_INVALID_DATA);
        assert_int_equal(vck_msgpack_read_array(&reader, &count), VCK_INVALID_DATA);
        assert_int_equal(vck_msgpack_read_map(&reader, &count), VCK_INVALID_DATA);
        assert_true(reader.at == 0 && u64 == 99 && i64 == 99 && count == 99 && flag);
        assert_true(bytes.data == out && bytes.size_bytes == 99 && out[0] == 99);
    }
}

static void byte_strings_come_as_bin_or_array(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size_bytes;
        size_t capacity_bytes;
        vck_status status;
    } cases[] = {
        {"\xC4\x03\x01\x80\xFF", 5, 4, VCK_OK},
        {"\xC4\x03\x01\x80\xFF", 5, 3, VCK_OK},
        {"\xC4\x03\x01\x80\xFF", 5, 2, VCK_SIZE_MISMATCH},
        {"\x93\x01\xCC\x80\xCD\x00\xFF", 7, 3, VCK_OK},
        {"\x93\x01\xD1\x00\x80\xD3\0\0\0\0\0\0\0\xFF", 14, 3, VCK_OK},
        {"\x93\x01\xCC\x80\xCD\x00\xFF", 7, 2, VCK_SIZE_MISMATCH},
        {"\x93\x01\xCC\x80\xCD\x01\x00", 7, 3, VCK_INVALID_DATA}, /* 256 */
        {"\x93\x01\xCC\x80\xFF", 5, 3, VCK_INVALID_DATA},         /* -1 */
        {"\x93\x01\xCC\x80\xC0", 5, 3, VCK_INVALID_DATA},         /* nil */
        {"\xA3\x01\x02\x03", 4, 3, VCK_INVALID_DATA},             /* str */
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        uint8_t out[4] = {99, 99, 99, 99};
        size_t size_bytes = 99;
        struct vck_msgpack_reader reader;
        vck_msgpack_reader_init(
            &reader, (struct vck_bytes){(const uint8_t *)cases[i].bytes, cases[i].size_bytes});
        assert_int_equal(
            vck_msgpack_read_bin_into(&reader, out, cases[i].capacity_bytes, &size_bytes),
            cases[i].status);
        if (cases[i].status == VCK_OK) {
            assert_int_equal(size_bytes, 3);
            assert_memory_equal(out, "\x01\x80\xFF", 3);
            assert_int_equal(vck_msgpack_reader_end(&reader), VCK_OK);
        } else {
            assert_memory_equal(out, "cccc", 4);
            assert_true(reader.at == 0 && size_bytes == 99);
        }
    }
}

static void trailing_bytes_and_keys_are_noticed(void **state)
{
    (void)state;
    struct vck_msgpack_reader reader;
    struct vck_bytes key;
    vck_msgpack_reader_init(&reader, bytes_of("\xA3vmk\xC0"));
    assert_int_equal(vck_msgpack_read_str(&reader, &key), VCK_OK);
    assert_true(vck_msgpack_str_is(key, "vmk"));
    assert_false(vck_msgpack_str_is(key, "vm"));
    assert_false(vck_msgpack_str_is(key, "vmk_"));
    assert_false(vck_msgpack_str_is(key, "vmx"));
    assert_false(vck_msgpack_str_is(key, ""));
    assert_true(vck_msgpack_str_is((struct vck_bytes){NULL, 0}, ""));
    assert_int_equal(vck_msgpack_reader_end(&reader), VCK_INVALID_DATA);
    assert_int_equal(vck_msgpack_read_nil(&reader), VCK_OK);
    assert_int_equal(vck_msgpack_reader_end(&reader), VCK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_written_as_msgpack_c_does),
        cmocka_unit_test(integers_at_the_borders_take_the_shortest_form),
        cmocka_unit_test(counts_beyond_16_bits_take_the_long_form),
        cmocka_unit_test(a_full_writer_stays_full),
        cmocka_unit_test(documents_of_msgpack_c_are_read),
        cmocka_unit_test(random_bytes_are_judged_as_by_msgpack_c),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(refused_values_leave_reader_and_result),
        cmocka_unit_test(byte_strings_come_as_bin_or_array),
        cmocka_unit_test(trailing_bytes_and_keys_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
