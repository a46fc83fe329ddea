/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span_compare: the order of two spans' bytes. The time depends on the bytes: not for secrets
 * (vck_equal_constant_time, secret.h).
 */
#ifndef VCK_SPAN_COMPARE_H
#define VCK_SPAN_COMPARE_H

#include "vck/span.h"

VCK_BEGIN_DECLS

/*
 * Compares as many bytes as the shorter length says (VCK_SPAN_TO_END is larger than any other).
 * *ret_order is -1, 0 or 1 as a is below, equal to or above b at the first byte that differs; it is
 * untouched on failure. *ret_equal_bytes (may be NULL) counts the equal bytes before the
 * difference, the end or the failure. OUT_OF_RANGE: a chain ended before the bytes asked for, and
 * all before were equal. Or the map hook's status. The non-temporal form asks the processor to keep
 * what it reads out of the outer caches. DISPATCH.
 */
VCK_CHECKED vck_status vck_span_compare(const struct vck_span *a, const struct vck_span *b,
                                        int *ret_order, uint64_t *ret_equal_bytes);
VCK_CHECKED vck_status vck_span_compare_non_temporal(const struct vck_span *a,
                                                     const struct vck_span *b, int *ret_order,
                                                     uint64_t *ret_equal_bytes);

VCK_END_DECLS

#endif
