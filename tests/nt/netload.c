/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netload: what asyncnet.sys's load is measured against: the same requests by a program in user
 * mode, with non-blocking sockets and one thread that waits for all of them.
 *
 *     netload CONNECTIONS CONCURRENCY PORT
 *
 * Prints the replies and the nanoseconds they took.
 */
#define FD_SETSIZE 4096
#include <winsock2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
static const char mark[] = "\r\n\r\nhello"; /* the end of the server's reply */

struct lane {
    SOCKET socket; /* INVALID_SOCKET: idle */
    bool was_sent;
    size_t got_bytes;
    char reply[1024];
};

static struct {
    unsigned connections;
    unsigned concurrency;
    struct sockaddr_in to;
    unsigned started;
    unsigned replies;
    unsigned failures;
    struct lane *lanes;
} run;

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "netload: %s: %d\n", what, WSAGetLastError());
    exit(1);
}

static void begin(struct lane *lane)
{
    u_long is_async = 1;

    lane->socket = INVALID_SOCKET;
    if (run.started == run.connections)
        return;
    run.started++;
    lane->was_sent = false;
    lane->got_bytes = 0;
    lane->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (lane->socket == INVALID_SOCKET || ioctlsocket(lane->socket, (long)FIONBIO, &is_async))
        fail("a socket");
    if (connect(lane->socket, (struct sockaddr *)&run.to, sizeof(run.to)) &&
        WSAGetLastError() != WSAEWOULDBLOCK)
        fail("connect");
}

static void end(struct lane *lane)
{
    size_t mark_bytes = sizeof(mark) - 1;
    bool is_good = lane->got_bytes >= mark_bytes &&
                   memcmp(lane->reply + lane->got_bytes - mark_bytes, mark, mark_bytes) == 0;

    run.replies += is_good;
    run.failures += !is_good;
    closesocket(lane->socket);
    begin(lane);
}

static void write_request(struct lane *lane)
{
    lane->was_sent = true;
    if (send(lane->socket, request, sizeof(request) - 1, 0) != sizeof(request) - 1)
        end(lane);
}

static void read_reply(struct lane *lane)
{
    int got = recv(lane->socket, lane->reply + lane->got_bytes,
                   (int)(sizeof(lane->reply) - lane->got_bytes), 0);

    if (got > 0)
        lane->got_bytes += (size_t)got;
    if (got <= 0 || memcmp(lane->reply + lane->got_bytes - 5, "hello", 5) == 0)
        end(lane);
}

/* False when no lane has a connection. */
static bool wait_and_serve(fd_set *readable, fd_set *writable, fd_set *broken)
{
    unsigned busy = 0;

    FD_ZERO(readable);
    FD_ZERO(writable);
    FD_ZERO(broken);
    for (unsigned i = 0; i < run.concurrency; i++) {
        struct lane *lane = &run.lanes[i];
        if (lane->socket == INVALID_SOCKET)
            continue;
        FD_SET(lane->socket, lane->was_sent ? readable : writable);
        FD_SET(lane->socket, broken);
        busy++;
    }
    if (busy == 0)
        return false;
    if (select(0, readable, writable, broken, NULL) == SOCKET_ERROR)
        fail("select");
    return true;
}

static void serve_all(fd_set *readable, fd_set *writable, fd_set *broken)
{
    for (unsigned i = 0; i < run.concurrency; i++) {
        struct lane *lane = &run.lanes[i];
        if (lane->socket == INVALID_SOCKET)
            continue;
        if (FD_ISSET(lane->socket, readable))
            read_reply(lane);
        else if (FD_ISSET(lane->socket, writable))
            write_request(lane);
        else if (FD_ISSET(lane->socket, broken))
            end(lane);
    }
}

static uint64_t now_ns(void)
{
    LARGE_INTEGER now;
    LARGE_INTEGER frequency;

    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (uint64_t)((double)now.QuadPart * 1e9 / (double)frequency.QuadPart);
}

int main(int argc, char **argv)
{
    static fd_set readable, writable, broken;
    WSADATA data;
    uint64_t start_ns;

    if (argc != 4 || WSAStartup(MAKEWORD(2, 2), &data)) {
        fprintf(stderr, "usage: netload CONNECTIONS CONCURRENCY PORT\n");
        return 2;
    }
    run.connections = (unsigned)strtoul(argv[1], NULL, 10);
    run.concurrency = (unsigned)strtoul(argv[2], NULL, 10);
    run.to.sin_family = AF_INET;
    run.to.sin_port = htons((u_short)strtoul(argv[3], NULL, 10));
    run.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (run.concurrency > FD_SETSIZE)
        run.concurrency = FD_SETSIZE;
    run.lanes = calloc(run.concurrency, sizeof(*run.lanes));
    if (!run.lanes)
        return 1;
    start_ns = now_ns();
    for (unsigned i = 0; i < run.concurrency; i++)
        begin(&run.lanes[i]);
    while (wait_and_serve(&readable, &writable, &broken))
        serve_all(&readable, &writable, &broken);
    printf("%u %llu\n", run.replies, (unsigned long long)(now_ns() - start_ns));
    return run.failures > 0;
}
