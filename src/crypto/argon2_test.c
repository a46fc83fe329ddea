/* SPDX-License-Identifier: Apache-2.0 */
/* Argon2id, against RFC 9106 and libargon2. */
#include "crypto_test.h"
#include <argon2.h>
#include <stdlib.h>
#include "vck/argon2.h"
#include "vck/bytes.h"

static const enum vck_argon2_impl impls[] = {VCK_ARGON2_AUTO, VCK_ARGON2_PORTABLE, VCK_ARGON2_SSE2,
                                             VCK_ARGON2_AVX2};

static struct vck_bytes bytes_of(const void *data, size_t size_bytes)
{
    return (struct vck_bytes){data, size_bytes};
}

static void *make_memory(const struct vck_argon2_params *params)
{
    size_t size_bytes = vck_argon2_memory_bytes(params);
    void *memory = aligned_alloc(64, size_bytes);
    assert_non_null(memory);
    random_bytes(memory, 4096); /* what it held before does not matter */
    return memory;
}

/* RFC 9106, section 5.3. */
static void gives_the_published_tag(void **state)
{
    (void)state;
    const struct vck_argon2_params params = {.passes = 3, .memory_kib = 32, .lanes = 4};
    uint8_t password[32], salt[16], secret[8], associated[12], tag[32];
    memset(password, 1, sizeof(password));
    memset(salt, 2, sizeof(salt));
    memset(secret, 3, sizeof(secret));
    memset(associated, 4, sizeof(associated));
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        if (!vck_argon2_impl_available(impls[i]))
            continue;
        void *memory = make_memory(&params);
        assert_int_equal(vck_argon2id(&params, bytes_of(password, 32), bytes_of(salt, 16),
                                      bytes_of(secret, 8), bytes_of(associated, 12), impls[i],
                                      memory, tag, sizeof(tag)),
                         VCK_OK);
        assert_bytes_hex(tag, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
        assert_true(vck_all_zero(memory, vck_argon2_memory_bytes(&params)));
        free(memory);
    }
}

static void compare(const struct vck_argon2_params *params, size_t password_bytes,
                    size_t salt_bytes, size_t out_bytes)
{
    uint8_t password[300], salt[64], expected[64], tag[64];
    random_bytes(password, password_bytes);
    random_bytes(salt, salt_bytes);
    assert_int_equal(argon2id_hash_raw(params->passes, params->memory_kib, params->lanes, password,
                                       password_bytes, salt, salt_bytes, expected, out_bytes),
                     ARGON2_OK);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        if (!vck_argon2_impl_available(impls[i]))
            continue;
        void *memory = make_memory(params);
        memset(tag, 0xee, sizeof(tag));
        assert_int_equal(vck_argon2id(params, bytes_of(password, password_bytes),
                                      bytes_of(salt, salt_bytes), bytes_of(NULL, 0),
                                      bytes_of(NULL, 0), impls[i], memory, tag, out_bytes),
                         VCK_OK);
        assert_memory_equal(tag, expected, out_bytes);
        for (size_t b = out_bytes; b < sizeof(tag); b++)
            assert_int_equal(tag[b], 0xee);
        free(memory);
    }
}

/* Sizes around the borders: of segments, of address blocks (128), of lanes that do not divide. */
static void equals_libargon2(void **state)
{
    (void)state;
    static const struct vck_argon2_params cases[] = {
        {1, 8, 1},    {2, 8, 1},    {3, 9, 1},    {1, 16, 2},   {2, 67, 3},
        {4, 100, 4},  {1, 511, 1},  {1, 512, 1},  {1, 516, 1},  {2, 1040, 2},
        {1, 2048, 1}, {2, 4099, 3}, {1, 8192, 4}, {3, 1024, 8}, {1, 512, 64},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++)
        compare(&cases[i], random_u32() % 300, 8 + random_u32() % 57, 4 + random_u32() % 61);
}

static void takes_random_parameters(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        struct vck_argon2_params params = {.passes = 1 + random_u32() % 3,
                                           .lanes = 1 + random_u32() % 5};
        params.memory_kib = 8 * params.lanes + random_u32() % 600;
        compare(&params, random_u32() % 300, 8 + random_u32() % 57, 4 + random_u32() % 61);
    }
}

static void refuses_what_it_cannot(void **state)
{
    (void)state;
    static const struct vck_argon2_params bad[] = {
        {0, 64, 1}, {1, 64, 0}, {1, 7, 1}, {1, 31, 4}, {1, 1 << 20, 65},
    };
    const struct vck_argon2_params good = {1, 8, 1};
    struct vck_bytes empty = {0}, salt = bytes_of("salty salt", 8);
    uint8_t out[64] = {0}, *memory = make_memory(&good);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(bad); i++) {
        assert_int_equal(vck_argon2_memory_bytes(&bad[i]), 0);
        assert_int_equal(
            vck_argon2id(&bad[i], empty, salt, empty, empty, VCK_ARGON2_AUTO, memory, out, 32),
            VCK_INVALID_DATA);
    }
    assert_int_equal(vck_argon2id(&good, empty, bytes_of("salt", 7), empty, empty, VCK_ARGON2_AUTO,
                                  memory, out, 32),
                     VCK_INVALID_DATA);
    assert_int_equal(
        vck_argon2id(&good, empty, salt, empty, empty, VCK_ARGON2_AUTO, memory, out, 3),
        VCK_INVALID_DATA);
    assert_int_equal(
        vck_argon2id(&good, empty, salt, empty, empty, VCK_ARGON2_AUTO, memory, out, 65),
        VCK_INVALID_DATA);
    assert_true(vck_all_zero(out, sizeof(out)));
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_tag),
        cmocka_unit_test(equals_libargon2),
        cmocka_unit_test(takes_random_parameters),
        cmocka_unit_test(refuses_what_it_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
