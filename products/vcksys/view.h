/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view: how a bound volume's data region looks from above, in the buffers of device control
 * requests. Pure functions of bytes, so that they are tested where sanitizers are.
 *
 * Layouts: the structures of ntdddisk.h, ntddvol.h and ntddstor.h as 64-bit Windows lays them out;
 * an I/O control code's page in the WDK documentation names the one it carries.
 */
#ifndef VCK_VCKSYS_VIEW_H
#define VCK_VCKSYS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Where the data region lies on the device. */
struct view {
    uint32_t sector_size_bytes;
    uint64_t start_bytes;
    uint64_t size_bytes;
};

/* What becomes of a device control request. */
enum view_action {
    VIEW_PASS,    /* goes down unchanged */
    VIEW_ANSWER,  /* goes down; view_rewrite corrects the answer */
    VIEW_SHIFT,   /* view_shift corrects the question; then as VIEW_ANSWER */
    VIEW_TRIM,    /* data set management: see view_trim_parse */
    VIEW_REFUSE,  /* would reach sectors behind the volume's back */
    VIEW_WRITABLE /* asks whether the device can be written */
};

/* For a filter that is bound. Any level. */
enum view_action view_action_bound(uint32_t code);
/* For one that refuses writes: VIEW_PASS, VIEW_WRITABLE, or VIEW_REFUSE for what could write.
 * request: the input buffer. Any level. */
enum view_action view_action_refusing(uint32_t code, const uint8_t *request, size_t size_bytes);

/*
 * Replaces sizes and places in an answer of size_bytes, as far as they lie within it. INVALID_DATA:
 * the answer names a place outside the data region. Any level.
 */
VCK_CHECKED vck_status view_rewrite(const struct view *view, uint32_t code, uint8_t *answer,
                                    size_t size_bytes);

/* Turns a place in the data region into one on the device. SIZE_MISMATCH: the request is too short;
 * OUT_OF_RANGE. Any level. */
VCK_CHECKED vck_status view_shift(const struct view *view, uint32_t code, uint8_t *request,
                                  size_t size_bytes);

/* ---- trim ---- */

/* The ranges of a data set management request, within its buffer. */
struct view_trim {
    const uint8_t *ranges;
    uint32_t count;
    bool whole; /* no ranges: the whole device is meant */
};

/* UNSUPPORTED: not a trim; INVALID_DATA: lengths or offsets do not fit. The actions are those of
 * DEVICE_MANAGE_DATA_SET_ATTRIBUTES. Any level. */
VCK_CHECKED vck_status view_trim_parse(const uint8_t *request, size_t size_bytes,
                                       struct view_trim *ret_trim);

/* The i-th range, clipped to the data region and then inward to whole sectors; may be empty. */
void view_trim_range(const struct view *view, const struct view_trim *trim, uint32_t index,
                     uint64_t *ret_offset_bytes, uint64_t *ret_size_bytes);

VCK_END_DECLS

#endif
