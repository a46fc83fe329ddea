/* SPDX-License-Identifier: Apache-2.0 */
#include "port/win/internal.h"
/* Needs the types above. */
#include <bcrypt.h>

vck_status vck_random(void *p, size_t size_bytes)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    unsigned char *bytes = p;
    while (size_bytes > 0) {
        ULONG piece = size_bytes < MAXLONG ? (ULONG)size_bytes : MAXLONG;
        if (BCryptGenRandom(NULL, bytes, piece, BCRYPT_USE_SYSTEM_PREFERRED_RNG) != 0)
            return VCK_CRYPTO_FAILED;
        bytes += piece;
        size_bytes -= piece;
    }
    return VCK_OK;
}
