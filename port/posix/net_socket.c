/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket's two queues of operations, and its end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "port/posix/net_internal.h"

void vck_posix_net_complete(struct vck_socket_io *io)
{
    struct thread_state *self = system_thread_state();
    vck_level level = self->level;
    self->level = VCK_LEVEL_DISPATCH;
    io->done(io); /* the io may be gone now */
    self->level = level;
}

static void cancel_one(struct vck_socket_io *io)
{
    io->status = VCK_CANCELLED;
    vck_posix_net_complete(io);
}

/* ---- open ---- */

static void init(struct vck_sockets *sockets, int fd, bool is_stream, struct posix_socket *s)
{
    *s = (struct posix_socket){
        .stack = sockets,
        .fd = fd,
        .references = 1,
        .in.ready = true,
        .out.ready = true,
        .is_stream = is_stream,
    };
    vck_spinlock_init(&s->lock);
}

vck_status vck_sockets_socket(struct vck_sockets *sockets, enum vck_address_family family,
                              enum vck_socket_type type, struct vck_port_socket *socket_storage,
                              int32_t *ret_native_error)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    bool is_stream = type == VCK_SOCKET_STREAM;
    int fd = socket(family == VCK_ADDRESS_IPV6 ? AF_INET6 : AF_INET,
                    (is_stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        int error = errno;
        if (ret_native_error != NULL)
            *ret_native_error = error;
        return vck_posix_net_status(error);
    }
    init(sockets, fd, is_stream, posix_socket(socket_storage));
    return VCK_OK;
}

void vck_sockets_adopt(struct vck_sockets *sockets, void *accepted, struct vck_port_socket *socket)
{
    init(sockets, (int)(intptr_t)accepted, true, posix_socket(socket));
}

void vck_sockets_discard(struct vck_sockets *sockets, void *accepted)
{
    (void)sockets;
    close((int)(intptr_t)accepted);
}

/* ---- queues; all under the socket's lock ---- */

static void push(struct direction *d, struct vck_socket_io *io)
{
    io->port_next = NULL;
    if (d->first == NULL)
        d->first = io;
    else
        d->last->port_next = io;
    d->last = io;
}

static struct vck_socket_io *pop(struct direction *d)
{
    struct vck_socket_io *io = d->first;
    d->first = io->port_next;
    d->cancel_first = false;
    return io;
}

/* Takes io out; false when it is not there, or being worked on and therefore only marked. */
static bool take(struct direction *d, struct vck_socket_io *io)
{
    struct vck_socket_io *before = NULL;
    for (struct vck_socket_io *i = d->first; i != NULL; before = i, i = i->port_next) {
        if (i != io)
            continue;
        if (before == NULL && d->active) {
            d->cancel_first = true;
            return false;
        }
        if (before == NULL)
            d->first = io->port_next;
        else
            before->port_next = io->port_next;
        if (d->last == io)
            d->last = before;
        return true;
    }
    return false;
}

/* Takes out all but the one that is worked on, as a list. */
static struct vck_socket_io *take_all(struct direction *d)
{
    struct vck_socket_io **link = d->active && d->first != NULL ? &d->first->port_next : &d->first;
    struct vck_socket_io *all = *link;
    *link = NULL;
    d->last = d->first;
    return all;
}

/* ---- working on a direction ---- */

/* The first that can be tried now; NULL, and no longer active, when there is none. One that is
 * cancelled is taken out and returned through ret_cancelled. */
static struct vck_socket_io *next(struct posix_socket *s, struct direction *d,
                                  struct vck_socket_io **ret_cancelled)
{
    struct vck_socket_io *io = NULL;
    *ret_cancelled = NULL;
    vck_spinlock_acquire(&s->lock);
    if (d->first != NULL && (s->closing || d->cancel_first))
        *ret_cancelled = pop(d);
    else if (d->first != NULL && d->ready)
        io = d->first;
    else
        d->active = false;
    /* Cleared before the try: an event that comes during it sets it again. */
    if (io != NULL)
        d->ready = false;
    vck_spinlock_release(&s->lock);
    return io;
}

static void finish(struct posix_socket *s, struct direction *d, struct vck_socket_io *io,
                   enum outcome outcome)
{
    vck_spinlock_acquire(&s->lock);
    if (outcome == OUTCOME_DONE || !s->registered)
        d->ready = true;
    (void)pop(d);
    vck_spinlock_release(&s->lock);
    vck_posix_net_complete(io);
}

/* Both directions may get here; the first registers. What cannot be registered fails. */
static void watch(struct posix_socket *s)
{
    vck_spinlock_acquire(&s->lock);
    bool registered = s->registered;
    posix_socket_set(&s->registered);
    vck_spinlock_release(&s->lock);
    if (registered)
        return;
    int error = vck_posix_net_watch(s);
    if (error == 0)
        return;
    __atomic_store_n(&s->fault, error, __ATOMIC_RELEASE);
    vck_posix_net_event(s, EPOLLIN | EPOLLOUT);
}

/* The caller made the direction active and took a reference for it. */
static void run(struct posix_socket *s, struct direction *d)
{
    for (;;) {
        struct vck_socket_io *cancelled;
        struct vck_socket_io *io = next(s, d, &cancelled);
        if (cancelled != NULL) {
            cancel_one(cancelled);
            continue;
        }
        if (io == NULL)
            break;
        enum outcome outcome = vck_posix_net_attempt(s, io);
        if (outcome == OUTCOME_WAIT)
            watch(s);
        else
            finish(s, d, io, outcome);
    }
    vck_posix_net_put(s);
}

/* Under the lock: whether the caller has to run the direction. */
static bool activate(struct posix_socket *s, struct direction *d)
{
    if (d->active || !d->ready || d->first == NULL)
        return false;
    d->active = true;
    __atomic_fetch_add(&s->references, 1, __ATOMIC_RELAXED);
    return true;
}

void vck_posix_net_event(struct posix_socket *s, uint32_t events)
{
    vck_spinlock_acquire(&s->lock);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->in.ready = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        s->out.ready = true;
    if (events & EPOLLPRI)
        posix_socket_set(&s->urgent);
    if (events & (EPOLLHUP | EPOLLERR))
        posix_socket_set(&s->failed);
    else if (events & EPOLLRDHUP)
        posix_socket_set(&s->peer_ended);
    bool run_in = activate(s, &s->in);
    bool run_out = activate(s, &s->out);
    vck_spinlock_release(&s->lock);
    if (run_in)
        run(s, &s->in);
    if (run_out)
        run(s, &s->out);
}

/* ---- submit, cancel, close ---- */

static struct direction *direction_of(struct posix_socket *s, const struct vck_socket_io *io)
{
    switch (io->op) {
    case VCK_SOCKET_ACCEPT:
    case VCK_SOCKET_RECV:
    case VCK_SOCKET_RECV_FROM:
        return &s->in;
    case VCK_SOCKET_CONNECT:
    case VCK_SOCKET_SEND:
    case VCK_SOCKET_SEND_TO:
        return &s->out;
    default:
        return NULL;
    }
}

void vck_posix_net_put(struct posix_socket *s)
{
    if (!vck_holds_put(&s->references))
        return;
    struct vck_socket_io *io = s->close_io;
    if (s->registered)
        vck_posix_net_forget(s);
    close(s->fd);
    io->status = VCK_OK;
    vck_posix_net_complete(io); /* the socket's storage may be gone now */
}

static void begin_close(struct posix_socket *s, struct vck_socket_io *io)
{
    vck_spinlock_acquire(&s->lock);
    FATAL_UNLESS(!s->closing, "a socket is closed once");
    s->closing = true;
    s->close_io = io;
    struct vck_socket_io *lists[2] = {take_all(&s->in), take_all(&s->out)};
    vck_spinlock_release(&s->lock);
    for (int i = 0; i < 2; i++) {
        struct vck_socket_io *following;
        for (struct vck_socket_io *one = lists[i]; one != NULL; one = following) {
            following = one->port_next;
            cancel_one(one);
        }
    }
    vck_posix_net_put(s);
}

static void begin(struct posix_socket *s, struct direction *d, struct vck_socket_io *io)
{
    bool is_ours = false;
    vck_spinlock_acquire(&s->lock);
    bool refused = s->closing;
    if (!refused) {
        push(d, io);
        is_ours = activate(s, d);
    }
    vck_spinlock_release(&s->lock);
    if (refused)
        cancel_one(io);
    else if (is_ours)
        run(s, d);
}

/* The reference keeps the descriptor from being closed, and its number from meaning another. */
static void control(struct posix_socket *s, struct vck_socket_io *io)
{
    vck_spinlock_acquire(&s->lock);
    bool refused = s->closing;
    if (!refused)
        __atomic_fetch_add(&s->references, 1, __ATOMIC_RELAXED);
    vck_spinlock_release(&s->lock);
    if (refused) {
        cancel_one(io);
        return;
    }
    vck_posix_net_control(s, io);
    vck_posix_net_complete(io);
    vck_posix_net_put(s);
}

void vck_sockets_submit(struct vck_port_socket *socket, struct vck_socket_io *io)
{
    struct posix_socket *s = posix_socket(socket);
    struct direction *d = direction_of(s, io);
    io->status = VCK_OK;
    io->native_error = 0;
    io->done_bytes = 0;
    io->port_state = 0;
    if (io->op == VCK_SOCKET_CLOSE) {
        begin_close(s, io);
    } else if (d != NULL) {
        begin(s, d, io);
    } else {
        control(s, io);
    }
}

void vck_sockets_cancel(struct vck_port_socket *socket, struct vck_socket_io *io)
{
    struct posix_socket *s = posix_socket(socket);
    struct direction *d = direction_of(s, io);
    if (d == NULL)
        return;
    vck_spinlock_acquire(&s->lock);
    bool taken = take(d, io);
    vck_spinlock_release(&s->lock);
    if (taken)
        cancel_one(io);
}
