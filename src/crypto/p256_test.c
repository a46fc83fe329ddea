/* SPDX-License-Identifier: Apache-2.0 */
/* Points of P-256, against OpenSSL. */
#include "crypto_test.h"
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include "vck/bytes.h"
#include "vck/p256.h"

static EC_GROUP *group;

/* scalar times the point (NULL: the generator), by OpenSSL. */
static void expected(const uint8_t *scalar, const uint8_t *point, uint8_t ret[64])
{
    uint8_t octets[65] = {4};
    BIGNUM *factor = BN_bin2bn(scalar, 32, NULL);
    EC_POINT *from = EC_POINT_new(group), *product = EC_POINT_new(group);
    assert_true(factor != NULL && from != NULL && product != NULL);
    if (point != NULL) {
        memcpy(octets + 1, point, 64);
        assert_int_equal(EC_POINT_oct2point(group, from, octets, 65, NULL), 1);
        assert_int_equal(EC_POINT_mul(group, product, NULL, from, factor, NULL), 1);
    } else {
        assert_int_equal(EC_POINT_mul(group, product, factor, NULL, NULL, NULL), 1);
    }
    assert_int_equal(
        EC_POINT_point2oct(group, product, POINT_CONVERSION_UNCOMPRESSED, octets, 65, NULL), 65);
    memcpy(ret, octets + 1, 64);
    EC_POINT_free(from);
    EC_POINT_free(product);
    BN_free(factor);
}

static void fill(uint8_t *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (uint8_t)((unsigned)rand() >> 7);
}

/* A scalar of one's own times the generator, and another one times that. */
static void multiplies_like_openssl(void **state)
{
    (void)state;
    uint8_t scalar[32], point[64], product[64], right[64];
    for (int i = 0; i < 40; i++) {
        fill(scalar, sizeof(scalar));
        assert_int_equal(vck_p256_multiply(scalar, NULL, point), VCK_OK);
        expected(scalar, NULL, right);
        assert_memory_equal(point, right, sizeof(right));
        fill(scalar, sizeof(scalar));
        assert_int_equal(vck_p256_multiply(scalar, point, product), VCK_OK);
        expected(scalar, point, right);
        assert_memory_equal(product, right, sizeof(right));
    }
}

/* Around the ends of the scalars: the order, and few or many bits. */
static void multiplies_by_rare_scalars(void **state)
{
    (void)state;
    static const char *const order =
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    uint8_t scalar[32] = {0}, product[64], right[64];
    assert_int_equal(vck_p256_multiply(scalar, NULL, product), VCK_INVALID_DATA);
    for (unsigned small = 1; small < 20; small++) {
        scalar[31] = (uint8_t)small;
        assert_int_equal(vck_p256_multiply(scalar, NULL, product), VCK_OK);
        expected(scalar, NULL, right);
        assert_memory_equal(product, right, sizeof(right));
    }
    assert_int_equal(unhex(order, scalar), 32);
    assert_int_equal(vck_p256_multiply(scalar, NULL, product), VCK_INVALID_DATA);
    for (int step = -3; step <= 3; step++) {
        scalar[31] = (uint8_t)(0x51 + step);
        if (step == 0)
            continue;
        assert_int_equal(vck_p256_multiply(scalar, NULL, product), VCK_OK);
        expected(scalar, NULL, right);
        assert_memory_equal(product, right, sizeof(right));
    }
    memset(scalar, 0xff, sizeof(scalar));
    assert_int_equal(vck_p256_multiply(scalar, NULL, product), VCK_OK);
    expected(scalar, NULL, right);
    assert_memory_equal(product, right, sizeof(right));
}

static void refuses_other_points(void **state)
{
    (void)state;
    uint8_t scalar[32] = {0, 1, 2}, point[64], product[64];
    assert_int_equal(vck_p256_multiply(scalar, NULL, point), VCK_OK);
    for (size_t bit = 0; bit < 512; bit += 7) {
        point[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(vck_p256_multiply(scalar, point, product), VCK_INVALID_DATA);
        point[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    memset(point, 0, sizeof(point));
    assert_int_equal(vck_p256_multiply(scalar, point, product), VCK_INVALID_DATA);
    memset(point, 0xff, sizeof(point));
    assert_int_equal(vck_p256_multiply(scalar, point, product), VCK_INVALID_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiplies_like_openssl),
        cmocka_unit_test(multiplies_by_rare_scalars),
        cmocka_unit_test(refuses_other_points),
    };
    group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    int failed = group == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    EC_GROUP_free(group);
    return failed;
}
