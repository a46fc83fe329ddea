/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A protocol: its registration, the adapters it was told of, its bindings. The system may tell of
 * adapters while the registration is still under way; these binds wait until it stands.
 */
#include "frame_internal.h"

static struct vck_frame_protocol *of_handler(struct vck_frames_handler *handler)
{
    return VCK_CONTAINER_OF(handler, struct vck_frame_protocol, handler);
}

/* ---- binds ---- */

/* Handlers run at PASSIVE but wait for nothing; what they call may create an object. */
void vck_frame_on_bind(struct vck_frames_handler *handler,
                       struct vck_frames_bind *bind) VCK_NO_ANALYSIS
{
    struct vck_frame_protocol *protocol = of_handler(handler);
    bool is_early;

    vck_spinlock_acquire(&protocol->lock);
    protocol->binds_pending++;
    is_early = !protocol->port;
    if (is_early) {
        bind->core_next = protocol->early;
        protocol->early = bind;
    }
    vck_spinlock_release(&protocol->lock);
    if (!is_early)
        vck_frame_binding_begin(protocol, bind);
}

/* The registration stands, or has failed: then nothing is bound. */
static void begin_early(struct vck_frame_protocol *protocol,
                        struct vck_frames_protocol *port) VCK_CAN_WAIT
{
    struct vck_frames_bind *early;
    struct vck_frames_bind *in_order = NULL;

    vck_spinlock_acquire(&protocol->lock);
    protocol->port = port;
    early = protocol->early;
    protocol->early = NULL;
    vck_spinlock_release(&protocol->lock);
    while (early) {
        struct vck_frames_bind *bind = early;
        early = bind->core_next;
        bind->core_next = in_order;
        in_order = bind;
    }
    while (in_order) {
        struct vck_frames_bind *bind = in_order;
        in_order = bind->core_next;
        vck_frame_binding_begin(protocol, bind);
    }
}

/* Under the lock. */
static void take_bind_waits(struct vck_frame_protocol *protocol, struct vck_link *ret_ended)
{
    struct vck_link *link;

    while ((link = vck_list_pop_front(&protocol->bind_waits)) != NULL)
        vck_frame_call_take(link, ret_ended);
}

static void finish_bind_waits(struct vck_frame_protocol *protocol, uint32_t answered)
{
    struct vck_link ended;

    vck_link_init(&ended);
    vck_spinlock_acquire(&protocol->lock);
    VCK_ASSERT(protocol->binds_pending >= answered);
    protocol->binds_pending -= answered;
    if (protocol->is_told_all && protocol->binds_pending == 0)
        take_bind_waits(protocol, &ended);
    vck_spinlock_release(&protocol->lock);
    vck_frame_calls_finish(&ended, VCK_OK);
}

void vck_frame_protocol_bind_answered(struct vck_frame_protocol *protocol)
{
    finish_bind_waits(protocol, 1);
}

void vck_frame_on_binds_complete(struct vck_frames_handler *handler)
{
    struct vck_frame_protocol *protocol = of_handler(handler);

    vck_spinlock_acquire(&protocol->lock);
    protocol->is_told_all = true;
    vck_spinlock_release(&protocol->lock);
    finish_bind_waits(protocol, 0);
}

void vck_frame_on_uninstall(struct vck_frames_handler *handler)
{
    __atomic_store_n(&of_handler(handler)->is_uninstalled, true, __ATOMIC_RELEASE);
}

bool vck_frame_protocol_is_uninstalled(struct vck_frame_protocol *protocol)
{
    return __atomic_load_n(&protocol->is_uninstalled, __ATOMIC_ACQUIRE);
}

void vck_frame_binds_init(struct vck_frame_call *call, struct vck_frame_protocol *protocol)
{
    vck_frame_call_prepare(call, VCK_FRAME_CALL_BINDS, NULL);
    call->protocol = protocol;
}

void vck_frame_binds_begin(struct vck_frame_call *call)
{
    struct vck_frame_protocol *protocol = call->protocol;
    vck_status status = VCK_OK;
    bool waits = false;

    vck_spinlock_acquire(&protocol->lock);
    if (__atomic_load_n(&call->is_cancelled, __ATOMIC_SEQ_CST)) {
        status = VCK_CANCELLED;
    } else if (!protocol->is_started) {
        status = VCK_NOT_READY;
    } else if (!protocol->is_told_all || protocol->binds_pending > 0) {
        vck_list_push_back(&protocol->bind_waits, &call->link);
        waits = true;
    }
    vck_spinlock_release(&protocol->lock);
    if (!waits)
        vck_frame_call_finish(call, status);
}

/* ---- bindings ---- */

void vck_frame_protocol_add(struct vck_frame_protocol *protocol, struct vck_frame_binding *binding)
{
    vck_spinlock_acquire(&protocol->lock);
    vck_list_push_back(&protocol->bindings, &binding->link);
    vck_spinlock_release(&protocol->lock);
}

void vck_frame_protocol_remove(struct vck_frame_protocol *protocol,
                               struct vck_frame_binding *binding)
{
    vck_spinlock_acquire(&protocol->lock);
    vck_link_remove(&binding->link);
    vck_spinlock_release(&protocol->lock);
}

vck_status vck_frame_binding_at(struct vck_frame_protocol *protocol, uint32_t index,
                                struct vck_frame_binding **ret_binding)
{
    struct vck_frame_binding *found = NULL;

    vck_spinlock_acquire(&protocol->lock);
    VCK_LIST_FOR_EACH(link, next, &protocol->bindings)
    {
        if (index-- > 0)
            continue;
        found = VCK_CONTAINER_OF(link, struct vck_frame_binding, link);
        vck_object_reference(vck_frame_binding_object(found), FRAME_TAG);
        break;
    }
    vck_spinlock_release(&protocol->lock);
    if (!found)
        return VCK_NOT_FOUND;
    *ret_binding = found;
    return VCK_OK;
}

static bool has_name(struct vck_frame_binding *binding, struct vck_bytes name)
{
    const char *own = binding->info.name;
    size_t size = 0;
    bool is_same;

    vck_spinlock_acquire(&binding->lock);
    while (own[size] != 0)
        size++;
    is_same = size == name.size_bytes && memcmp(own, name.data, size) == 0;
    vck_spinlock_release(&binding->lock);
    return is_same;
}

vck_status vck_frame_binding_find(struct vck_frame_protocol *protocol, struct vck_bytes name,
                                  struct vck_frame_binding **ret_binding)
{
    struct vck_frame_binding *found = NULL;
    vck_status status = VCK_NOT_FOUND;

    vck_spinlock_acquire(&protocol->lock);
    if (!protocol->is_started || vck_frame_protocol_is_uninstalled(protocol))
        status = VCK_NOT_READY;
    for (struct vck_link *link = protocol->bindings.next;
         status == VCK_NOT_FOUND && link != &protocol->bindings; link = link->next) {
        found = VCK_CONTAINER_OF(link, struct vck_frame_binding, link);
        if (!has_name(found, name))
            continue;
        vck_object_reference(vck_frame_binding_object(found), FRAME_TAG);
        status = VCK_OK;
    }
    vck_spinlock_release(&protocol->lock);
    if (status == VCK_OK)
        *ret_binding = found;
    return status;
}

/* ---- start and stop ---- */

static void set_started(struct vck_frame_protocol *protocol, bool is_started)
{
    struct vck_link ended;

    vck_link_init(&ended);
    vck_spinlock_acquire(&protocol->lock);
    protocol->is_started = is_started;
    if (is_started) {
        protocol->is_told_all = false;
        __atomic_store_n(&protocol->is_uninstalled, false, __ATOMIC_RELEASE);
    } else {
        take_bind_waits(protocol, &ended);
    }
    vck_spinlock_release(&protocol->lock);
    vck_frame_calls_finish(&ended, VCK_CANCELLED);
}

/* The port may write its handle before it calls a handler, but nobody reads it before the
 * registration has succeeded. */
static vck_status register_it(struct vck_frame_protocol *protocol,
                              int32_t *ret_native_error) VCK_CAN_WAIT
{
    struct vck_frames_options options = {.name = protocol->name,
                                         .port_config = protocol->port_config};
    struct vck_frames_protocol *port = NULL;
    vck_status status;

    set_started(protocol, true);
    status = vck_frames_register(&protocol->handler, &options, &port, ret_native_error);
    if (status)
        set_started(protocol, false);
    else
        begin_early(protocol, port);
    return status;
}

vck_status vck_frame_protocol_start(struct vck_frame_protocol *protocol, int32_t *ret_native_error)
{
    vck_status status = VCK_BUSY;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_mutex_acquire(&protocol->control);
    if (!protocol->is_started)
        status = register_it(protocol, ret_native_error);
    vck_mutex_release(&protocol->control);
    return status;
}

void vck_frame_protocol_stop(struct vck_frame_protocol *protocol)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_mutex_acquire(&protocol->control);
    if (protocol->is_started) {
        set_started(protocol, false);
        vck_frames_deregister(protocol->port);
        protocol->port = NULL;
    }
    vck_mutex_release(&protocol->control);
}

/* ---- the object ---- */

static void protocol_cleanup(void *context) VCK_NO_ANALYSIS
{
    vck_frame_protocol_stop(context);
}

static void protocol_destroy(void *context) VCK_NO_ANALYSIS
{
    struct vck_frame_protocol *protocol = context;

    vck_timer_fini(&protocol->timer);
    vck_mutex_fini(&protocol->control);
}

static const struct vck_object_type protocol_type = {
    .name = "frame protocol",
    .context_bytes = sizeof(struct vck_frame_protocol),
    .cleanup = protocol_cleanup,
    .destroy = protocol_destroy,
};

struct making {
    struct vck_frame_options options;
    struct vck_frame_protocol *made; /* with a reference, whoever deletes it from then on */
};

static vck_status protocol_init(struct vck_object *object, void *context, void *argument)
{
    struct vck_frame_protocol *protocol = context;
    struct making *making = argument;
    const struct vck_frame_options *options = &making->options;

    protocol->handler.handlers = &vck_frame_handlers;
    protocol->name = options->name ? options->name : "VCKPROT";
    protocol->port_config = options->port_config;
    protocol->queue_frames =
        options->queue_frames ? options->queue_frames : VCK_FRAME_QUEUE_DEFAULT;
    protocol->request_limit_ns =
        options->request_limit_ns ? options->request_limit_ns : VCK_FRAME_REQUEST_LIMIT_DEFAULT;
    vck_mutex_init(&protocol->control);
    vck_spinlock_init(&protocol->lock);
    vck_link_init(&protocol->bindings);
    vck_link_init(&protocol->bind_waits);
    vck_link_init(&protocol->deadlines);
    protocol->armed_ns = VCK_FOREVER;
    vck_timer_init(&protocol->timer, vck_frame_deadlines_passed, protocol);
    vck_object_reference(object, FRAME_TAG);
    making->made = protocol;
    return VCK_OK;
}

vck_status vck_frame_protocol_create(const struct vck_frame_options *options,
                                     struct vck_frame_protocol **ret_protocol)
{
    struct making making = {.made = NULL};
    struct vck_object *object;
    vck_status status;

    if (options)
        making.options = *options;
    if (making.options.queue_frames > VCK_FRAME_QUEUE_MAX)
        return VCK_INVALID_DATA;
    status =
        vck_object_create(&protocol_type, making.options.parent, protocol_init, &making, &object);
    if (status) {
        vck_frame_protocol_destroy(making.made);
        return status;
    }
    *ret_protocol = making.made;
    return VCK_OK;
}

void vck_frame_protocol_destroy(struct vck_frame_protocol *protocol)
{
    struct vck_object *object;

    if (!protocol)
        return;
    vck_frame_protocol_stop(protocol);
    object = vck_object_of_context(protocol);
    (void)vck_object_delete(object);
    vck_object_release(object, FRAME_TAG);
}

struct vck_object *vck_frame_protocol_object(struct vck_frame_protocol *protocol)
{
    return vck_object_of_context(protocol);
}
