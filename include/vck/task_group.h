/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task_group: counts what is under way and waits until all of it has ended, for closing and
 * unloading. A member is anything between enter and leave; a future becomes one by being wrapped in
 * a vck_group_member, which also ends it when the group is cancelled.
 *
 *     open --close--> closed --the last member leaves--> closed and idle: nothing can run any more
 *        \--cancel--> closed, and wrapped futures that are pending are dropped
 *
 * A group may be waited for in any state, by several; while it is open, members may come back.
 */
#ifndef VCK_TASK_GROUP_H
#define VCK_TASK_GROUP_H

#include "vck/wait_list.h"

VCK_BEGIN_DECLS

struct vck_task_group {
    struct vck_spinlock lock;
    bool closed;
    bool cancelled;
    uint32_t members;
    struct vck_link waiters; /* for no member to be left */
    struct vck_link pending; /* wrapped futures, to be woken by cancel */
};

/* Open, without members. The group may go when it is closed, its waits are READY and close or
 * cancel has returned; the leave that made the waits READY does not touch it any more. */
void vck_task_group_init(struct vck_task_group *group);

/* OK, and there must be a leave; DELETE_PENDING once closed. DISPATCH. */
VCK_CHECKED vck_status vck_task_group_enter(struct vck_task_group *group);
/* DISPATCH. */
void vck_task_group_leave(struct vck_task_group *group);
/* No member can enter any more. Idempotent. DISPATCH. */
void vck_task_group_close(struct vck_task_group *group);
/* Closes, and makes every wrapped future end at its next poll, for which it is woken. Idempotent.
 * DISPATCH. */
void vck_task_group_cancel(struct vck_task_group *group);
/* Members now, for statistics. */
uint32_t vck_task_group_members(const struct vck_task_group *group);

/* Waits until there is no member. DISPATCH. */
struct vck_group_wait {
    struct vck_future future;
    struct vck_task_group *group;
    struct vck_wait_node node;
};
void vck_group_wait_init(struct vck_group_wait *wait, struct vck_task_group *group);
/* Blocks until deadline_ns (vck_clock_ns; VCK_FOREVER). OK, TIMEOUT. APC. */
VCK_CHECKED vck_status vck_task_group_wait_until(struct vck_task_group *group,
                                                 uint64_t deadline_ns) VCK_CAN_WAIT;

/* A future as a member. */
struct vck_group_member {
    struct vck_future future;
    struct vck_task_group *group;
    struct vck_future *inner;
    struct vck_wait_node node;
    vck_status status; /* once READY: OK, inner is READY; CANCELLED, inner was dropped */
};

/* Enters the group now, not at the first poll; leaves it when it is READY or dropped, one of which
 * must come, also when it was never polled. Borrows inner, which is dropped with it. DELETE_PENDING
 * once the group is closed: nothing was begun. Polled and dropped at inner's levels. */
VCK_CHECKED vck_status vck_group_member_init(struct vck_group_member *member,
                                             struct vck_task_group *group,
                                             struct vck_future *inner);

VCK_END_DECLS

#endif
