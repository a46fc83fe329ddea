/* SPDX-License-Identifier: Apache-2.0 */
/* Restricting the instruction set is for good, so these tests have a program of their own. */
#include "crypto_test.h"
#include "vck/aes.h"
#include "vck/cpu.h"
#include "vck/sha256.h"
#include "vck/siphash.h"
#include "vck/xts.h"

static void set_is_consistent(void **state)
{
    (void)state;
    uint32_t features = vck_cpu_features();
    assert_int_equal(features, vck_cpu_features());
    if ((features & (VCK_CPU_VAES | VCK_CPU_AVX512)) != 0)
        assert_true((features & VCK_CPU_AVX2) != 0);
    if ((features & VCK_CPU_VAES) != 0)
        assert_true((features & VCK_CPU_AESNI) != 0);
}

static void restriction_takes_wide_registers_away(void **state)
{
    (void)state;
    uint32_t before = vck_cpu_features();
    vck_cpu_restrict(VCK_CPU_AESNI | VCK_CPU_SHA);
    assert_int_equal(vck_cpu_features(), before & (VCK_CPU_AESNI | VCK_CPU_SHA));
    assert_false(vck_aes_impl_available(VCK_AES_VAES256));
    assert_false(vck_aes_impl_available(VCK_AES_VAES512));
    assert_false(vck_siphash_impl_available(VCK_SIPHASH_AVX2));
    assert_false(vck_siphash_impl_available(VCK_SIPHASH_AVX512));
    assert_int_equal(vck_aes_impl_available(VCK_AES_AESNI), (before & VCK_CPU_AESNI) != 0);
}

/* Contexts fall back to what is left, and give the same results. */
static void contexts_follow_restriction(void **state)
{
    (void)state;
    uint8_t keys[64], sector[512] = {0}, portable[512];
    struct vck_xts xts;
    struct vck_aes256 aes;
    random_bytes(keys, sizeof(keys));
    vck_cpu_restrict(0);
    assert_int_equal(vck_cpu_features(), 0);
    assert_int_equal(vck_xts_init_with(&xts, keys, keys + 32, VCK_AES_AESNI), VCK_UNSUPPORTED);
    assert_int_equal(vck_xts_init(&xts, keys, keys + 32), VCK_OK);
    vck_xts_encrypt(&xts, sector, sector, sizeof(sector), 512, 5);
    assert_int_equal(vck_xts_init_with(&xts, keys, keys + 32, VCK_AES_PORTABLE), VCK_OK);
    memset(portable, 0, sizeof(portable));
    vck_xts_encrypt(&xts, portable, portable, sizeof(portable), 512, 5);
    assert_memory_equal(sector, portable, sizeof(sector));
    vck_aes256_init(&aes, keys);
    assert_int_equal(aes.impl, VCK_AES_PORTABLE);
    assert_false(vck_sha256_impl_available(VCK_SHA256_SHANI));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_is_consistent),
        cmocka_unit_test(restriction_takes_wide_registers_away),
        cmocka_unit_test(contexts_follow_restriction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
