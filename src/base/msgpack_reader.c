/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/msgpack.h"
#include "vck/utf.h"

/* One value's head, decoded; offsets count from the start of the input. */
struct head {
    enum vck_msgpack_type type;
    bool is_negative;
    uint64_t value;      /* integer in two's complement, bool, count, or length of the payload */
    size_t payload_at;   /* where the head ends */
    size_t payload_size; /* bytes of str, bin and ext; 0 for all others */
};

/* The forms 0xC0 to 0xDF: type, and bytes of the value, count or length behind the form. */
static const struct form {
    uint8_t type;
    uint8_t field_bytes;
} forms[32] = {
    {VCK_MSGPACK_NIL, 0},   {VCK_MSGPACK_NONE, 0},  {VCK_MSGPACK_BOOL, 0},  {VCK_MSGPACK_BOOL, 0},
    {VCK_MSGPACK_BIN, 1},   {VCK_MSGPACK_BIN, 2},   {VCK_MSGPACK_BIN, 4},   {VCK_MSGPACK_EXT, 1},
    {VCK_MSGPACK_EXT, 2},   {VCK_MSGPACK_EXT, 4},   {VCK_MSGPACK_FLOAT, 4}, {VCK_MSGPACK_FLOAT, 8},
    {VCK_MSGPACK_INT, 1},   {VCK_MSGPACK_INT, 2},   {VCK_MSGPACK_INT, 4},   {VCK_MSGPACK_INT, 8},
    {VCK_MSGPACK_INT, 1},   {VCK_MSGPACK_INT, 2},   {VCK_MSGPACK_INT, 4},   {VCK_MSGPACK_INT, 8},
    {VCK_MSGPACK_EXT, 0},   {VCK_MSGPACK_EXT, 0},   {VCK_MSGPACK_EXT, 0},   {VCK_MSGPACK_EXT, 0},
    {VCK_MSGPACK_EXT, 0},   {VCK_MSGPACK_STR, 1},   {VCK_MSGPACK_STR, 2},   {VCK_MSGPACK_STR, 4},
    {VCK_MSGPACK_ARRAY, 2}, {VCK_MSGPACK_ARRAY, 4}, {VCK_MSGPACK_MAP, 2},   {VCK_MSGPACK_MAP, 4},
};

#define FORM_TRUE       0xC3
#define FORM_SIGNED_8   0xD0
#define FORM_SIGNED_64  0xD3
#define FORM_FIX_EXT_1  0xD4
#define FORM_FIX_EXT_16 0xD8
#define FORM_NEGATIVE   0xE0
#define FIX_MAP_COUNT   0x0F
#define FIX_ARRAY_COUNT 0x0F
#define FIX_STR_SIZE    0x1F

void vck_msgpack_reader_init(struct vck_msgpack_reader *reader, struct vck_bytes data)
{
    *reader = (struct vck_msgpack_reader){.data = data.data, .size_bytes = data.size_bytes};
}

/* A form that holds its value in its own byte; false for the forms of the table. */
static bool decode_fix_form(uint8_t form, struct head *head)
{
    if (form < 0x80) {
        head->type = VCK_MSGPACK_INT;
        head->value = form;
    } else if (form < 0x90) {
        head->type = VCK_MSGPACK_MAP;
        head->value = form & FIX_MAP_COUNT;
    } else if (form < 0xA0) {
        head->type = VCK_MSGPACK_ARRAY;
        head->value = form & FIX_ARRAY_COUNT;
    } else if (form < 0xC0) {
        head->type = VCK_MSGPACK_STR;
        head->value = form & FIX_STR_SIZE;
    } else if (form >= FORM_NEGATIVE) {
        head->type = VCK_MSGPACK_INT;
        head->value = ~(uint64_t)0xFF | form;
        head->is_negative = true;
    } else {
        return false;
    }
    return true;
}

static uint64_t load_be(const uint8_t *data, size_t size_bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size_bytes; i++)
        value = value << 8 | data[i];
    return value;
}

/* A form of the table; false when it starts nothing or its field is cut short. */
static bool decode_table_form(const struct vck_msgpack_reader *reader, uint8_t form,
                              struct head *head)
{
    const struct form *entry = &forms[form - 0xC0];
    size_t field_bytes = entry->field_bytes;
    if (entry->type == VCK_MSGPACK_NONE || field_bytes > reader->size_bytes - head->payload_at)
        return false;
    head->type = (enum vck_msgpack_type)entry->type;
    head->value = load_be(reader->data + head->payload_at, field_bytes);
    head->payload_at += field_bytes;
    if (form == FORM_TRUE)
        head->value = 1;
    if (form >= FORM_FIX_EXT_1 && form <= FORM_FIX_EXT_16)
        head->value = (uint64_t)1 << (form - FORM_FIX_EXT_1);
    if (form >= FORM_SIGNED_8 && form <= FORM_SIGNED_64) {
        unsigned sign_bit = (unsigned)(8 * field_bytes - 1);
        head->is_negative = head->value >> sign_bit != 0;
        if (head->is_negative)
            head->value |= ~(uint64_t)0 << sign_bit;
    }
    return true;
}

/* Whether what the head announces can be in the bytes that are left; sets payload_size. */
static bool check_announced(const struct vck_msgpack_reader *reader, struct head *head)
{
    uint64_t left = reader->size_bytes - head->payload_at;
    switch (head->type) {
    case VCK_MSGPACK_ARRAY:
        return head->value <= left;
    case VCK_MSGPACK_MAP:
        return head->value <= left / 2;
    case VCK_MSGPACK_EXT: /* its type byte counts as payload */
        head->value += 1;
        break;
    case VCK_MSGPACK_STR:
    case VCK_MSGPACK_BIN:
        break;
    default:
        return true;
    }
    if (head->value > left)
        return false;
    head->payload_size = (size_t)head->value;
    return true;
}

static bool decode_head(const struct vck_msgpack_reader *reader, struct head *ret_head)
{
    if (reader->at >= reader->size_bytes)
        return false;
    uint8_t form = reader->data[reader->at];
    struct head head = {.payload_at = reader->at + 1};
    if (!decode_fix_form(form, &head) && !decode_table_form(reader, form, &head))
        return false;
    if (!check_announced(reader, &head))
        return false;
    *ret_head = head;
    return true;
}

static bool decode_head_of(const struct vck_msgpack_reader *reader, enum vck_msgpack_type type,
                           struct head *ret_head)
{
    return vck_msgpack_peek(reader) == type && decode_head(reader, ret_head);
}

static void advance(struct vck_msgpack_reader *reader, const struct head *head)
{
    reader->at = head->payload_at + head->payload_size;
}

enum vck_msgpack_type vck_msgpack_peek(const struct vck_msgpack_reader *reader)
{
    struct head head = {0};
    if (reader->at >= reader->size_bytes)
        return VCK_MSGPACK_NONE;
    uint8_t form = reader->data[reader->at];
    if (decode_fix_form(form, &head))
        return head.type;
    return (enum vck_msgpack_type)forms[form - 0xC0].type;
}

vck_status vck_msgpack_read_nil(struct vck_msgpack_reader *reader)
{
    struct head head;
    if (!decode_head_of(reader, VCK_MSGPACK_NIL, &head))
        return VCK_INVALID_DATA;
    advance(reader, &head);
    return VCK_OK;
}

vck_status vck_msgpack_read_bool(struct vck_msgpack_reader *reader, bool *ret_value)
{
    struct head head;
    if (!decode_head_of(reader, VCK_MSGPACK_BOOL, &head))
        return VCK_INVALID_DATA;
    *ret_value = head.value != 0;
    advance(reader, &head);
    return VCK_OK;
}

vck_status vck_msgpack_read_u64(struct vck_msgpack_reader *reader, uint64_t *ret_value)
{
    struct head head;
    if (!decode_head_of(reader, VCK_MSGPACK_INT, &head) || head.is_negative)
        return VCK_INVALID_DATA;
    *ret_value = head.value;
    advance(reader, &head);
    return VCK_OK;
}

vck_status vck_msgpack_read_i64(struct vck_msgpack_reader *reader, int64_t *ret_value)
{
    struct head head;
    if (!decode_head_of(reader, VCK_MSGPACK_INT, &head))
        return VCK_INVALID_DATA;
    if (!head.is_negative && head.value > INT64_MAX)
        return VCK_INVALID_DATA;
    *ret_value = (int64_t)head.value;
    advance(reader, &head);
    return VCK_OK;
}

static struct vck_bytes payload_of(const struct vck_msgpack_reader *reader, const struct head *head)
{
    return (struct vck_bytes){reader->data + head->payload_at, head->payload_size};
}

vck_status vck_msgpack_read_str(struct vck_msgpack_reader *reader, struct vck_bytes *ret_str)
{
    struct head head;
    if (!decode_head_of(reader, VCK_MSGPACK_STR, &head))
        return VCK_INVALID_DATA;
    struct vck_bytes str = payload_of(reader, &head);
    if (!vck_utf8_is_valid(str))
        return VCK_INVALID_DATA;
    *ret_str = str;
    advance(reader, &head);
    return VCK_OK;
}

vck_status vck_msgpack_read_bin(struct vck_msgpack_reader *reader, struct vck_bytes *ret_bin)
{
    struct head head;
    if (!decode_head_of(reader, VCK_MSGPACK_BIN, &head))
        return VCK_INVALID_DATA;
    *ret_bin = payload_of(reader, &head);
    advance(reader, &head);
    return VCK_OK;
}

/* Takes count integers from 0 to 255; out NULL only looks at them. */
static vck_status read_small_integers(struct vck_msgpack_reader *reader, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        if (vck_msgpack_read_u64(reader, &value) != VCK_OK || value > UINT8_MAX)
            return VCK_INVALID_DATA;
        if (out != NULL)
            out[i] = (uint8_t)value;
    }
    return VCK_OK;
}

static vck_status read_array_into(struct vck_msgpack_reader *reader, uint8_t *out,
                                  size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct vck_msgpack_reader ahead = *reader;
    size_t count;
    vck_status status = vck_msgpack_read_array(&ahead, &count);
    if (status != VCK_OK)
        return status;
    struct vck_msgpack_reader elements = ahead;
    status = read_small_integers(&ahead, count, NULL);
    if (status != VCK_OK)
        return status;
    if (count > capacity_bytes)
        return VCK_SIZE_MISMATCH;
    status = read_small_integers(&elements, count, out);
    if (status != VCK_OK)
        return status;
    *ret_size_bytes = count;
    *reader = elements;
    return VCK_OK;
}

vck_status vck_msgpack_read_bin_into(struct vck_msgpack_reader *reader, uint8_t *out,
                                     size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct head head;
    if (vck_msgpack_peek(reader) == VCK_MSGPACK_ARRAY)
        return read_array_into(reader, out, capacity_bytes, ret_size_bytes);
    if (!decode_head_of(reader, VCK_MSGPACK_BIN, &head))
        return VCK_INVALID_DATA;
    if (head.payload_size > capacity_bytes)
        return VCK_SIZE_MISMATCH;
    if (head.payload_size > 0)
        memcpy(out, reader->data + head.payload_at, head.payload_size);
    *ret_size_bytes = head.payload_size;
    advance(reader, &head);
    return VCK_OK;
}

static vck_status read_count(struct vck_msgpack_reader *reader, enum vck_msgpack_type type,
                             size_t *ret_count)
{
    struct head head;
    if (!decode_head_of(reader, type, &head))
        return VCK_INVALID_DATA;
    *ret_count = (size_t)head.value;
    advance(reader, &head);
    return VCK_OK;
}

vck_status vck_msgpack_read_array(struct vck_msgpack_reader *reader, size_t *ret_count)
{
    return read_count(reader, VCK_MSGPACK_ARRAY, ret_count);
}

vck_status vck_msgpack_read_map(struct vck_msgpack_reader *reader, size_t *ret_count)
{
    return read_count(reader, VCK_MSGPACK_MAP, ret_count);
}

/* Values still to come in each open container; a loop, because input must not choose how deep the
 * stack gets. Every turn takes at least one byte, so it ends with the input. */
vck_status vck_msgpack_skip(struct vck_msgpack_reader *reader)
{
    struct vck_msgpack_reader ahead = *reader;
    uint64_t left[VCK_MSGPACK_DEPTH_MAX + 1] = {1};
    size_t depth = 0;
    for (;;) {
        struct head head;
        while (left[depth] == 0) {
            if (depth == 0) {
                *reader = ahead;
                return VCK_OK;
            }
            depth--;
        }
        if (!decode_head(&ahead, &head))
            return VCK_INVALID_DATA;
        advance(&ahead, &head);
        left[depth]--;
        if (head.type == VCK_MSGPACK_ARRAY || head.type == VCK_MSGPACK_MAP) {
            if (depth == VCK_MSGPACK_DEPTH_MAX)
                return VCK_INVALID_DATA;
            left[++depth] = head.type == VCK_MSGPACK_MAP ? 2 * head.value : head.value;
        }
    }
}

vck_status vck_msgpack_reader_end(const struct vck_msgpack_reader *reader)
{
    return reader->at == reader->size_bytes ? VCK_OK : VCK_INVALID_DATA;
}

bool vck_msgpack_str_is(struct vck_bytes str, const char *text)
{
    for (size_t i = 0; i < str.size_bytes; i++) {
        if (text[i] == '\0' || (uint8_t)text[i] != str.data[i])
            return false;
    }
    return text[str.size_bytes] == '\0';
}
