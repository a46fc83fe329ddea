/* SPDX-License-Identifier: Apache-2.0 */
/* Spin locks, fast mutexes and resources: who holds what, at which level. */
#include "verify.h"

enum { SPINS_BEFORE_YIELD = 200 };

/* ---- what a thread holds ---- */

static struct verify_held *find_held(struct verify_thread *thread, const void *lock)
{
    for (ULONG i = 0; i < thread->held_count; i++) {
        if (thread->held[i].lock == lock)
            return &thread->held[i];
    }
    return NULL;
}

static void remember(const void *lock, enum verify_lock_kind kind, void *caller)
{
    struct verify_thread *thread = verify_thread_current();
    if (thread->held_count < VERIFY_LOCKS_HELD)
        thread->held[thread->held_count++] = (struct verify_held){lock, kind, caller};
}

/* False, and reported, when the thread holds it already: taking it would never return. */
static bool may_take(const void *lock, void *caller, const char *function)
{
    struct verify_held *held = find_held(verify_thread_current(), lock);
    if (!held)
        return true;
    struct verify_stack origin = {1, {held->taken_at}};
    verify_report("lock-taken-twice", verify_driver_at(caller), &origin,
                  "%s: the thread holds lock %p already", function, lock);
    return false;
}

/* False, and reported, when the thread does not hold it. */
static bool forget(const void *lock, void *caller, const char *function)
{
    struct verify_thread *thread = verify_thread_current();
    struct verify_held *held = find_held(thread, lock);
    if (!held) {
        verify_report("lock-not-held", verify_driver_at(caller), NULL,
                      "%s: the thread does not hold lock %p", function, lock);
        return false;
    }
    thread->held_count--;
    for (; held < &thread->held[thread->held_count]; held++)
        held[0] = held[1];
    return true;
}

/* ---- spin locks ---- */

/* The lock word is as Wine's own functions have it: 1 when taken. */
static bool try_spin(PKSPIN_LOCK lock)
{
    ULONG_PTR is_free = 0;
    return __atomic_compare_exchange_n(lock, &is_free, 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* On a processor of its own a holder is never interrupted; here it may be, so waiting is polite. */
static void spin(PKSPIN_LOCK lock)
{
    for (ULONG tries = 1; !try_spin(lock); tries++) {
        if (tries % SPINS_BEFORE_YIELD)
            YieldProcessor();
        else
            SwitchToThread();
    }
}

static void take_spin(PKSPIN_LOCK lock, void *caller, const char *function)
{
    if (!may_take(lock, caller, function))
        return;
    spin(lock);
    remember(lock, VERIFY_LOCK_SPIN, caller);
}

static void release_spin(PKSPIN_LOCK lock, void *caller, const char *function)
{
    if (forget(lock, caller, function))
        __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

static KIRQL raise_for_lock(void *caller, const char *function)
{
    struct verify_thread *thread = verify_thread_current();
    KIRQL old = thread->level;
    verify_level_check(verify_driver_at(caller), DISPATCH_LEVEL, function);
    thread->level = DISPATCH_LEVEL;
    return old;
}

static void lower_after_lock(KIRQL level, void *caller, const char *function)
{
    struct verify_thread *thread = verify_thread_current();
    if (thread->level != DISPATCH_LEVEL || level > DISPATCH_LEVEL)
        verify_report("level-wrong-at-release", verify_driver_at(caller), NULL,
                      "%s called at level %u to go to level %u", function, thread->level, level);
    thread->level = level;
}

static void check_at_dispatch(void *caller, const char *function)
{
    KIRQL level = verify_level();
    if (level < DISPATCH_LEVEL)
        verify_report("level-too-low", verify_driver_at(caller), NULL,
                      "%s called at level %u, needs 2", function, level);
}

static KIRQL NTAPI hook_KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK lock)
{
    void *caller = __builtin_return_address(0);
    KIRQL old = raise_for_lock(caller, "KeAcquireSpinLock");
    take_spin(lock, caller, "KeAcquireSpinLock");
    return old;
}

static void NTAPI hook_KeReleaseSpinLock(PKSPIN_LOCK lock, KIRQL level)
{
    void *caller = __builtin_return_address(0);
    release_spin(lock, caller, "KeReleaseSpinLock");
    lower_after_lock(level, caller, "KeReleaseSpinLock");
}

static void NTAPI hook_KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock)
{
    void *caller = __builtin_return_address(0);
    check_at_dispatch(caller, "KeAcquireSpinLockAtDpcLevel");
    take_spin(lock, caller, "KeAcquireSpinLockAtDpcLevel");
}

static void NTAPI hook_KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK lock)
{
    void *caller = __builtin_return_address(0);
    check_at_dispatch(caller, "KeReleaseSpinLockFromDpcLevel");
    release_spin(lock, caller, "KeReleaseSpinLockFromDpcLevel");
}

static BOOLEAN NTAPI hook_KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock)
{
    void *caller = __builtin_return_address(0);
    check_at_dispatch(caller, "KeTryToAcquireSpinLockAtDpcLevel");
    if (!try_spin(lock))
        return FALSE;
    remember(lock, VERIFY_LOCK_SPIN, caller);
    return TRUE;
}

static BOOLEAN NTAPI hook_KeTestSpinLock(PKSPIN_LOCK lock)
{
    return __atomic_load_n(lock, __ATOMIC_RELAXED) == 0;
}

/* Queued locks: the handle is known to the holder alone, the lock is what is held. */

static void take_queued(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle, void *caller,
                        const char *function)
{
    handle->LockQueue.Lock = lock;
    take_spin(lock, caller, function);
}

static void NTAPI hook_KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle)
{
    void *caller = __builtin_return_address(0);
    handle->OldIrql = raise_for_lock(caller, "KeAcquireInStackQueuedSpinLock");
    take_queued(lock, handle, caller, "KeAcquireInStackQueuedSpinLock");
}

static void NTAPI hook_KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE handle)
{
    void *caller = __builtin_return_address(0);
    release_spin((PKSPIN_LOCK)handle->LockQueue.Lock, caller, "KeReleaseInStackQueuedSpinLock");
    lower_after_lock(handle->OldIrql, caller, "KeReleaseInStackQueuedSpinLock");
}

static void NTAPI hook_KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK lock,
                                                                PKLOCK_QUEUE_HANDLE handle)
{
    void *caller = __builtin_return_address(0);
    check_at_dispatch(caller, "KeAcquireInStackQueuedSpinLockAtDpcLevel");
    take_queued(lock, handle, caller, "KeAcquireInStackQueuedSpinLockAtDpcLevel");
}

static void NTAPI hook_KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE handle)
{
    void *caller = __builtin_return_address(0);
    check_at_dispatch(caller, "KeReleaseInStackQueuedSpinLockFromDpcLevel");
    release_spin((PKSPIN_LOCK)handle->LockQueue.Lock, caller,
                 "KeReleaseInStackQueuedSpinLockFromDpcLevel");
}

/* The system's own lock stands for itself in the ledger. */
static const char cancel_lock[] = "cancel spin lock";

static KIRQL take_cancel(void *caller)
{
    KIRQL ignored, old = raise_for_lock(caller, "IoAcquireCancelSpinLock");
    if (may_take(cancel_lock, caller, "IoAcquireCancelSpinLock")) {
        IoAcquireCancelSpinLock(&ignored);
        remember(cancel_lock, VERIFY_LOCK_SPIN, caller);
    }
    return old;
}

/* A cancel routine is called with it held, and releases it: then Wine may have taken it. */
static void release_cancel(KIRQL level, void *caller)
{
    struct verify_thread *thread = verify_thread_current();
    if (find_held(thread, cancel_lock)) {
        forget(cancel_lock, caller, "IoReleaseCancelSpinLock");
        lower_after_lock(level, caller, "IoReleaseCancelSpinLock");
    } else {
        thread->level = level;
    }
    IoReleaseCancelSpinLock(0);
}

static void NTAPI hook_IoAcquireCancelSpinLock(PKIRQL ret_level)
{
    *ret_level = take_cancel(__builtin_return_address(0));
}

static void NTAPI hook_IoReleaseCancelSpinLock(KIRQL level)
{
    release_cancel(level, __builtin_return_address(0));
}

KIRQL verify_cancel_lock_take(void)
{
    return take_cancel(__builtin_return_address(0));
}

void verify_cancel_lock_release(KIRQL level)
{
    release_cancel(level, __builtin_return_address(0));
}

/* ---- interlocked lists ---- */

static PLIST_ENTRY NTAPI hook_ExInterlockedInsertTailList(PLIST_ENTRY list, PLIST_ENTRY entry,
                                                          PKSPIN_LOCK lock)
{
    spin(lock);
    PLIST_ENTRY last = IsListEmpty(list) ? NULL : list->Blink;
    InsertTailList(list, entry);
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    return last;
}

static PLIST_ENTRY NTAPI hook_ExInterlockedInsertHeadList(PLIST_ENTRY list, PLIST_ENTRY entry,
                                                          PKSPIN_LOCK lock)
{
    spin(lock);
    PLIST_ENTRY first = IsListEmpty(list) ? NULL : list->Flink;
    InsertHeadList(list, entry);
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    return first;
}

static PLIST_ENTRY NTAPI hook_ExInterlockedRemoveHeadList(PLIST_ENTRY list, PKSPIN_LOCK lock)
{
    spin(lock);
    PLIST_ENTRY first = IsListEmpty(list) ? NULL : RemoveHeadList(list);
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    return first;
}

/* ---- fast mutexes ---- */

static void NTAPI hook_ExAcquireFastMutex(PFAST_MUTEX mutex)
{
    struct verify_thread *thread = verify_thread_current();
    void *caller = __builtin_return_address(0);
    verify_level_check(verify_driver_at(caller), APC_LEVEL, "ExAcquireFastMutex");
    if (!may_take(mutex, caller, "ExAcquireFastMutex"))
        return;
    ExAcquireFastMutexUnsafe(mutex);
    remember(mutex, VERIFY_LOCK_FAST_MUTEX, caller);
    mutex->OldIrql = thread->level;
    thread->level = APC_LEVEL;
}

static void NTAPI hook_ExReleaseFastMutex(PFAST_MUTEX mutex)
{
    struct verify_thread *thread = verify_thread_current();
    if (!forget(mutex, __builtin_return_address(0), "ExReleaseFastMutex"))
        return;
    thread->level = (KIRQL)mutex->OldIrql;
    ExReleaseFastMutexUnsafe(mutex);
}

static void NTAPI hook_ExAcquireFastMutexUnsafe(PFAST_MUTEX mutex)
{
    struct verify_thread *thread = verify_thread_current();
    void *caller = __builtin_return_address(0);
    verify_level_check(verify_driver_at(caller), APC_LEVEL, "ExAcquireFastMutexUnsafe");
    if (!thread->critical_regions && thread->level < APC_LEVEL)
        verify_report("apcs-enabled", verify_driver_at(caller), NULL,
                      "ExAcquireFastMutexUnsafe called outside a critical region");
    if (!may_take(mutex, caller, "ExAcquireFastMutexUnsafe"))
        return;
    ExAcquireFastMutexUnsafe(mutex);
    remember(mutex, VERIFY_LOCK_FAST_MUTEX, caller);
}

static void NTAPI hook_ExReleaseFastMutexUnsafe(PFAST_MUTEX mutex)
{
    if (forget(mutex, __builtin_return_address(0), "ExReleaseFastMutexUnsafe"))
        ExReleaseFastMutexUnsafe(mutex);
}

/* ---- resources ---- */

static void check_resource(void *caller, const char *function)
{
    struct verify_thread *thread = verify_thread_current();
    verify_level_check(verify_driver_at(caller), APC_LEVEL, function);
    if (!thread->critical_regions && thread->level < APC_LEVEL)
        verify_report("apcs-enabled", verify_driver_at(caller), NULL,
                      "%s called outside a critical region", function);
}

static BOOLEAN NTAPI hook_ExAcquireResourceExclusiveLite(PERESOURCE resource, BOOLEAN wait)
{
    check_resource(__builtin_return_address(0), "ExAcquireResourceExclusiveLite");
    return ExAcquireResourceExclusiveLite(resource, wait);
}

static BOOLEAN NTAPI hook_ExAcquireResourceSharedLite(PERESOURCE resource, BOOLEAN wait)
{
    check_resource(__builtin_return_address(0), "ExAcquireResourceSharedLite");
    return ExAcquireResourceSharedLite(resource, wait);
}

static const struct verify_hook hooks[] = {
    CHECK(KeAcquireSpinLockRaiseToDpc),
    CHECK(KeReleaseSpinLock),
    CHECK(KeAcquireSpinLockAtDpcLevel),
    CHECK(KeReleaseSpinLockFromDpcLevel),
    SUPPLY(KeTryToAcquireSpinLockAtDpcLevel),
    SUPPLY(KeTestSpinLock),
    CHECK(KeAcquireInStackQueuedSpinLock),
    CHECK(KeReleaseInStackQueuedSpinLock),
    CHECK(KeAcquireInStackQueuedSpinLockAtDpcLevel),
    CHECK(KeReleaseInStackQueuedSpinLockFromDpcLevel),
    CHECK(IoAcquireCancelSpinLock),
    CHECK(IoReleaseCancelSpinLock),
    SUPPLY(ExInterlockedInsertTailList),
    SUPPLY(ExInterlockedInsertHeadList),
    SUPPLY(ExInterlockedRemoveHeadList),
    CHECK(ExAcquireFastMutex),
    CHECK(ExReleaseFastMutex),
    CHECK(ExAcquireFastMutexUnsafe),
    CHECK(ExReleaseFastMutexUnsafe),
    CHECK(ExAcquireResourceExclusiveLite),
    CHECK(ExAcquireResourceSharedLite),
};
const struct verify_hooks verify_lock_hooks = VERIFY_HOOKS(hooks);
