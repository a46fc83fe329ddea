/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binding's packet socket: opened without receiving anything, sends, closed. Whoever hands over
 * sends carries them out, in one system call as far as possible; who comes meanwhile leaves his to
 * him. What finds no room waits until the thread sees some.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "port/posix/frame_internal.h"
#include "port/posix/posix.h"
#include "vck/bytes.h"
#include "vck/span.h"

#define BATCH_SENDS 32u
#define PIECES_MAX  64u /* of a batch; of one frame, too */

/* ---- open and close ---- */

void vck_frames_open(struct vck_frames_protocol *protocol, struct vck_frames_bind *bind,
                     struct vck_frames_binding *binding)
{
    struct adapter *adapter = VCK_CONTAINER_OF(bind, struct adapter, bind);
    struct frame_socket *s = vck_alloc(sizeof(*s), FRAMES_TAG);

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!s) {
        vck_level level = vck_frames_raise();
        binding->handlers->opened(binding, VCK_NO_MEMORY);
        vck_frames_lower(level);
        return;
    }
    s->protocol = protocol;
    s->binding = binding;
    s->adapter = adapter;
    s->index = bind->index;
    s->fd = -1;
    s->last_send = &s->first_send;
    vck_spinlock_init(&s->send_lock);
    binding->port_data = s;
    vck_spinlock_acquire(&protocol->lock);
    s->next = protocol->to_open;
    protocol->to_open = s;
    vck_spinlock_release(&protocol->lock);
    vck_frames_wake(protocol);
}

void vck_frames_close(struct vck_frames_binding *binding)
{
    struct frame_socket *s = binding->port_data;
    struct vck_frames_protocol *protocol = s->protocol;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_spinlock_acquire(&protocol->lock);
    s->next = protocol->to_close;
    protocol->to_close = s;
    vck_spinlock_release(&protocol->lock);
    vck_frames_wake(protocol);
}

static int open_descriptor(struct frame_socket *s)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)s->index};
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = s};
    int wanted = 4 << 20;

    s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return -1;
    if (setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof(wanted)))
        (void)setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted));
    if (bind(s->fd, (struct sockaddr *)&address, sizeof(address)))
        return -1;
    return epoll_ctl(s->protocol->epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
}

static void free_socket(struct frame_socket *s)
{
    vck_frames_ring_destroy(s);
    if (s->fd >= 0)
        close(s->fd);
    vck_free(s);
}

void vck_frames_socket_open(struct frame_socket *s)
{
    struct vck_frames_binding *binding = s->binding;
    vck_status status = VCK_OK;
    vck_level level;

    if (open_descriptor(s)) {
        status = vck_posix_status_from_errno(errno);
        free_socket(s);
    } else {
        s->adapter->binding = binding;
        s->adapter->socket = s;
    }
    level = vck_frames_raise();
    binding->handlers->opened(binding, status);
    vck_frames_lower(level);
}

void vck_frames_socket_close(struct frame_socket *s)
{
    struct vck_frames_binding *binding = s->binding;
    vck_level level;

    s->adapter->socket = NULL;
    binding->port_data = NULL;
    free_socket(s);
    level = vck_frames_raise();
    binding->handlers->closed(binding);
    vck_frames_lower(level);
}

/* ---- sending ---- */

/* Adds the pieces of a frame; their number, 0: there are too many, or no memory to map them. */
static size_t gather(const struct vck_frames_send *send, struct iovec *pieces, size_t capacity)
{
    struct vck_span span = vck_span_of(send->first, send->offset_bytes, send->size_bytes);
    struct vck_buffer buffer;
    size_t count = 0;

    for (;;) {
        if (vck_span_next(&span, &buffer) != VCK_OK)
            return 0;
        if (buffer.size_bytes == 0)
            return count;
        if (count == capacity)
            return 0;
        pieces[count++] = (struct iovec){buffer.data, buffer.size_bytes};
    }
}

static vck_status status_of_send(int error)
{
    switch (error) {
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
        return VCK_NOT_READY;
    default:
        return vck_posix_status_from_errno(error);
    }
}

static void finish(struct frame_socket *s, struct vck_frames_send *first)
{
    vck_level level = vck_frames_raise();

    s->binding->handlers->sent(s->binding, first);
    vck_frames_lower(level);
}

/* A list of at most a batch, taken off the front; NULL: there are none. */
static struct vck_frames_send *take_batch(struct frame_socket *s)
{
    struct vck_frames_send *first;
    struct vck_frames_send **end = &first;
    uint32_t count = 0;

    vck_spinlock_acquire(&s->send_lock);
    first = s->first_send;
    while (*end && count < BATCH_SENDS) {
        end = &(*end)->next;
        count++;
    }
    s->first_send = *end;
    if (!s->first_send)
        s->last_send = &s->first_send;
    *end = NULL;
    if (!first)
        s->is_sending = false;
    vck_spinlock_release(&s->send_lock);
    return first;
}

/* Back to the front, until there is room. */
static void put_back(struct frame_socket *s, struct vck_frames_send *first)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.ptr = s};
    struct vck_frames_send **end = &first->next;

    while (*end)
        end = &(*end)->next;
    vck_spinlock_acquire(&s->send_lock);
    *end = s->first_send;
    if (!s->first_send)
        s->last_send = end;
    s->first_send = first;
    s->waits_for_room = true;
    s->is_sending = false;
    vck_spinlock_release(&s->send_lock);
    (void)epoll_ctl(s->protocol->epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
}

/* Messages for as many of the list as have room for their pieces; a frame that has none even alone
 * gets a message of none, which fails by itself. */
static unsigned prepare(struct vck_frames_send *send, struct mmsghdr *messages,
                        struct iovec *pieces)
{
    size_t used = 0;
    unsigned count = 0;

    for (; send && count < BATCH_SENDS; send = send->next) {
        size_t own = gather(send, pieces + used, PIECES_MAX - used);
        if (own == 0 && used > 0)
            break;
        messages[count++].msg_hdr =
            (struct msghdr){.msg_iov = own ? pieces + used : NULL, .msg_iovlen = own};
        used += own;
        if (own == 0)
            break;
    }
    return count;
}

/* Sends from the front of the list; returns what is left when there was no room, else NULL. Those
 * that are over get their status and stay in *list. */
static struct vck_frames_send *send_batch(struct frame_socket *s, struct vck_frames_send *list)
{
    struct iovec pieces[PIECES_MAX];
    struct mmsghdr messages[BATCH_SENDS];

    while (list) {
        unsigned count = prepare(list, messages, pieces);
        int sent = sendmmsg(s->fd, messages, count, 0);
        int error = errno;
        if (sent < 0 && error == EINTR)
            continue;
        if (sent < 0 && error == EAGAIN)
            return list;
        for (int i = 0; i < sent; i++, list = list->next)
            list->status = VCK_OK;
        if (sent >= 0)
            continue;
        list->status = status_of_send(error);
        list->native_error = error;
        list = list->next;
    }
    return NULL;
}

static void cut_before(struct vck_frames_send **list, const struct vck_frames_send *rest)
{
    while (*list != rest)
        list = &(*list)->next;
    *list = NULL;
}

/* By whoever has set is_sending. The caller keeps the socket: its hold of the binding, or it is the
 * thread. */
static void send_all(struct frame_socket *s)
{
    struct vck_frames_send *list;
    struct vck_frames_send *rest = NULL;

    while (!rest && (list = take_batch(s)) != NULL) {
        rest = send_batch(s, list);
        cut_before(&list, rest);
        if (rest)
            put_back(s, rest);
        if (list)
            finish(s, list);
    }
}

static bool enqueue(struct frame_socket *s, struct vck_frames_send *first)
{
    struct vck_frames_send **end = &first;
    bool is_mine;

    while (*end)
        end = &(*end)->next;
    vck_spinlock_acquire(&s->send_lock);
    *s->last_send = first;
    s->last_send = end;
    is_mine = !s->is_sending && !s->waits_for_room;
    if (is_mine)
        s->is_sending = true;
    vck_spinlock_release(&s->send_lock);
    return is_mine;
}

void vck_frames_send(struct vck_frames_binding *binding, struct vck_frames_send *first)
{
    struct frame_socket *s = binding->port_data;

    if (enqueue(s, first))
        send_all(s);
}

void vck_frames_cancel_sends(struct vck_frames_binding *binding, uint64_t cancel_id)
{
    struct frame_socket *s = binding->port_data;
    struct vck_frames_send *cancelled = NULL;
    struct vck_frames_send **end = &cancelled;
    struct vck_frames_send **link;

    vck_spinlock_acquire(&s->send_lock);
    for (link = &s->first_send; *link;) {
        struct vck_frames_send *send = *link;
        if (send->cancel_id != cancel_id) {
            link = &send->next;
            continue;
        }
        *link = send->next;
        send->next = NULL;
        send->status = VCK_CANCELLED;
        *end = send;
        end = &send->next;
    }
    s->last_send = link;
    vck_spinlock_release(&s->send_lock);
    if (cancelled)
        finish(s, cancelled);
}

/* ---- the thread ---- */

static void room(struct frame_socket *s)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = s};
    bool is_mine;

    vck_spinlock_acquire(&s->send_lock);
    is_mine = s->waits_for_room && !s->is_sending;
    s->waits_for_room = false;
    if (is_mine)
        s->is_sending = true;
    vck_spinlock_release(&s->send_lock);
    (void)epoll_ctl(s->protocol->epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
    if (is_mine)
        send_all(s);
}

void vck_frames_socket_event(struct frame_socket *s, uint32_t events)
{
    int error;
    socklen_t size = sizeof(error);

    /* That the interface is down, say: what it means comes as news of the link. */
    if (events & EPOLLERR)
        (void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (s->ring)
        vck_frames_ring_read(s);
    if (events & (EPOLLOUT | EPOLLERR))
        room(s);
}
