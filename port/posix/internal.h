/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal: what the files of the POSIX port share, and what those of port/hosted are written on:
 * the same functions as in port/win/internal.h. Deadlines are those of vck_clock_ns, VCK_FOREVER
 * included.
 */
#ifndef VCK_PORT_POSIX_INTERNAL_H
#define VCK_PORT_POSIX_INTERNAL_H

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include "port/hosted/hosted.h"

extern _Thread_local struct thread_state vck_posix_state;

/* The calling thread's state. Any level. */
static inline struct thread_state *system_thread_state(void)
{
    struct thread_state *self = &vck_posix_state;
    if (self->id == 0)
        self->id = vck_hosted_new_thread_id();
    return self;
}

/* ---- locks and conditions beneath those of the port ---- */

struct system_lock {
    pthread_mutex_t mutex;
};
#define SYSTEM_LOCK_INIT                                                                           \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER                                                                  \
    }

static inline void system_lock_init(struct system_lock *lock)
{
    FATAL_UNLESS(pthread_mutex_init(&lock->mutex, NULL) == 0, "a lock is initialised");
}

static inline void system_lock_fini(struct system_lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

static inline void system_lock_take(struct system_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

static inline void system_lock_release(struct system_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}

struct system_condition {
    pthread_cond_t condition;
};
#define SYSTEM_CONDITION_INIT                                                                      \
    {                                                                                              \
        PTHREAD_COND_INITIALIZER                                                                   \
    }

/* May return early. */
void system_condition_wait(struct system_condition *condition, struct system_lock *lock,
                           uint64_t deadline_ns);

static inline void system_condition_wake_one(struct system_condition *condition)
{
    pthread_cond_signal(&condition->condition);
}

static inline void system_condition_wake_all(struct system_condition *condition)
{
    pthread_cond_broadcast(&condition->condition);
}

struct system_once {
    pthread_once_t once;
};
#define SYSTEM_ONCE_INIT                                                                           \
    {                                                                                              \
        PTHREAD_ONCE_INIT                                                                          \
    }

static inline void system_once(struct system_once *once, void (*run)(void))
{
    pthread_once(&once->once, run);
}

/* Sleeps while the word is `seen`; may return early. False when the deadline has passed. */
bool system_word_sleep(uint32_t *word, uint32_t seen, uint64_t deadline_ns);

/* Wakes one sleeper or all; only the address of the word is used. */
void system_word_wake(uint32_t *word, bool all);

/* ---- threads ---- */

struct system_thread {
    pthread_t thread;
};
#define SYSTEM_THREAD_RESULT void *

/* Without signals: those are for the threads of the product. False when there are too many. */
bool system_thread_start(SYSTEM_THREAD_RESULT (*entry)(void *context), void *context,
                         struct system_thread *ret_thread);

/* False when it is not to be joined. */
static inline bool system_thread_join(struct system_thread *thread)
{
    return pthread_join(thread->thread, NULL) == 0;
}

static inline void system_thread_detach(struct system_thread *thread)
{
    pthread_detach(thread->thread);
}

/* Of the calling thread; at most 15 characters. */
void system_thread_name(const char *name);

/* Lets other threads run before the calling one, from now on. */
void system_thread_give_way(void);

/* Has vck_hosted_end_slot called when the calling thread ends; false without memory. */
bool system_thread_watch_end(void);

static inline void system_yield(void)
{
    sched_yield();
}

/* Within a spin loop. */
static inline void system_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Sleeps for as short a time as makes sense. */
static inline void system_nap(void)
{
    static const struct timespec nap = {.tv_nsec = 20000};
    nanosleep(&nap, NULL);
}

/* ---- memory ---- */

/* Zeroed, aligned to 16 bytes; NULL without memory. tag: for a port that counts by it. */
static inline void *system_heap_alloc(size_t size_bytes, uint32_t tag)
{
    (void)tag;
    _Static_assert(_Alignof(max_align_t) >= 16, "calloc aligns to 16 bytes");
    return calloc(1, size_bytes);
}

static inline void system_heap_free(void *p, uint32_t tag)
{
    (void)tag;
    free(p);
}

size_t system_page_bytes(void);

/* Zeroed pages, locked into memory and kept out of dumps where the system allows it; NULL without
 * memory. size_bytes is at most PTRDIFF_MAX less a page. */
void *system_pages_map(size_t size_bytes);

/* Stops the program when they were not mapped, or where that can be told, not with this size. */
void system_pages_unmap(void *p, size_t size_bytes);

#endif
