/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rwlock: a lock that several threads may hold to read, or one to write. First come, first served:
 * a reader that comes after a waiting writer waits behind it, so neither starves; for that reason a
 * thread that reads may not take the lock to read once more. Held inside a critical region.
 */
#ifndef VCK_RWLOCK_H
#define VCK_RWLOCK_H

#include "port/port.h"
#include "vck/waiters.h"

VCK_BEGIN_DECLS

/* Zeroed memory is a free lock. */
struct VCK_CAPABILITY("rwlock") vck_rwlock {
    struct vck_spinlock lock;
    uint32_t readers;
    uint32_t writer; /* thread id, 0 without */
    struct vck_waiters waiters;
    const char *site; /* where it was last taken; with lock_class for lock_check */
    uint8_t lock_class;
};

void vck_rwlock_init_at(struct vck_rwlock *rwlock, const char *site);
/* Free, and nobody waits. */
void vck_rwlock_fini_at(struct vck_rwlock *rwlock, const char *site);

/* To read, and to write. APC. */
void vck_rwlock_acquire_shared_at(struct vck_rwlock *rwlock, const char *site)
    VCK_ACQUIRES_SHARED(*rwlock) VCK_CAN_WAIT;
void vck_rwlock_acquire_exclusive_at(struct vck_rwlock *rwlock, const char *site)
    VCK_ACQUIRES(*rwlock) VCK_CAN_WAIT;

/* By the thread that took it. APC. */
void vck_rwlock_release_shared_at(struct vck_rwlock *rwlock, const char *site)
    VCK_RELEASES_SHARED(*rwlock);
void vck_rwlock_release_exclusive_at(struct vck_rwlock *rwlock, const char *site)
    VCK_RELEASES(*rwlock);

#define vck_rwlock_init(rwlock)              vck_rwlock_init_at((rwlock), VCK_HERE)
#define vck_rwlock_fini(rwlock)              vck_rwlock_fini_at((rwlock), VCK_HERE)
#define vck_rwlock_acquire_shared(rwlock)    vck_rwlock_acquire_shared_at((rwlock), VCK_HERE)
#define vck_rwlock_acquire_exclusive(rwlock) vck_rwlock_acquire_exclusive_at((rwlock), VCK_HERE)
#define vck_rwlock_release_shared(rwlock)    vck_rwlock_release_shared_at((rwlock), VCK_HERE)
#define vck_rwlock_release_exclusive(rwlock) vck_rwlock_release_exclusive_at((rwlock), VCK_HERE)

VCK_END_DECLS

#endif
