/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: a future with a time limit. When the time passes first, the future inside is dropped.
 */
#ifndef VCK_TIMEOUT_H
#define VCK_TIMEOUT_H

#include "vck/sleep.h"

VCK_BEGIN_DECLS

struct vck_timeout {
    struct vck_future future;
    struct vck_sleep sleep;
    struct vck_future *inner;
    vck_status status; /* once READY: OK, inner is READY; TIMEOUT, inner was dropped */
};

/* Borrows inner until READY or dropped; it must be one that can be dropped. Inner is looked at
 * first: when it is ready together with the time limit, it wins. VCK_FOREVER is no limit. Polled
 * and dropped at APC or below, as sleeps are. */
void vck_timeout_init(struct vck_timeout *timeout, struct vck_future *inner, uint64_t duration_ns);
void vck_timeout_until_init(struct vck_timeout *timeout, struct vck_future *inner,
                            uint64_t deadline_ns);

/* block_on with a deadline (vck_clock_ns; VCK_FOREVER for none). OK; TIMEOUT: the future was
 * dropped. A deadline that has passed still polls once. APC. */
VCK_CHECKED vck_status vck_block_on_until(struct vck_future *future,
                                          uint64_t deadline_ns) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
