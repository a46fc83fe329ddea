/* SPDX-License-Identifier: Apache-2.0 */
#include <cpuid.h>
#include "port/uefi/uefi.h"
#include "vck/bytes.h"
#include "vck/secret.h"

#define RDRAND_TRIES 10 /* the manufacturer's advice */

static bool has_rdrand(void)
{
    unsigned a, b, c = 0, d;

    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 30 & 1u) != 0;
}

static bool rdrand(uint64_t *ret_value)
{
    for (unsigned i = 0; i < RDRAND_TRIES; i++) {
        uint8_t ok;

        __asm__ volatile("rdrand %0; setc %1" : "=r"(*ret_value), "=qm"(ok) : : "cc");
        if (ok)
            return true;
    }
    return false;
}

static vck_status fill_by_processor(uint8_t *bytes, size_t size_bytes)
{
    uint64_t value = 0;

    if (!has_rdrand())
        return VCK_CRYPTO_FAILED;
    while (size_bytes > 0) {
        size_t piece = VCK_MIN(size_bytes, sizeof(value));

        if (!rdrand(&value))
            return VCK_CRYPTO_FAILED;
        memcpy(bytes, &value, piece);
        bytes += piece;
        size_bytes -= piece;
    }
    vck_wipe(&value, sizeof(value));
    return VCK_OK;
}

vck_status vck_random(void *p, size_t size_bytes)
{
    struct efi_rng *rng = NULL;

    if (vck_uefi_boot->LocateProtocol(&efi_rng_guid, NULL, (void **)&rng) == EFI_SUCCESS &&
        rng->GetRNG(rng, NULL, size_bytes, p) == EFI_SUCCESS)
        return VCK_OK;
    return fill_by_processor(p, size_bytes);
}
