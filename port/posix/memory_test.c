/* SPDX-License-Identifier: Apache-2.0 */
#include "port/posix/abort_test.h"
#include "port/posix/posix.h"
#include "vck/bytes.h"

#define TAG VCK_TAG('t', 'e', 's', 't')

static void test_blocks_are_zeroed_aligned_and_counted(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 511, 4096, 1 << 20};
    void *blocks[VCK_ARRAY_COUNT(sizes)];
    (void)state;
    size_t before = vck_alloc_live_count();
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        blocks[i] = vck_alloc(sizes[i], TAG);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        assert_true(vck_all_zero(blocks[i], sizes[i]));
        memset(blocks[i], 0xa5, sizes[i]);
        assert_int_equal(vck_alloc_live_count(), before + i + 1);
    }
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++)
        vck_free(blocks[i]);
    vck_free(NULL);
    assert_int_equal(vck_alloc_live_count(), before);
}

static void test_pages_are_zeroed_aligned_and_counted(void **state)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 1 << 20};
    (void)state;
    size_t before = vck_alloc_live_count();
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        void *pages = vck_alloc_pages(sizes[i], TAG);
        assert_non_null(pages);
        assert_int_equal((uintptr_t)pages % 4096, 0);
        assert_true(vck_all_zero(pages, sizes[i]));
        memset(pages, 0xa5, sizes[i]);
        assert_int_equal(vck_alloc_live_count(), before + 1);
        vck_free_pages(pages, sizes[i]);
        assert_int_equal(vck_alloc_live_count(), before);
    }
    vck_free_pages(NULL, 4096);
    assert_int_equal(vck_alloc_live_count(), before);
}

static void test_impossible_sizes_give_null(void **state)
{
    (void)state;
    size_t before = vck_alloc_live_count();
    assert_null(vck_alloc(SIZE_MAX, TAG));
    assert_null(vck_alloc(SIZE_MAX - 8, TAG));
    assert_null(vck_alloc_pages(SIZE_MAX, TAG));
    assert_int_equal(vck_alloc_live_count(), before);
}

static void test_nth_allocation_fails_once(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 4; n++) {
        vck_alloc_fail_nth(n);
        for (uint64_t i = 1; i <= 6; i++) {
            /* Both kinds are counted together. */
            void *p = i % 2 ? vck_alloc(8, TAG) : vck_alloc_pages(8, TAG);
            assert_int_equal(p == NULL, i == n);
            if (i % 2)
                vck_free(p);
            else
                vck_free_pages(p, 8);
        }
    }
    vck_alloc_fail_nth(1);
    vck_alloc_fail_nth(0);
    void *p = vck_alloc(8, TAG);
    assert_non_null(p);
    vck_free(p);
}

static void count_failures(void *context)
{
    for (int i = 0; i < 1000; i++) {
        void *p = vck_alloc(8, TAG);
        if (p == NULL)
            __atomic_add_fetch((unsigned *)context, 1, __ATOMIC_RELAXED);
        vck_free(p);
    }
}

static void test_one_thread_of_many_sees_the_failure(void **state) VCK_CAN_WAIT
{
    struct vck_thread *threads[4];
    unsigned failures = 0;
    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            vck_thread_create(count_failures, &failures, VCK_THREAD_NORMAL, "failing", &threads[i]),
            VCK_OK);
    vck_alloc_fail_nth(100);
    count_failures(&failures);
    for (size_t i = 0; i < 4; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(failures, 1);
}

#if !defined(NDEBUG)

struct report {
    size_t lines;
    size_t size_bytes;
    char last_site[128];
};

static void add_to_report(void *context, uint32_t tag, size_t size_bytes, const char *site)
{
    struct report *report = context;
    assert_int_equal(tag, VCK_TAG('l', 'e', 'a', 'k'));
    report->lines++;
    report->size_bytes += size_bytes;
    snprintf(report->last_site, sizeof(report->last_site), "%s", site);
}

static void test_report_names_live_allocations_of_a_tag_with_their_sites(void **state)
{
    const uint32_t leak = VCK_TAG('l', 'e', 'a', 'k');
    struct report report = {0};
    char site[128];
    (void)state;
    size_t before = vck_alloc_report(VCK_TAG_ANY, NULL, NULL);
    void *other = vck_alloc(8, TAG);
    void *pages = vck_alloc_pages(5000, leak);
    assert_int_equal(vck_alloc_report(VCK_TAG_ANY, NULL, NULL), before + 2);
    snprintf(site, sizeof(site), "%s:%d", __FILE__, __LINE__ + 1);
    void *block = vck_alloc(30, leak);
    vck_free(other);
    assert_int_equal(vck_alloc_report(leak, add_to_report, &report), 2);
    assert_int_equal(report.lines, 2);
    assert_int_equal(report.size_bytes, 5030);
    vck_free_pages(pages, 5000);
    memset(&report, 0, sizeof(report));
    assert_int_equal(vck_alloc_report(leak, add_to_report, &report), 1);
    assert_string_equal(report.last_site, site);
    vck_free(block);
    assert_int_equal(vck_alloc_report(leak, add_to_report, &report), 0);
    assert_int_equal(vck_alloc_report(VCK_TAG_ANY, NULL, NULL), before);
}

static void test_report_agrees_with_the_count_while_threads_allocate(void **state) VCK_CAN_WAIT
{
    struct vck_thread *threads[3];
    unsigned failures = 0;
    (void)state;
    size_t before = vck_alloc_report(TAG, NULL, NULL);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(vck_thread_create(count_failures, &failures, VCK_THREAD_NORMAL,
                                           "allocating", &threads[i]),
                         VCK_OK);
    for (int i = 0; i < 50; i++)
        assert_true(vck_alloc_report(TAG, NULL, NULL) <= before + 3);
    for (size_t i = 0; i < 3; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(vck_alloc_report(TAG, NULL, NULL), before);
    assert_int_equal(failures, 0);
}

#endif

static void free_damaged(void)
{
    uint32_t *block = vck_alloc(64, TAG);
    block[-1] ^= 1;
    vck_free(block);
}

static void free_inside(void)
{
    char *block = vck_alloc(64, TAG);
    vck_free(block + 16);
}

static void free_pages_inside(void)
{
    char *pages = vck_alloc_pages(64, TAG);
    vck_free_pages(pages + 16, 64);
}

static void test_wrong_frees_stop_the_program(void **state)
{
    (void)state;
    expect_abort(free_damaged, "undamaged");
    expect_abort(free_inside, "undamaged");
    expect_abort(free_pages_inside, "from vck_alloc_pages");
}

static void test_random_fills_everything(void **state)
{
    uint8_t a[300] = {0};
    uint8_t b[300] = {0};
    (void)state;
    assert_int_equal(vck_random(a, sizeof(a)), VCK_OK);
    assert_int_equal(vck_random(b, sizeof(b)), VCK_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    /* Each tenth holds something: 30 zero bytes in a row do not happen. */
    for (size_t i = 0; i < sizeof(a); i += 30)
        assert_false(vck_all_zero(a + i, 30));
    assert_int_equal(vck_random(NULL, 0), VCK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_zeroed_aligned_and_counted),
        cmocka_unit_test(test_pages_are_zeroed_aligned_and_counted),
        cmocka_unit_test(test_impossible_sizes_give_null),
        cmocka_unit_test(test_nth_allocation_fails_once),
        cmocka_unit_test(test_one_thread_of_many_sees_the_failure),
#if !defined(NDEBUG)
        cmocka_unit_test(test_report_names_live_allocations_of_a_tag_with_their_sites),
        cmocka_unit_test(test_report_agrees_with_the_count_while_threads_allocate),
#endif
        cmocka_unit_test(test_wrong_frees_stop_the_program),
        cmocka_unit_test(test_random_fills_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
