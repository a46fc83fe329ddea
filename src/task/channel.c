/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/channel.h"
#include "vck/timeout.h"

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
        .receiver = vck_waker_none(),
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
        capacity > (SIZE_MAX / 2 - ring_offset) / element_size_bytes)
        return VCK_OUT_OF_RANGE;
    channel = vck_alloc(ring_offset + capacity * element_size_bytes, VCK_TAG('C', 'h', 'a', 'n'));
    if (!channel)
        return VCK_NO_MEMORY;
    vck_channel_init(channel, (unsigned char *)channel + ring_offset, element_size_bytes, capacity,
                     drop, context);
    channel->allocated = true;
    *ret_channel = channel;
    return VCK_OK;
}

static void end_one_side(struct vck_channel *channel)
{
    bool allocated = channel->allocated;

    if (__atomic_fetch_sub(&channel->ends, 1, __ATOMIC_ACQ_REL) == 1 && allocated)
        vck_free(channel);
}

/* ---- under the lock ---- */

static struct vck_waker take_receiver(struct vck_channel *channel)
{
    struct vck_waker waker = channel->receiver;

    channel->receiver = vck_waker_none();
    channel->receiver_waits = false;
    return waker;
}

static void put(struct vck_channel *channel, const void *element)
{
    size_t slot = channel->first + channel->count;

    if (slot >= channel->capacity)
        slot -= channel->capacity;
    memcpy(channel->ring + slot * channel->element_size_bytes, element,
           channel->element_size_bytes);
    __atomic_store_n(&channel->count, channel->count + 1, __ATOMIC_RELAXED);
}

/* Puts the element in, with the receiver's waker for afterwards; BUSY when it is full. Senders wait
 * only while it is full, so none is overtaken. */
static vck_status put_if_room(struct vck_channel *channel, const void *element,
                              struct vck_waker *ret_wake)
{
    if (channel->closed)
        return VCK_DELETED;
    if (channel->count == channel->capacity)
        return VCK_BUSY;
    put(channel, element);
    *ret_wake = take_receiver(channel);
    return VCK_OK;
}

/* Takes the oldest element out and lets the sender that waits longest put its own in, with that
 * sender's waker for afterwards. */
static vck_status take(struct vck_channel *channel, void *ret_element, struct vck_waker *ret_wake)
{
    struct vck_wait_node *node;

    if (channel->count == 0)
        return channel->closed ? VCK_DELETED : VCK_BUSY;
    memcpy(ret_element, channel->ring + channel->first * channel->element_size_bytes,
           channel->element_size_bytes);
    channel->first = channel->first + 1 < channel->capacity ? channel->first + 1 : 0;
    __atomic_store_n(&channel->count, channel->count - 1, __ATOMIC_RELAXED);
    node = vck_wait_list_oldest(&channel->senders_waiting);
    if (node) {
        put(channel, VCK_CONTAINER_OF(node, struct vck_channel_send, node)->element);
        *ret_wake = vck_wait_node_finish(node, VCK_WAIT_GRANTED);
    }
    return VCK_OK;
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

vck_status vck_channel_try_send(struct vck_channel *channel, const void *element)
{
    struct vck_waker wake = vck_waker_none();
    vck_status status;

    vck_spinlock_acquire(&channel->lock);
    status = put_if_room(channel, element, &wake);
    vck_spinlock_release(&channel->lock);
    vck_waker_wake_and_drop(wake);
    return status;
}

/* The first poll that finds it full, and polls while it waits. */
static enum vck_poll wait_for_room(struct vck_channel_send *send, const struct vck_waker *waker)
{
    struct vck_channel *channel = send->channel;
    struct vck_waker fresh = waker->ops->clone(waker->data);
    struct vck_waker wake = vck_waker_none();

    vck_spinlock_acquire(&channel->lock);
    switch (send->node.state) {
    case VCK_WAIT_GRANTED:
        send->status = VCK_OK;
        break;
    case VCK_WAIT_REFUSED:
        send->status = VCK_DELETED;
        break;
    case VCK_WAIT_IDLE:
        send->status = put_if_room(channel, send->element, &wake);
        break;
    default:
        break;
    }
    if (send->status == VCK_BUSY)
        fresh = vck_wait_list_add(&channel->senders_waiting, &send->node, fresh);
    vck_spinlock_release(&channel->lock);
    vck_waker_drop(fresh);
    vck_waker_wake_and_drop(wake);
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

vck_status vck_channel_try_receive(struct vck_channel *channel, void *ret_element)
{
    struct vck_waker wake = vck_waker_none();
    vck_status status;

    vck_spinlock_acquire(&channel->lock);
    status = take(channel, ret_element, &wake);
    vck_spinlock_release(&channel->lock);
    vck_waker_wake_and_drop(wake);
    return status;
}

static enum vck_poll wait_for_element(struct vck_channel_receive *receive,
                                      const struct vck_waker *waker)
{
    struct vck_channel *channel = receive->channel;
    struct vck_waker fresh = waker->ops->clone(waker->data);
    struct vck_waker wake = vck_waker_none();

    vck_spinlock_acquire(&channel->lock);
    receive->status = take(channel, receive->element, &wake);
    if (receive->status == VCK_BUSY) {
        struct vck_waker old = take_receiver(channel);
        channel->receiver = fresh;
        channel->receiver_waits = true;
        fresh = old;
    }
    vck_spinlock_release(&channel->lock);
    vck_waker_drop(fresh);
    vck_waker_wake_and_drop(wake);
    return receive->status == VCK_BUSY ? VCK_PENDING : VCK_READY;
}

static enum vck_poll receive_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_channel_receive *receive =
        VCK_CONTAINER_OF(self, struct vck_channel_receive, future);

    /* Without the lock only a hint: which of the two ways is likely to take the lock just once. */
    if (__atomic_load_n(&receive->channel->count, __ATOMIC_RELAXED) != 0) {
        receive->status = vck_channel_try_receive(receive->channel, receive->element);
        if (receive->status != VCK_BUSY)
            return VCK_READY;
    }
    return wait_for_element(receive, waker);
}

static void stop_waiting(struct vck_channel *channel)
{
    struct vck_waker waker;

    vck_spinlock_acquire(&channel->lock);
    waker = take_receiver(channel);
    vck_spinlock_release(&channel->lock);
    vck_waker_drop(waker);
}

static void receive_drop(struct vck_future *self)
{
    struct vck_channel_receive *receive =
        VCK_CONTAINER_OF(self, struct vck_channel_receive, future);

    if (receive->status != VCK_BUSY)
        return;
    stop_waiting(receive->channel);
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
    struct vck_waker receiver;

    vck_spinlock_acquire(&channel->lock);
    channel->closed = true;
    receiver = take_receiver(channel);
    vck_wait_list_answer_all(&channel->lock, &channel->senders_waiting, VCK_WAIT_REFUSED);
    vck_waker_wake_and_drop(receiver);
}

void vck_channel_drop_receiver(struct vck_channel *channel)
{
    stop_waiting(channel);
    vck_channel_close(channel);
    /* Closed, so the ring is ours alone. */
    for (size_t i = 0; i < channel->count; i++) {
        size_t slot = (channel->first + i) % channel->capacity;
        if (channel->drop)
            channel->drop(channel->context, channel->ring + slot * channel->element_size_bytes);
    }
    end_one_side(channel);
}
