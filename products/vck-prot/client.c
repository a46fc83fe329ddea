/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of a connection: to the host at --socket, or to one in this process. Requests
 * that were submitted go out together.
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
#include "vck/utf.h"

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

/* ---- requests ---- */

int client_refused(struct client *client, const struct slot *slot)
{
    vck_status status =
        slot->nt == VCK_NT_BUFFER_TOO_SMALL ? VCK_SIZE_MISMATCH : vck_status_from_nt(slot->nt);
    int code = EXIT_REFUSED;

    if (status == VCK_NOT_FOUND || status == VCK_DELETED)
        code = EXIT_NOT_FOUND;
    else if (status == VCK_BUSY)
        code = EXIT_BUSY;
    else if (status == VCK_PERMISSION_DENIED)
        code = EXIT_PERMISSION;
    return report(client->command, code, "%s%s%s", vck_status_text(status),
                  slot->why[0] ? ": " : "", slot->why);
}

int client_ask(struct client *client, uint32_t code, const void *in, size_t in_bytes, void *out,
               size_t *out_bytes)
{
    struct slot slot = {.code = code,
                        .in = in,
                        .in_bytes = in_bytes,
                        .out = out,
                        .out_bytes = out_bytes ? *out_bytes : 0};
    struct slot *answered = NULL;
    int result;

    client_submit(client, &slot);
    do
        result = client_wait(client, -1, &answered);
    while (result == EXIT_OK && answered != &slot);
    if (result != EXIT_OK)
        return result;
    if (slot.nt != 0)
        return client_refused(client, &slot);
    if (out_bytes)
        *out_bytes = slot.out_bytes;
    return EXIT_OK;
}

static int set_promiscuous(struct client *client)
{
    uint8_t message[12] = {0};

    vck_store_le32(message, VCK_OID_GEN_CURRENT_PACKET_FILTER);
    vck_store_le32(message + 8, VCK_FRAME_FILTER_DEFAULT | VCK_FRAME_FILTER_PROMISCUOUS);
    return client_ask(client, VCK_FRAME_CODE_SET_OID, message, sizeof(message), NULL, NULL);
}

int client_open_adapter(struct client *client, const char *name)
{
    struct vck_bytes utf8 = {(const uint8_t *)name, strlen(name)};
    uint8_t wire[VCK_FRAME_WIRE_NAME_BYTES];
    uint8_t wire_type[2];
    uint16_t ether_type;
    size_t size_bytes;
    int code = option_ether_type(client->command, &ether_type);

    if (code != EXIT_OK)
        return code;
    if (vck_utf8_to_utf16le(utf8, wire, sizeof(wire), &size_bytes) != VCK_OK)
        return report_usage(client->command, "%s is not the name of an adapter", name);
    vck_store_le16(wire_type, ether_type);
    code = client_ask(client, VCK_FRAME_CODE_SET_ETHER_TYPE, wire_type, 2, NULL, NULL);
    if (code == EXIT_OK)
        code = client_ask(client, VCK_FRAME_CODE_OPEN_DEVICE, wire, size_bytes, NULL, NULL);
    if (code == EXIT_OK && option_given(client->command, OPTION_PROMISCUOUS))
        code = set_promiscuous(client);
    return code;
}

int client_state(struct client *client, struct vck_frame_state_message *ret_state)
{
    uint8_t wire[VCK_FRAME_STATE_MESSAGE_BYTES];
    size_t size_bytes = sizeof(wire);
    int code = client_ask(client, VCK_FRAME_CODE_QUERY_STATE, NULL, 0, wire, &size_bytes);

    if (code != EXIT_OK)
        return code;
    if (vck_frame_state_decode((struct vck_bytes){wire, size_bytes}, ret_state) != VCK_OK)
        return lost(client, "its answer is damaged");
    return EXIT_OK;
}
