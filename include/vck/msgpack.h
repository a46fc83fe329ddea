/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msgpack: a bounded MessagePack writer and reader over the caller's buffers. Neither allocates;
 * the reader hands out ranges of its input. It reads untrusted bytes: every length and count is
 * checked against what is left before it is believed, and nesting is limited.
 *
 * Not here: floats and extensions (the reader skips them), and field tables, which belong to
 * whoever defines the messages. Source: control-protocol, "Messages", and the MessagePack
 * specification.
 *
 * Every function at any level.
 */
#ifndef VCK_MSGPACK_H
#define VCK_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Containers inside containers that skip follows. */
#define VCK_MSGPACK_DEPTH_MAX 16

/* ---- writer ---- */

/* What does not fit sets overflowed, and nothing is written from then on; so only finish has to be
 * checked. */
struct vck_msgpack_writer {
    uint8_t *data;
    size_t capacity_bytes;
    size_t used_bytes;
    bool overflowed;
};

/* Borrows data until finish. */
void vck_msgpack_writer_init(struct vck_msgpack_writer *writer, uint8_t *data,
                             size_t capacity_bytes);

/* Integers, lengths and counts take their shortest form. */
void vck_msgpack_write_nil(struct vck_msgpack_writer *writer);
void vck_msgpack_write_bool(struct vck_msgpack_writer *writer, bool value);
void vck_msgpack_write_u64(struct vck_msgpack_writer *writer, uint64_t value);
void vck_msgpack_write_i64(struct vck_msgpack_writer *writer, int64_t value);
/* text is valid UTF-8 (the reader refuses anything else); cstr is NUL-terminated. */
void vck_msgpack_write_str(struct vck_msgpack_writer *writer, const char *text, size_t size_bytes);
void vck_msgpack_write_cstr(struct vck_msgpack_writer *writer, const char *text);
void vck_msgpack_write_bin(struct vck_msgpack_writer *writer, const void *data, size_t size_bytes);
/* The head only: count values, or count pairs of key and value, follow by further writes. */
void vck_msgpack_write_array(struct vck_msgpack_writer *writer, size_t count);
void vck_msgpack_write_map(struct vck_msgpack_writer *writer, size_t count);

/* The size of everything written. SIZE_MISMATCH when it did not fit; the buffer then holds an
 * incomplete message. */
VCK_CHECKED vck_status vck_msgpack_writer_finish(const struct vck_msgpack_writer *writer,
                                                 size_t *ret_size_bytes);

/* ---- reader ---- */

enum vck_msgpack_type {
    VCK_MSGPACK_NONE, /* the end, or a byte that starts nothing */
    VCK_MSGPACK_NIL,
    VCK_MSGPACK_BOOL,
    VCK_MSGPACK_INT,
    VCK_MSGPACK_FLOAT,
    VCK_MSGPACK_STR,
    VCK_MSGPACK_BIN,
    VCK_MSGPACK_ARRAY,
    VCK_MSGPACK_MAP,
    VCK_MSGPACK_EXT,
};

struct vck_msgpack_reader {
    const uint8_t *data;
    size_t size_bytes;
    size_t at;
};

/* Borrows data for as long as the reader and what it handed out are in use. */
void vck_msgpack_reader_init(struct vck_msgpack_reader *reader, struct vck_bytes data);

/* The type of the next value, which may still turn out to be cut short. */
enum vck_msgpack_type vck_msgpack_peek(const struct vck_msgpack_reader *reader);

/* Each takes one value of its type. INVALID_DATA when the next value is of another type, does not
 * fit the result or is cut short; the reader then stays where it was. Integers of any width and
 * sign are taken where their value fits. */
VCK_CHECKED vck_status vck_msgpack_read_nil(struct vck_msgpack_reader *reader);
VCK_CHECKED vck_status vck_msgpack_read_bool(struct vck_msgpack_reader *reader, bool *ret_value);
VCK_CHECKED vck_status vck_msgpack_read_u64(struct vck_msgpack_reader *reader, uint64_t *ret_value);
VCK_CHECKED vck_status vck_msgpack_read_i64(struct vck_msgpack_reader *reader, int64_t *ret_value);
/* A range of the input. str is valid UTF-8, without a terminator; it may hold NUL characters. */
VCK_CHECKED vck_status vck_msgpack_read_str(struct vck_msgpack_reader *reader,
                                            struct vck_bytes *ret_str);
VCK_CHECKED vck_status vck_msgpack_read_bin(struct vck_msgpack_reader *reader,
                                            struct vck_bytes *ret_bin);
/* A bin, or an array of integers from 0 to 255, copied to out. Also SIZE_MISMATCH when it is longer
 * than capacity_bytes. out is written on success only. */
VCK_CHECKED vck_status vck_msgpack_read_bin_into(struct vck_msgpack_reader *reader, uint8_t *out,
                                                 size_t capacity_bytes, size_t *ret_size_bytes);
/* The head only: the values, or pairs of key and value, are read by further calls. The count is
 * never larger than the bytes left could hold. */
VCK_CHECKED vck_status vck_msgpack_read_array(struct vck_msgpack_reader *reader, size_t *ret_count);
VCK_CHECKED vck_status vck_msgpack_read_map(struct vck_msgpack_reader *reader, size_t *ret_count);

/* Passes over one value of any type with all it contains. INVALID_DATA also when it nests deeper
 * than VCK_MSGPACK_DEPTH_MAX containers. */
VCK_CHECKED vck_status vck_msgpack_skip(struct vck_msgpack_reader *reader);

/* OK at the end of the input, INVALID_DATA when bytes are left. */
VCK_CHECKED vck_status vck_msgpack_reader_end(const struct vck_msgpack_reader *reader);

/* Whether a string that was read is this text. */
bool vck_msgpack_str_is(struct vck_bytes str, const char *text);

VCK_END_DECLS

#endif
