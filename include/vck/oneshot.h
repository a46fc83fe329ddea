/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oneshot: one value, once, from one sender to one receiver. The value is a pointer whose ownership
 * passes with it.
 *
 * Each end is used exactly once: the sender's by send or drop_sender, which may run on any thread
 * up to DISPATCH; the receiver's by drop_receiver, which comes after the waiting, whatever its
 * result. A oneshot in the caller's storage may go when the receiver has an answer (a value, or
 * that there will be none), or otherwise when both ends were used; one made by create goes by
 * itself with its second end. Neither end waits for the other.
 */
#ifndef VCK_ONESHOT_H
#define VCK_ONESHOT_H

#include "vck/future.h"

VCK_BEGIN_DECLS

struct vck_oneshot {
    uint32_t state;
    bool allocated;
    void *value;
    struct vck_waker waker;
    void (*drop)(void *context, void *value);
    void *context;
};

/* drop(context, value) takes a value that was sent and that the receiver never looked for; it runs
 * in drop_receiver. NULL when values need no end. create: NO_MEMORY. DISPATCH. */
void vck_oneshot_init(struct vck_oneshot *oneshot, void (*drop)(void *context, void *value),
                      void *context);
VCK_CHECKED vck_status vck_oneshot_create(void (*drop)(void *context, void *value), void *context,
                                          struct vck_oneshot **ret_oneshot);

/* Hands over the value and gives up the sender's end. DELETED: the receiver is gone, the value is
 * still the caller's; the end is given up all the same. DISPATCH. */
VCK_CHECKED vck_status vck_oneshot_send(struct vck_oneshot *oneshot VCK_TAKES, void *value);
/* Gives up the sender's end without a value: the receiver gets DELETED. DISPATCH. */
void vck_oneshot_drop_sender(struct vck_oneshot *oneshot VCK_TAKES);
/* The receiver is gone: there is no need to make the value any more. For the sender. DISPATCH. */
bool vck_oneshot_is_abandoned(const struct vck_oneshot *oneshot);

/* Waits for the value. One at a time. Dropping it leaves the value to the next. DISPATCH. */
struct vck_oneshot_receive {
    struct vck_future future;
    struct vck_oneshot *oneshot;
    void *value;       /* with OK: the receiver's */
    vck_status status; /* once READY: OK, or DELETED when the sender went without a value */
};
void vck_oneshot_receive_init(struct vck_oneshot_receive *receive, struct vck_oneshot *oneshot);

/* OK, DELETED, or BUSY while there is no answer yet. DISPATCH. */
VCK_CHECKED vck_status vck_oneshot_try_receive(struct vck_oneshot *oneshot, void **ret_value);
/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, DELETED, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_oneshot_receive_until(struct vck_oneshot *oneshot, uint64_t deadline_ns,
                                                 void **ret_value) VCK_CAN_WAIT;
/* Gives up the receiver's end. DISPATCH. */
void vck_oneshot_drop_receiver(struct vck_oneshot *oneshot VCK_TAKES);

VCK_END_DECLS

#endif
