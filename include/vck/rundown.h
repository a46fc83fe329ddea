/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rundown: protects what others use for a moment against going away under them. Users acquire and
 * release; who takes it away runs it down: from then on nobody acquires, and it waits for those
 * that have. One atomic operation each way while nothing ends.
 *
 *     in use --vck_rundown_wait--> running down --last release--> down --vck_rundown_reset--> in
 * use
 *
 * It protects what it lies beside, not itself: its own memory stays for as long as anybody may
 * still try to acquire.
 */
#ifndef VCK_RUNDOWN_H
#define VCK_RUNDOWN_H

#include <stdbool.h>
#include <stdint.h>
#include "port/port.h"
#include "vck/waiters.h"

VCK_BEGIN_DECLS

/* Zeroed memory is in use. */
struct vck_rundown {
    uint64_t word; /* users times two, plus one when the end has begun */
    struct vck_spinlock lock;
    bool is_down;
    struct vck_waiters waiters;
};

void vck_rundown_init(struct vck_rundown *rundown);

/* False once run-down has begun; else to be released. DISPATCH. */
static inline VCK_CHECKED bool vck_rundown_acquire(struct vck_rundown *rundown)
{
    uint64_t seen = __atomic_load_n(&rundown->word, __ATOMIC_RELAXED);
    while ((seen & 1) == 0) {
        if (__atomic_compare_exchange_n(&rundown->word, &seen, seen + 2, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* The last release after the end began. Called by vck_rundown_release. */
VCK_COLD void vck_rundown_end(struct vck_rundown *rundown);

/* By any thread. After the last one the memory may go at once. DISPATCH. */
static inline void vck_rundown_release(struct vck_rundown *rundown)
{
    uint64_t before = __atomic_fetch_sub(&rundown->word, 2, __ATOMIC_ACQ_REL);
    VCK_ASSERT(before >= 2);
    if (before == 3)
        vck_rundown_end(rundown);
}

/* Lets nobody acquire any more and returns when everybody has released. May be called more than
 * once and by several threads; the caller itself must not have acquired. APC. */
void vck_rundown_wait_at(struct vck_rundown *rundown, const char *site) VCK_CAN_WAIT;
#define vck_rundown_wait(rundown) vck_rundown_wait_at((rundown), VCK_HERE)

/* Lets users in again; only after a wait has returned and while none is under way. DISPATCH. */
void vck_rundown_reset(struct vck_rundown *rundown);

VCK_END_DECLS

#endif
