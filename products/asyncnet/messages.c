/* SPDX-License-Identifier: Apache-2.0 */
#include "messages.h"
#include "vck/log.h"
#include "vck/msgpack.h"

enum field_type {
    FIELD_U64,
    FIELD_BOOL,
    FIELD_TEXT,   /* a zero-terminated array of highest + 1 bytes */
    FIELD_COUNTS, /* struct message_counts */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* in the message's struct */
    uint64_t lowest;
    uint64_t highest;
    uint64_t absent;         /* the default of a number */
    const char *absent_text; /* and of a text; NULL: empty */
};

struct message_shape {
    const struct field *fields;
    size_t count;
};

#define NUMBER(type, member, lowest, highest, absent)                                              \
    {                                                                                              \
#member, FIELD_U64, offsetof(struct type, member), lowest, highest, absent, NULL           \
    }
#define COUNTER(type, member) NUMBER(type, member, 0, UINT64_MAX, 0)
#define FLAG(type, member, name)                                                                   \
    {                                                                                              \
        name, FIELD_BOOL, offsetof(struct type, member), 0, 1, 0, NULL                             \
    }
#define TEXT(type, member, bytes, absent)                                                          \
    {                                                                                              \
#member, FIELD_TEXT, offsetof(struct type, member), 0, (bytes)-1, 0, absent                \
    }
#define COUNTS(type, member)                                                                       \
    {                                                                                              \
#member, FIELD_COUNTS, offsetof(struct type, member), 0, 0, 0, NULL                        \
    }
#define SHAPE(name)                                                                                \
    const struct message_shape message_##name = {name##_fields, VCK_ARRAY_COUNT(name##_fields)}

#define LOAD_FIELDS(highest_concurrency, usual_concurrency)                                        \
    {                                                                                              \
        NUMBER(message_load, connections, 1, 1000000000, 1),                                       \
            NUMBER(message_load, concurrency, 1, highest_concurrency, usual_concurrency),          \
            NUMBER(message_load, retries, 0, 1000, 0),                                             \
            NUMBER(message_load, timeout_ms, 1, 3600000, 10000),                                   \
            NUMBER(message_load, port, 1, 65535, 80),                                              \
            FLAG(message_load, is_background, "background"),                                       \
            TEXT(message_load, address, MESSAGE_ADDRESS_BYTES, "127.0.0.1"),                       \
            TEXT(message_load, path, MESSAGE_PATH_BYTES, "/"),                                     \
    }

static const struct field load_fields[] = LOAD_FIELDS(10000, 256);
static const struct field threads_fields[] = LOAD_FIELDS(64, 10);
static const struct field result_fields[] = {
    COUNTER(message_result, connections), COUNTER(message_result, replies),
    COUNTER(message_result, failures),    COUNTER(message_result, retried),
    COUNTER(message_result, duration_ns), COUNTS(message_result, codes),
    COUNTS(message_result, errors),
};
static const struct field timers_fields[] = {
    NUMBER(message_timers, count, 1, 1000000, 100000),
    NUMBER(message_timers, span_ms, 0, 3600000, 1000),
    FLAG(message_timers, is_background, "background"),
};
static const struct field timers_result_fields[] = {
    COUNTER(message_timers_result, count),     COUNTER(message_timers_result, expired),
    COUNTER(message_timers_result, early),     COUNTER(message_timers_result, out_of_order),
    COUNTER(message_timers_result, latest_ns), COUNTER(message_timers_result, duration_ns),
};
static const struct field echo_fields[] = {
    TEXT(message_echo, address, MESSAGE_ADDRESS_BYTES, "127.0.0.1"),
    NUMBER(message_echo, port, 0, 65535, 0),
};
static const struct field status_fields[] = {
    FLAG(message_status, is_started, "started"),
    COUNTER(message_status, workers),
    COUNTER(message_status, jobs),
    COUNTER(message_status, jobs_begun),
    COUNTER(message_status, sockets),
    COUNTER(message_status, replies),
    COUNTER(message_status, failures),
    COUNTER(message_status, timers),
    COUNTER(message_status, allocations),
    COUNTER(message_status, echo_port),
    COUNTER(message_status, echo_accepted),
    COUNTER(message_status, echo_open),
    COUNTER(message_status, echo_bytes),
};
static const struct field text_fields[] = {
    TEXT(message_text, text, MESSAGE_TEXT_BYTES, NULL),
};

SHAPE(load);
SHAPE(threads);
SHAPE(result);
SHAPE(timers);
SHAPE(timers_result);
SHAPE(echo);
SHAPE(status);
SHAPE(text);

/* ---- decoding ---- */

struct decoder {
    struct vck_msgpack_reader reader;
    char *fault;
};

static vck_status refuse(struct decoder *d, const char *name, const char *expected)
{
    (void)vck_format(d->fault, MESSAGE_TEXT_BYTES, "%s is not %s", name, expected);
    return VCK_INVALID_DATA;
}

static vck_status decode_number(struct decoder *d, const struct field *field, uint64_t *ret_value)
{
    uint64_t value;

    if (vck_msgpack_read_u64(&d->reader, &value) == VCK_OK && value >= field->lowest &&
        value <= field->highest) {
        *ret_value = value;
        return VCK_OK;
    }
    (void)vck_format(d->fault, MESSAGE_TEXT_BYTES, "%s is not a number from %llu to %llu",
                     field->name, (unsigned long long)field->lowest,
                     (unsigned long long)field->highest);
    return VCK_INVALID_DATA;
}

static vck_status decode_text(struct decoder *d, const struct field *field, char *ret_text)
{
    struct vck_bytes text;

    if (vck_msgpack_read_str(&d->reader, &text) || text.size_bytes > field->highest ||
        memchr(text.data, 0, text.size_bytes)) {
        (void)vck_format(d->fault, MESSAGE_TEXT_BYTES, "%s is not a text of up to %llu bytes",
                         field->name, (unsigned long long)field->highest);
        return VCK_INVALID_DATA;
    }
    memcpy(ret_text, text.data, text.size_bytes);
    ret_text[text.size_bytes] = 0;
    return VCK_OK;
}

/* Numbers for which the caller has no room are left out. */
static vck_status decode_counts(struct decoder *d, const struct field *field,
                                const struct message_counts *counts)
{
    uint64_t number;
    uint64_t value;
    size_t count;

    if (vck_msgpack_read_map(&d->reader, &count))
        return refuse(d, field->name, "a map");
    for (; count > 0; count--) {
        if (vck_msgpack_read_u64(&d->reader, &number) || vck_msgpack_read_u64(&d->reader, &value))
            return refuse(d, field->name, "a map from numbers to numbers");
        if (number < counts->capacity)
            counts->counts[number] = value;
    }
    return VCK_OK;
}

static vck_status decode_field(struct decoder *d, const struct field *field, void *at)
{
    switch (field->type) {
    case FIELD_U64:
        return decode_number(d, field, at);
    case FIELD_BOOL:
        return vck_msgpack_read_bool(&d->reader, at) ? refuse(d, field->name, "true or false")
                                                     : VCK_OK;
    case FIELD_TEXT:
        return decode_text(d, field, at);
    case FIELD_COUNTS:
        return decode_counts(d, field, at);
    }
    return VCK_INVALID_DATA;
}

static vck_status decode_pair(struct decoder *d, const struct message_shape *shape, void *message)
{
    struct vck_bytes key;

    if (vck_msgpack_read_str(&d->reader, &key))
        return refuse(d, "the name of a field", "a text");
    for (size_t i = 0; i < shape->count; i++)
        if (vck_msgpack_str_is(key, shape->fields[i].name))
            return decode_field(d, &shape->fields[i], (char *)message + shape->fields[i].offset);
    return vck_msgpack_skip(&d->reader) ? refuse(d, "the value of an unknown field", "MessagePack")
                                        : VCK_OK;
}

static void set_default(const struct field *field, void *at)
{
    struct message_counts *counts = at;
    const char *text = field->absent_text ? field->absent_text : "";

    switch (field->type) {
    case FIELD_U64:
        *(uint64_t *)at = field->absent;
        break;
    case FIELD_BOOL:
        *(bool *)at = false;
        break;
    case FIELD_TEXT:
        (void)vck_format(at, field->highest + 1, "%s", text);
        break;
    case FIELD_COUNTS:
        memset(counts->counts, 0, counts->capacity * sizeof(*counts->counts));
        break;
    }
}

vck_status message_decode(const struct message_shape *shape, struct vck_bytes data,
                          void *ret_message, char *ret_fault)
{
    struct decoder d = {.fault = ret_fault};
    size_t count = 0;

    for (size_t i = 0; i < shape->count; i++)
        set_default(&shape->fields[i], (char *)ret_message + shape->fields[i].offset);
    vck_msgpack_reader_init(&d.reader, data);
    if (data.size_bytes > 0 && vck_msgpack_read_map(&d.reader, &count))
        return refuse(&d, "the message", "a MessagePack map");
    for (; count > 0; count--) {
        vck_status status = decode_pair(&d, shape, ret_message);
        if (status)
            return status;
    }
    return vck_msgpack_reader_end(&d.reader) ? refuse(&d, "the message", "one map and no more")
                                             : VCK_OK;
}

/* ---- encoding ---- */

static void encode_counts(struct vck_msgpack_writer *writer, const struct message_counts *counts)
{
    size_t used = 0;

    for (uint32_t i = 0; i < counts->capacity; i++)
        used += counts->counts[i] != 0;
    vck_msgpack_write_map(writer, used);
    for (uint32_t i = 0; i < counts->capacity; i++) {
        if (counts->counts[i] == 0)
            continue;
        vck_msgpack_write_u64(writer, i);
        vck_msgpack_write_u64(writer, counts->counts[i]);
    }
}

static void encode_field(struct vck_msgpack_writer *writer, const struct field *field,
                         const void *at)
{
    vck_msgpack_write_cstr(writer, field->name);
    switch (field->type) {
    case FIELD_U64:
        vck_msgpack_write_u64(writer, *(const uint64_t *)at);
        break;
    case FIELD_BOOL:
        vck_msgpack_write_bool(writer, *(const bool *)at);
        break;
    case FIELD_TEXT:
        vck_msgpack_write_cstr(writer, at);
        break;
    case FIELD_COUNTS:
        encode_counts(writer, at);
        break;
    }
}

vck_status message_encode(const struct message_shape *shape, const void *message, uint8_t *buffer,
                          size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct vck_msgpack_writer writer;

    vck_msgpack_writer_init(&writer, buffer, capacity_bytes);
    vck_msgpack_write_map(&writer, shape->count);
    for (size_t i = 0; i < shape->count; i++)
        encode_field(&writer, &shape->fields[i], (const char *)message + shape->fields[i].offset);
    return vck_msgpack_writer_finish(&writer, ret_size_bytes);
}

/* ---- what is said of a message ---- */

void message_fault(char *ret_fault, const char *text)
{
    (void)vck_format(ret_fault, MESSAGE_TEXT_BYTES, "%s", text);
}

vck_status message_get_address(const char *text, uint64_t port, struct vck_address *ret_address,
                               char *ret_fault)
{
    vck_status status = vck_address_parse(text, strlen(text), (uint16_t)port, ret_address);

    if (status)
        (void)vck_format(ret_fault, MESSAGE_TEXT_BYTES,
                         "address is %s, which is not an IPv4 or IPv6 address", text);
    return status;
}
