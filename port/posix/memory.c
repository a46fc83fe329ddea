/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "port/posix/internal.h"
#include "vck/list.h"

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

/* Who allocated what, in builds without NDEBUG. */
#if defined(NDEBUG)
#define KEEPS_LIST 0
#else
#define KEEPS_LIST 1
#endif

#define SHARD_COUNT 256u

struct allocation {
    struct vck_link link; /* in its shard */
    const void *memory;
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

/* ---- the list: by address, so that threads seldom meet ---- */

static struct shard {
    pthread_mutex_t lock;
    struct vck_link allocations;
} shards[SHARD_COUNT];
static pthread_once_t shards_once = PTHREAD_ONCE_INIT;

static void init_shards(void)
{
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_init(&shards[i].lock, NULL);
        vck_link_init(&shards[i].allocations);
    }
}

static struct shard *shard_of(const void *memory)
{
    uint64_t mixed = (uint64_t)(uintptr_t)memory * UINT64_C(0x9e3779b97f4a7c15);
    pthread_once(&shards_once, init_shards);
    return &shards[(mixed >> 32) % SHARD_COUNT];
}

static void enlist(struct allocation *allocation, const struct allocation *value)
{
    struct shard *shard = shard_of(value->memory);
    *allocation = *value;
    pthread_mutex_lock(&shard->lock);
    vck_list_push_back(&shard->allocations, &allocation->link);
    pthread_mutex_unlock(&shard->lock);
}

#if KEEPS_LIST
static void delist(struct allocation *allocation)
{
    struct shard *shard = shard_of(allocation->memory);
    pthread_mutex_lock(&shard->lock);
    vck_link_remove(&allocation->link);
    pthread_mutex_unlock(&shard->lock);
}
#endif

/* Pages have no header: their entry is found by address and freed. */
static void delist_pages(const void *memory)
{
    struct shard *shard = shard_of(memory);
    struct allocation *found = NULL;
    pthread_mutex_lock(&shard->lock);
    VCK_LIST_FOR_EACH(link, next, &shard->allocations)
    {
        struct allocation *allocation = VCK_CONTAINER_OF(link, struct allocation, link);
        if (allocation->memory != memory)
            continue;
        vck_link_remove(link);
        found = allocation;
        break;
    }
    pthread_mutex_unlock(&shard->lock);
    FATAL_UNLESS(found != NULL, "pages to free are live");
    free(found);
}

#define REPORT_LINES 16u

/* Copies allocations of the tag, from the `from`-th of the shard on; their number. */
static size_t copy_allocations(struct shard *shard, uint32_t tag, size_t from,
                               struct allocation copies[REPORT_LINES])
{
    size_t found = 0;
    size_t copied = 0;
    pthread_mutex_lock(&shard->lock);
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
    pthread_mutex_unlock(&shard->lock);
    return copied;
}

size_t vck_alloc_report(uint32_t tag,
                        void (*sink)(void *context, uint32_t tag, size_t size_bytes,
                                     const char *site),
                        void *context)
{
    struct allocation copies[REPORT_LINES];
    size_t total = 0;
    pthread_once(&shards_once, init_shards);
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
    struct header *header = calloc(1, sizeof(*header) + size_bytes);
    if (header == NULL)
        return NULL;
    header->magic = MAGIC_LIVE;
    header->tag = tag;
    header->size_bytes = size_bytes;
    count_live(1);
#if KEEPS_LIST
    enlist(&header->allocation,
           &(struct allocation){
               .memory = header + 1, .site = site, .size_bytes = size_bytes, .tag = tag});
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
    count_live((size_t)-1);
#if KEEPS_LIST
    delist(&header->allocation);
#endif
    free(header);
}

/* ---- pages ---- */

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

void *vck_alloc_pages_at(size_t size_bytes, uint32_t tag, const char *site)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    size_t rounded_bytes = round_up_to_pages(size_bytes);
    if (is_failure_due() || rounded_bytes == 0)
        return NULL;
    struct allocation *entry = KEEPS_LIST ? malloc(sizeof(*entry)) : NULL;
    if (KEEPS_LIST && entry == NULL)
        return NULL;
    void *p = map_pages(size_bytes, rounded_bytes);
    if (p == NULL) {
        free(entry);
        return NULL;
    }
    count_live(1);
    if (KEEPS_LIST)
        enlist(entry, &(struct allocation){
                          .memory = p, .site = site, .size_bytes = size_bytes, .tag = tag});
    return p;
}

void vck_free_pages(void *p, size_t size_bytes)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (p == NULL)
        return;
    FATAL_UNLESS((uintptr_t)p % page_size_bytes() == 0, "memory to free is from vck_alloc_pages");
    count_live((size_t)-1);
    if (KEEPS_LIST)
        delist_pages(p);
    if (UNDER_ASAN) {
        FATAL_UNLESS(malloc_usable_size(p) == size_bytes || size_bytes == 0,
                     "pages are freed with the size they were allocated with");
        free(p);
        return;
    }
    FATAL_UNLESS(munmap(p, round_up_to_pages(size_bytes)) == 0, "pages to free are mapped");
}
