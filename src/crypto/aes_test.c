/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_test.h"
#include <openssl/evp.h>
#include "vck/aes.h"
#include "vck/bytes.h"

#define BLOCKS_MAX 75u

static const enum vck_aes_impl impls[] = {VCK_AES_AUTO, VCK_AES_PORTABLE, VCK_AES_AESNI,
                                          VCK_AES_VAES256, VCK_AES_VAES512};

/* FIPS 197, appendix C.3. */
static void gives_published_block(void **state)
{
    (void)state;
    uint8_t key[32], block[16];
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        struct vck_aes256 aes;
        if (!vck_aes_impl_available(impls[i]))
            continue;
        unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", key);
        unhex("00112233445566778899aabbccddeeff", block);
        assert_int_equal(vck_aes256_init_with(&aes, key, impls[i]), VCK_OK);
        vck_aes256_encrypt(&aes, block, block, 1);
        assert_bytes_hex(block, "8ea2b7ca516745bfeafc49904b496089");
        vck_aes256_decrypt(&aes, block, block, 1);
        assert_bytes_hex(block, "00112233445566778899aabbccddeeff");
        vck_aes256_fini(&aes);
        assert_true(vck_all_zero(&aes, sizeof(aes)));
    }
}

/* FIPS 197, appendix A.3: first and last expanded words. */
static void expands_published_schedule(void **state)
{
    (void)state;
    uint8_t key[32];
    unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", key);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        struct vck_aes256 aes;
        if (!vck_aes_impl_available(impls[i]))
            continue;
        assert_int_equal(vck_aes256_init_with(&aes, key, impls[i]), VCK_OK);
        assert_bytes_hex(aes.encrypt_keys + 32, "9ba354118e6925afa51a8b5f2067fcde");
        assert_bytes_hex(aes.encrypt_keys + 224, "fe4890d1e6188d0b046df344706c631e");
    }
}

static void schedules_agree(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct vck_aes256 portable, other;
        uint8_t key[32];
        random_bytes(key, sizeof(key));
        assert_int_equal(vck_aes256_init_with(&portable, key, VCK_AES_PORTABLE), VCK_OK);
        vck_aes256_init(&other, key);
        assert_memory_equal(portable.encrypt_keys, other.encrypt_keys,
                            sizeof(portable.encrypt_keys));
        assert_memory_equal(portable.decrypt_keys, other.decrypt_keys,
                            sizeof(portable.decrypt_keys));
    }
}

static void reference_encrypt(const uint8_t key[32], uint8_t *out, const uint8_t *in, size_t blocks)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int size = 0;
    assert_non_null(context);
    assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), NULL, key, NULL), 1);
    assert_int_equal(EVP_CIPHER_CTX_set_padding(context, 0), 1);
    assert_int_equal(EVP_EncryptUpdate(context, out, &size, in, (int)(16 * blocks)), 1);
    EVP_CIPHER_CTX_free(context);
}

static void blocks_equal_reference(void **state)
{
    (void)state;
    static uint8_t plain[16 * BLOCKS_MAX], expected[16 * BLOCKS_MAX + 16], out[16 * BLOCKS_MAX + 1];
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        if (!vck_aes_impl_available(impls[i]))
            continue;
        for (size_t blocks = 0; blocks <= BLOCKS_MAX; blocks++) {
            struct vck_aes256 aes;
            uint8_t key[32];
            random_bytes(key, sizeof(key));
            random_bytes(plain, sizeof(plain));
            reference_encrypt(key, expected, plain, blocks);
            assert_int_equal(vck_aes256_init_with(&aes, key, impls[i]), VCK_OK);
            vck_aes256_encrypt(&aes, out + 1, plain, blocks);
            assert_memory_equal(out + 1, expected, 16 * blocks);
            vck_aes256_decrypt(&aes, out + 1, out + 1, blocks);
            assert_memory_equal(out + 1, plain, 16 * blocks);
        }
    }
}

static void names_every_implementation(void **state)
{
    (void)state;
    assert_string_equal(vck_aes_impl_name(VCK_AES_AUTO), "auto");
    assert_string_equal(vck_aes_impl_name(VCK_AES_PORTABLE), "portable");
    assert_string_equal(vck_aes_impl_name(VCK_AES_AESNI), "aesni");
    assert_string_equal(vck_aes_impl_name(VCK_AES_VAES256), "vaes256");
    assert_string_equal(vck_aes_impl_name(VCK_AES_VAES512), "vaes512");
    assert_string_equal(vck_aes_impl_name((enum vck_aes_impl)99), "unknown");
    assert_false(vck_aes_impl_available((enum vck_aes_impl)99));
    assert_true(vck_aes_impl_available(VCK_AES_PORTABLE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_published_block),
        cmocka_unit_test(expands_published_schedule),
        cmocka_unit_test(schedules_agree),
        cmocka_unit_test(blocks_equal_reference),
        cmocka_unit_test(names_every_implementation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
