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

/* Maps the first bytes_max bytes from the position, or as many as the chain has. Fails only as the
 * map hook does. */
static inline vck_status side_open(struct vck_position position, uint64_t bytes_max,
                                   struct side *ret_side)
{
    struct vck_descriptor *d = position.descriptor;
    uint64_t offset_bytes = position.offset_bytes, left_bytes = bytes_max;
    struct side side = {.low = UINTPTR_MAX};

    while (d != NULL && offset_bytes >= d->size_bytes) {
        offset_bytes -= d->size_bytes;
        d = d->next;
    }
    side.starts_past_end = d == NULL && offset_bytes > 0 && bytes_max > 0;
    for (; d != NULL && left_bytes > 0; d = d->next) {
        void *address = d->address;
        vck_status status = VCK_OK;
        if (d->size_bytes == 0)
            continue;
        if ((d->flags & (VCK_DESCRIPTOR_MAPPED | VCK_DESCRIPTOR_NONPAGED)) == 0)
            status = vck_descriptor_map(d, &address);
        if (status)
            return status;
        uint8_t *data = (uint8_t *)address + offset_bytes;
        uint64_t size_bytes = VCK_MIN(d->size_bytes - offset_bytes, left_bytes);
        if (left_bytes == bytes_max)
            side.start = (struct cursor){data, (size_t)size_bytes, d->next};
        side.low = VCK_MIN(side.low, (uintptr_t)data);
        side.high = VCK_MAX(side.high, (uintptr_t)data + size_bytes);
        left_bytes -= size_bytes;
        offset_bytes = 0;
    }
    side.bytes = bytes_max - left_bytes;
    *ret_side = side;
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
    cursor_settle(from);
    struct vck_buffer target = cursor_take(to, VCK_MIN(from->size_bytes, bytes_max));
    struct vck_buffer source = cursor_take(from, target.size_bytes);
    struct piece piece = {target.data, source.data, target.size_bytes};
    return piece;
}

#endif
