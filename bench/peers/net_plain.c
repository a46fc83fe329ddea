/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-plain: the same requests as vck-fetch makes, with bare system calls, as few as it takes: a
 * bound for what a client can reach.
 *
 *     net-plain CONNECTIONS WINDOW PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 128

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
static struct sockaddr_in server = {.sin_family = AF_INET};
static int epoll_fd;
static unsigned long left;
static unsigned long in_flight;
static unsigned long replies;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Over the local host the connection is there when connect returns. */
static void begin(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    left--;
    if (fd < 0 ||
        (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0 && errno != EINPROGRESS))
        die("connect");
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
        die("send");
    event.data.fd = fd;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
    in_flight++;
}

static void finish(int fd)
{
    char buffer[1024];
    ssize_t size = recv(fd, buffer, sizeof(buffer), 0);

    if (size > 12 && memcmp(buffer, "HTTP/1.1 200", 12) == 0)
        replies++;
    close(fd);
    in_flight--;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct epoll_event events[BATCH];
    struct rusage usage;

    if (argc != 4)
        return 2;
    unsigned long count = left = strtoul(argv[1], NULL, 10);
    unsigned long window = strtoul(argv[2], NULL, 10);
    server.sin_port = htons((uint16_t)atoi(argv[3]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    double start = now();
    while (left > 0 || in_flight > 0) {
        while (left > 0 && in_flight < window)
            begin();
        int ready = epoll_wait(epoll_fd, events, BATCH, -1);
        for (int i = 0; i < ready; i++)
            finish(events[i].data.fd);
    }
    double seconds = now() - start;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"replies\": %lu, \"seconds\": %.6f, \"requests_per_second\": %.1f, "
           "\"peak_kib\": %ld}\n",
           replies, seconds, (double)replies / seconds, usage.ru_maxrss);
    return replies != count;
}
