/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of the operations that move bytes and connections.
 */
#include "port/nt/net_internal.h"

static enum net_plan done(struct vck_socket_io *io, vck_status status)
{
    io->status = status;
    return NET_PLAN_DONE;
}

static enum net_plan issue_step(struct net_lane *lane, enum net_step step)
{
    lane->step = (uint8_t)step;
    return NET_PLAN_ISSUE;
}

static size_t total_bytes(const struct vck_socket_io *io)
{
    size_t total = 0;

    for (uint32_t i = 0; i < io->buffer_count; i++)
        total += io->buffers[i].size_bytes;
    return total;
}

/* ---- what comes next ---- */

/* io->port_state of CONNECT */
#define IO_BEGUN     1u
#define IO_CONNECTED 2u

static enum net_plan plan_connect(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (io->port_state == IO_CONNECTED)
        return issue_step(lane, NET_STEP_SEND);
    if (s->kind == NET_LISTENER)
        return done(io, VCK_INVALID_DATA);
    if (io->address.family != s->family)
        return done(io, VCK_UNSUPPORTED);
    if (io->port_state == 0 && s->kind == NET_CONNECTION && s->is_client)
        return done(io, s->is_connected ? VCK_ALREADY_EXISTS : VCK_BUSY);
    if (io->port_state == 0 && s->kind == NET_CONNECTION && net_is(&s->is_connected))
        return done(io, VCK_ALREADY_EXISTS);
    net_set(&s->is_client);
    io->port_state = IO_BEGUN;
    return issue_step(lane, net_is(&s->is_bound) ? NET_STEP_CONNECT : NET_STEP_BIND);
}

static enum net_plan plan_send(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;
    bool is_stream = s->kind != NET_DATAGRAM;

    if (is_stream && !net_is(&s->is_connected))
        return done(io, VCK_NOT_READY);
    if (is_stream && net_is(&s->is_send_ended))
        return done(io, VCK_RESET);
    if (is_stream && total_bytes(io) == 0)
        return done(io, VCK_OK);
    if (!is_stream && total_bytes(io) > UINT16_MAX)
        return done(io, VCK_SIZE_MISMATCH);
    if (!is_stream && io->op == VCK_SOCKET_SEND && !net_is(&s->is_client))
        return done(io, VCK_INVALID_DATA);
    if (!net_is(&s->is_bound))
        return issue_step(lane, NET_STEP_BIND);
    return issue_step(lane, NET_STEP_SEND);
}

static enum net_plan plan_recv(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (s->kind == NET_DATAGRAM)
        return net_is(&s->is_bound) ? issue_step(lane, NET_STEP_RECV) : done(io, VCK_NOT_READY);
    if (total_bytes(io) == 0)
        return done(io, VCK_OK);
    if (!net_is(&s->is_connected))
        return done(io, VCK_NOT_READY);
    if (net_is(&s->is_at_end) || net_is(&s->is_recv_ended))
        return done(io, VCK_OK);
    return issue_step(lane, NET_STEP_RECV);
}

/* The socket is there before the connection, which would be lost without. */
static enum net_plan plan_accept(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (s->kind != NET_LISTENER || !s->handle)
        return done(io, VCK_INVALID_DATA);
    if (!s->spare)
        s->spare =
            vck_nt_net_socket_create(s->stack, (enum vck_address_family)s->family, NET_CONNECTION);
    if (!s->spare)
        return done(io, VCK_NO_MEMORY);
    return issue_step(lane, NET_STEP_ACCEPT);
}

enum net_plan vck_nt_net_plan(struct net_lane *lane, struct vck_socket_io *io)
{
    switch (io->op) {
    case VCK_SOCKET_CONNECT:
        return plan_connect(lane, io);
    case VCK_SOCKET_SEND:
    case VCK_SOCKET_SEND_TO:
        return plan_send(lane, io);
    case VCK_SOCKET_RECV:
    case VCK_SOCKET_RECV_FROM:
        return plan_recv(lane, io);
    case VCK_SOCKET_ACCEPT:
        return plan_accept(lane, io);
    default:
        return vck_nt_net_plan_control(lane, io);
    }
}

/* ---- calls of Winsock Kernel ---- */

NTSTATUS vck_nt_net_issue_open(struct net_socket *s, struct net_call *call)
{
    static const ULONG flags[] = {
        [NET_CONNECTION] = WSK_FLAG_CONNECTION_SOCKET,
        [NET_LISTENER] = WSK_FLAG_LISTEN_SOCKET,
        [NET_DATAGRAM] = WSK_FLAG_DATAGRAM_SOCKET,
    };
    const WSK_PROVIDER_NPI *provider = &s->stack->provider;
    bool is_stream = s->kind != NET_DATAGRAM;

    return provider->Dispatch->WskSocket(
        provider->Client, s->family == VCK_ADDRESS_IPV6 ? WSK_AF_INET6 : WSK_AF_INET,
        is_stream ? WSK_SOCK_STREAM : WSK_SOCK_DGRAM, is_stream ? WSK_IPPROTO_TCP : WSK_IPPROTO_UDP,
        flags[s->kind], NULL, NULL, NULL, NULL, NULL, call->irp);
}

/* The tables of all kinds begin alike. */
NTSTATUS vck_nt_net_issue_bind(struct net_socket *s, struct net_call *call,
                               const struct vck_address *address)
{
    const WSK_PROVIDER_CONNECTION_DISPATCH *dispatch = s->handle->Dispatch;

    vck_nt_address_to_system(address, &call->local);
    return dispatch->WskBind(s->handle, &call->local, 0, call->irp);
}

NTSTATUS vck_nt_net_issue_disconnect(struct net_socket *s, struct net_call *call)
{
    const WSK_PROVIDER_CONNECTION_DISPATCH *dispatch = s->handle->Dispatch;

    return dispatch->WskDisconnect(s->handle, NULL, 0, call->irp);
}

NTSTATUS vck_nt_net_issue_receive(struct net_socket *s, struct net_call *call)
{
    const WSK_PROVIDER_CONNECTION_DISPATCH *dispatch = s->handle->Dispatch;

    return dispatch->WskReceive(s->handle, &call->buffer, 0, call->irp);
}

static NTSTATUS issue_connect(struct net_socket *s, struct net_call *call,
                              const struct vck_socket_io *io)
{
    const WSK_PROVIDER_CONNECTION_DISPATCH *dispatch = s->handle->Dispatch;

    vck_nt_address_to_system(&io->address, &call->remote);
    if (s->kind == NET_DATAGRAM)
        return dispatch->Basic.WskControlSocket(s->handle, WskIoctl, SIO_WSK_SET_REMOTE_ADDRESS, 0,
                                                sizeof(call->remote), &call->remote, 0, NULL, NULL,
                                                call->irp);
    return dispatch->WskConnect(s->handle, &call->remote, 0, call->irp);
}

static NTSTATUS issue_accept(struct net_socket *s, struct net_call *call)
{
    const WSK_PROVIDER_LISTEN_DISPATCH *dispatch = s->handle->Dispatch;

    return dispatch->WskAccept(s->handle, 0, NULL, NULL, &call->local, &call->remote, call->irp);
}

static bool set_buffers(struct net_socket *s, struct net_call *call, const struct vck_socket_io *io)
{
    bool can_chain = __atomic_load_n(&s->stack->is_flat_only, __ATOMIC_RELAXED) == 0;

    return vck_nt_net_call_set_buffers(call, io, s->kind == NET_DATAGRAM, can_chain);
}

static NTSTATUS issue_send(struct net_socket *s, struct net_call *call,
                           const struct vck_socket_io *io)
{
    const WSK_PROVIDER_CONNECTION_DISPATCH *stream = s->handle->Dispatch;
    const WSK_PROVIDER_DATAGRAM_DISPATCH *datagram = s->handle->Dispatch;
    bool has_address = io->op == VCK_SOCKET_SEND_TO;

    if (!set_buffers(s, call, io))
        return STATUS_INSUFFICIENT_RESOURCES;
    if (s->kind != NET_DATAGRAM)
        return stream->WskSend(s->handle, &call->buffer, 0, call->irp);
    if (has_address)
        vck_nt_address_to_system(&io->address, &call->remote);
    return datagram->WskSendTo(s->handle, &call->buffer, 0, has_address ? &call->remote : NULL, 0,
                               NULL, call->irp);
}

static NTSTATUS issue_recv(struct net_socket *s, struct net_call *call,
                           const struct vck_socket_io *io)
{
    const WSK_PROVIDER_DATAGRAM_DISPATCH *datagram = s->handle->Dispatch;

    if (!set_buffers(s, call, io))
        return STATUS_INSUFFICIENT_RESOURCES;
    if (s->kind != NET_DATAGRAM)
        return vck_nt_net_issue_receive(s, call);
    return datagram->WskReceiveFrom(s->handle, &call->buffer, 0, &call->remote, NULL, NULL,
                                    &call->control_flags, call->irp);
}

NTSTATUS vck_nt_net_issue(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;
    struct vck_address any = {.family = s->family};

    if (lane == &s->control)
        return vck_nt_net_issue_control(lane, io);
    switch (lane->step) {
    case NET_STEP_BIND:
        return vck_nt_net_issue_bind(s, lane->call, &any);
    case NET_STEP_CONNECT:
        return issue_connect(s, lane->call, io);
    case NET_STEP_ACCEPT:
        return issue_accept(s, lane->call);
    case NET_STEP_SEND:
        return issue_send(s, lane->call, io);
    default:
        return issue_recv(s, lane->call, io);
    }
}

/* ---- results ---- */

static bool digest_connect(struct net_socket *s, struct vck_socket_io *io)
{
    s->peer = io->address;
    if (s->kind == NET_DATAGRAM)
        return true;
    net_set(&s->is_connected);
    io->port_state = IO_CONNECTED;
    return total_bytes(io) == 0;
}

static bool digest_accept(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *accepted = lane->socket->spare;
    struct net_call *call = lane->call;

    if (call->information == 0) {
        io->status = VCK_IO;
        return true;
    }
    lane->socket->spare = NULL;
    accepted->handle = (PWSK_SOCKET)call->information;
    accepted->is_bound = true;
    accepted->is_connected = true;
    vck_nt_address_from_system(&call->local, &accepted->local);
    vck_nt_address_from_system(&call->remote, &accepted->peer);
    io->address = accepted->peer;
    io->u.accepted = accepted;
    return true;
}

/* All of a stream's piece is sent before its IRP is completed. */
static bool digest_send(struct net_socket *s, struct vck_socket_io *io)
{
    if (s->kind == NET_DATAGRAM || !(io->flags & VCK_SOCKET_ALL))
        return true;
    return io->done_bytes >= total_bytes(io);
}

static bool digest_recv(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (s->kind == NET_DATAGRAM) {
        vck_nt_net_call_spread(lane->call, io, io->done_bytes);
        if (io->op == VCK_SOCKET_RECV_FROM)
            vck_nt_address_from_system(&lane->call->remote, &io->address);
        return true;
    }
    if (lane->call->information == 0)
        net_set(&s->is_at_end);
    return lane->call->information == 0 || !(io->flags & VCK_SOCKET_ALL) ||
           io->done_bytes >= total_bytes(io);
}

/* A provider that takes no chains says so once, or gives no reason. */
static bool is_chain_refused(struct net_lane *lane)
{
    struct net_call *call = lane->call;

    if (!call->is_chain || call->information != 0)
        return false;
    if (call->status != STATUS_UNSUCCESSFUL && vck_nt_net_status(call->status) != VCK_UNSUPPORTED)
        return false;
    __atomic_store_n(&lane->socket->stack->is_flat_only, 1, __ATOMIC_RELAXED);
    return true;
}

/* A cancel that was not for this operation is the end of the socket, or of its receiving half. */
static bool digest_failure(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    vck_nt_net_fail(io, lane->call->status);
    if (io->status == VCK_OK)
        io->status = VCK_IO;
    if (io->status != VCK_CANCELLED)
        return true;
    vck_spinlock_acquire(&s->lock);
    bool was_meant = lane->cancel || s->is_closing;
    bool is_broken = s->is_broken;
    vck_spinlock_release(&s->lock);
    if (was_meant)
        return true;
    if (!is_broken && lane == &s->in && net_is(&s->is_recv_ended))
        io->status = VCK_OK;
    else
        io->status = VCK_RESET;
    return true;
}

static bool digest_transfer(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_call *call = lane->call;
    bool is_cut = lane->socket->kind == NET_DATAGRAM && lane->step == NET_STEP_RECV &&
                  call->status == STATUS_BUFFER_OVERFLOW;

    if (is_chain_refused(lane)) {
        vck_nt_net_call_drop_buffers(call);
        return false;
    }
    io->done_bytes += VCK_MIN((size_t)call->information, (size_t)call->buffer.Length);
    bool is_over;
    if (is_cut) {
        (void)digest_recv(lane, io);
        vck_nt_net_fail(io, call->status);
        is_over = true;
    } else if (!NT_SUCCESS(call->status)) {
        is_over = digest_failure(lane, io);
    } else if (lane->step == NET_STEP_SEND) {
        is_over = digest_send(lane->socket, io);
    } else {
        is_over = digest_recv(lane, io);
    }
    vck_nt_net_call_drop_buffers(call);
    return is_over;
}

bool vck_nt_net_digest(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (lane == &s->control)
        return vck_nt_net_digest_control(lane, io);
    if (lane->step == NET_STEP_SEND || lane->step == NET_STEP_RECV)
        return digest_transfer(lane, io);
    if (!NT_SUCCESS(lane->call->status))
        return digest_failure(lane, io);
    switch (lane->step) {
    case NET_STEP_BIND:
        net_set(&s->is_bound);
        return false;
    case NET_STEP_CONNECT:
        return digest_connect(s, io);
    default:
        return digest_accept(lane, io);
    }
}
