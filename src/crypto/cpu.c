/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/cpu.h"
#include <stdbool.h>
#include "internal.h"

#if VCK_CRYPTO_X86
#include <cpuid.h>

/* State components the system saves, as XCR0 names them. */
#define XCR0_SSE_AVX 0x06u
#define XCR0_AVX512  0xe6u

static bool has(uint32_t word, unsigned bit)
{
    return (word >> bit & 1u) != 0;
}

/* By hand, because the intrinsic wants a compiler flag for the whole file. */
static uint32_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* GCC aligns the stack to 16 bytes only where it unwinds by SEH tables, yet spills wider vectors as
 * if they were aligned; there, only what needs XMM registers is used. */
#if defined(__SEH__) && !defined(__clang__)
#define WIDE_SPILLS_FAULT true
#else
#define WIDE_SPILLS_FAULT false
#endif

static uint32_t detect(void)
{
    uint32_t a, b, c, d, b7 = 0, c7 = 0, features = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0)
        return 0;
    if (__get_cpuid_count(7, 0, &a, &b7, &c7, &d) == 0)
        b7 = c7 = 0;

    bool sse41 = has(c, 9) && has(c, 19);
    if (sse41 && has(c, 25))
        features |= VCK_CPU_AESNI;
    if (sse41 && has(b7, 29))
        features |= VCK_CPU_SHA;

    bool os_saves_wide = has(c, 27);
    uint32_t xcr0 = os_saves_wide ? read_xcr0() : 0;
    if ((xcr0 & XCR0_SSE_AVX) != XCR0_SSE_AVX || !has(c, 28) || !has(b7, 5) || WIDE_SPILLS_FAULT)
        return features;
    features |= VCK_CPU_AVX2;
    if (has(c, 25) && has(c7, 9) && has(c7, 10))
        features |= VCK_CPU_VAES;
    if ((xcr0 & XCR0_AVX512) == XCR0_AVX512 && has(b7, 16) && has(b7, 17) && has(b7, 30) &&
        has(b7, 31))
        features |= VCK_CPU_AVX512;
    return features;
}
#else
static uint32_t detect(void)
{
    return 0;
}
#endif

/* Set in `known` once detection has run; every thread computes the same value, so a race only costs
 * a second look. */
#define DETECTED 0x80000000u

static uint32_t known;
#if defined(VCK_XMM_ONLY) /* builds for a kernel that keeps no wider registers for us */
static uint32_t allowed_set = VCK_CPU_AESNI | VCK_CPU_SHA;
#else
static uint32_t allowed_set = ~0u;
#endif

uint32_t vck_cpu_features(void)
{
    uint32_t features = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if ((features & DETECTED) == 0) {
        features = detect() | DETECTED;
        __atomic_store_n(&known, features, __ATOMIC_RELAXED);
    }
    return features & ~DETECTED & __atomic_load_n(&allowed_set, __ATOMIC_RELAXED);
}

void vck_cpu_restrict(uint32_t allowed)
{
    __atomic_fetch_and(&allowed_set, allowed, __ATOMIC_RELAXED);
}
