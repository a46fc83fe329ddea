/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_test.h"
#include <stdlib.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include "vck/bytes.h"
#include "vck/siphash.h"

#define GUARD 0xa5u

static const enum vck_siphash_impl impls[] = {VCK_SIPHASH_AUTO, VCK_SIPHASH_PORTABLE,
                                              VCK_SIPHASH_AVX2, VCK_SIPHASH_AVX512};

/* From the authors' reference: key 00 01 ... 0f, message 00 01 ... of 0 to 16 bytes. */
static const char *const published[] = {
    "310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785",
    "b7877127e09427cf", "8da699cd64557618", "cee3fe586e46c9cb", "37d1018bf50002ab",
    "6224939a79f5f593", "b0e4a90bdf82009e", "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4",
    "fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7", "e545be4961ca29a1",
    "db9bc2577fcc2a3f",
};

static void gives_published_tags(void **state)
{
    (void)state;
    uint8_t key[16], message[16], tag[8];
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = message[i] = (uint8_t)i;
    for (size_t size = 0; size < VCK_ARRAY_COUNT(published); size++) {
        vck_store_le64(tag, vck_siphash24(key, message, size));
        assert_bytes_hex(tag, published[size]);
    }
}

static uint64_t reference(const uint8_t key[16], const uint8_t *data, size_t size_bytes)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    unsigned tag_size = 8;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &tag_size),
                                 OSSL_PARAM_construct_end()};
    uint8_t tag[8];
    size_t size = 0;
    assert_non_null(context);
    assert_int_equal(EVP_MAC_init(context, key, 16, params), 1);
    assert_int_equal(EVP_MAC_update(context, data, size_bytes), 1);
    assert_int_equal(EVP_MAC_final(context, tag, &size, sizeof(tag)), 1);
    assert_int_equal(size, sizeof(tag));
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    return vck_load_le64(tag);
}

static void equals_reference_at_every_length(void **state)
{
    (void)state;
    uint8_t key[16], data[300];
    for (size_t size = 0; size < sizeof(data); size++) {
        random_bytes(key, sizeof(key));
        random_bytes(data, sizeof(data));
        assert_true(vck_siphash24(key, data, size) == reference(key, data, size));
    }
}

/* Every tag is that of the offset and the chunk; nothing between the tags is written. */
static void check_chunks(enum vck_siphash_impl impl, uint32_t chunk_size, size_t count,
                         size_t stride, uint64_t offset)
{
    size_t size = chunk_size * count;
    uint8_t key[16], *data = malloc(size + 8), *tags = malloc(count * stride + 1);
    uint8_t *message = malloc(chunk_size + 8);
    assert_non_null(data);
    assert_non_null(tags);
    assert_non_null(message);
    random_bytes(key, sizeof(key));
    uint8_t *unaligned = data + random_u32() % 8;
    random_bytes(unaligned, size);
    memset(tags, GUARD, count * stride + 1);
    if (impl == VCK_SIPHASH_AUTO)
        vck_siphash24_chunks(key, unaligned, chunk_size, count, offset, tags, stride);
    else
        assert_int_equal(vck_siphash24_chunks_with(impl, key, unaligned, chunk_size, count, offset,
                                                   tags, stride),
                         VCK_OK);
    for (size_t i = 0; i < count; i++) {
        vck_store_le64(message, offset + i * chunk_size);
        memcpy(message + 8, unaligned + i * chunk_size, chunk_size);
        assert_true(vck_load_le64(tags + i * stride) == reference(key, message, chunk_size + 8));
        for (size_t j = 8; j < stride; j++)
            assert_int_equal(tags[i * stride + j], GUARD);
    }
    assert_int_equal(tags[count * stride], GUARD);
    free(message);
    free(tags);
    free(data);
}

static void chunks_equal_single_tags(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {16, 32, 48, 64, 80, 112, 128, 512, 528, 4096};
    static const size_t counts[] = {0, 1, 3, 4, 5, 15, 16, 17, 31, 37};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        if (!vck_siphash_impl_available(impls[i]))
            continue;
        for (size_t s = 0; s < VCK_ARRAY_COUNT(sizes); s++)
            for (size_t c = 0; c < VCK_ARRAY_COUNT(counts); c++)
                check_chunks(impls[i], sizes[s], counts[c], 8 + random_u32() % 20,
                             (uint64_t)random_u32() << (random_u32() % 32));
        check_chunks(impls[i], 512, 40, 16, UINT64_MAX - 511 - (uint64_t)512 * 17);
    }
}

static void refuses_what_is_not_there(void **state)
{
    (void)state;
    uint8_t key[16] = {0}, data[16] = {0}, tag[8] = {GUARD};
    assert_false(vck_siphash_impl_available((enum vck_siphash_impl)99));
    assert_int_equal(
        vck_siphash24_chunks_with((enum vck_siphash_impl)99, key, data, 16, 1, 0, tag, sizeof(tag)),
        VCK_UNSUPPORTED);
    assert_int_equal(tag[0], GUARD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_published_tags),
        cmocka_unit_test(equals_reference_at_every_length),
        cmocka_unit_test(chunks_equal_single_tags),
        cmocka_unit_test(refuses_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
