/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The carrier of requests on POSIX: a connection to the host at --socket, or to one in this
 * process. Requests that were submitted go out together.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "prot.h"

#define BUFFER_BYTES 4194304

struct client {
    const struct command *command;
    struct host *host; /* in this process, or NULL */
    int fd;
    struct slot *slots[SLOTS_MAX]; /* in flight, by tag */
    unsigned free_tags[SLOTS_MAX];
    unsigned free_count;
    struct slot *unsent[SLOTS_MAX]; /* a ring */
    unsigned unsent_first;
    unsigned unsent_count;
    struct slot *answered[PACKETS_BATCH];
    unsigned answered_first;
    unsigned answered_count;
    uint8_t packets[PACKETS_BATCH][PACKET_BYTES_MAX];
};

/* ---- signals ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

bool is_interrupted(void)
{
    return interrupted != 0;
}

void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- connecting ---- */

static int connect_to(struct client *client, const char *path)
{
    const struct command *command = client->command;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return report_usage(command, "--socket is %zu bytes long; at most %zu are possible",
                            strlen(path), sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    client->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (client->fd >= 0 && connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return EXIT_OK;
    return report(command, errno == EACCES ? EXIT_PERMISSION : EXIT_NO_HOST,
                  "cannot reach the host at %s: %s; is vck-prot serve running?", path,
                  strerror(errno));
}

static void widen(int fd)
{
    int size = BUFFER_BYTES;

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* A host in this process, for the adapter of the command or all of them. */
static int connect_inside(struct client *client) VCK_CAN_WAIT
{
    const struct command *command = client->command;
    uint64_t queue_frames;
    int fds[2];
    int code = option_u64(command, OPTION_QUEUE, 1, VCK_FRAME_QUEUE_MAX, 4096, &queue_frames);

    if (code == EXIT_OK)
        code = host_create(command, command->operand_count > 0 ? command->operands : NULL,
                           (uint32_t)queue_frames, &client->host);
    if (code != EXIT_OK)
        return code;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
        return report(command, EXIT_FAILED, "no socket: %s", strerror(errno));
    client->fd = fds[0];
    widen(fds[0]);
    widen(fds[1]);
    if (host_connect(client->host, fds[1]))
        return EXIT_OK;
    return report(command, EXIT_FAILED, "there is no thread to be had");
}

int client_open(const struct command *command, struct client **ret_client)
{
    struct client *client = calloc(1, sizeof(*client));
    int code;

    if (!client)
        return report(command, EXIT_FAILED, "there is no memory");
    client->command = command;
    client->fd = -1;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        client->free_tags[client->free_count++] = SLOTS_MAX - 1 - i;
    code = option_given(command, OPTION_SOCKET) ? connect_to(client, command->values[OPTION_SOCKET])
                                                : connect_inside(client);
    if (code == EXIT_OK)
        *ret_client = client;
    else
        client_close(client);
    return code;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    host_destroy(client->host);
    free(client);
}

/* ---- packets ---- */

void client_submit(struct client *client, struct slot *slot)
{
    VCK_ASSERT(client->free_count > 0);
    slot->tag = client->free_tags[--client->free_count];
    client->slots[slot->tag] = slot;
    client->unsent[(client->unsent_first + client->unsent_count++) % SLOTS_MAX] = slot;
}

static int lost(struct client *client, const char *why)
{
    return report(client->command, EXIT_NO_HOST, "lost the host: %s", why);
}

/* As much as there is room for. */
static int send_packets(struct client *client)
{
    struct mmsghdr messages[PACKETS_BATCH];
    struct iovec pieces[PACKETS_BATCH][2];
    uint8_t heads[PACKETS_BATCH][PACKET_HEAD];
    unsigned count = VCK_MIN(client->unsent_count, PACKETS_BATCH);
    int sent;

    memset(messages, 0, sizeof(messages));
    for (unsigned i = 0; i < count; i++) {
        struct slot *slot = client->unsent[(client->unsent_first + i) % SLOTS_MAX];
        vck_store_le32(heads[i], slot->code);
        vck_store_le32(heads[i] + 4, slot->tag);
        pieces[i][0] = (struct iovec){heads[i], PACKET_HEAD};
        pieces[i][1] = (struct iovec){(void *)(uintptr_t)slot->in, slot->in_bytes};
        messages[i].msg_hdr.msg_iov = pieces[i];
        messages[i].msg_hdr.msg_iovlen = 2;
    }
    sent = count == 0 ? 0 : sendmmsg(client->fd, messages, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
        return lost(client, strerror(errno));
    if (sent > 0) {
        client->unsent_first = (client->unsent_first + (unsigned)sent) % SLOTS_MAX;
        client->unsent_count -= (unsigned)sent;
    }
    return EXIT_OK;
}

static int take_packet(struct client *client, const uint8_t *packet, size_t size_bytes)
{
    struct slot *slot;
    uint32_t tag;
    bool has_data;

    if (size_bytes == 0)
        return lost(client, "it closed the connection");
    tag = size_bytes >= PACKET_HEAD ? vck_load_le32(packet + 4) : SLOTS_MAX;
    if (tag >= SLOTS_MAX || !client->slots[tag])
        return lost(client, "it answers what was not asked");
    slot = client->slots[tag];
    slot->nt = vck_load_le32(packet);
    has_data = slot->nt == 0 || slot->nt == VCK_FRAME_NT_TRUNCATED;
    size_bytes -= PACKET_HEAD;
    packet += PACKET_HEAD;
    slot->why[0] = 0;
    if (has_data) {
        slot->out_bytes = VCK_MIN(size_bytes, slot->out_bytes);
        if (slot->out_bytes > 0)
            memcpy(slot->out, packet, slot->out_bytes);
    } else {
        slot->out_bytes = 0;
        snprintf(slot->why, sizeof(slot->why), "%.*s", (int)size_bytes, (const char *)packet);
    }
    client->slots[tag] = NULL;
    client->free_tags[client->free_count++] = tag;
    client->answered[client->answered_count++] = slot;
    return EXIT_OK;
}

static int receive_packets(struct client *client)
{
    struct mmsghdr messages[PACKETS_BATCH];
    struct iovec pieces[PACKETS_BATCH];
    int code = EXIT_OK;
    int got;

    memset(messages, 0, sizeof(messages));
    for (unsigned i = 0; i < PACKETS_BATCH; i++) {
        pieces[i] = (struct iovec){client->packets[i], PACKET_BYTES_MAX};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    client->answered_first = client->answered_count = 0;
    got = recvmmsg(client->fd, messages, PACKETS_BATCH, MSG_DONTWAIT, NULL);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? EXIT_OK : lost(client, strerror(errno));
    for (int i = 0; i < got && code == EXIT_OK; i++)
        code = take_packet(client, client->packets[i], messages[i].msg_len);
    return code;
}

int client_wait(struct client *client, int timeout_ms, struct slot **ret_slot)
{
    int code = EXIT_OK;

    *ret_slot = NULL;
    while (code == EXIT_OK && client->answered_first == client->answered_count) {
        struct pollfd event = {.fd = client->fd, .events = POLLIN};
        int ready;
        if (is_interrupted())
            return EXIT_INTERRUPTED;
        code = send_packets(client);
        if (code != EXIT_OK)
            break;
        if (client->unsent_count > 0)
            event.events |= POLLOUT;
        ready = poll(&event, 1, timeout_ms);
        if (ready == 0)
            return EXIT_OK;
        if (ready > 0 && event.revents & (POLLIN | POLLHUP | POLLERR))
            code = receive_packets(client);
    }
    if (code == EXIT_OK)
        *ret_slot = client->answered[client->answered_first++];
    return code;
}

const struct command *client_command(const struct client *client)
{
    return client->command;
}
