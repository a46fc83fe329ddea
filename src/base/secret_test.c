/* SPDX-License-Identifier: Apache-2.0 */
/* The source is compiled into the test, so that the test sees the pages as they are given back. */
#include "base_test.h"
#include "port/port.h"

static size_t freed_count;
static size_t freed_unwiped_count;

static void watched_free_pages(void *p, size_t size_bytes)
{
    freed_count++;
    if (!vck_all_zero(p, size_bytes))
        freed_unwiped_count++;
    vck_free_pages(p, size_bytes);
}

#define vck_free_pages watched_free_pages
#include "secret.c"
#undef vck_free_pages

static void a_secret_is_copied_and_wiped(void **state)
{
    (void)state;
    static const uint8_t key[] = "a key of some bytes";
    struct vck_secret secret = {0};
    size_t live_count = vck_alloc_live_count();
    freed_count = freed_unwiped_count = 0;
    assert_int_equal(vck_secret_init_copy(&secret, (struct vck_bytes){key, sizeof(key)}), VCK_OK);
    assert_int_equal(secret.size_bytes, sizeof(key));
    assert_ptr_not_equal(secret.data, key);
    assert_memory_equal(secret.data, key, sizeof(key));
    vck_secret_fini(&secret);
    assert_int_equal(freed_count, 1);
    assert_int_equal(freed_unwiped_count, 0);
    assert_null(secret.data);
    assert_int_equal(secret.size_bytes, 0);
    vck_secret_fini(&secret);
    assert_int_equal(freed_count, 1);
    assert_int_equal(vck_alloc_live_count(), live_count);
}

static void a_new_secret_is_zero_at_every_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 32, 4095, 4096, 4097, 65536};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        struct vck_secret secret = {0};
        assert_int_equal(vck_secret_init(&secret, sizes[i]), VCK_OK);
        assert_true(vck_all_zero(secret.data, sizes[i]));
        memset(secret.data, 0xA5, sizes[i]);
        vck_secret_fini(&secret);
    }
    assert_int_equal(freed_unwiped_count, 0);
}

static void refusals_leave_the_struct_alone(void **state)
{
    (void)state;
    struct vck_secret secret = {(uint8_t *)&secret, 7};
    assert_int_equal(vck_secret_init(&secret, 0), VCK_INVALID_DATA);
    assert_int_equal(vck_secret_init(&secret, 65537), VCK_INVALID_DATA);
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_secret_init(&secret, 32), VCK_NO_MEMORY);
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_secret_init_copy(&secret, bytes_of("key")), VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
    assert_ptr_equal(secret.data, &secret);
    assert_int_equal(secret.size_bytes, 7);
}

static void wipe_reaches_exactly_its_bytes(void **state)
{
    (void)state;
    uint8_t bytes[64];
    for (size_t size = 0; size <= 62; size++) {
        memset(bytes, 0xA5, sizeof(bytes));
        vck_wipe(bytes + 1, size);
        assert_int_equal(bytes[0], 0xA5);
        assert_true(vck_all_zero(bytes + 1, size));
        assert_int_equal(bytes[1 + size], 0xA5);
    }
    vck_wipe(NULL, 0);
}

static void every_single_bit_makes_unequal(void **state)
{
    (void)state;
    uint8_t a[33], b[33];
    for (size_t i = 0; i < sizeof(a); i++)
        a[i] = (uint8_t)random_u32();
    memcpy(b, a, sizeof(b));
    assert_true(vck_equal_constant_time(a, b, sizeof(a)));
    for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
        b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(vck_equal_constant_time(a, b, sizeof(a)));
        assert_true(vck_equal_constant_time(a, b, bit / 8));
        b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_true(vck_equal_constant_time(a, b, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_copied_and_wiped),
        cmocka_unit_test(a_new_secret_is_zero_at_every_size),
        cmocka_unit_test(refusals_leave_the_struct_alone),
        cmocka_unit_test(wipe_reaches_exactly_its_bytes),
        cmocka_unit_test(every_single_bit_makes_unequal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
