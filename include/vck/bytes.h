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

/* Between the processor's byte order and the named one, either way. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define VCK_LE16(v) ((uint16_t)(v))
#define VCK_LE32(v) ((uint32_t)(v))
#define VCK_LE64(v) ((uint64_t)(v))
#define VCK_BE16(v) __builtin_bswap16(v)
#define VCK_BE32(v) __builtin_bswap32(v)
#define VCK_BE64(v) __builtin_bswap64(v)
#else
#define VCK_LE16(v) __builtin_bswap16(v)
#define VCK_LE32(v) __builtin_bswap32(v)
#define VCK_LE64(v) __builtin_bswap64(v)
#define VCK_BE16(v) ((uint16_t)(v))
#define VCK_BE32(v) ((uint32_t)(v))
#define VCK_BE64(v) ((uint64_t)(v))
#endif

/* Copies, not stores byte by byte: compilers merge those only outside of loops. */

static inline uint16_t vck_load_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return VCK_LE16(v);
}

static inline uint32_t vck_load_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return VCK_LE32(v);
}

static inline uint64_t vck_load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return VCK_LE64(v);
}

static inline void vck_store_le16(void *p, uint16_t v)
{
    v = VCK_LE16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void vck_store_le32(void *p, uint32_t v)
{
    v = VCK_LE32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void vck_store_le64(void *p, uint64_t v)
{
    v = VCK_LE64(v);
    memcpy(p, &v, sizeof(v));
}

static inline uint16_t vck_load_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return VCK_BE16(v);
}

static inline uint32_t vck_load_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return VCK_BE32(v);
}

static inline uint64_t vck_load_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return VCK_BE64(v);
}

static inline void vck_store_be16(void *p, uint16_t v)
{
    v = VCK_BE16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void vck_store_be32(void *p, uint32_t v)
{
    v = VCK_BE32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void vck_store_be64(void *p, uint64_t v)
{
    v = VCK_BE64(v);
    memcpy(p, &v, sizeof(v));
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
