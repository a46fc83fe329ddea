/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of sockets, over the host's.
 */
#include "fake_wsk_internal.h"
#include <stdlib.h>

static struct fake_socket *of(PWSK_SOCKET socket)
{
    return (struct fake_socket *)socket;
}

/* ---- addresses ---- */

void fake_wsk_to_system(const struct vck_address *address, PSOCKADDR_WSK ret_system)
{
    bool is_v6 = address->family == VCK_ADDRESS_IPV6;

    memset(ret_system, 0, is_v6 ? sizeof *ret_system : 16);
    ret_system->family = is_v6 ? WSK_AF_INET6 : WSK_AF_INET;
    ret_system->port = __builtin_bswap16(address->port);
    if (is_v6)
        ret_system->u.v6.scope_id = address->scope_id;
    memcpy(is_v6 ? ret_system->u.v6.address : ret_system->u.v4.address, address->bytes,
           is_v6 ? 16 : 4);
}

void fake_wsk_from_system(const struct wsk_sockaddr *system, struct vck_address *ret_address)
{
    bool is_v6 = system->family == WSK_AF_INET6;

    VCK_ASSERT(is_v6 || system->family == WSK_AF_INET);
    *ret_address = (struct vck_address){.family = is_v6 ? VCK_ADDRESS_IPV6 : VCK_ADDRESS_IPV4};
    ret_address->port = __builtin_bswap16(system->port);
    if (is_v6)
        ret_address->scope_id = system->u.v6.scope_id;
    memcpy(ret_address->bytes, is_v6 ? system->u.v6.address : system->u.v4.address, is_v6 ? 16 : 4);
}

/* ---- operations of the host that do not wait ---- */

static void note_done(struct vck_socket_io *io)
{
    (void)io;
}

static vck_status host_set(struct fake_socket *s, enum vck_socket_option option, uint64_t value)
{
    struct vck_socket_io io = {.op = VCK_SOCKET_SET_OPTION, .done = note_done};

    io.option = (uint16_t)option;
    io.u.value = value;
    vck_sockets_submit(&s->host, &io);
    return io.status;
}

/* ---- buffers ---- */

/* False: refused. */
static bool set_buffers(struct request *request, const WSK_BUF *buffer)
{
    size_t left = buffer->Length;
    uint32_t count = 0;

    VCK_ASSERT(buffer->Mdl && buffer->Offset == 0);
    if (fake_wsk.refuses_chains && buffer->Mdl->Next)
        return false;
    for (PMDL mdl = buffer->Mdl; mdl && left > 0; mdl = mdl->Next) {
        size_t size = VCK_MIN(left, (size_t)mdl->ByteCount);
        VCK_ASSERT(count < REQUEST_PIECES);
        request->buffers[count++] =
            (struct vck_socket_buffer){MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority), size};
        left -= size;
    }
    VCK_ASSERT(left == 0 && "the chain is as long as the buffer");
    request->io.buffers = request->buffers;
    request->io.buffer_count = count;
    return true;
}

static void succeed_bytes(struct request *request)
{
    if (request->io.op == VCK_SOCKET_RECV && request->io.done_bytes == 0)
        __atomic_store_n(&request->socket->is_at_end, true, __ATOMIC_RELEASE);
    if (request->address)
        fake_wsk_to_system(&request->io.address, request->address);
}

static NTSTATUS transfer(PWSK_SOCKET socket, PWSK_BUF buffer, enum vck_socket_op op,
                         enum fake_wsk_call call, PSOCKADDR_WSK to, PSOCKADDR_WSK from, PIRP irp)
{
    struct fake_socket *s = of(socket);
    NTSTATUS status;
    struct request *request = fake_wsk_begin(s->client, s, irp, call, &status);

    if (!request)
        return status;
    VCK_ASSERT(s->is_bound);
    if (!set_buffers(request, buffer))
        return fake_wsk_finish(request, STATUS_NOT_SUPPORTED);
    request->io.op = (uint8_t)op;
    request->io.flags =
        op == VCK_SOCKET_SEND && s->kind != WSK_FLAG_DATAGRAM_SOCKET ? VCK_SOCKET_ALL : 0;
    if (to)
        fake_wsk_from_system(to, &request->io.address);
    request->address = from;
    request->succeed = succeed_bytes;
    return fake_wsk_submit(request);
}

static NTSTATUS wsk_send(PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PIRP irp)
{
    VCK_ASSERT(flags == 0);
    return transfer(socket, buffer, VCK_SOCKET_SEND, FAKE_WSK_SEND, NULL, NULL, irp);
}

static NTSTATUS wsk_receive(PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PIRP irp)
{
    VCK_ASSERT(flags == 0 && buffer->Length > 0);
    return transfer(socket, buffer, VCK_SOCKET_RECV, FAKE_WSK_RECEIVE, NULL, NULL, irp);
}

static NTSTATUS wsk_send_to(PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PSOCKADDR_WSK remote,
                            ULONG control_bytes, PVOID control, PIRP irp)
{
    VCK_ASSERT(flags == 0 && control_bytes == 0 && !control);
    return transfer(socket, buffer, remote ? VCK_SOCKET_SEND_TO : VCK_SOCKET_SEND, FAKE_WSK_SEND_TO,
                    remote, NULL, irp);
}

static NTSTATUS wsk_receive_from(PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags,
                                 PSOCKADDR_WSK remote, PULONG control_bytes, PVOID control,
                                 PULONG control_flags, PIRP irp)
{
    VCK_ASSERT(flags == 0 && !control_bytes && !control && control_flags);
    return transfer(socket, buffer, VCK_SOCKET_RECV_FROM, FAKE_WSK_RECEIVE_FROM, NULL, remote, irp);
}

/* ---- connections ---- */

static void succeed_bind(struct request *request)
{
    request->socket->is_bound = true;
}

/* Listeners listen from here on. As on Windows, a port with connections of its past can be had; one
 * that the system chooses has none. */
static NTSTATUS wsk_bind(PWSK_SOCKET socket, PSOCKADDR_WSK local, ULONG flags, PIRP irp)
{
    struct fake_socket *s = of(socket);
    NTSTATUS status;
    struct request *request = fake_wsk_begin(s->client, s, irp, FAKE_WSK_BIND, &status);

    if (!request)
        return status;
    VCK_ASSERT(flags == 0 && !s->is_bound && local->family == s->family);
    request->succeed = succeed_bind;
    request->io.op = VCK_SOCKET_BIND;
    fake_wsk_from_system(local, &request->io.address);
    if (request->io.address.port != 0 && s->kind != WSK_FLAG_DATAGRAM_SOCKET)
        (void)host_set(s, VCK_SOCKET_REUSE_ADDRESS, 1);
    if (s->kind != WSK_FLAG_LISTEN_SOCKET)
        return fake_wsk_submit(request);
    struct vck_socket_io bind = {.op = VCK_SOCKET_BIND, .done = note_done};
    bind.address = request->io.address;
    vck_sockets_submit(&s->host, &bind);
    if (bind.status != VCK_OK)
        return fake_wsk_finish(request, fake_wsk_status(request, bind.status));
    request->io.op = VCK_SOCKET_LISTEN;
    request->io.u.value = fake_wsk.backlog != 0 ? (uint64_t)(fake_wsk.backlog - 1) : 1024;
    return fake_wsk_submit(request);
}

static void succeed_connect(struct request *request)
{
    __atomic_store_n(&request->socket->is_connected, true, __ATOMIC_RELEASE);
}

static NTSTATUS wsk_connect(PWSK_SOCKET socket, PSOCKADDR_WSK remote, ULONG flags, PIRP irp)
{
    struct fake_socket *s = of(socket);
    NTSTATUS status;
    struct request *request = fake_wsk_begin(s->client, s, irp, FAKE_WSK_CONNECT, &status);

    if (!request)
        return status;
    VCK_ASSERT(flags == 0 && s->is_bound && remote->family == s->family);
    request->io.op = VCK_SOCKET_CONNECT;
    fake_wsk_from_system(remote, &request->io.address);
    request->succeed = succeed_connect;
    return fake_wsk_submit(request);
}

static void succeed_accept(struct request *request)
{
    struct fake_socket *s = request->socket;
    struct fake_socket *accepted =
        fake_wsk_socket_create(s->client, WSK_FLAG_CONNECTION_SOCKET, s->family);
    struct vck_socket_io io = {.op = VCK_SOCKET_LOCAL_ADDRESS, .done = note_done};

    vck_sockets_adopt(s->client->host, request->io.u.accepted, &accepted->host);
    vck_sockets_submit(&accepted->host, &io);
    fake_wsk_to_system(&io.address, request->local);
    fake_wsk_to_system(&request->io.address, request->address);
    accepted->is_bound = true;
    accepted->is_connected = true;
    request->information = (ULONG_PTR)accepted;
}

static NTSTATUS wsk_accept(PWSK_SOCKET socket, ULONG flags, PVOID context, const VOID *dispatch,
                           PSOCKADDR_WSK local, PSOCKADDR_WSK remote, PIRP irp)
{
    struct fake_socket *s = of(socket);
    NTSTATUS status;
    struct request *request = fake_wsk_begin(s->client, s, irp, FAKE_WSK_ACCEPT, &status);

    if (!request)
        return status;
    VCK_ASSERT(flags == 0 && !context && !dispatch && s->is_bound);
    request->io.op = VCK_SOCKET_ACCEPT;
    request->local = local;
    request->address = remote;
    request->succeed = succeed_accept;
    return fake_wsk_submit(request);
}

static void succeed_disconnect(struct request *request)
{
    __atomic_store_n(&request->socket->is_disconnected, true, __ATOMIC_RELEASE);
}

static NTSTATUS wsk_disconnect(PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PIRP irp)
{
    struct fake_socket *s = of(socket);
    NTSTATUS status;
    struct request *request = fake_wsk_begin(s->client, s, irp, FAKE_WSK_DISCONNECT, &status);

    if (!request)
        return status;
    VCK_ASSERT(flags == 0 && !buffer && s->is_connected);
    request->io.op = VCK_SOCKET_SHUTDOWN;
    request->io.u.value = VCK_SOCKET_END_SEND;
    request->succeed = succeed_disconnect;
    return fake_wsk_submit(request);
}

static void succeed_address(struct request *request)
{
    fake_wsk_to_system(&request->io.address, request->address);
}

static NTSTATUS get_address(PWSK_SOCKET socket, PSOCKADDR_WSK address, PIRP irp,
                            enum vck_socket_op op)
{
    struct fake_socket *s = of(socket);
    NTSTATUS status;
    struct request *request = fake_wsk_begin(s->client, s, irp, FAKE_WSK_LOCAL_ADDRESS, &status);

    if (!request)
        return status;
    VCK_ASSERT(s->is_bound);
    request->io.op = (uint8_t)op;
    request->address = address;
    request->succeed = succeed_address;
    return fake_wsk_submit(request);
}

static NTSTATUS wsk_get_local_address(PWSK_SOCKET socket, PSOCKADDR_WSK address, PIRP irp)
{
    return get_address(socket, address, irp, VCK_SOCKET_LOCAL_ADDRESS);
}

static NTSTATUS wsk_get_remote_address(PWSK_SOCKET socket, PSOCKADDR_WSK address, PIRP irp)
{
    return get_address(socket, address, irp, VCK_SOCKET_PEER_ADDRESS);
}

/* ---- options ---- */

static const struct {
    ULONG level;
    ULONG name;
    enum vck_socket_option option;
} options[] = {
    {WSK_IPPROTO_TCP, WSK_TCP_NODELAY, VCK_SOCKET_NO_DELAY},
    {WSK_SOL_SOCKET, WSK_SO_KEEPALIVE, VCK_SOCKET_KEEP_ALIVE},
    {WSK_IPPROTO_TCP, WSK_TCP_KEEPIDLE, VCK_SOCKET_KEEP_ALIVE_IDLE_S},
    {WSK_IPPROTO_TCP, WSK_TCP_KEEPINTVL, VCK_SOCKET_KEEP_ALIVE_INTERVAL_S},
    {WSK_IPPROTO_TCP, WSK_TCP_KEEPCNT, VCK_SOCKET_KEEP_ALIVE_COUNT},
    {WSK_SOL_SOCKET, WSK_SO_SNDBUF, VCK_SOCKET_SEND_BUFFER_BYTES},
    {WSK_SOL_SOCKET, WSK_SO_RCVBUF, VCK_SOCKET_RECV_BUFFER_BYTES},
    {WSK_SOL_SOCKET, WSK_SO_BROADCAST, VCK_SOCKET_BROADCAST},
    {WSK_IPPROTO_IPV6, WSK_IPV6_V6ONLY, VCK_SOCKET_V6_ONLY},
};

static void succeed_control(struct request *request)
{
    if (request->io.op == VCK_SOCKET_GET_OPTION)
        *(ULONG *)request->out = (ULONG)request->io.u.value;
    else if (request->io.op == VCK_SOCKET_IOCTL)
        *(SIZE_T *)request->out = (SIZE_T)request->io.u.value;
    request->information = request->out_bytes;
}

static bool set_option_request(struct request *request, ULONG code, ULONG level)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(options); i++)
        if (options[i].level == level && options[i].name == code) {
            request->io.option = (uint16_t)options[i].option;
            return true;
        }
    return false;
}

static bool set_control(struct request *request, WSK_CONTROL_SOCKET_TYPE type, ULONG code,
                        ULONG level, SIZE_T in_bytes, PVOID in)
{
    if (type == WskIoctl && code == SIO_WSK_SET_REMOTE_ADDRESS) {
        VCK_ASSERT(request->socket->is_bound && in_bytes >= 16);
        request->io.op = VCK_SOCKET_CONNECT;
        fake_wsk_from_system(in, &request->io.address);
        return true;
    }
    if (type == WskIoctl && code == SIO_WSK_QUERY_RECEIVE_BACKLOG) {
        VCK_ASSERT(request->socket->is_connected && request->out_bytes == sizeof(SIZE_T));
        request->io.op = VCK_SOCKET_IOCTL;
        request->io.option = VCK_SOCKET_READABLE_BYTES;
        return true;
    }
    if (type == WskIoctl || !set_option_request(request, code, level))
        return false;
    VCK_ASSERT((type == WskSetOption ? in_bytes : request->out_bytes) == sizeof(ULONG));
    request->io.op = type == WskSetOption ? VCK_SOCKET_SET_OPTION : VCK_SOCKET_GET_OPTION;
    request->io.u.value = type == WskSetOption ? *(ULONG *)in : 0;
    return true;
}

static NTSTATUS wsk_control_socket(PWSK_SOCKET socket, WSK_CONTROL_SOCKET_TYPE type, ULONG code,
                                   ULONG level, SIZE_T in_bytes, PVOID in, SIZE_T out_bytes,
                                   PVOID out, SIZE_T *ret_out_bytes, PIRP irp)
{
    struct fake_socket *s = of(socket);
    NTSTATUS status;
    struct request *request = fake_wsk_begin(s->client, s, irp, FAKE_WSK_CONTROL, &status);

    if (!request)
        return status;
    VCK_ASSERT(!ret_out_bytes && "only without an IRP");
    request->out = out;
    request->out_bytes = out_bytes;
    request->succeed = succeed_control;
    if (!set_control(request, type, code, level, in_bytes, in))
        return fake_wsk_finish(request, STATUS_INVALID_PARAMETER);
    return fake_wsk_submit(request);
}

/* ---- the end ---- */

static void on_closed(struct vck_socket_io *io)
{
    struct request *request = VCK_CONTAINER_OF(io, struct request, io);
    struct fake_socket *s = request->socket;

    request->socket = NULL;
    __atomic_fetch_sub(&s->client->live, 1, __ATOMIC_ACQ_REL);
    free(s);
    fake_wsk_done(request, STATUS_SUCCESS);
}

/* A reset, unless both ends have ended their streams. Never cancelled. */
static NTSTATUS wsk_close_socket(PWSK_SOCKET socket, PIRP irp)
{
    struct fake_socket *s = of(socket);
    NTSTATUS status;
    struct request *request = fake_wsk_begin(s->client, s, irp, FAKE_WSK_CLOSE, &status);

    VCK_ASSERT(__atomic_load_n(&s->calls, __ATOMIC_ACQUIRE) == 1 && "no call is in progress");
    __atomic_store_n(&s->is_closing, true, __ATOMIC_RELEASE);
    if (__atomic_load_n(&s->is_connected, __ATOMIC_ACQUIRE) &&
        !(__atomic_load_n(&s->is_disconnected, __ATOMIC_ACQUIRE) &&
          __atomic_load_n(&s->is_at_end, __ATOMIC_ACQUIRE)))
        (void)host_set(s, VCK_SOCKET_RESET_ON_CLOSE, 1);
    request->io.op = VCK_SOCKET_CLOSE;
    request->io.done = on_closed;
    (void)__atomic_sub_fetch(&request->refs, 1, __ATOMIC_ACQ_REL);
    vck_sockets_submit(&s->host, &request->io);
    return STATUS_PENDING;
}

/* ---- made ---- */

static const WSK_PROVIDER_CONNECTION_DISPATCH connection_dispatch = {
    .Basic = {wsk_control_socket, wsk_close_socket},
    .WskBind = wsk_bind,
    .WskConnect = wsk_connect,
    .WskGetLocalAddress = wsk_get_local_address,
    .WskGetRemoteAddress = wsk_get_remote_address,
    .WskSend = wsk_send,
    .WskReceive = wsk_receive,
    .WskDisconnect = wsk_disconnect,
};

static const WSK_PROVIDER_LISTEN_DISPATCH listen_dispatch = {
    .Basic = {wsk_control_socket, wsk_close_socket},
    .WskBind = wsk_bind,
    .WskAccept = wsk_accept,
    .WskGetLocalAddress = wsk_get_local_address,
};

static const WSK_PROVIDER_DATAGRAM_DISPATCH datagram_dispatch = {
    .Basic = {wsk_control_socket, wsk_close_socket},
    .WskBind = wsk_bind,
    .WskSendTo = wsk_send_to,
    .WskReceiveFrom = wsk_receive_from,
    .WskGetLocalAddress = wsk_get_local_address,
};

struct fake_socket *fake_wsk_socket_create(struct fake_client *client, uint32_t kind, USHORT family)
{
    struct fake_socket *s = calloc(1, sizeof *s);

    VCK_ASSERT(s != NULL);
    s->wsk.Dispatch = kind == WSK_FLAG_LISTEN_SOCKET     ? (const void *)&listen_dispatch
                      : kind == WSK_FLAG_DATAGRAM_SOCKET ? (const void *)&datagram_dispatch
                                                         : (const void *)&connection_dispatch;
    s->client = client;
    s->kind = kind;
    s->family = family;
    __atomic_fetch_add(&client->live, 1, __ATOMIC_ACQ_REL);
    return s;
}

/* As on Windows, IPv6 is that alone. */
NTSTATUS fake_wsk_socket(PWSK_CLIENT wsk_client, USHORT family, USHORT type, ULONG protocol,
                         ULONG flags, PVOID context, const VOID *dispatch, PEPROCESS process,
                         PETHREAD thread, PVOID security, PIRP irp) VCK_NO_ANALYSIS
{
    struct fake_client *client = (struct fake_client *)wsk_client;
    bool is_datagram = flags == WSK_FLAG_DATAGRAM_SOCKET;
    NTSTATUS status;
    struct request *request = fake_wsk_begin(client, NULL, irp, FAKE_WSK_SOCKET, &status);

    if (!request)
        return status;
    VCK_ASSERT(!context && !dispatch && !process && !thread && !security);
    VCK_ASSERT(type == (is_datagram ? WSK_SOCK_DGRAM : WSK_SOCK_STREAM));
    VCK_ASSERT(protocol == (is_datagram ? WSK_IPPROTO_UDP : WSK_IPPROTO_TCP));
    struct fake_socket *s = fake_wsk_socket_create(client, flags, family);
    vck_status host_status = vck_sockets_socket(
        client->host, family == WSK_AF_INET6 ? VCK_ADDRESS_IPV6 : VCK_ADDRESS_IPV4,
        is_datagram ? VCK_SOCKET_DATAGRAM : VCK_SOCKET_STREAM, &s->host, NULL);
    if (host_status == VCK_OK) {
        (void)host_set(s, VCK_SOCKET_V6_ONLY, 1);
        request->information = (ULONG_PTR)s;
    } else {
        __atomic_fetch_sub(&client->live, 1, __ATOMIC_ACQ_REL);
        free(s);
    }
    return fake_wsk_finish(request, fake_wsk_status(request, host_status));
}
