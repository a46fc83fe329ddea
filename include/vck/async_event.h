/* SPDX-License-Identifier: Apache-2.0 */
/*
 * async_event: something that has happened or not, set from any callback and waited for by tasks
 * and threads alike. It stays set until it is reset (an auto-reset event is a notify). What a
 * completion routine, a timer's or a device's callback sets is the event itself, which knows its
 * waiters: there is no table of events and no thread that waits on behalf of tasks.
 */
#ifndef VCK_ASYNC_EVENT_H
#define VCK_ASYNC_EVENT_H

#include "vck/wait_list.h"

VCK_BEGIN_DECLS

struct vck_async_event {
    struct vck_spinlock lock;
    bool is_set;
    struct vck_link waiters;
};

/* Not set. The event may go as soon as every wait on it is READY, though set has not returned. */
void vck_async_event_init(struct vck_async_event *event);

/* Wakes all who wait, and those to come do not wait. DISPATCH. */
void vck_async_event_set(struct vck_async_event *event);
/* Those to come wait again; those who were woken by a set before stay woken. DISPATCH. */
void vck_async_event_reset(struct vck_async_event *event);
bool vck_async_event_is_set(const struct vck_async_event *event);

/* Waits until it is set. DISPATCH. */
struct vck_async_event_wait {
    struct vck_future future;
    struct vck_async_event *event;
    struct vck_wait_node node;
};
void vck_async_event_wait_init(struct vck_async_event_wait *wait, struct vck_async_event *event);

/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_async_event_wait_until(struct vck_async_event *event,
                                                  uint64_t deadline_ns) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
