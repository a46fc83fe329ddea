/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "port/nt/internal.h"
#include "vck/list.h"

#define PAGE_BYTES  4096u
#define PORT_TAG    VCK_TAG('p', 'n', 't', ' ')
#define MAGIC_LIVE  0x6b63762bu
#define MAGIC_FREED 0x6b63762du

/* Who allocated what, in builds without NDEBUG. */
#if defined(NDEBUG)
#define KEEPS_LIST 0
#else
#define KEEPS_LIST 1
#endif

struct allocation {
    struct vck_link link; /* in its shard */
    void *memory;
    const char *site;
    size_t size_bytes;
    uint32_t tag;
};

/* In front of every block, so that a wrong or second free is noticed. */
struct header {
#if KEEPS_LIST
    struct allocation allocation;
#endif
    uint64_t size_bytes;
    uint32_t tag;
    uint32_t magic;
};
_Static_assert(sizeof(struct header) % 16 == 0, "blocks stay aligned to 16 bytes");

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

/* ---- counts: in all, and by tag ---- */

#define TAG_COUNT 128u

static size_t live_count;
static struct tag_count {
    uint32_t tag;
    uint32_t live_count;
} tag_counts[TAG_COUNT]; /* the last one counts what finds no place */
static uint64_t fail_countdown;

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
    __atomic_add_fetch(&live_count, (size_t)(intptr_t)change, __ATOMIC_RELAXED);
    __atomic_add_fetch(&count_of_tag(tag)->live_count, (uint32_t)change, __ATOMIC_RELAXED);
}

size_t vck_alloc_live_count(void)
{
    return __atomic_load_n(&live_count, __ATOMIC_RELAXED);
}

size_t vck_nt_alloc_live_of_tag(uint32_t tag)
{
    return __atomic_load_n(&count_of_tag(tag)->live_count, __ATOMIC_RELAXED);
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

/* ---- the lists: by address, so that threads seldom meet ---- */

#define SHARD_COUNT 64u

static struct shard {
    KSPIN_LOCK lock;
    struct vck_link allocations;
} shards[SHARD_COUNT];

static struct shard *shard_of(const void *memory)
{
    uint64_t mixed = (uint64_t)(uintptr_t)memory * UINT64_C(0x9e3779b97f4a7c15);
    return &shards[(mixed >> 32) % SHARD_COUNT];
}

static void enlist(struct allocation *allocation)
{
    struct shard *shard = shard_of(allocation->memory);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&shard->lock);
    vck_list_push_back(&shard->allocations, &allocation->link);
    KeReleaseSpinLock(&shard->lock, irql);
}

#if KEEPS_LIST
static void delist(struct allocation *allocation)
{
    struct shard *shard = shard_of(allocation->memory);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&shard->lock);
    vck_link_remove(&allocation->link);
    KeReleaseSpinLock(&shard->lock, irql);
}
#endif

/* Takes the entry of pages off its list. */
static struct pages *delist_pages(const void *memory)
{
    struct shard *shard = shard_of(memory);
    struct allocation *found = NULL;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&shard->lock);
    VCK_LIST_FOR_EACH(link, next, &shard->allocations)
    {
        struct allocation *allocation = VCK_CONTAINER_OF(link, struct allocation, link);
        if (allocation->memory != memory)
            continue;
        vck_link_remove(link);
        found = allocation;
        break;
    }
    KeReleaseSpinLock(&shard->lock, irql);
    FATAL_UNLESS(found != NULL, "pages to free are live");
    return VCK_CONTAINER_OF(found, struct pages, allocation);
}

#define REPORT_LINES 8u

/* Copies allocations of the tag, from the `from`-th of the shard on; their number. */
static size_t copy_allocations(struct shard *shard, uint32_t tag, size_t from,
                               struct allocation copies[REPORT_LINES])
{
    size_t found = 0;
    size_t copied = 0;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&shard->lock);
    VCK_LIST_FOR_EACH(link, next, &shard->allocations)
    {
        struct allocation *allocation = VCK_CONTAINER_OF(link, struct allocation, link);
        if (tag != VCK_TAG_ANY && tag != allocation->tag)
            continue;
        if (found++ < from)
            continue;
        copies[copied++] = *allocation;
        if (copied == REPORT_LINES)
            break;
    }
    KeReleaseSpinLock(&shard->lock, irql);
    return copied;
}

size_t vck_alloc_report(uint32_t tag,
                        void (*sink)(void *context, uint32_t tag, size_t size_bytes,
                                     const char *site),
                        void *context)
{
    struct allocation copies[REPORT_LINES];
    size_t total = 0;
    for (size_t i = 0; KEEPS_LIST && i < SHARD_COUNT; i++) {
        size_t from = 0;
        size_t copied;
        do {
            copied = copy_allocations(&shards[i], tag, from, copies);
            for (size_t k = 0; k < copied && sink != NULL; k++)
                sink(context, copies[k].tag, copies[k].size_bytes, copies[k].site);
            from += copied;
        } while (copied == REPORT_LINES);
        total += from;
    }
    return total;
}

/* ---- blocks ---- */

void *vck_alloc_at(size_t size_bytes, uint32_t tag, const char *site)
{
    if (is_failure_due() || size_bytes > PTRDIFF_MAX - sizeof(struct header))
        return NULL;
    struct header *header = vck_nt_pool_alloc(sizeof(*header) + size_bytes, tag);
    if (header == NULL)
        return NULL;
    header->magic = MAGIC_LIVE;
    header->tag = tag;
    header->size_bytes = size_bytes;
    count_live(tag, 1);
#if KEEPS_LIST
    header->allocation = (struct allocation){
        .memory = header + 1, .site = site, .size_bytes = size_bytes, .tag = tag};
    enlist(&header->allocation);
#else
    (void)site;
#endif
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
    count_live(header->tag, -1);
#if KEEPS_LIST
    delist(&header->allocation);
#endif
    ExFreePoolWithTag(header, header->tag);
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
    if (is_failure_due() || rounded_bytes == 0)
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
    count_live(tag, 1);
    enlist(&entry->allocation);
    return p;
}

void vck_free_pages(void *p, size_t size_bytes)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (p == NULL)
        return;
    struct pages *entry = delist_pages(p);
    FATAL_UNLESS(entry->allocation.size_bytes == size_bytes,
                 "pages are freed with the size they were allocated with");
    count_live(entry->allocation.tag, -1);
    vck_nt_pool_free(entry->base);
    vck_nt_pool_free(entry);
}

/* ---- start and end ---- */

void vck_nt_memory_init(void)
{
    *(void **)&allocate_pool2 = vck_nt_routine(L"ExAllocatePool2");
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        KeInitializeSpinLock(&shards[i].lock);
        vck_link_init(&shards[i].allocations);
    }
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
