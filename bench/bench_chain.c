/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-chain: packets of 1500 bytes in three pieces, copied to a flat buffer and to another chain
 * that is split elsewhere, next to one memcpy of the same bytes from and to flat buffers. Both in
 * the first cache and in a ring that is larger than it. Peers take turns in every round, so that a
 * drifting clock hits all of them, and each figure is a median. --json for machines.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "vck/bytes.h"
#include "vck/span_copy.h"

#define ROUNDS           61u
#define PACKETS_PER_TURN 32768u
#define PACKETS_MAX      512u
#define PACKET_BYTES     1500u
#define SLOT_BYTES       2048u
#define PIECES           3u

/* Where the pieces are in a slot, and their sizes. */
struct layout {
    const char *name;
    uint32_t offsets[PIECES], sizes[PIECES];
};

static const struct layout thirds = {"500 + 500 + 500", {0, 576, 1216}, {500, 500, 500}};
static const struct layout headers = {"14 + 40 + 1446", {2, 64, 192}, {14, 40, 1446}};
static const struct layout target_layout = {"128 + 1024 + 348", {0, 192, 1280}, {128, 1024, 348}};

struct packet {
    struct vck_descriptor pieces[PIECES];
};

struct job {
    uint8_t *from, *to; /* slots */
    struct packet *sources, *targets;
    size_t packets; /* in the ring */
    size_t packet_bytes;
};

typedef void peer(const struct job *job);

static void run_memcpy(const struct job *job)
{
    for (size_t i = 0; i < job->packets; i++)
        memcpy(job->to + i * SLOT_BYTES, job->from + i * SLOT_BYTES, job->packet_bytes);
}

static void check(vck_status status, uint64_t done_bytes)
{
    if (status || done_bytes != PACKET_BYTES)
        abort();
}

static void run_flat(const struct job *job)
{
    uint64_t done_bytes;
    for (size_t i = 0; i < job->packets; i++) {
        struct vck_span from = vck_span_of_chain(job->sources[i].pieces);
        vck_status status =
            vck_span_copy_out(job->to + i * SLOT_BYTES, job->packet_bytes, &from, &done_bytes);
        check(status, done_bytes);
    }
}

static void run_chain(const struct job *job)
{
    uint64_t done_bytes;
    for (size_t i = 0; i < job->packets; i++) {
        struct vck_span to = vck_span_of(job->targets[i].pieces, 0, job->packet_bytes);
        struct vck_span from = vck_span_of_chain(job->sources[i].pieces);
        vck_status status = vck_span_copy(&to, &from, &done_bytes);
        check(status, done_bytes);
    }
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), compare);
    return values[count / 2];
}

enum { MEMCPY, FLAT, CHAIN, PEERS };

/* Nanoseconds for a packet, for each peer. */
static void measure(const struct job *job, double ret_packet_ns[PEERS])
{
    static peer *const peers[PEERS] = {run_memcpy, run_flat, run_chain};
    static double times[PEERS][ROUNDS];
    size_t turns = PACKETS_PER_TURN / job->packets;

    for (unsigned round = 0; round < ROUNDS; round++)
        for (int p = 0; p < PEERS; p++) {
            double start = now_seconds();
            for (size_t turn = 0; turn < turns; turn++)
                peers[p](job);
            times[p][round] = now_seconds() - start;
        }
    for (int p = 0; p < PEERS; p++)
        ret_packet_ns[p] = median(times[p], ROUNDS) * 1e9 / (double)(turns * job->packets);
}

static void split(struct packet *packets, uint8_t *slots, const struct layout *layout)
{
    for (size_t i = 0; i < PACKETS_MAX; i++)
        for (size_t j = 0; j < PIECES; j++) {
            struct vck_descriptor *piece = &packets[i].pieces[j];
            vck_descriptor_init(piece, slots + i * SLOT_BYTES + layout->offsets[j],
                                layout->sizes[j]);
            piece->next = j + 1 < PIECES ? piece + 1 : NULL;
        }
}

static bool json;
static const char *separator = "";

static void print_row(const struct job *job, const struct layout *layout,
                      const double packet_ns[PEERS])
{
    static const char *const names[PEERS] = {"memcpy", "flat", "chain"};
    for (int p = FLAT; p < PEERS; p++) {
        double ratio = packet_ns[MEMCPY] / packet_ns[p];
        if (json)
            printf("%s\n  {\"bench\": \"chain\", \"pieces\": \"%s\", \"packets\": %zu, "
                   "\"to\": \"%s\", \"packet_ns\": %.2f, \"memcpy_ns\": %.2f, \"ratio\": %.3f}",
                   separator, layout->name, job->packets, names[p], packet_ns[p], packet_ns[MEMCPY],
                   ratio);
        else
            printf("%-16s %7zu  %-5s %9.1f %9.1f %9.2f\n", layout->name, job->packets, names[p],
                   packet_ns[p], packet_ns[MEMCPY], ratio);
        separator = ",";
    }
}

static void bench_all(struct job *job)
{
    static const struct layout *const layouts[] = {&thirds, &headers};
    static const size_t rings[] = {4, PACKETS_MAX};

    split(job->targets, job->to, &target_layout);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(rings); i++)
        for (size_t j = 0; j < VCK_ARRAY_COUNT(layouts); j++) {
            double packet_ns[PEERS];
            split(job->sources, job->from, layouts[j]);
            job->packets = rings[i];
            measure(job, packet_ns);
            print_row(job, layouts[j], packet_ns);
        }
}

int main(int argc, char **argv)
{
    static struct packet sources[PACKETS_MAX], targets[PACKETS_MAX];
    const size_t slots_bytes = (size_t)PACKETS_MAX * SLOT_BYTES;
    struct job job = {.sources = sources, .targets = targets, .packet_bytes = PACKET_BYTES};

    json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 2 || (argc == 2 && !json)) {
        fputs("usage: bench-chain [--json]\n", stderr);
        return 2;
    }
    job.from = aligned_alloc(4096, slots_bytes);
    job.to = aligned_alloc(4096, slots_bytes);
    if (job.from == NULL || job.to == NULL)
        return 1;
    memset(job.from, 1, slots_bytes);
    memset(job.to, 2, slots_bytes);
    if (json)
        printf("[");
    else
        puts("packets of 1500 bytes, copied\npieces           in ring  to    ns/packet    memcpy "
             "  /memcpy");
    bench_all(&job);
    if (json)
        puts("\n]");
    free(job.from);
    free(job.to);
    return 0;
}
