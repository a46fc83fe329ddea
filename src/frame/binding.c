/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binding's life. Events change its state under the lock and note what is to be done; one thread
 * at a time then does it, without the lock and at PASSIVE, in the order in which it was noted. The
 * port holds a reference from open until closed; what is outstanding keeps the adapter open.
 */
#include "frame_internal.h"

/* ---- noting ---- */

/* Events that get their answer now. */
static void make_due(struct vck_frame_binding *binding, enum vck_frames_event_type type,
                     vck_status status)
{
    struct vck_frames_event *event;

    while ((event = binding->waiting[type]) != NULL) {
        binding->waiting[type] = event->core_next;
        event->core_status = status;
        event->core_next = binding->due;
        binding->due = event;
    }
}

void vck_frame_binding_note(struct vck_frame_binding *binding, struct vck_frame_actions todo)
{
    if (todo.flags == 0)
        return;
    if (todo.flags & VCK_FRAME_DO_CANCEL_SENDS)
        vck_frame_sends_mark_due(binding);
    if (todo.flags & VCK_FRAME_DO_CANCEL_REQUESTS)
        vck_frame_requests_mark_due(binding);
    if (todo.flags & VCK_FRAME_DO_ANSWER_BIND)
        binding->bind_status = todo.bind_status;
    if (todo.flags & VCK_FRAME_DO_ANSWER_PAUSES)
        make_due(binding, VCK_FRAMES_PAUSE, VCK_OK);
    if (todo.flags & VCK_FRAME_DO_ANSWER_RESTARTS)
        make_due(binding, VCK_FRAMES_RESTART, todo.restart_status);
    if (todo.flags & VCK_FRAME_DO_ANSWER_LOW_POWER)
        make_due(binding, VCK_FRAMES_LOW_POWER, VCK_OK);
    if (todo.flags & VCK_FRAME_DO_ANSWER_FULL_POWER)
        make_due(binding, VCK_FRAMES_FULL_POWER, VCK_OK);
    if (todo.flags & VCK_FRAME_DO_ANSWER_UNBINDS)
        make_due(binding, VCK_FRAMES_UNBIND, VCK_OK);
    binding->todo |= todo.flags;
    if (binding->state.phase == VCK_FRAME_CLOSED)
        binding->todo |= DO_RETIRE;
}

void vck_frame_binding_let_go(struct vck_frame_binding *binding)
{
    vck_spinlock_acquire(&binding->lock);
    vck_frame_binding_note(binding, vck_frame_state_requested(&binding->state));
    vck_spinlock_release(&binding->lock);
    vck_frame_binding_work(binding);
}

static void tell(struct vck_frame_binding *binding, enum vck_frame_event event, vck_status status)
{
    vck_spinlock_acquire(&binding->lock);
    vck_frame_binding_note(binding, vck_frame_state_event(&binding->state, event, status));
    vck_spinlock_release(&binding->lock);
    vck_frame_binding_work(binding);
}

/* ---- carrying out ---- */

static void end_reads(struct vck_frame_binding *binding)
{
    struct vck_link ended;
    struct vck_link *link;

    vck_frame_protocol_remove(binding->protocol, binding);
    vck_link_init(&ended);
    vck_spinlock_acquire(&binding->lock);
    while ((link = vck_list_pop_front(&binding->reads)) != NULL)
        vck_frame_call_take(link, &ended);
    while ((link = vck_list_pop_front(&binding->status_waits)) != NULL)
        vck_frame_call_take(link, &ended);
    vck_frame_queue_empty(binding);
    vck_spinlock_release(&binding->lock);
    vck_frame_calls_finish(&ended, VCK_DELETED);
}

static void answer_bind(struct vck_frame_binding *binding)
{
    struct vck_frames_bind *bind = binding->bind;

    binding->bind = NULL;
    if (binding->bind_status == VCK_OK)
        vck_frame_protocol_add(binding->protocol, binding);
    vck_frames_bind_done(bind, binding->bind_status);
    vck_frame_protocol_bind_answered(binding->protocol);
}

static void answer_events(struct vck_frames_event *due)
{
    struct vck_frames_event *in_order = NULL;

    while (due) {
        struct vck_frames_event *event = due;
        due = event->core_next;
        event->core_next = in_order;
        in_order = event;
    }
    while (in_order) {
        struct vck_frames_event *event = in_order;
        in_order = event->core_next;
        vck_frames_event_done(event, event->core_status);
    }
}

static void carry_out(struct vck_frame_binding *binding, uint32_t todo,
                      struct vck_frames_event *due)
{
    if (todo & VCK_FRAME_DO_OPEN)
        vck_frames_open(binding->protocol->port, binding->bind, &binding->port);
    if (todo & VCK_FRAME_DO_CANCEL_SENDS)
        vck_frame_sends_cancel_due(binding);
    if (todo & VCK_FRAME_DO_CANCEL_REQUESTS)
        vck_frame_requests_cancel_due(binding);
    if (todo & VCK_FRAME_DO_END_READS)
        end_reads(binding);
    if (todo & VCK_FRAME_DO_REFRESH)
        vck_frame_refresh_begin(binding);
    if (todo & DO_REFRESH_STEP)
        vck_frame_refresh_step(binding);
    if (todo & VCK_FRAME_DO_CLOSE)
        vck_frames_close(&binding->port);
    if (todo & VCK_FRAME_DO_ANSWER_BIND)
        answer_bind(binding);
    answer_events(due);
    if (todo & DO_RETIRE)
        (void)vck_object_delete(vck_frame_binding_object(binding));
}

/* By one thread at a time, which has a reference. */
static void work_all(struct vck_frame_binding *binding)
{
    for (;;) {
        struct vck_frames_event *due;
        uint32_t todo;

        vck_spinlock_acquire(&binding->lock);
        todo = binding->todo;
        due = binding->due;
        binding->todo = 0;
        binding->due = NULL;
        if (todo == 0)
            binding->is_at_work = false;
        vck_spinlock_release(&binding->lock);
        if (todo == 0)
            break;
        carry_out(binding, todo, due);
    }
    vck_object_release(vck_frame_binding_object(binding), FRAME_TAG);
}

static void work_later(struct vck_work *work)
{
    work_all(VCK_CONTAINER_OF(work, struct vck_frame_binding, work));
}

void vck_frame_binding_work(struct vck_frame_binding *binding)
{
    bool is_mine;

    vck_spinlock_acquire(&binding->lock);
    is_mine = binding->todo != 0 && !binding->is_at_work;
    if (is_mine) {
        binding->is_at_work = true;
        vck_object_reference(vck_frame_binding_object(binding), FRAME_TAG);
    }
    vck_spinlock_release(&binding->lock);
    if (!is_mine)
        return;
    if (vck_current_level() == VCK_LEVEL_PASSIVE)
        work_all(binding);
    else
        vck_defer(&binding->work, work_later);
}

/* ---- what the port tells ---- */

static void on_opened(struct vck_frames_binding *port, vck_status status)
{
    struct vck_frame_binding *binding = vck_frame_of_port(port);

    tell(binding, VCK_FRAME_EVENT_OPENED, status);
    if (status)
        vck_object_release(vck_frame_binding_object(binding), FRAME_TAG);
}

static void on_closed(struct vck_frames_binding *port)
{
    struct vck_frame_binding *binding = vck_frame_of_port(port);

    tell(binding, VCK_FRAME_EVENT_CLOSED, VCK_OK);
    vck_object_release(vck_frame_binding_object(binding), FRAME_TAG);
}

static void on_event(struct vck_frames_binding *port, struct vck_frames_event *event)
{
    static const uint8_t events[VCK_FRAMES_EVENT_TYPE_COUNT] = {
        [VCK_FRAMES_UNBIND] = VCK_FRAME_EVENT_UNBIND,
        [VCK_FRAMES_PAUSE] = VCK_FRAME_EVENT_PAUSE,
        [VCK_FRAMES_RESTART] = VCK_FRAME_EVENT_RESTART,
        [VCK_FRAMES_LOW_POWER] = VCK_FRAME_EVENT_LOW_POWER,
        [VCK_FRAMES_FULL_POWER] = VCK_FRAME_EVENT_FULL_POWER,
    };
    struct vck_frame_binding *binding = vck_frame_of_port(port);
    uint8_t type = event->type;

    VCK_ASSERT(type < VCK_FRAMES_EVENT_TYPE_COUNT);
    vck_object_reference(vck_frame_binding_object(binding), FRAME_TAG);
    vck_spinlock_acquire(&binding->lock);
    event->core_next = binding->waiting[type];
    binding->waiting[type] = event;
    vck_frame_binding_note(
        binding,
        vck_frame_state_event(&binding->state, (enum vck_frame_event)events[type], VCK_OK));
    vck_spinlock_release(&binding->lock);
    vck_frame_binding_work(binding);
    vck_object_release(vck_frame_binding_object(binding), FRAME_TAG);
}

static void copy_name(char to[VCK_FRAME_NAME_BYTES], const char *from)
{
    size_t i = 0;

    for (; from[i] != 0 && i + 1 < VCK_FRAME_NAME_BYTES; i++)
        to[i] = from[i];
    to[i] = 0;
}

static void on_renamed(struct vck_frames_binding *port, const char *name)
{
    struct vck_frame_binding *binding = vck_frame_of_port(port);

    vck_spinlock_acquire(&binding->lock);
    if (vck_frame_state_takes_news(&binding->state))
        copy_name(binding->info.name, name);
    vck_spinlock_release(&binding->lock);
}

const struct vck_frames_handlers vck_frame_handlers = {
    .bind = vck_frame_on_bind,
    .binds_complete = vck_frame_on_binds_complete,
    .uninstall = vck_frame_on_uninstall,
    .opened = on_opened,
    .closed = on_closed,
    .event = on_event,
    .sent = vck_frame_on_sent,
    .received = vck_frame_on_received,
    .requested = vck_frame_on_requested,
    .status = vck_frame_on_status,
    .renamed = on_renamed,
};

/* ---- the object ---- */

static void binding_destroy(void *context)
{
    vck_frame_queue_fini(context);
}

static const struct vck_object_type binding_type = {
    .name = "frame binding",
    .context_bytes = sizeof(struct vck_frame_binding),
    .destroy = binding_destroy,
};

struct making {
    struct vck_frame_protocol *protocol;
    struct vck_frames_bind *bind;
    struct vck_frame_binding *made; /* with the port's reference */
};

static vck_status binding_init(struct vck_object *object, void *context, void *argument)
{
    struct vck_frame_binding *binding = context;
    struct making *making = argument;

    binding->port.handlers = &vck_frame_handlers;
    binding->protocol = making->protocol;
    binding->bind = making->bind;
    vck_spinlock_init(&binding->lock);
    vck_link_init(&binding->link);
    vck_link_init(&binding->sends);
    vck_link_init(&binding->requests);
    vck_link_init(&binding->reads);
    vck_link_init(&binding->status_waits);
    vck_link_init(&binding->queue);
    vck_link_init(&binding->free_slots);
    copy_name(binding->info.name, making->bind->name);
    copy_name(binding->info.description, making->bind->description);
    binding->info.index = making->bind->index;
    vck_object_reference(object, FRAME_TAG);
    making->made = binding;
    return VCK_OK;
}

void vck_frame_binding_begin(struct vck_frame_protocol *protocol, struct vck_frames_bind *bind)
{
    struct making making = {.protocol = protocol, .bind = bind};
    struct vck_object *object;
    vck_status status = vck_object_create(&binding_type, vck_object_of_context(protocol),
                                          binding_init, &making, &object);

    if (status == VCK_OK) {
        tell(making.made, VCK_FRAME_EVENT_BIND, VCK_OK);
        return;
    }
    if (making.made)
        vck_object_release(vck_frame_binding_object(making.made), FRAME_TAG);
    vck_frames_bind_done(bind, status);
    vck_frame_protocol_bind_answered(protocol);
}

/* ---- looking ---- */

void vck_frame_binding_ref(struct vck_frame_binding *binding)
{
    vck_object_reference(vck_frame_binding_object(binding), FRAME_TAG);
}

void vck_frame_binding_put(struct vck_frame_binding *binding)
{
    vck_object_release(vck_frame_binding_object(binding), FRAME_TAG);
}

void vck_frame_binding_info(struct vck_frame_binding *binding, struct vck_frame_info *ret_info)
{
    vck_spinlock_acquire(&binding->lock);
    *ret_info = binding->info;
    ret_info->phase = (enum vck_frame_phase)binding->state.phase;
    ret_info->is_opened = binding->opener != NULL;
    vck_spinlock_release(&binding->lock);
}

void vck_frame_binding_statistics(struct vck_frame_binding *binding,
                                  struct vck_frame_statistics *ret_statistics)
{
    vck_spinlock_acquire(&binding->lock);
    *ret_statistics = binding->statistics;
    ret_statistics->port_dropped_frames =
        __atomic_load_n(&binding->port.dropped_frames, __ATOMIC_RELAXED);
    vck_spinlock_release(&binding->lock);
}
