/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/tang_exchange.h"
#include <stdio.h>
#include <string.h>
#include "vck/executor.h"

#define NS_PER_S 1000000000ull

bool tang_exchange_prepare(struct tang_exchange *exchange, const char *suffix, const char *body)
{
    const struct tang_url *url = &exchange->url;
    char content[96] = "";
    if (body != NULL)
        snprintf(content, sizeof(content),
                 "Content-Type: application/jwk+json\r\nContent-Length: %zu\r\n", strlen(body));
    int length = snprintf(exchange->request, sizeof(exchange->request),
                          "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: vck\r\n"
                          "Connection: close\r\n%s\r\n%s",
                          body != NULL ? "POST" : "GET", url->path, suffix, url->authority, content,
                          body != NULL ? body : "");
    exchange->request_bytes = (size_t)length;
    return length > 0 && (size_t)length < sizeof(exchange->request);
}

/* ---- one ---- */

/* What is awaited next, until the deadline at the latest. */
static void begin(struct tang_exchange *x, struct vck_network_call *call, uint64_t deadline_ns)
{
    call->deadline_ns = deadline_ns;
    x->in_flight = call;
    if (x->meeting->is_over)
        vck_network_call_cancel(call);
}

static void begin_resolve(struct tang_exchange *x)
{
    x->deadline_ns = vck_clock_ns() + x->meeting->time_s * NS_PER_S;
    x->stage = TANG_NAME;
    vck_resolve_init(&x->resolve, x->meeting->network, x->url.host, x->url.port, VCK_ADDRESS_NONE,
                     x->addresses, TANG_ADDRESSES_MAX);
    begin(x, &x->resolve.call, x->deadline_ns);
}

static vck_status open_socket(struct tang_exchange *x) VCK_NO_ANALYSIS
{
    x->stage = TANG_CONNECT;
    x->data_bytes = 0;
    return vck_socket_create(x->meeting->network, VCK_SOCKET_STREAM,
                             (enum vck_address_family)x->addresses[x->address].family, &x->socket);
}

/* An address that nobody answers at leaves time for those behind it. */
static void begin_connect(struct tang_exchange *x)
{
    uint64_t now_ns = vck_clock_ns();
    uint64_t left_ns = x->deadline_ns > now_ns ? x->deadline_ns - now_ns : 0;
    vck_socket_connect_send_init(&x->call, x->socket, &x->addresses[x->address], x->request,
                                 x->request_bytes);
    begin(x, &x->call.call, now_ns + left_ns / (x->resolve.io.count - x->address));
}

static void begin_recv(struct tang_exchange *x)
{
    x->stage = TANG_ANSWER;
    vck_socket_recv_init(&x->call, x->socket, x->data + x->data_bytes,
                         TANG_ANSWER_BYTES - x->data_bytes);
    begin(x, &x->call.call, x->deadline_ns);
}

/* NOT_READY: more is to come. */
static vck_status end_recv(struct tang_exchange *x)
{
    if (x->call.io.status != VCK_OK)
        return x->call.io.status;
    bool is_ended = x->call.io.done_bytes == 0;
    x->data_bytes += x->call.io.done_bytes;
    x->data[x->data_bytes] = 0;
    vck_status status = http_answer_parse(x->data, x->data_bytes, is_ended, &x->answer);
    bool is_full = x->data_bytes == TANG_ANSWER_BYTES;
    return status == VCK_NOT_READY && is_full ? VCK_SIZE_MISMATCH : status;
}

static void begin_close(struct tang_exchange *x)
{
    x->in_flight = NULL;
    vck_socket_close_init(&x->call, x->socket);
}

/* Only an address that cannot be reached is a reason to try the next one. */
static bool is_another_tried(const struct tang_exchange *x)
{
    return x->status != VCK_OK && x->stage == TANG_CONNECT && !x->meeting->is_over;
}

static void end(struct tang_exchange *x)
{
    struct tang_meeting *meeting = x->meeting;
    uint32_t index = 0;
    while (meeting->exchanges[index] != x)
        index++;
    x->in_flight = NULL;
    meeting->left--;
    if (meeting->ended != NULL && !meeting->is_over && meeting->ended(meeting, index)) {
        meeting->is_over = true;
        for (uint32_t i = 0; i < meeting->count; i++)
            if (meeting->exchanges[i]->in_flight != NULL)
                vck_network_call_cancel(meeting->exchanges[i]->in_flight);
    }
    if (meeting->left == 0)
        vck_executor_shutdown(meeting->executor);
}

static enum vck_poll exchange_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct tang_exchange *x = VCK_CONTAINER_OF(self, struct tang_exchange, future);
    struct vck_coroutine *co = &x->co;

    VCK_CO_BEGIN(co);
    begin_resolve(x);
    VCK_CO_AWAIT(co, &x->resolve.call.future, waker);
    x->status = x->resolve.io.status;
    if (x->status == VCK_OK)
        x->status = VCK_NOT_READY;
    for (x->address = 0; x->stage != TANG_ANSWER && x->address < x->resolve.io.count;
         x->address++) {
        x->status = open_socket(x);
        if (x->status != VCK_OK)
            continue;
        begin_connect(x);
        VCK_CO_AWAIT(co, &x->call.call.future, waker);
        x->status = x->call.io.status;
        if (x->status == VCK_OK)
            x->status = VCK_NOT_READY;
        while (x->status == VCK_NOT_READY) {
            begin_recv(x);
            VCK_CO_AWAIT(co, &x->call.call.future, waker);
            x->status = end_recv(x);
        }
        begin_close(x);
        VCK_CO_AWAIT(co, &x->call.call.future, waker);
        if (!is_another_tried(x))
            break;
    }
    end(x);
    VCK_CO_END(co);
}

/* ---- all ---- */

static vck_status start(struct tang_meeting *meeting)
{
    meeting->left = meeting->count;
    for (uint32_t i = 0; i < meeting->count; i++) {
        struct tang_exchange *x = meeting->exchanges[i];
        x->future = (struct vck_future){.poll = exchange_poll};
        x->co = (struct vck_coroutine){0};
        x->meeting = meeting;
        x->status = VCK_CANCELLED;
        x->data_bytes = 0;
        x->resolve.io.count = 0;
        vck_task_init(&x->task, &x->future);
    }
    /* None has been polled: the executor has no thread yet. */
    for (uint32_t i = 0; i < meeting->count; i++) {
        vck_status status =
            vck_executor_spawn(meeting->executor, &meeting->exchanges[i]->task, NULL);
        if (status != VCK_OK)
            return status;
    }
    return VCK_OK;
}

vck_status tang_meeting_hold(struct tang_meeting *meeting)
{
    struct vck_network_options options = {.flags = VCK_NETWORK_DRIVEN};
    struct vck_executor_options executor_options = {0};
    vck_status status = vck_network_create(&options, &meeting->network);
    if (status == VCK_OK)
        status = vck_network_start(meeting->network);
    if (status != VCK_OK)
        goto out;
    executor_options.idle = vck_network_get_idle(meeting->network);
    status = vck_executor_prepare(&executor_options, &meeting->executor);
    if (status == VCK_OK)
        status = start(meeting);
    if (status == VCK_OK)
        vck_executor_run(meeting->executor);
out:
    vck_executor_destroy(meeting->executor);
    vck_network_destroy(meeting->network);
    meeting->executor = NULL;
    meeting->network = NULL;
    return status;
}
