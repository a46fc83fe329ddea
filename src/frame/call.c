/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all calls have in common. Whoever takes a call out of the list it waits in, under the lock
 * of that list, is the one who finishes it; a canceller holds it meanwhile.
 *
 *     new --start, first poll--> in flight --finish, last hold gone--> over: done, or READY
 */
#include "frame_internal.h"

enum call_state {
    CALL_NEW,
    CALL_IN_FLIGHT,
    CALL_OVER,
};

static void put(struct vck_frame_call *call)
{
    struct vck_frame_binding *binding = call->binding;

    if (!vck_holds_put(&call->holds))
        return;
    if (call->done) {
        call->state = CALL_OVER;
        call->done(call);
    } else {
        vck_waker_slot_signal(&call->slot);
    }
    if (binding)
        vck_object_release(vck_frame_binding_object(binding), FRAME_TAG);
}

void vck_frame_call_finish(struct vck_frame_call *call, vck_status status)
{
    call->status = status;
    put(call);
}

void vck_frame_calls_finish(struct vck_link *calls, vck_status status)
{
    struct vck_link *link;

    while ((link = vck_list_pop_front(calls)) != NULL)
        vck_frame_call_finish(VCK_CONTAINER_OF(link, struct vck_frame_call, link), status);
}

/* ---- beginning ---- */

static void take_off(struct vck_frame_call *call)
{
    VCK_ASSERT(call->state != CALL_IN_FLIGHT);
    call->state = CALL_IN_FLIGHT;
    call->is_taken = false;
    if (call->binding)
        vck_object_reference(vck_frame_binding_object(call->binding), FRAME_TAG);
    __atomic_store_n(&call->holds, 1, __ATOMIC_SEQ_CST);
}

void vck_frame_call_start(struct vck_frame_call *call)
{
    take_off(call);
    if (!call->binding && call->type != VCK_FRAME_CALL_BINDS) {
        vck_frame_call_finish(call, VCK_NOT_READY); /* the opener is closed */
        return;
    }
    switch ((enum vck_frame_call_type)call->type) {
    case VCK_FRAME_CALL_SEND:
        vck_frame_send_begin(&call, 1);
        break;
    case VCK_FRAME_CALL_READ:
        vck_frame_read_begin(call);
        break;
    case VCK_FRAME_CALL_REQUEST:
        vck_frame_request_begin(call);
        break;
    case VCK_FRAME_CALL_STATUS:
        vck_frame_status_begin(call);
        break;
    case VCK_FRAME_CALL_BINDS:
        vck_frame_binds_begin(call);
        break;
    }
}

void vck_frame_sends_start(struct vck_frame_call *const calls[], uint32_t count)
{
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        VCK_ASSERT(calls[i]->type == VCK_FRAME_CALL_SEND && calls[i]->binding == calls[0]->binding);
        take_off(calls[i]);
    }
    if (calls[0]->binding) {
        vck_frame_send_begin(calls, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        vck_frame_call_finish(calls[i], VCK_NOT_READY);
}

/* ---- cancelling ---- */

/* Takes it out of the list it waits in, if it does. */
static bool unlink_call(struct vck_spinlock *lock, struct vck_frame_call *call)
{
    bool was_linked;

    vck_spinlock_acquire(lock);
    /* One that was taken is in a list of who finishes it, which this lock does not cover. */
    was_linked = !call->is_taken && vck_link_is_linked(&call->link);
    if (was_linked)
        vck_link_remove(&call->link);
    vck_spinlock_release(lock);
    return was_linked;
}

void vck_frame_call_cancel(struct vck_frame_call *call)
{
    if (!vck_holds_try(&call->holds))
        return;
    __atomic_store_n(&call->is_cancelled, true, __ATOMIC_SEQ_CST);
    switch ((enum vck_frame_call_type)call->type) {
    case VCK_FRAME_CALL_SEND:
        if (call->binding)
            vck_frame_send_cancel(call);
        break;
    case VCK_FRAME_CALL_REQUEST:
        vck_frame_request_cancel(call, VCK_CANCELLED);
        break;
    case VCK_FRAME_CALL_READ:
    case VCK_FRAME_CALL_STATUS:
        if (call->binding && unlink_call(&call->binding->lock, call))
            vck_frame_call_finish(call, VCK_CANCELLED);
        break;
    case VCK_FRAME_CALL_BINDS:
        if (unlink_call(&call->protocol->lock, call))
            vck_frame_call_finish(call, VCK_CANCELLED);
        break;
    }
    put(call);
}

/* ---- the future ---- */

static enum vck_poll call_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_frame_call *call = VCK_CONTAINER_OF(self, struct vck_frame_call, future);

    if (call->state == CALL_NEW)
        vck_frame_call_start(call);
    VCK_ASSERT(call->state == CALL_IN_FLIGHT); /* not polled after READY */
    if (!vck_waker_slot_poll(&call->slot, waker))
        return VCK_PENDING;
    call->state = CALL_OVER;
    return VCK_READY;
}

/* Drops come from waiting code, which the function pointer hides from the analysis. */
static void call_drop(struct vck_future *self) VCK_NO_ANALYSIS
{
    struct vck_frame_call *call = VCK_CONTAINER_OF(self, struct vck_frame_call, future);

    if (call->state == CALL_IN_FLIGHT) {
        vck_frame_call_cancel(call);
        vck_waker_slot_wait(&call->slot);
        if (call->type == VCK_FRAME_CALL_READ && call->frame)
            vck_frame_put(call->frame);
    }
    call->state = CALL_OVER;
}

void vck_frame_call_prepare(struct vck_frame_call *call, enum vck_frame_call_type type,
                            struct vck_frame_binding *binding)
{
    *call = (struct vck_frame_call){
        .future = {.poll = call_poll, .drop = call_drop},
        .type = (uint8_t)type,
        .binding = binding,
        .state = CALL_NEW,
    };
    vck_link_init(&call->link);
    vck_waker_slot_init(&call->slot);
}
