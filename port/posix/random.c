/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>
#include "port/posix/internal.h"

vck_status vck_random(void *p, size_t size_bytes)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    unsigned char *bytes = p;
    while (size_bytes > 0) {
        ssize_t got = getrandom(bytes, size_bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return VCK_CRYPTO_FAILED;
        bytes += got;
        size_bytes -= (size_t)got;
    }
    return VCK_OK;
}
