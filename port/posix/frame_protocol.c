/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registered protocol: its descriptors and its thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "port/posix/frame_internal.h"
#include "port/posix/internal.h"
#include "port/posix/posix.h"

#define BATCH_EVENTS 16

vck_level vck_frames_raise(void)
{
    struct thread_state *self = system_thread_state();
    vck_level level = self->level;

    self->level = VCK_LEVEL_DISPATCH;
    return level;
}

void vck_frames_lower(vck_level level)
{
    system_thread_state()->level = level;
}

void vck_frames_wake(struct vck_frames_protocol *protocol)
{
    static const uint64_t one = 1;

    (void)!write(protocol->wake_fd, &one, sizeof(one));
}

/* ---- the thread ---- */

/* In the order in which they were asked for. */
static struct frame_socket *take(struct vck_frames_protocol *protocol, struct frame_socket **list)
{
    struct frame_socket *in_order = NULL;
    struct frame_socket *taken;

    vck_spinlock_acquire(&protocol->lock);
    taken = *list;
    *list = NULL;
    vck_spinlock_release(&protocol->lock);
    while (taken) {
        struct frame_socket *socket = taken;
        taken = socket->next;
        socket->next = in_order;
        in_order = socket;
    }
    return in_order;
}

static void work(struct vck_frames_protocol *protocol)
{
    struct frame_socket *socket = take(protocol, &protocol->to_open);

    while (socket) {
        struct frame_socket *next = socket->next;
        vck_frames_socket_open(socket);
        socket = next;
    }
    vck_frames_perform_requests(protocol);
    socket = take(protocol, &protocol->to_close);
    while (socket) {
        struct frame_socket *next = socket->next;
        vck_frames_socket_close(socket);
        socket = next;
    }
}

static bool is_over(struct vck_frames_protocol *protocol)
{
    bool stops;

    vck_spinlock_acquire(&protocol->lock);
    stops = protocol->stops;
    vck_spinlock_release(&protocol->lock);
    if (stops)
        vck_frames_adapters_end(protocol);
    return stops && vck_list_is_empty(&protocol->adapters);
}

/* Sockets are closed only here, between batches, so that an event's socket is there. */
static void handle(struct vck_frames_protocol *protocol, const struct epoll_event *events,
                   int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t value;
        if (events[i].data.ptr == protocol)
            vck_frames_adapters_news(protocol);
        else if (events[i].data.ptr == &protocol->wake_fd)
            (void)!read(protocol->wake_fd, &value, sizeof(value));
        else
            vck_frames_socket_event(events[i].data.ptr, events[i].events);
    }
}

static void run(void *context)
{
    struct vck_frames_protocol *protocol = context;
    struct epoll_event events[BATCH_EVENTS];

    while (!is_over(protocol)) {
        int count;
        work(protocol);
        vck_frames_adapters_settle(protocol);
        if (is_over(protocol))
            break;
        count = epoll_wait(protocol->epoll_fd, events, BATCH_EVENTS, -1);
        handle(protocol, events, count);
    }
}

/* ---- registration ---- */

static int watch(struct vck_frames_protocol *protocol, int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};

    return epoll_ctl(protocol->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_all(struct vck_frames_protocol *protocol)
{
    protocol->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    protocol->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    protocol->news_fd = vck_frames_links_open(true);
    protocol->query_fd = vck_frames_links_open(false);
    if (protocol->epoll_fd < 0 || protocol->wake_fd < 0 || protocol->news_fd < 0 ||
        protocol->query_fd < 0)
        return -1;
    if (watch(protocol, protocol->wake_fd, &protocol->wake_fd) ||
        watch(protocol, protocol->news_fd, protocol))
        return -1;
    return vck_frames_links_ask(protocol->news_fd, 0);
}

static void close_all(struct vck_frames_protocol *protocol)
{
    const int fds[] = {protocol->epoll_fd, protocol->wake_fd, protocol->news_fd,
                       protocol->query_fd};

    for (size_t i = 0; i < VCK_ARRAY_COUNT(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    vck_free(protocol);
}

static struct vck_frames_protocol *make(struct vck_frames_handler *handler,
                                        const struct vck_frames_options *options)
{
    struct vck_frames_protocol *protocol = vck_alloc(sizeof(*protocol), FRAMES_TAG);

    if (!protocol)
        return NULL;
    protocol->handler = handler;
    if (options && options->port_config)
        protocol->config = *(const struct vck_posix_frame_config *)options->port_config;
    protocol->epoll_fd = protocol->wake_fd = protocol->news_fd = protocol->query_fd = -1;
    vck_spinlock_init(&protocol->lock);
    vck_link_init(&protocol->adapters);
    return protocol;
}

vck_status vck_frames_register(struct vck_frames_handler *handler,
                               const struct vck_frames_options *options,
                               struct vck_frames_protocol **ret_protocol, int32_t *ret_native_error)
{
    struct vck_frames_protocol *protocol = make(handler, options);
    vck_status status = VCK_OK;

    if (!protocol)
        return VCK_NO_MEMORY;
    if (open_all(protocol)) {
        status = vck_posix_status_from_errno(errno);
        if (ret_native_error)
            *ret_native_error = errno;
    }
    /* The thread may call handlers at once. */
    if (status == VCK_OK)
        *ret_protocol = protocol;
    if (status == VCK_OK)
        status =
            vck_thread_create(run, protocol, VCK_THREAD_NORMAL, "vck-frames", &protocol->thread);
    if (status)
        close_all(protocol);
    return status;
}

void vck_frames_deregister(struct vck_frames_protocol *protocol)
{
    vck_spinlock_acquire(&protocol->lock);
    protocol->stops = true;
    vck_spinlock_release(&protocol->lock);
    vck_frames_wake(protocol);
    vck_thread_join(protocol->thread);
    close_all(protocol);
}
