/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/span_compare.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define PREFETCH_BYTES 512u

/* How many bytes are equal before the first that differs. */
static inline __attribute__((always_inline)) size_t
equal_bytes(const uint8_t *a, const uint8_t *b, size_t size_bytes, bool non_temporal)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= size_bytes; i += 16) {
        if (non_temporal && i % 64 == 0) {
            size_t ahead = VCK_MIN(i + PREFETCH_BYTES, size_bytes - 1);
            _mm_prefetch((const char *)a + ahead, _MM_HINT_NTA);
            _mm_prefetch((const char *)b + ahead, _MM_HINT_NTA);
        }
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + i));
        __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + i));
        unsigned equal = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
        if (equal != 0xffffu)
            return i + (unsigned)__builtin_ctz(~equal);
    }
#else
    (void)non_temporal;
#endif
    while (i < size_bytes && a[i] == b[i])
        i++;
    return i;
}

/* One copy of this per form. */
static inline __attribute__((always_inline)) vck_status compare(const struct vck_span *a,
                                                                const struct vck_span *b,
                                                                bool non_temporal, int *ret_order,
                                                                uint64_t *ret_equal_bytes)
{
    struct vck_span rest_a = *a, rest_b = *b;
    uint64_t done_bytes = 0;
    int order = 0;
    struct vck_buffer x, y;
    vck_status status;

    while ((status = vck_span_next_pair(&rest_a, &rest_b, &x, &y)) == VCK_OK && x.size_bytes > 0) {
        size_t equal = equal_bytes(x.data, y.data, x.size_bytes, non_temporal);
        done_bytes += equal;
        if (equal < x.size_bytes) {
            order = x.data[equal] < y.data[equal] ? -1 : 1;
            break;
        }
    }
    if (ret_equal_bytes != NULL)
        *ret_equal_bytes = done_bytes;
    if (status == VCK_OK)
        *ret_order = order;
    return status;
}

vck_status vck_span_compare(const struct vck_span *a, const struct vck_span *b, int *ret_order,
                            uint64_t *ret_equal_bytes)
{
    return compare(a, b, false, ret_order, ret_equal_bytes);
}

vck_status vck_span_compare_non_temporal(const struct vck_span *a, const struct vck_span *b,
                                         int *ret_order, uint64_t *ret_equal_bytes)
{
    return compare(a, b, true, ret_order, ret_equal_bytes);
}
