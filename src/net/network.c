/* SPDX-License-Identifier: Apache-2.0 */
#include "net_internal.h"
#include "vck/resolver.h"

/* ---- users ---- */

bool vck_network_enter(struct vck_network *network)
{
    bool entered;

    vck_spinlock_acquire(&network->lock);
    entered = network->state == NETWORK_STARTED;
    if (entered)
        network->users++;
    vck_spinlock_release(&network->lock);
    return entered;
}

void vck_network_leave(struct vck_network *network)
{
    bool drained;

    vck_spinlock_acquire(&network->lock);
    drained = --network->users == 0 && network->state == NETWORK_STOPPING;
    if (drained)
        vck_event_set(&network->drained);
    vck_spinlock_release(&network->lock);
}

static bool has_users(struct vck_network *network)
{
    bool has;

    vck_spinlock_acquire(&network->lock);
    has = network->users > 0;
    vck_spinlock_release(&network->lock);
    return has;
}

/* ---- driving ---- */

static void drive(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct vck_network *network = context;

    while (!__atomic_load_n(&network->driver_stops, __ATOMIC_ACQUIRE))
        vck_network_wait(network, VCK_FOREVER);
}

static vck_status start_driver(struct vck_network *network)
{
    if (network->is_driven_by_caller || !network->is_driven)
        return VCK_OK;
    __atomic_store_n(&network->driver_stops, false, __ATOMIC_RELEASE);
    return vck_thread_create(drive, network, VCK_THREAD_NORMAL, "vck-network", &network->driver);
}

static void stop_driver(struct vck_network *network) VCK_CAN_WAIT
{
    if (!network->driver)
        return;
    __atomic_store_n(&network->driver_stops, true, __ATOMIC_RELEASE);
    vck_sockets_wake(network->sockets);
    vck_thread_join(network->driver);
    network->driver = NULL;
}

/* ---- driven by an executor ---- */

static struct vck_network *network_of(struct vck_idle *idle)
{
    return VCK_CONTAINER_OF(idle, struct vck_network, idle);
}

static void idle_wait(struct vck_idle *idle, uint64_t deadline_ns) VCK_NO_ANALYSIS
{
    vck_network_wait(network_of(idle), deadline_ns);
}

static void idle_poll(struct vck_idle *idle)
{
    vck_network_poll(network_of(idle));
}

static void idle_wake(struct vck_idle *idle)
{
    vck_sockets_wake(network_of(idle)->sockets);
}

static const struct vck_idle_ops idle_ops = {idle_wait, idle_poll, idle_wake};

struct vck_idle *vck_network_get_idle(struct vck_network *network)
{
    return network->is_driven ? &network->idle : NULL;
}

/* ---- start and stop ---- */

static void set_state(struct vck_network *network, enum network_state state)
{
    vck_spinlock_acquire(&network->lock);
    network->state = (uint8_t)state;
    vck_spinlock_release(&network->lock);
}

vck_status vck_network_start(struct vck_network *network)
{
    vck_status status = VCK_BUSY;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_mutex_acquire(&network->control);
    if (network->state == NETWORK_CREATED) {
        status = start_driver(network);
        if (status == VCK_OK)
            set_state(network, NETWORK_STARTED);
    }
    vck_mutex_release(&network->control);
    return status;
}

/* The reference is taken under the lock: being in the list, the socket has not been deleted yet. */
static struct vck_socket *take_socket(struct vck_network *network)
{
    struct vck_socket *socket = NULL;
    struct vck_link *first;

    vck_spinlock_acquire(&network->lock);
    first = vck_list_pop_front(&network->open);
    if (first) {
        socket = VCK_CONTAINER_OF(first, struct vck_socket, link);
        vck_object_reference(vck_socket_object(socket), NET_TAG);
    }
    vck_spinlock_release(&network->lock);
    return socket;
}

static void close_sockets(struct vck_network *network) VCK_CAN_WAIT
{
    struct vck_socket *socket;

    while ((socket = take_socket(network)) != NULL) {
        (void)vck_object_delete(vck_socket_object(socket));
        vck_object_release(vck_socket_object(socket), NET_TAG);
    }
}

/* Cancelled under the lock's protection of the list only; the call holds itself meanwhile. */
static void cancel_names(struct vck_network *network)
{
    for (;;) {
        struct vck_resolve *resolve = NULL;
        vck_spinlock_acquire(&network->lock);
        struct vck_link *first = vck_list_pop_front(&network->resolving);
        if (first) {
            resolve = VCK_CONTAINER_OF(first, struct vck_resolve, link);
            /* Leaving the list takes this lock, so the call is still in flight. */
            __atomic_add_fetch(&resolve->call.holds, 1, __ATOMIC_ACQUIRE);
        }
        vck_spinlock_release(&network->lock);
        if (!resolve)
            return;
        vck_network_call_cancel(&resolve->call);
        vck_network_call_done(&resolve->call);
    }
}

void vck_network_stop(struct vck_network *network)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_mutex_acquire(&network->control);
    if (network->state == NETWORK_STARTED) {
        set_state(network, NETWORK_STOPPING);
        close_sockets(network);
        cancel_names(network);
        while (has_users(network))
            (void)vck_event_wait(&network->drained, VCK_FOREVER);
        stop_driver(network);
        set_state(network, NETWORK_CREATED);
    }
    vck_mutex_release(&network->control);
}

uint32_t vck_network_socket_count(const struct vck_network *network)
{
    return __atomic_load_n(&network->socket_count, __ATOMIC_RELAXED);
}

int32_t vck_network_native_error(const struct vck_network *network)
{
    return __atomic_load_n(&network->native_error, __ATOMIC_RELAXED);
}

/* ---- the object ---- */

static void network_cleanup(void *context) VCK_NO_ANALYSIS
{
    struct vck_network *network = context;

    vck_network_stop(network);
}

static void network_destroy(void *context) VCK_NO_ANALYSIS
{
    struct vck_network *network = context;

    if (!network->is_driven)
        vck_timer_fini(&network->timer);
    vck_sockets_close(network->sockets);
    vck_event_fini(&network->drained);
    vck_mutex_fini(&network->control);
}

static const struct vck_object_type network_type = {
    .name = "network",
    .context_bytes = sizeof(struct vck_network),
    .cleanup = network_cleanup,
    .destroy = network_destroy,
};

struct network_making {
    struct vck_network_options options;
    struct vck_network *made; /* with a reference, whoever deletes it from then on */
};

static vck_status network_init(struct vck_object *object, void *context,
                               void *argument) VCK_NO_ANALYSIS
{
    struct vck_network *network = context;
    struct network_making *making = argument;
    vck_status status;

    status = vck_sockets_open(&network->sockets, NULL);
    if (status)
        return status;
    network->is_driven_by_caller = (making->options.flags & VCK_NETWORK_DRIVEN) != 0;
    network->is_driven = vck_sockets_is_driven(network->sockets);
    network->armed_ns = network->is_driven ? 0 : VCK_FOREVER;
    network->idle.ops = &idle_ops;
    vck_mutex_init(&network->control);
    vck_spinlock_init(&network->lock);
    vck_event_init(&network->drained);
    vck_link_init(&network->open);
    vck_link_init(&network->resolving);
    vck_link_init(&network->deadlines);
    if (!network->is_driven)
        vck_timer_init(&network->timer, vck_network_deadlines_passed, network);
    vck_object_reference(object, NET_TAG);
    making->made = network;
    return VCK_OK;
}

vck_status vck_network_create(const struct vck_network_options *options,
                              struct vck_network **ret_network)
{
    struct network_making making = {.made = NULL};
    struct vck_object *object;
    vck_status status;

    if (options)
        making.options = *options;
    status =
        vck_object_create(&network_type, making.options.parent, network_init, &making, &object);
    if (status) {
        vck_network_destroy(making.made);
        return status;
    }
    *ret_network = making.made;
    return VCK_OK;
}

void vck_network_destroy(struct vck_network *network)
{
    struct vck_object *object;

    if (!network)
        return;
    object = vck_object_of_context(network);
    (void)vck_object_delete(object);
    vck_object_release(object, NET_TAG);
}
