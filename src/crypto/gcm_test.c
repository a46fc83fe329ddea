/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM, against published vectors and OpenSSL. */
#include "crypto_test.h"
#include <openssl/evp.h>
#include "vck/bytes.h"
#include "vck/gcm.h"

static struct vck_bytes bytes_of(const void *data, size_t size_bytes)
{
    return (struct vck_bytes){data, size_bytes};
}

/* Test cases 13 to 16 of the submission to NIST. */
static void gives_published_tags(void **state)
{
    (void)state;
    static const char zeroes[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const char key[] = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    static const char text[] =
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449"
        "a6b525b16aedf5aa0de657ba637b391aafd255";
    static const char cipher[] =
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056"
        "828838c5f61e6393ba7a0abcc9f662898015ad";
    static const struct {
        const char *key, *nonce, *associated, *text, *cipher, *tag;
        size_t size_bytes;
    } vectors[] = {
        {zeroes, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b", 0},
        {zeroes, "000000000000000000000000", "", "00000000000000000000000000000000",
         "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919", 16},
        {key, "cafebabefacedbaddecaf888", "", text, cipher, "b094dac5d93471bdec1a502270e3cc6c", 64},
        {key, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", text, cipher,
         "76fc6ece0f4e1768cddf8853bb2d551b", 60},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(vectors); i++) {
        uint8_t k[32], nonce[12], associated[64], buffer[64], expected[64], tag[16];
        size_t size = vectors[i].size_bytes;
        unhex(vectors[i].key, k);
        unhex(vectors[i].nonce, nonce);
        size_t associated_bytes = unhex(vectors[i].associated, associated);
        unhex(vectors[i].text, buffer);
        unhex(vectors[i].cipher, expected);
        assert_int_equal(vck_gcm_seal(k, nonce, bytes_of(associated, associated_bytes), buffer,
                                      buffer, size, tag),
                         VCK_OK);
        assert_memory_equal(buffer, expected, size);
        assert_bytes_hex(tag, vectors[i].tag);
    }
}

static void seal_with_openssl(const uint8_t *key, const uint8_t *nonce, struct vck_bytes associated,
                              uint8_t *dst, const uint8_t *src, size_t size, uint8_t *tag)
{
    int count;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    assert_non_null(context);
    assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce), 1);
    if (associated.size_bytes > 0)
        assert_int_equal(
            EVP_EncryptUpdate(context, NULL, &count, associated.data, (int)associated.size_bytes),
            1);
    assert_int_equal(EVP_EncryptUpdate(context, dst, &count, src, (int)size), 1);
    assert_int_equal(EVP_EncryptFinal_ex(context, dst + size, &count), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, tag), 1);
    EVP_CIPHER_CTX_free(context);
}

static void equals_openssl(void **state)
{
    (void)state;
    uint8_t key[32], nonce[12], associated[300], text[300], expected[316], sealed[300], tag[16];
    uint8_t expected_tag[16], opened[300];
    for (int i = 0; i < 400; i++) {
        size_t size = random_u32() % sizeof(text);
        struct vck_bytes with = bytes_of(associated, random_u32() % sizeof(associated));
        random_bytes(key, sizeof(key));
        random_bytes(nonce, sizeof(nonce));
        random_bytes(associated, sizeof(associated));
        random_bytes(text, sizeof(text));
        seal_with_openssl(key, nonce, with, expected, text, size, expected_tag);
        assert_int_equal(vck_gcm_seal(key, nonce, with, sealed, text, size, tag), VCK_OK);
        assert_memory_equal(sealed, expected, size);
        assert_memory_equal(tag, expected_tag, sizeof(tag));
        assert_int_equal(vck_gcm_open(key, nonce, with, opened, sealed, size, tag), VCK_OK);
        assert_memory_equal(opened, text, size);
    }
}

/* Any bit that is turned is noticed, and nothing is given out. */
static void notices_changes(void **state)
{
    (void)state;
    uint8_t parts[32 + 12 + 20 + 40 + 16], opened[40];
    uint8_t *key = parts, *nonce = key + 32, *associated = nonce + 12, *text = associated + 20;
    uint8_t *tag = text + 40;
    random_bytes(parts, sizeof(parts));
    assert_int_equal(vck_gcm_seal(key, nonce, bytes_of(associated, 20), text, text, 40, tag),
                     VCK_OK);
    for (size_t bit = 0; bit < sizeof(parts) * 8; bit++) {
        memset(opened, 0, sizeof(opened));
        parts[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(vck_gcm_open(key, nonce, bytes_of(associated, 20), opened, text, 40, tag),
                         VCK_WRONG_KEY);
        assert_true(vck_all_zero(opened, sizeof(opened)));
        parts[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(vck_gcm_open(key, nonce, bytes_of(associated, 20), opened, text, 40, tag),
                     VCK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_published_tags),
        cmocka_unit_test(equals_openssl),
        cmocka_unit_test(notices_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
