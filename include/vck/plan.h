/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: how a range of the data region is stored at this moment. Pure functions of geometry, view
 * and range; the requests carry out what the plan says.
 */
#ifndef VCK_PLAN_H
#define VCK_PLAN_H

#include <stdint.h>
#include "vck/guard.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

enum vck_segment_kind {
    VCK_SEGMENT_CIPHER, /* ciphertext on disk */
    VCK_SEGMENT_HOT,    /* being moved: the batch's buffer has it */
    VCK_SEGMENT_PLAIN,  /* plaintext on disk */
};

struct vck_segment {
    enum vck_segment_kind kind;
    uint64_t first_sector;
    uint64_t sectors;
};

/* Segments in ascending order, none empty, together the range. */
struct vck_plan {
    uint32_t count;
    struct vck_segment segments[3];
};

/* Turns bytes into sectors. INVALID_DATA: not whole sectors; OUT_OF_RANGE: beyond the data region
 * (which also is how metadata is refused: it lies outside). A range of no bytes is fine anywhere up
 * to the end. */
VCK_CHECKED vck_status vck_plan_range(uint32_t sector_size_bytes, uint64_t data_sectors,
                                      uint64_t offset_bytes, uint64_t size_bytes,
                                      uint64_t *ret_first_sector, uint64_t *ret_sectors);

void vck_plan_init(struct vck_plan *ret_plan, const struct vck_guard_view *view,
                   uint64_t first_sector, uint64_t sectors);

VCK_END_DECLS

#endif
