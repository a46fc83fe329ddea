/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, HMAC-SHA256 and HKDF-SHA256. */
#include "crypto_test.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include "vck/bytes.h"
#include "vck/hkdf.h"
#include "vck/hmac.h"
#include "vck/sha256.h"

static const enum vck_sha256_impl impls[] = {VCK_SHA256_AUTO, VCK_SHA256_PORTABLE,
                                             VCK_SHA256_SHANI};

static struct vck_bytes bytes_of(const void *data, size_t size_bytes)
{
    return (struct vck_bytes){data, size_bytes};
}

/* FIPS 180-4 examples, and the empty message. */
static void sha256_gives_published_digests(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        for (size_t v = 0; v < VCK_ARRAY_COUNT(vectors); v++) {
            struct vck_sha256 sha;
            uint8_t digest[32];
            if (vck_sha256_init_with(&sha, impls[i]) != VCK_OK)
                continue;
            vck_sha256_update(&sha, vectors[v].text, strlen(vectors[v].text));
            vck_sha256_final(&sha, digest);
            assert_bytes_hex(digest, vectors[v].digest);
            assert_true(vck_all_zero(&sha, sizeof(sha)));
        }
    }
}

static void sha256_hashes_a_million_letters(void **state)
{
    (void)state;
    uint8_t letters[1000], digest[32];
    memset(letters, 'a', sizeof(letters));
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        struct vck_sha256 sha;
        if (vck_sha256_init_with(&sha, impls[i]) != VCK_OK)
            continue;
        for (int n = 0; n < 1000; n++)
            vck_sha256_update(&sha, letters, sizeof(letters));
        vck_sha256_final(&sha, digest);
        assert_bytes_hex(digest,
                         "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

static void sha256_equals_reference_in_any_pieces(void **state)
{
    (void)state;
    uint8_t data[700], expected[32], digest[32];
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        if (!vck_sha256_impl_available(impls[i]))
            continue;
        for (size_t size = 0; size < sizeof(data); size += 1 + random_u32() % 3) {
            struct vck_sha256 sha;
            random_bytes(data, size);
            assert_int_equal(EVP_Digest(data, size, expected, NULL, EVP_sha256(), NULL), 1);
            assert_int_equal(vck_sha256_init_with(&sha, impls[i]), VCK_OK);
            for (size_t at = 0; at < size;) {
                size_t count = random_u32() % 200;
                count = VCK_MIN(count, size - at);
                vck_sha256_update(&sha, data + at, count);
                at += count;
            }
            vck_sha256_final(&sha, digest);
            assert_memory_equal(digest, expected, sizeof(digest));
            vck_sha256(data, size, digest);
            assert_memory_equal(digest, expected, sizeof(digest));
        }
    }
}

/* RFC 4231, cases 1 to 4, 6 and 7. */
static void hmac_gives_published_tags(void **state)
{
    (void)state;
    char long_key[2 * 131 + 1] = {0}, dd[101] = {0}, cd[101] = {0};
    for (int i = 0; i < 131; i++)
        memcpy(long_key + (ptrdiff_t)2 * i, "aa", 2);
    for (int i = 0; i < 50; i++) {
        memcpy(dd + (ptrdiff_t)2 * i, "dd", 2);
        memcpy(cd + (ptrdiff_t)2 * i, "cd", 2);
    }
    const struct {
        const char *key, *data, *tag;
    } vectors[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", dd,
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {"0102030405060708090a0b0c0d0e0f10111213141516171819", cd,
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {long_key,
         "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368"
         "204b6579204669727374",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {long_key,
         "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a"
         "65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865"
         "206b6579206e6565647320746f20626520686173686564206265666f7265206265696e672075736564206279"
         "2074686520484d414320616c676f726974686d2e",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    for (size_t v = 0; v < VCK_ARRAY_COUNT(vectors); v++) {
        uint8_t key[256], data[256], tag[32];
        size_t key_size = unhex(vectors[v].key, key), data_size = unhex(vectors[v].data, data);
        vck_hmac_sha256_once(bytes_of(key, key_size), bytes_of(data, data_size), tag);
        assert_bytes_hex(tag, vectors[v].tag);
    }
}

static void hmac_equals_reference_in_pieces(void **state)
{
    (void)state;
    uint8_t key[150], data[300], expected[32], tag[32];
    for (size_t key_size = 0; key_size <= sizeof(key); key_size += 5) {
        size_t size = random_u32() % sizeof(data), cut = size / 3;
        struct vck_hmac_sha256 hmac;
        random_bytes(key, key_size);
        random_bytes(data, size);
        assert_non_null(HMAC(EVP_sha256(), key, (int)key_size, data, size, expected, NULL));
        vck_hmac_sha256_init(&hmac, bytes_of(key, key_size));
        vck_hmac_sha256_update(&hmac, bytes_of(data, cut));
        vck_hmac_sha256_update(&hmac, bytes_of(data + cut, size - cut));
        vck_hmac_sha256_final(&hmac, tag);
        assert_memory_equal(tag, expected, sizeof(tag));
        assert_true(vck_all_zero(&hmac, sizeof(hmac)));
    }
}

static void hmac_given_up_is_wiped(void **state)
{
    (void)state;
    struct vck_hmac_sha256 hmac;
    vck_hmac_sha256_init(&hmac, bytes_of("key", 3));
    assert_false(vck_all_zero(&hmac, sizeof(hmac)));
    vck_hmac_sha256_wipe(&hmac);
    assert_true(vck_all_zero(&hmac, sizeof(hmac)));
}

/* RFC 5869, appendix A.1 to A.3. */
static void hkdf_gives_published_keys(void **state)
{
    (void)state;
    static const struct {
        const char *ikm, *salt, *info, *okm;
    } vectors[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
         "f0f1f2f3f4f5f6f7f8f9",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526272829"
         "2a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
         "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283848586878889"
         "8a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
         "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9"
         "dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb"
         "41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
    };
    for (size_t v = 0; v < VCK_ARRAY_COUNT(vectors); v++) {
        uint8_t ikm[80], salt[80], info[80], okm[100];
        size_t ikm_size = unhex(vectors[v].ikm, ikm), salt_size = unhex(vectors[v].salt, salt);
        size_t info_size = unhex(vectors[v].info, info), size = strlen(vectors[v].okm) / 2;
        assert_int_equal(vck_hkdf_sha256(bytes_of(salt, salt_size), bytes_of(ikm, ikm_size),
                                         bytes_of(info, info_size), okm, size),
                         VCK_OK);
        assert_bytes_hex(okm, vectors[v].okm);
    }
}

static void reference_hkdf(struct vck_bytes salt, struct vck_bytes ikm, struct vck_bytes info,
                           uint8_t *out, size_t size)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    assert_non_null(context);
    assert_int_equal(EVP_PKEY_derive_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set1_hkdf_salt(context, salt.data, (int)salt.size_bytes), 1);
    assert_int_equal(EVP_PKEY_CTX_set1_hkdf_key(context, ikm.data, (int)ikm.size_bytes), 1);
    assert_int_equal(EVP_PKEY_CTX_add1_hkdf_info(context, info.data, (int)info.size_bytes), 1);
    assert_int_equal(EVP_PKEY_derive(context, out, &size), 1);
    EVP_PKEY_CTX_free(context);
}

static void hkdf_equals_reference_up_to_its_limit(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 31, 32, 33, 64, 1000, VCK_HKDF_SHA256_SIZE_MAX};
    static uint8_t out[VCK_HKDF_SHA256_SIZE_MAX + 1], expected[VCK_HKDF_SHA256_SIZE_MAX];
    uint8_t input[96];
    random_bytes(input, sizeof(input));
    struct vck_bytes salt = bytes_of(input, 32), ikm = bytes_of(input + 32, 32);
    struct vck_bytes info = bytes_of(input + 64, 32);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        reference_hkdf(salt, ikm, info, expected, sizes[i]);
        memset(out, 0xa5, sizeof(out));
        assert_int_equal(vck_hkdf_sha256(salt, ikm, info, out, sizes[i]), VCK_OK);
        assert_memory_equal(out, expected, sizes[i]);
        assert_int_equal(out[sizes[i]], 0xa5);
    }
    memset(out, 0xa5, sizeof(out));
    assert_int_equal(vck_hkdf_sha256(salt, ikm, info, out, VCK_HKDF_SHA256_SIZE_MAX + 1),
                     VCK_SIZE_MISMATCH);
    assert_int_equal(out[0], 0xa5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_published_digests),
        cmocka_unit_test(sha256_hashes_a_million_letters),
        cmocka_unit_test(sha256_equals_reference_in_any_pieces),
        cmocka_unit_test(hmac_gives_published_tags),
        cmocka_unit_test(hmac_equals_reference_in_pieces),
        cmocka_unit_test(hmac_given_up_is_wiped),
        cmocka_unit_test(hkdf_gives_published_keys),
        cmocka_unit_test(hkdf_equals_reference_up_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
