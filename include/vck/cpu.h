/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu: which vector instructions may be used here: the processor has them, the system saves their
 * registers (XGETBV), and the port has not ruled them out. Read once, without a lock; the crypto
 * room chooses its implementations by it.
 */
#ifndef VCK_CPU_H
#define VCK_CPU_H

#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

enum vck_cpu_feature {
    VCK_CPU_AESNI = 1u << 0,  /* AES-NI with SSSE3 and SSE4.1; XMM registers only */
    VCK_CPU_SHA = 1u << 1,    /* SHA extensions with SSSE3 and SSE4.1; XMM registers only */
    VCK_CPU_AVX2 = 1u << 2,   /* and the system keeps YMM registers */
    VCK_CPU_VAES = 1u << 3,   /* VAES and VPCLMULQDQ on YMM; implies AVX2 */
    VCK_CPU_AVX512 = 1u << 4, /* F, BW, DQ and VL, and the system keeps ZMM registers */
};

/* The set of vck_cpu_feature that may be used. Any level. */
uint32_t vck_cpu_features(void);

/* Rules out everything outside `allowed` from now on, for ports whose callers do not save wide
 * registers (kernels: VCK_CPU_AESNI | VCK_CPU_SHA). Affects contexts initialised afterwards. Call
 * before other threads use the room. */
void vck_cpu_restrict(uint32_t allowed);

VCK_END_DECLS

#endif
