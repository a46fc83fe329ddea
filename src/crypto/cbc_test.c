/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_test.h"
#include <openssl/evp.h>
#include "vck/cbc.h"

#define BLOCKS_MAX 40u

/* NIST SP 800-38A, F.2.5 and F.2.6. */
static const char key_hex[] = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
static const char iv_hex[] = "000102030405060708090a0b0c0d0e0f";
static const char plain_hex[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                                "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
static const char cipher_hex[] = "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
                                 "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b";

static void gives_published_text(void **state)
{
    (void)state;
    uint8_t key[32], iv[16], text[64];
    unhex(key_hex, key);
    unhex(iv_hex, iv);
    unhex(plain_hex, text);
    assert_int_equal(vck_cbc_encrypt(key, iv, text, text, sizeof(text)), VCK_OK);
    assert_bytes_hex(text, cipher_hex);
    assert_int_equal(vck_cbc_decrypt(key, iv, text, text, sizeof(text)), VCK_OK);
    assert_bytes_hex(text, plain_hex);
}

static void refuses_partial_blocks(void **state)
{
    (void)state;
    uint8_t key[32] = {0}, iv[16] = {0}, text[32] = {7}, before[32] = {7};
    assert_int_equal(vck_cbc_encrypt(key, iv, text, text, 31), VCK_SIZE_MISMATCH);
    assert_int_equal(vck_cbc_decrypt(key, iv, text, text, 17), VCK_SIZE_MISMATCH);
    assert_memory_equal(text, before, sizeof(text));
}

static void equals_reference(void **state)
{
    (void)state;
    uint8_t key[32], iv[16], plain[16 * BLOCKS_MAX], expected[16 * BLOCKS_MAX + 16];
    uint8_t out[16 * BLOCKS_MAX];
    for (size_t blocks = 0; blocks <= BLOCKS_MAX; blocks++) {
        EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        int size = 0;
        random_bytes(key, sizeof(key));
        random_bytes(iv, sizeof(iv));
        random_bytes(plain, sizeof(plain));
        assert_non_null(context);
        assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_256_cbc(), NULL, key, iv), 1);
        assert_int_equal(EVP_EncryptUpdate(context, expected, &size, plain, (int)(16 * blocks)), 1);
        EVP_CIPHER_CTX_free(context);
        assert_int_equal(vck_cbc_encrypt(key, iv, out, plain, 16 * blocks), VCK_OK);
        assert_memory_equal(out, expected, 16 * blocks);
        memset(out, 0, sizeof(out));
        assert_int_equal(vck_cbc_decrypt(key, iv, out, expected, 16 * blocks), VCK_OK);
        assert_memory_equal(out, plain, 16 * blocks);
        assert_int_equal(vck_cbc_decrypt(key, iv, expected, expected, 16 * blocks), VCK_OK);
        assert_memory_equal(expected, plain, 16 * blocks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_published_text),
        cmocka_unit_test(refuses_partial_blocks),
        cmocka_unit_test(equals_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
