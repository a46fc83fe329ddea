/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "asyncnet_fixture.h"

#define BATCH   256
#define FDS_MAX 65536

struct server {
    enum server_fate fate;
    int epoll_fd;
    int listener;
    int stop[2];
    uint16_t port;
    pthread_t thread;
    uint64_t accepted; /* atomic */
    uint64_t requests;
    bool is_open[FDS_MAX];
};

static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";

static int bind_any_port(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

int server_bind_only(uint16_t *ret_port)
{
    return bind_any_port(ret_port);
}

static void drop(struct server *server, int fd)
{
    server->is_open[fd] = false;
    close(fd);
}

static void reset(struct server *server, int fd)
{
    const struct linger linger = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    drop(server, fd);
}

static enum server_fate fate_of(struct server *server)
{
    uint64_t number = server->requests++;

    if (server->fate != SERVER_MIXES)
        return server->fate;
    return number % 10 == 3 ? SERVER_RESETS : number % 10 == 7 ? SERVER_STALLS : SERVER_ANSWERS;
}

static void answer(struct server *server, int fd)
{
    char request[2048];
    ssize_t got = recv(fd, request, sizeof(request), 0);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(server, fd);
        return;
    }
    switch (fate_of(server)) {
    case SERVER_ANSWERS:
        (void)!send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
        break;
    case SERVER_HALF_CLOSES:
        (void)!send(fd, half, sizeof(half) - 1, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        break;
    case SERVER_RESETS:
        reset(server, fd);
        break;
    case SERVER_STALLS:
    case SERVER_MIXES:
        break;
    }
}

static void accept_all(struct server *server)
{
    int fd;

    while ((fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        assert_true(fd < FDS_MAX);
        server->is_open[fd] = true;
        assert_int_equal(epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
        __atomic_fetch_add(&server->accepted, 1, __ATOMIC_RELAXED);
    }
}

static void *serve(void *context)
{
    struct server *server = context;
    struct epoll_event events[BATCH];

    for (;;) {
        int count = epoll_wait(server->epoll_fd, events, BATCH, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == server->stop[0])
                return NULL;
            if (events[i].data.fd == server->listener)
                accept_all(server);
            else
                answer(server, events[i].data.fd);
        }
    }
}

static void watch(struct server *server, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    assert_int_equal(epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
}

/* Both ends of every connection are in this program. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

struct server *server_start(enum server_fate fate)
{
    struct server *server = calloc(1, sizeof(*server));

    raise_descriptor_limit();
    server->fate = fate;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->listener = bind_any_port(&server->port);
    assert_int_equal(listen(server->listener, 65535), 0);
    assert_int_equal(pipe(server->stop), 0);
    watch(server, server->stop[0]);
    watch(server, server->listener);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    return server;
}

void server_stop(struct server *server)
{
    assert_int_equal(write(server->stop[1], "", 1), 1);
    pthread_join(server->thread, NULL);
    for (int fd = 0; fd < FDS_MAX; fd++)
        if (server->is_open[fd])
            close(fd);
    close(server->listener);
    close(server->stop[0]);
    close(server->stop[1]);
    close(server->epoll_fd);
    free(server);
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

uint64_t server_accepted(const struct server *server)
{
    return __atomic_load_n(&server->accepted, __ATOMIC_RELAXED);
}
