/* SPDX-License-Identifier: Apache-2.0 */
#include <x86intrin.h>
#include "port/uefi/uefi.h"

#define NS_PER_S    UINT64_C(1000000000)
#define MEASURED_US UINT64_C(2000)

/* The time stamp counter against the firmware's delay, once: good enough for time limits. */
static uint64_t ticks_per_s(void)
{
    static uint64_t known;

    if (known == 0) {
        uint64_t start = __rdtsc();

        (void)vck_uefi_boot->Stall(MEASURED_US);
        known = (__rdtsc() - start) * (1000000 / MEASURED_US) + 1;
    }
    return known;
}

uint64_t vck_clock_ns(void)
{
    uint64_t frequency = ticks_per_s();
    uint64_t count = __rdtsc();

    /* The remainder times NS_PER_S fits 64 bits up to 18 GHz. */
    return count / frequency * NS_PER_S + count % frequency * NS_PER_S / frequency;
}
