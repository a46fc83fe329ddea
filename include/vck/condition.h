/* SPDX-License-Identifier: Apache-2.0 */
/*
 * condition: waits, under a mutex, until others have changed what the mutex covers. A wait ends
 * when it was signalled or its time has passed, never by itself; what it waited for may still have
 * been taken by a third thread, which vck_condition_wait_while looks after.
 */
#ifndef VCK_CONDITION_H
#define VCK_CONDITION_H

#include <stdbool.h>
#include "port/port.h"
#include "vck/waiters.h"

VCK_BEGIN_DECLS

/* Zeroed memory is a condition. All waits at one time name the same mutex. */
struct vck_condition {
    struct vck_spinlock lock;
    struct vck_waiters waiters;
};

void vck_condition_init(struct vck_condition *condition);
/* Nobody waits. */
void vck_condition_fini(struct vck_condition *condition);

/* Gives the mutex back, waits, takes it again. OK, or TIMEOUT when deadline_ns (vck_clock_ns;
 * VCK_FOREVER for none) passes first. A signal is lost on nobody: a thread that got it returns OK.
 * APC. */
vck_status vck_condition_wait_at(struct vck_condition *condition, struct vck_mutex *mutex,
                                 uint64_t deadline_ns, const char *site)
    VCK_REQUIRES(*mutex) VCK_CAN_WAIT;

/* Waits while predicate(context), which runs with the mutex held. TIMEOUT: it still held when the
 * time had passed. APC. */
vck_status vck_condition_wait_while_at(struct vck_condition *condition, struct vck_mutex *mutex,
                                       bool (*predicate)(void *context), void *context,
                                       uint64_t deadline_ns, const char *site)
    VCK_REQUIRES(*mutex) VCK_CAN_WAIT;

#define vck_condition_wait(condition, mutex)                                                       \
    ((void)vck_condition_wait_at((condition), (mutex), VCK_FOREVER, VCK_HERE))
#define vck_condition_wait_until(condition, mutex, deadline_ns)                                    \
    vck_condition_wait_at((condition), (mutex), (deadline_ns), VCK_HERE)
#define vck_condition_wait_while(condition, mutex, predicate, context, deadline_ns)                \
    vck_condition_wait_while_at((condition), (mutex), (predicate), (context), (deadline_ns),       \
                                VCK_HERE)

/* Ends one wait, the oldest, or all; with or without the mutex. DISPATCH. */
void vck_condition_signal(struct vck_condition *condition);
void vck_condition_broadcast(struct vck_condition *condition);

VCK_END_DECLS

#endif
