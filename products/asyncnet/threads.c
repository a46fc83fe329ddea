/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"
#include "vck/socket.h"

#define FETCHER_TAG  VCK_TAG('A', 'f', 't', 'r')
#define BUFFER_BYTES 1024

/* ---- one request ---- */

static vck_status set_timeouts(struct vck_socket *socket, uint64_t timeout_ns) VCK_CAN_WAIT
{
    vck_status status = vck_socket_set_option(socket, VCK_SOCKET_CONNECT_TIMEOUT_NS, timeout_ns);

    if (status == VCK_OK)
        status = vck_socket_set_option(socket, VCK_SOCKET_SEND_TIMEOUT_NS, timeout_ns);
    if (status == VCK_OK)
        status = vck_socket_set_option(socket, VCK_SOCKET_RECV_TIMEOUT_NS, timeout_ns);
    return status;
}

static vck_status read_reply(struct vck_socket *socket, struct http_reply *reply,
                             char *buffer) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;
    size_t bytes;

    http_reply_init(reply);
    while (status == VCK_OK && !reply->is_complete) {
        status = vck_socket_recv(socket, buffer, BUFFER_BYTES, &bytes);
        if (status == VCK_OK)
            status = bytes > 0 ? http_reply_take(reply, buffer, bytes) : http_reply_end(reply);
    }
    return status;
}

static void set_socket(struct fetcher *fetcher, struct vck_socket *socket)
{
    vck_spinlock_acquire(&fetcher->lock);
    fetcher->socket = socket;
    vck_spinlock_release(&fetcher->lock);
}

static vck_status converse(struct fetcher *fetcher, const struct vck_address *to,
                           struct vck_socket *socket, struct http_reply *reply,
                           char *buffer) VCK_CAN_WAIT
{
    const struct workload *workload = &fetcher->threads->workload;
    vck_status status = set_timeouts(socket, workload->timeout_ns);

    if (status == VCK_OK)
        status = vck_socket_connect_send(socket, to, workload->request, workload->request_bytes);
    return status ? status : read_reply(socket, reply, buffer);
}

static vck_status fetch(struct fetcher *fetcher, uint64_t attempt, struct http_reply *reply,
                        char *buffer) VCK_CAN_WAIT
{
    const struct workload *workload = &fetcher->threads->workload;
    const struct vck_address *to = workload_address(workload, attempt);
    struct vck_socket *socket = NULL;
    vck_status status = vck_socket_create(workload->network, VCK_SOCKET_STREAM,
                                          (enum vck_address_family)to->family, &socket);

    if (status)
        return status;
    set_socket(fetcher, socket);
    /* Whoever cancels after this look finds the socket. */
    status = job_is_cancelled(&fetcher->threads->job)
                 ? VCK_CANCELLED
                 : converse(fetcher, to, socket, reply, buffer);
    set_socket(fetcher, NULL);
    vck_socket_close(socket);
    return status;
}

/* ---- the threads ---- */

struct scratch {
    struct http_reply reply;
    char buffer[BUFFER_BYTES];
};

static void fetch_all(struct fetcher *fetcher, struct scratch *scratch) VCK_CAN_WAIT
{
    struct workload *workload = &fetcher->threads->workload;
    vck_status status;

    while (!job_is_cancelled(&fetcher->threads->job) && workload_next(workload)) {
        uint64_t attempt = 0;
        do
            status = fetch(fetcher, attempt, &scratch->reply, scratch->buffer);
        while (workload_record(workload, attempt++, status, scratch->reply.code) &&
               !job_is_cancelled(&fetcher->threads->job));
    }
}

static void fetcher_main(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct fetcher *fetcher = context;
    struct scratch *scratch = vck_alloc(sizeof(*scratch), FETCHER_TAG);

    if (scratch)
        fetch_all(fetcher, scratch);
    vck_free(scratch);
    job_leave(&fetcher->threads->job);
}

static vck_status start_one(struct threads *threads, struct vck_object *owner)
{
    struct fetcher *fetcher = &threads->fetchers[threads->count];
    vck_status status = job_enter(&threads->job);

    if (status)
        return status;
    fetcher->threads = threads;
    vck_spinlock_init(&fetcher->lock);
    status = vck_thread_spawn(owner, fetcher_main, fetcher, VCK_THREAD_NORMAL, "asyncnet",
                              &fetcher->handle);
    if (status) {
        job_leave(&threads->job);
        return status;
    }
    threads->count++;
    return VCK_OK;
}

vck_status threads_start(struct threads *threads, struct vck_object *owner, uint32_t count)
{
    vck_status status = VCK_OK;

    for (uint32_t i = 0; i < count && status == VCK_OK; i++)
        status = start_one(threads, owner);
    if (status)
        threads_cancel(threads);
    return status;
}

/* Deletion above PASSIVE takes place later, at PASSIVE. */
static void close_socket_of(struct fetcher *fetcher)
{
    struct vck_object *object = NULL;

    vck_spinlock_acquire(&fetcher->lock);
    if (fetcher->socket) {
        object = vck_socket_object(fetcher->socket);
        vck_object_reference(object, FETCHER_TAG);
    }
    vck_spinlock_release(&fetcher->lock);
    if (!object)
        return;
    (void)vck_object_delete(object);
    vck_object_release(object, FETCHER_TAG);
}

void threads_cancel(struct threads *threads)
{
    job_cancel(&threads->job);
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        close_socket_of(&threads->fetchers[i]);
}

void threads_fini(struct threads *threads)
{
    for (uint32_t i = 0; i < threads->count; i++)
        vck_thread_handle_join(threads->fetchers[i].handle);
    threads->count = 0;
}
