/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of users: their beginning, their end, and handles.
 */
#include "control_internal.h"

/* ---- ends ---- */

void vck_frame_control_put(struct vck_frame_control_call *call)
{
    struct vck_frame_handle *handle = call->handle;

    if (!vck_holds_put(&call->holds))
        return;
    vck_spinlock_acquire(&handle->lock);
    vck_link_remove(&call->link);
    vck_spinlock_release(&handle->lock);
    call->done(call);
}

void vck_frame_control_finish(struct vck_frame_control_call *call, vck_status status)
{
    call->nt = vck_status_to_nt(status);
    vck_frame_control_put(call);
}

void vck_frame_control_refuse(struct vck_frame_control_call *call, vck_status status,
                              const char *why)
{
    call->why = why;
    vck_frame_control_finish(call, status);
}

void vck_frame_control_finish_short(struct vck_frame_control_call *call, const char *why)
{
    call->why = why;
    call->nt = VCK_NT_BUFFER_TOO_SMALL;
    vck_frame_control_put(call);
}

struct vck_frame_control_call *vck_frame_control_of(struct vck_frame_call *call)
{
    return VCK_CONTAINER_OF(call, struct vck_frame_control_call, call);
}

const char *vck_frame_control_explain(vck_status status)
{
    switch (status) {
    case VCK_NOT_READY:
        return "the adapter is paused or without power";
    case VCK_DELETED:
        return "the adapter is gone";
    case VCK_UNSUPPORTED:
        return "the adapter does not know it";
    case VCK_TIMEOUT:
        return "the adapter does not answer";
    default:
        return NULL;
    }
}

/* Of any call: the status alone. */
void vck_frame_control_ended(struct vck_frame_call *inner)
{
    vck_frame_control_refuse(vck_frame_control_of(inner), inner->status,
                             vck_frame_control_explain(inner->status));
}

/* ---- beginning ---- */

/* A cancellation may have come before there was a call to cancel. */
void vck_frame_control_begin(struct vck_frame_control_call *call,
                             void (*done)(struct vck_frame_call *inner))
{
    struct vck_frame_handle *handle = call->handle;

    call->call.done = done;
    vck_spinlock_acquire(&handle->lock);
    call->has_begun = true;
    if (call->is_cancelled)
        __atomic_store_n(&call->call.is_cancelled, true, __ATOMIC_SEQ_CST);
    vck_spinlock_release(&handle->lock);
    vck_frame_call_start(&call->call);
}

/* For a call of an opener, with a binding from `enter`. */
void vck_frame_control_begin_as_opener(struct vck_frame_control_call *call,
                                       void (*done)(struct vck_frame_call *inner))
{
    struct vck_frame_binding *binding = call->call.binding;

    call->call.opener = &call->handle->opener;
    vck_frame_control_begin(call, done);
    vck_frame_binding_put(binding);
}

/* The handle's binding, referenced, and its opener; refuses the request when there is none. */
struct vck_frame_binding *vck_frame_control_enter(struct vck_frame_control_call *call)
{
    struct vck_frame_handle *handle = call->handle;
    struct vck_frame_binding *binding = NULL;
    bool is_ended;

    vck_spinlock_acquire(&handle->lock);
    is_ended = handle->phase == HANDLE_ENDED;
    if (handle->phase == HANDLE_OPENED) {
        binding = handle->opener.binding;
        vck_frame_binding_ref(binding);
    }
    vck_spinlock_release(&handle->lock);
    if (is_ended)
        vck_frame_control_finish(call, VCK_CANCELLED);
    else if (!binding)
        vck_frame_control_refuse(call, VCK_NOT_READY,
                                 "no adapter is open; OPEN_DEVICE comes first");
    return binding;
}

/* ---- dispatch ---- */

struct code {
    uint32_t code;
    bool writes;
    void (*start)(struct vck_frame_control_call *call);
};

static const struct code codes[] = {
    {VCK_FRAME_CODE_READ, false, vck_frame_control_read_frame},
    {VCK_FRAME_CODE_WRITE, true, vck_frame_control_write_frame},
    {VCK_FRAME_CODE_OPEN_DEVICE, false, NULL},
    {VCK_FRAME_CODE_QUERY_OID, false, vck_frame_control_query_oid},
    {VCK_FRAME_CODE_QUERY_BINDING, false, vck_frame_control_query_binding},
    {VCK_FRAME_CODE_BIND_WAIT, false, vck_frame_control_bind_wait},
    {VCK_FRAME_CODE_SET_OID, true, vck_frame_control_set_oid},
    {VCK_FRAME_CODE_INDICATE_STATUS, false, vck_frame_control_indicate_status},
    {VCK_FRAME_CODE_SET_ETHER_TYPE, true, vck_frame_control_set_ether_type},
    {VCK_FRAME_CODE_QUERY_STATE, false, vck_frame_control_query_state},
};

static const struct code *find(uint32_t code)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(codes); i++)
        if (codes[i].code == code)
            return &codes[i];
    return NULL;
}

static bool add(struct vck_frame_control_call *call)
{
    struct vck_frame_handle *handle = call->handle;
    bool is_ended;

    vck_spinlock_acquire(&handle->lock);
    is_ended = handle->phase == HANDLE_ENDED;
    if (!is_ended)
        vck_list_push_back(&handle->calls, &call->link);
    vck_spinlock_release(&handle->lock);
    return !is_ended;
}

void vck_frame_control_start(struct vck_frame_control_call *call)
{
    const struct code *code = find(call->code);
    const struct vck_frame_handle *handle = call->handle;

    call->nt = 0;
    call->done_bytes = 0;
    call->why = NULL;
    call->is_cancelled = false;
    memset(&call->work, 0, sizeof(call->work));
    call->has_begun = false;
    vck_link_init(&call->link);
    __atomic_store_n(&call->holds, 1, __ATOMIC_RELEASE);
    if (!add(call))
        vck_frame_control_finish(call, VCK_CANCELLED);
    else if (!code)
        vck_frame_control_refuse(call, VCK_UNSUPPORTED, "there is no such request");
    else if (code->writes ? !handle->can_write : !handle->can_read)
        vck_frame_control_refuse(call, VCK_PERMISSION_DENIED, "the handle was not opened for this");
    else if (code->start)
        code->start(call);
    else
        vck_frame_control_open_device(call);
}

/* By a holder. */
static void cancel_held(struct vck_frame_control_call *call)
{
    struct vck_frame_handle *handle = call->handle;
    bool has_begun;

    vck_spinlock_acquire(&handle->lock);
    call->is_cancelled = true;
    has_begun = call->has_begun;
    vck_spinlock_release(&handle->lock);
    if (!has_begun)
        return;
    /* It looks at this before it waits, should it not be where it can be found yet. */
    __atomic_store_n(&call->call.is_cancelled, true, __ATOMIC_SEQ_CST);
    vck_frame_call_cancel(&call->call);
}

void vck_frame_control_cancel(struct vck_frame_control_call *call)
{
    if (!vck_holds_try(&call->holds))
        return;
    cancel_held(call);
    vck_frame_control_put(call);
}

/* ---- handles ---- */

void vck_frame_handle_init(struct vck_frame_handle *handle, struct vck_frame_protocol *protocol)
{
    memset(handle, 0, sizeof(*handle));
    handle->protocol = protocol;
    handle->ether_type = VCK_FRAME_ETHER_TYPE_DEFAULT;
    vck_spinlock_init(&handle->lock);
    vck_link_init(&handle->calls);
}

/* One that nobody has cancelled, held; being in the list it has not ended. */
static struct vck_frame_control_call *take_live(struct vck_frame_handle *handle)
{
    struct vck_frame_control_call *live = NULL;

    vck_spinlock_acquire(&handle->lock);
    for (struct vck_link *link = handle->calls.next; link != &handle->calls && !live;
         link = link->next) {
        struct vck_frame_control_call *call =
            VCK_CONTAINER_OF(link, struct vck_frame_control_call, link);
        if (!call->is_cancelled && vck_holds_try(&call->holds))
            live = call;
    }
    vck_spinlock_release(&handle->lock);
    return live;
}

void vck_frame_handle_cleanup(struct vck_frame_handle *handle)
{
    struct vck_frame_control_call *call;
    bool was_opened;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_spinlock_acquire(&handle->lock);
    was_opened = handle->phase == HANDLE_OPENED;
    handle->phase = HANDLE_ENDED;
    vck_spinlock_release(&handle->lock);
    while ((call = take_live(handle)) != NULL) {
        cancel_held(call);
        vck_frame_control_put(call);
    }
    if (was_opened)
        vck_frame_close(&handle->opener);
}
