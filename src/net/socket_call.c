/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on a socket as a future.
 */
#include "net_internal.h"

static struct vck_socket_call *call_of(struct vck_network_call *base)
{
    return VCK_CONTAINER_OF(base, struct vck_socket_call, call);
}

/* ---- begin ---- */

static void on_done(struct vck_socket_io *io)
{
    struct vck_socket_call *call = VCK_CONTAINER_OF(io, struct vck_socket_call, io);

    vck_network_call_done(&call->call);
}

static uint64_t *timeout_of(struct vck_socket *socket, unsigned option)
{
    switch (option) {
    case VCK_SOCKET_CONNECT_TIMEOUT_NS:
        return &socket->connect_timeout_ns;
    case VCK_SOCKET_SEND_TIMEOUT_NS:
        return &socket->send_timeout_ns;
    case VCK_SOCKET_RECV_TIMEOUT_NS:
        return &socket->recv_timeout_ns;
    default:
        return NULL;
    }
}

/* The options that are ours; false for the port's. */
static bool answer_timeout(struct vck_socket_call *call)
{
    uint64_t *timeout = timeout_of(call->socket, call->io.option);

    if (!timeout)
        return false;
    if (call->io.op == VCK_SOCKET_SET_OPTION)
        __atomic_store_n(timeout, call->io.u.value, __ATOMIC_RELAXED);
    else
        call->io.u.value = __atomic_load_n(timeout, __ATOMIC_RELAXED);
    return true;
}

static void begin(struct vck_network_call *base)
{
    struct vck_socket_call *call = call_of(base);
    struct vck_socket *socket = call->socket;
    bool is_option = call->io.op == VCK_SOCKET_SET_OPTION || call->io.op == VCK_SOCKET_GET_OPTION;

    vck_object_reference(vck_socket_object(socket), NET_TAG);
    if (__atomic_load_n(&socket->closing, __ATOMIC_ACQUIRE)) {
        call->io.status = VCK_DELETED;
        vck_network_call_done(base);
    } else if (is_option && answer_timeout(call)) {
        vck_network_call_done(base);
    } else {
        vck_sockets_submit(&socket->port, &call->io);
    }
}

static void cancel(struct vck_network_call *base)
{
    struct vck_socket_call *call = call_of(base);

    vck_sockets_cancel(&call->socket->port, &call->io);
}

static uint64_t deadline(struct vck_network_call *base)
{
    struct vck_socket_call *call = call_of(base);
    unsigned option = VCK_SOCKET_RECV_TIMEOUT_NS;
    uint64_t timeout_ns;
    uint64_t deadline_ns;

    if (call->io.op == VCK_SOCKET_CONNECT)
        option = VCK_SOCKET_CONNECT_TIMEOUT_NS;
    else if (call->io.op == VCK_SOCKET_SEND || call->io.op == VCK_SOCKET_SEND_TO)
        option = VCK_SOCKET_SEND_TIMEOUT_NS;
    timeout_ns = __atomic_load_n(timeout_of(call->socket, option), __ATOMIC_RELAXED);
    if (timeout_ns == VCK_FOREVER || !vck_add_u64(vck_clock_ns(), timeout_ns, &deadline_ns))
        return VCK_FOREVER;
    return deadline_ns;
}

/* ---- finish ---- */

static uint64_t total_bytes(const struct vck_socket_io *io)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < io->buffer_count; i++)
        total += io->buffers[i].size_bytes;
    return total;
}

/* Runs where waiting is allowed, which the function pointer hides from the analysis. */
static void finish_accept(struct vck_socket_call *call, bool dropped) VCK_NO_ANALYSIS
{
    struct vck_network *network = call->socket->network;

    if (dropped)
        vck_sockets_discard(network->sockets, call->io.u.accepted);
    else
        call->io.status = vck_socket_adopt(network, call->io.u.accepted, &call->accepted);
}

static void finish(struct vck_network_call *base, bool dropped)
{
    struct vck_socket_call *call = call_of(base);
    struct vck_socket_io *io = &call->io;

    io->status = vck_network_call_status(base, io->status);
    if (io->op == VCK_SOCKET_ACCEPT && io->status == VCK_OK)
        finish_accept(call, dropped);
    if (io->op == VCK_SOCKET_RECV && (io->flags & VCK_SOCKET_ALL) && io->status == VCK_OK &&
        io->done_bytes < total_bytes(io))
        io->status = VCK_OUT_OF_RANGE;
    if (io->status)
        __atomic_store_n(&call->socket->native_error, io->native_error, __ATOMIC_RELAXED);
    vck_object_release(vck_socket_object(call->socket), NET_TAG);
}

static const struct vck_network_call_ops call_ops = {begin, cancel, finish, deadline};

/* ---- close ---- */

static void close_done(struct vck_socket_io *io)
{
    struct vck_socket_call *call = VCK_CONTAINER_OF(io, struct vck_socket_call, io);

    vck_socket_closed(call->socket);
    vck_network_call_done(&call->call);
}

static void close_begin(struct vck_network_call *base)
{
    struct vck_socket_call *call = call_of(base);

    if (vck_socket_begin_close(call->socket))
        vck_sockets_submit(&call->socket->port, &call->io);
    else
        vck_network_call_done(base);
}

/* The object's end; its cleanup finds the socket closed. */
static void close_finish(struct vck_network_call *base, bool dropped) VCK_NO_ANALYSIS
{
    struct vck_socket_call *call = call_of(base);

    (void)dropped;
    vck_socket_close(call->socket);
}

static const struct vck_network_call_ops close_ops = {close_begin, NULL, close_finish, NULL};

/* ---- prepared ---- */

static void prepare(struct vck_socket_call *call, struct vck_socket *socket, enum vck_socket_op op)
{
    vck_network_call_init(&call->call, &call_ops, socket->network);
    call->socket = socket;
    call->accepted = NULL;
    call->io = (struct vck_socket_io){.op = (uint8_t)op, .done = on_done};
}

static void set_flat(struct vck_socket_call *call, const void *data, size_t size_bytes)
{
    /* A call that sends only reads the buffer; one struct serves both directions. */
    call->buffer.data = (void *)(uintptr_t)data;
    call->buffer.size_bytes = size_bytes;
    call->io.buffers = &call->buffer;
    call->io.buffer_count = 1;
}

void vck_socket_call_set_buffers(struct vck_socket_call *call,
                                 const struct vck_socket_buffer *buffers, uint32_t count)
{
    call->io.buffers = buffers;
    call->io.buffer_count = count;
}

void vck_socket_bind_init(struct vck_socket_call *call, struct vck_socket *socket,
                          const struct vck_address *address)
{
    prepare(call, socket, VCK_SOCKET_BIND);
    call->io.address = *address;
}

void vck_socket_listen_init(struct vck_socket_call *call, struct vck_socket *socket,
                            uint32_t backlog)
{
    prepare(call, socket, VCK_SOCKET_LISTEN);
    call->io.u.value = backlog;
}

void vck_socket_connect_init(struct vck_socket_call *call, struct vck_socket *socket,
                             const struct vck_address *peer)
{
    prepare(call, socket, VCK_SOCKET_CONNECT);
    call->io.address = *peer;
}

void vck_socket_connect_send_init(struct vck_socket_call *call, struct vck_socket *socket,
                                  const struct vck_address *peer, const void *data,
                                  size_t size_bytes)
{
    vck_socket_connect_init(call, socket, peer);
    call->io.flags = VCK_SOCKET_ALL;
    set_flat(call, data, size_bytes);
}

void vck_socket_accept_init(struct vck_socket_call *call, struct vck_socket *socket)
{
    prepare(call, socket, VCK_SOCKET_ACCEPT);
}

void vck_socket_send_init(struct vck_socket_call *call, struct vck_socket *socket, const void *data,
                          size_t size_bytes)
{
    prepare(call, socket, VCK_SOCKET_SEND);
    set_flat(call, data, size_bytes);
}

void vck_socket_send_all_init(struct vck_socket_call *call, struct vck_socket *socket,
                              const void *data, size_t size_bytes)
{
    vck_socket_send_init(call, socket, data, size_bytes);
    call->io.flags = VCK_SOCKET_ALL;
}

void vck_socket_recv_init(struct vck_socket_call *call, struct vck_socket *socket, void *data,
                          size_t size_bytes)
{
    prepare(call, socket, VCK_SOCKET_RECV);
    set_flat(call, data, size_bytes);
}

void vck_socket_recv_exact_init(struct vck_socket_call *call, struct vck_socket *socket, void *data,
                                size_t size_bytes)
{
    vck_socket_recv_init(call, socket, data, size_bytes);
    call->io.flags = VCK_SOCKET_ALL;
}

void vck_socket_send_to_init(struct vck_socket_call *call, struct vck_socket *socket,
                             const struct vck_address *to, const void *data, size_t size_bytes)
{
    prepare(call, socket, VCK_SOCKET_SEND_TO);
    call->io.address = *to;
    set_flat(call, data, size_bytes);
}

void vck_socket_recv_from_init(struct vck_socket_call *call, struct vck_socket *socket, void *data,
                               size_t size_bytes)
{
    prepare(call, socket, VCK_SOCKET_RECV_FROM);
    set_flat(call, data, size_bytes);
}

void vck_socket_shutdown_init(struct vck_socket_call *call, struct vck_socket *socket,
                              enum vck_socket_end end)
{
    prepare(call, socket, VCK_SOCKET_SHUTDOWN);
    call->io.u.value = end;
}

void vck_socket_set_option_init(struct vck_socket_call *call, struct vck_socket *socket,
                                enum vck_socket_option option, uint64_t value)
{
    prepare(call, socket, VCK_SOCKET_SET_OPTION);
    call->io.option = (uint16_t)option;
    call->io.u.value = value;
}

void vck_socket_get_option_init(struct vck_socket_call *call, struct vck_socket *socket,
                                enum vck_socket_option option)
{
    prepare(call, socket, VCK_SOCKET_GET_OPTION);
    call->io.option = (uint16_t)option;
}

void vck_socket_ioctl_init(struct vck_socket_call *call, struct vck_socket *socket,
                           enum vck_socket_ioctl request)
{
    prepare(call, socket, VCK_SOCKET_IOCTL);
    call->io.option = (uint16_t)request;
}

void vck_socket_local_address_init(struct vck_socket_call *call, struct vck_socket *socket)
{
    prepare(call, socket, VCK_SOCKET_LOCAL_ADDRESS);
}

void vck_socket_peer_address_init(struct vck_socket_call *call, struct vck_socket *socket)
{
    prepare(call, socket, VCK_SOCKET_PEER_ADDRESS);
}

void vck_socket_close_init(struct vck_socket_call *call, struct vck_socket *socket)
{
    prepare(call, socket, VCK_SOCKET_CLOSE);
    call->call.ops = &close_ops;
    call->io.done = close_done;
}
