/* SPDX-License-Identifier: Apache-2.0 */
/* Argon2id by libargon2, which computes the lanes in threads of their own. */
#include <argon2.h>
#include "products/vck/os.h"

static vck_status stretch(const struct vck_key_stretcher *stretcher,
                          const struct vck_argon2_params *params, struct vck_bytes password,
                          struct vck_bytes salt, uint8_t ret_key[32])
{
    (void)stretcher;
    int result = argon2id_hash_raw(params->passes, params->memory_kib, params->lanes, password.data,
                                   password.size_bytes, salt.data, salt.size_bytes, ret_key, 32);
    switch (result) {
    case ARGON2_OK:
        return VCK_OK;
    case ARGON2_MEMORY_ALLOCATION_ERROR:
    case ARGON2_THREAD_FAIL:
        return VCK_NO_MEMORY;
    default:
        return VCK_INVALID_DATA;
    }
}

const struct vck_key_stretcher *os_stretcher(void)
{
    static const struct vck_key_stretcher stretcher = {.argon2id = stretch};
    return &stretcher;
}
