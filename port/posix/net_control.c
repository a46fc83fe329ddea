/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on sockets that never wait, and what the system's errors and addresses are called.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include "port/posix/net_internal.h"
#include "port/posix/posix.h"

/* ---- errors ---- */

/* Where an errno means something else than it does for a disk. */
static const struct {
    int os_error;
    vck_status status;
} net_errors[] = {
    {EMFILE, VCK_NO_MEMORY},
    {ENFILE, VCK_NO_MEMORY},
    {ENOSPC, VCK_NO_MEMORY},
    {ENOTCONN, VCK_NOT_READY},
    {EISCONN, VCK_ALREADY_EXISTS},
    {EALREADY, VCK_BUSY},
    {EADDRNOTAVAIL, VCK_NOT_FOUND},
    {EAFNOSUPPORT, VCK_UNSUPPORTED},
    {EPROTONOSUPPORT, VCK_UNSUPPORTED},
    {ENOPROTOOPT, VCK_UNSUPPORTED},
    {EDESTADDRREQ, VCK_INVALID_DATA},
    {EDOM, VCK_INVALID_DATA},
    {ENETDOWN, VCK_UNREACHABLE},
    {EHOSTDOWN, VCK_UNREACHABLE},
    {ENETRESET, VCK_RESET},
};

vck_status vck_posix_net_status(int os_error)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(net_errors); i++)
        if (net_errors[i].os_error == os_error)
            return net_errors[i].status;
    return vck_posix_status_from_errno(os_error);
}

void vck_posix_net_fail(struct vck_socket_io *io, int os_error)
{
    /* To a peer that is what it is; from here it means that no local port is left. */
    bool ports_exhausted = io->op == VCK_SOCKET_CONNECT && os_error == EADDRNOTAVAIL;
    io->status = ports_exhausted ? VCK_ADDRESS_IN_USE : vck_posix_net_status(os_error);
    io->native_error = os_error;
}

/* ---- addresses ---- */

socklen_t vck_posix_address_to_system(const struct vck_address *address,
                                      struct sockaddr_storage *ret_system)
{
    *ret_system = (struct sockaddr_storage){0};
    if (address->family == VCK_ADDRESS_IPV6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret_system;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address->port);
        v6->sin6_scope_id = address->scope_id;
        memcpy(&v6->sin6_addr, address->bytes, 16);
        return sizeof(*v6);
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret_system;
    v4->sin_family = address->family == VCK_ADDRESS_IPV4 ? AF_INET : AF_UNSPEC;
    v4->sin_port = htons(address->port);
    memcpy(&v4->sin_addr, address->bytes, 4);
    return sizeof(*v4);
}

void vck_posix_address_from_system(const struct sockaddr *system, struct vck_address *ret_address)
{
    struct vck_address address = {0};
    if (system->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)system;
        address.family = VCK_ADDRESS_IPV6;
        address.port = ntohs(v6->sin6_port);
        address.scope_id = v6->sin6_scope_id;
        memcpy(address.bytes, &v6->sin6_addr, 16);
    } else if (system->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)system;
        address.family = VCK_ADDRESS_IPV4;
        address.port = ntohs(v4->sin_port);
        memcpy(address.bytes, &v4->sin_addr, 4);
    }
    *ret_address = address;
}

static int query_address(struct posix_socket *s, struct vck_socket_io *io)
{
    struct sockaddr_storage system = {0};
    socklen_t size = sizeof(system);
    int result = io->op == VCK_SOCKET_LOCAL_ADDRESS
                     ? getsockname(s->fd, (struct sockaddr *)&system, &size)
                     : getpeername(s->fd, (struct sockaddr *)&system, &size);
    if (result == 0)
        vck_posix_address_from_system((struct sockaddr *)&system, &io->address);
    return result;
}

/* ---- options ---- */

static const struct {
    int level;
    int name;
} options[VCK_SOCKET_PORT_OPTION_COUNT] = {
    [VCK_SOCKET_NO_DELAY] = {IPPROTO_TCP, TCP_NODELAY},
    [VCK_SOCKET_KEEP_ALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
    [VCK_SOCKET_KEEP_ALIVE_IDLE_S] = {IPPROTO_TCP, TCP_KEEPIDLE},
    [VCK_SOCKET_KEEP_ALIVE_INTERVAL_S] = {IPPROTO_TCP, TCP_KEEPINTVL},
    [VCK_SOCKET_KEEP_ALIVE_COUNT] = {IPPROTO_TCP, TCP_KEEPCNT},
    [VCK_SOCKET_REUSE_ADDRESS] = {SOL_SOCKET, SO_REUSEADDR},
    [VCK_SOCKET_SEND_BUFFER_BYTES] = {SOL_SOCKET, SO_SNDBUF},
    [VCK_SOCKET_RECV_BUFFER_BYTES] = {SOL_SOCKET, SO_RCVBUF},
    [VCK_SOCKET_RESET_ON_CLOSE] = {SOL_SOCKET, SO_LINGER},
    [VCK_SOCKET_BROADCAST] = {SOL_SOCKET, SO_BROADCAST},
    [VCK_SOCKET_V6_ONLY] = {IPPROTO_IPV6, IPV6_V6ONLY},
};

static int set_option(struct posix_socket *s, struct vck_socket_io *io)
{
    struct linger linger = {.l_onoff = io->u.value != 0};
    int value = (int)io->u.value;
    if (io->option >= VCK_SOCKET_PORT_OPTION_COUNT || io->u.value > INT32_MAX) {
        errno = io->option >= VCK_SOCKET_PORT_OPTION_COUNT ? ENOPROTOOPT : EINVAL;
        return -1;
    }
    if (io->option == VCK_SOCKET_RESET_ON_CLOSE)
        return setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    return setsockopt(s->fd, options[io->option].level, options[io->option].name, &value,
                      sizeof(value));
}

static int get_option(struct posix_socket *s, struct vck_socket_io *io)
{
    struct linger linger = {0};
    int value = 0;
    bool is_linger = io->option == VCK_SOCKET_RESET_ON_CLOSE;
    socklen_t size = is_linger ? sizeof(linger) : sizeof(value);
    if (io->option >= VCK_SOCKET_PORT_OPTION_COUNT) {
        errno = ENOPROTOOPT;
        return -1;
    }
    void *where = is_linger ? (void *)&linger : (void *)&value;
    if (getsockopt(s->fd, options[io->option].level, options[io->option].name, where, &size) < 0)
        return -1;
    io->u.value = is_linger ? linger.l_onoff != 0 && linger.l_linger == 0 : (uint64_t)value;
    return 0;
}

static int query(struct posix_socket *s, struct vck_socket_io *io)
{
    static const unsigned long requests[VCK_SOCKET_IOCTL_COUNT] = {
        [VCK_SOCKET_READABLE_BYTES] = SIOCINQ,
        [VCK_SOCKET_UNSENT_BYTES] = SIOCOUTQ,
        [VCK_SOCKET_AT_MARK] = SIOCATMARK,
    };
    int value = 0;
    if (io->option >= VCK_SOCKET_IOCTL_COUNT) {
        errno = ENOTTY;
        return -1;
    }
    if (ioctl(s->fd, requests[io->option], &value) < 0)
        return -1;
    io->u.value = (uint64_t)value;
    return 0;
}

/* ---- the rest ---- */

static int bind_to(struct posix_socket *s, struct vck_socket_io *io)
{
    struct sockaddr_storage system;
    socklen_t size = vck_posix_address_to_system(&io->address, &system);
    return bind(s->fd, (struct sockaddr *)&system, size);
}

static int shut_down(struct posix_socket *s, struct vck_socket_io *io)
{
    static const int how[] = {
        [VCK_SOCKET_END_RECV] = SHUT_RD,
        [VCK_SOCKET_END_SEND] = SHUT_WR,
        [VCK_SOCKET_END_BOTH] = SHUT_RDWR,
    };
    if (io->u.value < VCK_SOCKET_END_RECV || io->u.value > VCK_SOCKET_END_BOTH) {
        errno = EINVAL;
        return -1;
    }
    return shutdown(s->fd, how[io->u.value]);
}

static int perform(struct posix_socket *s, struct vck_socket_io *io)
{
    switch (io->op) {
    case VCK_SOCKET_BIND:
        return bind_to(s, io);
    case VCK_SOCKET_LISTEN:
        return listen(s->fd, (int)VCK_MIN(io->u.value, (uint64_t)INT32_MAX));
    case VCK_SOCKET_SHUTDOWN:
        return shut_down(s, io);
    case VCK_SOCKET_SET_OPTION:
        return set_option(s, io);
    case VCK_SOCKET_GET_OPTION:
        return get_option(s, io);
    case VCK_SOCKET_IOCTL:
        return query(s, io);
    case VCK_SOCKET_LOCAL_ADDRESS:
    case VCK_SOCKET_PEER_ADDRESS:
        return query_address(s, io);
    default:
        errno = EINVAL;
        return -1;
    }
}

void vck_posix_net_control(struct posix_socket *s, struct vck_socket_io *io)
{
    if (perform(s, io) < 0)
        vck_posix_net_fail(io, errno);
}
