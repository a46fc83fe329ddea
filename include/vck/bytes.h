/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes: little- and big-endian integers at any alignment, small arithmetic that cannot overflow
 * silently, and borrowed byte ranges. Header only; every function at any level.
 */
#ifndef VCK_BYTES_H
#define VCK_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

/* A borrowed range of bytes. data may be NULL only when size_bytes is 0. */
struct vck_bytes {
    const uint8_t *data;
    size_t size_bytes;
};

#define VCK_ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define VCK_MIN(a, b)      ((a) < (b) ? (a) : (b))
#define VCK_MAX(a, b)      ((a) > (b) ? (a) : (b))

/* The struct that holds a member, from the member's address. */
#define VCK_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline uint16_t vck_load_le16(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint16_t)(b[0] | (unsigned)b[1] << 8);
}

static inline uint32_t vck_load_le32(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t vck_load_le64(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint64_t)vck_load_le32(b) | (uint64_t)vck_load_le32(b + 4) << 32;
}

static inline void vck_store_le16(void *p, uint16_t v)
{
    uint8_t *b = (uint8_t *)p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

static inline void vck_store_le32(void *p, uint32_t v)
{
    uint8_t *b = (uint8_t *)p;
    for (unsigned i = 0; i < 4; i++)
        b[i] = (uint8_t)(v >> (8 * i));
}

static inline void vck_store_le64(void *p, uint64_t v)
{
    uint8_t *b = (uint8_t *)p;
    for (unsigned i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (8 * i));
}

static inline uint16_t vck_load_be16(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint16_t)((unsigned)b[0] << 8 | b[1]);
}

static inline uint32_t vck_load_be32(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

static inline uint64_t vck_load_be64(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint64_t)vck_load_be32(b) << 32 | vck_load_be32(b + 4);
}

static inline void vck_store_be16(void *p, uint16_t v)
{
    uint8_t *b = (uint8_t *)p;
    b[0] = (uint8_t)(v >> 8);
    b[1] = (uint8_t)v;
}

static inline void vck_store_be32(void *p, uint32_t v)
{
    uint8_t *b = (uint8_t *)p;
    for (unsigned i = 0; i < 4; i++)
        b[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline void vck_store_be64(void *p, uint64_t v)
{
    uint8_t *b = (uint8_t *)p;
    for (unsigned i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* Sum and product into *ret_value; false and *ret_value untouched when it does not fit. */
static inline bool vck_add_u64(uint64_t a, uint64_t b, uint64_t *ret_value)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret_value = sum;
    return true;
}

static inline bool vck_mul_u64(uint64_t a, uint64_t b, uint64_t *ret_value)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret_value = product;
    return true;
}

/* Whether [a, a + a_count) and [b, b + b_count) share an element; sums must not overflow. */
static inline bool vck_ranges_overlap(uint64_t a, uint64_t a_count, uint64_t b, uint64_t b_count)
{
    return a < b + b_count && b < a + a_count;
}

static inline bool vck_all_zero(const void *p, size_t size_bytes)
{
    const uint8_t *b = (const uint8_t *)p;
    uint8_t bits = 0;
    for (size_t i = 0; i < size_bytes; i++)
        bits |= b[i];
    return bits == 0;
}

VCK_END_DECLS

#endif
