/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "porttest.h"
#include "port/nt/nt.h"

#define TAG             VCK_TAG('t', 'm', 'e', 'm')
#define PAGE_SIZE_BYTES 4096u

static bool is_zero(const unsigned char *bytes, size_t size_bytes)
{
    size_t i = 0;
    while (i < size_bytes && bytes[i] == 0)
        i++;
    return i == size_bytes;
}

static void test_blocks(void)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 500, 4080, 4096, 5000, 100000};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    unsigned char *blocks[COUNT];
    size_t live = vck_alloc_live_count();
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = vck_alloc(sizes[i], TAG);
        if (!CHECK(blocks[i] != NULL))
            continue;
        CHECK((uintptr_t)blocks[i] % 16 == 0);
        CHECK(is_zero(blocks[i], sizes[i]));
        memset(blocks[i], 0xff, sizes[i]);
    }
    CHECK(vck_alloc_live_count() == live + COUNT);
    CHECK(vck_nt_alloc_live_of_tag(TAG) == COUNT);
    for (size_t i = 0; i < COUNT; i++)
        vck_free(blocks[i]);
    vck_free(NULL);
    CHECK(vck_nt_alloc_live_of_tag(TAG) == 0);
}

static void test_block_too_large(void)
{
    CHECK(vck_alloc(SIZE_MAX, TAG) == NULL);
    CHECK(vck_alloc_pages(SIZE_MAX, TAG) == NULL);
}

static void test_pages(void)
{
    static const size_t sizes[] = {1, 4096, 4097, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned char *pages = vck_alloc_pages(sizes[i], TAG);
        if (!CHECK(pages != NULL))
            return;
        CHECK((uintptr_t)pages % PAGE_SIZE_BYTES == 0);
        CHECK(is_zero(pages, sizes[i]));
        memset(pages, 0xff, sizes[i]);
        CHECK(vck_nt_alloc_live_of_tag(TAG) == 1);
        vck_free_pages(pages, sizes[i]);
    }
    vck_free_pages(NULL, 1);
}

static void count_report(void *context, uint32_t tag, size_t size_bytes, const char *site)
{
    unsigned *count = context;
    CHECK(tag == TAG && size_bytes == 33 && site != NULL);
    ++*count;
}

static void test_report(void)
{
    unsigned reported = 0;
    void *blocks[20];
    void *pages = vck_alloc_pages(33, TAG);
    for (size_t i = 0; i < 20; i++)
        blocks[i] = vck_alloc(33, TAG);
    size_t total = vck_alloc_report(TAG, count_report, &reported);
    CHECK(total == reported);
    CHECK(total == (VCK_HERE == NULL ? 0 : 21));
    for (size_t i = 0; i < 20; i++)
        vck_free(blocks[i]);
    vck_free_pages(pages, 33);
}

static void test_fail_nth(void)
{
    vck_alloc_fail_nth(2);
    void *first = vck_alloc(1, TAG);
    void *second = vck_alloc(1, TAG);
    void *third = vck_alloc_pages(1, TAG);
    CHECK(first != NULL && second == NULL && third != NULL);
    vck_free(first);
    vck_free_pages(third, 1);
}

static void churn(void *context)
{
    (void)context;
    for (unsigned round = 0; round < 2000; round++) {
        size_t size_bytes = round * 7 % 600;
        unsigned char *block = vck_alloc(size_bytes, TAG);
        if (!CHECK(block != NULL && is_zero(block, size_bytes)))
            return;
        memset(block, 0xaa, size_bytes);
        vck_free(block);
    }
}

static void test_many_threads(void) VCK_CAN_WAIT
{
    porttest_run_threads(4, churn, NULL);
    CHECK(vck_nt_alloc_live_of_tag(TAG) == 0);
}

static void test_random(void)
{
    unsigned char first[64] = {0};
    unsigned char second[64] = {0};
    CHECK(vck_random(first, sizeof(first)) == VCK_OK);
    CHECK(vck_random(second, sizeof(second)) == VCK_OK);
    CHECK(memcmp(first, second, sizeof(first)) != 0);
    CHECK(!is_zero(first + 48, 16) && !is_zero(second + 48, 16));
    CHECK(vck_random(first, 0) == VCK_OK);
}

const struct porttest porttest_memory[] = {
    {"blocks are zeroed, aligned and counted by tag", test_blocks},
    {"what is too large is refused", test_block_too_large},
    {"pages are zeroed and aligned", test_pages},
    {"live allocations are reported", test_report},
    {"an allocation fails when it is told to", test_fail_nth},
    {"threads allocate at once", test_many_threads},
    {"random bytes differ", test_random},
    {0},
};
