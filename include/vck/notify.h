/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify: tells tasks that something has changed, without saying what. notify_one is for exactly
 * one waiter, now or, if nobody waits, the next to come (it keeps at most one, like an auto-reset
 * event); notify_all is for all who wait now and is not kept.
 *
 * Look at what may have changed, wait, look again: a change that was notified between the look and
 * the wait ends the wait at once. With notify_all, poll the wait once before the look, because a
 * wait counts from its first poll.
 */
#ifndef VCK_NOTIFY_H
#define VCK_NOTIFY_H

#include "vck/wait_list.h"

VCK_BEGIN_DECLS

struct vck_notify {
    struct vck_spinlock lock;
    bool is_kept; /* a notify_one, for the next to wait */
    struct vck_link waiters;
};

/* A notify may go when nobody waits and no call on it is in progress. */
void vck_notify_init(struct vck_notify *notify);

/* Waiters are served in the order they came. DISPATCH. */
void vck_notify_one(struct vck_notify *notify);
/* DISPATCH. */
void vck_notify_all(struct vck_notify *notify);

/* Waits for a notification. Dropping it withdraws the wait; a notify_one already meant for it goes
 * to the next. DISPATCH. */
struct vck_notified {
    struct vck_future future;
    struct vck_notify *notify;
    struct vck_wait_node node;
};
void vck_notified_init(struct vck_notified *notified, struct vck_notify *notify);

/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_notify_wait_until(struct vck_notify *notify,
                                             uint64_t deadline_ns) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
