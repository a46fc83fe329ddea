/* SPDX-License-Identifier: Apache-2.0 */
#include "port/hosted/system.h"
#include "vck/list.h"

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
    struct system_lock lock;
    struct vck_link allocations;
} shards[SHARD_COUNT];
static struct system_once shards_once = SYSTEM_ONCE_INIT;

static void init_shards(void)
{
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        system_lock_init(&shards[i].lock);
        vck_link_init(&shards[i].allocations);
    }
}

static struct shard *shard_of(const void *memory)
{
    uint64_t mixed = (uint64_t)(uintptr_t)memory * UINT64_C(0x9e3779b97f4a7c15);
    system_once(&shards_once, init_shards);
    return &shards[(mixed >> 32) % SHARD_COUNT];
}

static void enlist(struct allocation *allocation, const struct allocation *value)
{
    struct shard *shard = shard_of(value->memory);
    *allocation = *value;
    system_lock_take(&shard->lock);
    vck_list_push_back(&shard->allocations, &allocation->link);
    system_lock_release(&shard->lock);
}

#if KEEPS_LIST
static void delist(struct allocation *allocation)
{
    struct shard *shard = shard_of(allocation->memory);
    system_lock_take(&shard->lock);
    vck_link_remove(&allocation->link);
    system_lock_release(&shard->lock);
}
#endif

/* Pages have no header: their entry is found by address and freed. */
static void delist_pages(const void *memory)
{
    struct shard *shard = shard_of(memory);
    struct allocation *found = NULL;
    system_lock_take(&shard->lock);
    VCK_LIST_FOR_EACH(link, next, &shard->allocations)
    {
        struct allocation *allocation = VCK_CONTAINER_OF(link, struct allocation, link);
        if (allocation->memory != memory)
            continue;
        vck_link_remove(link);
        found = allocation;
        break;
    }
    system_lock_release(&shard->lock);
    FATAL_UNLESS(found != NULL, "pages to free are live");
    system_heap_free(found);
}

#define REPORT_LINES 16u

/* Copies allocations of the tag, from the `from`-th of the shard on; their number. */
static size_t copy_allocations(struct shard *shard, uint32_t tag, size_t from,
                               struct allocation copies[REPORT_LINES])
{
    size_t found = 0;
    size_t copied = 0;
    system_lock_take(&shard->lock);
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
    system_lock_release(&shard->lock);
    return copied;
}

size_t vck_alloc_report(uint32_t tag,
                        void (*sink)(void *context, uint32_t tag, size_t size_bytes,
                                     const char *site),
                        void *context)
{
    struct allocation copies[REPORT_LINES];
    size_t total = 0;
    system_once(&shards_once, init_shards);
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
    struct header *header = system_heap_alloc(sizeof(*header) + size_bytes);
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
    system_heap_free(header);
}

/* ---- pages ---- */

void *vck_alloc_pages_at(size_t size_bytes, uint32_t tag, const char *site)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (is_failure_due() || size_bytes > PTRDIFF_MAX - system_page_bytes())
        return NULL;
    struct allocation *entry = KEEPS_LIST ? system_heap_alloc(sizeof(*entry)) : NULL;
    if (KEEPS_LIST && entry == NULL)
        return NULL;
    void *p = system_pages_map(size_bytes);
    if (p == NULL) {
        system_heap_free(entry);
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
    FATAL_UNLESS((uintptr_t)p % system_page_bytes() == 0, "memory to free is from vck_alloc_pages");
    count_live((size_t)-1);
    if (KEEPS_LIST)
        delist_pages(p);
    system_pages_unmap(p, size_bytes);
}
