/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/span_fill.h"
#include "vck/secret.h"
#include "non_temporal.h"

enum form { PLAIN, NON_TEMPORAL, SECURE };

/* One copy of this per form. */
static inline __attribute__((always_inline)) vck_status
fill(const struct vck_span *span, uint8_t value, enum form form, uint64_t *ret_done_bytes)
{
    struct vck_span rest = *span;
    uint64_t done_bytes = 0;
    struct vck_buffer buffer;
    vck_status status;

    while ((status = vck_span_next(&rest, &buffer)) == VCK_OK && buffer.size_bytes > 0) {
        if (form == SECURE)
            vck_wipe(buffer.data, buffer.size_bytes);
        else if (form == NON_TEMPORAL)
            vck_non_temporal_fill(buffer.data, value, buffer.size_bytes);
        else
            memset(buffer.data, value, buffer.size_bytes);
        done_bytes += buffer.size_bytes;
    }
    if (form == NON_TEMPORAL)
        vck_non_temporal_fence();
    if (ret_done_bytes != NULL)
        *ret_done_bytes = done_bytes;
    return status;
}

vck_status vck_span_zero(const struct vck_span *span, uint64_t *ret_done_bytes)
{
    return fill(span, 0, PLAIN, ret_done_bytes);
}

vck_status vck_span_zero_non_temporal(const struct vck_span *span, uint64_t *ret_done_bytes)
{
    return fill(span, 0, NON_TEMPORAL, ret_done_bytes);
}

vck_status vck_span_zero_secure(const struct vck_span *span, uint64_t *ret_done_bytes)
{
    return fill(span, 0, SECURE, ret_done_bytes);
}

vck_status vck_span_fill(const struct vck_span *span, uint8_t value, uint64_t *ret_done_bytes)
{
    return fill(span, value, PLAIN, ret_done_bytes);
}

vck_status vck_span_fill_non_temporal(const struct vck_span *span, uint8_t value,
                                      uint64_t *ret_done_bytes)
{
    return fill(span, value, NON_TEMPORAL, ret_done_bytes);
}
