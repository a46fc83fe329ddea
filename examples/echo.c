/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vck-echo: a TCP server that sends back what it gets. One thread; each connection is a task
 * (products/asyncnet/echo.h), made when it is accepted and gone when it ends.
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
#include "products/asyncnet/echo.h"

struct server {
    struct vck_network *network;
    struct vck_executor *executor;
    struct echo echo;
    struct vck_event ended;
    bool is_serving;
};

static void echo_ended(struct job *job)
{
    vck_event_set(&VCK_CONTAINER_OF(job, struct server, echo.job)->ended);
}

static vck_status serve(struct server *server, const struct vck_address *address) VCK_CAN_WAIT
{
    vck_status status = job_begin(&server->echo.job, server->executor, echo_ended);

    if (status)
        return status;
    server->is_serving = true;
    status = echo_start(&server->echo, server->network, address);
    job_go(&server->echo.job);
    return status;
}

static vck_status start(struct server *server, enum vck_address_family family,
                        uint16_t port) VCK_CAN_WAIT
{
    struct vck_network_options options = {.flags = VCK_NETWORK_DRIVEN};
    struct vck_executor_options executor_options = {.name = "vck-echo"};
    struct vck_address address = vck_address_loopback(family, port);
    vck_status status = vck_network_create(&options, &server->network);

    vck_event_init(&server->ended);
    if (status)
        return status;
    status = vck_network_start(server->network);
    if (status)
        return status;
    executor_options.idle = vck_network_get_idle(server->network);
    status = vck_executor_create(&executor_options, &server->executor);
    return status ? status : serve(server, &address);
}

static void stop(struct server *server) VCK_CAN_WAIT
{
    if (server->is_serving) {
        job_cancel(&server->echo.job);
        (void)vck_event_wait(&server->ended, VCK_FOREVER);
    }
    vck_executor_destroy(server->executor);
    echo_fini(&server->echo);
    vck_network_destroy(server->network);
    vck_event_fini(&server->ended);
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
        vck_address_format(&server.echo.listener.address, text);
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
