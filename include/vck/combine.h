/* SPDX-License-Identifier: Apache-2.0 */
/*
 * combine: several futures in one: join is ready when all are, select when the first is.
 *
 * The futures stand in an array of the caller's; their results are in their own structs, where they
 * stay. An entry is set to NULL when its future is READY or was dropped, NULL entries are skipped.
 * Array and futures are lent until READY or dropped. Every wake polls what is still pending, so
 * these are for a handful of futures; for many use tasks and a task group.
 */
#ifndef VCK_COMBINE_H
#define VCK_COMBINE_H

#include <stddef.h>
#include "vck/future.h"

VCK_BEGIN_DECLS

struct vck_join {
    struct vck_future future;
    struct vck_future **futures;
    size_t count;
};

/* Ready when every future is; at once when there is none. Dropping it drops the pending ones.
 * Levels are those of the futures. */
void vck_join_init(struct vck_join *join, struct vck_future **futures, size_t count);

struct vck_select {
    struct vck_future future;
    struct vck_future **futures;
    size_t count;
    size_t first;
    size_t winner; /* once READY: its index in futures; count when there was no future at all */
};

/* Ready when one is; the others, polled or not, are dropped. Polling begins at futures[first] and
 * goes round, and of several that are ready the first in this order wins: with 0 always, earlier
 * entries have precedence; a loop that passes (winner + 1) % count starves none. Levels are those
 * of the futures. */
void vck_select_init(struct vck_select *select, struct vck_future **futures, size_t count,
                     size_t first);

VCK_END_DECLS

#endif
