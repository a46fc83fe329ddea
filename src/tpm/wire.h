/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: how values lie in a message: big-endian, and what varies in size behind a size of 16 bits.
 * A writer that is full and a reader that is beyond the end stay so; one look at the end is enough.
 */
#ifndef VCK_TPM_WIRE_H
#define VCK_TPM_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/bytes.h"

struct writer {
    uint8_t *start;
    size_t capacity_bytes;
    size_t size_bytes;
    bool is_full;
};

struct reader {
    const uint8_t *at;
    size_t left_bytes;
    bool is_wrong;
};

static inline void put_bytes(struct writer *w, const void *data, size_t size_bytes)
{
    w->is_full |= size_bytes > w->capacity_bytes - w->size_bytes;
    if (w->is_full || size_bytes == 0)
        return;
    memcpy(w->start + w->size_bytes, data, size_bytes);
    w->size_bytes += size_bytes;
}

static inline void put_u8(struct writer *w, uint8_t value)
{
    put_bytes(w, &value, 1);
}

static inline void put_u16(struct writer *w, uint32_t value)
{
    uint8_t bytes[2];
    vck_store_be16(bytes, (uint16_t)value);
    put_bytes(w, bytes, sizeof(bytes));
}

static inline void put_u32(struct writer *w, uint32_t value)
{
    uint8_t bytes[4];
    vck_store_be32(bytes, value);
    put_bytes(w, bytes, sizeof(bytes));
}

/* The size, then the bytes. */
static inline void put_sized(struct writer *w, const void *data, size_t size_bytes)
{
    w->is_full |= size_bytes > UINT16_MAX;
    put_u16(w, (uint32_t)size_bytes);
    put_bytes(w, data, size_bytes);
}

/* NULL, and the reader is wrong, when there is less. */
static inline const uint8_t *get_bytes(struct reader *r, size_t size_bytes)
{
    const uint8_t *at = r->at;
    r->is_wrong |= size_bytes > r->left_bytes;
    if (r->is_wrong)
        return NULL;
    r->at += size_bytes;
    r->left_bytes -= size_bytes;
    return at;
}

static inline uint8_t get_u8(struct reader *r)
{
    const uint8_t *at = get_bytes(r, 1);
    return at != NULL ? *at : 0;
}

static inline uint16_t get_u16(struct reader *r)
{
    const uint8_t *at = get_bytes(r, 2);
    return at != NULL ? vck_load_be16(at) : 0;
}

static inline uint32_t get_u32(struct reader *r)
{
    const uint8_t *at = get_bytes(r, 4);
    return at != NULL ? vck_load_be32(at) : 0;
}

/* Borrowed from the message; empty when it is wrong. */
static inline struct vck_bytes get_sized(struct reader *r)
{
    size_t size_bytes = get_u16(r);
    const uint8_t *at = get_bytes(r, size_bytes);
    return (struct vck_bytes){at, at != NULL ? size_bytes : 0};
}

/* Everything was there, and nothing is behind it. */
static inline bool is_read(const struct reader *r)
{
    return !r->is_wrong && r->left_bytes == 0;
}

#endif
