/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation is on one list, so that all of them can be wiped when boot services end: by then
 * nobody is left who could do it piece by piece.
 */
#include "port/uefi/uefi.h"
#include "vck/bytes.h"
#include "vck/list.h"
#include "vck/secret.h"

#define PAGE_BYTES ((size_t)4096)

/* In front of what the caller gets; before pages, at the start of a page of its own. */
struct header {
    struct vck_link link;
    void *base; /* what the firmware gave */
    size_t size_bytes;
    uint8_t *memory;
    size_t unused;
};
_Static_assert(sizeof(struct header) % 16 == 0, "blocks stay aligned to 16 bytes");

static struct vck_link live = {&live, &live};
static size_t live_count;

size_t vck_alloc_live_count(void)
{
    return live_count;
}

size_t vck_alloc_report(uint32_t tag,
                        void (*sink)(void *context, uint32_t tag, size_t size_bytes,
                                     const char *site),
                        void *context)
{
    (void)tag;
    (void)sink;
    (void)context;
    return 0;
}

void vck_alloc_fail_nth(uint64_t n)
{
    (void)n;
}

static void *enlist(struct header *header, void *base, uint8_t *memory, size_t size_bytes)
{
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);

    header->base = base;
    header->memory = memory;
    header->size_bytes = size_bytes;
    memset(memory, 0, size_bytes);
    vck_list_push_back(&live, &header->link);
    live_count++;
    vck_uefi_boot->RestoreTPL(level);
    return memory;
}

static void *delist(struct header *header)
{
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);

    vck_link_remove(&header->link);
    live_count--;
    vck_uefi_boot->RestoreTPL(level);
    return header->base;
}

void *vck_alloc_at(size_t size_bytes, uint32_t tag, const char *site)
{
    void *base = NULL;
    uintptr_t memory;

    (void)tag;
    (void)site;
    if (size_bytes > PTRDIFF_MAX - sizeof(struct header) - 16 ||
        vck_uefi_boot->AllocatePool(EFI_LOADER_DATA, size_bytes + sizeof(struct header) + 16,
                                    &base) != EFI_SUCCESS)
        return NULL;
    memory = ((uintptr_t)base + sizeof(struct header) + 15) & ~(uintptr_t)15;
    return enlist((struct header *)memory - 1, base, (uint8_t *)memory, size_bytes);
}

void vck_free(void *p)
{
    if (p != NULL)
        (void)vck_uefi_boot->FreePool(delist((struct header *)p - 1));
}

static uint64_t pages_of(size_t size_bytes)
{
    return 1 + (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

void *vck_alloc_pages_at(size_t size_bytes, uint32_t tag, const char *site)
{
    uint64_t base = 0;
    uint8_t *memory;

    (void)tag;
    (void)site;
    if (size_bytes > PTRDIFF_MAX - 2 * PAGE_BYTES ||
        vck_uefi_boot->AllocatePages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, pages_of(size_bytes),
                                     &base) != EFI_SUCCESS)
        return NULL;
    memory = (uint8_t *)(uintptr_t)base;
    return enlist((struct header *)(void *)memory, memory, memory + PAGE_BYTES, size_bytes);
}

void vck_free_pages(void *p, size_t size_bytes)
{
    uint8_t *base;

    if (p == NULL)
        return;
    base = delist((struct header *)(void *)((uint8_t *)p - PAGE_BYTES));
    (void)vck_uefi_boot->FreePages((uintptr_t)base, pages_of(size_bytes));
}

void vck_uefi_wipe_all(void)
{
    VCK_LIST_FOR_EACH(link, next, &live)
    {
        struct header *header = VCK_CONTAINER_OF(link, struct header, link);

        vck_wipe(header->memory, header->size_bytes);
    }
}
