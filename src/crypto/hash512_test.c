/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-512, HMAC-SHA512, PBKDF2-HMAC-SHA512 and BLAKE2b. */
#include "crypto_test.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "vck/blake2b.h"
#include "vck/bytes.h"
#include "vck/hmac_sha512.h"
#include "vck/pbkdf2.h"
#include "vck/sha512.h"

static struct vck_bytes bytes_of(const void *data, size_t size_bytes)
{
    return (struct vck_bytes){data, size_bytes};
}

/* FIPS 180-4 examples. */
static void sha512_gives_published_digests(void **state)
{
    (void)state;
    uint8_t digest[64];
    vck_sha512("abc", 3, digest);
    assert_bytes_hex(digest, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                             "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    vck_sha512(NULL, 0, digest);
    assert_bytes_hex(digest, "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                             "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e");
}

static void sha512_equals_openssl_in_any_pieces(void **state)
{
    (void)state;
    uint8_t data[900], expected[64], digest[64];
    for (size_t size = 0; size < sizeof(data); size += 1 + random_u32() % 3) {
        struct vck_sha512 sha;
        random_bytes(data, size);
        assert_int_equal(EVP_Digest(data, size, expected, NULL, EVP_sha512(), NULL), 1);
        vck_sha512_init(&sha);
        for (size_t at = 0; at < size;) {
            size_t count = random_u32() % 300;
            count = VCK_MIN(count, size - at);
            vck_sha512_update(&sha, data + at, count);
            at += count;
        }
        vck_sha512_final(&sha, digest);
        assert_memory_equal(digest, expected, sizeof(digest));
        assert_true(vck_all_zero(&sha, sizeof(sha)));
    }
}

/* RFC 4231, test case 2. */
static void hmac_equals_openssl(void **state)
{
    (void)state;
    uint8_t key[300], data[300], expected[64], tag[64];
    struct vck_hmac_sha512 hmac;
    vck_hmac_sha512_init(&hmac, bytes_of("Jefe", 4));
    vck_hmac_sha512_update(&hmac, bytes_of("what do ya want for nothing?", 28));
    vck_hmac_sha512_final(&hmac, tag);
    assert_bytes_hex(tag, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                          "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    for (int i = 0; i < 300; i++) {
        size_t key_size = random_u32() % sizeof(key), size = random_u32() % sizeof(data);
        random_bytes(key, key_size);
        random_bytes(data, size);
        assert_non_null(HMAC(EVP_sha512(), key, (int)key_size, data, size, expected, NULL));
        vck_hmac_sha512_init(&hmac, bytes_of(key, key_size));
        vck_hmac_sha512_update(&hmac, bytes_of(data, size));
        vck_hmac_sha512_final(&hmac, tag);
        assert_memory_equal(tag, expected, sizeof(tag));
        assert_true(vck_all_zero(&hmac, sizeof(hmac)));
    }
}

static void pbkdf2_equals_openssl(void **state)
{
    (void)state;
    uint8_t password[200], salt[100], expected[200], out[200];
    for (uint32_t i = 0; i < 60; i++) {
        size_t password_size = random_u32() % sizeof(password), salt_size = random_u32() % 100;
        size_t size = 1 + random_u32() % sizeof(out);
        random_bytes(password, password_size);
        random_bytes(salt, salt_size);
        assert_int_equal(PKCS5_PBKDF2_HMAC((const char *)password, (int)password_size, salt,
                                           (int)salt_size, (int)(1 + i * 7), EVP_sha512(),
                                           (int)size, expected),
                         1);
        assert_int_equal(vck_pbkdf2_sha512(bytes_of(password, password_size),
                                           bytes_of(salt, salt_size), 1 + i * 7, out, size),
                         VCK_OK);
        assert_memory_equal(out, expected, size);
    }
    assert_int_equal(vck_pbkdf2_sha512(bytes_of("a", 1), bytes_of("b", 1), 0, out, 32),
                     VCK_INVALID_DATA);
    assert_int_equal(vck_pbkdf2_sha512(bytes_of("a", 1), bytes_of("b", 1), 1, out, 0),
                     VCK_INVALID_DATA);
}

/* RFC 7693, appendix A. */
static void blake2b_gives_published_digests(void **state)
{
    (void)state;
    struct vck_blake2b hash;
    uint8_t digest[64];
    vck_blake2b_init(&hash, 64);
    vck_blake2b_update(&hash, "abc", 3);
    vck_blake2b_final(&hash, digest);
    assert_bytes_hex(digest, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                             "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
    assert_true(vck_all_zero(&hash, sizeof(hash)));
}

static void blake2b_equals_openssl_in_any_pieces(void **state)
{
    (void)state;
    uint8_t data[700], expected[64], digest[64];
    for (size_t size = 0; size < sizeof(data); size += 1 + random_u32() % 3) {
        struct vck_blake2b hash;
        random_bytes(data, size);
        assert_int_equal(EVP_Digest(data, size, expected, NULL, EVP_blake2b512(), NULL), 1);
        vck_blake2b_init(&hash, 64);
        for (size_t at = 0; at < size;) {
            size_t count = random_u32() % 300;
            count = VCK_MIN(count, size - at);
            vck_blake2b_update(&hash, data + at, count);
            at += count;
        }
        vck_blake2b_final(&hash, digest);
        assert_memory_equal(digest, expected, sizeof(digest));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha512_gives_published_digests),
        cmocka_unit_test(sha512_equals_openssl_in_any_pieces),
        cmocka_unit_test(hmac_equals_openssl),
        cmocka_unit_test(pbkdf2_equals_openssl),
        cmocka_unit_test(blake2b_gives_published_digests),
        cmocka_unit_test(blake2b_equals_openssl_in_any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
