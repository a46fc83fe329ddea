/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring and the line of senders are under the lock. A receiver that waits says so in `state`:
 * the one that changes it back has the waker and, if nothing stands before it in the ring, a place
 * for its element. Until it gives back both (is_lent), the receiver neither waits anew nor takes
 * the channel for drained; the wake it will get is still to come.
 */
#include "vck/channel.h"
#include "vck/timeout.h"

enum {
    OPEN,
    WAITING, /* open, and the receiver waits */
    CLOSED,
};

void vck_channel_init(struct vck_channel *channel, void *ring, size_t element_size_bytes,
                      size_t capacity, void (*drop)(void *context, void *element), void *context)
{
    VCK_ASSERT(element_size_bytes != 0 && capacity != 0);
    *channel = (struct vck_channel){
        .senders = 1,
        .ends = 2,
        .ring = ring,
        .element_size_bytes = element_size_bytes,
        .capacity = capacity,
        .drop = drop,
        .context = context,
    };
    vck_spinlock_init(&channel->lock);
    vck_link_init(&channel->senders_waiting);
}

vck_status vck_channel_create(size_t element_size_bytes, size_t capacity,
                              void (*drop)(void *context, void *element), void *context,
                              struct vck_channel **ret_channel)
{
    size_t ring_offset = (sizeof(struct vck_channel) + 15) & ~(size_t)15;
    struct vck_channel *channel;

    if (element_size_bytes == 0 || capacity == 0 ||
        capacity >= (SIZE_MAX / 2 - ring_offset) / element_size_bytes)
        return VCK_OUT_OF_RANGE;
    channel =
        vck_alloc(ring_offset + (capacity + 1) * element_size_bytes, VCK_TAG('C', 'h', 'a', 'n'));
    if (!channel)
        return VCK_NO_MEMORY;
    vck_channel_init(channel, (unsigned char *)channel + ring_offset, element_size_bytes, capacity,
                     drop, context);
    channel->allocated = true;
    *ret_channel = channel;
    return VCK_OK;
}

static unsigned char *slot_at(struct vck_channel *channel, size_t index)
{
    return channel->ring + index * channel->element_size_bytes;
}

/* Most elements are a pointer or two. */
static inline void copy_element(const struct vck_channel *channel, void *to, const void *from)
{
    if (channel->element_size_bytes == 8)
        memcpy(to, from, 8);
    else if (channel->element_size_bytes == 16)
        memcpy(to, from, 16);
    else
        memcpy(to, from, channel->element_size_bytes);
}

static void drop_element(struct vck_channel *channel, unsigned char *element)
{
    if (channel->drop)
        channel->drop(channel->context, element);
}

static void drop_given(struct vck_channel *channel)
{
    if (channel->has_given)
        drop_element(channel, slot_at(channel, channel->capacity));
    channel->has_given = false;
}

static void end_one_side(struct vck_channel *channel)
{
    if (__atomic_fetch_sub(&channel->ends, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    /* Given to a wait that was dropped, by a send that was under way when the receiver went. */
    drop_given(channel);
    if (channel->allocated)
        vck_free(channel);
}

/* ---- the receiver's wait, without the lock ---- */

static uint32_t state_of(const struct vck_channel *channel)
{
    return __atomic_load_n(&channel->state, __ATOMIC_SEQ_CST);
}

static bool change(struct vck_channel *channel, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&channel->state, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

static size_t count_of(const struct vck_channel *channel)
{
    return __atomic_load_n(&channel->count, __ATOMIC_SEQ_CST);
}

static bool is_lent(const struct vck_channel *channel)
{
    return __atomic_load_n(&channel->is_lent, __ATOMIC_ACQUIRE) != 0;
}

/* For the one that ended WAITING. */
static void end_wait(struct vck_channel *channel)
{
    struct vck_waker waker = channel->receiver;

    __atomic_store_n(&channel->is_lent, 0, __ATOMIC_RELEASE);
    vck_waker_wake_and_drop(waker);
}

/* Takes the waker back; false when somebody is about to wake it. */
static bool withdraw(struct vck_channel *channel)
{
    struct vck_waker waker = channel->receiver;

    if (!change(channel, WAITING, OPEN))
        return false;
    __atomic_store_n(&channel->is_lent, 0, __ATOMIC_RELAXED);
    vck_waker_drop(waker);
    return true;
}

/* True when the waker will be woken; false when there is something to look at. */
static bool arm(struct vck_channel *channel, const struct vck_waker *waker)
{
    if (channel->has_given || count_of(channel) != 0 || state_of(channel) != OPEN)
        return false;
    channel->receiver = waker->ops->clone(waker->data);
    __atomic_store_n(&channel->is_lent, 1, __ATOMIC_RELAXED);
    if (!change(channel, OPEN, WAITING)) {
        __atomic_store_n(&channel->is_lent, 0, __ATOMIC_RELAXED);
        vck_waker_drop(channel->receiver);
        return false;
    }
    /* An element that came in between did not wake; but one who then found WAITING will. */
    return count_of(channel) == 0 || !withdraw(channel);
}

static bool wait_for_element(struct vck_channel *channel, const struct vck_waker *waker)
{
    bool same;

    if (!is_lent(channel))
        return arm(channel, waker);
    same = vck_waker_is_same(&channel->receiver, waker);
    if (state_of(channel) == WAITING)
        return same || (withdraw(channel) && arm(channel, waker));
    /* A sender is about to wake the waker that was registered. If that was somebody else's, look
     * again soon. */
    if (!same)
        waker->ops->wake(waker->data);
    return true;
}

/* ---- under the lock ---- */

static void put(struct vck_channel *channel, const void *element)
{
    size_t slot = channel->first + channel->count;

    if (slot >= channel->capacity)
        slot -= channel->capacity;
    copy_element(channel, slot_at(channel, slot), element);
    __atomic_fetch_add(&channel->count, 1, __ATOMIC_SEQ_CST);
}

/* BUSY when it is full. Senders wait only while it is full, so none is overtaken. */
static vck_status put_if_room(struct vck_channel *channel, const void *element)
{
    if (state_of(channel) == CLOSED)
        return VCK_DELETED;
    if (channel->count == channel->capacity)
        return VCK_BUSY;
    put(channel, element);
    return VCK_OK;
}

/* Takes the oldest element out and lets the sender that waits longest put its own in, with that
 * sender's waker for afterwards. */
static void take(struct vck_channel *channel, void *ret_element, struct vck_waker *ret_wake)
{
    struct vck_wait_node *node;

    copy_element(channel, ret_element, slot_at(channel, channel->first));
    channel->first = channel->first + 1 < channel->capacity ? channel->first + 1 : 0;
    __atomic_store_n(&channel->count, channel->count - 1, __ATOMIC_RELEASE);
    node = vck_wait_list_oldest(&channel->senders_waiting);
    if (node) {
        put(channel, VCK_CONTAINER_OF(node, struct vck_channel_send, node)->element);
        *ret_wake = vck_wait_node_finish(node, VCK_WAIT_GRANTED);
    }
}

/* ---- senders ---- */

void vck_channel_add_sender(struct vck_channel *channel)
{
    uint32_t before = __atomic_fetch_add(&channel->senders, 1, __ATOMIC_RELAXED);

    VCK_ASSERT(before != 0 && before != UINT32_MAX);
}

void vck_channel_drop_sender(struct vck_channel *channel)
{
    uint32_t before = __atomic_fetch_sub(&channel->senders, 1, __ATOMIC_ACQ_REL);

    VCK_ASSERT(before != 0);
    if (before != 1)
        return;
    vck_channel_close(channel);
    end_one_side(channel);
}

static vck_status send_to_ring(struct vck_channel *channel, const void *element)
{
    vck_status status;

    vck_spinlock_acquire(&channel->lock);
    status = put_if_room(channel, element);
    vck_spinlock_release(&channel->lock);
    return status;
}

static void wake_receiver(struct vck_channel *channel)
{
    if (state_of(channel) == WAITING && change(channel, WAITING, OPEN))
        end_wait(channel);
}

vck_status vck_channel_try_send(struct vck_channel *channel, const void *element)
{
    vck_status status = VCK_OK;

    if (state_of(channel) == WAITING && change(channel, WAITING, OPEN)) {
        if (count_of(channel) == 0) {
            copy_element(channel, slot_at(channel, channel->capacity), element);
            channel->has_given = true;
        } else {
            status = send_to_ring(channel, element);
        }
        end_wait(channel);
        return status;
    }
    status = send_to_ring(channel, element);
    if (status == VCK_OK)
        wake_receiver(channel);
    return status;
}

/* After a look that found it full, and while it waits. */
static enum vck_poll wait_for_room(struct vck_channel_send *send, const struct vck_waker *waker)
{
    struct vck_channel *channel = send->channel;
    struct vck_waker fresh = waker->ops->clone(waker->data);
    bool was_put = false;

    vck_spinlock_acquire(&channel->lock);
    switch (send->node.state) {
    case VCK_WAIT_GRANTED:
        send->status = VCK_OK;
        break;
    case VCK_WAIT_REFUSED:
        send->status = VCK_DELETED;
        break;
    case VCK_WAIT_IDLE:
        send->status = put_if_room(channel, send->element);
        was_put = send->status == VCK_OK;
        break;
    default:
        break;
    }
    if (send->status == VCK_BUSY)
        fresh = vck_wait_list_add(&channel->senders_waiting, &send->node, fresh);
    vck_spinlock_release(&channel->lock);
    vck_waker_drop(fresh);
    if (was_put)
        wake_receiver(channel);
    return send->status == VCK_BUSY ? VCK_PENDING : VCK_READY;
}

static enum vck_poll send_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_channel_send *send = VCK_CONTAINER_OF(self, struct vck_channel_send, future);

    if (vck_wait_node_state(&send->node) == VCK_WAIT_IDLE) {
        send->status = vck_channel_try_send(send->channel, send->element);
        if (send->status != VCK_BUSY)
            return VCK_READY;
    }
    return wait_for_room(send, waker);
}

static void send_drop(struct vck_future *self)
{
    struct vck_channel_send *send = VCK_CONTAINER_OF(self, struct vck_channel_send, future);
    struct vck_channel *channel = send->channel;
    struct vck_waker waker = vck_waker_none();

    if (send->status == VCK_NOT_READY)
        send->status = VCK_CANCELLED;
    if (send->status != VCK_BUSY)
        return;
    vck_spinlock_acquire(&channel->lock);
    send->status = send->node.state == VCK_WAIT_GRANTED ? VCK_OK : VCK_CANCELLED;
    if (send->node.state == VCK_WAIT_QUEUED)
        waker = vck_wait_node_finish(&send->node, VCK_WAIT_DONE);
    vck_spinlock_release(&channel->lock);
    vck_waker_drop(waker);
}

void vck_channel_send_init(struct vck_channel_send *send, struct vck_channel *channel,
                           const void *element)
{
    *send = (struct vck_channel_send){
        .future = {.poll = send_poll, .drop = send_drop},
        .channel = channel,
        .element = element,
        .status = VCK_NOT_READY,
    };
    vck_wait_node_init(&send->node);
}

vck_status vck_channel_send_until(struct vck_channel *channel, const void *element,
                                  uint64_t deadline_ns)
{
    struct vck_channel_send send;
    vck_status status;

    vck_channel_send_init(&send, channel, element);
    status = vck_block_on_until(&send.future, deadline_ns);
    /* The time may have passed while the element went in. */
    return status == VCK_OK || send.status == VCK_OK ? send.status : status;
}

/* ---- the receiver ---- */

static void take_given(struct vck_channel *channel, void *ret_element)
{
    copy_element(channel, ret_element, slot_at(channel, channel->capacity));
    channel->has_given = false;
}

static void take_from_ring(struct vck_channel *channel, void *ret_element)
{
    struct vck_waker wake = vck_waker_none();

    vck_spinlock_acquire(&channel->lock);
    take(channel, ret_element, &wake);
    vck_spinlock_release(&channel->lock);
    vck_waker_wake_and_drop(wake);
}

static vck_status receive_now(struct vck_channel *channel, void *ret_element)
{
    bool closed = state_of(channel) == CLOSED;
    /* Before the look at what was given: whoever gave has put what is in the ring now either
     * before, and then it was received long ago, or afterwards, and then the gift is seen. */
    bool in_ring = count_of(channel) != 0;
    bool lent = is_lent(channel);

    if (!lent && channel->has_given)
        take_given(channel, ret_element);
    else if (in_ring)
        take_from_ring(channel, ret_element);
    else
        return closed && !lent ? VCK_DELETED : VCK_BUSY;
    return VCK_OK;
}

vck_status vck_channel_try_receive(struct vck_channel *channel, void *ret_element)
{
    return receive_now(channel, ret_element);
}

static enum vck_poll receive_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_channel_receive *receive =
        VCK_CONTAINER_OF(self, struct vck_channel_receive, future);

    do {
        receive->status = receive_now(receive->channel, receive->element);
        if (receive->status != VCK_BUSY)
            return VCK_READY;
    } while (!wait_for_element(receive->channel, waker));
    return VCK_PENDING;
}

static void receive_drop(struct vck_future *self)
{
    struct vck_channel_receive *receive =
        VCK_CONTAINER_OF(self, struct vck_channel_receive, future);

    if (receive->status != VCK_BUSY)
        return;
    (void)withdraw(receive->channel);
    receive->status = VCK_CANCELLED;
}

void vck_channel_receive_init(struct vck_channel_receive *receive, struct vck_channel *channel,
                              void *element)
{
    *receive = (struct vck_channel_receive){
        .future = {.poll = receive_poll, .drop = receive_drop},
        .channel = channel,
        .element = element,
        .status = VCK_NOT_READY,
    };
}

vck_status vck_channel_receive_until(struct vck_channel *channel, uint64_t deadline_ns,
                                     void *ret_element)
{
    struct vck_channel_receive receive;
    vck_status status;

    vck_channel_receive_init(&receive, channel, ret_element);
    status = vck_block_on_until(&receive.future, deadline_ns);
    return status == VCK_OK ? receive.status : status;
}

void vck_channel_close(struct vck_channel *channel)
{
    uint32_t before;

    vck_spinlock_acquire(&channel->lock);
    before = __atomic_exchange_n(&channel->state, (uint32_t)CLOSED, __ATOMIC_SEQ_CST);
    vck_wait_list_answer_all(&channel->lock, &channel->senders_waiting, VCK_WAIT_REFUSED);
    if (before == WAITING)
        end_wait(channel);
}

void vck_channel_drop_receiver(struct vck_channel *channel)
{
    size_t slot;

    (void)withdraw(channel);
    vck_channel_close(channel);
    if (!is_lent(channel))
        drop_given(channel);
    /* Closed, so the ring is ours alone. */
    slot = channel->first;
    for (size_t i = 0; i < channel->count; i++) {
        drop_element(channel, slot_at(channel, slot));
        slot = slot + 1 < channel->capacity ? slot + 1 : 0;
    }
    end_one_side(channel);
}
