/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span_fill: sets the bytes of a span. The non-temporal forms pass by the cache where the processor
 * can, for memory that nobody here reads soon; their stores are ordered before they return. The
 * secure form is never left out by the compiler, for memory that held secrets.
 *
 * Every function: *ret_done_bytes (may be NULL) counts the bytes from the span's start that are
 * set, on failure too. OUT_OF_RANGE (the chain ended before the span; what there was is set) or the
 * map hook's status (the bytes before that piece are set). DISPATCH.
 */
#ifndef VCK_SPAN_FILL_H
#define VCK_SPAN_FILL_H

#include "vck/span.h"

VCK_BEGIN_DECLS

VCK_CHECKED vck_status vck_span_zero(const struct vck_span *span, uint64_t *ret_done_bytes);
VCK_CHECKED vck_status vck_span_zero_non_temporal(const struct vck_span *span,
                                                  uint64_t *ret_done_bytes);
VCK_CHECKED vck_status vck_span_zero_secure(const struct vck_span *span, uint64_t *ret_done_bytes);

VCK_CHECKED vck_status vck_span_fill(const struct vck_span *span, uint8_t value,
                                     uint64_t *ret_done_bytes);
VCK_CHECKED vck_status vck_span_fill_non_temporal(const struct vck_span *span, uint8_t value,
                                                  uint64_t *ret_done_bytes);

VCK_END_DECLS

#endif
