/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of the other operations: names of sockets, options, the end of a stream.
 *
 * Winsock Kernel has sockets that connect and others that listen, and the latter listen from bind
 * on. A stream socket is therefore made to connect; when it is to listen another one takes the
 * place of its handle, and its address:
 *
 *     handle to connect --(where is it bound?)--> closed --> handle to listen --(V6_ONLY)--> bound
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

/* ---- options ---- */

enum keeper {
    KEPT_BY_SYSTEM,
    KEPT_HERE, /* the system has no such option, or means something else by it */
    KEPT_BOTH, /* and set again on the handle that listens */
};

/* REUSE_ADDRESS: past connections never keep a port here, and the system's option of that name
 * takes ports away from others. RESET_ON_CLOSE: what WskCloseSocket does by itself. */
static const struct {
    uint16_t level;
    uint16_t name;
    uint8_t keeper;
    bool is_for_streams;
    bool is_for_datagrams;
} options[VCK_SOCKET_PORT_OPTION_COUNT] = {
    [VCK_SOCKET_NO_DELAY] = {WSK_IPPROTO_TCP, WSK_TCP_NODELAY, KEPT_BY_SYSTEM, true, false},
    [VCK_SOCKET_KEEP_ALIVE] = {WSK_SOL_SOCKET, WSK_SO_KEEPALIVE, KEPT_BY_SYSTEM, true, false},
    [VCK_SOCKET_KEEP_ALIVE_IDLE_S] = {WSK_IPPROTO_TCP, WSK_TCP_KEEPIDLE, KEPT_BY_SYSTEM, true,
                                      false},
    [VCK_SOCKET_KEEP_ALIVE_INTERVAL_S] = {WSK_IPPROTO_TCP, WSK_TCP_KEEPINTVL, KEPT_BY_SYSTEM, true,
                                          false},
    [VCK_SOCKET_KEEP_ALIVE_COUNT] = {WSK_IPPROTO_TCP, WSK_TCP_KEEPCNT, KEPT_BY_SYSTEM, true, false},
    [VCK_SOCKET_REUSE_ADDRESS] = {0, 0, KEPT_HERE, true, true},
    [VCK_SOCKET_SEND_BUFFER_BYTES] = {WSK_SOL_SOCKET, WSK_SO_SNDBUF, KEPT_BY_SYSTEM, true, true},
    [VCK_SOCKET_RECV_BUFFER_BYTES] = {WSK_SOL_SOCKET, WSK_SO_RCVBUF, KEPT_BY_SYSTEM, true, true},
    [VCK_SOCKET_RESET_ON_CLOSE] = {0, 0, KEPT_HERE, true, true},
    [VCK_SOCKET_BROADCAST] = {WSK_SOL_SOCKET, WSK_SO_BROADCAST, KEPT_BY_SYSTEM, false, true},
    [VCK_SOCKET_V6_ONLY] = {WSK_IPPROTO_IPV6, WSK_IPV6_V6ONLY, KEPT_BOTH, true, true},
};

static bool has_option(const struct net_socket *s, unsigned option)
{
    if (option >= VCK_SOCKET_PORT_OPTION_COUNT)
        return false;
    return s->kind == NET_DATAGRAM ? options[option].is_for_datagrams
                                   : options[option].is_for_streams;
}

static void keep(struct net_socket *s, const struct vck_socket_io *io)
{
    vck_spinlock_acquire(&s->lock);
    s->has_option[io->option] = true;
    s->option[io->option] = io->u.value != 0;
    vck_spinlock_release(&s->lock);
}

static enum net_plan plan_option(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;
    bool is_set = io->op == VCK_SOCKET_SET_OPTION;

    if (!has_option(s, io->option))
        return done(io, VCK_UNSUPPORTED);
    if (is_set && io->u.value > INT32_MAX)
        return done(io, VCK_INVALID_DATA);
    if (options[io->option].keeper != KEPT_HERE)
        return issue_step(lane, NET_STEP_CONTROL);
    if (is_set)
        keep(s, io);
    else
        io->u.value = s->option[io->option];
    return done(io, VCK_OK);
}

static NTSTATUS issue_option(struct net_socket *s, struct net_call *call, unsigned option,
                             bool is_set)
{
    const WSK_PROVIDER_BASIC_DISPATCH *dispatch = s->handle->Dispatch;

    return dispatch->WskControlSocket(
        s->handle, is_set ? WskSetOption : WskGetOption, options[option].name,
        options[option].level, is_set ? sizeof(ULONG) : 0, is_set ? &call->option : NULL,
        is_set ? 0 : sizeof(ULONG), is_set ? NULL : &call->option, NULL, call->irp);
}

/* ---- requests ---- */

/* What was handed to the system is not acknowledged as long as its IRP is in flight. */
static uint64_t unsent_bytes(struct net_socket *s)
{
    uint64_t bytes = 0;

    vck_spinlock_acquire(&s->lock);
    const struct vck_socket_io *io = s->out.first;
    for (uint32_t i = 0; io && i < io->buffer_count; i++)
        bytes += io->buffers[i].size_bytes;
    vck_spinlock_release(&s->lock);
    return bytes;
}

static enum net_plan plan_ioctl(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    switch (io->option) {
    case VCK_SOCKET_READABLE_BYTES:
        if (s->kind == NET_CONNECTION && net_is(&s->is_connected))
            return issue_step(lane, NET_STEP_CONTROL);
        return done(io, s->kind == NET_CONNECTION ? VCK_NOT_READY : VCK_UNSUPPORTED);
    case VCK_SOCKET_UNSENT_BYTES:
        io->u.value = unsent_bytes(s);
        return done(io, VCK_OK);
    case VCK_SOCKET_AT_MARK:
        io->u.value = 0; /* the system makes no difference between urgent data and other */
        return done(io, VCK_OK);
    default:
        return done(io, VCK_UNSUPPORTED);
    }
}

static NTSTATUS issue_query(struct net_socket *s, struct net_call *call)
{
    const WSK_PROVIDER_BASIC_DISPATCH *dispatch = s->handle->Dispatch;

    call->backlog_bytes = 0;
    return dispatch->WskControlSocket(s->handle, WskIoctl, SIO_WSK_QUERY_RECEIVE_BACKLOG, 0, 0,
                                      NULL, sizeof(call->backlog_bytes), &call->backlog_bytes, NULL,
                                      call->irp);
}

/* ---- addresses ---- */

static enum net_plan plan_address(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (io->op == VCK_SOCKET_PEER_ADDRESS) {
        bool has_peer = net_is(s->kind == NET_DATAGRAM ? &s->is_client : &s->is_connected);
        if (has_peer)
            io->address = s->peer;
        return done(io, has_peer ? VCK_OK : VCK_NOT_READY);
    }
    if (net_is(&s->is_bound))
        return issue_step(lane, NET_STEP_LOCAL_ADDRESS);
    io->address = (struct vck_address){.family = s->family};
    return done(io, VCK_OK);
}

/* Each kind has the function at another place of its table. */
NTSTATUS vck_nt_net_issue_address(struct net_socket *s, struct net_call *call)
{
    const WSK_PROVIDER_CONNECTION_DISPATCH *connection = s->handle->Dispatch;
    const WSK_PROVIDER_LISTEN_DISPATCH *listener = s->handle->Dispatch;
    const WSK_PROVIDER_DATAGRAM_DISPATCH *datagram = s->handle->Dispatch;

    if (s->kind == NET_LISTENER)
        return listener->WskGetLocalAddress(s->handle, &call->local, call->irp);
    if (s->kind == NET_DATAGRAM)
        return datagram->WskGetLocalAddress(s->handle, &call->local, call->irp);
    return connection->WskGetLocalAddress(s->handle, &call->local, call->irp);
}

/* A system that cannot say it: what was bound to is as good, if it had a port. */
static bool digest_address(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (NT_SUCCESS(lane->call->status))
        vck_nt_address_from_system(&lane->call->local, &s->local);
    else if (vck_nt_net_status(lane->call->status) != VCK_UNSUPPORTED || s->local.port == 0)
        vck_nt_net_fail(io, lane->call->status);
    if (io->op != VCK_SOCKET_LOCAL_ADDRESS) {
        io->status = VCK_OK; /* it will get another port */
        return false;
    }
    if (io->status == VCK_OK)
        io->address = s->local;
    return true;
}

/* ---- listen ---- */

/* io->port_state of LISTEN */
#define LISTEN_ADDRESS_ASKED 1u
#define LISTEN_OLD_CLOSED    2u
#define LISTEN_OPENED        3u
#define LISTEN_OPTION_SET    4u

static enum net_plan plan_listen(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    switch (io->port_state) {
    case 0:
        if (s->kind == NET_LISTENER && s->handle)
            return done(io, VCK_OK);
        if (s->kind == NET_DATAGRAM)
            return done(io, VCK_UNSUPPORTED);
        if (net_is(&s->is_client) || net_is(&s->is_connected))
            return done(io, VCK_INVALID_DATA);
        if (net_is(&s->is_bound) && s->local.port == 0)
            return issue_step(lane, NET_STEP_LOCAL_ADDRESS);
        return issue_step(lane, NET_STEP_CLOSE_OLD);
    case LISTEN_ADDRESS_ASKED:
        return issue_step(lane, NET_STEP_CLOSE_OLD);
    case LISTEN_OLD_CLOSED:
        return issue_step(lane, NET_STEP_OPEN);
    case LISTEN_OPENED:
        if (s->has_option[VCK_SOCKET_V6_ONLY] && s->family == VCK_ADDRESS_IPV6)
            return issue_step(lane, NET_STEP_CONTROL);
        return issue_step(lane, NET_STEP_BIND);
    default:
        return issue_step(lane, NET_STEP_BIND);
    }
}

static NTSTATUS issue_listen_option(struct net_socket *s, struct net_call *call)
{
    call->option = s->option[VCK_SOCKET_V6_ONLY];
    return issue_option(s, call, VCK_SOCKET_V6_ONLY, true);
}

static NTSTATUS issue_close_old(struct net_socket *s, struct net_call *call)
{
    const WSK_PROVIDER_BASIC_DISPATCH *dispatch = s->handle->Dispatch;

    return dispatch->WskCloseSocket(s->handle, call->irp);
}

/* Without a handle nothing is left to do but close. */
static bool digest_listen(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;
    struct net_call *call = lane->call;

    switch (lane->step) {
    case NET_STEP_LOCAL_ADDRESS:
        io->port_state = LISTEN_ADDRESS_ASKED;
        return digest_address(lane, io);
    case NET_STEP_CLOSE_OLD:
        io->port_state = LISTEN_OLD_CLOSED;
        s->handle = NULL;
        s->kind = NET_LISTENER;
        return false;
    case NET_STEP_OPEN:
        io->port_state = LISTEN_OPENED;
        if (NT_SUCCESS(call->status))
            s->handle = (PWSK_SOCKET)call->information;
        break;
    case NET_STEP_CONTROL:
        io->port_state = LISTEN_OPTION_SET;
        break;
    default:
        if (NT_SUCCESS(call->status))
            net_set(&s->is_bound);
        break;
    }
    if (!NT_SUCCESS(call->status))
        vck_nt_net_fail(io, call->status);
    return !NT_SUCCESS(call->status) || lane->step == NET_STEP_BIND;
}

/* ---- the rest ---- */

static enum net_plan plan_bind(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (net_is(&s->is_bound))
        return done(io, VCK_INVALID_DATA);
    if (io->address.family != s->family)
        return done(io, VCK_UNSUPPORTED);
    return issue_step(lane, NET_STEP_BIND);
}

/* The system has no end of the receiving half: what comes is not asked for any more. */
static enum net_plan plan_shutdown(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    if (io->u.value < VCK_SOCKET_END_RECV || io->u.value > VCK_SOCKET_END_BOTH)
        return done(io, VCK_INVALID_DATA);
    if (s->kind != NET_CONNECTION || !net_is(&s->is_connected))
        return done(io, VCK_NOT_READY);
    if (io->u.value & VCK_SOCKET_END_RECV) {
        net_set(&s->is_recv_ended);
        (void)vck_nt_net_lane_cancel(&s->in);
    }
    if (!(io->u.value & VCK_SOCKET_END_SEND) || net_is(&s->is_send_ended))
        return done(io, VCK_OK);
    return issue_step(lane, NET_STEP_DISCONNECT);
}

enum net_plan vck_nt_net_plan_control(struct net_lane *lane, struct vck_socket_io *io)
{
    if (!lane->socket->handle && io->port_state == 0)
        return done(io, VCK_RESET);
    switch (io->op) {
    case VCK_SOCKET_BIND:
        return plan_bind(lane, io);
    case VCK_SOCKET_LISTEN:
        return plan_listen(lane, io);
    case VCK_SOCKET_SHUTDOWN:
        return plan_shutdown(lane, io);
    case VCK_SOCKET_SET_OPTION:
    case VCK_SOCKET_GET_OPTION:
        return plan_option(lane, io);
    case VCK_SOCKET_IOCTL:
        return plan_ioctl(lane, io);
    case VCK_SOCKET_LOCAL_ADDRESS:
    case VCK_SOCKET_PEER_ADDRESS:
        return plan_address(lane, io);
    default:
        return done(io, VCK_INVALID_DATA);
    }
}

static NTSTATUS issue_control(struct net_socket *s, struct net_call *call, struct vck_socket_io *io)
{
    bool is_set = io->op == VCK_SOCKET_SET_OPTION;

    if (io->op == VCK_SOCKET_LISTEN)
        return issue_listen_option(s, call);
    if (io->op == VCK_SOCKET_IOCTL)
        return issue_query(s, call);
    call->option = is_set ? (ULONG)io->u.value : 0;
    return issue_option(s, call, io->option, is_set);
}

NTSTATUS vck_nt_net_issue_control(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;
    struct net_call *call = lane->call;
    struct vck_address any = {.family = s->family};

    switch (lane->step) {
    case NET_STEP_BIND:
        if (io->op == VCK_SOCKET_LISTEN)
            return vck_nt_net_issue_bind(s, call, net_is(&s->is_bound) ? &s->local : &any);
        return vck_nt_net_issue_bind(s, call, &io->address);
    case NET_STEP_DISCONNECT:
        return vck_nt_net_issue_disconnect(s, call);
    case NET_STEP_LOCAL_ADDRESS:
        return vck_nt_net_issue_address(s, call);
    case NET_STEP_CLOSE_OLD:
        return issue_close_old(s, call);
    case NET_STEP_OPEN:
        return vck_nt_net_issue_open(s, call);
    default:
        return issue_control(s, call, io);
    }
}

static void digest_success(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;

    switch (io->op) {
    case VCK_SOCKET_BIND:
        s->local = io->address;
        net_set(&s->is_bound);
        break;
    case VCK_SOCKET_SHUTDOWN:
        net_set(&s->is_send_ended);
        break;
    case VCK_SOCKET_SET_OPTION:
        keep(s, io);
        break;
    case VCK_SOCKET_GET_OPTION:
        io->u.value = lane->call->option;
        break;
    default:
        io->u.value = lane->call->backlog_bytes;
        break;
    }
}

bool vck_nt_net_digest_control(struct net_lane *lane, struct vck_socket_io *io)
{
    if (io->op == VCK_SOCKET_LISTEN)
        return digest_listen(lane, io);
    if (lane->step == NET_STEP_LOCAL_ADDRESS)
        return digest_address(lane, io);
    if (NT_SUCCESS(lane->call->status))
        digest_success(lane, io);
    else
        vck_nt_net_fail(io, lane->call->status);
    return true;
}
