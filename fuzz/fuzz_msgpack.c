/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_msgpack: any bytes, read as MessagePack in two ways that must agree: skip, and a copy
 * through the typed reads and the writer. The copy is in shortest form, so copying it again changes
 * nothing.
 */
#include "port/port.h"
#include "vck/msgpack.h"
#include "vck/utf.h"

#define COPY_BYTES 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum copied {
    COPIED,
    NOT_COPIED, /* well-formed, but of a type that has no typed read, or a str that is not UTF-8 */
    MALFORMED,
};

static enum copied copy_value(struct vck_msgpack_reader *reader, struct vck_msgpack_writer *writer,
                              unsigned depth);

static enum copied copy_elements(struct vck_msgpack_reader *reader,
                                 struct vck_msgpack_writer *writer, size_t count, unsigned depth)
{
    enum copied worst = COPIED;
    if (depth == VCK_MSGPACK_DEPTH_MAX)
        return MALFORMED;
    for (size_t i = 0; i < count && worst != MALFORMED; i++) {
        enum copied copied = copy_value(reader, writer, depth + 1);
        worst = VCK_MAX(worst, copied);
    }
    return worst;
}

static enum copied copy_container(struct vck_msgpack_reader *reader,
                                  struct vck_msgpack_writer *writer, unsigned depth)
{
    size_t count;
    if (vck_msgpack_peek(reader) == VCK_MSGPACK_ARRAY) {
        if (vck_msgpack_read_array(reader, &count) != VCK_OK)
            return MALFORMED;
        vck_msgpack_write_array(writer, count);
        return copy_elements(reader, writer, count, depth);
    }
    if (vck_msgpack_read_map(reader, &count) != VCK_OK)
        return MALFORMED;
    VCK_ASSERT(count <= (reader->size_bytes - reader->at) / 2);
    vck_msgpack_write_map(writer, count);
    return copy_elements(reader, writer, 2 * count, depth);
}

static void check_utf16(struct vck_bytes str)
{
    static uint8_t wide[2 * COPY_BYTES], narrow[COPY_BYTES];
    size_t wide_bytes, narrow_bytes;
    if (str.size_bytes > sizeof(narrow))
        return;
    VCK_ASSERT(vck_utf8_to_utf16le(str, wide, sizeof(wide), &wide_bytes) == VCK_OK);
    VCK_ASSERT(vck_utf16le_to_utf8((struct vck_bytes){wide, wide_bytes}, narrow, sizeof(narrow),
                                   &narrow_bytes) == VCK_OK);
    VCK_ASSERT(narrow_bytes == str.size_bytes);
    VCK_ASSERT(narrow_bytes == 0 || memcmp(narrow, str.data, narrow_bytes) == 0);
}

static enum copied skip_value(struct vck_msgpack_reader *reader)
{
    return vck_msgpack_skip(reader) == VCK_OK ? NOT_COPIED : MALFORMED;
}

static enum copied copy_integer(struct vck_msgpack_reader *reader,
                                struct vck_msgpack_writer *writer)
{
    uint64_t unsigned_value;
    int64_t signed_value;
    if (vck_msgpack_read_u64(reader, &unsigned_value) == VCK_OK)
        vck_msgpack_write_u64(writer, unsigned_value);
    else if (vck_msgpack_read_i64(reader, &signed_value) == VCK_OK)
        vck_msgpack_write_i64(writer, signed_value);
    else
        return MALFORMED;
    return COPIED;
}

static enum copied copy_bytes(struct vck_msgpack_reader *reader, struct vck_msgpack_writer *writer)
{
    struct vck_bytes bytes;
    if (vck_msgpack_peek(reader) == VCK_MSGPACK_BIN) {
        if (vck_msgpack_read_bin(reader, &bytes) != VCK_OK)
            return MALFORMED;
        vck_msgpack_write_bin(writer, bytes.data, bytes.size_bytes);
        return COPIED;
    }
    if (vck_msgpack_read_str(reader, &bytes) != VCK_OK)
        return skip_value(reader);
    check_utf16(bytes);
    vck_msgpack_write_str(writer, (const char *)bytes.data, bytes.size_bytes);
    return COPIED;
}

static enum copied copy_value(struct vck_msgpack_reader *reader, struct vck_msgpack_writer *writer,
                              unsigned depth)
{
    bool value;
    switch (vck_msgpack_peek(reader)) {
    case VCK_MSGPACK_NIL:
        VCK_ASSERT(vck_msgpack_read_nil(reader) == VCK_OK);
        vck_msgpack_write_nil(writer);
        return COPIED;
    case VCK_MSGPACK_BOOL:
        VCK_ASSERT(vck_msgpack_read_bool(reader, &value) == VCK_OK);
        vck_msgpack_write_bool(writer, value);
        return COPIED;
    case VCK_MSGPACK_INT:
        return copy_integer(reader, writer);
    case VCK_MSGPACK_STR:
    case VCK_MSGPACK_BIN:
        return copy_bytes(reader, writer);
    case VCK_MSGPACK_ARRAY:
    case VCK_MSGPACK_MAP:
        return copy_container(reader, writer, depth);
    default:
        return skip_value(reader);
    }
}

/* Bytes in either form: what is refused touches nothing, what is taken is a value skip takes too.
 */
static void check_bin_into(struct vck_bytes input, size_t capacity_bytes)
{
    uint8_t out[64];
    size_t size_bytes = SIZE_MAX;
    struct vck_msgpack_reader reader, skipped;
    memset(out, 0xA5, sizeof(out));
    vck_msgpack_reader_init(&reader, input);
    skipped = reader;
    if (vck_msgpack_read_bin_into(&reader, out, capacity_bytes, &size_bytes) == VCK_OK) {
        VCK_ASSERT(size_bytes <= capacity_bytes);
        VCK_ASSERT(vck_msgpack_skip(&skipped) == VCK_OK && skipped.at == reader.at);
    } else {
        VCK_ASSERT(reader.at == 0 && size_bytes == SIZE_MAX);
        size_bytes = 0;
    }
    for (size_t i = size_bytes; i < sizeof(out); i++)
        VCK_ASSERT(out[i] == 0xA5);
}

/* Copies the first value of input to out. */
static enum copied copy_document(struct vck_bytes input, uint8_t *out, size_t *ret_size_bytes,
                                 size_t *ret_taken_bytes)
{
    struct vck_msgpack_writer writer;
    struct vck_msgpack_reader reader;
    vck_msgpack_writer_init(&writer, out, COPY_BYTES);
    vck_msgpack_reader_init(&reader, input);
    enum copied copied = copy_value(&reader, &writer, 0);
    *ret_taken_bytes = reader.at;
    if (copied == COPIED)
        VCK_ASSERT(vck_msgpack_writer_finish(&writer, ret_size_bytes) == VCK_OK);
    return copied;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[COPY_BYTES], second[COPY_BYTES];
    struct vck_bytes input = {data, size};
    struct vck_msgpack_reader skipper;
    size_t first_bytes, second_bytes, taken_bytes;
    if (size > COPY_BYTES)
        return 0;
    check_bin_into(input, size % 65);
    vck_msgpack_reader_init(&skipper, input);
    bool is_skipped = vck_msgpack_skip(&skipper) == VCK_OK;
    enum copied copied = copy_document(input, first, &first_bytes, &taken_bytes);
    VCK_ASSERT(is_skipped == (copied != MALFORMED));
    VCK_ASSERT(skipper.at == (is_skipped ? taken_bytes : 0));
    if (copied != COPIED)
        return 0;
    VCK_ASSERT(first_bytes <= taken_bytes);
    struct vck_bytes copy = {first, first_bytes};
    VCK_ASSERT(copy_document(copy, second, &second_bytes, &taken_bytes) == COPIED);
    VCK_ASSERT(taken_bytes == first_bytes && second_bytes == first_bytes);
    VCK_ASSERT(memcmp(first, second, first_bytes) == 0);
    return 0;
}
