/* SPDX-License-Identifier: Apache-2.0 */
#include "port/win/internal.h"
#include "vck/list.h"

#define MAGIC_LIVE  0x6b63762bu
#define MAGIC_FREED 0x6b63762du
#define PAGE_BYTES  ((size_t)4096)

/* Who allocated what, in builds without NDEBUG. */
#if defined(NDEBUG)
#define KEEPS_LIST 0
#else
#define KEEPS_LIST 1
#endif

struct allocation {
    struct vck_link link;
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
_Static_assert(MEMORY_ALLOCATION_ALIGNMENT >= 16, "the heap aligns to 16 bytes");

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

/* ---- the list ---- */

static SRWLOCK list_lock = SRWLOCK_INIT;
static struct vck_link list = {&list, &list};

static void enlist(struct allocation *allocation, const struct allocation *value)
{
    *allocation = *value;
    AcquireSRWLockExclusive(&list_lock);
    vck_list_push_back(&list, &allocation->link);
    ReleaseSRWLockExclusive(&list_lock);
}

#if KEEPS_LIST
static void delist(struct allocation *allocation)
{
    AcquireSRWLockExclusive(&list_lock);
    vck_link_remove(&allocation->link);
    ReleaseSRWLockExclusive(&list_lock);
}
#endif

/* Pages have no header: their entry is found by address and freed. */
static void delist_pages(const void *memory)
{
    struct allocation *found = NULL;
    AcquireSRWLockExclusive(&list_lock);
    VCK_LIST_FOR_EACH(link, next, &list)
    {
        struct allocation *allocation = VCK_CONTAINER_OF(link, struct allocation, link);
        if (allocation->memory != memory)
            continue;
        vck_link_remove(link);
        found = allocation;
        break;
    }
    ReleaseSRWLockExclusive(&list_lock);
    FATAL_UNLESS(found != NULL, "pages to free are live");
    HeapFree(GetProcessHeap(), 0, found);
}

/* The index-th of the tag; false behind the last one. */
static bool copy_allocation(uint32_t tag, size_t index, struct allocation *ret_copy)
{
    bool is_found = false;
    AcquireSRWLockShared(&list_lock);
    VCK_LIST_FOR_EACH(link, next, &list)
    {
        struct allocation *allocation = VCK_CONTAINER_OF(link, struct allocation, link);
        if (tag != VCK_TAG_ANY && tag != allocation->tag)
            continue;
        if (index-- > 0)
            continue;
        *ret_copy = *allocation;
        is_found = true;
        break;
    }
    ReleaseSRWLockShared(&list_lock);
    return is_found;
}

size_t vck_alloc_report(uint32_t tag,
                        void (*sink)(void *context, uint32_t tag, size_t size_bytes,
                                     const char *site),
                        void *context)
{
    struct allocation copy;
    size_t total = 0;
    while (KEEPS_LIST && copy_allocation(tag, total, &copy)) {
        if (sink != NULL)
            sink(context, copy.tag, copy.size_bytes, copy.site);
        total++;
    }
    return total;
}

/* ---- blocks ---- */

void *vck_alloc_at(size_t size_bytes, uint32_t tag, const char *site)
{
    if (is_failure_due() || size_bytes > PTRDIFF_MAX - sizeof(struct header))
        return NULL;
    struct header *header =
        HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof(*header) + size_bytes);
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
    HeapFree(GetProcessHeap(), 0, header);
}

/* ---- pages ---- */

static void *map_pages(size_t size_bytes)
{
    size_t whole_bytes = size_bytes != 0 ? size_bytes : 1;
    void *p = VirtualAlloc(NULL, whole_bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    /* Best effort: how much may be locked is the size of the working set. */
    if (p != NULL)
        (void)VirtualLock(p, whole_bytes);
    return p;
}

void *vck_alloc_pages_at(size_t size_bytes, uint32_t tag, const char *site)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (is_failure_due() || size_bytes > PTRDIFF_MAX - PAGE_BYTES)
        return NULL;
    struct allocation *entry = KEEPS_LIST ? HeapAlloc(GetProcessHeap(), 0, sizeof(*entry)) : NULL;
    if (KEEPS_LIST && entry == NULL)
        return NULL;
    void *p = map_pages(size_bytes);
    if (p == NULL) {
        if (KEEPS_LIST)
            HeapFree(GetProcessHeap(), 0, entry);
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
    (void)size_bytes;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (p == NULL)
        return;
    FATAL_UNLESS((uintptr_t)p % PAGE_BYTES == 0, "memory to free is from vck_alloc_pages");
    count_live((size_t)-1);
    if (KEEPS_LIST)
        delist_pages(p);
    FATAL_UNLESS(VirtualFree(p, 0, MEM_RELEASE), "pages to free are mapped");
}
