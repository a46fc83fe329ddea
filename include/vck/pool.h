/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: buffers that are reserved when a volume is attached, so that I/O under memory pressure
 * (paging I/O) waits for another request at most, never for memory.
 */
#ifndef VCK_POOL_H
#define VCK_POOL_H

#include <stdint.h>
#include "vck/future.h"
#include "vck/status.h"
#include "vck/wait_queue.h"

VCK_BEGIN_DECLS

#define VCK_POOL_BUFFERS_MAX 16u

struct vck_pool {
    uint8_t *memory;
    uint32_t buffer_bytes;
    uint32_t count;
    uint32_t free_mask; /* bit i: buffer i is free */
    uint32_t used_mask; /* ... has held data at some time */
    struct vck_wait_queue waiting;
};

/* count (1 to VCK_POOL_BUFFERS_MAX) page-aligned buffers of buffer_bytes (whole pages). fini wipes
 * those that were used; it accepts a zeroed pool. NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_pool_init(struct vck_pool *pool, uint32_t count, uint32_t buffer_bytes);
void vck_pool_fini(struct vck_pool *pool);
/* Wipes what was used; nobody has a buffer. PASSIVE. */
void vck_pool_wipe(struct vck_pool *pool);

struct vck_pool_get {
    struct vck_future future;
    struct vck_pool *pool;
    struct vck_waiter waiter;
    uint8_t *buffer; /* once READY */
};

/* Ready with a buffer. */
void vck_pool_get_init(struct vck_pool_get *get, struct vck_pool *pool);
/* Gives it back; accepts NULL. DISPATCH. */
void vck_pool_put(struct vck_pool *pool, uint8_t *buffer);

VCK_END_DECLS

#endif
