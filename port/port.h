/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port: what the core asks of the system it runs on. Ports translate and never decide.
 *
 * Levels: PASSIVE < APC < DISPATCH, as in the NT kernel. Every function names the highest level it
 * may be called at and debug builds assert it; the POSIX port simulates the level per thread (a
 * spin lock raises it, timer callbacks run at DISPATCH), so that the assertion is live in tests.
 *
 * Locks and events are fixed-size opaque storage, so that this header needs no system header; each
 * port asserts at compile time that its own structure fits.
 */
#ifndef VCK_PORT_PORT_H
#define VCK_PORT_PORT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* ---- memory ---- */

/* Zeroed memory aligned to 16 bytes, NULL when there is none. tag names the room for leak reports
 * (four characters, as NT's pool tags). free accepts NULL. DISPATCH. */
VCK_CHECKED void *vck_alloc(size_t size_bytes, uint32_t tag);
void vck_free(void *p);

/* Zeroed memory aligned to a page, never paged out where the port can lock it, left out of dumps
 * where it can. For I/O buffers and keys. Freed with the same size. PASSIVE. */
VCK_CHECKED void *vck_alloc_pages(size_t size_bytes, uint32_t tag);
void vck_free_pages(void *p, size_t size_bytes);

#define VCK_TAG(a, b, c, d)                                                                        \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Allocations that are live now, for leak checks in tests. */
size_t vck_alloc_live_count(void);

/* Makes the N-th allocation from now fail once (1 = the next), 0 to switch off. Tests only; a port
 * without it ignores the call. */
void vck_alloc_fail_nth(uint64_t n);

/* ---- levels ---- */

typedef enum vck_level {
    VCK_LEVEL_PASSIVE = 0,
    VCK_LEVEL_APC = 1,
    VCK_LEVEL_DISPATCH = 2,
} vck_level;

vck_level vck_current_level(void);

/* Stops the program, naming the caller, when the current level is above `highest`. */
#define VCK_ASSERT_LEVEL(highest) vck_level_check((highest), __FILE__, __LINE__)
void vck_level_check(vck_level highest, const char *file, int line);

/* A condition that only a bug can make false. Checked in every build; stops the program. */
#define VCK_ASSERT(cond) ((cond) ? (void)0 : vck_assert_failed(#cond, __FILE__, __LINE__))
__attribute__((noreturn)) VCK_COLD void vck_assert_failed(const char *what, const char *file,
                                                          int line);

/* ---- locks ---- */

struct VCK_CAPABILITY("spinlock") vck_spinlock {
    uint32_t word;
    uint32_t saved_level;
};

void vck_spinlock_init(struct vck_spinlock *lock);
/* Raises to DISPATCH until released. Short sections only; not recursive. DISPATCH. */
void vck_spinlock_acquire(struct vck_spinlock *lock) VCK_ACQUIRES(*lock) VCK_ACQUIRES(vck_raised);
void vck_spinlock_release(struct vck_spinlock *lock) VCK_RELEASES(*lock) VCK_RELEASES(vck_raised);

struct VCK_CAPABILITY("mutex") vck_mutex {
    VCK_ALIGNAS(8) unsigned char opaque[64];
};

void vck_mutex_init(struct vck_mutex *mutex);
void vck_mutex_fini(struct vck_mutex *mutex);
/* Held inside a critical region. Not recursive. APC. */
void vck_mutex_acquire(struct vck_mutex *mutex) VCK_ACQUIRES(*mutex) VCK_CAN_WAIT;
void vck_mutex_release(struct vck_mutex *mutex) VCK_RELEASES(*mutex);

/* ---- events ---- */

struct vck_event {
    VCK_ALIGNAS(8) unsigned char opaque[128];
};

#define VCK_FOREVER UINT64_MAX

/* An auto-reset event: one set releases one wait, a set before the wait is kept (at most one). */
void vck_event_init(struct vck_event *event);
void vck_event_fini(struct vck_event *event);
/* DISPATCH. The event may be finished by the waiter as soon as its wait returns. */
void vck_event_set(struct vck_event *event);
/* OK, or TIMEOUT when deadline_ns (vck_clock_ns; VCK_FOREVER for none) passes first. APC. */
vck_status vck_event_wait(struct vck_event *event, uint64_t deadline_ns) VCK_CAN_WAIT;

/* ---- threads ---- */

struct vck_thread;

enum vck_thread_class {
    VCK_THREAD_NORMAL,     /* the scheduler's default */
    VCK_THREAD_BACKGROUND, /* gives way to everything else on the machine */
};

/* Starts entry(context) at PASSIVE on a new thread; name is for debuggers (15 characters). join
 * waits for its end and frees the handle. NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_thread_create(void (*entry)(void *context), void *context,
                                         enum vck_thread_class thread_class, const char *name,
                                         struct vck_thread **ret_thread);
void vck_thread_join(struct vck_thread *thread VCK_TAKES) VCK_CAN_WAIT;

/* ---- clock and timers ---- */

/* Monotonic time in nanoseconds since some start. Any level. */
uint64_t vck_clock_ns(void);

struct vck_timer {
    VCK_ALIGNAS(8) unsigned char opaque[96];
};

/* A one-shot timer. expired(context) runs at DISPATCH on the port's timer thread or DPC and may
 * set the timer again. */
void vck_timer_init(struct vck_timer *timer, void (*expired)(void *context), void *context);
/* Arms for deadline_ns (vck_clock_ns), replacing an earlier deadline. DISPATCH. */
void vck_timer_set(struct vck_timer *timer, uint64_t deadline_ns);
/* Disarms and waits for a callback that is running; afterwards the storage may go. APC. */
void vck_timer_fini(struct vck_timer *timer) VCK_CAN_WAIT;

/* ---- randomness ---- */

/* Fills from the system's cryptographic generator. CRYPTO_FAILED when there is none. PASSIVE. */
VCK_CHECKED vck_status vck_random(void *p, size_t size_bytes);

/* ---- log ---- */

enum vck_log_level {
    VCK_LOG_ERROR,
    VCK_LOG_WARNING,
    VCK_LOG_INFO,
    VCK_LOG_DEBUG,
};

/* One line without newline to wherever the port logs. Formatting is done above (vck/log.h). Any
 * level. */
void vck_port_log(enum vck_log_level level, const char *line);

VCK_END_DECLS

#endif
