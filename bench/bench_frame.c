/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames one way over a pair of veth interfaces, in a network namespace of the program's own:
 * through bindings, and with a plain loop of send and recv on packet sockets, in turns. Both have a
 * thread that sends and one that receives. What counts is frames received per second.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "port/posix/frame.h"
#include "vck/frame.h"
#include "vck/timeout.h"

#define TYPE        VCK_FRAME_ETHER_TYPE_DEFAULT
#define BATCH       32u
#define ROUNDS_MAX  32
#define SILENCE_NS  UINT64_C(300000000) /* after which it was all */
#define BUFFER_SIZE (8 << 20)

static const uint8_t addresses[2][6] = {{2, 0, 0, 0, 0, 10}, {2, 0, 0, 0, 0, 11}};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void make_frame(uint8_t *frame)
{
    memcpy(frame, addresses[1], 6);
    memcpy(frame + 6, addresses[0], 6);
    vck_store_be16(frame + 12, TYPE);
}

struct result {
    uint64_t received;
    uint64_t first_ns;
    uint64_t last_ns;
};

static void count(struct result *result)
{
    result->last_ns = vck_clock_ns();
    if (result->received++ == 0)
        result->first_ns = result->last_ns;
}

static double speed(const struct result *result)
{
    return (double)result->received * 1e9 / (double)(result->last_ns - result->first_ns + 1);
}

/* ---- the plain loop ---- */

struct plain {
    int fd;
    size_t size_bytes;
    uint64_t frames;
    struct result result;
};

static int plain_socket(const char *name, uint16_t type)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(type),
                                  .sll_ifindex = (int)if_nametoindex(name)};
    struct timeval silence = {.tv_usec = SILENCE_NS / 1000};
    int size = BUFFER_SIZE;
    int fd = socket(AF_PACKET, SOCK_RAW, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence)) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)))
        die("packet socket");
    return fd;
}

static void *plain_receive(void *context)
{
    struct plain *plain = context;
    uint8_t frame[2048];

    while (plain->result.received < plain->frames) {
        if (recv(plain->fd, frame, sizeof(frame), 0) >= 0)
            count(&plain->result);
        else if (plain->result.received > 0)
            break;
    }
    return NULL;
}

static double measure_plain(size_t size_bytes, uint64_t frames)
{
    struct plain plain = {
        .fd = plain_socket("wire1", TYPE), .size_bytes = size_bytes, .frames = frames};
    int fd = plain_socket("wire0", 0);
    uint8_t frame[2048] = {0};
    pthread_t receiver;

    make_frame(frame);
    pthread_create(&receiver, NULL, plain_receive, &plain);
    for (uint64_t i = 0; i < frames; i++)
        if (send(fd, frame, size_bytes, 0) < 0)
            die("send");
    pthread_join(receiver, NULL);
    close(fd);
    close(plain.fd);
    return speed(&plain.result);
}

/* ---- bindings ---- */

struct side {
    struct vck_frame_protocol *protocol;
    struct vck_frame_opener opener;
    struct vck_posix_frame_config config;
    const char *names[2];
    uint64_t frames;
    struct result result;
};

static void must(vck_status status, const char *what)
{
    if (status == VCK_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, vck_status_text(status));
    exit(1);
}

static void start_side(struct side *side, const char *name) VCK_CAN_WAIT
{
    struct vck_frame_options options = {.port_config = &side->config, .queue_frames = 4096};
    struct vck_bytes text = {(const uint8_t *)name, strlen(name)};
    struct vck_frame_call call;
    uint8_t filter[4];

    side->names[0] = name;
    side->config = (struct vck_posix_frame_config){.names = side->names, .ring_bytes = BUFFER_SIZE};
    must(vck_frame_protocol_create(&options, &side->protocol), "protocol");
    must(vck_frame_protocol_start(side->protocol, NULL), "protocol");
    vck_frame_binds_init(&call, side->protocol);
    vck_block_on(&call.future);
    must(vck_frame_open(side->protocol, text, TYPE, &side->opener), name);
    vck_store_le32(filter, VCK_FRAME_FILTER_DEFAULT);
    vck_frame_set_init(&call, side->opener.binding, VCK_OID_GEN_CURRENT_PACKET_FILTER, filter, 4);
    vck_block_on(&call.future);
    must(call.status, "filter");
}

static void stop_side(struct side *side) VCK_CAN_WAIT
{
    vck_frame_close(&side->opener);
    vck_frame_protocol_destroy(side->protocol);
}

static void *frame_receive(void *context) VCK_NO_ANALYSIS
{
    struct side *side = context;
    uint8_t frame[2048];

    while (side->result.received < side->frames) {
        uint64_t limit_ns = side->result.received > 0 ? SILENCE_NS : 20 * SILENCE_NS;
        struct vck_frame_call call;
        vck_frame_read_init(&call, &side->opener, frame, sizeof(frame));
        /* Mostly a frame waits already, and a time limit costs as much as it. */
        if (vck_future_poll(&call.future, &vck_waker_noop) != VCK_READY &&
            vck_block_on_until(&call.future, vck_clock_ns() + limit_ns) != VCK_OK)
            break;
        count(&side->result);
    }
    return NULL;
}

static void send_batches(struct side *side, uint8_t *frame, size_t size_bytes) VCK_CAN_WAIT
{
    struct vck_frame_call calls[BATCH];
    struct vck_frame_call *list[BATCH];
    struct vck_descriptor pieces[BATCH];

    for (uint64_t i = 0; i < side->frames; i += BATCH) {
        for (unsigned j = 0; j < BATCH; j++) {
            vck_descriptor_init(&pieces[j], frame, (uint32_t)size_bytes);
            vck_frame_send_init(&calls[j], &side->opener, &pieces[j], 0, (uint32_t)size_bytes, 0);
            list[j] = &calls[j];
        }
        vck_frame_sends_start(list, BATCH);
        for (unsigned j = 0; j < BATCH; j++)
            vck_block_on(&calls[j].future);
    }
}

static double measure_bindings(size_t size_bytes, uint64_t frames) VCK_CAN_WAIT
{
    static struct side sides[2];
    uint8_t frame[2048] = {0};
    pthread_t receiver;

    memset(sides, 0, sizeof(sides));
    make_frame(frame);
    for (unsigned i = 0; i < 2; i++) {
        start_side(&sides[i], i == 0 ? "wire0" : "wire1");
        sides[i].frames = frames;
    }
    pthread_create(&receiver, NULL, frame_receive, &sides[1]);
    send_batches(&sides[0], frame, size_bytes);
    pthread_join(receiver, NULL);
    stop_side(&sides[0]);
    stop_side(&sides[1]);
    return speed(&sides[1].result);
}

/* ---- in turns ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(size_t size_bytes, uint64_t frames, int rounds, bool is_last) VCK_CAN_WAIT
{
    double ratios[ROUNDS_MAX];
    double plain = 0;
    double bindings = 0;

    for (int i = 0; i < rounds; i++) {
        double a = measure_plain(size_bytes, frames);
        double b = measure_bindings(size_bytes, frames);
        ratios[i] = b / a;
        plain += a / rounds;
        bindings += b / rounds;
    }
    qsort(ratios, (size_t)rounds, sizeof(ratios[0]), compare);
    printf("{\"frame_bytes\": %zu, \"ratio\": %.3f, \"frames_per_second\": %.0f, "
           "\"plain_frames_per_second\": %.0f}%s\n",
           size_bytes, ratios[rounds / 2], bindings, plain, is_last ? "" : ",");
}

int main(int argc, char **argv) VCK_NO_ANALYSIS
{
    int rounds = argc > 1 ? atoi(argv[1]) : 7;
    uint64_t frames = argc > 2 ? strtoull(argv[2], NULL, 10) / BATCH * BATCH : 320000;

    if (rounds < 1 || rounds > ROUNDS_MAX || frames == 0) {
        fprintf(stderr, "Usage: bench-frame [ROUNDS [FRAMES]]\n");
        return 2;
    }
    if (unshare(CLONE_NEWNET) != 0)
        die("a network namespace");
    if (system("ip link add wire0 type veth peer name wire1 && "
               "ip link set wire0 address 02:00:00:00:00:0a up && "
               "ip link set wire1 address 02:00:00:00:00:0b up") != 0)
        return 1;
    puts("[");
    measure(64, frames, rounds, false);
    measure(1500, frames, rounds, true);
    puts("]");
    return 0;
}
