/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include "port/posix/internal.h"

/* ---- spin locks: word is the holder's thread id, 0 when free ---- */

#define SPINS_BEFORE_YIELD  100
#define YIELDS_BEFORE_SLEEP 20
#define SLEEP_NS            20000

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The holder may have been preempted, here as opposed to a kernel, and may be of a class that only
 * runs when we sleep. */
static void back_off(unsigned attempt)
{
    static const struct timespec nap = {.tv_nsec = SLEEP_NS};
    if (attempt < SPINS_BEFORE_YIELD)
        pause_cpu();
    else if (attempt < SPINS_BEFORE_YIELD + YIELDS_BEFORE_SLEEP)
        sched_yield();
    else
        nanosleep(&nap, NULL);
}

static bool try_take(struct vck_spinlock *lock, uint32_t id)
{
    uint32_t holder = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
    FATAL_UNLESS(holder != id, "a spin lock is not taken twice by one thread");
    return holder == 0 && __atomic_compare_exchange_n(&lock->word, &holder, id, true,
                                                      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void vck_spinlock_init(struct vck_spinlock *lock)
{
    lock->word = 0;
    lock->saved_level = VCK_LEVEL_PASSIVE;
}

void vck_spinlock_acquire(struct vck_spinlock *lock) VCK_NO_ANALYSIS
{
    struct thread_state *self = vck_posix_thread_state();
    vck_level level = self->level;
    self->level = VCK_LEVEL_DISPATCH;
    for (unsigned attempt = 0; !try_take(lock, self->id); attempt++)
        back_off(attempt);
    lock->saved_level = (uint32_t)level;
}

void vck_spinlock_release(struct vck_spinlock *lock) VCK_NO_ANALYSIS
{
    struct thread_state *self = vck_posix_thread_state();
    FATAL_UNLESS(__atomic_load_n(&lock->word, __ATOMIC_RELAXED) == self->id,
                 "a spin lock is released by its holder");
    vck_level level = (vck_level)lock->saved_level;
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
    self->level = level;
}

/* ---- mutexes ---- */

struct posix_mutex {
    pthread_mutex_t lock;
    uint32_t holder; /* thread id, 0 when free; written by the holder */
};
_Static_assert(sizeof(struct posix_mutex) <= sizeof(struct vck_mutex), "fits the public storage");

static struct posix_mutex *posix_mutex(struct vck_mutex *mutex)
{
    return (struct posix_mutex *)(void *)mutex->opaque;
}

void vck_mutex_init(struct vck_mutex *mutex)
{
    struct posix_mutex *m = posix_mutex(mutex);
    m->holder = 0;
    FATAL_UNLESS(pthread_mutex_init(&m->lock, NULL) == 0, "a mutex is initialised");
}

void vck_mutex_fini(struct vck_mutex *mutex)
{
    struct posix_mutex *m = posix_mutex(mutex);
    FATAL_UNLESS(__atomic_load_n(&m->holder, __ATOMIC_RELAXED) == 0, "a mutex is finished free");
    pthread_mutex_destroy(&m->lock);
}

void vck_mutex_acquire(struct vck_mutex *mutex) VCK_NO_ANALYSIS
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct posix_mutex *m = posix_mutex(mutex);
    struct thread_state *self = vck_posix_thread_state();
    FATAL_UNLESS(__atomic_load_n(&m->holder, __ATOMIC_RELAXED) != self->id,
                 "a mutex is not taken twice by one thread");
    pthread_mutex_lock(&m->lock);
    __atomic_store_n(&m->holder, self->id, __ATOMIC_RELAXED);
    self->mutexes_held++;
}

void vck_mutex_release(struct vck_mutex *mutex) VCK_NO_ANALYSIS
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct posix_mutex *m = posix_mutex(mutex);
    struct thread_state *self = vck_posix_thread_state();
    FATAL_UNLESS(__atomic_load_n(&m->holder, __ATOMIC_RELAXED) == self->id,
                 "a mutex is released by its holder");
    self->mutexes_held--;
    __atomic_store_n(&m->holder, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&m->lock);
}
