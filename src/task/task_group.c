/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/task_group.h"
#include "vck/timeout.h"

void vck_task_group_init(struct vck_task_group *group)
{
    *group = (struct vck_task_group){.members = 0};
    vck_spinlock_init(&group->lock);
    vck_link_init(&group->waiters);
    vck_link_init(&group->pending);
}

vck_status vck_task_group_enter(struct vck_task_group *group)
{
    vck_status status = VCK_DELETE_PENDING;

    vck_spinlock_acquire(&group->lock);
    if (!group->closed) {
        VCK_ASSERT(group->members != UINT32_MAX);
        __atomic_store_n(&group->members, group->members + 1, __ATOMIC_RELAXED);
        status = VCK_OK;
    }
    vck_spinlock_release(&group->lock);
    return status;
}

void vck_task_group_leave(struct vck_task_group *group)
{
    vck_spinlock_acquire(&group->lock);
    VCK_ASSERT(group->members != 0);
    __atomic_store_n(&group->members, group->members - 1, __ATOMIC_RELAXED);
    if (group->members == 0)
        vck_wait_list_answer_all(&group->lock, &group->waiters, VCK_WAIT_GRANTED);
    else
        vck_spinlock_release(&group->lock);
}

void vck_task_group_close(struct vck_task_group *group)
{
    vck_spinlock_acquire(&group->lock);
    group->closed = true;
    vck_spinlock_release(&group->lock);
}

void vck_task_group_cancel(struct vck_task_group *group)
{
    vck_spinlock_acquire(&group->lock);
    group->closed = true;
    __atomic_store_n(&group->cancelled, true, __ATOMIC_RELAXED);
    vck_wait_list_answer_all(&group->lock, &group->pending, VCK_WAIT_REFUSED);
}

uint32_t vck_task_group_members(const struct vck_task_group *group)
{
    return __atomic_load_n(&group->members, __ATOMIC_RELAXED);
}

/* ---- waiting for the members ---- */

static enum vck_poll wait_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_group_wait *wait = VCK_CONTAINER_OF(self, struct vck_group_wait, future);
    struct vck_task_group *group = wait->group;
    struct vck_waker fresh = waker->ops->clone(waker->data);
    bool ready;

    VCK_ASSERT(vck_wait_node_state(&wait->node) != VCK_WAIT_DONE);
    /* One that waits is READY only when it was answered: until then leave may look at the group. */
    vck_spinlock_acquire(&group->lock);
    ready = wait->node.state == VCK_WAIT_GRANTED ||
            (wait->node.state == VCK_WAIT_IDLE && group->members == 0);
    if (ready)
        wait->node.state = VCK_WAIT_DONE;
    else
        fresh = vck_wait_list_add(&group->waiters, &wait->node, fresh);
    vck_spinlock_release(&group->lock);
    vck_waker_drop(fresh);
    return ready ? VCK_READY : VCK_PENDING;
}

/* Takes a waiter out of whichever list of the group it is in. */
static void stop_waiting(struct vck_task_group *group, struct vck_wait_node *node)
{
    struct vck_waker waker = vck_waker_none();
    uint32_t state = vck_wait_node_state(node);

    if (state == VCK_WAIT_IDLE || state == VCK_WAIT_DONE)
        return;
    vck_spinlock_acquire(&group->lock);
    if (node->state == VCK_WAIT_QUEUED)
        waker = vck_wait_node_finish(node, VCK_WAIT_DONE);
    node->state = VCK_WAIT_DONE;
    vck_spinlock_release(&group->lock);
    vck_waker_drop(waker);
}

static void wait_drop(struct vck_future *self)
{
    struct vck_group_wait *wait = VCK_CONTAINER_OF(self, struct vck_group_wait, future);

    stop_waiting(wait->group, &wait->node);
}

void vck_group_wait_init(struct vck_group_wait *wait, struct vck_task_group *group)
{
    *wait = (struct vck_group_wait){
        .future = {.poll = wait_poll, .drop = wait_drop},
        .group = group,
    };
    vck_wait_node_init(&wait->node);
}

vck_status vck_task_group_wait_until(struct vck_task_group *group, uint64_t deadline_ns)
{
    struct vck_group_wait wait;

    vck_group_wait_init(&wait, group);
    return vck_block_on_until(&wait.future, deadline_ns);
}

/* ---- wrapped futures ---- */

static enum vck_poll end_member(struct vck_group_member *member, vck_status status)
{
    stop_waiting(member->group, &member->node);
    if (status == VCK_CANCELLED)
        vck_future_drop(member->inner);
    member->inner = NULL;
    member->status = status;
    vck_task_group_leave(member->group);
    return VCK_READY;
}

/* Registers for cancel; false when it has been cancelled. */
static bool await_cancel(struct vck_group_member *member, const struct vck_waker *waker)
{
    struct vck_task_group *group = member->group;
    struct vck_waker fresh = waker->ops->clone(waker->data);
    bool cancelled;

    vck_spinlock_acquire(&group->lock);
    cancelled = group->cancelled;
    if (!cancelled)
        fresh = vck_wait_list_add(&group->pending, &member->node, fresh);
    vck_spinlock_release(&group->lock);
    vck_waker_drop(fresh);
    return !cancelled;
}

static enum vck_poll member_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_group_member *member = VCK_CONTAINER_OF(self, struct vck_group_member, future);

    VCK_ASSERT(member->inner);
    if (__atomic_load_n(&member->group->cancelled, __ATOMIC_RELAXED))
        return end_member(member, VCK_CANCELLED);
    if (vck_future_poll(member->inner, waker) == VCK_READY)
        return end_member(member, VCK_OK);
    if (!await_cancel(member, waker))
        return end_member(member, VCK_CANCELLED);
    return VCK_PENDING;
}

static void member_drop(struct vck_future *self)
{
    struct vck_group_member *member = VCK_CONTAINER_OF(self, struct vck_group_member, future);

    if (member->inner)
        (void)end_member(member, VCK_CANCELLED);
}

vck_status vck_group_member_init(struct vck_group_member *member, struct vck_task_group *group,
                                 struct vck_future *inner)
{
    vck_status status = vck_task_group_enter(group);

    if (status != VCK_OK)
        return status;
    *member = (struct vck_group_member){
        .future = {.poll = member_poll, .drop = member_drop},
        .group = group,
        .inner = inner,
        .status = VCK_NOT_READY,
    };
    vck_wait_node_init(&member->node);
    return VCK_OK;
}
