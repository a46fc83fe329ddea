/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread_test: what the tests of this room share: threads of the port, and looking at who waits.
 */
#ifndef VCK_THREAD_TEST_H
#define VCK_THREAD_TEST_H

#include "port/posix/abort_test.h"
#include "port/posix/posix.h"
#include "vck/waiters.h"

#define MILLISECOND_NS UINT64_C(1000000)

static inline struct vck_thread *start(void (*entry)(void *), void *context)
{
    struct vck_thread *thread = NULL;
    assert_int_equal(vck_thread_create(entry, context, VCK_THREAD_NORMAL, "test", &thread), VCK_OK);
    return thread;
}

/* Returns once `count` threads are in the queue. */
static inline void wait_for_waiters(struct vck_waiters *waiters, struct vck_spinlock *lock,
                                    unsigned count)
{
    for (;;) {
        unsigned found = 0;
        vck_spinlock_acquire(lock);
        for (struct vck_waiting_thread *at = waiters->first; at != NULL; at = at->next)
            found++;
        vck_spinlock_release(lock);
        if (found == count)
            return;
        vck_thread_yield();
    }
}

static inline bool is_set(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void set(bool *flag)
{
    __atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

#endif
