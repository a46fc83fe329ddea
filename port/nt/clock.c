/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/internal.h"

#define NS_PER_SECOND 1000000000u
#define NS_PER_UNIT   100u /* of interrupt time */

static uint64_t(NTAPI *query_interrupt_time)(uint64_t *ret_counter);

uint64_t vck_clock_ns(void)
{
    if (query_interrupt_time != NULL) {
        uint64_t unused;
        return query_interrupt_time(&unused) * NS_PER_UNIT;
    }
    LARGE_INTEGER frequency;
    uint64_t count = (uint64_t)KeQueryPerformanceCounter(&frequency).QuadPart;
    uint64_t per_second = (uint64_t)frequency.QuadPart;
    return count / per_second * NS_PER_SECOND + count % per_second * NS_PER_SECOND / per_second;
}

void vck_nt_clock_init(void)
{
    *(void **)&query_interrupt_time = vck_nt_routine(L"KeQueryInterruptTimePrecise");
}
