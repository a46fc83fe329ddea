/* SPDX-License-Identifier: Apache-2.0 */
#include "echo.h"
#include "vck/sleep.h"

#define BUFFER_BYTES 16384
#define BACKLOG      4096
#define PAUSE_NS     10000000ull

/* ---- one connection ---- */

struct connection {
    struct job_task task;
    struct echo *echo;
    struct vck_socket *socket;
    struct vck_socket_call call;
    char data[BUFFER_BYTES];
};

static bool has_data(const struct connection *c)
{
    return c->call.io.status == VCK_OK && c->call.io.done_bytes > 0;
}

static bool was_sent(struct connection *c)
{
    __atomic_fetch_add(&c->echo->echoed_bytes, c->call.io.done_bytes, __ATOMIC_RELAXED);
    return c->call.io.status == VCK_OK;
}

static void begin_close(struct connection *c)
{
    vck_socket_close_init(&c->call, c->socket);
    __atomic_fetch_sub(&c->echo->open, 1, __ATOMIC_RELAXED);
}

static enum vck_poll connection_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct connection *c = VCK_CONTAINER_OF(self, struct connection, task.future);
    struct vck_coroutine *co = &c->task.co;

    VCK_CO_BEGIN(co);
    for (;;) {
        vck_socket_recv_init(&c->call, c->socket, c->data, sizeof(c->data));
        VCK_CO_AWAIT(co, &c->call.call.future, waker);
        if (!has_data(c))
            break;
        vck_socket_send_all_init(&c->call, c->socket, c->data, c->call.io.done_bytes);
        VCK_CO_AWAIT(co, &c->call.call.future, waker);
        if (!was_sent(c))
            break;
    }
    begin_close(c);
    VCK_CO_AWAIT(co, &c->call.call.future, waker);
    VCK_CO_END(co);
}

/* Before the first poll, too: the call is then one that was not begun. */
static void connection_drop(struct vck_future *self) VCK_NO_ANALYSIS
{
    struct connection *c = VCK_CONTAINER_OF(self, struct connection, task.future);

    vck_future_drop(&c->call.call.future);
    if (c->call.io.op == VCK_SOCKET_CLOSE)
        return;
    vck_socket_close(c->socket);
    __atomic_fetch_sub(&c->echo->open, 1, __ATOMIC_RELAXED);
}

static vck_status serve(struct echo *echo, struct vck_socket *socket) VCK_NO_ANALYSIS
{
    struct job_task *task;
    struct connection *c;
    vck_status status =
        job_task_create(sizeof(struct connection), connection_poll, connection_drop, &task);

    if (status)
        goto out;
    c = VCK_CONTAINER_OF(task, struct connection, task);
    c->echo = echo;
    c->socket = socket;
    vck_socket_recv_init(&c->call, socket, c->data, sizeof(c->data));
    __atomic_fetch_add(&echo->open, 1, __ATOMIC_RELAXED);
    status = job_task_spawn(&echo->job, task);
    if (status)
        __atomic_fetch_sub(&echo->open, 1, __ATOMIC_RELAXED);
out:
    if (status)
        vck_socket_close(socket);
    else
        __atomic_fetch_add(&echo->accepted, 1, __ATOMIC_RELAXED);
    return status;
}

/* ---- accepting ---- */

struct acceptor {
    struct job_task task;
    struct echo *echo;
    struct vck_socket_call next;
    struct vck_sleep pause;
    bool is_pausing;
};

static vck_status take_connection(struct acceptor *a)
{
    vck_status status = a->next.io.status;

    return status ? status : serve(a->echo, a->next.accepted);
}

/* The listener was closed, or the job cancelled. */
static bool is_end(vck_status status)
{
    return status == VCK_CANCELLED || status == VCK_DELETED || status == VCK_DELETE_PENDING ||
           status == VCK_NOT_READY;
}

/* After an error, such as descriptors or memory that have run out, connections in progress are let
 * go on first. */
static enum vck_poll acceptor_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct acceptor *a = VCK_CONTAINER_OF(self, struct acceptor, task.future);
    struct vck_coroutine *co = &a->task.co;
    vck_status status;

    VCK_CO_BEGIN(co);
    for (;;) {
        vck_listener_next_init(&a->next, &a->echo->listener);
        VCK_CO_AWAIT(co, &a->next.call.future, waker);
        status = take_connection(a);
        if (status == VCK_OK)
            continue;
        if (is_end(status))
            break;
        vck_sleep_init(&a->pause, PAUSE_NS);
        a->is_pausing = true;
        VCK_CO_AWAIT(co, &a->pause.future, waker);
        a->is_pausing = false;
    }
    VCK_CO_END(co);
}

static void acceptor_drop(struct vck_future *self)
{
    struct acceptor *a = VCK_CONTAINER_OF(self, struct acceptor, task.future);

    if (a->is_pausing)
        vck_future_drop(&a->pause.future);
    else if (a->task.co.resume_at != 0)
        vck_future_drop(&a->next.call.future);
}

static vck_status start_acceptor(struct echo *echo)
{
    struct job_task *task;
    vck_status status =
        job_task_create(sizeof(struct acceptor), acceptor_poll, acceptor_drop, &task);

    if (status)
        return status;
    VCK_CONTAINER_OF(task, struct acceptor, task)->echo = echo;
    return job_task_spawn(&echo->job, task);
}

vck_status echo_start(struct echo *echo, struct vck_network *network,
                      const struct vck_address *address)
{
    vck_status status = vck_listener_open(network, address, BACKLOG, &echo->listener);

    echo->network = network;
    if (status == VCK_OK)
        status = start_acceptor(echo);
    return status;
}

void echo_fini(struct echo *echo)
{
    vck_listener_close(&echo->listener);
}
