/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host: the protocol, and the connections it serves.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <fcntl.h>
#include "port/posix/frame.h"
#include "prot.h"

#define CONNECTIONS_MAX 64u

struct served {
    struct served *next;
    struct connection *connection;
    pthread_t thread;
    bool is_ended; /* under the host's lock: the thread only has to be joined */
    struct host *host;
};

static const struct vck_object_type host_type = {.name = "vck-prot"};

struct host {
    struct vck_object *root; /* whose unload waits until all has ended */
    struct vck_posix_frame_config config;
    struct vck_frame_protocol *protocol;
    pthread_mutex_t lock;
    struct served *served;
    unsigned count;
};

/* ---- the protocol ---- */

static int wait_for_binds(struct host *host) VCK_CAN_WAIT
{
    struct vck_frame_call call;

    vck_frame_binds_init(&call, host->protocol);
    vck_block_on(&call.future);
    return call.status == VCK_OK ? 0 : -1;
}

static int explain_start(const struct command *command, vck_status status, int32_t native_error)
{
    int code = status == VCK_PERMISSION_DENIED ? EXIT_PERMISSION : EXIT_FAILED;

    return report(command, code, "packet sockets cannot be used: %s",
                  native_error ? strerror(native_error) : vck_status_text(status));
}

int host_create(const struct command *command, const char *const *names, uint32_t queue_frames,
                struct host **ret_host)
{
    struct host *host = calloc(1, sizeof(*host));
    struct vck_frame_options options = {.queue_frames = queue_frames};
    int32_t native_error = 0;
    vck_status status;

    if (!host)
        return report(command, EXIT_FAILED, "there is no memory");
    pthread_mutex_init(&host->lock, NULL);
    host->config.names = names;
    options.port_config = &host->config;
    status = vck_object_create(&host_type, NULL, NULL, NULL, &host->root);
    options.parent = host->root;
    if (status == VCK_OK)
        status = vck_frame_protocol_create(&options, &host->protocol);
    if (status == VCK_OK)
        status = vck_frame_protocol_start(host->protocol, &native_error);
    if (status == VCK_OK && wait_for_binds(host) == 0) {
        *ret_host = host;
        return EXIT_OK;
    }
    host_destroy(host);
    return explain_start(command, status, native_error);
}

/* Joins connections that have ended, or all. */
static void join(struct host *host, bool all)
{
    struct served **link = &host->served;

    while (*link) {
        struct served *served = *link;
        bool is_ended;
        pthread_mutex_lock(&host->lock);
        is_ended = served->is_ended;
        pthread_mutex_unlock(&host->lock);
        if (!all && !is_ended) {
            link = &served->next;
            continue;
        }
        *link = served->next;
        host->count--;
        pthread_join(served->thread, NULL);
        connection_destroy(served->connection);
        free(served);
    }
}

void host_destroy(struct host *host)
{
    if (!host)
        return;
    for (struct served *served = host->served; served; served = served->next)
        shutdown(connection_fd(served->connection), SHUT_RDWR);
    join(host, true);
    vck_frame_protocol_destroy(host->protocol);
    if (host->root)
        (void)vck_object_unload(host->root, 0);
    pthread_mutex_destroy(&host->lock);
    free(host);
}

/* ---- connections ---- */

static void *serve_thread(void *argument)
{
    struct served *served = argument;

    waiting_is_fine();
    connection_run(served->connection);
    pthread_mutex_lock(&served->host->lock);
    served->is_ended = true;
    pthread_mutex_unlock(&served->host->lock);
    return NULL;
}

bool host_connect(struct host *host, int fd)
{
    struct served *served = calloc(1, sizeof(*served));

    join(host, false);
    if (served && host->count < CONNECTIONS_MAX)
        served->connection = connection_create(host->protocol, fd);
    if (!served || !served->connection) {
        free(served);
        close(fd);
        return false;
    }
    served->host = host;
    if (pthread_create(&served->thread, NULL, serve_thread, served)) {
        connection_destroy(served->connection);
        free(served);
        return false;
    }
    served->next = host->served;
    host->served = served;
    host->count++;
    return true;
}

/* ---- the socket ---- */

static int refuse(const struct command *command, const char *path, const char *what)
{
    return report(command, EXIT_FAILED, "%s: %s: %s", path, what, strerror(errno));
}

/* Whoever holds the lock serves the socket: one that is there is then a dead one's. */
static int take_lock(const struct command *command, const char *path, int *ret_fd)
{
    char name[120];
    int fd;

    snprintf(name, sizeof(name), "%s.lock", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return refuse(command, name, "cannot be made");
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = fd;
        return EXIT_OK;
    }
    close(fd);
    return report(command, EXIT_BUSY, "%s: another vck-prot serves this socket", path);
}

static int listen_at(const struct command *command, const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat there;
    int fd;

    if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode))
        return report(command, EXIT_FAILED, "%s is there and is not a socket", path);
    (void)unlink(path);
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return refuse(command, path, "no socket");
    /* Frames are for those who could open packet sockets themselves. */
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(path, 0600) ||
        listen(fd, 16)) {
        int code = refuse(command, path, "cannot be listened at");
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return EXIT_OK;
}

static void accept_until_interrupted(struct host *host, int listen_fd)
{
    struct pollfd event = {.fd = listen_fd, .events = POLLIN};

    while (!is_interrupted()) {
        int fd;
        if (poll(&event, 1, -1) < 0)
            continue;
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            (void)host_connect(host, fd);
    }
}

int host_serve(struct host *host, const struct command *command, const char *path)
{
    int lock_fd = -1;
    int listen_fd = -1;
    int code;

    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return report_usage(command, "--socket is %zu bytes long; at most 107 are possible",
                            strlen(path));
    code = take_lock(command, path, &lock_fd);
    if (code != EXIT_OK)
        return code;
    code = listen_at(command, path, &listen_fd);
    if (code == EXIT_OK) {
        fprintf(stderr, "vck-prot serve: ready at %s\n", path);
        accept_until_interrupted(host, listen_fd);
        close(listen_fd);
        unlink(path);
    }
    close(lock_fd);
    return code;
}
