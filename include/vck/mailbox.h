/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox: an unbounded channel from many senders to one receiver (mpsc). A message is a struct of
 * the caller's with a struct vck_mpsc_node in it, so sending allocates nothing and cannot fail for
 * want of room; messages arrive in the order their sends took effect. Sending is one atomic
 * operation, and receiving is one for all the messages that have gathered since the last.
 *
 * Ends: the mailbox begins with one sender and one receiver; add_sender and drop_sender count the
 * senders. When the last has gone, the receiver gets what is still there and then DELETED. When the
 * receiver has gone, or has closed the mailbox, sends fail with DELETED. A message belongs to the
 * sender until send returns OK, to the mailbox until it is received, then to the receiver; those
 * never received go to the drop callback.
 *
 * A mailbox in the caller's storage may go when the last drop of either end has returned; one made
 * by create goes by itself then.
 */
#ifndef VCK_MAILBOX_H
#define VCK_MAILBOX_H

#include "vck/future.h"
#include "vck/queue.h"

VCK_BEGIN_DECLS

struct vck_mailbox {
    uintptr_t head;              /* the newest message, and the states it cannot be confused with */
    struct vck_mpsc_node *taken; /* the receiver's, oldest first */
    struct vck_waker waker;
    uint32_t waker_lent; /* waker is in use by the wait or by the sender that ended it */
    uint32_t senders;
    uint32_t ends; /* the senders together, and the receiver */
    bool allocated;
    void (*drop)(void *context, struct vck_mpsc_node *message);
    void *context;
};

/* drop(context, message) takes each message that was not received; it runs in drop_receiver. NULL
 * when messages need no end. create: NO_MEMORY. DISPATCH. */
void vck_mailbox_init(struct vck_mailbox *mailbox,
                      void (*drop)(void *context, struct vck_mpsc_node *message), void *context);
VCK_CHECKED vck_status vck_mailbox_create(void (*drop)(void *context,
                                                       struct vck_mpsc_node *message),
                                          void *context, struct vck_mailbox **ret_mailbox);

/* ---- for senders: any thread, DISPATCH ---- */

/* One more sender, made by one that exists. */
void vck_mailbox_add_sender(struct vck_mailbox *mailbox);
void vck_mailbox_drop_sender(struct vck_mailbox *mailbox VCK_TAKES);
/* OK, and the mailbox owns the message; DELETED, and it is still the caller's. */
VCK_CHECKED vck_status vck_mailbox_send(struct vck_mailbox *mailbox, struct vck_mpsc_node *message);
/* Sends would fail. */
bool vck_mailbox_is_closed(const struct vck_mailbox *mailbox);

/* ---- for the receiver: one thread or task at a time ---- */

/* Waits for a message. Dropping it loses none. DISPATCH. */
struct vck_mailbox_receive {
    struct vck_future future;
    struct vck_mailbox *mailbox;
    struct vck_mpsc_node *message; /* with OK: the receiver's */
    vck_status status;             /* once READY: OK, or DELETED: nothing will ever come */
};
void vck_mailbox_receive_init(struct vck_mailbox_receive *receive, struct vck_mailbox *mailbox);

/* OK, DELETED, or BUSY when there is none now. DISPATCH. */
VCK_CHECKED vck_status vck_mailbox_try_receive(struct vck_mailbox *mailbox,
                                               struct vck_mpsc_node **ret_message);
/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, DELETED, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_mailbox_receive_until(struct vck_mailbox *mailbox, uint64_t deadline_ns,
                                                 struct vck_mpsc_node **ret_message) VCK_CAN_WAIT;
/* Refuses further sends; what was sent can still be received. DISPATCH. */
void vck_mailbox_close(struct vck_mailbox *mailbox);
/* Closes and drops what was not received. The receiver must not be waiting. DISPATCH. */
void vck_mailbox_drop_receiver(struct vck_mailbox *mailbox VCK_TAKES);

VCK_END_DECLS

#endif
