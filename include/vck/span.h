/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span: a stretch of a chain, and the ways to look at it: buffer by buffer, two spans in step, or
 * the first bytes in one piece. A span is a value; an iteration moves its start, so that what is
 * left of the span is always the rest of the work.
 *
 * Everywhere: descriptors of no bytes are skipped; memory is mapped when it is come to; no sum of
 * offsets and lengths is formed that could overflow. A chain shorter than the span is OUT_OF_RANGE
 * and is found when its end is met. Up to DISPATCH when the memory itself may be touched there.
 */
#ifndef VCK_SPAN_H
#define VCK_SPAN_H

#include "vck/bytes.h"
#include "vck/chain.h"

VCK_BEGIN_DECLS

/* A length that means: whatever the chain has, and its end is not an error. */
#define VCK_SPAN_TO_END UINT64_MAX

struct vck_span {
    struct vck_position position;
    uint64_t length_bytes;
};

/* The whole of a chain; first may be NULL. */
static inline struct vck_span vck_span_of_chain(struct vck_descriptor *first)
{
    struct vck_span span = {{first, 0}, VCK_SPAN_TO_END};
    return span;
}

/* length_bytes (or VCK_SPAN_TO_END), offset_bytes into the chain. */
static inline struct vck_span vck_span_of(struct vck_descriptor *first, uint64_t offset_bytes,
                                          uint64_t length_bytes)
{
    struct vck_span span = {{first, offset_bytes}, length_bytes};
    return span;
}

/* Contiguous bytes of a chain, borrowed from it. */
struct vck_buffer {
    uint8_t *data;
    size_t size_bytes;
};

/*
 * Takes the next buffer off the front of the span. After the last one it gives an empty buffer with
 * OK, however often it is called. OUT_OF_RANGE (the chain ended early) or the map hook's status;
 * span and buffer are untouched then, so that the call can be repeated.
 */
VCK_CHECKED vck_status vck_span_next(struct vck_span *span, struct vck_buffer *ret_buffer);

/*
 * Takes buffers of one size off the front of both spans: as long as both are contiguous. Ends, with
 * two empty buffers and OK, when either span ends. Failures as above, with everything untouched.
 */
VCK_CHECKED vck_status vck_span_next_pair(struct vck_span *a, struct vck_span *b,
                                          struct vck_buffer *ret_a, struct vck_buffer *ret_b);

/* Counts the descriptors with bytes in the span, these bytes, and their pages; maps nothing.
 * OUT_OF_RANGE: the chain ended early, and *ret_counts says what there was. Any level. */
VCK_CHECKED vck_status vck_span_count(const struct vck_span *span,
                                      struct vck_chain_counts *ret_counts);

/*
 * The first size_bytes of the span in one piece: borrowed from the chain when they are contiguous
 * there (also across descriptors), else copied to scratch, which holds size_bytes. To inspect a
 * header. scratch may be NULL when the caller wants no copy: UNSUPPORTED when one is needed.
 * OUT_OF_RANGE: span or chain has fewer bytes. Or the map hook's status. *ret_view is untouched on
 * failure, scratch is undefined. *ret_done_bytes (may be NULL) says how many of the bytes were
 * reached, on failure too.
 */
VCK_CHECKED vck_status vck_span_view(const struct vck_span *span, size_t size_bytes, void *scratch,
                                     const uint8_t **ret_view, uint64_t *ret_done_bytes);

VCK_END_DECLS

#endif
