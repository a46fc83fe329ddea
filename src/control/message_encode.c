/* SPDX-License-Identifier: Apache-2.0 */
#include "message_shape.h"
#include "vck/msgpack.h"

static const void *member(const struct message_field *field, const void *message)
{
    return (const uint8_t *)message + field->offset;
}

static const char *str_of(const struct message_field *field, const void *message)
{
    const char *text = *(const char *const *)member(field, message);

    return text ? text : "";
}

static const struct vck_bytes *bytes_of(const struct message_field *field, const void *message)
{
    return member(field, message);
}

static const struct message_array *array_of(const struct message_field *field, const void *message)
{
    return member(field, message);
}

/* Empty optional strings and byte strings are left out. */
static bool is_left_out(const struct message_field *field, const void *message)
{
    if (field->required)
        return false;
    if (field->type == MESSAGE_STR)
        return *str_of(field, message) == 0;
    return field->type == MESSAGE_BYTES && bytes_of(field, message)->size_bytes == 0;
}

/* Whether a decoder would take it. */
static bool is_in_bounds(const struct message_field *field, const void *message)
{
    switch (field->type) {
    case MESSAGE_STR:
        return strlen(str_of(field, message)) <= field->max;
    case MESSAGE_BYTES:
        return bytes_of(field, message)->size_bytes <= field->max;
    case MESSAGE_ENTRIES:
    case MESSAGE_U64S:
        return array_of(field, message)->count <= field->max;
    default:
        return true;
    }
}

static void write_maybe(struct vck_msgpack_writer *w, bool is_present, uint64_t value)
{
    if (is_present)
        vck_msgpack_write_u64(w, value);
    else
        vck_msgpack_write_nil(w);
}

static vck_status write_map(struct vck_msgpack_writer *w, const struct message_shape *shape,
                            const void *message);

static vck_status write_array(struct vck_msgpack_writer *w, const struct message_field *field,
                              const struct message_array *array)
{
    const struct vck_msg_volume_entry *entries = array->elements;
    const uint64_t *numbers = array->elements;
    vck_status status = VCK_OK;

    vck_msgpack_write_array(w, array->count);
    for (uint32_t i = 0; i < array->count && status == VCK_OK; i++) {
        if (field->type == MESSAGE_ENTRIES)
            status = write_map(w, &message_entry_shape, &entries[i]);
        else
            vck_msgpack_write_u64(w, numbers[i]);
    }
    return status;
}

static vck_status write_field(struct vck_msgpack_writer *w, const struct message_field *field,
                              const void *message)
{
    const struct vck_optional_u32 *maybe_u32 = member(field, message);
    const struct vck_optional_u64 *maybe_u64 = member(field, message);

    switch (field->type) {
    case MESSAGE_STR:
        vck_msgpack_write_cstr(w, str_of(field, message));
        break;
    case MESSAGE_BYTES:
        vck_msgpack_write_bin(w, bytes_of(field, message)->data,
                              bytes_of(field, message)->size_bytes);
        break;
    case MESSAGE_U32:
        vck_msgpack_write_u64(w, *(const uint32_t *)member(field, message));
        break;
    case MESSAGE_U64:
        vck_msgpack_write_u64(w, *(const uint64_t *)member(field, message));
        break;
    case MESSAGE_BOOL:
        vck_msgpack_write_bool(w, *(const bool *)member(field, message));
        break;
    case MESSAGE_MAYBE_U32:
        write_maybe(w, maybe_u32->is_present, maybe_u32->value);
        break;
    case MESSAGE_MAYBE_U64:
        write_maybe(w, maybe_u64->is_present, maybe_u64->value);
        break;
    case MESSAGE_ENTRIES:
    case MESSAGE_U64S:
        return write_array(w, field, array_of(field, message));
    }
    return VCK_OK;
}

static vck_status write_map(struct vck_msgpack_writer *w, const struct message_shape *shape,
                            const void *message)
{
    size_t count = 0;
    vck_status status = VCK_OK;

    for (uint32_t i = 0; i < shape->count; i++) {
        if (!is_in_bounds(&shape->fields[i], message))
            return VCK_OUT_OF_RANGE;
        count += !is_left_out(&shape->fields[i], message);
    }
    vck_msgpack_write_map(w, count);
    for (uint32_t i = 0; i < shape->count && status == VCK_OK; i++) {
        if (is_left_out(&shape->fields[i], message))
            continue;
        vck_msgpack_write_cstr(w, shape->fields[i].name);
        status = write_field(w, &shape->fields[i], message);
    }
    return status;
}

vck_status message_encode(const struct message_shape *shape, const void *message, uint8_t *buffer,
                          size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct vck_msgpack_writer writer;
    vck_status status;

    vck_msgpack_writer_init(&writer, buffer, capacity_bytes);
    status = write_map(&writer, shape, message);
    if (status)
        return status;
    return vck_msgpack_writer_finish(&writer, ret_size_bytes);
}
