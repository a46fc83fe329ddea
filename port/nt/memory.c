/* SPDX-License-Identifier: Apache-2.0 */
/* The pool, its count by tag, and pages; blocks are port/memory's. */
#include <string.h>
#include "port/memory/memory.h"

#define PAGE_BYTES 4096u
#define PORT_TAG   VCK_TAG('p', 'n', 't', ' ')

/* What is known of pages, which have no header. */
struct pages {
    struct allocation allocation;
    void *base; /* what the pool gave */
};

/* ---- the pool ---- */

static void *(NTAPI *allocate_pool2)(uint64_t flags, SIZE_T size_bytes, ULONG tag);

void *vck_nt_pool_alloc(size_t size_bytes, uint32_t tag)
{
    if (allocate_pool2 != NULL)
        return allocate_pool2(VCK_POOL_FLAG_NON_PAGED, size_bytes, tag);
    void *p = ExAllocatePoolWithTag(VCK_NON_PAGED_POOL_NX, size_bytes, tag);
    return p == NULL ? NULL : memset(p, 0, size_bytes);
}

void vck_nt_pool_free(void *p)
{
    if (p != NULL)
        ExFreePoolWithTag(p, 0);
}

/* ---- the count by tag ---- */

#define TAG_COUNT 128u

static struct tag_count {
    uint32_t tag;
    uint32_t live_count;
} tag_counts[TAG_COUNT]; /* the last one counts what finds no place */

static struct tag_count *count_of_tag(uint32_t tag)
{
    uint32_t first = tag * 0x9e3779b1u >> 25;
    for (uint32_t probe = 0; probe < TAG_COUNT; probe++) {
        struct tag_count *at = &tag_counts[(first + probe) % TAG_COUNT];
        uint32_t seen = __atomic_load_n(&at->tag, __ATOMIC_RELAXED);
        if (seen == 0 && __atomic_compare_exchange_n(&at->tag, &seen, tag, false, __ATOMIC_RELAXED,
                                                     __ATOMIC_RELAXED))
            return at;
        if (seen == tag)
            return at;
    }
    return &tag_counts[TAG_COUNT - 1];
}

static void count_live(uint32_t tag, int change)
{
    __atomic_add_fetch(&count_of_tag(tag)->live_count, (uint32_t)change, __ATOMIC_RELAXED);
}

size_t vck_nt_alloc_live_of_tag(uint32_t tag)
{
    return __atomic_load_n(&count_of_tag(tag)->live_count, __ATOMIC_RELAXED);
}

/* ---- blocks ---- */

void *system_heap_alloc(size_t size_bytes, uint32_t tag)
{
    void *p = vck_nt_pool_alloc(size_bytes, tag);
    if (p != NULL)
        count_live(tag, 1);
    return p;
}

void system_heap_free(void *p, uint32_t tag)
{
    count_live(tag, -1);
    ExFreePoolWithTag(p, tag);
}

/* ---- pages ---- */

/* 0 when there is no such number. */
static size_t round_up_to_pages(size_t size_bytes)
{
    if (size_bytes > PTRDIFF_MAX - 2 * PAGE_BYTES)
        return 0;
    size_t rounded_bytes = (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    return rounded_bytes == 0 ? PAGE_BYTES : rounded_bytes;
}

/* The pool aligns whole pages to a page; a kernel whose pool does not gives one page more. */
static void *allocate_aligned(size_t rounded_bytes, uint32_t tag, void **ret_base)
{
    char *base = vck_nt_pool_alloc(rounded_bytes, tag);
    if ((uintptr_t)base % PAGE_BYTES != 0) {
        vck_nt_pool_free(base);
        base = vck_nt_pool_alloc(rounded_bytes + PAGE_BYTES, tag);
    }
    *ret_base = base;
    return base + (-(uintptr_t)base) % PAGE_BYTES;
}

void *vck_alloc_pages_at(size_t size_bytes, uint32_t tag, const char *site)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    size_t rounded_bytes = round_up_to_pages(size_bytes);
    if (vck_memory_is_failure_due() || rounded_bytes == 0)
        return NULL;
    struct pages *entry = vck_nt_pool_alloc(sizeof(*entry), PORT_TAG);
    if (entry == NULL)
        return NULL;
    void *p = allocate_aligned(rounded_bytes, tag, &entry->base);
    if (p == NULL) {
        vck_nt_pool_free(entry);
        return NULL;
    }
    entry->allocation =
        (struct allocation){.memory = p, .site = site, .size_bytes = size_bytes, .tag = tag};
    vck_memory_count(1);
    count_live(tag, 1);
    vck_memory_enlist(&entry->allocation);
    return p;
}

void vck_free_pages(void *p, size_t size_bytes)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (p == NULL)
        return;
    struct pages *entry = VCK_CONTAINER_OF(vck_memory_delist_pages(p), struct pages, allocation);
    FATAL_UNLESS(entry->allocation.size_bytes == size_bytes,
                 "pages are freed with the size they were allocated with");
    vck_memory_count(-1);
    count_live(entry->allocation.tag, -1);
    vck_nt_pool_free(entry->base);
    vck_nt_pool_free(entry);
}

/* ---- start and end ---- */

void vck_nt_memory_init(void)
{
    *(void **)&allocate_pool2 = vck_nt_routine(L"ExAllocatePool2");
    vck_memory_init();
}

static void log_leak(void *context, uint32_t tag, size_t size_bytes, const char *site)
{
    (void)context;
    vck_nt_log(VCK_LOG_ERROR, "%zu bytes of %.4s from %s are left", size_bytes, (const char *)&tag,
               site == NULL ? "a place unknown" : site);
}

void vck_nt_memory_report(void)
{
    for (size_t i = 0; i < TAG_COUNT; i++) {
        const struct tag_count *at = &tag_counts[i];
        if (at->live_count != 0)
            vck_nt_log(VCK_LOG_ERROR, "%u allocations of %.4s are left", at->live_count,
                       (const char *)&at->tag);
    }
    (void)vck_alloc_report(VCK_TAG_ANY, log_leak, NULL);
}
