/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/aes.h"
#include "internal.h"
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/cpu.h"
#include "vck/secret.h"

/* By enum vck_aes_impl; slower before faster. */
static const struct vck_aes_ops *const table[] = {
    [VCK_AES_PORTABLE] = &vck_aes_portable,
#if VCK_CRYPTO_X86
    [VCK_AES_AESNI] = &vck_aes_aesni,
    [VCK_AES_VAES256] = &vck_aes_vaes256,
    [VCK_AES_VAES512] = &vck_aes_vaes512,
#endif
};

bool vck_aes_impl_available(enum vck_aes_impl impl)
{
    if (impl == VCK_AES_AUTO)
        return true;
    if ((size_t)impl >= VCK_ARRAY_COUNT(table))
        return false;
    uint32_t needed = table[impl]->features;
    return (vck_cpu_features() & needed) == needed;
}

const char *vck_aes_impl_name(enum vck_aes_impl impl)
{
    static const char *const names[] = {
        [VCK_AES_AUTO] = "auto",       [VCK_AES_PORTABLE] = "portable", [VCK_AES_AESNI] = "aesni",
        [VCK_AES_VAES256] = "vaes256", [VCK_AES_VAES512] = "vaes512",
    };
    return (size_t)impl < VCK_ARRAY_COUNT(names) ? names[impl] : "unknown";
}

enum vck_aes_impl vck_aes_impl_resolve(enum vck_aes_impl impl)
{
    if (impl != VCK_AES_AUTO)
        return impl;
    impl = (enum vck_aes_impl)(VCK_ARRAY_COUNT(table) - 1);
    while (!vck_aes_impl_available(impl))
        impl--;
    return impl;
}

const struct vck_aes_ops *vck_aes_ops_get(enum vck_aes_impl impl)
{
    impl = vck_aes_impl_resolve(impl);
    VCK_ASSERT((size_t)impl < VCK_ARRAY_COUNT(table));
    return table[impl];
}

vck_status vck_aes256_init_with(struct vck_aes256 *aes, const uint8_t key[VCK_AES256_KEY_BYTES],
                                enum vck_aes_impl impl)
{
    if (!vck_aes_impl_available(impl))
        return VCK_UNSUPPORTED;
    aes->impl = vck_aes_impl_resolve(impl);
    vck_aes_ops_get(aes->impl)->expand(aes, key);
    return VCK_OK;
}

void vck_aes256_init(struct vck_aes256 *aes, const uint8_t key[VCK_AES256_KEY_BYTES])
{
    aes->impl = vck_aes_impl_resolve(VCK_AES_AUTO);
    vck_aes_ops_get(aes->impl)->expand(aes, key);
}

void vck_aes256_fini(struct vck_aes256 *aes)
{
    vck_wipe(aes, sizeof(*aes));
}

void vck_aes256_encrypt(const struct vck_aes256 *aes, void *dst, const void *src,
                        size_t block_count)
{
    vck_aes_ops_get(aes->impl)->encrypt(aes->encrypt_keys, dst, src, block_count);
}

void vck_aes256_decrypt(const struct vck_aes256 *aes, void *dst, const void *src,
                        size_t block_count)
{
    vck_aes_ops_get(aes->impl)->decrypt(aes->decrypt_keys, dst, src, block_count);
}
