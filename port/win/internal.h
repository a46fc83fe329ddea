/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal: what the files of the Windows port share: the state of the calling thread, and the only
 * include of the system's headers.
 */
#ifndef VCK_PORT_WIN_INTERNAL_H
#define VCK_PORT_WIN_INTERNAL_H

#include <windows.h>
#include "port/port.h"
#include "port/win/win.h"
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

/* The calling thread's state. Any level. */
struct thread_state *vck_win_thread_state(void);

/* The id of a thread that is about to be created. Any level. */
uint32_t vck_win_new_thread_id(void);

/* Runs the thread room's function when the slot has a value; the thread ends. */
void vck_win_end_slot(struct thread_state *self);

/* Milliseconds until a deadline of vck_clock_ns, rounded up; INFINITE for VCK_FOREVER. */
DWORD vck_win_ms_until(uint64_t deadline_ns);

/* Writes the explanation, adding the system's words for os_error unless it is 0, and returns
 * status. ret_error may be NULL. */
vck_status vck_win_explain(struct vck_win_error *ret_error, vck_status status, uint32_t os_error,
                           const char *format, ...) VCK_PRINTF(4, 5);

/* Stops the program when `cond` is false, naming file and line of the check. */
#define FATAL_UNLESS(cond, what) ((cond) ? (void)0 : vck_assert_failed((what), __FILE__, __LINE__))

#endif
