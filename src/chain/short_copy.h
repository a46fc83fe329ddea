/* SPDX-License-Identifier: Apache-2.0 */
/*
 * short_copy: memcpy for pieces of packets, inlined, in SSE2; the call costs more than such a piece
 * does. The ranges must not overlap. Any level.
 */
#ifndef VCK_CHAIN_SHORT_COPY_H
#define VCK_CHAIN_SHORT_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>

/* From here on memcpy is at least as fast. */
#define SHORT_COPY_BYTES 2048u

static inline void short_copy_16(uint8_t *to, const uint8_t *from)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm_loadu_si128((const __m128i *)(const void *)from));
}

static inline void short_copy_64(uint8_t *to, const uint8_t *from)
{
    short_copy_16(to, from);
    short_copy_16(to + 16, from + 16);
    short_copy_16(to + 32, from + 32);
    short_copy_16(to + 48, from + 48);
}

/* Below 16 bytes. */
static inline void short_copy_least(uint8_t *to, const uint8_t *from, size_t size_bytes)
{
    if (size_bytes >= 8) {
        memcpy(to, from, 8);
        memcpy(to + size_bytes - 8, from + size_bytes - 8, 8);
    } else if (size_bytes >= 4) {
        memcpy(to, from, 4);
        memcpy(to + size_bytes - 4, from + size_bytes - 4, 4);
    } else {
        for (size_t i = 0; i < size_bytes; i++)
            to[i] = from[i];
    }
}

/* The last bytes are copied counting from the end, over some that were copied before. */
static inline void short_copy(uint8_t *to, const uint8_t *from, size_t size_bytes)
{
    if (size_bytes > SHORT_COPY_BYTES) {
        memcpy(to, from, size_bytes);
    } else if (size_bytes > 64) {
        for (size_t i = 0; i < size_bytes - 64; i += 64)
            short_copy_64(to + i, from + i);
        short_copy_64(to + size_bytes - 64, from + size_bytes - 64);
    } else if (size_bytes >= 32) {
        short_copy_16(to, from);
        short_copy_16(to + 16, from + 16);
        short_copy_16(to + size_bytes - 32, from + size_bytes - 32);
        short_copy_16(to + size_bytes - 16, from + size_bytes - 16);
    } else if (size_bytes >= 16) {
        short_copy_16(to, from);
        short_copy_16(to + size_bytes - 16, from + size_bytes - 16);
    } else {
        short_copy_least(to, from, size_bytes);
    }
}

#else

static inline void short_copy(uint8_t *to, const uint8_t *from, size_t size_bytes)
{
    memcpy(to, from, size_bytes);
}

#endif

#endif
