/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reserve: addresses kept for mapping one piece of a buffer, for paging I/O that comes when the
 * system has no addresses left: it must make progress, or nothing would ever be paged out.
 * One holder at a time; the others wait in the order in which they came.
 */
#ifndef VCK_VCKSYS_RESERVE_H
#define VCK_VCKSYS_RESERVE_H

#include "port/nt/ntapi.h"
#include "port/port.h"
#include "vck/future.h"
#include "vck/list.h"

VCK_BEGIN_DECLS

#define RESERVE_BYTES 65536u

struct reserve {
    void *addresses; /* of RESERVE_BYTES from anywhere in a page */
    PMDL mdl;
    struct vck_spinlock lock; /* the rest, and is_holder and link of all holders */
    bool is_held;
    struct vck_link waiting;
};

/* Somebody who holds it, or waits for it. */
struct reserve_holder {
    struct vck_link link;
    bool is_holder;
    struct vck_waker *waker; /* cloned while it waits */
};

/* NO_MEMORY leaves nothing behind. PASSIVE. */
VCK_CHECKED vck_status reserve_init(struct reserve *reserve);
/* Nobody holds it. Accepts one that is zeroed. PASSIVE. */
void reserve_fini(struct reserve *reserve);

void reserve_holder_init(struct reserve_holder *holder, struct vck_waker *waker);

/* True: it is the holder's, now or since its turn came; false: its waker is woken when its turn
 * comes. May be asked again. DISPATCH. */
VCK_CHECKED bool reserve_take(struct reserve *reserve, struct reserve_holder *holder);
/* To whoever waits longest. Nothing is mapped. DISPATCH. */
void reserve_give_back(struct reserve *reserve, struct reserve_holder *holder);

/* Maps size_bytes (up to RESERVE_BYTES) of the MDL's buffer from offset_bytes on; reserve->mdl then
 * describes them. The holder's. DISPATCH. Source: MmMapLockedPagesWithReservedMapping. */
void *reserve_map(struct reserve *reserve, PMDL mdl, uint32_t offset_bytes, uint32_t size_bytes);
void reserve_unmap(struct reserve *reserve);

VCK_END_DECLS

#endif
