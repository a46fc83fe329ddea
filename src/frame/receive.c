/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that arrive go to the read that waits longest; with nobody waiting they are copied to a
 * slot of the queue, whose oldest gives way when all are in use. A reader that borrows gets the
 * port's own frame where it may be kept, else a slot.
 */
#include "frame_internal.h"
#include "vck/span_copy.h"

/* Slots are cache lines of their own. */
#define SLOT_ALIGNMENT 64u

/* ---- memory ---- */

vck_status vck_frame_queue_prepare(struct vck_frame_binding *binding)
{
    uint32_t count = binding->protocol->queue_frames;
    uint32_t mtu_bytes;
    uint32_t frame_bytes;
    size_t data_bytes;
    struct frame_slot *slots;

    vck_spinlock_acquire(&binding->lock);
    mtu_bytes = binding->info.mtu_bytes;
    vck_spinlock_release(&binding->lock);
    frame_bytes = mtu_bytes + VCK_FRAME_HEADER_BYTES + 4; /* a VLAN's tag */
    if (binding->slots && binding->slot_bytes >= frame_bytes)
        return VCK_OK;
    if (frame_bytes < mtu_bytes || frame_bytes > UINT32_MAX - SLOT_ALIGNMENT)
        return VCK_SIZE_MISMATCH;
    frame_bytes = (frame_bytes + SLOT_ALIGNMENT - 1) / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
    data_bytes = sizeof(*slots) * count;
    if (frame_bytes > (SIZE_MAX - data_bytes) / count)
        return VCK_NO_MEMORY;
    slots = vck_alloc(data_bytes + (size_t)frame_bytes * count, FRAME_TAG);
    if (!slots)
        return VCK_NO_MEMORY;
    vck_frame_queue_fini(binding);
    vck_link_init(&binding->free_slots);
    for (uint32_t i = 0; i < count; i++) {
        slots[i].binding = binding;
        slots[i].data = (uint8_t *)slots + data_bytes + (size_t)frame_bytes * i;
        vck_list_push_back(&binding->free_slots, &slots[i].link);
    }
    binding->slots = slots;
    binding->slot_bytes = frame_bytes;
    return VCK_OK;
}

void vck_frame_queue_fini(struct vck_frame_binding *binding)
{
    vck_free(binding->slots);
    binding->slots = NULL;
    binding->slot_bytes = 0;
}

void vck_frame_queue_empty(struct vck_frame_binding *binding)
{
    struct vck_link *link;

    while ((link = vck_list_pop_front(&binding->queue)) != NULL)
        vck_list_push_front(&binding->free_slots, link);
}

/* ---- slots, under the lock ---- */

/* A free one, else that of the oldest frame that waits, which is lost. NULL: all are lent. */
static struct frame_slot *take_slot(struct vck_frame_binding *binding)
{
    struct vck_link *link = vck_list_pop_front(&binding->free_slots);

    if (!link) {
        link = vck_list_pop_front(&binding->queue);
        if (link)
            binding->statistics.dropped_frames++;
    }
    return link ? VCK_CONTAINER_OF(link, struct frame_slot, link) : NULL;
}

static bool fill_slot(struct frame_slot *slot, const struct vck_frames_received *received)
{
    struct vck_span span =
        vck_span_of(received->first, received->offset_bytes, received->size_bytes);

    if (received->size_bytes > slot->binding->slot_bytes ||
        vck_span_copy_out(slot->data, received->size_bytes, &span, NULL) != VCK_OK)
        return false;
    vck_descriptor_init(&slot->descriptor, slot->data, received->size_bytes);
    slot->frame = (struct vck_frame){&slot->descriptor, 0, received->size_bytes};
    slot->received = NULL;
    return true;
}

static void lend(struct vck_frame_binding *binding, struct frame_slot *slot,
                 struct vck_frame_call *call)
{
    binding->lent_count++;
    vck_object_reference(vck_frame_binding_object(binding), FRAME_TAG);
    call->frame = &slot->frame;
    call->needed_bytes = call->done_bytes = slot->frame.size_bytes;
}

void vck_frame_put(struct vck_frame *frame)
{
    struct frame_slot *slot = VCK_CONTAINER_OF(frame, struct frame_slot, frame);
    struct vck_frame_binding *binding = slot->binding;
    struct vck_frames_received *received = slot->received;

    if (received) {
        received->next = NULL;
        vck_frames_return(&binding->port, received);
    }
    vck_spinlock_acquire(&binding->lock);
    binding->lent_count--;
    vck_list_push_front(&binding->free_slots, &slot->link);
    if (received)
        vck_frame_binding_note(binding, vck_frame_state_returned(&binding->state, 1));
    vck_spinlock_release(&binding->lock);
    vck_frame_binding_work(binding);
    vck_object_release(vck_frame_binding_object(binding), FRAME_TAG);
}

/* ---- giving a frame to a reader, under the lock ---- */

static vck_status copy_to(struct vck_frame_binding *binding, struct vck_frame_call *call,
                          const struct vck_span *span, uint32_t size_bytes)
{
    uint64_t done_bytes = 0;
    vck_status status = vck_span_copy_out(call->data, call->size_bytes, span, &done_bytes);

    call->needed_bytes = size_bytes;
    call->done_bytes = (size_t)done_bytes;
    if (status == VCK_OK && size_bytes > call->size_bytes) {
        binding->statistics.truncated_frames++;
        status = VCK_SIZE_MISMATCH;
    }
    return status;
}

static vck_status give_slot(struct vck_frame_binding *binding, struct vck_frame_call *call,
                            struct frame_slot *slot)
{
    struct vck_span span = vck_span_of(&slot->descriptor, 0, slot->frame.size_bytes);
    vck_status status;

    if (call->size_bytes == 0 && !call->data) {
        lend(binding, slot, call);
        return VCK_OK;
    }
    status = copy_to(binding, call, &span, slot->frame.size_bytes);
    vck_list_push_front(&binding->free_slots, &slot->link);
    return status;
}

/* False: the reader did not get it, and goes on waiting. */
static bool give(struct vck_frame_binding *binding, struct vck_frame_call *call,
                 struct vck_frames_received *received, bool may_keep, bool *ret_is_kept)
{
    struct vck_span span =
        vck_span_of(received->first, received->offset_bytes, received->size_bytes);
    struct frame_slot *slot;

    if (call->data || call->size_bytes > 0) {
        call->status = copy_to(binding, call, &span, received->size_bytes);
        return true;
    }
    slot = take_slot(binding);
    if (!slot)
        return false;
    call->status = VCK_OK;
    if (may_keep && vck_frame_state_receive(&binding->state) == VCK_OK) {
        slot->received = received;
        slot->frame =
            (struct vck_frame){received->first, received->offset_bytes, received->size_bytes};
        *ret_is_kept = true;
    } else if (!fill_slot(slot, received)) {
        vck_list_push_front(&binding->free_slots, &slot->link);
        return false;
    }
    lend(binding, slot, call);
    return true;
}

/* ---- arrival ---- */

static bool is_wanted(struct vck_frame_binding *binding, const struct vck_frames_received *received)
{
    struct vck_span span =
        vck_span_of(received->first, received->offset_bytes, received->size_bytes);
    uint8_t scratch[VCK_FRAME_HEADER_BYTES];
    const uint8_t *header;

    if (!binding->opener || binding->state.phase != VCK_FRAME_RUNNING)
        return false;
    if (vck_span_view(&span, sizeof(scratch), scratch, &header, NULL) != VCK_OK)
        return false;
    return binding->opener->ether_type == VCK_FRAME_ETHER_TYPE_ALL ||
           vck_load_be16(header + 12) == binding->opener->ether_type;
}

static void enqueue(struct vck_frame_binding *binding, const struct vck_frames_received *received)
{
    struct frame_slot *slot = take_slot(binding);

    if (slot && fill_slot(slot, received)) {
        vck_list_push_back(&binding->queue, &slot->link);
        return;
    }
    binding->statistics.dropped_frames++;
    if (slot)
        vck_list_push_front(&binding->free_slots, &slot->link);
}

/* Under the lock: whether the frame is kept. A read it goes to is added to `ended`. */
static bool arrive(struct vck_frame_binding *binding, struct vck_frames_received *received,
                   bool may_keep, struct vck_link *ended)
{
    struct vck_link *link;
    bool is_kept = false;

    if (!is_wanted(binding, received)) {
        binding->statistics.filtered_frames++;
        return false;
    }
    binding->statistics.received_frames++;
    binding->statistics.received_bytes += received->size_bytes;
    link = vck_list_pop_front(&binding->reads);
    if (!link) {
        enqueue(binding, received);
        return false;
    }
    if (give(binding, VCK_CONTAINER_OF(link, struct vck_frame_call, link), received, may_keep,
             &is_kept)) {
        vck_frame_call_take(link, ended);
    } else {
        vck_list_push_front(&binding->reads, link);
        binding->statistics.dropped_frames++;
    }
    return is_kept;
}

static void finish_all(struct vck_link *ended)
{
    struct vck_link *link;

    while ((link = vck_list_pop_front(ended)) != NULL) {
        struct vck_frame_call *call = VCK_CONTAINER_OF(link, struct vck_frame_call, link);
        vck_frame_call_finish(call, call->status);
    }
}

struct vck_frames_received *vck_frame_on_received(struct vck_frames_binding *port,
                                                  struct vck_frames_received *first, bool may_keep)
{
    struct vck_frame_binding *binding = vck_frame_of_port(port);
    struct vck_frames_received *back = NULL;
    struct vck_frames_received **end = &back;
    struct vck_link ended;

    vck_link_init(&ended);
    vck_spinlock_acquire(&binding->lock);
    while (first) {
        struct vck_frames_received *received = first;
        first = received->next;
        if (arrive(binding, received, may_keep, &ended))
            continue;
        *end = received;
        end = &received->next;
    }
    *end = NULL;
    vck_spinlock_release(&binding->lock);
    finish_all(&ended);
    return back;
}

/* ---- reads ---- */

void vck_frame_read_init(struct vck_frame_call *call, struct vck_frame_opener *opener, void *data,
                         size_t size_bytes)
{
    vck_frame_call_prepare(call, VCK_FRAME_CALL_READ, opener->binding);
    call->opener = opener;
    call->data = data;
    call->size_bytes = size_bytes;
}

void vck_frame_borrow_init(struct vck_frame_call *call, struct vck_frame_opener *opener)
{
    vck_frame_read_init(call, opener, NULL, 0);
}

/* Under the lock: why a call of an opener cannot wait. */
static vck_status refuse(struct vck_frame_binding *binding, const struct vck_frame_call *call)
{
    if (__atomic_load_n(&call->is_cancelled, __ATOMIC_SEQ_CST) || call->opener != binding->opener)
        return VCK_CANCELLED;
    if (!vck_frame_state_takes_news(&binding->state))
        return VCK_DELETED;
    return VCK_OK;
}

void vck_frame_read_begin(struct vck_frame_call *call)
{
    struct vck_frame_binding *binding = call->binding;
    struct vck_link *link = NULL;
    bool waits = false;
    vck_status status;

    vck_spinlock_acquire(&binding->lock);
    status = refuse(binding, call);
    if (status == VCK_OK)
        link = vck_list_pop_front(&binding->queue);
    if (link) {
        status = give_slot(binding, call, VCK_CONTAINER_OF(link, struct frame_slot, link));
    } else if (status == VCK_OK) {
        vck_list_push_back(&binding->reads, &call->link);
        waits = true;
    }
    vck_spinlock_release(&binding->lock);
    if (!waits)
        vck_frame_call_finish(call, status);
}

/* ---- what adapters tell ---- */

void vck_frame_status_init(struct vck_frame_call *call, struct vck_frame_opener *opener, void *data,
                           size_t size_bytes)
{
    vck_frame_call_prepare(call, VCK_FRAME_CALL_STATUS, opener->binding);
    call->opener = opener;
    call->data = data;
    call->size_bytes = size_bytes;
}

static vck_status tell_status(struct vck_frame_call *call, uint32_t code, const void *data,
                              uint32_t size_bytes)
{
    call->code = code;
    call->needed_bytes = size_bytes;
    call->done_bytes = VCK_MIN(call->size_bytes, size_bytes);
    if (call->done_bytes > 0)
        memcpy(call->data, data, call->done_bytes);
    return call->done_bytes < size_bytes ? VCK_SIZE_MISMATCH : VCK_OK;
}

void vck_frame_status_begin(struct vck_frame_call *call)
{
    struct vck_frame_binding *binding = call->binding;
    bool waits = false;
    vck_status status;

    vck_spinlock_acquire(&binding->lock);
    status = refuse(binding, call);
    if (status == VCK_OK && binding->status_count > 0) {
        struct kept_status *kept = &binding->statuses[binding->status_first];
        status = tell_status(call, kept->code, kept->data, kept->size_bytes);
        binding->status_first = (binding->status_first + 1) % STATUSES_KEPT;
        binding->status_count--;
    } else if (status == VCK_OK) {
        vck_list_push_back(&binding->status_waits, &call->link);
        waits = true;
    }
    vck_spinlock_release(&binding->lock);
    if (!waits)
        vck_frame_call_finish(call, status);
}

static void keep_status(struct vck_frame_binding *binding, const struct vck_frames_status *status)
{
    struct kept_status *kept;

    if (binding->status_count == STATUSES_KEPT) {
        binding->status_first = (binding->status_first + 1) % STATUSES_KEPT;
        binding->status_count--;
    }
    kept = &binding->statuses[(binding->status_first + binding->status_count) % STATUSES_KEPT];
    binding->status_count++;
    kept->code = status->code;
    kept->size_bytes = VCK_MIN(status->size_bytes, VCK_FRAME_STATUS_DATA_BYTES);
    if (kept->size_bytes > 0)
        memcpy(kept->data, status->data, kept->size_bytes);
}

void vck_frame_on_status(struct vck_frames_binding *port, const struct vck_frames_status *status)
{
    struct vck_frame_binding *binding = vck_frame_of_port(port);
    uint32_t size_bytes = VCK_MIN(status->size_bytes, VCK_FRAME_STATUS_DATA_BYTES);
    struct vck_link ended;
    struct vck_link *link;

    vck_link_init(&ended);
    vck_spinlock_acquire(&binding->lock);
    if (vck_frame_state_takes_news(&binding->state)) {
        if (status->link)
            binding->info.link = *status->link;
        link = vck_list_pop_front(&binding->status_waits);
        if (link) {
            struct vck_frame_call *call = VCK_CONTAINER_OF(link, struct vck_frame_call, link);
            call->status = tell_status(call, status->code, status->data, size_bytes);
            vck_frame_call_take(link, &ended);
        } else if (binding->opener) {
            keep_status(binding, status);
        }
    }
    vck_spinlock_release(&binding->lock);
    finish_all(&ended);
}
