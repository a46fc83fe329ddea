/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets as objects: made, adopted, closed.
 */
#include "net_internal.h"

struct vck_object *vck_socket_object(struct vck_socket *socket)
{
    return vck_object_of_context(socket);
}

int32_t vck_socket_native_error(const struct vck_socket *socket)
{
    return __atomic_load_n(&socket->native_error, __ATOMIC_RELAXED);
}

/* ---- the object ---- */

static void socket_cleanup(void *context) VCK_NO_ANALYSIS
{
    vck_socket_close_now(context);
}

static const struct vck_object_type socket_type = {
    .name = "socket",
    .context_bytes = sizeof(struct vck_socket),
    .cleanup = socket_cleanup,
};

struct making {
    struct vck_network *network;
    enum vck_socket_type type;
    enum vck_address_family family;
    void *accepted;
    bool adopts;
    struct vck_socket *made; /* with a reference, whoever deletes it from then on */
};

static vck_status socket_init(struct vck_object *object, void *context,
                              void *argument) VCK_NO_ANALYSIS
{
    struct vck_socket *socket = context;
    struct making *making = argument;
    int32_t native_error = 0;
    vck_status status = VCK_OK;

    socket->network = making->network;
    vck_link_init(&socket->link);
    socket->connect_timeout_ns = VCK_FOREVER;
    socket->send_timeout_ns = VCK_FOREVER;
    socket->recv_timeout_ns = VCK_FOREVER;
    if (making->adopts)
        vck_sockets_adopt(making->network->sockets, making->accepted, &socket->port);
    else
        status = vck_sockets_socket(making->network->sockets, making->family, making->type,
                                    &socket->port, &native_error);
    if (status) {
        __atomic_store_n(&making->network->native_error, native_error, __ATOMIC_RELAXED);
        return status;
    }
    socket->opened = true;
    vck_object_reference(object, NET_TAG);
    __atomic_add_fetch(&making->network->socket_count, 1, __ATOMIC_RELAXED);
    making->made = socket;
    return VCK_OK;
}

/* Makes the socket findable by stop; false when stop is under way already. */
static bool publish(struct vck_network *network, struct vck_socket *socket)
{
    bool started;

    vck_spinlock_acquire(&network->lock);
    started = network->state == NETWORK_STARTED;
    if (started)
        vck_list_push_back(&network->open, &socket->link);
    vck_spinlock_release(&network->lock);
    return started;
}

/* The caller has entered the network; the socket leaves it when it is closed. */
static vck_status make(struct making *making, struct vck_socket **ret_socket) VCK_CAN_WAIT
{
    struct vck_network *network = making->network;
    struct vck_object *object;
    vck_status status;

    status = vck_object_create(&socket_type, vck_object_of_context(network), socket_init, making,
                               &object);
    if (!making->made) {
        if (making->adopts)
            vck_sockets_discard(network->sockets, making->accepted);
        vck_network_leave(network);
        return status;
    }
    if (status || !publish(network, making->made)) {
        vck_socket_close(making->made);
        return VCK_CANCELLED;
    }
    *ret_socket = making->made;
    return VCK_OK;
}

vck_status vck_socket_create(struct vck_network *network, enum vck_socket_type type,
                             enum vck_address_family family, struct vck_socket **ret_socket)
{
    struct making making = {.network = network, .type = type, .family = family};

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (family != VCK_ADDRESS_IPV4 && family != VCK_ADDRESS_IPV6)
        return VCK_UNSUPPORTED;
    if (!vck_network_enter(network))
        return VCK_NOT_READY;
    return make(&making, ret_socket);
}

vck_status vck_socket_adopt(struct vck_network *network, void *accepted,
                            struct vck_socket **ret_socket)
{
    struct making making = {.network = network, .accepted = accepted, .adopts = true};

    if (vck_network_enter(network))
        return make(&making, ret_socket);
    vck_sockets_discard(network->sockets, accepted);
    return VCK_CANCELLED;
}

/* ---- the end ---- */

bool vck_socket_begin_close(struct vck_socket *socket)
{
    return socket->opened && !__atomic_exchange_n(&socket->closing, true, __ATOMIC_ACQ_REL);
}

void vck_socket_closed(struct vck_socket *socket)
{
    struct vck_network *network = socket->network;

    vck_spinlock_acquire(&network->lock);
    vck_link_remove(&socket->link);
    vck_spinlock_release(&network->lock);
    __atomic_sub_fetch(&network->socket_count, 1, __ATOMIC_RELAXED);
    vck_network_leave(network);
}

/* CLOSE and nothing else, for the end of the object. */
struct ending {
    struct vck_future future;
    struct vck_socket *socket;
    struct vck_socket_io io;
    struct vck_waker_slot slot;
};

static enum vck_poll ending_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct ending *ending = VCK_CONTAINER_OF(self, struct ending, future);

    return vck_waker_slot_poll(&ending->slot, waker) ? VCK_READY : VCK_PENDING;
}

static void ending_done(struct vck_socket_io *io)
{
    struct ending *ending = VCK_CONTAINER_OF(io, struct ending, io);

    vck_socket_closed(ending->socket);
    vck_waker_slot_signal(&ending->slot);
}

void vck_socket_close_now(struct vck_socket *socket)
{
    struct ending ending = {
        .future = {.poll = ending_poll},
        .socket = socket,
        .io = {.op = VCK_SOCKET_CLOSE, .done = ending_done},
    };

    if (!vck_socket_begin_close(socket))
        return;
    vck_waker_slot_init(&ending.slot);
    vck_sockets_submit(&socket->port, &ending.io);
    vck_block_on(&ending.future);
}

void vck_socket_close(struct vck_socket *socket)
{
    struct vck_object *object;

    if (!socket)
        return;
    object = vck_socket_object(socket);
    (void)vck_object_delete(object);
    vck_object_release(object, NET_TAG);
}
