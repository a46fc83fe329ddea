/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal: what the files of the NT port share: raw pool memory, the state kept per thread, and
 * the start and end of each part.
 */
#ifndef VCK_PORT_NT_INTERNAL_H
#define VCK_PORT_NT_INTERNAL_H

#include <stdint.h>
#include "port/nt/nt.h"
#include "port/port.h"
#include "vck/lock_check.h"

/* Stops the system when `cond` is false, naming file and line of the check. */
#define FATAL_UNLESS(cond, what) ((cond) ? (void)0 : vck_assert_failed((what), __FILE__, __LINE__))

/* ---- pool: zeroed, never paged, not executable, not counted; for the port itself. DISPATCH. ----
 */

void *vck_nt_pool_alloc(size_t size_bytes, uint32_t tag);
void vck_nt_pool_free(void *p);

/* ---- what port/memory is written on ---- */

struct system_lock {
    KSPIN_LOCK lock;
    KIRQL irql; /* to go back to; of who holds it */
};

static inline void system_lock_init(struct system_lock *lock)
{
    KeInitializeSpinLock(&lock->lock);
}

static inline void system_lock_take(struct system_lock *lock)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&lock->lock);
    lock->irql = irql;
}

static inline void system_lock_release(struct system_lock *lock)
{
    KeReleaseSpinLock(&lock->lock, lock->irql);
}

/* The first time is in vck_nt_init, where nobody else runs. */
struct system_once {
    bool is_done;
};
#define SYSTEM_ONCE_INIT                                                                           \
    {                                                                                              \
        false                                                                                      \
    }

static inline void system_once(struct system_once *once, void (*run)(void))
{
    if (!once->is_done)
        run();
    once->is_done = true;
}

/* Pool as above, counted by its tag. DISPATCH. */
void *system_heap_alloc(size_t size_bytes, uint32_t tag);
void system_heap_free(void *p, uint32_t tag);

/* ---- the state of threads ---- */

/* What is kept for a thread that has something to keep. Only the thread itself, and DPCs that
 * borrow it, touch its entry; an entry is never freed before the port ends. */
struct vck_nt_thread {
    struct vck_nt_thread *next; /* in its bucket; constant once it is there */
    void *thread;               /* PETHREAD, NULL: the entry is free */
    void *slot;                 /* the thread room's, of slot_generation */
    void *worker;               /* the task room's */
    uint32_t slot_generation;
    bool is_ours; /* its end clears the slot: not one of the system's */
#if VCK_CHECKS_LOCKS
    struct vck_lock_stack locks;
#endif
};

/* An entry for vck_nt_thread_claim, or NULL. DISPATCH. */
struct vck_nt_thread *vck_nt_thread_new(void);
/* The calling thread's entry, NULL when it has none. Any level. */
struct vck_nt_thread *vck_nt_thread_find(void);
/* The same; takes a free entry, `spare` (which is then gone: *spare is NULL), or a new one. NULL
 * when there is no memory. spare may be NULL. DISPATCH. */
struct vck_nt_thread *vck_nt_thread_claim(struct vck_nt_thread **spare);
/* Frees the entry when there is nothing in it any more. Not from a DPC, which may have come between
 * the claim of the entry and its use. APC. */
void vck_nt_thread_tidy(struct vck_nt_thread *entry);
/* Puts a value into the slot of a thread of ours, which `spare` makes sure of. APC. */
void vck_nt_thread_slot_fill(void *value, struct vck_nt_thread **spare);
/* The calling thread of ours ends: everything kept of it goes. APC. */
void vck_nt_thread_forget(void);

/* ---- parts: init may fail and then leaves nothing; fini accepts parts that were not started ----
 */

void vck_nt_memory_init(void);
void vck_nt_memory_report(void);
void vck_nt_clock_init(void);
void vck_nt_log_init(const UNICODE_STRING *registry_path);
void vck_nt_slots_init(void);
void vck_nt_slots_fini(void);
VCK_CHECKED vck_status vck_nt_threads_init(void);
void vck_nt_threads_fini(void) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_nt_defer_init(void);
void vck_nt_defer_fini(void) VCK_CAN_WAIT;
bool vck_nt_defer_runs(void);
void vck_nt_timers_init(void);
void vck_nt_timers_fini(void) VCK_CAN_WAIT;

/* The calling thread. Any level. */
void *vck_nt_current_thread(void);

/* One line to the log, past the threshold and the sinks above the port. Any level. */
void vck_nt_log(enum vck_log_level level, const char *fmt, ...) VCK_PRINTF(2, 3);

/* KeWaitForSingleObject until it is signalled. APC. */
void vck_nt_wait_for(void *object) VCK_CAN_WAIT;

#endif
