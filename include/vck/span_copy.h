/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span_copy: bytes between flat buffers and spans, and between spans that are split differently.
 * The smaller of the two lengths is what is asked for; VCK_SPAN_TO_END is larger than any other.
 *
 * Both sides are mapped before a byte moves: when the map hook fails, its status is returned and
 * nothing is copied. OUT_OF_RANGE: a chain ended before the bytes asked for; what both have is
 * copied. *ret_done_bytes (may be NULL) counts the bytes copied, in every case.
 *
 * The two sides may share memory. The result is that of a copy through a third buffer, whenever the
 * pieces can be moved one after the other, first to last or last to first: so for any two spans of
 * one chain, for two ways to split one buffer, and to close or to open gaps between pieces in
 * place. Where neither order works, because pieces are shuffled, UNSUPPORTED is returned and
 * nothing is copied. A target that has the same memory twice keeps what belongs to its later piece,
 * or is refused. Finding the order takes time quadratic in the pieces, only when the memory of the
 * two sides is not clearly apart.
 *
 * The non-temporal forms pass by the cache where the processor can, for a target that nobody here
 * reads soon; their stores are ordered before they return. Pieces that overlap their own source are
 * moved plainly. DISPATCH.
 */
#ifndef VCK_SPAN_COPY_H
#define VCK_SPAN_COPY_H

#include "vck/span.h"

VCK_BEGIN_DECLS

/* Flat to span. */
VCK_CHECKED vck_status vck_span_copy_in(const struct vck_span *to, const void *from,
                                        size_t from_bytes, uint64_t *ret_done_bytes);
VCK_CHECKED vck_status vck_span_copy_in_non_temporal(const struct vck_span *to, const void *from,
                                                     size_t from_bytes, uint64_t *ret_done_bytes);

/* Span to flat. */
VCK_CHECKED vck_status vck_span_copy_out(void *to, size_t to_bytes, const struct vck_span *from,
                                         uint64_t *ret_done_bytes);
VCK_CHECKED vck_status vck_span_copy_out_non_temporal(void *to, size_t to_bytes,
                                                      const struct vck_span *from,
                                                      uint64_t *ret_done_bytes);

/* Span to span. */
VCK_CHECKED vck_status vck_span_copy(const struct vck_span *to, const struct vck_span *from,
                                     uint64_t *ret_done_bytes);
VCK_CHECKED vck_status vck_span_copy_non_temporal(const struct vck_span *to,
                                                  const struct vck_span *from,
                                                  uint64_t *ret_done_bytes);

VCK_END_DECLS

#endif
