/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vcksys/reserve.h"

#define RESERVE_TAG VCK_TAG('V', 'r', 's', 'v')
#define PAGES_MAX   (RESERVE_BYTES / PAGE_SIZE + 1)
#define MDL_BYTES   (sizeof(MDL) + PAGES_MAX * sizeof(PFN_NUMBER))

vck_status reserve_init(struct reserve *reserve)
{
    reserve->mdl = vck_alloc(MDL_BYTES, RESERVE_TAG);
    reserve->addresses = MmAllocateMappingAddress((SIZE_T)PAGES_MAX * PAGE_SIZE, RESERVE_TAG);
    vck_spinlock_init(&reserve->lock);
    vck_link_init(&reserve->waiting);
    reserve->is_held = false;
    if (reserve->mdl && reserve->addresses)
        return VCK_OK;
    reserve_fini(reserve);
    return VCK_NO_MEMORY;
}

void reserve_fini(struct reserve *reserve)
{
    if (reserve->addresses)
        MmFreeMappingAddress(reserve->addresses, RESERVE_TAG);
    vck_free(reserve->mdl);
    reserve->addresses = NULL;
    reserve->mdl = NULL;
}

void reserve_holder_init(struct reserve_holder *holder, struct vck_waker *waker)
{
    *holder = (struct reserve_holder){.waker = waker};
    vck_link_init(&holder->link);
}

bool reserve_take(struct reserve *reserve, struct reserve_holder *holder)
{
    bool is_holder;

    vck_spinlock_acquire(&reserve->lock);
    if (!reserve->is_held) {
        reserve->is_held = true;
        holder->is_holder = true;
    } else if (!holder->is_holder && !vck_link_is_linked(&holder->link)) {
        vck_list_push_back(&reserve->waiting, &holder->link);
    }
    is_holder = holder->is_holder;
    vck_spinlock_release(&reserve->lock);
    return is_holder;
}

/* The next one may have ended by the time it is woken: its waker is cloned before. */
void reserve_give_back(struct reserve *reserve, struct reserve_holder *holder)
{
    struct vck_waker waker = vck_waker_noop;
    struct vck_link *link;

    vck_spinlock_acquire(&reserve->lock);
    holder->is_holder = false;
    link = vck_list_pop_front(&reserve->waiting);
    reserve->is_held = link != NULL;
    if (link) {
        struct reserve_holder *next = VCK_CONTAINER_OF(link, struct reserve_holder, link);

        next->is_holder = true;
        waker = next->waker->ops->clone(next->waker->data);
    }
    vck_spinlock_release(&reserve->lock);
    waker.ops->wake(waker.data);
    waker.ops->drop(waker.data);
}

/* ---- mapping ---- */

/* A function, because the macro's conversions are not ours. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static void begin_mdl(PMDL mdl, void *from, uint32_t size_bytes)
{
    MmInitializeMdl(mdl, from, size_bytes);
}
#pragma GCC diagnostic pop

void *reserve_map(struct reserve *reserve, PMDL mdl, uint32_t offset_bytes, uint32_t size_bytes)
{
    uint8_t *from = (uint8_t *)MmGetMdlVirtualAddress(mdl) + offset_bytes;
    void *mapped;

    VCK_ASSERT(size_bytes <= RESERVE_BYTES);
    begin_mdl(reserve->mdl, from, size_bytes);
    IoBuildPartialMdl(mdl, reserve->mdl, from, size_bytes);
    mapped = MmMapLockedPagesWithReservedMapping(reserve->addresses, RESERVE_TAG, reserve->mdl,
                                                 MmCached);
    VCK_ASSERT(mapped != NULL);
    return mapped;
}

void reserve_unmap(struct reserve *reserve)
{
    MmUnmapReservedMapping(reserve->addresses, RESERVE_TAG, reserve->mdl);
}
