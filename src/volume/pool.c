/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/pool.h"
#include "vck/secret.h"

#define POOL_TAG VCK_TAG('V', 'p', 'o', 'l')

vck_status vck_pool_init(struct vck_pool *pool, uint32_t count, uint32_t buffer_bytes)
{
    *pool = (struct vck_pool){.buffer_bytes = buffer_bytes, .count = count};
    vck_wait_queue_init(&pool->waiting);
    VCK_ASSERT(count >= 1 && count <= VCK_POOL_BUFFERS_MAX);
    pool->memory = vck_alloc_pages((size_t)count * buffer_bytes, POOL_TAG);
    if (!pool->memory)
        return VCK_NO_MEMORY;
    pool->free_mask = (1u << count) - 1;
    return VCK_OK;
}

void vck_pool_wipe(struct vck_pool *pool)
{
    VCK_ASSERT(__atomic_load_n(&pool->free_mask, __ATOMIC_ACQUIRE) == (1u << pool->count) - 1);
    for (uint32_t i = 0; i < pool->count; i++)
        if (__atomic_load_n(&pool->used_mask, __ATOMIC_RELAXED) & 1u << i)
            vck_wipe(pool->memory + (size_t)i * pool->buffer_bytes, pool->buffer_bytes);
    __atomic_store_n(&pool->used_mask, 0, __ATOMIC_RELAXED);
}

void vck_pool_fini(struct vck_pool *pool)
{
    size_t size_bytes = (size_t)pool->count * pool->buffer_bytes;

    if (!pool->memory)
        return;
    vck_pool_wipe(pool);
    vck_free_pages(pool->memory, size_bytes);
    pool->memory = NULL;
}

static uint8_t *try_get(struct vck_pool *pool)
{
    uint32_t mask = __atomic_load_n(&pool->free_mask, __ATOMIC_RELAXED);

    while (mask != 0) {
        uint32_t bit = mask & (~mask + 1);
        if (__atomic_compare_exchange_n(&pool->free_mask, &mask, mask & ~bit, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            __atomic_fetch_or(&pool->used_mask, bit, __ATOMIC_RELAXED);
            return pool->memory + (size_t)__builtin_ctz(bit) * pool->buffer_bytes;
        }
    }
    return NULL;
}

static enum vck_poll get_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_pool_get *get = VCK_CONTAINER_OF(self, struct vck_pool_get, future);

    get->buffer = try_get(get->pool);
    if (!get->buffer) {
        vck_wait_queue_register(&get->pool->waiting, &get->waiter, waker);
        get->buffer = try_get(get->pool);
        if (!get->buffer)
            return VCK_PENDING;
    }
    vck_wait_queue_cancel(&get->pool->waiting, &get->waiter);
    return VCK_READY;
}

static void get_drop(struct vck_future *self)
{
    struct vck_pool_get *get = VCK_CONTAINER_OF(self, struct vck_pool_get, future);

    vck_wait_queue_cancel(&get->pool->waiting, &get->waiter);
    /* A wake that was meant for this waiter must not be lost. */
    vck_wait_queue_wake_one(&get->pool->waiting);
}

void vck_pool_get_init(struct vck_pool_get *get, struct vck_pool *pool)
{
    *get = (struct vck_pool_get){
        .future = {.poll = get_poll, .drop = get_drop},
        .pool = pool,
    };
    vck_waiter_init(&get->waiter);
}

void vck_pool_put(struct vck_pool *pool, uint8_t *buffer)
{
    uint32_t index;

    if (!buffer)
        return;
    index = (uint32_t)((size_t)(buffer - pool->memory) / pool->buffer_bytes);
    __atomic_fetch_or(&pool->free_mask, 1u << index, __ATOMIC_RELEASE);
    vck_wait_queue_wake_one(&pool->waiting);
}
