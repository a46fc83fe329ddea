/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain: memory in pieces, as drivers get it. A chain is a list of descriptors that ends with NULL;
 * each describes size_bytes contiguous bytes, possibly 0, that have an address once they are
 * mapped. A position is a place in a chain: relative to some descriptor, or normalised, that is,
 * inside the descriptor it names. What is done with the bytes is in span.h, span_fill.h,
 * span_copy.h and span_compare.h.
 *
 * Nothing here allocates or owns: descriptors and memory stay the caller's. A chain is used by one
 * thread at a time until all of it is mapped; afterwards any number may read it. Up to DISPATCH
 * when the memory itself may be touched there. Source: docs/runtime.md, "Chains".
 */
#ifndef VCK_CHAIN_H
#define VCK_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Pages are counted in this unit on every port. */
#define VCK_CHAIN_PAGE_BYTES 4096u

/* Either flag says that `address` is valid; set by whoever mapped the memory. */
#define VCK_DESCRIPTOR_MAPPED   0x0001u
#define VCK_DESCRIPTOR_NONPAGED 0x0004u

/* One piece. The members have the places they have in the NT kernel's MDL, so that there a chain is
 * a list of MDLs as they come, without a copy; elsewhere `port_` members are free for the caller.
 */
struct vck_descriptor {
    struct vck_descriptor *next;
    uint16_t port_size;
    uint16_t flags;
    void *port_pointer;
    void *address;         /* of the first byte; NULL until mapped */
    void *page_address;    /* of the page of the first byte, in whatever space the port maps from */
    uint32_t size_bytes;   /* 0 allowed: such a piece is skipped, and never mapped */
    uint32_t offset_bytes; /* of the first byte in its page, also before it is mapped */
};

/* A descriptor of memory that is mapped already. address may be NULL when size_bytes is 0. */
void vck_descriptor_init(struct vck_descriptor *descriptor, void *address, uint32_t size_bytes);

/* A descriptor of memory that the map hook will give an address. offset_bytes is within the first
 * page, below VCK_CHAIN_PAGE_BYTES. */
void vck_descriptor_init_unmapped(struct vck_descriptor *descriptor, void *page_address,
                                  uint32_t offset_bytes, uint32_t size_bytes);

/* Gives a descriptor its address: sets `address` and VCK_DESCRIPTOR_MAPPED and returns OK, or
 * changes nothing and returns why, as a rule NO_MEMORY. DISPATCH. */
typedef vck_status vck_descriptor_map_hook(struct vck_descriptor *descriptor);

/* Sets the hook of the whole program; NULL for none. Before the first unmapped chain. */
void vck_descriptor_set_map_hook(vck_descriptor_map_hook *hook);

/* The first byte's address, mapping when needed. NULL with OK only when the size is 0. UNSUPPORTED
 * (no hook, or it did not map), or what the hook returned; nothing has changed then. DISPATCH. */
VCK_CHECKED vck_status vck_descriptor_map(struct vck_descriptor *descriptor, void **ret_address);

/* ---- counts ---- */

struct vck_chain_counts {
    uint64_t descriptors; /* those of no bytes included */
    uint64_t bytes;
    uint64_t pages; /* that the bytes lie in, piece by piece: a page in two pieces counts twice */
};

/* Counts from first (NULL: an empty chain) to the end; maps nothing. Any level. */
struct vck_chain_counts vck_chain_count(const struct vck_descriptor *first);

/* ---- positions ---- */

/* offset_bytes counts from the first byte of the descriptor and may reach beyond it, into those
 * that follow. NULL is the end of the chain; an offset from there is beyond the end. */
struct vck_position {
    struct vck_descriptor *descriptor;
    uint64_t offset_bytes;
};

/* Makes the offset smaller than the descriptor's size; the chain's end becomes {NULL, 0}.
 * OUT_OF_RANGE, position untouched: it is beyond the end. Any level. */
VCK_CHECKED vck_status vck_position_normalise(struct vck_position *position);

/* Moves forward and normalises. *ret_done_bytes (may be NULL) is how far it got, on failure too.
 * OUT_OF_RANGE: the chain has fewer bytes left; the position is its end then, and 0 were done when
 * it was beyond the end before. Any level. */
VCK_CHECKED vck_status vck_position_advance(struct vck_position *position, uint64_t bytes,
                                            uint64_t *ret_done_bytes);

VCK_END_DECLS

#endif
