/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks Wine lacks, in the kernel's units of 100 ns. */
#include "verify.h"

enum { UNITS_PER_SECOND = 10000000 };

LONG64 verify_now(void)
{
    LARGE_INTEGER frequency, counter = KeQueryPerformanceCounter(&frequency);
    if (frequency.QuadPart == UNITS_PER_SECOND)
        return counter.QuadPart;
    return counter.QuadPart / frequency.QuadPart * UNITS_PER_SECOND +
           counter.QuadPart % frequency.QuadPart * UNITS_PER_SECOND / frequency.QuadPart;
}

static void NTAPI hook_KeQuerySystemTimePrecise(PLARGE_INTEGER ret_time)
{
    GetSystemTimePreciseAsFileTime(ret_time);
}

static ULONG64 NTAPI hook_KeQueryInterruptTimePrecise(PULONG64 ret_counter)
{
    if (ret_counter)
        *ret_counter = (ULONG64)KeQueryPerformanceCounter(NULL).QuadPart;
    return (ULONG64)verify_now();
}

static ULONG64 NTAPI hook_KeQueryInterruptTime(void)
{
    return (ULONG64)verify_now();
}

static ULONG64 NTAPI hook_KeQueryUnbiasedInterruptTime(void)
{
    return (ULONG64)verify_now();
}

static void NTAPI hook_KeStallExecutionProcessor(ULONG microseconds)
{
    LONG64 start = verify_now();
    while (verify_now() - start < (LONG64)microseconds * 10)
        YieldProcessor();
}

static const struct verify_hook hooks[] = {
    SUPPLY(KeQuerySystemTimePrecise),  SUPPLY(KeQueryInterruptTimePrecise),
    SUPPLY(KeQueryInterruptTime),      SUPPLY(KeQueryUnbiasedInterruptTime),
    SUPPLY(KeStallExecutionProcessor),
};
const struct verify_hooks verify_time_hooks = VERIFY_HOOKS(hooks);
