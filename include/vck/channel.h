/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel: a bounded channel from many senders to one receiver (mpsc). Elements of one fixed size
 * are copied into a ring of fixed capacity; a sender that finds it full waits, and those waiting
 * are served in the order they came, ahead of any that come later. An element for a receiver that
 * waits does not count: it goes to a place of its own, without the lock.
 *
 * Ends: the channel begins with one sender and one receiver; add_sender and drop_sender count the
 * senders. When the last has gone, the receiver gets what is still there and then DELETED. When the
 * receiver has gone, or has closed the channel, sends fail with DELETED, those waiting too. What an
 * element refers to belongs to the sender until the send is OK, to the channel until it is
 * received, then to the receiver; elements never received go to the drop callback.
 *
 * Elements are copied under a spin lock: keep them small, send a pointer to what is large. A
 * channel in the caller's storage may go when the last drop of either end has returned; one made by
 * create goes by itself then.
 */
#ifndef VCK_CHANNEL_H
#define VCK_CHANNEL_H

#include <stddef.h>
#include "vck/wait_list.h"

VCK_BEGIN_DECLS

struct vck_channel {
    uint32_t state;   /* open, open and the receiver waits, closed */
    uint32_t is_lent; /* receiver and given: to the wait, then to the sender that ends it */
    struct vck_waker receiver;
    bool has_given; /* an element for a receiver that waited, behind the ring */
    bool allocated;
    struct vck_spinlock lock; /* for the ring and the senders that wait */
    uint32_t senders;
    uint32_t ends; /* the senders together, and the receiver */
    unsigned char *ring;
    size_t element_size_bytes;
    size_t capacity; /* elements */
    size_t first;    /* the oldest element's slot */
    size_t count;    /* elements in the ring */
    struct vck_link senders_waiting;
    void (*drop)(void *context, void *element);
    void *context;
};

/* ring: (capacity + 1) * element_size_bytes bytes, lent; both numbers at least 1. drop(context,
 * element) is shown each element that was not received, in drop_receiver or, for a send that was
 * under way then, with the last drop of either end; NULL when they need no end. DISPATCH. */
void vck_channel_init(struct vck_channel *channel, void *ring, size_t element_size_bytes,
                      size_t capacity, void (*drop)(void *context, void *element), void *context);
/* Channel and ring in one allocation. OUT_OF_RANGE: a number is 0 or the ring too large; NO_MEMORY.
 * DISPATCH. */
VCK_CHECKED vck_status vck_channel_create(size_t element_size_bytes, size_t capacity,
                                          void (*drop)(void *context, void *element), void *context,
                                          struct vck_channel **ret_channel);

/* ---- for senders: any thread ---- */

/* One more sender, made by one that exists. DISPATCH. */
void vck_channel_add_sender(struct vck_channel *channel);
/* DISPATCH. */
void vck_channel_drop_sender(struct vck_channel *channel VCK_TAKES);

/* Waits for room and puts a copy of *element in. element is lent until READY or dropped. After a
 * drop, status still says what became of it: OK, it had been put in before; CANCELLED, it was not.
 * DISPATCH. */
struct vck_channel_send {
    struct vck_future future;
    struct vck_channel *channel;
    const void *element;
    struct vck_wait_node node;
    vck_status status; /* once READY: OK, or DELETED */
};
void vck_channel_send_init(struct vck_channel_send *send, struct vck_channel *channel,
                           const void *element);

/* OK, DELETED, or BUSY when it is full. DISPATCH. */
VCK_CHECKED vck_status vck_channel_try_send(struct vck_channel *channel, const void *element);
/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, DELETED, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_channel_send_until(struct vck_channel *channel, const void *element,
                                              uint64_t deadline_ns) VCK_CAN_WAIT;

/* ---- for the receiver: one thread or task at a time ---- */

/* Waits for an element and copies it to *element, which is lent until READY or dropped. Dropping it
 * loses none. DISPATCH. */
struct vck_channel_receive {
    struct vck_future future;
    struct vck_channel *channel;
    void *element;
    vck_status status; /* once READY: OK, or DELETED: nothing will ever come */
};
void vck_channel_receive_init(struct vck_channel_receive *receive, struct vck_channel *channel,
                              void *element);

/* OK, DELETED, or BUSY when there is none now. DISPATCH. */
VCK_CHECKED vck_status vck_channel_try_receive(struct vck_channel *channel, void *ret_element);
/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, DELETED, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_channel_receive_until(struct vck_channel *channel, uint64_t deadline_ns,
                                                 void *ret_element) VCK_CAN_WAIT;
/* Refuses further sends; what was sent can still be received. DISPATCH. */
void vck_channel_close(struct vck_channel *channel);
/* Closes and drops what was not received. The receiver must not be waiting. DISPATCH. */
void vck_channel_drop_receiver(struct vck_channel *channel VCK_TAKES);

VCK_END_DECLS

#endif
