/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/guard.h"

/* slot->state: serial << 2, with a kind once the range can be read. */
#define STATE_FREE   0u
#define KIND_CLAIMED 1u /* the range is being written; the owner has not seen a view yet */
#define KIND_READER  2u
#define KIND_WRITER  3u
#define KIND_MASK    3u
#define SERIAL_SHIFT 2

void vck_guard_init(struct vck_guard *guard, const struct vck_guard_view *view)
{
    memset(guard, 0, sizeof *guard);
    guard->view = *view;
    vck_spinlock_init(&guard->publishing);
    vck_wait_queue_init(&guard->unlocked);
    vck_wait_queue_init(&guard->slot_free);
    vck_wait_queue_init(&guard->left);
}

/* ---- the view: a sequence lock over a few words ---- */

static uint64_t load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void store(uint64_t *p, uint64_t value)
{
    __atomic_store_n(p, value, __ATOMIC_RELAXED);
}

static void copy_view_out(const struct vck_guard_view *from, struct vck_guard_view *to)
{
    to->cipher_end = load(&from->cipher_end);
    to->hot_end = load(&from->hot_end);
    to->hot_data = __atomic_load_n(&from->hot_data, __ATOMIC_RELAXED);
    to->hot_is_cipher = __atomic_load_n(&from->hot_is_cipher, __ATOMIC_RELAXED);
    to->lock_first = load(&from->lock_first);
    to->lock_end = load(&from->lock_end);
    to->lock_status = __atomic_load_n(&from->lock_status, __ATOMIC_RELAXED);
    to->lock_readers = __atomic_load_n(&from->lock_readers, __ATOMIC_RELAXED);
}

void vck_guard_view_get(struct vck_guard *guard, struct vck_guard_view *ret_view)
{
    uint64_t before;
    uint64_t after;

    do {
        before = __atomic_load_n(&guard->view_sequence, __ATOMIC_ACQUIRE);
        copy_view_out(&guard->view, ret_view);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        after = load(&guard->view_sequence);
    } while (before != after || (before & 1));
}

void vck_guard_publish(struct vck_guard *guard, const struct vck_guard_view *view)
{
    struct vck_guard_view *to = &guard->view;
    uint64_t sequence;

    /* For its level: whoever interrupted this in the middle would wait for it on its processor. */
    vck_spinlock_acquire(&guard->publishing);
    sequence = load(&guard->view_sequence);
    store(&guard->view_sequence, sequence + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    store(&to->cipher_end, view->cipher_end);
    store(&to->hot_end, view->hot_end);
    __atomic_store_n(&to->hot_data, view->hot_data, __ATOMIC_RELAXED);
    __atomic_store_n(&to->hot_is_cipher, view->hot_is_cipher, __ATOMIC_RELAXED);
    store(&to->lock_first, view->lock_first);
    store(&to->lock_end, view->lock_end);
    __atomic_store_n(&to->lock_status, view->lock_status, __ATOMIC_RELAXED);
    __atomic_store_n(&to->lock_readers, view->lock_readers, __ATOMIC_RELAXED);
    __atomic_store_n(&guard->view_sequence, sequence + 2, __ATOMIC_RELEASE);
    vck_spinlock_release(&guard->publishing);
    vck_wait_queue_wake_all(&guard->unlocked);
}

/* ---- slots ---- */

static bool claim(struct vck_guard_slot *slot, uint64_t first, uint64_t end, bool is_write)
{
    uint64_t expected = STATE_FREE;
    uint64_t serial;

    if (load(&slot->state) != STATE_FREE ||
        !__atomic_compare_exchange_n(&slot->state, &expected, KIND_CLAIMED, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    serial = load(&slot->serial) + 1;
    store(&slot->serial, serial);
    store(&slot->first, first);
    store(&slot->end, end);
    __atomic_store_n(&slot->state, serial << SERIAL_SHIFT | (is_write ? KIND_WRITER : KIND_READER),
                     __ATOMIC_RELEASE);
    /* Before the view is read: pairs with the fence between publish and the drain's look. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return true;
}

static struct vck_guard_slot *claim_any(struct vck_guard_enter *enter)
{
    /* Spread over the slots by address, so that threads keep to different cache lines. */
    uint32_t start = (uint32_t)(((uintptr_t)enter >> 12) * 2654435761u >> 16);

    for (uint32_t i = 0; i < VCK_GUARD_SLOTS; i++) {
        struct vck_guard_slot *slot = &enter->guard->slots[(start + i) % VCK_GUARD_SLOTS];
        if (claim(slot, enter->first, enter->end, enter->is_write))
            return slot;
    }
    return NULL;
}

void vck_guard_leave(struct vck_guard_enter *enter)
{
    struct vck_guard *guard = enter->guard;

    if (!enter->slot)
        return;
    __atomic_store_n(&enter->slot->state, STATE_FREE, __ATOMIC_RELEASE);
    enter->slot = NULL;
    vck_wait_queue_wake_all(&guard->left);
    vck_wait_queue_wake_one(&guard->slot_free);
}

/* ---- entering ---- */

static enum vck_poll finish(struct vck_guard_enter *enter, vck_status status)
{
    enter->status = status;
    if (status != VCK_OK)
        vck_guard_leave(enter);
    return VCK_READY;
}

static bool is_closed(const struct vck_guard *guard)
{
    return __atomic_load_n(&guard->closed, __ATOMIC_ACQUIRE);
}

/* With a slot held: whether the view lets the request in. */
static bool may_stay(struct vck_guard_enter *enter)
{
    const struct vck_guard_view *view = &enter->view;

    vck_guard_view_get(enter->guard, &enter->view);
    if (!enter->is_write && !view->lock_readers)
        return true;
    return enter->first >= view->lock_end || enter->end <= view->lock_first;
}

/* One attempt. Tells where to wait when it did not work. */
static enum vck_poll try_enter(struct vck_guard_enter *enter, struct vck_wait_queue **ret_queue)
{
    struct vck_guard *guard = enter->guard;

    if (is_closed(guard))
        return finish(enter, VCK_DELETED);
    enter->slot = claim_any(enter);
    if (!enter->slot) {
        *ret_queue = &guard->slot_free;
        return VCK_PENDING;
    }
    if (is_closed(guard))
        return finish(enter, VCK_DELETED);
    if (may_stay(enter))
        return finish(enter, VCK_OK);
    if (enter->view.lock_status != VCK_OK)
        return finish(enter, enter->view.lock_status);
    vck_guard_leave(enter);
    *ret_queue = &guard->unlocked;
    return VCK_PENDING;
}

static void stop_waiting(struct vck_guard_enter *enter)
{
    if (enter->waiting_in)
        vck_wait_queue_cancel(enter->waiting_in, &enter->waiter);
    enter->waiting_in = NULL;
}

static enum vck_poll enter_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_guard_enter *enter = VCK_CONTAINER_OF(self, struct vck_guard_enter, future);

    stop_waiting(enter);
    for (;;) {
        struct vck_wait_queue *queue = NULL;

        if (try_enter(enter, &queue) == VCK_READY) {
            stop_waiting(enter);
            return VCK_READY;
        }
        /* Registered in the right queue and still refused: nothing can have been missed. */
        if (queue == enter->waiting_in)
            return VCK_PENDING;
        stop_waiting(enter);
        vck_wait_queue_register(queue, &enter->waiter, waker);
        enter->waiting_in = queue;
    }
}

static void enter_drop(struct vck_future *self)
{
    struct vck_guard_enter *enter = VCK_CONTAINER_OF(self, struct vck_guard_enter, future);

    stop_waiting(enter);
    vck_guard_leave(enter);
}

void vck_guard_enter_init(struct vck_guard_enter *enter, struct vck_guard *guard, uint64_t first,
                          uint64_t end, bool is_write)
{
    *enter = (struct vck_guard_enter){
        .future = {.poll = enter_poll, .drop = enter_drop},
        .guard = guard,
        .first = first,
        .end = end,
        .is_write = is_write,
    };
    vck_waiter_init(&enter->waiter);
}

/* ---- draining ---- */

/* The slot's state when its occupant is one to wait for, else STATE_FREE. */
static uint64_t occupant(const struct vck_guard_drain *drain, const struct vck_guard_slot *slot)
{
    uint64_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    uint64_t first = load(&slot->first);
    uint64_t end = load(&slot->end);

    /* A claimed slot's owner will look at the view after us, so it sees the new one. */
    if (state == STATE_FREE || (state & KIND_MASK) == KIND_CLAIMED)
        return STATE_FREE;
    if (drain->writers_only && (state & KIND_MASK) != KIND_WRITER)
        return STATE_FREE;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (load(&slot->state) != state)
        return STATE_FREE;
    return first < drain->end && drain->first < end ? state : STATE_FREE;
}

static enum vck_poll drain_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_guard_drain *drain = VCK_CONTAINER_OF(self, struct vck_guard_drain, future);
    struct vck_guard *guard = drain->guard;

    /* After the publish that came before: pairs with the fence in claim. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    while (drain->index < VCK_GUARD_SLOTS) {
        const struct vck_guard_slot *slot = &guard->slots[drain->index];

        if (drain->waiting_for == STATE_FREE)
            drain->waiting_for = occupant(drain, slot);
        if (drain->waiting_for != STATE_FREE &&
            __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == drain->waiting_for) {
            vck_wait_queue_register(&guard->left, &drain->waiter, waker);
            if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == drain->waiting_for)
                return VCK_PENDING;
        }
        drain->waiting_for = STATE_FREE;
        drain->index++;
    }
    vck_wait_queue_cancel(&guard->left, &drain->waiter);
    return VCK_READY;
}

static void drain_drop(struct vck_future *self)
{
    struct vck_guard_drain *drain = VCK_CONTAINER_OF(self, struct vck_guard_drain, future);

    vck_wait_queue_cancel(&drain->guard->left, &drain->waiter);
}

void vck_guard_drain_init(struct vck_guard_drain *drain, struct vck_guard *guard, uint64_t first,
                          uint64_t end, bool writers_only)
{
    *drain = (struct vck_guard_drain){
        .future = {.poll = drain_poll, .drop = drain_drop},
        .guard = guard,
        .first = first,
        .end = end,
        .writers_only = writers_only,
    };
    vck_waiter_init(&drain->waiter);
}

void vck_guard_close(struct vck_guard *guard)
{
    __atomic_store_n(&guard->closed, true, __ATOMIC_SEQ_CST);
    vck_wait_queue_wake_all(&guard->unlocked);
    vck_wait_queue_wake_all(&guard->slot_free);
}
