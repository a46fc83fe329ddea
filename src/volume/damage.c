/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/damage.h"

#define DAMAGE_TAG VCK_TAG('V', 'd', 'm', 'g')

vck_status vck_damage_init(struct vck_damage *damage, const struct vck_io_config *config,
                           struct vck_disk *disk)
{
    struct vck_offset_store *store = config->offset_store;

    *damage = (struct vck_damage){
        .store = store,
        .disk = disk,
        .lost_first_byte = config->lost_first_byte,
        .lost_bytes = config->lost_bytes,
    };
    vck_spinlock_init(&damage->lock);
    vck_wait_queue_init(&damage->waiting);
    if (!store || store->damage.count == 0)
        return VCK_OK;
    damage->slot = vck_alloc_pages(VCK_DAMAGE_SLOT_BYTES, DAMAGE_TAG);
    if (!damage->slot)
        return VCK_NO_MEMORY;
    damage->count = store->damage.count;
    return VCK_OK;
}

vck_status vck_damage_renew(struct vck_damage *damage, const struct vck_io_config *config)
{
    struct vck_offset_store *store = config->offset_store;
    uint8_t *slot = NULL;

    if (store && store->damage.count > 0) {
        slot = vck_alloc_pages(VCK_DAMAGE_SLOT_BYTES, DAMAGE_TAG);
        if (!slot)
            return VCK_NO_MEMORY;
    }
    vck_spinlock_acquire(&damage->lock);
    damage->store = store;
    damage->slot = slot;
    vck_spinlock_release(&damage->lock);
    __atomic_store_n(&damage->count, store ? store->damage.count : 0, __ATOMIC_RELEASE);
    return VCK_OK;
}

void vck_damage_fini(struct vck_damage *damage)
{
    vck_spinlock_acquire(&damage->lock);
    damage->store = NULL; /* it goes with the provider; a snapshot may come late */
    vck_spinlock_release(&damage->lock);
    if (damage->slot)
        vck_free_pages(damage->slot, VCK_DAMAGE_SLOT_BYTES);
    damage->slot = NULL;
    __atomic_store_n(&damage->count, 0, __ATOMIC_RELEASE);
}

static bool is_empty(const struct vck_damage *damage)
{
    return __atomic_load_n(&damage->count, __ATOMIC_ACQUIRE) == 0;
}

bool vck_damage_touches(struct vck_damage *damage, uint64_t first_byte, uint64_t size_bytes,
                        uint64_t *ret_offset_bytes)
{
    bool touches;

    if (damage->lost_bytes &&
        vck_ranges_overlap(first_byte, size_bytes, damage->lost_first_byte, damage->lost_bytes)) {
        *ret_offset_bytes = VCK_MAX(first_byte, damage->lost_first_byte);
        return true;
    }
    if (is_empty(damage))
        return false;
    vck_spinlock_acquire(&damage->lock);
    touches = vck_damage_overlaps(&damage->store->damage, first_byte, size_bytes, ret_offset_bytes);
    vck_spinlock_release(&damage->lock);
    return touches;
}

void vck_damage_snapshot(struct vck_damage *damage, struct vck_damage_list *ret_list)
{
    memset(ret_list, 0, sizeof *ret_list);
    vck_spinlock_acquire(&damage->lock);
    if (damage->store)
        *ret_list = damage->store->damage;
    vck_spinlock_release(&damage->lock);
}

static bool try_lock(struct vck_damage *damage)
{
    return __atomic_exchange_n(&damage->forgetting, 1, __ATOMIC_ACQUIRE) == 0;
}

static void unlock(struct vck_damage_forget *forget)
{
    if (!forget->locked)
        return;
    forget->locked = false;
    __atomic_store_n(&forget->damage->forgetting, 0, __ATOMIC_RELEASE);
    vck_wait_queue_wake_one(&forget->damage->waiting);
}

/* The list without what the write covers; false when it covers nothing. */
static bool make_next(struct vck_damage_forget *forget)
{
    struct vck_damage *damage = forget->damage;
    uint32_t removed;

    vck_damage_snapshot(damage, &damage->next);
    removed = vck_damage_remove_covered(&damage->next, forget->first_byte, forget->size_bytes);
    damage->next.sequence++;
    return removed != 0;
}

static void commit_next(struct vck_damage *damage)
{
    vck_spinlock_acquire(&damage->lock);
    damage->store->damage = damage->next;
    vck_spinlock_release(&damage->lock);
    __atomic_store_n(&damage->count, damage->next.count, __ATOMIC_RELEASE);
}

static void begin_flush(struct vck_damage_forget *forget)
{
    vck_disk_future_init(&forget->io, forget->damage->disk, VCK_DISK_FLUSH, 0, 0, NULL, 0);
}

static void begin_slot_write(struct vck_damage_forget *forget)
{
    struct vck_damage *damage = forget->damage;
    const struct vck_journal_area *area = &damage->store->area;
    uint64_t offset_bytes = area->damage_offset_bytes[forget->replica] +
                            (damage->next.sequence & 1) * VCK_DAMAGE_SLOT_BYTES;

    vck_disk_future_init(&forget->io, damage->disk, VCK_DISK_WRITE, 0, offset_bytes, damage->slot,
                         VCK_DAMAGE_SLOT_BYTES);
}

static bool lock_or_register(struct vck_damage_forget *forget, const struct vck_waker *waker)
{
    struct vck_damage *damage = forget->damage;

    forget->locked = try_lock(damage);
    if (!forget->locked) {
        vck_wait_queue_register(&damage->waiting, &forget->waiter, waker);
        forget->locked = try_lock(damage);
    }
    if (forget->locked)
        vck_wait_queue_cancel(&damage->waiting, &forget->waiter);
    return forget->locked;
}

/*
 * The new contents become durable before the entry goes: after a cut the chunk is either still
 * listed or whole.
 */
static enum vck_poll forget_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_damage_forget *f = VCK_CONTAINER_OF(self, struct vck_damage_forget, future);

    VCK_CO_BEGIN(&f->co);
    VCK_CO_WAIT_UNTIL(&f->co, is_empty(f->damage) || lock_or_register(f, waker));
    if (!f->locked || !make_next(f)) {
        unlock(f);
        VCK_CO_RETURN(&f->co);
    }
    begin_flush(f);
    VCK_CO_AWAIT(&f->co, &f->io.future, waker);
    f->status = vck_disk_flushed(f->damage->disk, f->io.io.status);
    f->flush_failed = f->status != VCK_OK;
    vck_damage_seal(&f->damage->store->keys, &f->damage->next, f->damage->slot);
    for (f->replica = 0; f->status == VCK_OK && f->replica < f->damage->store->area.replica_count;
         f->replica++) {
        begin_slot_write(f);
        VCK_CO_AWAIT(&f->co, &f->io.future, waker);
        f->status = f->io.io.status;
    }
    if (f->status == VCK_OK) {
        begin_flush(f);
        VCK_CO_AWAIT(&f->co, &f->io.future, waker);
        f->status = vck_disk_flushed(f->damage->disk, f->io.io.status);
        f->flush_failed = f->status != VCK_OK;
    }
    if (f->status == VCK_OK)
        commit_next(f->damage);
    unlock(f);
    VCK_CO_END(&f->co);
}

static void forget_drop(struct vck_future *self)
{
    struct vck_damage_forget *forget = VCK_CONTAINER_OF(self, struct vck_damage_forget, future);

    vck_wait_queue_cancel(&forget->damage->waiting, &forget->waiter);
    unlock(forget);
}

void vck_damage_forget_init(struct vck_damage_forget *forget, struct vck_damage *damage,
                            uint64_t first_byte, uint64_t size_bytes)
{
    *forget = (struct vck_damage_forget){
        .future = {.poll = forget_poll, .drop = forget_drop},
        .damage = damage,
        .first_byte = first_byte,
        .size_bytes = size_bytes,
    };
    vck_waiter_init(&forget->waiter);
}
