/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vck-echo: a TCP server that sends back what it gets. One thread; each connection is a task, made
 * when it is accepted and gone when it ends.
 *
 *     vck-echo [--port N] [--ipv6]
 *
 * Prints the address it listens on. SIGINT and SIGTERM end it: connections are closed, and nothing
 * is left.
 */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vck/coroutine.h"
#include "vck/executor.h"
#include "vck/listener.h"
#include "vck/sleep.h"

#define BUFFER_BYTES 16384
#define BACKLOG      4096
#define PAUSE_NS     10000000ull

struct server {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_task task;
    struct vck_network *network;
    struct vck_executor *executor;
    struct vck_listener listener;
    struct vck_socket_call next;
    struct vck_sleep pause;
};

/* ---- one connection ---- */

struct connection {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_socket *socket;
    struct vck_socket_call call;
    char data[BUFFER_BYTES];
};

static bool has_data(const struct connection *c)
{
    return c->call.io.status == VCK_OK && c->call.io.done_bytes > 0;
}

static enum vck_poll connection_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct connection *c = VCK_CONTAINER_OF(self, struct connection, future);

    VCK_CO_BEGIN(&c->co);
    for (;;) {
        vck_socket_recv_init(&c->call, c->socket, c->data, sizeof(c->data));
        VCK_CO_AWAIT(&c->co, &c->call.call.future, waker);
        if (!has_data(c))
            break;
        vck_socket_send_all_init(&c->call, c->socket, c->data, c->call.io.done_bytes);
        VCK_CO_AWAIT(&c->co, &c->call.call.future, waker);
        if (c->call.io.status)
            break;
    }
    vck_socket_close_init(&c->call, c->socket);
    VCK_CO_AWAIT(&c->co, &c->call.call.future, waker);
    VCK_CO_END(&c->co);
}

/* Shutdown drops what still runs. */
static void connection_drop(struct vck_future *self) VCK_NO_ANALYSIS
{
    struct connection *c = VCK_CONTAINER_OF(self, struct connection, future);

    vck_future_drop(&c->call.call.future);
    if (c->call.io.op != VCK_SOCKET_CLOSE)
        vck_socket_close(c->socket);
}

static vck_status serve(struct server *server, struct vck_socket *socket) VCK_NO_ANALYSIS
{
    struct vck_task *task;
    struct connection *c;
    vck_status status = vck_task_create(sizeof(*c), &task);

    if (status) {
        vck_socket_close(socket);
        return status;
    }
    c = VCK_CONTAINER_OF(task->future, struct connection, future);
    c->future = (struct vck_future){.poll = connection_poll, .drop = connection_drop};
    c->socket = socket;
    vck_socket_recv_init(&c->call, socket, c->data, sizeof(c->data));
    status = vck_executor_spawn(server->executor, task, NULL);
    if (status) {
        vck_task_destroy(task);
        vck_socket_close(socket);
    }
    return status;
}

/* ---- accepting ---- */

/* When descriptors or memory run out, connections in progress are let go on first. */
static enum vck_poll server_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct server *server = VCK_CONTAINER_OF(self, struct server, future);
    vck_status status;

    VCK_CO_BEGIN(&server->co);
    for (;;) {
        vck_listener_next_init(&server->next, &server->listener);
        VCK_CO_AWAIT(&server->co, &server->next.call.future, waker);
        status = server->next.io.status;
        if (status == VCK_OK)
            status = serve(server, server->next.accepted);
        if (status == VCK_OK)
            continue;
        if (status != VCK_NO_MEMORY)
            break;
        vck_sleep_init(&server->pause, PAUSE_NS);
        VCK_CO_AWAIT(&server->co, &server->pause.future, waker);
    }
    VCK_CO_END(&server->co);
}

static void server_drop(struct vck_future *self)
{
    struct server *server = VCK_CONTAINER_OF(self, struct server, future);

    vck_future_drop(&server->next.call.future);
    if (server->pause.future.drop)
        vck_future_drop(&server->pause.future);
}

static vck_status start(struct server *server, enum vck_address_family family,
                        uint16_t port) VCK_CAN_WAIT
{
    struct vck_network_options options = {.flags = VCK_NETWORK_DRIVEN};
    struct vck_executor_options executor_options = {.name = "vck-echo"};
    struct vck_address address = vck_address_loopback(family, port);
    vck_status status = vck_network_create(&options, &server->network);

    if (status)
        return status;
    status = vck_network_start(server->network);
    if (status)
        return status;
    executor_options.idle = vck_network_get_idle(server->network);
    status = vck_executor_create(&executor_options, &server->executor);
    if (status)
        return status;
    status = vck_listener_open(server->network, &address, BACKLOG, &server->listener);
    if (status)
        return status;
    server->future = (struct vck_future){.poll = server_poll, .drop = server_drop};
    vck_listener_next_init(&server->next, &server->listener);
    vck_task_init(&server->task, &server->future);
    return vck_executor_spawn(server->executor, &server->task, NULL);
}

static void stop(struct server *server) VCK_CAN_WAIT
{
    vck_executor_destroy(server->executor);
    vck_listener_close(&server->listener);
    vck_network_destroy(server->network);
}

/* ---- the command ---- */

static void usage(FILE *to)
{
    fputs("usage: vck-echo [--port N] [--ipv6]\n"
          "Listens on the local host and sends back what it gets.\n"
          "\n"
          "  --port N   the port (default: one the system chooses)\n"
          "  --ipv6     listen on ::1 instead of 127.0.0.1\n"
          "  --help     print this\n",
          to);
}

static void await_signal(void)
{
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigwait(&set, &number);
}

/* Before there are threads, which inherit it. */
static void block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"ipv6", no_argument, NULL, '6'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    static struct server server;
    enum vck_address_family family = VCK_ADDRESS_IPV4;
    uint16_t port = 0;
    char text[VCK_ADDRESS_TEXT_BYTES];
    vck_status status;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = (uint16_t)strtoul(optarg, NULL, 10);
        else if (option == '6')
            family = VCK_ADDRESS_IPV6;
        else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    block_signals();
    status = start(&server, family, port);
    if (status == VCK_OK) {
        vck_address_format(&server.listener.address, text);
        printf("%s\n", text);
        fflush(stdout);
        await_signal();
    } else {
        fprintf(stderr, "vck-echo: %s\n", vck_status_text(status));
    }
    stop(&server);
    if (vck_alloc_live_count() > 0) {
        fprintf(stderr, "vck-echo: %zu allocations are left\n", vck_alloc_live_count());
        return 1;
    }
    return status != VCK_OK;
}
