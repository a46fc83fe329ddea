/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_internal.h"

/* Ids of calls that brought none; above those that users may choose. */
#define OWN_CANCEL_ID (UINT64_C(1) << 52)

void vck_frame_send_init(struct vck_frame_call *call, struct vck_frame_opener *opener,
                         struct vck_descriptor *first, uint64_t offset_bytes, uint32_t size_bytes,
                         uint64_t cancel_id)
{
    vck_frame_call_prepare(call, VCK_FRAME_CALL_SEND, opener->binding);
    call->opener = opener;
    call->send = (struct vck_frames_send){
        .first = first,
        .offset_bytes = offset_bytes,
        .size_bytes = size_bytes,
        .cancel_id = cancel_id,
    };
}

/* ---- what may be sent ---- */

static vck_status check(struct vck_frame_call *call, const uint8_t address[VCK_FRAME_ADDRESS_BYTES])
{
    const struct vck_frames_send *send = &call->send;
    struct vck_span span = vck_span_of(send->first, send->offset_bytes, send->size_bytes);
    uint8_t scratch[VCK_FRAME_HEADER_BYTES];
    const uint8_t *header;
    struct vck_chain_counts counts;
    vck_status status;

    if (send->size_bytes < VCK_FRAME_HEADER_BYTES)
        return VCK_INVALID_DATA;
    status = vck_span_count(&span, &counts);
    if (status == VCK_OK)
        status = vck_span_view(&span, sizeof(scratch), scratch, &header, NULL);
    if (status)
        return status == VCK_OUT_OF_RANGE ? VCK_SIZE_MISMATCH : status;
    if (memcmp(header + VCK_FRAME_ADDRESS_BYTES, address, VCK_FRAME_ADDRESS_BYTES) != 0)
        return VCK_INVALID_DATA;
    return VCK_OK;
}

/* Under the lock: OK counts the send as outstanding. */
static vck_status enter(struct vck_frame_binding *binding, struct vck_frame_call *call)
{
    vck_status status = call->status;

    if (status == VCK_OK && __atomic_load_n(&call->is_cancelled, __ATOMIC_SEQ_CST))
        status = VCK_CANCELLED;
    if (status == VCK_OK &&
        call->send.size_bytes - VCK_FRAME_HEADER_BYTES > binding->info.mtu_bytes)
        status = VCK_SIZE_MISMATCH;
    if (status == VCK_OK && call->opener != binding->opener)
        status = VCK_CANCELLED;
    if (status == VCK_OK)
        status = vck_frame_state_send(&binding->state);
    if (status)
        return status;
    if (call->send.cancel_id == 0)
        call->send.cancel_id = OWN_CANCEL_ID | ++binding->next_cancel_id;
    vck_list_push_back(&binding->sends, &call->link);
    return VCK_OK;
}

/* ---- begin ---- */

/* One list for the port of those that may go; the others keep their status. */
static struct vck_frames_send *enter_all(struct vck_frame_binding *binding,
                                         struct vck_frame_call *const calls[], uint32_t count,
                                         struct vck_link *ret_refused, uint32_t *ret_cancels)
{
    struct vck_frames_send *first = NULL;
    struct vck_frames_send **end = &first;

    vck_spinlock_acquire(&binding->lock);
    for (uint32_t i = 0; i < count; i++) {
        struct vck_frame_call *call = calls[i];
        call->status = enter(binding, call);
        if (call->status) {
            binding->statistics.send_failures++;
            vck_list_push_back(ret_refused, &call->link);
            continue;
        }
        *end = &call->send;
        end = &call->send.next;
    }
    if (first)
        vck_frame_state_hold(&binding->state);
    *ret_cancels = binding->cancels;
    vck_spinlock_release(&binding->lock);
    *end = NULL;
    return first;
}

/* A cancellation that came while the port was being given the sends may have missed them there. */
static void cancel_again(struct vck_frame_binding *binding, uint32_t cancels)
{
    bool was_cancelled;

    vck_spinlock_acquire(&binding->lock);
    was_cancelled = binding->cancels != cancels;
    for (struct vck_link *link = binding->sends.next; was_cancelled && link != &binding->sends;
         link = link->next) {
        struct vck_frame_call *call = VCK_CONTAINER_OF(link, struct vck_frame_call, link);
        call->is_cancel_due = call->is_to_end;
    }
    vck_spinlock_release(&binding->lock);
    if (was_cancelled)
        vck_frame_sends_cancel_due(binding);
}

void vck_frame_send_begin(struct vck_frame_call *const calls[], uint32_t count)
{
    struct vck_frame_binding *binding = calls[0]->binding;
    uint8_t address[VCK_FRAME_ADDRESS_BYTES];
    struct vck_frames_send *first;
    struct vck_link refused;
    struct vck_link *link;
    uint32_t cancels;

    vck_spinlock_acquire(&binding->lock);
    memcpy(address, binding->info.address, sizeof(address));
    vck_spinlock_release(&binding->lock);
    for (uint32_t i = 0; i < count; i++)
        calls[i]->status = check(calls[i], address);
    vck_link_init(&refused);
    first = enter_all(binding, calls, count, &refused, &cancels);
    if (first) {
        vck_frames_send(&binding->port, first);
        cancel_again(binding, cancels);
        vck_frame_binding_let_go(binding);
    }
    while ((link = vck_list_pop_front(&refused)) != NULL) {
        struct vck_frame_call *call = VCK_CONTAINER_OF(link, struct vck_frame_call, link);
        vck_frame_call_finish(call, call->status);
    }
}

/* ---- the end ---- */

static void count_sent(struct vck_frame_binding *binding, const struct vck_frames_send *send)
{
    if (send->status) {
        binding->statistics.send_failures++;
        return;
    }
    binding->statistics.sent_frames++;
    binding->statistics.sent_bytes += send->size_bytes;
}

/* The calls end before the binding hears of it: a pause or an unbind is answered after them. */
void vck_frame_on_sent(struct vck_frames_binding *port, struct vck_frames_send *first)
{
    struct vck_frame_binding *binding = vck_frame_of_port(port);
    struct vck_frames_send *next;
    uint32_t count = 0;

    vck_spinlock_acquire(&binding->lock);
    for (struct vck_frames_send *send = first; send; send = send->next) {
        vck_link_remove(&VCK_CONTAINER_OF(send, struct vck_frame_call, send)->link);
        count_sent(binding, send);
        count++;
    }
    vck_spinlock_release(&binding->lock);
    for (struct vck_frames_send *send = first; send; send = next) {
        struct vck_frame_call *call = VCK_CONTAINER_OF(send, struct vck_frame_call, send);
        next = send->next;
        call->native_error = send->native_error;
        vck_frame_call_finish(call, send->status);
    }
    vck_spinlock_acquire(&binding->lock);
    vck_frame_binding_note(binding, vck_frame_state_sent(&binding->state, count));
    vck_spinlock_release(&binding->lock);
    vck_frame_binding_work(binding);
}

/* ---- cancelling ---- */

/* Under the lock: whether there are sends of that id, or of any (0); they are to end. */
static bool mark(struct vck_frame_binding *binding, uint64_t cancel_id)
{
    bool found = false;

    for (struct vck_link *link = binding->sends.next; link != &binding->sends; link = link->next) {
        struct vck_frame_call *call = VCK_CONTAINER_OF(link, struct vck_frame_call, link);
        if (cancel_id != 0 && call->send.cancel_id != cancel_id)
            continue;
        call->is_to_end = true;
        found = true;
    }
    binding->cancels++;
    return found;
}

/* With an outstanding send of that id the adapter is open, and held so for the call. */
static void cancel_id(struct vck_frame_binding *binding, uint64_t id)
{
    bool is_there;

    vck_spinlock_acquire(&binding->lock);
    is_there = mark(binding, id);
    if (is_there)
        vck_frame_state_hold(&binding->state);
    vck_spinlock_release(&binding->lock);
    if (!is_there)
        return;
    vck_frames_cancel_sends(&binding->port, id);
    vck_frame_binding_let_go(binding);
}

/* A call with a user's id is cancelled with all the others of that id. One without an id has not
 * been counted as outstanding yet, and will see that it is cancelled. */
void vck_frame_send_cancel(struct vck_frame_call *call)
{
    struct vck_frame_binding *binding = call->binding;
    uint64_t id;

    vck_spinlock_acquire(&binding->lock);
    id = call->send.cancel_id;
    vck_spinlock_release(&binding->lock);
    if (id != 0)
        cancel_id(binding, id);
}

void vck_frame_cancel_sends(struct vck_frame_opener *opener, uint64_t id)
{
    if (opener->binding && id != 0)
        cancel_id(opener->binding, id);
}

void vck_frame_sends_mark_due(struct vck_frame_binding *binding)
{
    (void)mark(binding, 0);
    for (struct vck_link *link = binding->sends.next; link != &binding->sends; link = link->next)
        VCK_CONTAINER_OF(link, struct vck_frame_call, link)->is_cancel_due = true;
}

static bool take_due(struct vck_frame_binding *binding, uint64_t *ret_id)
{
    bool found = false;

    vck_spinlock_acquire(&binding->lock);
    for (struct vck_link *link = binding->sends.next; link != &binding->sends && !found;
         link = link->next) {
        struct vck_frame_call *call = VCK_CONTAINER_OF(link, struct vck_frame_call, link);
        found = call->is_cancel_due;
        call->is_cancel_due = false;
        *ret_id = call->send.cancel_id;
    }
    vck_spinlock_release(&binding->lock);
    return found;
}

void vck_frame_sends_cancel_due(struct vck_frame_binding *binding)
{
    uint64_t id;

    while (take_due(binding, &id))
        vck_frames_cancel_sends(&binding->port, id);
}
