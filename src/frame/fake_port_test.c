/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_port_test.h"
#include "port/posix/internal.h"
#include "vck/span.h"
#include "vck/span_copy.h"

struct fake_adapter fake_adapters[FAKE_ADAPTERS];
uint32_t fake_early_count;
bool fake_holds_complete;

static struct vck_frames_handler *handler;
static bool is_registered;

static vck_level raise(void)
{
    vck_level level = system_thread_state()->level;
    system_thread_state()->level = VCK_LEVEL_DISPATCH;
    return level;
}

static void lower(vck_level level)
{
    system_thread_state()->level = level;
}

static struct fake_adapter *of(struct vck_frames_binding *binding)
{
    return binding->port_data;
}

void fake_reset(void)
{
    static const char *const names[FAKE_ADAPTERS] = {"net0", "net1", "net2", "net3"};

    for (unsigned i = 0; i < FAKE_ADAPTERS; i++) {
        struct fake_adapter *a = &fake_adapters[i];
        memset(a, 0, sizeof(*a));
        a->bind = (struct vck_frames_bind){.name = names[i], .description = "fake", .index = i + 1};
        memcpy(a->address, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)i}, sizeof(a->address));
        vck_spinlock_init(&a->lock);
    }
    fake_early_count = 0;
    fake_holds_complete = false;
}

void fake_appear(unsigned index)
{
    struct fake_adapter *a = &fake_adapters[index];

    vck_event_init(&a->bind_answered);
    a->is_there = true;
    handler->handlers->bind(handler, &a->bind);
}

void fake_complete(void)
{
    handler->handlers->binds_complete(handler);
}

void fake_uninstall(void)
{
    handler->handlers->uninstall(handler);
}

/* ---- the protocol ---- */

vck_status vck_frames_register(struct vck_frames_handler *of_core,
                               const struct vck_frames_options *options,
                               struct vck_frames_protocol **ret_protocol, int32_t *ret_native_error)
{
    (void)options;
    (void)ret_native_error;
    handler = of_core;
    is_registered = true;
    for (unsigned i = 0; i < fake_early_count; i++)
        fake_appear(i);
    if (!fake_holds_complete)
        fake_complete();
    *ret_protocol = (void *)fake_adapters;
    return VCK_OK;
}

void vck_frames_deregister(struct vck_frames_protocol *protocol)
{
    (void)protocol;
    for (unsigned i = 0; i < FAKE_ADAPTERS; i++)
        if (fake_adapters[i].is_bound)
            assert_int_equal(fake_tell(i, VCK_FRAMES_UNBIND), VCK_OK);
    is_registered = false;
}

void vck_frames_bind_done(struct vck_frames_bind *bind, vck_status status)
{
    struct fake_adapter *a = VCK_CONTAINER_OF(bind, struct fake_adapter, bind);

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    assert_int_equal(status == VCK_OK, a->is_open);
    a->bind_status = status;
    a->is_bound = status == VCK_OK;
    a->is_there = a->is_bound;
    vck_event_set(&a->bind_answered);
}

/* ---- open and close ---- */

static void end_open(struct fake_adapter *a)
{
    vck_level level = raise();

    vck_spinlock_acquire(&a->lock);
    a->is_open = a->open_status == VCK_OK;
    vck_spinlock_release(&a->lock);
    a->binding->handlers->opened(a->binding, a->open_status);
    lower(level);
}

void vck_frames_open(struct vck_frames_protocol *protocol, struct vck_frames_bind *bind,
                     struct vck_frames_binding *binding)
{
    struct fake_adapter *a = VCK_CONTAINER_OF(bind, struct fake_adapter, bind);

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    assert_true(is_registered && protocol == (void *)fake_adapters);
    assert_false(a->is_open);
    a->binding = binding;
    binding->port_data = a;
    if (a->holds_open)
        a->is_open_held = true;
    else
        end_open(a);
}

void fake_let_open(unsigned index)
{
    struct fake_adapter *a = &fake_adapters[index];

    assert_true(a->is_open_held);
    a->is_open_held = false;
    end_open(a);
}

static void end_close(struct fake_adapter *a)
{
    vck_level level = raise();

    vck_spinlock_acquire(&a->lock);
    a->is_open = a->is_closing = false;
    a->is_bound = false;
    vck_spinlock_release(&a->lock);
    a->binding->handlers->closed(a->binding);
    lower(level);
}

void vck_frames_close(struct vck_frames_binding *binding)
{
    struct fake_adapter *a = of(binding);
    bool is_used;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_spinlock_acquire(&a->lock);
    assert_true(a->is_open && !a->is_closing && !a->sends && !a->requests);
    a->is_closing = true;
    is_used = a->users > 0;
    /* What is just arriving counts as kept, too. */
    assert_true(is_used || a->kept_count == 0);
    vck_spinlock_release(&a->lock);
    if (a->holds_close)
        a->is_close_held = true;
    else if (!is_used)
        end_close(a);
}

bool fake_enter(unsigned index)
{
    struct fake_adapter *a = &fake_adapters[index];
    bool may_enter;

    vck_spinlock_acquire(&a->lock);
    may_enter = a->is_open && !a->is_closing;
    a->users += may_enter;
    vck_spinlock_release(&a->lock);
    return may_enter;
}

void fake_leave(unsigned index)
{
    struct fake_adapter *a = &fake_adapters[index];
    bool is_last;

    vck_spinlock_acquire(&a->lock);
    is_last = --a->users == 0 && a->is_closing;
    vck_spinlock_release(&a->lock);
    if (is_last)
        end_close(a);
}

void fake_let_close(unsigned index)
{
    assert_true(fake_adapters[index].is_close_held);
    fake_adapters[index].is_close_held = false;
    end_close(&fake_adapters[index]);
}

/* ---- events ---- */

void fake_event_begin(unsigned index, enum vck_frames_event_type type, struct fake_event *event)
{
    struct vck_frames_binding *binding = fake_adapters[index].binding;

    memset(event, 0, sizeof(*event));
    vck_event_init(&event->done);
    event->event.type = (uint8_t)type;
    binding->handlers->event(binding, &event->event);
}

void vck_frames_event_done(struct vck_frames_event *event, vck_status status)
{
    struct fake_event *told = VCK_CONTAINER_OF(event, struct fake_event, event);

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    assert_false(__atomic_exchange_n(&told->is_done, true, __ATOMIC_SEQ_CST));
    told->status = status;
    vck_event_set(&told->done);
}

bool fake_event_is_done(struct fake_event *event)
{
    return __atomic_load_n(&event->is_done, __ATOMIC_SEQ_CST);
}

vck_status fake_event_wait(struct fake_event *event)
{
    (void)vck_event_wait(&event->done, VCK_FOREVER);
    vck_event_fini(&event->done);
    return event->status;
}

vck_status fake_tell(unsigned index, enum vck_frames_event_type type)
{
    struct fake_event event;

    fake_event_begin(index, type, &event);
    return fake_event_wait(&event);
}

/* ---- sends ---- */

static void end_sends(struct fake_adapter *a, struct vck_frames_send *first, vck_status status)
{
    vck_level level = raise();

    for (struct vck_frames_send *send = first; send; send = send->next)
        send->status = status;
    a->binding->handlers->sent(a->binding, first);
    lower(level);
}

static void loop_back(unsigned index, const struct vck_frames_send *send)
{
    struct vck_span span = vck_span_of(send->first, send->offset_bytes, send->size_bytes);
    uint8_t data[FAKE_MTU + VCK_FRAME_HEADER_BYTES];

    assert_int_equal(vck_span_copy_out(data, sizeof(data), &span, NULL), VCK_OK);
    fake_receive(index, data, send->size_bytes, false);
}

void vck_frames_send(struct vck_frames_binding *binding, struct vck_frames_send *first)
{
    struct fake_adapter *a = of(binding);
    struct vck_frames_send **end;

    assert_true(a->is_open);
    if (a->loops_back)
        for (const struct vck_frames_send *send = first; send; send = send->next)
            loop_back((unsigned)(a - fake_adapters), send);
    vck_spinlock_acquire(&a->lock);
    for (const struct vck_frames_send *send = first; send; send = send->next)
        a->sent_count++;
    if (a->holds_sends) {
        for (end = &a->sends; *end;)
            end = &(*end)->next;
        *end = first;
        first = NULL;
    }
    vck_spinlock_release(&a->lock);
    if (first)
        end_sends(a, first, VCK_OK);
}

void fake_let_sends(unsigned index, vck_status status)
{
    struct fake_adapter *a = &fake_adapters[index];
    struct vck_frames_send *first;

    vck_spinlock_acquire(&a->lock);
    first = a->sends;
    a->sends = NULL;
    vck_spinlock_release(&a->lock);
    if (first)
        end_sends(a, first, status);
}

void vck_frames_cancel_sends(struct vck_frames_binding *binding, uint64_t cancel_id)
{
    struct fake_adapter *a = of(binding);
    struct vck_frames_send *cancelled = NULL;

    assert_true(a->is_open);
    vck_spinlock_acquire(&a->lock);
    for (struct vck_frames_send **link = &a->sends; *link && !a->ignores_cancel;) {
        struct vck_frames_send *send = *link;
        if (send->cancel_id != cancel_id) {
            link = &send->next;
            continue;
        }
        *link = send->next;
        send->next = cancelled;
        cancelled = send;
    }
    vck_spinlock_release(&a->lock);
    if (cancelled)
        end_sends(a, cancelled, VCK_CANCELLED);
}

/* ---- requests ---- */

struct held {
    struct vck_frames_request *next;
};

static struct held *held(struct vck_frames_request *request)
{
    return (void *)request->port_storage;
}

static vck_status perform(struct fake_adapter *a, struct vck_frames_request *r)
{
    uint8_t data[8] = {0};
    uint32_t size_bytes = 4;

    if (r->oid == a->unsupported_oid)
        return VCK_UNSUPPORTED;
    if (r->type == VCK_FRAMES_SET) {
        if (r->oid == VCK_OID_GEN_CURRENT_PACKET_FILTER) {
            a->filter = vck_load_le32(r->data);
            a->filter_sets++;
        }
        r->done_bytes = r->size_bytes;
        return VCK_OK;
    }
    switch (r->oid) {
    case VCK_OID_GEN_MEDIA_IN_USE:
        vck_store_le32(data, a->medium);
        break;
    case VCK_OID_GEN_MAXIMUM_FRAME_SIZE:
        vck_store_le32(data, FAKE_MTU);
        break;
    case VCK_OID_802_3_CURRENT_ADDRESS:
        size_bytes = VCK_FRAME_ADDRESS_BYTES;
        memcpy(data, a->address, size_bytes);
        break;
    case VCK_OID_GEN_LINK_SPEED:
        vck_store_le32(data, 10000000);
        break;
    default:
        break;
    }
    if (r->size_bytes < size_bytes) {
        r->needed_bytes = size_bytes;
        return VCK_SIZE_MISMATCH;
    }
    memcpy(r->data, data, size_bytes);
    r->done_bytes = size_bytes;
    return VCK_OK;
}

static void end_request(struct fake_adapter *a, struct vck_frames_request *request,
                        vck_status status)
{
    vck_level level = raise();

    request->status = status == VCK_OK ? perform(a, request) : status;
    a->binding->handlers->requested(a->binding, request);
    lower(level);
}

void vck_frames_request(struct vck_frames_binding *binding, struct vck_frames_request *request)
{
    struct fake_adapter *a = of(binding);
    bool is_held;

    assert_true(a->is_open);
    vck_spinlock_acquire(&a->lock);
    is_held = a->holds_requests;
    if (is_held) {
        held(request)->next = a->requests;
        a->requests = request;
    }
    vck_spinlock_release(&a->lock);
    if (!is_held)
        end_request(a, request, VCK_OK);
}

void fake_let_requests(unsigned index, vck_status status)
{
    struct fake_adapter *a = &fake_adapters[index];
    struct vck_frames_request *request;

    vck_spinlock_acquire(&a->lock);
    request = a->requests;
    a->requests = NULL;
    vck_spinlock_release(&a->lock);
    while (request) {
        struct vck_frames_request *next = held(request)->next;
        end_request(a, request, status);
        request = next;
    }
}

void vck_frames_cancel_request(struct vck_frames_binding *binding,
                               struct vck_frames_request *request)
{
    struct fake_adapter *a = of(binding);
    struct vck_frames_request **link;
    bool is_there;

    assert_true(a->is_open);
    vck_spinlock_acquire(&a->lock);
    for (link = &a->requests; *link && *link != request;)
        link = &held(*link)->next;
    is_there = *link && !a->ignores_cancel;
    if (is_there)
        *link = held(request)->next;
    vck_spinlock_release(&a->lock);
    if (is_there)
        end_request(a, request, VCK_CANCELLED);
}

/* ---- frames ---- */

struct fake_frame {
    struct vck_frames_received received;
    struct vck_descriptor pieces[2];
    uint8_t data[];
};

void fake_receive(unsigned index, const void *data, size_t size_bytes, bool may_keep)
{
    struct fake_adapter *a = &fake_adapters[index];
    struct fake_frame *frame = test_calloc(1, sizeof(*frame) + size_bytes);
    uint32_t cut = (uint32_t)VCK_MIN(size_bytes, 9u);
    vck_level level = raise();

    memcpy(frame->data, data, size_bytes);
    vck_descriptor_init(&frame->pieces[0], frame->data, cut);
    vck_descriptor_init(&frame->pieces[1], frame->data + cut, (uint32_t)size_bytes - cut);
    frame->pieces[0].next = &frame->pieces[1];
    frame->received = (struct vck_frames_received){.first = &frame->pieces[0],
                                                   .size_bytes = (uint32_t)size_bytes};
    vck_spinlock_acquire(&a->lock);
    a->kept_count++;
    vck_spinlock_release(&a->lock);
    if (a->binding->handlers->received(a->binding, &frame->received, may_keep)) {
        vck_spinlock_acquire(&a->lock);
        a->kept_count--;
        vck_spinlock_release(&a->lock);
        test_free(frame);
    }
    lower(level);
}

void vck_frames_return(struct vck_frames_binding *binding, struct vck_frames_received *first)
{
    struct fake_adapter *a = of(binding);

    assert_true(a->is_open);
    while (first) {
        struct vck_frames_received *next = first->next;
        vck_spinlock_acquire(&a->lock);
        a->kept_count--;
        vck_spinlock_release(&a->lock);
        test_free(VCK_CONTAINER_OF(first, struct fake_frame, received));
        first = next;
    }
}

void fake_status(unsigned index, uint32_t code, bool is_up)
{
    struct fake_adapter *a = &fake_adapters[index];
    struct vck_frames_link link = {.is_known = true, .is_up = is_up, .bits_per_s = 1000};
    struct vck_frames_status status = {
        .code = code, .link = &link, .data = &a->address, .size_bytes = sizeof(a->address)};
    vck_level level = raise();

    a->binding->handlers->status(a->binding, &status);
    lower(level);
}
