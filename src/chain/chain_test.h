/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of this room share: chains split at random, and the flat list of the addresses
 * their bytes have, which is the model the operations are compared with.
 */
#ifndef VCK_CHAIN_TEST_H
#define VCK_CHAIN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "random.h"
#include "vck/bytes.h"
#include "vck/span.h"

#define ROUNDS      4000u
#define PIECES_MAX  80u
#define ARENA_BYTES 16384u

static inline uint32_t random_below(uint32_t bound)
{
    return random_u32() % bound;
}

/* ---- mapping ---- */

static unsigned map_calls;
static unsigned map_fail_nth; /* 1 is the next, 0 none */

static inline vck_status map_hook(struct vck_descriptor *descriptor)
{
    assert_int_not_equal(descriptor->size_bytes, 0);
    assert_int_equal(descriptor->flags, 0);
    if (++map_calls == map_fail_nth)
        return VCK_NO_MEMORY;
    descriptor->address = (uint8_t *)descriptor->page_address + descriptor->offset_bytes;
    descriptor->flags = VCK_DESCRIPTOR_MAPPED;
    return VCK_OK;
}

static inline void fail_nth_map(unsigned n)
{
    map_calls = 0;
    map_fail_nth = n;
}

/* ---- chains ---- */

struct test_chain {
    struct vck_descriptor pieces[PIECES_MAX];
    uint32_t count;
    uint8_t *at[ARENA_BYTES]; /* where the chain's bytes are */
    uint32_t piece_of[ARENA_BYTES];
    uint32_t bytes;
};

/* Spans to pass by address. */
#define SPAN(first, offset_bytes, length_bytes)                                                    \
    (&(struct vck_span){{(first), (offset_bytes)}, (length_bytes)})
#define WHOLE(first) SPAN(first, 0, VCK_SPAN_TO_END)

static inline struct vck_descriptor *chain_first(struct test_chain *chain)
{
    return chain->count == 0 ? NULL : chain->pieces;
}

/* Forgets every mapping. */
static inline void chain_unmap(struct test_chain *chain)
{
    for (uint32_t i = 0; i < chain->count; i++) {
        chain->pieces[i].flags = 0;
        chain->pieces[i].address = NULL;
    }
}

static inline void chain_append(struct test_chain *chain, uint8_t *address, uint32_t size_bytes)
{
    struct vck_descriptor *piece = &chain->pieces[chain->count];

    vck_descriptor_init(piece, address, size_bytes);
    if (chain->count > 0)
        chain->pieces[chain->count - 1].next = piece;
    for (uint32_t i = 0; i < size_bytes; i++) {
        chain->at[chain->bytes] = address + i;
        chain->piece_of[chain->bytes++] = chain->count;
    }
    chain->count++;
}

/* Up to pieces_max pieces, each after the one before in the arena, with gaps; some are empty. */
static inline void chain_make(struct test_chain *chain, uint8_t *arena, uint32_t arena_bytes,
                              uint32_t pieces_max, uint32_t piece_bytes_max)
{
    uint32_t pieces = random_below(pieces_max + 1), used = 0;

    chain->count = chain->bytes = 0;
    for (uint32_t i = 0; i < pieces; i++) {
        uint32_t gap = random_below(3) == 0 ? 0 : random_below(17);
        uint32_t size = random_below(4) == 0 ? 0 : random_below(piece_bytes_max + 1);
        if (used + gap + size > arena_bytes)
            break;
        chain_append(chain, arena + used + gap, size);
        used += gap + size;
    }
    if (random_below(2) == 0)
        chain_unmap(chain);
}

/* Pieces anywhere in the arena, also on top of each other. */
static inline void chain_make_shuffled(struct test_chain *chain, uint8_t *arena,
                                       uint32_t arena_bytes, uint32_t pieces_max,
                                       uint32_t piece_bytes_max)
{
    uint32_t pieces = random_below(pieces_max + 1);

    chain->count = chain->bytes = 0;
    for (uint32_t i = 0; i < pieces; i++) {
        uint32_t size = random_below(VCK_MIN(piece_bytes_max, arena_bytes) + 1);
        chain_append(chain, arena + random_below(arena_bytes - size + 1), size);
    }
}

/* A span of the chain at some offset, at times longer than the chain, at times relative to a later
 * descriptor. *ret_offset and *ret_bytes are what it really covers. */
static inline struct vck_span chain_random_span(struct test_chain *chain, uint32_t *ret_offset,
                                                uint32_t *ret_bytes)
{
    uint32_t offset = random_below(chain->bytes + 1), start = 0;
    uint32_t left = chain->bytes - offset;
    struct vck_span span = vck_span_of(chain_first(chain), offset, 0);

    for (uint32_t i = 0; i < chain->count && random_below(2) == 0; i++) {
        if (start + chain->pieces[i].size_bytes > offset)
            break;
        start += chain->pieces[i].size_bytes;
        span.position.descriptor = chain->pieces[i].next;
    }
    span.position.offset_bytes = offset - start;
    switch (random_below(8)) {
    case 0:
        span.length_bytes = VCK_SPAN_TO_END;
        break;
    case 1:
        span.length_bytes = left + 1u + random_below(9);
        break;
    case 2:
        span.length_bytes = VCK_SPAN_TO_END - 1;
        break;
    default:
        span.length_bytes = random_below(left + 1);
        break;
    }
    *ret_offset = offset;
    *ret_bytes = (uint32_t)VCK_MIN(span.length_bytes, left);
    return span;
}

/* What an operation over `bytes` real bytes of spans of this length returns. */
static inline vck_status expected_status(uint64_t asked_bytes, uint64_t bytes)
{
    return asked_bytes != VCK_SPAN_TO_END && bytes < asked_bytes ? VCK_OUT_OF_RANGE : VCK_OK;
}

static inline int set_map_hook(void **state)
{
    (void)state;
    fail_nth_map(0);
    vck_descriptor_set_map_hook(map_hook);
    return 0;
}

#endif
