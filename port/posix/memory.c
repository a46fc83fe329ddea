/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "port/posix/internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

#define MAGIC_LIVE  0x6b63762bu
#define MAGIC_FREED 0x6b63762du

/* In front of every block, so that a wrong or second free is noticed. */
struct header {
    uint32_t magic;
    uint32_t tag;
    uint64_t size_bytes;
};
_Static_assert(sizeof(struct header) == 16, "blocks stay aligned to 16 bytes");
_Static_assert(_Alignof(max_align_t) >= 16, "calloc aligns to 16 bytes");

static size_t live_count;
static uint64_t fail_countdown;

size_t vck_alloc_live_count(void)
{
    return __atomic_load_n(&live_count, __ATOMIC_RELAXED);
}

void vck_alloc_fail_nth(uint64_t n)
{
    __atomic_store_n(&fail_countdown, n, __ATOMIC_RELAXED);
}

/* Whether this allocation is the one to fail. */
static bool is_failure_due(void)
{
    uint64_t left = __atomic_load_n(&fail_countdown, __ATOMIC_RELAXED);
    while (left > 0) {
        if (__atomic_compare_exchange_n(&fail_countdown, &left, left - 1, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return left == 1;
    }
    return false;
}

static void count_live(size_t change)
{
    __atomic_add_fetch(&live_count, change, __ATOMIC_RELAXED);
}

void *vck_alloc(size_t size_bytes, uint32_t tag)
{
    if (is_failure_due() || size_bytes > PTRDIFF_MAX - sizeof(struct header))
        return NULL;
    struct header *header = calloc(1, sizeof(*header) + size_bytes);
    if (header == NULL)
        return NULL;
    header->magic = MAGIC_LIVE;
    header->tag = tag;
    header->size_bytes = size_bytes;
    count_live(1);
    return header + 1;
}

void vck_free(void *p)
{
    if (p == NULL)
        return;
    struct header *header = (struct header *)p - 1;
    FATAL_UNLESS(header->magic != MAGIC_FREED, "memory is freed twice");
    FATAL_UNLESS(header->magic == MAGIC_LIVE, "memory to free is from vck_alloc and undamaged");
    header->magic = MAGIC_FREED;
    count_live((size_t)-1);
    free(header);
}

static size_t page_size_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* 0 when there is no such number. */
static size_t round_up_to_pages(size_t size_bytes)
{
    size_t page_bytes = page_size_bytes();
    if (size_bytes > PTRDIFF_MAX - page_bytes)
        return 0;
    size_t rounded_bytes = (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
    return rounded_bytes == 0 ? page_bytes : rounded_bytes;
}

/* The sanitizer sees overruns and leaks of heap memory only, so there the pages come from the heap;
 * the last page is not padded, so that its bounds are exact. */
static void *map_pages(size_t size_bytes, size_t rounded_bytes)
{
    if (UNDER_ASAN) {
        void *p = NULL;
        if (posix_memalign(&p, page_size_bytes(), size_bytes) != 0)
            return NULL;
        return memset(p, 0, size_bytes);
    }
    void *p = mmap(NULL, rounded_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    /* Both best effort: the limit on locked memory is the administrator's choice. */
    (void)mlock(p, rounded_bytes);
    (void)madvise(p, rounded_bytes, MADV_DONTDUMP);
    return p;
}

void *vck_alloc_pages(size_t size_bytes, uint32_t tag)
{
    (void)tag;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    size_t rounded_bytes = round_up_to_pages(size_bytes);
    if (is_failure_due() || rounded_bytes == 0)
        return NULL;
    void *p = map_pages(size_bytes, rounded_bytes);
    if (p != NULL)
        count_live(1);
    return p;
}

void vck_free_pages(void *p, size_t size_bytes)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (p == NULL)
        return;
    FATAL_UNLESS((uintptr_t)p % page_size_bytes() == 0, "memory to free is from vck_alloc_pages");
    count_live((size_t)-1);
    if (UNDER_ASAN) {
        FATAL_UNLESS(malloc_usable_size(p) == size_bytes || size_bytes == 0,
                     "pages are freed with the size they were allocated with");
        free(p);
        return;
    }
    FATAL_UNLESS(munmap(p, round_up_to_pages(size_bytes)) == 0, "pages to free are mapped");
}
