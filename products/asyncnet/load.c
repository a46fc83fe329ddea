/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"
#include "vck/socket.h"

#define BUFFER_BYTES 1024

struct lane {
    struct job_task task;
    struct workload *workload;
    struct vck_socket *socket; /* NULL: none could be had */
    struct vck_socket_call call;
    struct vck_yield yield;
    struct http_reply reply;
    uint64_t attempt;
    vck_status status;
    char buffer[BUFFER_BYTES];
};

static void set_deadline(struct lane *lane)
{
    lane->call.call.deadline_ns = vck_clock_ns() + lane->workload->timeout_ns;
}

static vck_status begin_request(struct lane *lane) VCK_NO_ANALYSIS
{
    const struct workload *workload = lane->workload;
    const struct vck_address *to = workload_address(workload, lane->attempt);
    vck_status status;

    lane->socket = NULL;
    status = vck_socket_create(workload->network, VCK_SOCKET_STREAM,
                               (enum vck_address_family)to->family, &lane->socket);
    if (status)
        return status;
    http_reply_init(&lane->reply);
    vck_socket_connect_send_init(&lane->call, lane->socket, to, workload->request,
                                 workload->request_bytes);
    set_deadline(lane);
    return VCK_OK;
}

static void begin_read(struct lane *lane)
{
    vck_socket_recv_init(&lane->call, lane->socket, lane->buffer, sizeof(lane->buffer));
    set_deadline(lane);
}

static vck_status end_read(struct lane *lane)
{
    if (lane->call.io.status)
        return lane->call.io.status;
    if (lane->call.io.done_bytes == 0)
        return http_reply_end(&lane->reply);
    return http_reply_take(&lane->reply, lane->buffer, lane->call.io.done_bytes);
}

static bool next_connection(struct lane *lane)
{
    lane->attempt = 0;
    return workload_next(lane->workload);
}

/* Counts what came of an attempt; true when there is to be another. */
static bool record(struct lane *lane)
{
    return workload_record(lane->workload, lane->attempt++, lane->status, lane->reply.code);
}

static enum vck_poll lane_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct lane *lane = VCK_CONTAINER_OF(self, struct lane, task.future);
    struct vck_coroutine *co = &lane->task.co;

    VCK_CO_BEGIN(co);
    while (next_connection(lane)) {
        do {
            lane->status = begin_request(lane);
            if (lane->status) {
                vck_yield_init(&lane->yield);
                VCK_CO_AWAIT(co, &lane->yield.future, waker);
                continue;
            }
            VCK_CO_AWAIT(co, &lane->call.call.future, waker);
            lane->status = lane->call.io.status;
            while (lane->status == VCK_OK && !lane->reply.is_complete) {
                begin_read(lane);
                VCK_CO_AWAIT(co, &lane->call.call.future, waker);
                lane->status = end_read(lane);
            }
            vck_socket_close_init(&lane->call, lane->socket);
            VCK_CO_AWAIT(co, &lane->call.call.future, waker);
        } while (record(lane));
    }
    VCK_CO_END(co);
}

/* A lane with a socket waits for something: of its connection, or for the connection's end. */
static void lane_drop(struct vck_future *self) VCK_NO_ANALYSIS
{
    struct lane *lane = VCK_CONTAINER_OF(self, struct lane, task.future);

    if (!lane->socket)
        return;
    vck_future_drop(&lane->call.call.future);
    if (lane->call.io.op != VCK_SOCKET_CLOSE)
        vck_socket_close(lane->socket);
}

static vck_status start_lane(struct load *load)
{
    struct job_task *task;
    vck_status status = job_task_create(sizeof(struct lane), lane_poll, lane_drop, &task);

    if (status)
        return status;
    VCK_CONTAINER_OF(task, struct lane, task)->workload = &load->workload;
    return job_task_spawn(&load->job, task);
}

vck_status load_start(struct load *load, uint64_t window)
{
    vck_status status = VCK_OK;

    for (uint64_t i = 0; i < window && status == VCK_OK; i++)
        status = start_lane(load);
    if (status)
        job_cancel(&load->job);
    return status;
}
