/* SPDX-License-Identifier: Apache-2.0 */
/* Pages, which the system maps; blocks are port/memory's. */
#include "port/memory/memory.h"

#define TAG VCK_TAG('p', 'a', 'g', 'e')

void *vck_alloc_pages_at(size_t size_bytes, uint32_t tag, const char *site)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (vck_memory_is_failure_due() || size_bytes > PTRDIFF_MAX - system_page_bytes())
        return NULL;
    struct allocation *entry = MEMORY_KEEPS_LIST ? system_heap_alloc(sizeof(*entry), TAG) : NULL;
    if (MEMORY_KEEPS_LIST && entry == NULL)
        return NULL;
    void *p = system_pages_map(size_bytes);
    if (p == NULL) {
        system_heap_free(entry, TAG);
        return NULL;
    }
    vck_memory_count(1);
    if (MEMORY_KEEPS_LIST) {
        *entry =
            (struct allocation){.memory = p, .site = site, .size_bytes = size_bytes, .tag = tag};
        vck_memory_enlist(entry);
    }
    return p;
}

void vck_free_pages(void *p, size_t size_bytes)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (p == NULL)
        return;
    FATAL_UNLESS((uintptr_t)p % system_page_bytes() == 0, "memory to free is from vck_alloc_pages");
    vck_memory_count(-1);
    if (MEMORY_KEEPS_LIST)
        system_heap_free(vck_memory_delist_pages(p), TAG);
    system_pages_unmap(p, size_bytes);
}
