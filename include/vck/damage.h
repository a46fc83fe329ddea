/* SPDX-License-Identifier: Apache-2.0 */
/*
 * damage: the lost chunks of an attached volume. Reads that touch one fail; a write that covers one
 * removes it, durably, before the write is acknowledged.
 */
#ifndef VCK_DAMAGE_H
#define VCK_DAMAGE_H

#include <stdint.h>
#include "vck/coroutine.h"
#include "vck/disk_io.h"
#include "vck/journal.h"
#include "vck/provider.h"
#include "vck/wait_queue.h"

VCK_BEGIN_DECLS

struct vck_damage {
    struct vck_offset_store *store; /* holds the list; borrowed */
    struct vck_disk *disk;
    uint64_t lost_first_byte; /* constant: a range whose damage no list can name */
    uint64_t lost_bytes;
    struct vck_spinlock lock; /* the list */
    uint32_t count;           /* read without the lock: almost always 0 */
    uint32_t forgetting;      /* one writer at a time changes the list on disk */
    struct vck_wait_queue waiting;
    struct vck_damage_list next; /* what is being written, by the one who forgets */
    uint8_t *slot;               /* page aligned; only where there is damage */
};

/* NO_MEMORY. A config without an offset store: nothing is ever damaged. */
VCK_CHECKED vck_status vck_damage_init(struct vck_damage *damage,
                                       const struct vck_io_config *config, struct vck_disk *disk);
/* The same for one that fini has emptied, with the store made anew; it may be looked at all the
 * time. NO_MEMORY. */
VCK_CHECKED vck_status vck_damage_renew(struct vck_damage *damage,
                                        const struct vck_io_config *config);
void vck_damage_fini(struct vck_damage *damage);

/* Whether the range touches a lost chunk, and the first one. DISPATCH. */
bool vck_damage_touches(struct vck_damage *damage, uint64_t first_byte, uint64_t size_bytes,
                        uint64_t *ret_offset_bytes);
void vck_damage_snapshot(struct vck_damage *damage, struct vck_damage_list *ret_list);

/* Forgets the chunks that [first_byte, first_byte + size_bytes) covers; the new contents have been
 * written. Flushes, writes the list, flushes. */
struct vck_damage_forget {
    struct vck_future future;
    vck_status status; /* once READY */
    struct vck_coroutine co;
    struct vck_damage *damage;
    uint64_t first_byte;
    uint64_t size_bytes;
    uint32_t replica;
    bool locked;
    bool flush_failed;
    struct vck_waiter waiter;
    struct vck_disk_future io;
};

void vck_damage_forget_init(struct vck_damage_forget *forget, struct vck_damage *damage,
                            uint64_t first_byte, uint64_t size_bytes);

VCK_END_DECLS

#endif
