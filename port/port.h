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
 *
 * Functions that take, release or wait know their call site: they end in _at, take it as their last
 * argument, and are called through a macro of the name without _at, which passes VCK_HERE. Builds
 * without NDEBUG use it to check how locks are used (vck/lock_check.h); with NDEBUG it is NULL.
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
VCK_CHECKED void *vck_alloc_at(size_t size_bytes, uint32_t tag, const char *site);
void vck_free(void *p);
#define vck_alloc(size_bytes, tag) vck_alloc_at((size_bytes), (tag), VCK_HERE)

/* Zeroed memory aligned to a page, never paged out where the port can lock it, left out of dumps
 * where it can. For I/O buffers and keys. Freed with the same size. PASSIVE. */
VCK_CHECKED void *vck_alloc_pages_at(size_t size_bytes, uint32_t tag, const char *site);
void vck_free_pages(void *p, size_t size_bytes);
#define vck_alloc_pages(size_bytes, tag) vck_alloc_pages_at((size_bytes), (tag), VCK_HERE)

#define VCK_TAG(a, b, c, d)                                                                        \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Allocations that are live now, for leak checks in tests. */
size_t vck_alloc_live_count(void);

#define VCK_TAG_ANY 0u

/* Calls sink(context, ...) for each live allocation of the tag, VCK_TAG_ANY: of all, in no order,
 * and returns their number; what others allocate and free meanwhile may be missed. site is where it
 * was made ("file:line"). sink may be NULL. Builds with NDEBUG keep no list: 0. DISPATCH. */
size_t vck_alloc_report(uint32_t tag,
                        void (*sink)(void *context, uint32_t tag, size_t size_bytes,
                                     const char *site),
                        void *context);

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
/* The same on behalf of a caller: site is "file:line" or NULL. */
void vck_level_check_at(vck_level highest, const char *site);

/* Where the macro stands: "file:line", a literal. */
#if defined(NDEBUG)
#define VCK_HERE ((const char *)0)
#else
#define VCK_HERE                __FILE__ ":" VCK_HERE_TEXT(__LINE__)
#define VCK_HERE_TEXT(line)     VCK_HERE_TEXT_OF(line)
#define VCK_HERE_TEXT_OF(value) #value
#endif

/* Between enter and leave no normal kernel APC runs on this thread, so that nothing suspends it
 * while it holds what others wait for. Nests; counted per thread, and a thread ends outside. Locks
 * that can be waited for enter and leave by themselves. APC. */
void vck_critical_region_enter(void);
void vck_critical_region_leave(void);
/* Any level. */
bool vck_in_critical_region(void);

/* A condition that only a bug can make false. Checked in every build; stops the program. */
#define VCK_ASSERT(cond) ((cond) ? (void)0 : vck_assert_failed(#cond, __FILE__, __LINE__))
__attribute__((noreturn)) VCK_COLD void vck_assert_failed(const char *what, const char *file,
                                                          int line);

/* ---- locks ---- */

/* Zeroed memory is a free lock as well. */
struct VCK_CAPABILITY("spinlock") vck_spinlock {
    VCK_ALIGNAS(8) uint32_t word; /* with the next one the storage of a kernel's own lock */
    uint32_t word_high;
    uint32_t holder; /* thread id, where the port does not keep it in word */
    uint8_t saved_level;
    uint8_t lock_class;   /* these two are lock_check's, in builds without NDEBUG */
    uint16_t site_number; /* where it was last taken */
};

void vck_spinlock_init_at(struct vck_spinlock *lock, const char *site);
#define vck_spinlock_init(lock) vck_spinlock_init_at((lock), VCK_HERE)

/* Raises to DISPATCH until released. Short sections only; not recursive. DISPATCH. */
void vck_spinlock_acquire_at(struct vck_spinlock *lock, const char *site) VCK_ACQUIRES(*lock)
    VCK_ACQUIRES(vck_raised);
void vck_spinlock_release_at(struct vck_spinlock *lock, const char *site) VCK_RELEASES(*lock)
    VCK_RELEASES(vck_raised);
#define vck_spinlock_acquire(lock) vck_spinlock_acquire_at((lock), VCK_HERE)
#define vck_spinlock_release(lock) vck_spinlock_release_at((lock), VCK_HERE)

struct VCK_CAPABILITY("mutex") vck_mutex {
    VCK_ALIGNAS(8) unsigned char opaque[64];
};

void vck_mutex_init_at(struct vck_mutex *mutex, const char *site);
void vck_mutex_fini(struct vck_mutex *mutex);
#define vck_mutex_init(mutex) vck_mutex_init_at((mutex), VCK_HERE)

/* Held inside a critical region. Not recursive. APC. */
void vck_mutex_acquire_at(struct vck_mutex *mutex, const char *site)
    VCK_ACQUIRES(*mutex) VCK_CAN_WAIT;
void vck_mutex_release_at(struct vck_mutex *mutex, const char *site) VCK_RELEASES(*mutex);
#define vck_mutex_acquire(mutex) vck_mutex_acquire_at((mutex), VCK_HERE)
#define vck_mutex_release(mutex) vck_mutex_release_at((mutex), VCK_HERE)

/* The locks the calling thread holds, as lock_check keeps them for locks built above the port. NULL
 * when nothing is checked. Any level. */
struct vck_lock_stack;
struct vck_lock_stack *vck_lock_stack_of_thread(void);

/* ---- events ---- */

struct vck_event {
    VCK_ALIGNAS(8) unsigned char opaque[128];
};

#define VCK_FOREVER UINT64_MAX

/* An auto-reset event: one set releases one wait, a set before the wait is kept (at most one). */
void vck_event_init(struct vck_event *event);
/* A manual-reset event: a set releases every wait that has begun, and those that begin before the
 * next reset. */
void vck_event_init_manual(struct vck_event *event);
void vck_event_fini(struct vck_event *event);
/* DISPATCH. The event may be finished by the waiter as soon as its wait returns. */
void vck_event_set(struct vck_event *event);
/* Takes back a set. DISPATCH. */
void vck_event_reset(struct vck_event *event);
/* OK, or TIMEOUT when deadline_ns (vck_clock_ns; VCK_FOREVER for none) passes first. APC. */
vck_status vck_event_wait_at(struct vck_event *event, uint64_t deadline_ns,
                             const char *site) VCK_CAN_WAIT;
#define vck_event_wait(event, deadline_ns) vck_event_wait_at((event), (deadline_ns), VCK_HERE)

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

/* The same without a handle: gone(context) runs at PASSIVE on a thread of the port once the new one
 * has executed its last instruction. It must not wait for another such thread. context is in the
 * new thread's slot to begin with, and out of it before entry returns. */
VCK_CHECKED vck_status vck_thread_create_detached(void (*entry)(void *context), void *context,
                                                  enum vck_thread_class thread_class,
                                                  const char *name, void (*gone)(void *context),
                                                  uint32_t *ret_id);

/* The calling thread's id, unique among threads that live, not 0. Any level. */
uint32_t vck_thread_id(void);
/* Lets others run. APC. */
void vck_thread_yield(void);

/*
 * One pointer per thread, NULL to begin with; the thread room owns it. ended(value) runs on the
 * thread, at PASSIVE, when it ends with a value; one function for all threads. NO_MEMORY leaves the
 * slot as it was. reset_all forgets the slots of all threads without calling ended, when the module
 * goes. APC.
 */
void *vck_thread_slot(void);
VCK_CHECKED vck_status vck_thread_slot_set(void *value, void (*ended)(void *value));
void vck_thread_slot_clear(void);
void vck_thread_slot_reset_all(void);

/*
 * One more pointer per thread, NULL to begin with, which the task room owns: the worker this thread
 * is. get answers NULL above PASSIVE, where the code may be a DPC that only borrows the thread. It
 * is on the path of every wake: no lock, no call into the system. Any level; set: PASSIVE.
 */
void *vck_worker_slot_get(void);
void vck_worker_slot_set(void *worker);

/* ---- deferred work ---- */

/* Storage of one piece of work, inside what it is about; zeroed to begin with. */
struct vck_work {
    struct vck_work *next;
    void (*run)(struct vck_work *work);
};

/* Has run(work) called once at PASSIVE, on a thread of the port, in order, one at a time. Cannot
 * fail. The storage is in use until run begins, and not after. DISPATCH. */
void vck_defer(struct vck_work *work, void (*run)(struct vck_work *work));
/* Waits until all work deferred so far, and what that deferred, has run and the thread that ran it
 * has executed its last instruction here. Nothing when called by such work. PASSIVE. */
void vck_defer_drain(void) VCK_CAN_WAIT;

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
