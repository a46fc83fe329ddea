/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests. What the port holds is a block of its own with a copy of the data, so that a request
 * whose time is up, or that is cancelled, ends at once, however late the adapter is.
 *
 *     call ---> block ---> port       block->call = NULL: nobody waits for it any more
 */
#include "frame_internal.h"

#define BLOCK_TAG VCK_TAG('V', 'f', 'r', 'q')

struct block {
    struct vck_frames_request request;
    struct vck_frame_binding *binding;
    struct vck_frame_call *call;   /* under the binding's lock */
    struct vck_link link;          /* in binding->requests, under its lock */
    struct vck_link deadline_link; /* in protocol->deadlines, under its lock */
    uint64_t deadline_ns;
    uint32_t references;
    bool is_cancel_due;
    bool is_to_end; /* cancelled */
    VCK_ALIGNAS(16) uint8_t data[];
};

static void put_block(struct block *block)
{
    if (!vck_holds_put(&block->references))
        return;
    vck_object_release(vck_frame_binding_object(block->binding), FRAME_TAG);
    vck_free(block);
}

static struct block *make_block(struct vck_frame_binding *binding, uint8_t type, uint32_t oid,
                                const void *data, size_t size_bytes)
{
    struct block *block;

    if (size_bytes > UINT32_MAX - sizeof(*block))
        return NULL;
    block = vck_alloc(sizeof(*block) + size_bytes, BLOCK_TAG);
    if (!block)
        return NULL;
    block->request.type = type;
    block->request.oid = oid;
    block->request.data = block->data;
    block->request.size_bytes = (uint32_t)size_bytes;
    if (type == VCK_FRAMES_SET && size_bytes > 0)
        memcpy(block->data, data, size_bytes);
    block->binding = binding;
    block->references = 1;
    vck_link_init(&block->link);
    vck_link_init(&block->deadline_link);
    vck_object_reference(vck_frame_binding_object(binding), FRAME_TAG);
    return block;
}

/* ---- the calls ---- */

static void prepare(struct vck_frame_call *call, struct vck_frame_binding *binding, uint32_t oid,
                    enum vck_frames_request_type type)
{
    vck_frame_call_prepare(call, VCK_FRAME_CALL_REQUEST, binding);
    call->oid = oid;
    call->request_type = (uint8_t)type;
}

void vck_frame_query_init(struct vck_frame_call *call, struct vck_frame_binding *binding,
                          uint32_t oid, void *data, size_t size_bytes)
{
    prepare(call, binding, oid, VCK_FRAMES_QUERY);
    call->data = data;
    call->size_bytes = size_bytes;
}

void vck_frame_set_init(struct vck_frame_call *call, struct vck_frame_binding *binding,
                        uint32_t oid, const void *data, size_t size_bytes)
{
    prepare(call, binding, oid, VCK_FRAMES_SET);
    call->send_data = data;
    call->size_bytes = size_bytes;
}

/* ---- deadlines ---- */

/* Under the protocol's lock. */
static void arm(struct vck_frame_protocol *protocol)
{
    struct block *first;

    if (vck_list_is_empty(&protocol->deadlines))
        return;
    first = VCK_CONTAINER_OF(protocol->deadlines.next, struct block, deadline_link);
    if (first->deadline_ns >= protocol->armed_ns)
        return;
    protocol->armed_ns = first->deadline_ns;
    vck_timer_set(&protocol->timer, first->deadline_ns);
}

static void watch(struct vck_frame_protocol *protocol, struct block *block)
{
    struct vck_link *before;

    if (block->deadline_ns == VCK_FOREVER)
        return;
    vck_spinlock_acquire(&protocol->lock);
    before = protocol->deadlines.prev;
    while (before != &protocol->deadlines &&
           VCK_CONTAINER_OF(before, struct block, deadline_link)->deadline_ns > block->deadline_ns)
        before = before->prev;
    __atomic_add_fetch(&block->references, 1, __ATOMIC_RELAXED);
    vck_link_insert_between(&block->deadline_link, before, before->next);
    arm(protocol);
    vck_spinlock_release(&protocol->lock);
}

static void unwatch(struct vck_frame_protocol *protocol, struct block *block)
{
    bool was_linked;

    vck_spinlock_acquire(&protocol->lock);
    was_linked = vck_link_is_linked(&block->deadline_link);
    vck_link_remove(&block->deadline_link);
    vck_spinlock_release(&protocol->lock);
    if (was_linked)
        put_block(block);
}

/* The list's reference goes to the caller. */
static struct block *take_late(struct vck_frame_protocol *protocol, uint64_t now_ns)
{
    struct block *late = NULL;

    vck_spinlock_acquire(&protocol->lock);
    if (!vck_list_is_empty(&protocol->deadlines))
        late = VCK_CONTAINER_OF(protocol->deadlines.next, struct block, deadline_link);
    if (late && late->deadline_ns <= now_ns) {
        vck_link_remove(&late->deadline_link);
    } else {
        late = NULL;
        protocol->armed_ns = VCK_FOREVER;
        arm(protocol);
    }
    vck_spinlock_release(&protocol->lock);
    return late;
}

/* ---- the end of the waiting ---- */

/* Asks the port to hurry with a block that is still there; the caller has a reference. */
static void cancel_block(struct vck_frame_binding *binding, struct block *block)
{
    bool is_there;

    vck_spinlock_acquire(&binding->lock);
    is_there = vck_link_is_linked(&block->link);
    __atomic_store_n(&block->is_to_end, true, __ATOMIC_SEQ_CST);
    if (is_there)
        vck_frame_state_hold(&binding->state);
    vck_spinlock_release(&binding->lock);
    if (!is_there)
        return;
    vck_frames_cancel_request(&binding->port, &block->request);
    vck_frame_binding_let_go(binding);
}

/* The call, when it was still waiting: it is the caller's to finish. */
static struct vck_frame_call *detach(struct block *block)
{
    struct vck_frame_binding *binding = block->binding;
    struct vck_frame_call *call;

    vck_spinlock_acquire(&binding->lock);
    call = block->call;
    block->call = NULL;
    if (call)
        call->block = NULL;
    vck_spinlock_release(&binding->lock);
    return call;
}

void vck_frame_deadlines_passed(void *context)
{
    struct vck_frame_protocol *protocol = context;
    uint64_t now_ns = vck_clock_ns();
    struct block *late;

    while ((late = take_late(protocol, now_ns)) != NULL) {
        struct vck_frame_call *call = detach(late);
        cancel_block(late->binding, late);
        if (call)
            vck_frame_call_finish(call, VCK_TIMEOUT);
        put_block(late);
    }
}

/* The call is held by the caller, and so its binding. */
void vck_frame_request_cancel(struct vck_frame_call *call, vck_status status)
{
    struct vck_frame_binding *binding = call->binding;
    struct block *block;

    if (!binding)
        return;
    vck_spinlock_acquire(&binding->lock);
    block = call->block;
    call->block = NULL;
    if (block) {
        block->call = NULL;
        __atomic_add_fetch(&block->references, 1, __ATOMIC_RELAXED);
    }
    vck_spinlock_release(&binding->lock);
    if (!block)
        return;
    unwatch(binding->protocol, block);
    cancel_block(binding, block);
    vck_frame_call_finish(call, status);
    put_block(block);
}

void vck_frame_requests_mark_due(struct vck_frame_binding *binding)
{
    for (struct vck_link *link = binding->requests.next; link != &binding->requests;
         link = link->next)
        VCK_CONTAINER_OF(link, struct block, link)->is_cancel_due = true;
}

static struct block *take_due(struct vck_frame_binding *binding)
{
    struct block *due = NULL;

    vck_spinlock_acquire(&binding->lock);
    for (struct vck_link *link = binding->requests.next; link != &binding->requests && !due;
         link = link->next) {
        struct block *block = VCK_CONTAINER_OF(link, struct block, link);
        if (!block->is_cancel_due)
            continue;
        block->is_cancel_due = false;
        __atomic_add_fetch(&block->references, 1, __ATOMIC_RELAXED);
        due = block;
    }
    vck_spinlock_release(&binding->lock);
    return due;
}

void vck_frame_requests_cancel_due(struct vck_frame_binding *binding)
{
    struct block *block;

    while ((block = take_due(binding)) != NULL) {
        cancel_block(binding, block);
        put_block(block);
    }
}

/* ---- begin and end ---- */

/* Under the lock. */
static vck_status enter(struct vck_frame_binding *binding, struct block *block,
                        struct vck_frame_call *call)
{
    bool is_refresh = call == &binding->refresh.call;
    vck_status status = VCK_OK;

    if (call && __atomic_load_n(&call->is_cancelled, __ATOMIC_SEQ_CST))
        status = VCK_CANCELLED;
    if (status == VCK_OK)
        status = is_refresh ? vck_frame_state_refresh_request(&binding->state)
                            : vck_frame_state_request(&binding->state);
    if (status)
        return status;
    block->call = call;
    if (call)
        call->block = block;
    vck_list_push_back(&binding->requests, &block->link);
    vck_frame_state_hold(&binding->state);
    return VCK_OK;
}

/* A cancellation that came while the port was being given the request may have missed it there. */
static void cancel_again(struct block *block)
{
    if (__atomic_load_n(&block->is_to_end, __ATOMIC_SEQ_CST))
        vck_frames_cancel_request(&block->binding->port, &block->request);
}

static vck_status submit(struct block *block, struct vck_frame_call *call)
{
    struct vck_frame_binding *binding = block->binding;
    vck_status status;

    vck_spinlock_acquire(&binding->lock);
    status = enter(binding, block, call);
    vck_spinlock_release(&binding->lock);
    if (status) {
        put_block(block);
        return status;
    }
    /* Watched before the port has it: whoever completes it stops the watch. */
    __atomic_add_fetch(&block->references, 1, __ATOMIC_RELAXED);
    watch(binding->protocol, block);
    vck_frames_request(&binding->port, &block->request);
    cancel_again(block);
    vck_frame_binding_let_go(binding);
    put_block(block);
    return VCK_OK;
}

void vck_frame_request_begin(struct vck_frame_call *call)
{
    struct vck_frame_binding *binding = call->binding;
    struct vck_frame_protocol *protocol = binding->protocol;
    struct block *block =
        make_block(binding, call->request_type, call->oid, call->send_data, call->size_bytes);
    vck_status status = VCK_NO_MEMORY;

    if (block) {
        block->deadline_ns =
            call->deadline_ns ? call->deadline_ns : vck_clock_ns() + protocol->request_limit_ns;
        status = submit(block, call);
    }
    if (status)
        vck_frame_call_finish(call, status);
}

void vck_frame_request_forget(struct vck_frame_binding *binding, uint32_t oid, uint32_t value)
{
    uint8_t data[4];
    struct block *block;

    vck_store_le32(data, value);
    block = make_block(binding, VCK_FRAMES_SET, oid, data, sizeof(data));
    if (!block)
        return;
    block->deadline_ns = VCK_FOREVER;
    (void)submit(block, NULL);
}

static void give_results(struct vck_frame_call *call, const struct vck_frames_request *request)
{
    call->native_error = request->native_error;
    call->needed_bytes = request->needed_bytes;
    call->done_bytes = VCK_MIN(request->done_bytes, request->size_bytes);
    if (request->type == VCK_FRAMES_QUERY && request->status == VCK_OK && call->done_bytes > 0)
        memcpy(call->data, request->data, call->done_bytes);
}

/* Under the lock: what a restart has to set again. */
static void remember(struct vck_frame_binding *binding, const struct vck_frames_request *request)
{
    if (request->type == VCK_FRAMES_SET && request->oid == VCK_OID_GEN_CURRENT_PACKET_FILTER &&
        request->status == VCK_OK && request->size_bytes == 4)
        binding->filter = vck_load_le32(request->data);
}

void vck_frame_on_requested(struct vck_frames_binding *port, struct vck_frames_request *request)
{
    struct vck_frame_binding *binding = vck_frame_of_port(port);
    struct block *block = VCK_CONTAINER_OF(request, struct block, request);
    struct vck_frame_call *call;

    vck_spinlock_acquire(&binding->lock);
    vck_link_remove(&block->link);
    remember(binding, request);
    vck_spinlock_release(&binding->lock);
    call = detach(block);
    unwatch(binding->protocol, block);
    if (call) {
        give_results(call, request);
        vck_frame_call_finish(call, request->status);
    }
    vck_frame_binding_let_go(binding);
    put_block(block);
}
