/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard: keeps requests and the sweep out of each other's way without a lock on the request's path.
 *
 * A request claims a slot, writes its range there, and only then looks at the view (boundary, hot
 * zone); the sweep publishes a view and only then looks at the slots. So of two that meet, at least
 * one sees the other: the request sees the new view, or the sweep waits for the request to leave.
 * Requests outside the zone touch no lock and no cache line of another request.
 *
 * In the hot zone writers wait; readers are served from the batch's own buffer.
 */
#ifndef VCK_GUARD_H
#define VCK_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/future.h"
#include "vck/wait_queue.h"

VCK_BEGIN_DECLS

#define VCK_GUARD_SLOTS 64u

/* What a request has to know. Sectors are data-region relative. */
struct vck_guard_view {
    uint64_t cipher_end;     /* sectors below are ciphertext on disk */
    uint64_t hot_end;        /* [cipher_end, hot_end): read from hot_data, not from disk */
    const uint8_t *hot_data; /* new content of the batch, at cipher_end */
    bool hot_is_cipher;      /* hot_data is ciphertext */
    uint64_t lock_first;     /* [lock_first, lock_end): writers wait */
    uint64_t lock_end;
    vck_status lock_status; /* not OK: writers there fail with it instead of waiting */
    bool lock_readers;      /* readers wait there too: the volume is being exchanged */
};

struct vck_guard_slot {
    VCK_ALIGNAS(64) uint64_t state; /* 0 free; serial, kind and whether the range is valid */
    uint64_t first;
    uint64_t end;
    uint64_t serial;
};

struct vck_guard {
    struct vck_guard_slot slots[VCK_GUARD_SLOTS];
    VCK_ALIGNAS(64) uint64_t view_sequence; /* odd: being changed */
    struct vck_spinlock publishing;
    struct vck_guard_view view;
    VCK_ALIGNAS(64) struct vck_wait_queue unlocked; /* writers the zone keeps waiting */
    struct vck_wait_queue slot_free;                /* requests without a slot */
    struct vck_wait_queue left;                     /* a drain that waits for a slot to change */
    bool closed;
};

void vck_guard_init(struct vck_guard *guard, const struct vck_guard_view *view);

/* The current view; hot_data may only be read by who is inside. DISPATCH. */
void vck_guard_view_get(struct vck_guard *guard, struct vck_guard_view *ret_view);

/* ---- the request's side ---- */

struct vck_guard_enter {
    struct vck_future future;
    struct vck_guard *guard;
    uint64_t first;
    uint64_t end;
    bool is_write;
    struct vck_waiter waiter;
    struct vck_wait_queue *waiting_in;
    struct vck_guard_slot *slot; /* held: NULL when not inside */
    struct vck_guard_view view;  /* valid while inside */
    vck_status status;           /* once READY: OK means inside */
};

/* Enters for [first, end). READY with OK, with the zone's lock_status, or DELETED after close. */
void vck_guard_enter_init(struct vck_guard_enter *enter, struct vck_guard *guard, uint64_t first,
                          uint64_t end, bool is_write);
/* Leaves; harmless when not inside. DISPATCH. */
void vck_guard_leave(struct vck_guard_enter *enter);

/* ---- the sweep's side: one caller at a time ---- */

/* Makes the view current and wakes writers that it lets in. DISPATCH. */
void vck_guard_publish(struct vck_guard *guard, const struct vck_guard_view *view);

struct vck_guard_drain {
    struct vck_future future;
    struct vck_guard *guard;
    uint64_t first;
    uint64_t end;
    bool writers_only;
    uint32_t index;
    uint64_t waiting_for;
    struct vck_waiter waiter;
};

/* Ready when every request that was inside, overlapped [first, end) and is of the kind has left.
 * Called after the view that changes something for that range was published. */
void vck_guard_drain_init(struct vck_guard_drain *drain, struct vck_guard *guard, uint64_t first,
                          uint64_t end, bool writers_only);

/* From now on entering fails with DELETED; those who wait are told. Then drain everything. */
void vck_guard_close(struct vck_guard *guard);

VCK_END_DECLS

#endif
