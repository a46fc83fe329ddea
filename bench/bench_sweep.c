/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-sweep: encrypts a file in place, journal and flushes included, and repeats the very same
 * reads, writes and flushes without cipher and tags. A disk in between records what is submitted
 * and what is waited for, in order, so that the replay overlaps exactly what the sweep overlapped.
 * Both take turns; each figure is a median.
 *
 *     bench-sweep FILE SIZE_MIB [--rounds N] [--batch-mib N] [--direct] [--json]
 *
 * FILE is created, overwritten and removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "port/posix/posix.h"
#include "vck/disk_io.h"
#include "vck/prepare.h"
#include "vck/volume.h"

#define MIB           (1024u * 1024u)
#define TRACE_MAX     (1u << 20)
#define IN_FLIGHT_MAX 64u
#define BUFFERS_MAX   64u
#define ROUNDS_MAX    31u

static _Noreturn void die(const char *what, vck_status status)
{
    fprintf(stderr, "bench-sweep: %s: status %d\n", what, (int)status);
    exit(1);
}

static void check(const char *what, vck_status status)
{
    if (status)
        die(what, status);
}

/* ---- the disk in between ---- */

enum event_kind { EVENT_SUBMIT, EVENT_DONE };

struct event {
    enum event_kind kind;
    unsigned slot; /* of the io: from its SUBMIT to its DONE */
    enum vck_disk_op op;
    unsigned flags;
    unsigned buffer;
    uint64_t offset_bytes;
    uint64_t size_bytes;
};

struct flight {
    struct vck_disk_io io;
    struct vck_disk_io *original;
    bool busy;
};

struct recorder {
    struct vck_disk disk;
    struct vck_disk *inner;
    pthread_mutex_t lock;
    struct event *events;
    size_t event_count;
    struct flight flights[IN_FLIGHT_MAX];
    const void *buffers[BUFFERS_MAX];
    uint64_t buffer_bytes[BUFFERS_MAX];
    unsigned buffer_count;
};

static struct recorder recorder = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Index of a buffer, one per address it was seen at. */
static unsigned buffer_index(const void *buffer, uint64_t size_bytes)
{
    unsigned i = 0;

    while (i < recorder.buffer_count && recorder.buffers[i] != buffer)
        i++;
    if (i == BUFFERS_MAX)
        die("too many buffers", VCK_NO_MEMORY);
    if (i == recorder.buffer_count)
        recorder.buffers[recorder.buffer_count++] = buffer;
    recorder.buffer_bytes[i] = VCK_MAX(recorder.buffer_bytes[i], size_bytes);
    return i;
}

static void append(struct event event)
{
    if (recorder.event_count == TRACE_MAX)
        die("the record is full", VCK_NO_MEMORY);
    recorder.events[recorder.event_count++] = event;
}

static unsigned take_slot(void)
{
    unsigned slot = 0;

    while (slot < IN_FLIGHT_MAX && recorder.flights[slot].busy)
        slot++;
    if (slot == IN_FLIGHT_MAX)
        die("too many requests in flight", VCK_NO_MEMORY);
    recorder.flights[slot].busy = true;
    return slot;
}

static void recorded_done(struct vck_disk_io *io)
{
    struct flight *flight = io->context;
    struct vck_disk_io *original = flight->original;

    original->status = io->status;
    pthread_mutex_lock(&recorder.lock);
    append((struct event){.kind = EVENT_DONE, .slot = (unsigned)(flight - recorder.flights)});
    flight->busy = false;
    pthread_mutex_unlock(&recorder.lock);
    original->done(original);
}

static void recorder_submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    struct flight *flight;
    unsigned slot;

    (void)disk;
    pthread_mutex_lock(&recorder.lock);
    slot = take_slot();
    flight = &recorder.flights[slot];
    flight->original = io;
    flight->io = *io;
    flight->io.done = recorded_done;
    flight->io.context = flight;
    append((struct event){
        .kind = EVENT_SUBMIT,
        .slot = slot,
        .op = io->op,
        .flags = io->flags,
        .buffer = io->size_bytes ? buffer_index(io->buffer, io->size_bytes) : 0,
        .offset_bytes = io->offset_bytes,
        .size_bytes = io->size_bytes,
    });
    pthread_mutex_unlock(&recorder.lock);
    recorder.inner->ops->submit(recorder.inner, &flight->io);
}

static vck_status recorder_size(struct vck_disk *disk, uint64_t *ret_size_bytes)
{
    (void)disk;
    return recorder.inner->ops->query_size(recorder.inner, ret_size_bytes);
}

static void recorder_close(struct vck_disk *disk)
{
    (void)disk;
    vck_disk_close(recorder.inner);
}

static const struct vck_disk_ops recorder_ops = {recorder_submit, recorder_size, recorder_close};

/* ---- the two runs ---- */

static struct vck_disk *open_disk(const char *path, unsigned flags)
{
    struct vck_posix_disk_options options = {.flags = flags};
    struct vck_posix_error error = {0};
    struct vck_disk *disk = NULL;
    vck_status status = vck_posix_disk_open(path, &options, &disk, &error);

    if (status)
        die(error.text, status);
    return disk;
}

static void prepare(const char *path, struct vck_bytes key)
{
    struct vck_prepare_params params = {.footer_count = 2, .overwrite_existing = true, .vmk = key};
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;
    struct vck_disk *disk = open_disk(path, 0);

    check("prepare", vck_prepare_volume(disk, &params, &result, &fault));
    vck_disk_close(disk);
}

/* Seconds for one sweep over everything; leaves the record. */
static double run_sweep(const char *path, unsigned flags, uint32_t batch_bytes)
{
    static const uint8_t key_bytes[32] = {1, 2, 3};
    struct vck_bytes key = {key_bytes, sizeof key_bytes};
    struct vck_volume_options options = {.path = path, .vmk = key, .batch_bytes = batch_bytes};
    struct vck_volume_status status;
    struct vck_volume *volume = NULL;
    struct vck_future *future;
    uint64_t start, end;

    prepare(path, key);
    recorder.inner = open_disk(path, flags);
    recorder.disk = *recorder.inner;
    recorder.disk.ops = &recorder_ops;
    check("attach", vck_volume_attach(&recorder.disk, &options, &volume));
    recorder.event_count = 0;
    recorder.buffer_count = 0;
    memset(recorder.buffer_bytes, 0, sizeof recorder.buffer_bytes);
    start = vck_clock_ns();
    check("start", vck_volume_start(volume, VCK_ENCRYPTING));
    while ((future = vck_volume_sweep_future(volume)) != NULL)
        vck_block_on(future);
    end = vck_clock_ns();
    vck_volume_query(volume, &status);
    if (status.encrypted_sectors != status.total_sectors)
        die(status.error, VCK_IO);
    size_t events = recorder.event_count;
    check("detach", vck_volume_detach(volume));
    recorder.event_count = events;
    return (double)(end - start) / 1e9;
}

struct replayed {
    struct vck_disk_future future;
    bool busy;
};

/* Seconds for the recorded requests alone. */
static double run_replay(const char *path, unsigned flags)
{
    static struct replayed replayed[IN_FLIGHT_MAX];
    struct vck_disk *disk = open_disk(path, flags);
    void *buffers[BUFFERS_MAX] = {0};
    uint64_t start;
    double seconds;

    for (unsigned i = 0; i < recorder.buffer_count; i++) {
        if (posix_memalign(&buffers[i], 4096, recorder.buffer_bytes[i]))
            die("buffers", VCK_NO_MEMORY);
        memset(buffers[i], 0x5a, recorder.buffer_bytes[i]);
    }
    start = vck_clock_ns();
    for (size_t i = 0; i < recorder.event_count; i++) {
        const struct event *event = &recorder.events[i];
        struct vck_disk_future *future = &replayed[event->slot].future;

        if (event->kind == EVENT_SUBMIT) {
            vck_disk_future_init(future, disk, event->op, event->flags, event->offset_bytes,
                                 event->size_bytes ? buffers[event->buffer] : NULL,
                                 event->size_bytes);
            vck_disk_future_start(future);
        } else {
            vck_block_on(&future->future);
            check("replay", future->io.status);
        }
    }
    seconds = (double)(vck_clock_ns() - start) / 1e9;
    for (unsigned i = 0; i < recorder.buffer_count; i++)
        free(buffers[i]);
    vck_disk_close(disk);
    return seconds;
}

/* ---- the program ---- */

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

/* Real blocks, so that no run pays for their allocation. */
static void fill(const char *path, uint64_t size_bytes)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    uint8_t *buffer = malloc(MIB);

    if (fd < 0 || !buffer)
        die(strerror(errno), VCK_IO);
    for (size_t i = 0; i < MIB; i++)
        buffer[i] = (uint8_t)(i * 7 + (i >> 8));
    for (uint64_t at = 0; at < size_bytes; at += MIB)
        if (write(fd, buffer, MIB) != (ssize_t)MIB)
            die(strerror(errno), VCK_IO);
    if (fsync(fd) || close(fd))
        die(strerror(errno), VCK_IO);
    free(buffer);
}

static void count_events(unsigned *ret_reads, unsigned *ret_writes, unsigned *ret_flushes)
{
    unsigned counts[4] = {0};

    for (size_t i = 0; i < recorder.event_count; i++)
        if (recorder.events[i].kind == EVENT_SUBMIT)
            counts[recorder.events[i].op]++;
    *ret_reads = counts[VCK_DISK_READ];
    *ret_writes = counts[VCK_DISK_WRITE];
    *ret_flushes = counts[VCK_DISK_FLUSH];
}

struct plan {
    const char *path;
    uint64_t size_bytes;
    unsigned rounds;
    unsigned flags;
    uint32_t batch_bytes;
    bool json;
    double sweeps[ROUNDS_MAX], replays[ROUNDS_MAX], ratios[ROUNDS_MAX];
};

static int read_arguments(int argc, char **argv, struct plan *plan)
{
    if (argc < 3)
        return fprintf(stderr, "usage: bench-sweep FILE SIZE_MIB [--rounds N] [--batch-mib N] "
                               "[--direct] [--json]\n"),
               2;
    plan->path = argv[1];
    plan->size_bytes = strtoull(argv[2], NULL, 10) * MIB;
    plan->rounds = 3;
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            plan->json = true;
        else if (strcmp(argv[i], "--direct") == 0)
            plan->flags |= VCK_POSIX_DISK_DIRECT;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            plan->rounds = (unsigned)atoi(argv[++i]);
        else if (strcmp(argv[i], "--batch-mib") == 0 && i + 1 < argc)
            plan->batch_bytes = (uint32_t)atoi(argv[++i]) * MIB;
        else
            return 2;
    }
    plan->rounds = VCK_MIN(VCK_MAX(plan->rounds, 1u), ROUNDS_MAX);
    return 0;
}

/* On a thread of the class a sweep has in the daemon. */
static void measure(void *context)
{
    struct plan *plan = context;

    for (unsigned i = 0; i < plan->rounds; i++) {
        plan->sweeps[i] = run_sweep(plan->path, plan->flags, plan->batch_bytes);
        plan->replays[i] = run_replay(plan->path, plan->flags);
        plan->ratios[i] = plan->replays[i] / plan->sweeps[i];
    }
}

static void report(struct plan *plan)
{
    double bytes = (double)plan->size_bytes;
    unsigned reads, writes, flushes;

    count_events(&reads, &writes, &flushes);
    printf(plan->json
               ? "{\"bench\": \"sweep\", \"bytes\": %.0f, \"direct\": %s, \"sweep_gb_s\": %.3f, "
                 "\"io_gb_s\": %.3f, \"ratio\": %.3f, \"reads\": %u, \"writes\": %u, "
                 "\"flushes\": %u}\n"
               : "%.0f bytes, direct %s: sweep %.3f GB/s, same I/O alone %.3f GB/s, ratio %.3f "
                 "(%u reads, %u writes, %u flushes)\n",
           bytes, plan->flags ? "true" : "false", bytes / median(plan->sweeps, plan->rounds) / 1e9,
           bytes / median(plan->replays, plan->rounds) / 1e9, median(plan->ratios, plan->rounds),
           reads, writes, flushes);
}

int main(int argc, char **argv)
{
    static struct plan plan;
    struct vck_thread *thread = NULL;

    if (read_arguments(argc, argv, &plan))
        return 2;
    recorder.events = calloc(TRACE_MAX, sizeof *recorder.events);
    if (!recorder.events)
        die("the record", VCK_NO_MEMORY);
    fill(plan.path, plan.size_bytes);
    check("a thread", vck_thread_create(measure, &plan, VCK_THREAD_BACKGROUND, "bench", &thread));
    vck_thread_join(thread);
    unlink(plan.path);
    report(&plan);
    return 0;
}
