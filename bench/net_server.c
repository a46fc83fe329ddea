/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-server: the server that clients are measured against. Answers what comes and closes a
 * connection when its client has. Plain epoll, a few system calls per connection.
 *
 * Prints its port; serves until its standard input ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 256

static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                            "Connection: close\r\n\r\nhello";

static void answer(int fd)
{
    char request[2048];
    ssize_t got = recv(fd, request, sizeof(request), 0);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got > 0)
        (void)!send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
    else
        close(fd);
}

static void accept_all(int epoll_fd, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            close(fd);
    }
}

static int listen_on_any_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 65535) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        perror("net-server");
        exit(1);
    }
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(void)
{
    struct rlimit limit;
    struct epoll_event events[BATCH];
    int listener = listen_on_any_port();
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event accepting = {.events = EPOLLIN, .data.fd = listener};
    struct epoll_event ending = {.events = EPOLLIN, .data.fd = STDIN_FILENO};

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &ending);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, BATCH, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == STDIN_FILENO)
                return 0;
            if (events[i].data.fd == listener)
                accept_all(epoll_fd, listener);
            else
                answer(events[i].data.fd);
        }
    }
}
