/* SPDX-License-Identifier: Apache-2.0 */
#include "port/win/internal.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

uint64_t vck_clock_ns(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER counter;
    /* Neither fails on any Windows since XP. */
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&counter);
    uint64_t per_s = (uint64_t)frequency.QuadPart;
    uint64_t count = (uint64_t)counter.QuadPart;
    return count / per_s * NS_PER_S + count % per_s * NS_PER_S / per_s;
}

DWORD vck_win_ms_until(uint64_t deadline_ns)
{
    if (deadline_ns == VCK_FOREVER)
        return INFINITE;
    uint64_t now_ns = vck_clock_ns();
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t left_ms = (deadline_ns - now_ns - 1) / NS_PER_MS + 1;
    return left_ms < INFINITE ? (DWORD)left_ms : INFINITE - 1;
}
