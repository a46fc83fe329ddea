/* SPDX-License-Identifier: Apache-2.0 */
/* Levels, locks and waits. */
#include "selftest.h"

static KSPIN_LOCK lock;
static FAST_MUTEX mutex;

static void wait_at_dispatch(void)
{
    KEVENT event;
    KIRQL old;
    KeInitializeEvent(&event, NotificationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    KeLowerIrql(old);
}

static void sleep_at_dispatch(void)
{
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    selftest_sleep_ms(1);
    KeLowerIrql(old);
}

static void wait_with_lock(void)
{
    KEVENT event;
    KIRQL old;
    KeInitializeEvent(&event, NotificationEvent, TRUE);
    KeAcquireSpinLock(&lock, &old);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    KeReleaseSpinLock(&lock, old);
}

static void wait_for_many(void)
{
    KEVENT events[4];
    void *objects[4];
    LARGE_INTEGER now = {.QuadPart = 0};
    for (int i = 0; i < 4; i++) {
        KeInitializeEvent(&events[i], NotificationEvent, TRUE);
        objects[i] = &events[i];
    }
    KeWaitForMultipleObjects(4, objects, WaitAny, Executive, KernelMode, FALSE, &now, NULL);
}

static void call_pageable_at_dispatch(void)
{
    KIRQL old;
    HANDLE handle = NULL;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ZwClose(handle);
    KeLowerIrql(old);
}

static void lower_with_lock(void)
{
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    KeLowerIrql(PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeReleaseSpinLock(&lock, PASSIVE_LEVEL);
}

static void return_raised(void)
{
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
}

static void raise_below(void)
{
    KIRQL(NTAPI * raise)
    (KIRQL) = (KIRQL(NTAPI *)(KIRQL))(uintptr_t)selftest_look_up(L"KfRaiseIrql");
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    raise(APC_LEVEL);
    KeLowerIrql(old);
}

static void lower_above(void)
{
    void(NTAPI * lower)(KIRQL) = (void(NTAPI *)(KIRQL))(uintptr_t)selftest_look_up(L"KeLowerIrql");
    lower(DISPATCH_LEVEL);
    lower(PASSIVE_LEVEL);
}

static void lock_at_passive(void)
{
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeReleaseSpinLockFromDpcLevel(&lock);
}

static void release_to_wrong_level(void)
{
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    KeReleaseSpinLock(&lock, DISPATCH_LEVEL + 1);
    KeLowerIrql(old);
}

static void lock_twice(void)
{
    KIRQL old, ignored;
    KeAcquireSpinLock(&lock, &old);
    KeAcquireSpinLock(&lock, &ignored);
    KeReleaseSpinLock(&lock, old);
}

static void lock_mutex_twice(void)
{
    ExInitializeFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
    ExReleaseFastMutex(&mutex);
}

static void release_unheld(void)
{
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeReleaseSpinLock(&lock, old);
}

static void return_with_lock(void)
{
    static KSPIN_LOCK lost;
    KIRQL old;
    KeAcquireSpinLock(&lost, &old);
    KeLowerIrql(old);
}

static void return_in_region(void)
{
    KeEnterCriticalRegion();
}

static void leave_unentered_region(void)
{
    KeLeaveCriticalRegion();
}

static void mutex_outside_region(void)
{
    ExInitializeFastMutex(&mutex);
    ExAcquireFastMutexUnsafe(&mutex);
    ExReleaseFastMutexUnsafe(&mutex);
}

typedef NTSTATUS(NTAPI *save_state)(ULONG64 mask, PXSTATE_SAVE state);
typedef void(NTAPI *restore_state)(PXSTATE_SAVE state);

static void save_only(void)
{
    save_state save = (save_state)(uintptr_t)selftest_look_up(L"KeSaveExtendedProcessorState");
    static XSTATE_SAVE state;
    save(4, &state);
}

static void restore_only(void)
{
    restore_state restore =
        (restore_state)(uintptr_t)selftest_look_up(L"KeRestoreExtendedProcessorState");
    static XSTATE_SAVE state;
    restore(&state);
}

static const struct sin list[] = {
    {"wait-at-dispatch", wait_at_dispatch, SIN_NOW, "wait-at-level"},
    {"sleep-at-dispatch", sleep_at_dispatch, SIN_NOW, "wait-at-level"},
    {"wait-with-lock", wait_with_lock, SIN_NOW, "wait-at-level"},
    {"wait-for-many", wait_for_many, SIN_NOW, "wait-blocks-missing"},
    {"pageable-at-dispatch", call_pageable_at_dispatch, SIN_NOW, "level-too-high"},
    {"lower-with-lock", lower_with_lock, SIN_NOW, "level-lowered-with-lock"},
    {"return-raised", return_raised, SIN_NOW, "level-changed"},
    {"raise-below", raise_below, SIN_NOW, "level-raised-below"},
    {"lower-above", lower_above, SIN_NOW, "level-lowered-above"},
    {"lock-at-passive", lock_at_passive, SIN_NOW, "level-too-low,level-too-low"},
    {"release-to-wrong-level", release_to_wrong_level, SIN_NOW, "level-wrong-at-release"},
    {"lock-twice", lock_twice, SIN_NOW, "lock-taken-twice"},
    {"lock-mutex-twice", lock_mutex_twice, SIN_NOW, "lock-taken-twice"},
    {"release-unheld", release_unheld, SIN_NOW, "lock-not-held"},
    {"return-with-lock", return_with_lock, SIN_NOW, "level-lowered-with-lock,lock-left-held"},
    {"return-in-region", return_in_region, SIN_NOW, "critical-region-unbalanced"},
    {"leave-region", leave_unentered_region, SIN_NOW, "critical-region-unbalanced"},
    {"mutex-outside-region", mutex_outside_region, SIN_NOW, "apcs-enabled"},
    {"save-only", save_only, SIN_NOW, "saved-state-unbalanced"},
    {"restore-only", restore_only, SIN_NOW, "saved-state-unbalanced"},
};
const struct sins level_sins = {list, sizeof(list) / sizeof(list[0])};
