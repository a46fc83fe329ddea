/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever exchanges a value for NULL destroys it. A thread that ends says so at the key before it
 * does, under the registry's lock, so that who finishes the key can wait for it.
 */
#include "vck/thread_local.h"
#include "thread_internal.h"
#include "vck/waiters.h"

struct key {
    bool is_used;
    uint32_t destroying; /* ending threads inside destroy */
    void (*destroy)(void *value);
    struct vck_waiters waiters; /* at most who finishes it */
};

/* Under the registry's lock. */
static struct key keys[VCK_THREAD_LOCALS_MAX];

static void lock_registry(void) VCK_ACQUIRES(vck_thread_registry_lock) VCK_ACQUIRES(vck_raised)
{
    vck_spinlock_acquire(&vck_thread_registry_lock);
}

static void unlock_registry(void) VCK_RELEASES(vck_thread_registry_lock) VCK_RELEASES(vck_raised)
{
    vck_spinlock_release(&vck_thread_registry_lock);
}

vck_status vck_thread_local_init(struct vck_thread_local *local, void (*destroy)(void *value))
{
    uint32_t index = 0;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    lock_registry();
    while (index < VCK_THREAD_LOCALS_MAX && keys[index].is_used)
        index++;
    if (index < VCK_THREAD_LOCALS_MAX)
        keys[index] = (struct key){.is_used = true, .destroy = destroy};
    unlock_registry();
    if (index == VCK_THREAD_LOCALS_MAX)
        return VCK_BUSY;
    local->index = index;
    return VCK_OK;
}

void *vck_thread_local_get(const struct vck_thread_local *local)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct vck_thread_handle *self = vck_thread_slot();
    return self != NULL ? __atomic_load_n(&self->values[local->index], __ATOMIC_ACQUIRE) : NULL;
}

vck_status vck_thread_local_set(const struct vck_thread_local *local, void *value)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct vck_thread_handle *self = vck_thread_slot();
    if (self == NULL && value == NULL)
        return VCK_OK;
    if (self == NULL)
        self = vck_thread_get_current();
    if (self == NULL)
        return VCK_NO_MEMORY;
    if (self->is_ending && value != NULL)
        return VCK_DELETE_PENDING;
    __atomic_store_n(&self->values[local->index], value, __ATOMIC_RELEASE);
    return VCK_OK;
}

static void *take_value(struct vck_thread_handle *handle, uint32_t index)
{
    return __atomic_exchange_n(&handle->values[index], NULL, __ATOMIC_ACQ_REL);
}

/* ---- a thread ends ---- */

static void end_value(struct vck_thread_handle *self, uint32_t index)
{
    struct key *key = &keys[index];
    lock_registry();
    void *value = take_value(self, index);
    void (*destroy)(void *value) = key->destroy;
    /* Without a value the key may be finished, or another by now. */
    bool is_ours = value != NULL && destroy != NULL;
    if (is_ours)
        key->destroying++;
    unlock_registry();
    if (!is_ours)
        return;
    destroy(value);
    lock_registry();
    struct vck_waiting_thread *waiter =
        --key->destroying == 0 ? vck_waiters_pop(&key->waiters) : NULL;
    unlock_registry();
    vck_waiters_wake(waiter);
}

void vck_thread_locals_end(struct vck_thread_handle *handle)
{
    handle->is_ending = true;
    for (uint32_t index = 0; index < VCK_THREAD_LOCALS_MAX; index++)
        if (__atomic_load_n(&handle->values[index], __ATOMIC_RELAXED) != NULL)
            end_value(handle, index);
}

/* ---- a key ends ---- */

/* A value of any thread, NULL when none is left. Under the registry's lock. */
static void *take_any_value(uint32_t index)
{
    VCK_LIST_FOR_EACH(link, next, &vck_thread_registry)
    {
        void *value = take_value(VCK_CONTAINER_OF(link, struct vck_thread_handle, link), index);
        if (value != NULL)
            return value;
    }
    return NULL;
}

static void destroy_values(uint32_t index)
{
    void (*destroy)(void *value) = keys[index].destroy;
    void *value;
    do {
        lock_registry();
        value = take_any_value(index);
        unlock_registry();
        if (value != NULL && destroy != NULL)
            destroy(value);
    } while (value != NULL);
}

void vck_thread_local_fini_at(struct vck_thread_local *local, const char *site)
{
    struct key *key = &keys[local->index];
    struct vck_waiting_thread waiter;
    vck_level_check_at(VCK_LEVEL_PASSIVE, site);
    destroy_values(local->index);
    lock_registry();
    VCK_ASSERT(key->is_used);
    bool must_wait = key->destroying > 0;
    if (must_wait)
        vck_waiters_push(&key->waiters, &waiter, 0);
    unlock_registry();
    if (must_wait)
        (void)vck_waiters_sleep(&key->waiters, &waiter, &vck_thread_registry_lock, VCK_FOREVER);
    lock_registry();
    key->is_used = false;
    unlock_registry();
}
