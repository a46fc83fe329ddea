/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosted: what the ports to systems with processes share: the state of the calling thread, and the
 * files of this folder, which are written on the internal header of the port beneath them.
 */
#ifndef VCK_PORT_HOSTED_HOSTED_H
#define VCK_PORT_HOSTED_HOSTED_H

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
uint32_t vck_hosted_new_thread_id(void);

/* Runs the thread room's function when the slot has a value; the thread ends. */
void vck_hosted_end_slot(struct thread_state *self);

/* Stops the program when `cond` is false, naming file and line of the check. */
#define FATAL_UNLESS(cond, what) ((cond) ? (void)0 : vck_assert_failed((what), __FILE__, __LINE__))

#endif
