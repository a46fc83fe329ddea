/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/internal.h"

#define USE_SYSTEM_PREFERRED_RNG 2u

/* Of cng.sys, which the toolchain has no library for. Source: BCryptGenRandom. */
__declspec(dllimport) NTSTATUS NTAPI
    BCryptGenRandom(void *algorithm, UCHAR *buffer, ULONG size_bytes, ULONG flags);

vck_status vck_random(void *p, size_t size_bytes)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    UCHAR *bytes = p;
    while (size_bytes > 0) {
        ULONG part_bytes = size_bytes > UINT32_MAX ? UINT32_MAX : (ULONG)size_bytes;
        if (!NT_SUCCESS(BCryptGenRandom(NULL, bytes, part_bytes, USE_SYSTEM_PREFERRED_RNG)))
            return VCK_CRYPTO_FAILED;
        bytes += part_bytes;
        size_bytes -= part_bytes;
    }
    return VCK_OK;
}
