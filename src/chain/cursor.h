/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cursor: what a copy walks over, a span or a flat buffer alike. Opening one maps all that will be
 * walked over and says how much that is, so that taking pieces can neither fail nor end early.
 */
#ifndef VCK_CHAIN_CURSOR_H
#define VCK_CHAIN_CURSOR_H

#include "vck/span.h"

/* Stands before size_bytes at data; behind them come the bytes of next. */
struct cursor {
    uint8_t *data;
    size_t size_bytes;
    const struct vck_descriptor *next;
};

struct side {
    struct cursor start;
    uint64_t bytes;       /* there are, up to what was asked for */
    uintptr_t low, high;  /* all of them lie in [low, high) */
    bool starts_past_end; /* of the chain, not just at it */
};

static inline struct side side_of_flat(const void *data, size_t size_bytes)
{
    struct side side = {
        .start = {(uint8_t *)(uintptr_t)data, size_bytes, NULL},
        .bytes = size_bytes,
        .low = (uintptr_t)data,
        .high = (uintptr_t)data + size_bytes,
    };
    return side;
}

/* Looks at the first bytes_max bytes of the span, or as many as the chain has; false when some are
 * not mapped. Inlined and free of calls, so that all of it stays in registers. */
static inline __attribute__((always_inline)) bool
side_look(const struct vck_span *span, uint64_t bytes_max, struct side *ret_side)
{
    const struct vck_descriptor *first = span->position.descriptor;
    uint64_t offset_bytes = span->position.offset_bytes, left_bytes = bytes_max;
    uintptr_t low = UINTPTR_MAX, high = 0;

    while (first != NULL && offset_bytes >= first->size_bytes) {
        offset_bytes -= first->size_bytes;
        first = first->next;
    }
    uint64_t skipped_bytes = offset_bytes;
    for (const struct vck_descriptor *d = bytes_max > 0 ? first : NULL; d != NULL; d = d->next) {
        uint64_t size_bytes = d->size_bytes - skipped_bytes;
        if (size_bytes > 0) {
            if ((d->flags & (VCK_DESCRIPTOR_MAPPED | VCK_DESCRIPTOR_NONPAGED)) == 0)
                return false;
            uintptr_t address = (uintptr_t)d->address + skipped_bytes;
            low = VCK_MIN(low, address);
            high = VCK_MAX(high, address + size_bytes);
        }
        skipped_bytes = 0;
        if (size_bytes >= left_bytes) {
            left_bytes = 0;
            break;
        }
        left_bytes -= size_bytes;
    }
    ret_side->bytes = bytes_max - left_bytes;
    ret_side->starts_past_end = first == NULL && offset_bytes > 0 && bytes_max > 0;
    ret_side->low = low;
    ret_side->high = high;
    if (ret_side->bytes > 0) {
        ret_side->start.data = (uint8_t *)first->address + offset_bytes;
        ret_side->start.size_bytes = (size_t)(first->size_bytes - offset_bytes);
        ret_side->start.next = first->next;
    }
    return true;
}

/* Maps the first bytes_max bytes of the span, or as many as the chain has. */
vck_status vck_cursor_map(const struct vck_span *span, uint64_t bytes_max);

/* Looks, and maps first where that is needed. Fails only as the map hook does. */
static inline __attribute__((always_inline)) vck_status
side_open(const struct vck_span *span, uint64_t bytes_max, struct side *ret_side)
{
    while (!side_look(span, bytes_max, ret_side)) {
        vck_status status = vck_cursor_map(span, bytes_max);
        if (status)
            return status;
    }
    return VCK_OK;
}

/* Steps over pieces that are used up or empty. There must be bytes left. */
static inline void cursor_settle(struct cursor *cursor)
{
    while (cursor->size_bytes == 0) {
        const struct vck_descriptor *d = cursor->next;
        cursor->data = (uint8_t *)d->address;
        cursor->size_bytes = d->size_bytes;
        cursor->next = d->next;
    }
}

/* Takes the next contiguous bytes, bytes_max of them at most; bytes_max is not 0. */
static inline struct vck_buffer cursor_take(struct cursor *cursor, uint64_t bytes_max)
{
    cursor_settle(cursor);
    struct vck_buffer buffer = {cursor->data, (size_t)VCK_MIN(cursor->size_bytes, bytes_max)};
    cursor->data += buffer.size_bytes;
    cursor->size_bytes -= buffer.size_bytes;
    return buffer;
}

/* As many bytes as are contiguous on both sides. */
struct piece {
    uint8_t *to;
    const uint8_t *from;
    size_t size_bytes;
};

static inline struct piece cursor_take_pair(struct cursor *to, struct cursor *from,
                                            uint64_t bytes_max)
{
    cursor_settle(to);
    cursor_settle(from);
    size_t size_bytes = VCK_MIN(to->size_bytes, from->size_bytes);
    struct piece piece = {to->data, from->data, (size_t)VCK_MIN(size_bytes, bytes_max)};
    to->data += piece.size_bytes;
    to->size_bytes -= piece.size_bytes;
    from->data += piece.size_bytes;
    from->size_bytes -= piece.size_bytes;
    return piece;
}

#endif
