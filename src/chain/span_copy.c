/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/span_copy.h"
#include "cursor.h"
#include "non_temporal.h"
#include "short_copy.h"

/* Pieces moved in one turn when they go last to first; each turn walks both sides again. */
#define TURN_PIECES 32u

enum form {
    DISJOINT,     /* no byte of one side is a byte of the other */
    SHARED,       /* it may be */
    NON_TEMPORAL, /* it may be */
};

static bool overlap(struct vck_buffer a, struct vck_buffer b)
{
    return vck_ranges_overlap((uintptr_t)a.data, a.size_bytes, (uintptr_t)b.data, b.size_bytes);
}

static inline struct vck_buffer target_of(const struct piece *piece)
{
    return (struct vck_buffer){piece->to, piece->size_bytes};
}

static inline struct vck_buffer source_of(const struct piece *piece)
{
    return (struct vck_buffer){(uint8_t *)(uintptr_t)piece->from, piece->size_bytes};
}

static inline void copy_piece(const struct piece *piece, enum form form)
{
    if (form == DISJOINT)
        short_copy(piece->to, piece->from, piece->size_bytes);
    else if (form == NON_TEMPORAL && !overlap(target_of(piece), source_of(piece)))
        vck_non_temporal_copy(piece->to, piece->from, piece->size_bytes);
    else
        memmove(piece->to, piece->from, piece->size_bytes);
}

static inline __attribute__((always_inline)) void copy_forward(struct cursor to, struct cursor from,
                                                               uint64_t bytes, enum form form)
{
    while (bytes > 0) {
        struct piece piece = cursor_take_pair(&to, &from, bytes);
        copy_piece(&piece, form);
        bytes -= piece.size_bytes;
    }
}

static uint64_t count_pieces(struct cursor to, struct cursor from, uint64_t bytes)
{
    uint64_t count = 0;
    for (; bytes > 0; count++)
        bytes -= cursor_take_pair(&to, &from, bytes).size_bytes;
    return count;
}

static void copy_backward(struct cursor to, struct cursor from, uint64_t bytes, enum form form)
{
    struct piece pieces[TURN_PIECES];
    uint64_t first = 0;

    for (uint64_t end = count_pieces(to, from, bytes); end > 0; end = first) {
        struct cursor t = to, f = from;
        uint64_t left_bytes = bytes;
        first = end > TURN_PIECES ? end - TURN_PIECES : 0;
        for (uint64_t i = 0; i < end; i++) {
            struct piece piece = cursor_take_pair(&t, &f, left_bytes);
            left_bytes -= piece.size_bytes;
            if (i >= first)
                pieces[i - first] = piece;
        }
        for (uint64_t i = end; i > first; i--)
            copy_piece(&pieces[i - first - 1], form);
    }
}

/* Whether the range has a byte in common with the next bytes of the cursor. */
static bool touches(struct vck_buffer range, struct cursor cursor, uint64_t bytes)
{
    while (bytes > 0) {
        struct vck_buffer buffer = cursor_take(&cursor, bytes);
        if (overlap(range, buffer))
            return true;
        bytes -= buffer.size_bytes;
    }
    return false;
}

/* First to last: no piece may be written before it is read. */
static bool can_go_forward(struct cursor to, struct cursor from, uint64_t bytes)
{
    while (bytes > 0) {
        struct piece piece = cursor_take_pair(&to, &from, bytes);
        bytes -= piece.size_bytes;
        if (touches(target_of(&piece), from, bytes))
            return false;
    }
    return true;
}

/* Last to first: the same, and of memory that is a target twice the later piece must win. */
static bool can_go_backward(struct cursor to, struct cursor from, uint64_t bytes)
{
    while (bytes > 0) {
        struct piece piece = cursor_take_pair(&to, &from, bytes);
        bytes -= piece.size_bytes;
        if (touches(source_of(&piece), to, bytes) || touches(target_of(&piece), to, bytes))
            return false;
    }
    return true;
}

static __attribute__((noinline)) VCK_COLD vck_status copy_shared(struct cursor to,
                                                                 struct cursor from, uint64_t bytes,
                                                                 enum form form)
{
    if (can_go_forward(to, from, bytes))
        copy_forward(to, from, bytes, form);
    else if (can_go_backward(to, from, bytes))
        copy_backward(to, from, bytes, form);
    else
        return VCK_UNSUPPORTED;
    return VCK_OK;
}

static inline bool is_disjoint(const struct side *a, const struct side *b)
{
    return a->high <= b->low || b->high <= a->low;
}

/* Copies what both sides have of the bytes asked for. */
static inline __attribute__((always_inline)) vck_status
copy(const struct side *to, const struct side *from, uint64_t asked_bytes, bool non_temporal,
     uint64_t *ret_done_bytes)
{
    uint64_t bytes = VCK_MIN(to->bytes, from->bytes);
    bool is_short = asked_bytes != VCK_SPAN_TO_END && bytes < asked_bytes;
    vck_status status = VCK_OK;

    if (!is_disjoint(to, from))
        status = copy_shared(to->start, from->start, bytes, non_temporal ? NON_TEMPORAL : SHARED);
    else
        copy_forward(to->start, from->start, bytes, non_temporal ? NON_TEMPORAL : DISJOINT);
    if (non_temporal)
        vck_non_temporal_fence();
    if (ret_done_bytes != NULL)
        *ret_done_bytes = status == VCK_OK ? bytes : 0;
    if (status == VCK_OK && (is_short || to->starts_past_end || from->starts_past_end))
        status = VCK_OUT_OF_RANGE;
    return status;
}

static vck_status nothing_done(vck_status status, uint64_t *ret_done_bytes)
{
    if (ret_done_bytes != NULL)
        *ret_done_bytes = 0;
    return status;
}

static inline __attribute__((always_inline)) vck_status copy_in(const struct vck_span *to,
                                                                const void *from, size_t from_bytes,
                                                                bool non_temporal,
                                                                uint64_t *ret_done_bytes)
{
    uint64_t asked_bytes = VCK_MIN(to->length_bytes, from_bytes);
    struct side source = side_of_flat(from, from_bytes), target;
    vck_status status = side_open(to, asked_bytes, &target);
    return status ? nothing_done(status, ret_done_bytes)
                  : copy(&target, &source, asked_bytes, non_temporal, ret_done_bytes);
}

static inline __attribute__((always_inline)) vck_status copy_out(void *to, size_t to_bytes,
                                                                 const struct vck_span *from,
                                                                 bool non_temporal,
                                                                 uint64_t *ret_done_bytes)
{
    uint64_t asked_bytes = VCK_MIN(to_bytes, from->length_bytes);
    struct side target = side_of_flat(to, to_bytes), source;
    vck_status status = side_open(from, asked_bytes, &source);
    return status ? nothing_done(status, ret_done_bytes)
                  : copy(&target, &source, asked_bytes, non_temporal, ret_done_bytes);
}

static inline __attribute__((always_inline)) vck_status copy_spans(const struct vck_span *to,
                                                                   const struct vck_span *from,
                                                                   bool non_temporal,
                                                                   uint64_t *ret_done_bytes)
{
    uint64_t asked_bytes = VCK_MIN(to->length_bytes, from->length_bytes);
    struct side target, source;
    vck_status status = side_open(to, asked_bytes, &target);
    /* No more of the source is mapped than the target can take. */
    if (status == VCK_OK)
        status = side_open(from, target.bytes, &source);
    return status ? nothing_done(status, ret_done_bytes)
                  : copy(&target, &source, asked_bytes, non_temporal, ret_done_bytes);
}

vck_status vck_span_copy_in(const struct vck_span *to, const void *from, size_t from_bytes,
                            uint64_t *ret_done_bytes)
{
    return copy_in(to, from, from_bytes, false, ret_done_bytes);
}

vck_status vck_span_copy_in_non_temporal(const struct vck_span *to, const void *from,
                                         size_t from_bytes, uint64_t *ret_done_bytes)
{
    return copy_in(to, from, from_bytes, true, ret_done_bytes);
}

vck_status vck_span_copy_out(void *to, size_t to_bytes, const struct vck_span *from,
                             uint64_t *ret_done_bytes)
{
    return copy_out(to, to_bytes, from, false, ret_done_bytes);
}

vck_status vck_span_copy_out_non_temporal(void *to, size_t to_bytes, const struct vck_span *from,
                                          uint64_t *ret_done_bytes)
{
    return copy_out(to, to_bytes, from, true, ret_done_bytes);
}

vck_status vck_span_copy(const struct vck_span *to, const struct vck_span *from,
                         uint64_t *ret_done_bytes)
{
    return copy_spans(to, from, false, ret_done_bytes);
}

vck_status vck_span_copy_non_temporal(const struct vck_span *to, const struct vck_span *from,
                                      uint64_t *ret_done_bytes)
{
    return copy_spans(to, from, true, ret_done_bytes);
}
