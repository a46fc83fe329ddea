/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own locks, with the holder noted beside them. A holder is a thread at DISPATCH or in
 * a critical region; either way it is that thread, or a DPC that cannot be preempted, that comes
 * back to release.
 */
#include "port/nt/internal.h"

_Static_assert(offsetof(struct vck_spinlock, holder) == sizeof(KSPIN_LOCK), "fits the storage");

struct vck_lock_stack *vck_lock_stack_of_thread(void)
{
#if VCK_CHECKS_LOCKS
    struct vck_nt_thread *self = vck_nt_thread_find();
    return self != NULL ? &self->locks : NULL;
#else
    return NULL;
#endif
}

/* The calling thread's stack, made where there is none yet; NULL without memory. */
static struct vck_lock_stack *own_stack(void)
{
#if VCK_CHECKS_LOCKS
    struct vck_nt_thread *self = vck_nt_thread_claim(NULL);
    return self != NULL ? &self->locks : NULL;
#else
    return NULL;
#endif
}

static void note_released(const void *lock)
{
#if VCK_CHECKS_LOCKS
    struct vck_nt_thread *self = vck_nt_thread_find();
    if (self == NULL)
        return;
    vck_lock_check_released(&self->locks, lock);
    if (vck_current_level() < VCK_LEVEL_DISPATCH)
        vck_nt_thread_tidy(self);
#else
    (void)lock;
#endif
}

/* ---- spin locks ---- */

static KSPIN_LOCK *nt_spinlock(struct vck_spinlock *lock)
{
    return (KSPIN_LOCK *)(void *)&lock->word;
}

void vck_spinlock_init_at(struct vck_spinlock *lock, const char *site)
{
    KeInitializeSpinLock(nt_spinlock(lock));
    lock->holder = 0;
    lock->saved_level = PASSIVE_LEVEL;
    lock->lock_class = VCK_CHECKS_LOCKS ? vck_lock_class_of_site(site) : 0;
    lock->site_number = 0;
}

/* A lock held by this very thread would be waited for without end. */
void vck_spinlock_acquire_at(struct vck_spinlock *lock, const char *site) VCK_NO_ANALYSIS
{
    static const char twice[] = "a spin lock is not taken twice by one thread";
    uint32_t self = vck_thread_id();
    if (VCK_CHECKS_LOCKS)
        vck_lock_check_take(own_stack(), lock, &lock->lock_class, site, twice);
    FATAL_UNLESS(__atomic_load_n(&lock->holder, __ATOMIC_RELAXED) != self, twice);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(nt_spinlock(lock));
    lock->saved_level = irql;
    __atomic_store_n(&lock->holder, self, __ATOMIC_RELAXED);
    if (!VCK_CHECKS_LOCKS)
        return;
    __atomic_store_n(&lock->site_number, vck_lock_site_number(site), __ATOMIC_RELAXED);
    vck_lock_check_taken(vck_lock_stack_of_thread(), lock, &lock->lock_class, site, true);
}

void vck_spinlock_release_at(struct vck_spinlock *lock, const char *site) VCK_NO_ANALYSIS
{
    static const char what[] = "a spin lock is released by its holder";
    bool is_holder = __atomic_load_n(&lock->holder, __ATOMIC_RELAXED) == vck_thread_id();
    if (VCK_CHECKS_LOCKS && !is_holder)
        vck_lock_misused(
            what, site,
            vck_lock_site_of_number(__atomic_load_n(&lock->site_number, __ATOMIC_RELAXED)));
    FATAL_UNLESS(is_holder, what);
    note_released(lock);
    KIRQL irql = lock->saved_level;
    __atomic_store_n(&lock->holder, 0, __ATOMIC_RELAXED);
    KeReleaseSpinLock(nt_spinlock(lock), irql);
}

/* ---- mutexes ---- */

struct nt_mutex {
    FAST_MUTEX lock;
    uint32_t holder;      /* thread id, 0 when free; written by the holder */
    uint16_t site_number; /* where it was last taken, when VCK_CHECKS_LOCKS */
    uint8_t lock_class;   /* the same */
};
_Static_assert(sizeof(struct nt_mutex) <= sizeof(struct vck_mutex), "fits the public storage");

static struct nt_mutex *nt_mutex(struct vck_mutex *mutex)
{
    return (struct nt_mutex *)(void *)mutex->opaque;
}

void vck_mutex_init_at(struct vck_mutex *mutex, const char *site)
{
    struct nt_mutex *m = nt_mutex(mutex);
    ExInitializeFastMutex(&m->lock);
    m->holder = 0;
    m->site_number = 0;
    m->lock_class = VCK_CHECKS_LOCKS ? vck_lock_class_of_site(site) : 0;
}

static const char *mutex_site(struct nt_mutex *m)
{
    return vck_lock_site_of_number(__atomic_load_n(&m->site_number, __ATOMIC_RELAXED));
}

void vck_mutex_fini(struct vck_mutex *mutex)
{
    static const char what[] = "a mutex is finished free";
    struct nt_mutex *m = nt_mutex(mutex);
    bool is_free = __atomic_load_n(&m->holder, __ATOMIC_RELAXED) == 0;
    if (VCK_CHECKS_LOCKS && !is_free)
        vck_lock_misused(what, NULL, mutex_site(m));
    FATAL_UNLESS(is_free, what);
}

void vck_mutex_acquire_at(struct vck_mutex *mutex, const char *site) VCK_NO_ANALYSIS
{
    static const char twice[] = "a mutex is not taken twice by one thread";
    vck_level_check_at(VCK_LEVEL_APC, site);
    struct nt_mutex *m = nt_mutex(mutex);
    uint32_t self = vck_thread_id();
    if (VCK_CHECKS_LOCKS)
        vck_lock_check_take(own_stack(), mutex, &m->lock_class, site, twice);
    FATAL_UNLESS(__atomic_load_n(&m->holder, __ATOMIC_RELAXED) != self, twice);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&m->lock);
    __atomic_store_n(&m->holder, self, __ATOMIC_RELAXED);
    if (!VCK_CHECKS_LOCKS)
        return;
    __atomic_store_n(&m->site_number, vck_lock_site_number(site), __ATOMIC_RELAXED);
    vck_lock_check_taken(vck_lock_stack_of_thread(), mutex, &m->lock_class, site, false);
}

void vck_mutex_release_at(struct vck_mutex *mutex, const char *site) VCK_NO_ANALYSIS
{
    static const char what[] = "a mutex is released by its holder";
    vck_level_check_at(VCK_LEVEL_APC, site);
    struct nt_mutex *m = nt_mutex(mutex);
    bool is_holder = __atomic_load_n(&m->holder, __ATOMIC_RELAXED) == vck_thread_id();
    if (VCK_CHECKS_LOCKS && !is_holder)
        vck_lock_misused(what, site, mutex_site(m));
    FATAL_UNLESS(is_holder, what);
    note_released(mutex);
    __atomic_store_n(&m->holder, 0, __ATOMIC_RELAXED);
    ExReleaseFastMutexUnsafe(&m->lock);
    KeLeaveCriticalRegion();
}
