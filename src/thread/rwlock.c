/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who releases gives the lock to those whose turn it is, before they run: nobody can come in
 * between, and nobody looks twice. The queue's first thread, if there is one, always waits for
 * those that hold the lock now.
 */
#include "vck/rwlock.h"
#include "vck/lock_check.h"

#define WANTS_TO_READ  1u
#define WANTS_TO_WRITE 2u

static const char released_by_holder[] = "a reader/writer lock is released by its holder";

/* What lock_check knows the lock by: its own address is that of its spin lock as well. */
static const void *identity(const struct vck_rwlock *rwlock)
{
    return &rwlock->waiters;
}

void vck_rwlock_init_at(struct vck_rwlock *rwlock, const char *site)
{
    *rwlock =
        (struct vck_rwlock){.lock_class = VCK_CHECKS_LOCKS ? vck_lock_class_of_site(site) : 0};
    vck_spinlock_init(&rwlock->lock);
}

__attribute__((noreturn)) VCK_COLD static void misused(struct vck_rwlock *rwlock, const char *what,
                                                       const char *site)
{
    vck_lock_misused(what, site, __atomic_load_n(&rwlock->site, __ATOMIC_RELAXED));
}

void vck_rwlock_fini_at(struct vck_rwlock *rwlock, const char *site)
{
    if (rwlock->readers != 0 || rwlock->writer != 0 || rwlock->waiters.first != NULL)
        misused(rwlock, "a reader/writer lock is finished free", site);
}

static bool try_grant(struct vck_rwlock *rwlock, uint32_t want, uint32_t thread_id)
{
    if (rwlock->writer != 0 || (want == WANTS_TO_WRITE && rwlock->readers != 0))
        return false;
    if (want == WANTS_TO_WRITE)
        rwlock->writer = thread_id;
    else
        rwlock->readers++;
    return true;
}

/* The threads whose turn it is now, as a chain; the lock is theirs. Under the spin lock. */
static struct vck_waiting_thread *grant_next(struct vck_rwlock *rwlock)
{
    struct vck_waiting_thread *chain = NULL;
    struct vck_waiting_thread *first;
    while ((first = rwlock->waiters.first) != NULL &&
           try_grant(rwlock, first->want, first->thread_id)) {
        vck_waiters_pop(&rwlock->waiters);
        first->next = chain;
        chain = first;
    }
    return chain;
}

static void check_take(struct vck_rwlock *rwlock, const char *site)
{
    vck_lock_check_take(vck_lock_stack_of_thread(), identity(rwlock), &rwlock->lock_class, site,
                        "a reader/writer lock is not taken twice by one thread");
}

static void note_taken(struct vck_rwlock *rwlock, const char *site)
{
    __atomic_store_n(&rwlock->site, site, __ATOMIC_RELAXED);
    vck_lock_check_taken(vck_lock_stack_of_thread(), identity(rwlock), &rwlock->lock_class, site,
                         false);
}

static void acquire(struct vck_rwlock *rwlock, uint32_t want, const char *site) VCK_CAN_WAIT
{
    struct vck_waiting_thread waiter;
    vck_level_check_at(VCK_LEVEL_APC, site);
    if (VCK_CHECKS_LOCKS)
        check_take(rwlock, site);
    vck_critical_region_enter();
    vck_spinlock_acquire(&rwlock->lock);
    bool is_granted = rwlock->waiters.first == NULL && try_grant(rwlock, want, vck_thread_id());
    if (!is_granted)
        vck_waiters_push(&rwlock->waiters, &waiter, want);
    vck_spinlock_release(&rwlock->lock);
    if (!is_granted)
        (void)vck_waiters_sleep(&rwlock->waiters, &waiter, &rwlock->lock, VCK_FOREVER);
    if (VCK_CHECKS_LOCKS)
        note_taken(rwlock, site);
}

static void release(struct vck_rwlock *rwlock, struct vck_waiting_thread *chain)
{
    if (VCK_CHECKS_LOCKS)
        vck_lock_check_released(vck_lock_stack_of_thread(), identity(rwlock));
    vck_waiters_wake(chain);
    vck_critical_region_leave();
}

/* Readers are only counted, so who reads is known where locks are checked, and only there. */
static bool may_hold(const struct vck_rwlock *rwlock)
{
    struct vck_lock_stack *held = VCK_CHECKS_LOCKS ? vck_lock_stack_of_thread() : NULL;
    return held == NULL || held->untracked > 0 ||
           vck_lock_check_find(held, identity(rwlock)) != NULL;
}

void vck_rwlock_acquire_shared_at(struct vck_rwlock *rwlock, const char *site) VCK_NO_ANALYSIS
{
    acquire(rwlock, WANTS_TO_READ, site);
}

void vck_rwlock_acquire_exclusive_at(struct vck_rwlock *rwlock, const char *site) VCK_NO_ANALYSIS
{
    acquire(rwlock, WANTS_TO_WRITE, site);
}

void vck_rwlock_release_shared_at(struct vck_rwlock *rwlock, const char *site) VCK_NO_ANALYSIS
{
    struct vck_waiting_thread *chain;
    vck_level_check_at(VCK_LEVEL_APC, site);
    vck_spinlock_acquire(&rwlock->lock);
    if (rwlock->readers == 0 || !may_hold(rwlock))
        misused(rwlock, released_by_holder, site);
    rwlock->readers--;
    chain = grant_next(rwlock);
    vck_spinlock_release(&rwlock->lock);
    release(rwlock, chain);
}

void vck_rwlock_release_exclusive_at(struct vck_rwlock *rwlock, const char *site) VCK_NO_ANALYSIS
{
    struct vck_waiting_thread *chain;
    vck_level_check_at(VCK_LEVEL_APC, site);
    vck_spinlock_acquire(&rwlock->lock);
    if (rwlock->writer != vck_thread_id())
        misused(rwlock, released_by_holder, site);
    rwlock->writer = 0;
    chain = grant_next(rwlock);
    vck_spinlock_release(&rwlock->lock);
    release(rwlock, chain);
}
