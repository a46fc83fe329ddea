/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting: at or below APC, unless not at all; and never with a spin lock held. */
#include "verify.h"

static void check_wait(void *caller, const LARGE_INTEGER *timeout, const char *function)
{
    struct verify_thread *thread = verify_thread_current();
    bool is_poll = timeout && timeout->QuadPart == 0;
    if (thread->level > (is_poll ? DISPATCH_LEVEL : APC_LEVEL))
        verify_report("wait-at-level", verify_driver_at(caller), NULL, "%s called at level %u",
                      function, thread->level);
}

static NTSTATUS NTAPI hook_KeWaitForSingleObject(PVOID object, KWAIT_REASON reason,
                                                 KPROCESSOR_MODE mode, BOOLEAN is_alertable,
                                                 PLARGE_INTEGER timeout)
{
    check_wait(__builtin_return_address(0), timeout, "KeWaitForSingleObject");
    return KeWaitForSingleObject(object, reason, mode, is_alertable, timeout);
}

static NTSTATUS NTAPI hook_KeWaitForMultipleObjects(ULONG count, PVOID objects[], WAIT_TYPE type,
                                                    KWAIT_REASON reason, KPROCESSOR_MODE mode,
                                                    BOOLEAN is_alertable, PLARGE_INTEGER timeout,
                                                    PKWAIT_BLOCK blocks)
{
    check_wait(__builtin_return_address(0), timeout, "KeWaitForMultipleObjects");
    if (count > THREAD_WAIT_OBJECTS && !blocks)
        verify_report("wait-blocks-missing", CALLER, NULL,
                      "%lu objects are more than a thread has wait blocks for", count);
    return KeWaitForMultipleObjects(count, objects, type, reason, mode, is_alertable, timeout,
                                    blocks);
}

static NTSTATUS NTAPI hook_KeWaitForMutexObject(PVOID object, KWAIT_REASON reason,
                                                KPROCESSOR_MODE mode, BOOLEAN is_alertable,
                                                PLARGE_INTEGER timeout)
{
    check_wait(__builtin_return_address(0), timeout, "KeWaitForMutexObject");
    return KeWaitForSingleObject(object, reason, mode, is_alertable, timeout);
}

static NTSTATUS NTAPI hook_KeDelayExecutionThread(KPROCESSOR_MODE mode, BOOLEAN is_alertable,
                                                  PLARGE_INTEGER interval)
{
    check_wait(__builtin_return_address(0), NULL, "KeDelayExecutionThread");
    return KeDelayExecutionThread(mode, is_alertable, interval);
}

static const struct verify_hook hooks[] = {
    CHECK(KeWaitForSingleObject),
    CHECK(KeWaitForMultipleObjects),
    SUPPLY(KeWaitForMutexObject),
    CHECK(KeDelayExecutionThread),
};
const struct verify_hooks verify_wait_hooks = VERIFY_HOOKS(hooks);
