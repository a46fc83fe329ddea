/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "vck/bytes.h"
#include "vck/secret.h"
#include "vckd.h"

#define CLIENT_TAG VCK_TAG('v', 'c', 'k', 'd')

struct vckd_client {
    struct vckd_client *next;
    struct vckd_socket *socket;
    int fd;
    pthread_t thread;
    bool is_ended; /* the thread only has to be joined */
    bool is_privileged;
    struct vck_control_caller caller;
    uint8_t *request;  /* VCK_FRAME_BYTES_MAX: locked memory, it holds keys for a while */
    uint8_t *response; /* the same size */
};

/* ---- binding ---- */

static int explain(struct vck_explanation *ret_why, const char *path, const char *what, int error)
{
    snprintf(ret_why->text, sizeof(ret_why->text), "%.500s: %s%s%s", path, what, error ? ": " : "",
             error ? strerror(error) : "");
    return -1;
}

/* Whoever holds the lock is the daemon of this socket: a socket that is there is then a dead one's.
 */
static int take_lock(struct vckd_socket *s, struct vck_explanation *ret_why)
{
    char name[sizeof(s->path) + 8];

    snprintf(name, sizeof(name), "%s.lock", s->path);
    s->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return explain(ret_why, name, "cannot be made", errno);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return explain(ret_why, s->path, "another vckd serves this control socket", 0);
    return explain(ret_why, name, "cannot be locked", errno);
}

static int remove_stale(const char *path, struct vck_explanation *ret_why)
{
    struct stat there;

    if (lstat(path, &there))
        return errno == ENOENT ? 0 : explain(ret_why, path, "cannot be looked at", errno);
    if (!S_ISSOCK(there.st_mode))
        return explain(ret_why, path, "is there and is not a socket", 0);
    return unlink(path) ? explain(ret_why, path, "cannot be removed", errno) : 0;
}

static int listen_at(struct vckd_socket *s, struct vck_explanation *ret_why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strcpy(address.sun_path, s->path);
    s->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0)
        return explain(ret_why, s->path, "no socket", errno);
    if (bind(s->listen_fd, (struct sockaddr *)&address, sizeof(address)))
        return explain(ret_why, s->path, "cannot be bound", errno);
    /* Who may do what is decided by the peer's credentials. */
    if (chmod(s->path, 0666) || listen(s->listen_fd, 128))
        return explain(ret_why, s->path, "cannot be listened at", errno);
    return 0;
}

int vckd_socket_bind(struct vckd_socket *s, const char *path, struct vck_explanation *ret_why)
{
    *s = (struct vckd_socket){.lock_fd = -1, .listen_fd = -1, .wake_fd = -1};
    if (strlen(path) >= sizeof(s->path))
        return explain(ret_why, path, "is too long for a socket, 107 bytes are possible", 0);
    strcpy(s->path, path);
    s->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (s->wake_fd < 0)
        return explain(ret_why, path, "no event", errno);
    if (take_lock(s, ret_why) || remove_stale(path, ret_why) || listen_at(s, ret_why)) {
        /* Never the socket of somebody else. */
        s->path[0] = 0;
        return -1;
    }
    return 0;
}

/* ---- one connection ---- */

static size_t frame(uint8_t *response, uint32_t nt, const char *text)
{
    size_t size = VCK_MIN(strlen(text), VCK_FRAME_BYTES_MAX - VCK_FRAME_PREFIX_BYTES);

    vck_store_le32(response, nt);
    memcpy(response + VCK_FRAME_PREFIX_BYTES, text, size);
    return VCK_FRAME_PREFIX_BYTES + size;
}

static size_t refuse_frame(struct vckd_client *client, size_t size_bytes)
{
    char *text = client->caller.last_error;

    if (size_bytes > VCK_FRAME_BYTES_MAX)
        snprintf(text, sizeof(client->caller.last_error),
                 "the frame has %zu bytes, at most %u are possible", size_bytes,
                 VCK_FRAME_BYTES_MAX);
    else
        snprintf(text, sizeof(client->caller.last_error),
                 "the frame has %zu bytes, a code alone has %u", size_bytes,
                 VCK_FRAME_PREFIX_BYTES);
    return frame(client->response, vck_status_to_nt(VCK_INVALID_DATA), text);
}

/* Performs the request of a frame; returns the size of the response. */
static size_t perform(struct vckd_client *client, size_t size_bytes) VCK_CAN_WAIT
{
    size_t answer_bytes = 0;
    uint32_t nt;

    if (size_bytes < VCK_FRAME_PREFIX_BYTES || size_bytes > VCK_FRAME_BYTES_MAX)
        return refuse_frame(client, size_bytes);
    nt = vck_control_handle(
        &client->socket->host->control, &client->caller, vck_load_le32(client->request),
        client->request + VCK_FRAME_PREFIX_BYTES, size_bytes - VCK_FRAME_PREFIX_BYTES,
        client->response + VCK_FRAME_PREFIX_BYTES, VCK_FRAME_BYTES_MAX - VCK_FRAME_PREFIX_BYTES,
        &answer_bytes);
    if (nt)
        return frame(client->response, nt, client->caller.last_error);
    vck_store_le32(client->response, 0);
    return VCK_FRAME_PREFIX_BYTES + answer_bytes;
}

/* Until the client hangs up, or the daemon ends. */
static void serve(struct vckd_client *client) VCK_CAN_WAIT
{
    for (;;) {
        ssize_t got = recv(client->fd, client->request, VCK_FRAME_BYTES_MAX, MSG_TRUNC);
        size_t size_bytes;

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        size_bytes = perform(client, (size_t)got);
        vck_wipe(client->request, VCK_MIN((size_t)got, VCK_FRAME_BYTES_MAX));
        if (send(client->fd, client->response, size_bytes, MSG_NOSIGNAL) < 0)
            return;
    }
}

bool vckd_socket_is_cancelled(struct vck_control_host *control,
                              const struct vck_control_caller *caller)
{
    const struct vckd_client *client = caller->context;
    struct pollfd hangup = {.fd = client->fd, .events = POLLRDHUP};

    (void)control;
    return poll(&hangup, 1, 0) > 0;
}

static void free_client(struct vckd_client *client)
{
    if (client->request)
        vck_free_pages(client->request, VCK_FRAME_BYTES_MAX);
    if (client->response)
        vck_free_pages(client->response, VCK_FRAME_BYTES_MAX);
    close(client->fd);
    free(client);
}

static void *client_thread(void *argument) VCK_NO_ANALYSIS
{
    struct vckd_client *client = argument;

    serve(client);
    pthread_mutex_lock(&client->socket->lock);
    client->is_ended = true;
    pthread_mutex_unlock(&client->socket->lock);
    /* The client sees the end now, not when the thread is joined. */
    shutdown(client->fd, SHUT_RDWR);
    return NULL;
}

/* Takes clients out that have ended, or all. */
static void join_clients(struct vckd_socket *s, bool all)
{
    struct vckd_client **link = &s->clients;

    while (*link) {
        struct vckd_client *client = *link;
        bool is_ended;

        pthread_mutex_lock(&s->lock);
        is_ended = client->is_ended;
        pthread_mutex_unlock(&s->lock);
        if (!all && !is_ended) {
            link = &client->next;
            continue;
        }
        *link = client->next;
        s->client_count--;
        s->unprivileged_count -= !client->is_privileged;
        pthread_join(client->thread, NULL);
        free_client(client);
    }
}

/* ---- accepting ---- */

static void say_and_close(int fd, const char *text)
{
    uint8_t response[256];

    vck_store_le32(response, vck_status_to_nt(VCK_BUSY));
    snprintf((char *)response + VCK_FRAME_PREFIX_BYTES, sizeof(response) - VCK_FRAME_PREFIX_BYTES,
             "%s", text);
    (void)send(fd, response, VCK_FRAME_PREFIX_BYTES + strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static bool is_privileged(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

static struct vckd_client *make_client(struct vckd_socket *s, int fd)
{
    struct vckd_client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->socket = s;
    client->fd = fd;
    client->is_privileged = is_privileged(fd);
    client->caller.can_read = true;
    client->caller.can_write = client->is_privileged;
    client->caller.is_admin = client->is_privileged;
    client->caller.context = client;
    client->request = vck_alloc_pages(VCK_FRAME_BYTES_MAX, CLIENT_TAG);
    client->response = vck_alloc_pages(VCK_FRAME_BYTES_MAX, CLIENT_TAG);
    if (client->request && client->response)
        return client;
    client->fd = -1;
    free_client(client);
    return NULL;
}

/* Takes the client in and starts its thread. */
static bool admit(struct vckd_socket *s, struct vckd_client *client)
{
    if (s->client_count >= VCKD_CLIENTS_MAX ||
        (!client->is_privileged && s->unprivileged_count >= VCKD_UNPRIVILEGED_MAX))
        return false;
    if (pthread_create(&client->thread, NULL, client_thread, client))
        return false;
    client->next = s->clients;
    s->clients = client;
    s->client_count++;
    s->unprivileged_count += !client->is_privileged;
    return true;
}

static void accept_one(struct vckd_socket *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    struct vckd_client *client;

    if (fd < 0) {
        /* Out of descriptors, say: the connection waits, and this thread must not spin on it. */
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            poll(NULL, 0, 100);
        return;
    }
    join_clients(s, false);
    client = make_client(s, fd);
    if (!client) {
        say_and_close(fd, "vckd has no memory for another connection");
    } else if (!admit(s, client)) {
        client->fd = -1;
        free_client(client);
        say_and_close(fd, "vckd has as many control connections as it takes");
    }
}

static void *accept_thread(void *argument)
{
    struct vckd_socket *s = argument;
    struct pollfd events[2] = {{.fd = s->listen_fd, .events = POLLIN},
                               {.fd = s->wake_fd, .events = POLLIN}};

    for (;;) {
        if (poll(events, 2, -1) < 0)
            continue;
        if (events[1].revents)
            return NULL;
        if (events[0].revents)
            accept_one(s);
    }
}

int vckd_socket_start(struct vckd_socket *s, struct vckd_host *host)
{
    int error;

    s->host = host;
    pthread_mutex_init(&s->lock, NULL);
    error = pthread_create(&s->thread, NULL, accept_thread, s);
    s->is_running = error == 0;
    return error;
}

static void end_clients(struct vckd_socket *s)
{
    uint64_t one = 1;

    (void)!write(s->wake_fd, &one, sizeof(one));
    pthread_join(s->thread, NULL);
    for (struct vckd_client *client = s->clients; client; client = client->next)
        shutdown(client->fd, SHUT_RDWR);
    join_clients(s, true);
    pthread_mutex_destroy(&s->lock);
    s->is_running = false;
}

void vckd_socket_stop(struct vckd_socket *s)
{
    if (s->path[0])
        unlink(s->path);
    if (s->is_running)
        end_clients(s);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    s->path[0] = 0;
    s->listen_fd = s->wake_fd = s->lock_fd = -1;
}
