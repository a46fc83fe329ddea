/* SPDX-License-Identifier: Apache-2.0 */
#include "non_temporal.h"
#include <string.h>
#include "vck/bytes.h"

#if defined(__SSE2__)
#include <immintrin.h>

#define BLOCK_BYTES    64u
#define PREFETCH_BYTES 512u

/* Bytes up to the next block of the target; streaming part of a cache line is slower than not. */
static size_t head_bytes(const uint8_t *to, size_t size_bytes)
{
    return VCK_MIN((size_t)(-(uintptr_t)to % BLOCK_BYTES), size_bytes);
}

void vck_non_temporal_fill(uint8_t *to, uint8_t value, size_t size_bytes)
{
    const __m128i bytes = _mm_set1_epi8((char)value);
    size_t head = head_bytes(to, size_bytes);

    memset(to, value, head);
    to += head;
    size_bytes -= head;
    for (; size_bytes >= BLOCK_BYTES; size_bytes -= BLOCK_BYTES, to += BLOCK_BYTES) {
        __m128i *block = (__m128i *)(void *)to;
        _mm_stream_si128(block, bytes);
        _mm_stream_si128(block + 1, bytes);
        _mm_stream_si128(block + 2, bytes);
        _mm_stream_si128(block + 3, bytes);
    }
    memset(to, value, size_bytes);
}

void vck_non_temporal_copy(uint8_t *to, const uint8_t *from, size_t size_bytes)
{
    size_t head = head_bytes(to, size_bytes);

    memcpy(to, from, head);
    to += head;
    from += head;
    size_bytes -= head;
    for (; size_bytes >= BLOCK_BYTES; size_bytes -= BLOCK_BYTES) {
        const __m128i *source = (const __m128i *)(const void *)from;
        __m128i *block = (__m128i *)(void *)to;
        _mm_prefetch((const char *)from + VCK_MIN(PREFETCH_BYTES, size_bytes - 1), _MM_HINT_NTA);
        _mm_stream_si128(block, _mm_loadu_si128(source));
        _mm_stream_si128(block + 1, _mm_loadu_si128(source + 1));
        _mm_stream_si128(block + 2, _mm_loadu_si128(source + 2));
        _mm_stream_si128(block + 3, _mm_loadu_si128(source + 3));
        to += BLOCK_BYTES;
        from += BLOCK_BYTES;
    }
    memcpy(to, from, size_bytes);
}

void vck_non_temporal_fence(void)
{
    _mm_sfence();
}

#else

void vck_non_temporal_fill(uint8_t *to, uint8_t value, size_t size_bytes)
{
    memset(to, value, size_bytes);
}

void vck_non_temporal_copy(uint8_t *to, const uint8_t *from, size_t size_bytes)
{
    memcpy(to, from, size_bytes);
}

void vck_non_temporal_fence(void)
{
}

#endif
