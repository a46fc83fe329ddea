/* SPDX-License-Identifier: Apache-2.0 */
/*
 * used_map: what of a data region is in use, so that a sweep may leave out the rest. A bit for each
 * granule: whoever looks at the content of the volume marks what is used there, requests mark what
 * they write meanwhile, and nothing is ever unmarked. Too much is marked rather than too little: a
 * granule is used as a whole, and gaps that are not worth a write of metadata count as used.
 *
 * What it is not: it knows no file system and nothing of the boundary.
 */
#ifndef VCK_USED_MAP_H
#define VCK_USED_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/status.h"

VCK_BEGIN_DECLS

/* The granule doubles from the smallest on until the map is at most so large: 2 TiB in 64 KiB. */
#define VCK_USED_MAP_BYTES_MAX    (4u * 1024u * 1024u)
#define VCK_USED_GRANULE_BYTES    65536u
#define VCK_USED_GAP_GRANULES_MIN 16u

/* As somebody outside tells it: any bytes of the data region. */
struct vck_used_range {
    uint64_t offset_bytes;
    uint64_t size_bytes;
};

/* All in sectors of the data region. */
struct vck_used_map {
    uint64_t *words; /* bits, set: used */
    uint64_t size_bytes;
    uint64_t granules;
    uint64_t granule_sectors;
    uint64_t gap_sectors_min; /* shorter gaps count as used */
    uint64_t data_sectors;
    uint64_t recording; /* which one it is */
    bool in_effect;     /* atomic: a sweep looks at it */
};

/* Nothing is used yet. granule_bytes: at least a sector, a power of two; 0: VCK_USED_GRANULE_BYTES
 * and gaps of VCK_USED_GAP_GRANULES_MIN, otherwise gaps of one. NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_used_map_init(struct vck_used_map *map, uint64_t data_sectors,
                                         uint32_t sector_size_bytes, uint32_t granule_bytes);
/* Harmless for a zeroed one. */
void vck_used_map_fini(struct vck_used_map *map);

/* Marks the granules that the range touches; it lies in the data region. Any thread, DISPATCH. */
void vck_used_map_mark(struct vck_used_map *map, uint64_t first_sector, uint64_t sectors);

/* Where the gap ends that begins with the sector; first_sector itself where none does. Marks that
 * come meanwhile are seen or not. Any thread. */
uint64_t vck_used_map_gap_end(const struct vck_used_map *map, uint64_t first_sector);

/* How many of the next sectors, at most the limit, come before the next gap. Any thread. */
uint64_t vck_used_map_run(const struct vck_used_map *map, uint64_t first_sector,
                          uint64_t limit_sectors);

VCK_END_DECLS

#endif
