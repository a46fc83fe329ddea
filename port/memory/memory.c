/* SPDX-License-Identifier: Apache-2.0 */
#include "port/memory/memory.h"

#define MAGIC_LIVE  0x6b63762bu
#define MAGIC_FREED 0x6b63762du

/* In front of every block, so that a wrong or second free is noticed. */
struct header {
#if MEMORY_KEEPS_LIST
    struct allocation allocation;
#endif
    uint64_t size_bytes;
    uint32_t tag;
    uint32_t magic;
};
_Static_assert(sizeof(struct header) % 16 == 0, "blocks stay aligned to 16 bytes");

/* ---- counts ---- */

static size_t live_count;
static uint64_t fail_countdown;

size_t vck_alloc_live_count(void)
{
    return __atomic_load_n(&live_count, __ATOMIC_RELAXED);
}

void vck_memory_count(int change)
{
    __atomic_add_fetch(&live_count, (size_t)(intptr_t)change, __ATOMIC_RELAXED);
}

void vck_alloc_fail_nth(uint64_t n)
{
    __atomic_store_n(&fail_countdown, n, __ATOMIC_RELAXED);
}

bool vck_memory_is_failure_due(void)
{
    uint64_t left = __atomic_load_n(&fail_countdown, __ATOMIC_RELAXED);
    while (left > 0) {
        if (__atomic_compare_exchange_n(&fail_countdown, &left, left - 1, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return left == 1;
    }
    return false;
}

/* ---- the list: by address, so that threads seldom meet ---- */

#define SHARD_COUNT 128u

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

void vck_memory_init(void)
{
    system_once(&shards_once, init_shards);
}

static struct shard *shard_of(const void *memory)
{
    uint64_t mixed = (uint64_t)(uintptr_t)memory * UINT64_C(0x9e3779b97f4a7c15);
    vck_memory_init();
    return &shards[(mixed >> 32) % SHARD_COUNT];
}

void vck_memory_enlist(struct allocation *allocation)
{
    struct shard *shard = shard_of(allocation->memory);
    system_lock_take(&shard->lock);
    vck_list_push_back(&shard->allocations, &allocation->link);
    system_lock_release(&shard->lock);
}

void vck_memory_delist(struct allocation *allocation)
{
    struct shard *shard = shard_of(allocation->memory);
    system_lock_take(&shard->lock);
    vck_link_remove(&allocation->link);
    system_lock_release(&shard->lock);
}

struct allocation *vck_memory_delist_pages(const void *memory)
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
    return found;
}

#define REPORT_LINES 8u

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
    vck_memory_init();
    for (size_t i = 0; MEMORY_KEEPS_LIST && i < SHARD_COUNT; i++) {
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
    if (vck_memory_is_failure_due() || size_bytes > PTRDIFF_MAX - sizeof(struct header))
        return NULL;
    struct header *header = system_heap_alloc(sizeof(*header) + size_bytes, tag);
    if (header == NULL)
        return NULL;
    header->magic = MAGIC_LIVE;
    header->tag = tag;
    header->size_bytes = size_bytes;
    vck_memory_count(1);
#if MEMORY_KEEPS_LIST
    header->allocation = (struct allocation){
        .memory = header + 1, .site = site, .size_bytes = size_bytes, .tag = tag};
    vck_memory_enlist(&header->allocation);
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
    vck_memory_count(-1);
#if MEMORY_KEEPS_LIST
    vck_memory_delist(&header->allocation);
#endif
    system_heap_free(header, header->tag);
}
