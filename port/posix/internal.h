/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal: what the files of the POSIX port share: the state of the calling thread and the log of
 * fatal errors.
 */
#ifndef VCK_PORT_POSIX_INTERNAL_H
#define VCK_PORT_POSIX_INTERNAL_H

#include <stdint.h>
#include "port/port.h"
#include "vck/lock_check.h"

/* What the port knows of the calling thread. */
struct thread_state {
    vck_level level; /* simulated */
    uint32_t id;     /* unique in the process, never 0 */
    uint32_t mutexes_held;
    uint32_t region_depth; /* critical regions; each mutex is one */
    void *slot;            /* the thread room's, of slot_generation */
    uint32_t slot_generation;
    void *worker;                /* the task room's */
    struct vck_lock_stack locks; /* when VCK_CHECKS_LOCKS */
};

/* The id of a thread that is about to be created. Any level. */
uint32_t vck_posix_new_thread_id(void);

extern _Thread_local struct thread_state vck_posix_state;

/* The calling thread's state. Any level. */
static inline struct thread_state *vck_posix_thread_state(void)
{
    struct thread_state *self = &vck_posix_state;
    if (self->id == 0)
        self->id = vck_posix_new_thread_id();
    return self;
}

/* Stops the program when `cond` is false, naming file and line of the check. */
#define FATAL_UNLESS(cond, what) ((cond) ? (void)0 : vck_assert_failed((what), __FILE__, __LINE__))

#endif
