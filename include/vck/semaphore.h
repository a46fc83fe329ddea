/* SPDX-License-Identifier: Apache-2.0 */
/*
 * semaphore: a number of units that threads take and give back, with an upper limit. Units are
 * handed out first come, first served.
 */
#ifndef VCK_SEMAPHORE_H
#define VCK_SEMAPHORE_H

#include <stdint.h>
#include "port/port.h"
#include "vck/waiters.h"

VCK_BEGIN_DECLS

struct vck_semaphore {
    struct vck_spinlock lock;
    uint32_t count; /* 0 while somebody waits */
    uint32_t limit;
    struct vck_waiters waiters;
};

/* count units of at most limit, which is not 0. */
void vck_semaphore_init(struct vck_semaphore *semaphore, uint32_t count, uint32_t limit);
/* Nobody waits. */
void vck_semaphore_fini(struct vck_semaphore *semaphore);

/* Takes one unit. TIMEOUT when deadline_ns (vck_clock_ns; VCK_FOREVER for none, 0 for not at all)
 * passes first. APC. */
VCK_CHECKED vck_status vck_semaphore_wait_at(struct vck_semaphore *semaphore, uint64_t deadline_ns,
                                             const char *site) VCK_CAN_WAIT;
#define vck_semaphore_wait(semaphore, deadline_ns)                                                 \
    vck_semaphore_wait_at((semaphore), (deadline_ns), VCK_HERE)

/* Gives back units, at once. OUT_OF_RANGE when there would be more than the limit, counting those
 * that go straight to waiting threads; then nothing is given back. DISPATCH. */
VCK_CHECKED vck_status vck_semaphore_release(struct vck_semaphore *semaphore, uint32_t units);

VCK_END_DECLS

#endif
