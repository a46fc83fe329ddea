/* SPDX-License-Identifier: Apache-2.0 */
#include "message_shape.h"
#include "vck/msgpack.h"

struct decoder {
    struct vck_msgpack_reader reader;
    uint8_t *buffer; /* what the reader reads, to be rewritten behind it */
    struct vck_message_fault fault;
};

static bool fail(struct decoder *d, enum vck_message_fault_kind kind, const char *field)
{
    d->fault = (struct vck_message_fault){kind, field, d->reader.at};
    return false;
}

/* A value could not be read: of another type, or of this type and cut short. */
static bool fail_value(struct decoder *d, enum vck_msgpack_type expected, const char *field)
{
    enum vck_msgpack_type there = vck_msgpack_peek(&d->reader);

    if (there == expected || there == VCK_MSGPACK_NONE)
        return fail(d, VCK_MESSAGE_FAULT_MALFORMED, field);
    return fail(d, VCK_MESSAGE_FAULT_TYPE, field);
}

/* ---- single values ---- */

static bool decode_u64(struct decoder *d, const char *field, uint64_t most, uint64_t *ret_value)
{
    int64_t negative;
    uint64_t value;

    if (vck_msgpack_read_u64(&d->reader, &value)) {
        if (vck_msgpack_read_i64(&d->reader, &negative) == VCK_OK)
            return fail(d, VCK_MESSAGE_FAULT_RANGE, field);
        return fail_value(d, VCK_MSGPACK_INT, field);
    }
    if (value > most)
        return fail(d, VCK_MESSAGE_FAULT_RANGE, field);
    *ret_value = value;
    return true;
}

/* The head in front of a string is at least a byte, so moving the string there makes room for the
 * NUL. */
static bool decode_str(struct decoder *d, const struct message_field *field, const char **ret_text)
{
    struct vck_bytes text;
    char *moved;

    if (vck_msgpack_peek(&d->reader) != VCK_MSGPACK_STR)
        return fail_value(d, VCK_MSGPACK_STR, field->name);
    if (vck_msgpack_read_str(&d->reader, &text))
        return fail(d, VCK_MESSAGE_FAULT_TEXT, field->name);
    if (text.size_bytes > field->max)
        return fail(d, VCK_MESSAGE_FAULT_LENGTH, field->name);
    if (memchr(text.data, 0, text.size_bytes))
        return fail(d, VCK_MESSAGE_FAULT_TEXT, field->name);
    moved = (char *)d->buffer + (text.data - d->buffer) - 1;
    memmove(moved, text.data, text.size_bytes);
    moved[text.size_bytes] = 0;
    *ret_text = moved;
    return true;
}

/* Integers of an array take at least a byte each, behind a head, so their bytes fit in its place.
 */
static bool decode_bytes(struct decoder *d, const struct message_field *field,
                         struct vck_bytes *ret_bytes)
{
    uint8_t *place = d->buffer + d->reader.at;
    struct vck_bytes bytes = {.data = place};
    vck_status status;

    if (vck_msgpack_peek(&d->reader) == VCK_MSGPACK_ARRAY)
        status = vck_msgpack_read_bin_into(&d->reader, place, field->max, &bytes.size_bytes);
    else
        status = vck_msgpack_read_bin(&d->reader, &bytes);
    if (status == VCK_SIZE_MISMATCH || (status == VCK_OK && bytes.size_bytes > field->max))
        return fail(d, VCK_MESSAGE_FAULT_LENGTH, field->name);
    if (status)
        return fail_value(d, VCK_MSGPACK_BIN, field->name);
    *ret_bytes = bytes;
    return true;
}

static bool decode_bool(struct decoder *d, const char *field, bool *ret_value)
{
    return vck_msgpack_read_bool(&d->reader, ret_value) == VCK_OK ||
           fail_value(d, VCK_MSGPACK_BOOL, field);
}

/* ---- arrays ---- */

static bool decode_map(struct decoder *d, const struct message_shape *shape, void *message);

static bool decode_element(struct decoder *d, const struct message_field *field,
                           const struct message_array *array, size_t index)
{
    struct vck_msg_volume_entry *entry;

    if (field->type == MESSAGE_U64S)
        return decode_u64(d, field->name, UINT64_MAX, (uint64_t *)array->elements + index);
    entry = (struct vck_msg_volume_entry *)array->elements + index;
    memset(entry, 0, sizeof(*entry));
    return decode_map(d, &message_entry_shape, entry);
}

static bool decode_array(struct decoder *d, const struct message_field *field,
                         struct message_array *array)
{
    size_t count;

    if (vck_msgpack_read_array(&d->reader, &count))
        return fail_value(d, VCK_MSGPACK_ARRAY, field->name);
    if (count > field->max || count > array->capacity)
        return fail(d, VCK_MESSAGE_FAULT_LENGTH, field->name);
    for (size_t i = 0; i < count; i++)
        if (!decode_element(d, field, array, i))
            return false;
    array->count = (uint32_t)count;
    return true;
}

/* ---- fields and maps ---- */

static bool is_array(const struct message_field *field)
{
    return field->type == MESSAGE_ENTRIES || field->type == MESSAGE_U64S;
}

static bool decode_u32_field(struct decoder *d, const char *name, uint32_t *ret_value)
{
    uint64_t value;

    if (!decode_u64(d, name, UINT32_MAX, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

/* The next value, which is not nil, into the field's member at `at`. */
static bool decode_field(struct decoder *d, const struct message_field *field, void *at)
{
    struct vck_optional_u32 *maybe_u32 = at;
    struct vck_optional_u64 *maybe_u64 = at;

    switch (field->type) {
    case MESSAGE_STR:
        return decode_str(d, field, at);
    case MESSAGE_BYTES:
        return decode_bytes(d, field, at);
    case MESSAGE_U32:
        return decode_u32_field(d, field->name, at);
    case MESSAGE_U64:
        return decode_u64(d, field->name, UINT64_MAX, at);
    case MESSAGE_BOOL:
        return decode_bool(d, field->name, at);
    case MESSAGE_MAYBE_U32:
        maybe_u32->is_present = true;
        return decode_u32_field(d, field->name, &maybe_u32->value);
    case MESSAGE_MAYBE_U64:
        maybe_u64->is_present = true;
        return decode_u64(d, field->name, UINT64_MAX, &maybe_u64->value);
    case MESSAGE_ENTRIES:
    case MESSAGE_U64S:
        return decode_array(d, field, at);
    }
    return false;
}

static uint32_t find_field(const struct message_shape *shape, struct vck_bytes key)
{
    uint32_t i = 0;

    while (i < shape->count && !vck_msgpack_str_is(key, shape->fields[i].name))
        i++;
    return i;
}

static bool decode_pair(struct decoder *d, const struct message_shape *shape, void *message,
                        uint32_t *seen)
{
    struct vck_bytes key;
    uint32_t i;

    if (vck_msgpack_read_str(&d->reader, &key))
        return vck_msgpack_peek(&d->reader) == VCK_MSGPACK_NONE
                   ? fail(d, VCK_MESSAGE_FAULT_MALFORMED, NULL)
                   : fail(d, VCK_MESSAGE_FAULT_KEY, NULL);
    i = find_field(shape, key);
    if (i == shape->count)
        return vck_msgpack_skip(&d->reader) == VCK_OK || fail(d, VCK_MESSAGE_FAULT_MALFORMED, NULL);
    if (*seen >> i & 1)
        return fail(d, VCK_MESSAGE_FAULT_REPEATED, shape->fields[i].name);
    *seen |= 1u << i;
    if (vck_msgpack_peek(&d->reader) != VCK_MSGPACK_NIL)
        return decode_field(d, &shape->fields[i], (uint8_t *)message + shape->fields[i].offset);
    if (shape->fields[i].required)
        return fail(d, VCK_MESSAGE_FAULT_TYPE, shape->fields[i].name);
    return vck_msgpack_read_nil(&d->reader) == VCK_OK;
}

/* Zero is absent, except for strings, and except for arrays, which say where their room is. */
static void set_defaults(const struct message_shape *shape, void *message)
{
    for (uint32_t i = 0; i < shape->count; i++) {
        void *at = (uint8_t *)message + shape->fields[i].offset;
        struct message_array *array = at;

        if (shape->fields[i].type == MESSAGE_STR)
            *(const char **)at = "";
        else if (is_array(&shape->fields[i]))
            array->count = 0;
    }
}

static bool decode_map(struct decoder *d, const struct message_shape *shape, void *message)
{
    uint32_t seen = 0;
    size_t count;

    set_defaults(shape, message);
    if (vck_msgpack_read_map(&d->reader, &count))
        return vck_msgpack_peek(&d->reader) == VCK_MSGPACK_NONE ||
                       vck_msgpack_peek(&d->reader) == VCK_MSGPACK_MAP
                   ? fail(d, VCK_MESSAGE_FAULT_MALFORMED, NULL)
                   : fail(d, VCK_MESSAGE_FAULT_NOT_A_MAP, NULL);
    for (size_t i = 0; i < count; i++)
        if (!decode_pair(d, shape, message, &seen))
            return false;
    for (uint32_t i = 0; i < shape->count; i++)
        if (shape->fields[i].required && !(seen >> i & 1))
            return fail(d, VCK_MESSAGE_FAULT_MISSING, shape->fields[i].name);
    return true;
}

/* Takes over the room for elements, which the caller says in the result. */
static void copy_arrays(const struct message_shape *shape, void *message, const void *from)
{
    for (uint32_t i = 0; i < shape->count; i++) {
        size_t offset = shape->fields[i].offset;

        if (is_array(&shape->fields[i]))
            memcpy((uint8_t *)message + offset, (const uint8_t *)from + offset,
                   sizeof(struct message_array));
    }
}

void message_decode(const struct message_shape *shape, uint8_t *buffer, size_t size_bytes,
                    void *ret_message, struct vck_message_fault *ret_fault)
{
    VCK_ALIGNAS(8) uint8_t message[MESSAGE_BYTES_MAX] = {0};
    struct decoder d = {.buffer = buffer};

    vck_msgpack_reader_init(&d.reader, (struct vck_bytes){buffer, size_bytes});
    copy_arrays(shape, message, ret_message);
    if (decode_map(&d, shape, message) && vck_msgpack_reader_end(&d.reader))
        fail(&d, VCK_MESSAGE_FAULT_TRAILING, NULL);
    if (d.fault.kind == VCK_MESSAGE_NO_FAULT)
        memcpy(ret_message, message, shape->size_bytes);
    else
        *ret_fault = d.fault;
}
