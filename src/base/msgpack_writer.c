/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/msgpack.h"

void vck_msgpack_writer_init(struct vck_msgpack_writer *writer, uint8_t *data,
                             size_t capacity_bytes)
{
    *writer = (struct vck_msgpack_writer){.data = data, .capacity_bytes = capacity_bytes};
}

static void put(struct vck_msgpack_writer *writer, const void *data, size_t size_bytes)
{
    if (writer->overflowed || size_bytes > writer->capacity_bytes - writer->used_bytes) {
        writer->overflowed = true;
        return;
    }
    if (size_bytes > 0)
        memcpy(writer->data + writer->used_bytes, data, size_bytes);
    writer->used_bytes += size_bytes;
}

/* The form's byte and the low field_bytes bytes of value, in one piece. */
static void put_form(struct vck_msgpack_writer *writer, unsigned form, uint64_t value,
                     unsigned field_bytes)
{
    uint8_t head[9] = {(uint8_t)form};
    for (unsigned i = 0; i < field_bytes; i++)
        head[1 + i] = (uint8_t)(value >> (8 * (field_bytes - 1 - i)));
    put(writer, head, 1 + field_bytes);
}

void vck_msgpack_write_nil(struct vck_msgpack_writer *writer)
{
    put_form(writer, 0xC0, 0, 0);
}

void vck_msgpack_write_bool(struct vck_msgpack_writer *writer, bool value)
{
    put_form(writer, value ? 0xC3 : 0xC2, 0, 0);
}

void vck_msgpack_write_u64(struct vck_msgpack_writer *writer, uint64_t value)
{
    if (value < 0x80)
        put_form(writer, (unsigned)value, 0, 0);
    else if (value <= UINT8_MAX)
        put_form(writer, 0xCC, value, 1);
    else if (value <= UINT16_MAX)
        put_form(writer, 0xCD, value, 2);
    else if (value <= UINT32_MAX)
        put_form(writer, 0xCE, value, 4);
    else
        put_form(writer, 0xCF, value, 8);
}

void vck_msgpack_write_i64(struct vck_msgpack_writer *writer, int64_t value)
{
    if (value >= 0)
        vck_msgpack_write_u64(writer, (uint64_t)value);
    else if (value >= -32)
        put_form(writer, (uint8_t)value, 0, 0);
    else if (value >= INT8_MIN)
        put_form(writer, 0xD0, (uint64_t)value, 1);
    else if (value >= INT16_MIN)
        put_form(writer, 0xD1, (uint64_t)value, 2);
    else if (value >= INT32_MIN)
        put_form(writer, 0xD2, (uint64_t)value, 4);
    else
        put_form(writer, 0xD3, (uint64_t)value, 8);
}

/* A length or count in the shortest of up to four forms; form8 0: the type has no 8-bit form. The
 * 16- and 32-bit forms follow each other in every type. */
static void put_count(struct vck_msgpack_writer *writer, uint64_t count, unsigned fix_form,
                      unsigned fix_limit, unsigned form8, unsigned form16)
{
    if (count < fix_limit)
        put_form(writer, fix_form | (unsigned)count, 0, 0);
    else if (form8 != 0 && count <= UINT8_MAX)
        put_form(writer, form8, count, 1);
    else if (count <= UINT16_MAX)
        put_form(writer, form16, count, 2);
    else if (count <= UINT32_MAX)
        put_form(writer, form16 + 1, count, 4);
    else
        writer->overflowed = true;
}

void vck_msgpack_write_str(struct vck_msgpack_writer *writer, const char *text, size_t size_bytes)
{
    put_count(writer, size_bytes, 0xA0, 32, 0xD9, 0xDA);
    put(writer, text, size_bytes);
}

void vck_msgpack_write_cstr(struct vck_msgpack_writer *writer, const char *text)
{
    size_t size_bytes = 0;
    while (text[size_bytes] != '\0')
        size_bytes++;
    vck_msgpack_write_str(writer, text, size_bytes);
}

void vck_msgpack_write_bin(struct vck_msgpack_writer *writer, const void *data, size_t size_bytes)
{
    put_count(writer, size_bytes, 0, 0, 0xC4, 0xC5);
    put(writer, data, size_bytes);
}

void vck_msgpack_write_array(struct vck_msgpack_writer *writer, size_t count)
{
    put_count(writer, count, 0x90, 16, 0, 0xDC);
}

void vck_msgpack_write_map(struct vck_msgpack_writer *writer, size_t count)
{
    put_count(writer, count, 0x80, 16, 0, 0xDE);
}

vck_status vck_msgpack_writer_finish(const struct vck_msgpack_writer *writer,
                                     size_t *ret_size_bytes)
{
    if (writer->overflowed)
        return VCK_SIZE_MISMATCH;
    *ret_size_bytes = writer->used_bytes;
    return VCK_OK;
}
