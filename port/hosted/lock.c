/* SPDX-License-Identifier: Apache-2.0 */
#include "port/hosted/system.h"

/* ---- spin locks: word is the holder's thread id, 0 when free ---- */

#define SPINS_BEFORE_YIELD  100
#define YIELDS_BEFORE_SLEEP 20

/* The holder may have been preempted, here as opposed to a kernel, and may be of a class that only
 * runs when we sleep. */
static void back_off(unsigned attempt)
{
    if (attempt < SPINS_BEFORE_YIELD)
        system_pause();
    else if (attempt < SPINS_BEFORE_YIELD + YIELDS_BEFORE_SLEEP)
        system_yield();
    else
        system_nap();
}

static bool try_take(struct vck_spinlock *lock, uint32_t id)
{
    uint32_t holder = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
    FATAL_UNLESS(holder != id, "a spin lock is not taken twice by one thread");
    return holder == 0 && __atomic_compare_exchange_n(&lock->word, &holder, id, true,
                                                      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void vck_spinlock_init_at(struct vck_spinlock *lock, const char *site)
{
    lock->word = 0;
    lock->saved_level = VCK_LEVEL_PASSIVE;
    lock->lock_class = VCK_CHECKS_LOCKS ? vck_lock_class_of_site(site) : 0;
    lock->site_number = 0;
}

static void check_spinlock_take(struct vck_spinlock *lock, struct thread_state *self,
                                const char *site)
{
    vck_lock_check_take(&self->locks, lock, &lock->lock_class, site,
                        "a spin lock is not taken twice by one thread");
}

static void note_spinlock_taken(struct vck_spinlock *lock, struct thread_state *self,
                                const char *site)
{
    __atomic_store_n(&lock->site_number, vck_lock_site_number(site), __ATOMIC_RELAXED);
    vck_lock_check_taken(&self->locks, lock, &lock->lock_class, site, true);
}

void vck_spinlock_acquire_at(struct vck_spinlock *lock, const char *site) VCK_NO_ANALYSIS
{
    struct thread_state *self = system_thread_state();
    vck_level level = self->level;
    if (VCK_CHECKS_LOCKS)
        check_spinlock_take(lock, self, site);
    self->level = VCK_LEVEL_DISPATCH;
    for (unsigned attempt = 0; !try_take(lock, self->id); attempt++)
        back_off(attempt);
    lock->saved_level = (uint8_t)level;
    if (VCK_CHECKS_LOCKS)
        note_spinlock_taken(lock, self, site);
}

void vck_spinlock_release_at(struct vck_spinlock *lock, const char *site) VCK_NO_ANALYSIS
{
    static const char what[] = "a spin lock is released by its holder";
    struct thread_state *self = system_thread_state();
    bool is_holder = __atomic_load_n(&lock->word, __ATOMIC_RELAXED) == self->id;
    if (VCK_CHECKS_LOCKS && !is_holder)
        vck_lock_misused(
            what, site,
            vck_lock_site_of_number(__atomic_load_n(&lock->site_number, __ATOMIC_RELAXED)));
    FATAL_UNLESS(is_holder, what);
    if (VCK_CHECKS_LOCKS)
        vck_lock_check_released(&self->locks, lock);
    vck_level level = (vck_level)lock->saved_level;
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
    self->level = level;
}

/* ---- mutexes ---- */

struct hosted_mutex {
    struct system_lock lock;
    const char *site;   /* where it was last taken, when VCK_CHECKS_LOCKS */
    uint32_t holder;    /* thread id, 0 when free; written by the holder */
    uint8_t lock_class; /* when VCK_CHECKS_LOCKS */
};
_Static_assert(sizeof(struct hosted_mutex) <= sizeof(struct vck_mutex), "fits the public storage");

static struct hosted_mutex *hosted_mutex(struct vck_mutex *mutex)
{
    return (struct hosted_mutex *)(void *)mutex->opaque;
}

void vck_mutex_init_at(struct vck_mutex *mutex, const char *site)
{
    struct hosted_mutex *m = hosted_mutex(mutex);
    m->site = NULL;
    m->holder = 0;
    m->lock_class = VCK_CHECKS_LOCKS ? vck_lock_class_of_site(site) : 0;
    system_lock_init(&m->lock);
}

void vck_mutex_fini(struct vck_mutex *mutex)
{
    static const char what[] = "a mutex is finished free";
    struct hosted_mutex *m = hosted_mutex(mutex);
    bool is_free = __atomic_load_n(&m->holder, __ATOMIC_RELAXED) == 0;
    if (VCK_CHECKS_LOCKS && !is_free)
        vck_lock_misused(what, NULL, __atomic_load_n(&m->site, __ATOMIC_RELAXED));
    FATAL_UNLESS(is_free, what);
    system_lock_fini(&m->lock);
}

static void check_mutex_take(struct vck_mutex *mutex, struct thread_state *self, const char *site)
{
    static const char twice[] = "a mutex is not taken twice by one thread";
    struct hosted_mutex *m = hosted_mutex(mutex);
    if (VCK_CHECKS_LOCKS)
        vck_lock_check_take(&self->locks, mutex, &m->lock_class, site, twice);
    FATAL_UNLESS(__atomic_load_n(&m->holder, __ATOMIC_RELAXED) != self->id, twice);
}

void vck_mutex_acquire_at(struct vck_mutex *mutex, const char *site) VCK_NO_ANALYSIS
{
    vck_level_check_at(VCK_LEVEL_APC, site);
    struct hosted_mutex *m = hosted_mutex(mutex);
    struct thread_state *self = system_thread_state();
    check_mutex_take(mutex, self, site);
    self->region_depth++;
    system_lock_take(&m->lock);
    __atomic_store_n(&m->holder, self->id, __ATOMIC_RELAXED);
    self->mutexes_held++;
    if (!VCK_CHECKS_LOCKS)
        return;
    __atomic_store_n(&m->site, site, __ATOMIC_RELAXED);
    vck_lock_check_taken(&self->locks, mutex, &m->lock_class, site, false);
}

void vck_mutex_release_at(struct vck_mutex *mutex, const char *site) VCK_NO_ANALYSIS
{
    static const char what[] = "a mutex is released by its holder";
    vck_level_check_at(VCK_LEVEL_APC, site);
    struct hosted_mutex *m = hosted_mutex(mutex);
    struct thread_state *self = system_thread_state();
    bool is_holder = __atomic_load_n(&m->holder, __ATOMIC_RELAXED) == self->id;
    if (VCK_CHECKS_LOCKS && !is_holder)
        vck_lock_misused(what, site, __atomic_load_n(&m->site, __ATOMIC_RELAXED));
    FATAL_UNLESS(is_holder, what);
    if (VCK_CHECKS_LOCKS)
        vck_lock_check_released(&self->locks, mutex);
    self->mutexes_held--;
    __atomic_store_n(&m->holder, 0, __ATOMIC_RELAXED);
    system_lock_release(&m->lock);
    self->region_depth--;
}

struct vck_lock_stack *vck_lock_stack_of_thread(void)
{
    return VCK_CHECKS_LOCKS ? &system_thread_state()->locks : NULL;
}
