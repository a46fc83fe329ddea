/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection is one handle. Requests are packets, performed as they come and answered as they
 * end; the tag of a request comes back with its answer. One thread reads and writes; calls end on
 * any thread and only hand themselves over to it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "prot.h"

#define CONNECTION_TAG VCK_TAG('v', 'p', 'r', 't')

struct pending {
    struct vck_frame_control_call call;
    struct connection *connection;
    struct pending *next;
    uint8_t in[PACKET_BYTES_MAX];
    uint8_t out[PACKET_BYTES_MAX];
    size_t size_bytes; /* of the packet in `in`, then of the one in `out` */
};

struct connection {
    struct vck_frame_handle handle;
    int fd;
    int ended_fd; /* an event: a call has ended */
    struct pending *spare;
    unsigned in_flight; /* with the dispatcher, or ended and not answered */
    struct pending *unsent;
    struct pending **unsent_end;

    struct vck_spinlock lock;
    struct pending *ended; /* newest first */
};

int connection_fd(const struct connection *connection)
{
    return connection->fd;
}

/* ---- calls ---- */

static void call_done(struct vck_frame_control_call *call)
{
    static const uint64_t one = 1;
    struct pending *pending = VCK_CONTAINER_OF(call, struct pending, call);
    struct connection *connection = pending->connection;
    int ended_fd = connection->ended_fd;
    bool is_first;

    vck_spinlock_acquire(&connection->lock);
    pending->next = connection->ended;
    is_first = !connection->ended;
    connection->ended = pending;
    /* Under the lock: the connection is not over before it was released. */
    if (is_first)
        (void)!write(ended_fd, &one, sizeof(one));
    vck_spinlock_release(&connection->lock);
}

static void begin(struct connection *connection, struct pending *pending) VCK_CAN_WAIT
{
    connection->in_flight++;
    pending->connection = connection;
    pending->call = (struct vck_frame_control_call){
        .handle = &connection->handle,
        .code = vck_load_le32(pending->in),
        .in = pending->in + PACKET_HEAD,
        .in_bytes = pending->size_bytes - PACKET_HEAD,
        .out = pending->out + PACKET_HEAD,
        .out_bytes = sizeof(pending->out) - PACKET_HEAD,
        .done = call_done,
    };
    vck_frame_control_start(&pending->call);
}

/* The packet of the answer: data, or a refusal in words. */
static void make_answer(struct pending *pending)
{
    const struct vck_frame_control_call *call = &pending->call;
    bool has_data = call->nt == 0 || call->nt == VCK_FRAME_NT_TRUNCATED;

    vck_store_le32(pending->out, call->nt);
    memcpy(pending->out + 4, pending->in + 4, 4);
    pending->size_bytes = PACKET_HEAD;
    if (has_data && call->code != VCK_FRAME_CODE_WRITE) {
        pending->size_bytes += call->done_bytes;
    } else if (!has_data && call->why) {
        size_t size = strlen(call->why);
        memcpy(pending->out + PACKET_HEAD, call->why, size);
        pending->size_bytes += size;
    }
}

static void take_ended(struct connection *connection)
{
    struct pending *ended;
    struct pending *in_order = NULL;
    uint64_t count;

    vck_spinlock_acquire(&connection->lock);
    ended = connection->ended;
    connection->ended = NULL;
    if (ended)
        (void)!read(connection->ended_fd, &count, sizeof(count));
    vck_spinlock_release(&connection->lock);
    while (ended) {
        struct pending *pending = ended;
        ended = pending->next;
        pending->next = in_order;
        in_order = pending;
    }
    while (in_order) {
        struct pending *pending = in_order;
        in_order = pending->next;
        pending->next = NULL;
        make_answer(pending);
        *connection->unsent_end = pending;
        connection->unsent_end = &pending->next;
    }
}

/* ---- packets ---- */

static struct pending *take_spare(struct connection *connection)
{
    struct pending *pending = connection->spare;

    if (!pending)
        return vck_alloc(sizeof(*pending), CONNECTION_TAG);
    connection->spare = pending->next;
    return pending;
}

static void put_spare(struct connection *connection, struct pending *pending)
{
    pending->next = connection->spare;
    connection->spare = pending;
}

/* False: the other side has hung up, or sends what is no packet. */
static bool read_packets(struct connection *connection) VCK_CAN_WAIT
{
    struct mmsghdr messages[PACKETS_BATCH];
    struct iovec pieces[PACKETS_BATCH];
    struct pending *taken[PACKETS_BATCH];
    unsigned room = VCK_MIN(CALLS_MAX - connection->in_flight, PACKETS_BATCH);
    unsigned count = 0;
    bool is_good = true;
    int got;

    memset(messages, 0, sizeof(messages));
    for (; count < room && (taken[count] = take_spare(connection)) != NULL; count++) {
        pieces[count] = (struct iovec){taken[count]->in, sizeof(taken[count]->in)};
        messages[count].msg_hdr.msg_iov = &pieces[count];
        messages[count].msg_hdr.msg_iovlen = 1;
    }
    got = count == 0 ? 0 : recvmmsg(connection->fd, messages, count, MSG_DONTWAIT, NULL);
    if (count == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        is_good = false;
    for (unsigned i = 0; i < count; i++) {
        bool has_come = got > 0 && i < (unsigned)got && is_good;
        taken[i]->size_bytes = has_come ? messages[i].msg_len : 0;
        /* Nothing at all is the end of the connection. */
        if (has_come && (taken[i]->size_bytes < PACKET_HEAD ||
                         (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0))
            is_good = false;
        if (has_come && is_good)
            begin(connection, taken[i]);
        else
            put_spare(connection, taken[i]);
    }
    return is_good;
}

static bool write_packets(struct connection *connection)
{
    struct mmsghdr messages[PACKETS_BATCH];
    struct iovec pieces[PACKETS_BATCH];
    unsigned count = 0;
    int sent;

    memset(messages, 0, sizeof(messages));
    for (struct pending *p = connection->unsent; p && count < PACKETS_BATCH; p = p->next) {
        pieces[count] = (struct iovec){p->out, p->size_bytes};
        messages[count].msg_hdr.msg_iov = &pieces[count];
        messages[count++].msg_hdr.msg_iovlen = 1;
    }
    if (count == 0)
        return true;
    sent = sendmmsg(connection->fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
    for (int i = 0; i < sent; i++) {
        struct pending *pending = connection->unsent;
        connection->unsent = pending->next;
        if (!connection->unsent)
            connection->unsent_end = &connection->unsent;
        connection->in_flight--;
        put_spare(connection, pending);
    }
    return true;
}

/* ---- the thread ---- */

static bool step(struct connection *connection) VCK_CAN_WAIT
{
    struct pollfd events[2] = {
        {.fd = connection->fd,
         .events = (short)((connection->in_flight < CALLS_MAX ? POLLIN : 0) |
                           (connection->unsent ? POLLOUT : 0))},
        {.fd = connection->ended_fd, .events = POLLIN},
    };

    if (poll(events, 2, -1) < 0)
        return errno == EINTR;
    if ((events[0].revents & POLLIN) && !read_packets(connection))
        return false;
    take_ended(connection);
    if (!write_packets(connection))
        return false;
    return (events[0].revents & (POLLERR | POLLHUP)) == 0 || (events[0].revents & POLLIN) != 0;
}

static void drop_unsent(struct connection *connection)
{
    while (connection->unsent) {
        struct pending *pending = connection->unsent;
        connection->unsent = pending->next;
        connection->in_flight--;
        put_spare(connection, pending);
    }
    connection->unsent_end = &connection->unsent;
}

void connection_run(struct connection *connection)
{
    struct pollfd ended = {.fd = connection->ended_fd, .events = POLLIN};

    while (step(connection))
        continue;
    vck_frame_handle_cleanup(&connection->handle);
    for (;;) {
        take_ended(connection);
        drop_unsent(connection);
        if (connection->in_flight == 0)
            break;
        (void)poll(&ended, 1, -1);
    }
    /* The other side sees the end now, not when the thread is joined. */
    shutdown(connection->fd, SHUT_RDWR);
}

struct connection *connection_create(struct vck_frame_protocol *protocol, int fd)
{
    struct connection *connection = vck_alloc(sizeof(*connection), CONNECTION_TAG);

    if (!connection)
        return NULL;
    connection->fd = fd;
    connection->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    connection->unsent_end = &connection->unsent;
    vck_spinlock_init(&connection->lock);
    vck_frame_handle_init(&connection->handle, protocol);
    connection->handle.can_read = connection->handle.can_write = connection->handle.is_admin = true;
    if (connection->ended_fd >= 0)
        return connection;
    vck_free(connection);
    return NULL;
}

void connection_destroy(struct connection *connection)
{
    while (connection->spare) {
        struct pending *pending = connection->spare;
        connection->spare = pending->next;
        vck_free(pending);
    }
    close(connection->ended_fd);
    close(connection->fd);
    vck_free(connection);
}
