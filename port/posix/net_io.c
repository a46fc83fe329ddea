/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that may have to wait, tried once. Nothing here takes a lock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>
#include "port/posix/net_internal.h"

#define PIECES_MAX 16u

/* The buffers are handed to the system as they are when nothing has been done of them yet. */
_Static_assert(sizeof(struct vck_socket_buffer) == sizeof(struct iovec), "same shape");
_Static_assert(offsetof(struct vck_socket_buffer, data) == offsetof(struct iovec, iov_base), "");
_Static_assert(offsetof(struct vck_socket_buffer, size_bytes) == offsetof(struct iovec, iov_len),
               "");

static enum outcome fail(struct vck_socket_io *io, int os_error)
{
    vck_posix_net_fail(io, os_error);
    return OUTCOME_DONE;
}

static bool is_for_later(int os_error)
{
    return os_error == EAGAIN || os_error == EWOULDBLOCK;
}

/* ---- buffers ---- */

static size_t total_bytes(const struct vck_socket_io *io)
{
    size_t total = 0;
    for (uint32_t i = 0; i < io->buffer_count; i++)
        total += io->buffers[i].size_bytes;
    return total;
}

/* What is left after done_bytes, in at most PIECES_MAX pieces; a datagram must not be cut. */
struct pieces {
    struct iovec vectors[PIECES_MAX];
    unsigned count;
    size_t bytes;
};

static void cut(const struct vck_socket_io *io, struct pieces *ret_pieces)
{
    size_t skip = io->done_bytes;
    ret_pieces->count = 0;
    ret_pieces->bytes = 0;
    for (uint32_t i = 0; i < io->buffer_count && ret_pieces->count < PIECES_MAX; i++) {
        const struct vck_socket_buffer *buffer = &io->buffers[i];
        size_t from = VCK_MIN(skip, buffer->size_bytes);
        skip -= from;
        if (from == buffer->size_bytes)
            continue;
        ret_pieces->vectors[ret_pieces->count++] = (struct iovec){
            .iov_base = (char *)buffer->data + from, .iov_len = buffer->size_bytes - from};
        ret_pieces->bytes += buffer->size_bytes - from;
    }
}

/* ---- streams ---- */

static enum outcome send_stream(struct posix_socket *s, struct vck_socket_io *io)
{
    for (;;) {
        struct pieces pieces;
        cut(io, &pieces);
        if (pieces.count == 0)
            return OUTCOME_DONE;
        struct msghdr message = {.msg_iov = pieces.vectors, .msg_iovlen = pieces.count};
        ssize_t sent = pieces.count == 1 ? send(s->fd, pieces.vectors[0].iov_base,
                                                pieces.vectors[0].iov_len, MSG_NOSIGNAL)
                                         : sendmsg(s->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return is_for_later(errno) ? OUTCOME_WAIT : fail(io, errno);
        io->done_bytes += (size_t)sent;
        bool is_short = (size_t)sent < pieces.bytes && !posix_socket_is(&s->failed);
        if (!(io->flags & VCK_SOCKET_ALL))
            return is_short ? OUTCOME_DRAINED : OUTCOME_DONE;
        if (is_short)
            return OUTCOME_WAIT;
    }
}

/* Whether reads that stop short prove nothing: an error, or bytes behind a mark, come after them
 * and no event will tell. */
static bool more_may_follow(const struct posix_socket *s)
{
    return posix_socket_is(&s->failed) || posix_socket_is(&s->urgent);
}

/* A read that stops short has taken everything there was; once the peer's end has arrived, that
 * includes the end, and the read that would only say so is saved. */
static enum outcome recv_stream(struct posix_socket *s, struct vck_socket_io *io)
{
    for (;;) {
        struct pieces pieces;
        cut(io, &pieces);
        if (pieces.count == 0 || s->at_end)
            return OUTCOME_DONE;
        if (posix_socket_is(&s->is_client) && !posix_socket_is(&s->registered))
            return OUTCOME_WAIT;
        bool more = more_may_follow(s);
        bool end_is_here = posix_socket_is(&s->peer_ended) && !more;
        struct msghdr message = {.msg_iov = pieces.vectors, .msg_iovlen = pieces.count};
        ssize_t got = pieces.count == 1
                          ? recv(s->fd, pieces.vectors[0].iov_base, pieces.vectors[0].iov_len, 0)
                          : recvmsg(s->fd, &message, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return is_for_later(errno) ? OUTCOME_WAIT : fail(io, errno);
        io->done_bytes += (size_t)got;
        bool is_short = (size_t)got < pieces.bytes;
        s->at_end = got == 0 || (is_short && end_is_here);
        if (s->at_end)
            return OUTCOME_DONE;
        if (!(io->flags & VCK_SOCKET_ALL))
            return is_short && !more ? OUTCOME_DRAINED : OUTCOME_DONE;
        if (is_short && !more)
            return OUTCOME_WAIT;
    }
}

/* ---- datagrams ---- */

/* More pieces than fit are refused rather than sent as several datagrams. */
static enum outcome send_datagram(struct posix_socket *s, struct vck_socket_io *io)
{
    struct pieces pieces;
    cut(io, &pieces);
    if (pieces.bytes != total_bytes(io))
        return fail(io, EMSGSIZE);
    struct sockaddr_storage to;
    struct msghdr message = {.msg_iov = pieces.vectors, .msg_iovlen = pieces.count};
    if (io->op == VCK_SOCKET_SEND_TO) {
        message.msg_name = &to;
        message.msg_namelen = vck_posix_address_to_system(&io->address, &to);
    }
    ssize_t sent;
    do
        sent = sendmsg(s->fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return is_for_later(errno) ? OUTCOME_WAIT : fail(io, errno);
    io->done_bytes = (size_t)sent;
    return OUTCOME_DONE;
}

static enum outcome recv_datagram(struct posix_socket *s, struct vck_socket_io *io)
{
    struct pieces pieces;
    cut(io, &pieces);
    struct sockaddr_storage from = {0};
    struct msghdr message = {.msg_iov = pieces.vectors,
                             .msg_iovlen = pieces.count,
                             .msg_name = &from,
                             .msg_namelen = sizeof(from)};
    ssize_t got;
    do
        got = recvmsg(s->fd, &message, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return is_for_later(errno) ? OUTCOME_WAIT : fail(io, errno);
    io->done_bytes = (size_t)got;
    if (io->op == VCK_SOCKET_RECV_FROM)
        vck_posix_address_from_system((struct sockaddr *)&from, &io->address);
    if (message.msg_flags & MSG_TRUNC)
        io->status = VCK_SIZE_MISMATCH;
    return OUTCOME_DONE;
}

/* ---- connections ---- */

static enum outcome connected(struct posix_socket *s, struct vck_socket_io *io)
{
    io->port_state = IO_CONNECTED;
    s->connected = s->is_stream;
    return s->is_stream && io->buffer_count > 0 ? send_stream(s, io) : OUTCOME_DONE;
}

/* A connection over the local host is often complete when connect returns, although it says
 * otherwise: what there is to send is tried without waiting to be told. */
static enum outcome begin_connect(struct posix_socket *s, struct vck_socket_io *io)
{
    struct sockaddr_storage peer;
    socklen_t size = vck_posix_address_to_system(&io->address, &peer);
    /* The system would report the end of an earlier connect as that of this one. */
    if (posix_socket_is(&s->is_client))
        return fail(io, s->connected ? EISCONN : EALREADY);
    if (s->is_stream)
        posix_socket_set(&s->is_client);
    if (connect(s->fd, (struct sockaddr *)&peer, size) == 0)
        return connected(s, io);
    if (errno != EINPROGRESS && errno != EINTR)
        return fail(io, errno);
    io->port_state = IO_CONNECTING;
    if (io->buffer_count == 0)
        return OUTCOME_WAIT;
    enum outcome outcome = send_stream(s, io);
    s->connected = io->done_bytes > 0;
    if (s->connected)
        io->port_state = IO_CONNECTED;
    return outcome;
}

static enum outcome try_connect(struct posix_socket *s, struct vck_socket_io *io)
{
    if (io->port_state == 0)
        return begin_connect(s, io);
    if (io->port_state == IO_CONNECTING && posix_socket_is(&s->failed)) {
        int error = 0;
        socklen_t size = sizeof(error);
        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            error = errno;
        if (error != 0)
            return fail(io, error);
    }
    return connected(s, io);
}

/* A connection that its peer gave up before it was accepted is passed over. */
static enum outcome try_accept(struct posix_socket *s, struct vck_socket_io *io)
{
    struct sockaddr_storage peer = {0};
    socklen_t size;
    int fd;
    do {
        size = sizeof(peer);
        fd = accept4(s->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    if (fd < 0)
        return is_for_later(errno) ? OUTCOME_WAIT : fail(io, errno);
    io->u.accepted = (void *)(intptr_t)fd;
    vck_posix_address_from_system((struct sockaddr *)&peer, &io->address);
    return OUTCOME_DONE;
}

enum outcome vck_posix_net_attempt(struct posix_socket *s, struct vck_socket_io *io)
{
    int fault = __atomic_load_n(&s->fault, __ATOMIC_ACQUIRE);
    if (fault != 0)
        return fail(io, fault);
    switch (io->op) {
    case VCK_SOCKET_CONNECT:
        return try_connect(s, io);
    case VCK_SOCKET_ACCEPT:
        return try_accept(s, io);
    case VCK_SOCKET_SEND:
    case VCK_SOCKET_SEND_TO:
        return s->is_stream ? send_stream(s, io) : send_datagram(s, io);
    default:
        return s->is_stream ? recv_stream(s, io) : recv_datagram(s, io);
    }
}
