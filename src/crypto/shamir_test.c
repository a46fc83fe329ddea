/* SPDX-License-Identifier: Apache-2.0 */
/* Shares, against the field written with logarithms. */
#include "crypto_test.h"
#include "vck/bytes.h"
#include "vck/shamir.h"

/* Powers of the generator 3 and back. */
static uint8_t power_of[510], log_of[256];

static int make_tables(void **state)
{
    (void)state;
    unsigned value = 1;
    for (unsigned i = 0; i < 255; i++) {
        power_of[i] = power_of[i + 255] = (uint8_t)value;
        log_of[value] = (uint8_t)i;
        value ^= value << 1;
        if (value > 255)
            value ^= 0x11b;
    }
    return 0;
}

static uint8_t product(uint8_t a, uint8_t b)
{
    return a == 0 || b == 0 ? 0 : power_of[log_of[a] + log_of[b]];
}

/* The value at a point of the polynomial with these coefficients, byte by byte. */
static void evaluate(uint8_t (*coefficients)[32], unsigned count, struct vck_shamir_share *share)
{
    for (unsigned at = 0; at < 32; at++) {
        uint8_t value = 0, power = 1;
        for (unsigned i = 0; i < count; i++) {
            value ^= product(coefficients[i][at], power);
            power = product(power, share->number);
        }
        share->bytes[at] = value;
    }
}

/* Every product that there is, as polynomials of degree 1: their secret is known. */
static void multiplies_as_the_field_does(void **state)
{
    (void)state;
    uint8_t coefficients[2][32], secret[32];
    for (unsigned slope = 0; slope < 256; slope += 32) {
        for (unsigned x = 1; x < 255; x++) {
            struct vck_shamir_share shares[2] = {{.number = (uint8_t)x}, {.number = 255}};
            random_bytes(coefficients[0], 32);
            for (unsigned i = 0; i < 32; i++)
                coefficients[1][i] = (uint8_t)(slope + i);
            evaluate(coefficients, 2, &shares[0]);
            evaluate(coefficients, 2, &shares[1]);
            assert_int_equal(vck_shamir_combine(shares, 2, secret), VCK_OK);
            assert_memory_equal(secret, coefficients[0], 32);
        }
    }
}

/* The shares of a subset, and whether they give the secret. */
static bool does_open(const struct vck_shamir_share *shares, unsigned subset,
                      const uint8_t secret[32])
{
    struct vck_shamir_share some[8];
    uint8_t found[32];
    unsigned count = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((subset >> i & 1) != 0)
            some[count++] = shares[i];
    for (unsigned i = 0; i + 1 < count; i++) { /* in any order */
        unsigned j = i + random_u32() % (count - i);
        struct vck_shamir_share kept = some[i];
        some[i] = some[j];
        some[j] = kept;
    }
    assert_int_equal(vck_shamir_combine(some, count, found), VCK_OK);
    return memcmp(found, secret, 32) == 0;
}

/* Every subset of the shares, for every threshold and number of shares up to 8. */
static void any_threshold_opens_and_fewer_do_not(void **state)
{
    (void)state;
    struct vck_shamir_share shares[8];
    uint8_t secret[32];
    for (unsigned count = 1; count <= 8; count++) {
        for (unsigned threshold = 1; threshold <= count; threshold++) {
            random_bytes(secret, sizeof(secret));
            assert_int_equal(vck_shamir_split(secret, threshold, count, shares), VCK_OK);
            for (unsigned subset = 1; subset < 1u << count; subset++) {
                unsigned taken = (unsigned)__builtin_popcount(subset);
                assert_int_equal(does_open(shares, subset, secret), taken >= threshold);
            }
        }
    }
}

/* With one share less, every secret is as possible as any other: for each value of the first byte
 * there is exactly one value of the missing share. */
static void one_less_says_nothing(void **state)
{
    (void)state;
    struct vck_shamir_share shares[3];
    uint8_t secret[32], found[32];
    bool is_seen[256] = {false};
    random_bytes(secret, sizeof(secret));
    assert_int_equal(vck_shamir_split(secret, 3, 3, shares), VCK_OK);
    for (unsigned value = 0; value < 256; value++) {
        shares[2].bytes[0] = (uint8_t)value;
        assert_int_equal(vck_shamir_combine(shares, 3, found), VCK_OK);
        assert_false(is_seen[found[0]]);
        is_seen[found[0]] = true;
    }
}

/* The most there can be; and no two splits are alike. */
static void splits_among_many(void **state)
{
    (void)state;
    static struct vck_shamir_share shares[255], again[255];
    uint8_t secret[32], found[32];
    random_bytes(secret, sizeof(secret));
    assert_int_equal(vck_shamir_split(secret, 255, 255, shares), VCK_OK);
    assert_int_equal(vck_shamir_combine(shares, 255, found), VCK_OK);
    assert_memory_equal(found, secret, 32);
    assert_int_equal(vck_shamir_combine(shares, 254, found), VCK_OK);
    assert_memory_not_equal(found, secret, 32);
    assert_int_equal(vck_shamir_split(secret, 2, 255, shares), VCK_OK);
    assert_int_equal(vck_shamir_split(secret, 2, 255, again), VCK_OK);
    for (unsigned i = 0; i < 255; i++) {
        assert_int_equal(shares[i].number, i + 1);
        assert_memory_not_equal(shares[i].bytes, again[i].bytes, 32);
        assert_memory_not_equal(shares[i].bytes, secret, 32);
    }
}

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    struct vck_shamir_share shares[3] = {{.number = 1}, {.number = 2}, {.number = 1}};
    uint8_t secret[32] = {0};
    assert_int_equal(vck_shamir_split(secret, 0, 3, shares), VCK_INVALID_DATA);
    assert_int_equal(vck_shamir_split(secret, 4, 3, shares), VCK_INVALID_DATA);
    assert_int_equal(vck_shamir_split(secret, 1, 256, shares), VCK_INVALID_DATA);
    assert_int_equal(vck_shamir_combine(shares, 0, secret), VCK_INVALID_DATA);
    assert_int_equal(vck_shamir_combine(shares, 3, secret), VCK_INVALID_DATA);
    shares[0].number = 0;
    assert_int_equal(vck_shamir_combine(shares, 2, secret), VCK_INVALID_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiplies_as_the_field_does),
        cmocka_unit_test(any_threshold_opens_and_fewer_do_not),
        cmocka_unit_test(one_less_says_nothing),
        cmocka_unit_test(splits_among_many),
        cmocka_unit_test(refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, make_tables, NULL);
}
