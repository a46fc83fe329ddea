/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vck-fetch: an HTTP load client. One thread, one executor that sleeps in the network's own wait,
 * and a window of lanes: tasks that each make one connection after the other, send a request, read
 * the reply and close. What fails is tried again on a new connection.
 *
 *     vck-fetch --connections 10000 HOST PORT
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "vck/coroutine.h"
#include "vck/executor.h"
#include "vck/resolver.h"
#include "vck/socket.h"

#define ADDRESSES_MAX 8
#define BUFFER_BYTES  1024
#define LINE_BYTES    128
#define NS_PER_MS     1000000ull

/* ---- replies ---- */

/* What is known of a reply while it comes in. */
struct reply {
    char line[LINE_BYTES]; /* the header line being read, cut at its size */
    uint32_t line_bytes;
    uint32_t code;
    bool in_body;
    bool has_length;
    uint64_t body_left_bytes; /* when has_length */
    bool is_complete;
};

/* "HTTP/1.x NNN ..."; 999 for anything else. */
static uint32_t code_of(const char *line)
{
    uint32_t code = 0;

    if (strncmp(line, "HTTP/1.", 7) != 0 || line[7] == 0 || line[8] != ' ')
        return 999;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return 999;
        code = code * 10 + (uint32_t)(line[i] - '0');
    }
    return code > 0 ? code : 999;
}

static void take_line(struct reply *reply)
{
    static const char length[] = "content-length:";
    char *line = reply->line;

    line[VCK_MIN(reply->line_bytes, (uint32_t)LINE_BYTES - 1)] = 0;
    if (reply->line_bytes == 0) {
        reply->in_body = true;
        reply->is_complete = reply->has_length && reply->body_left_bytes == 0;
    } else if (reply->code == 0) {
        reply->code = code_of(line);
    } else if (strncasecmp(line, length, sizeof(length) - 1) == 0) {
        reply->body_left_bytes = strtoull(line + sizeof(length) - 1, NULL, 10);
        reply->has_length = true;
    }
    reply->line_bytes = 0;
}

static void take_bytes(struct reply *reply, const char *data, size_t size_bytes)
{
    size_t i = 0;

    for (; i < size_bytes && !reply->in_body; i++) {
        if (data[i] == '\n')
            take_line(reply);
        else if (data[i] != '\r' && reply->line_bytes < LINE_BYTES - 1)
            reply->line[reply->line_bytes++] = data[i];
    }
    if (!reply->in_body || !reply->has_length || reply->is_complete)
        return;
    reply->body_left_bytes -= VCK_MIN(reply->body_left_bytes, (uint64_t)(size_bytes - i));
    reply->is_complete = reply->body_left_bytes == 0;
}

/* The end of the stream ends a reply without a length and breaks any other. */
static vck_status take_end(struct reply *reply)
{
    reply->is_complete = reply->in_body && !reply->has_length;
    return reply->is_complete ? VCK_OK : VCK_OUT_OF_RANGE;
}

/* ---- the run ---- */

struct settings {
    uint64_t connections;
    uint64_t window;
    uint64_t retries;
    uint64_t timeout_ms;
    const char *path;
    const char *host;
    uint16_t port;
    bool json;
};

struct run {
    struct settings settings;
    struct vck_network *network;
    struct vck_executor *executor;
    struct vck_resolve resolve;
    struct vck_address addresses[ADDRESSES_MAX];
    char request[1024];
    size_t request_bytes;
    struct lane *lanes;
    uint64_t started; /* connections handed to lanes */
    uint64_t lanes_left;
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t replies;
    uint64_t failures; /* that were not made good by a retry */
    uint64_t retried;
    uint64_t codes[1000];
    uint64_t errors[VCK_STATUS_COUNT];
};

struct lane {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_task task;
    struct run *run;
    struct vck_socket *socket;
    struct vck_socket_call call;
    struct reply reply;
    uint64_t attempt;
    vck_status status;
    char buffer[BUFFER_BYTES];
};

static void set_deadline(struct lane *lane)
{
    lane->call.call.deadline_ns = vck_clock_ns() + lane->run->settings.timeout_ms * NS_PER_MS;
}

static vck_status begin_request(struct lane *lane) VCK_NO_ANALYSIS
{
    const struct run *run = lane->run;
    const struct vck_address *to = &run->addresses[lane->attempt % run->resolve.io.count];
    vck_status status = vck_socket_create(run->network, VCK_SOCKET_STREAM,
                                          (enum vck_address_family)to->family, &lane->socket);

    if (status)
        return status;
    memset(&lane->reply, 0, sizeof(lane->reply));
    vck_socket_connect_send_init(&lane->call, lane->socket, to, run->request, run->request_bytes);
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
        return take_end(&lane->reply);
    take_bytes(&lane->reply, lane->buffer, lane->call.io.done_bytes);
    return VCK_OK;
}

/* Counts what came of an attempt; true when there is to be another. */
static bool record(struct lane *lane)
{
    struct run *run = lane->run;

    if (lane->status == VCK_OK) {
        run->replies++;
        run->codes[lane->reply.code % 1000]++;
        return false;
    }
    run->errors[lane->status]++;
    if (lane->attempt >= run->settings.retries) {
        run->failures++;
        return false;
    }
    lane->attempt++;
    run->retried++;
    return true;
}

static bool next_connection(struct lane *lane)
{
    struct run *run = lane->run;

    lane->attempt = 0;
    return run->started < run->settings.connections && ++run->started;
}

static void end_lane(struct lane *lane)
{
    struct run *run = lane->run;

    if (--run->lanes_left > 0)
        return;
    run->end_ns = vck_clock_ns();
    vck_executor_shutdown(run->executor);
}

static enum vck_poll lane_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct lane *lane = VCK_CONTAINER_OF(self, struct lane, future);

    VCK_CO_BEGIN(&lane->co);
    while (next_connection(lane)) {
        do {
            lane->status = begin_request(lane);
            if (lane->status)
                continue;
            VCK_CO_AWAIT(&lane->co, &lane->call.call.future, waker);
            lane->status = lane->call.io.status;
            while (lane->status == VCK_OK && !lane->reply.is_complete) {
                begin_read(lane);
                VCK_CO_AWAIT(&lane->co, &lane->call.call.future, waker);
                lane->status = end_read(lane);
            }
            vck_socket_close_init(&lane->call, lane->socket);
            VCK_CO_AWAIT(&lane->co, &lane->call.call.future, waker);
        } while (record(lane));
    }
    end_lane(lane);
    VCK_CO_END(&lane->co);
}

/* A lane that is dropped waits for something: of its connection, or for the connection's end. */
static void lane_drop(struct vck_future *self) VCK_NO_ANALYSIS
{
    struct lane *lane = VCK_CONTAINER_OF(self, struct lane, future);

    if (lane->co.resume_at == 0)
        return;
    vck_future_drop(&lane->call.call.future);
    if (lane->call.io.op != VCK_SOCKET_CLOSE)
        vck_socket_close(lane->socket);
}

/* ---- beginning: the name, then the lanes ---- */

struct beginning {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_task task;
    struct run *run;
};

static vck_status start_lanes(struct run *run)
{
    run->start_ns = vck_clock_ns();
    run->lanes_left = run->settings.window;
    for (uint64_t i = 0; i < run->settings.window; i++) {
        struct lane *lane = &run->lanes[i];
        lane->future = (struct vck_future){.poll = lane_poll, .drop = lane_drop};
        lane->run = run;
        vck_task_init(&lane->task, &lane->future);
        vck_status status = vck_executor_spawn(run->executor, &lane->task, NULL);
        if (status)
            return status;
    }
    return VCK_OK;
}

static enum vck_poll beginning_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct beginning *beginning = VCK_CONTAINER_OF(self, struct beginning, future);
    struct run *run = beginning->run;

    VCK_CO_BEGIN(&beginning->co);
    vck_resolve_init(&run->resolve, run->network, run->settings.host, run->settings.port,
                     VCK_ADDRESS_NONE, run->addresses, ADDRESSES_MAX);
    run->resolve.call.deadline_ns = vck_clock_ns() + run->settings.timeout_ms * NS_PER_MS;
    VCK_CO_AWAIT(&beginning->co, &run->resolve.call.future, waker);
    if (run->resolve.io.status || start_lanes(run))
        vck_executor_shutdown(run->executor);
    VCK_CO_END(&beginning->co);
}

static void make_request(struct run *run)
{
    int size = snprintf(run->request, sizeof(run->request),
                        "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                        run->settings.path, run->settings.host);

    run->request_bytes = VCK_MIN((size_t)size, sizeof(run->request) - 1);
}

static vck_status perform(struct run *run) VCK_CAN_WAIT
{
    struct vck_network_options options = {.flags = VCK_NETWORK_DRIVEN};
    struct vck_executor_options executor_options = {0};
    struct beginning beginning = {.future = {.poll = beginning_poll}, .run = run};
    vck_status status;

    make_request(run);
    run->lanes = vck_alloc(run->settings.window * sizeof(struct lane), VCK_TAG('f', 't', 'c', 'h'));
    if (!run->lanes)
        return VCK_NO_MEMORY;
    status = vck_network_create(&options, &run->network);
    if (status)
        goto out;
    status = vck_network_start(run->network);
    if (status)
        goto out;
    executor_options.idle = vck_network_get_idle(run->network);
    status = vck_executor_prepare(&executor_options, &run->executor);
    if (status)
        goto out;
    vck_task_init(&beginning.task, &beginning.future);
    status = vck_executor_spawn(run->executor, &beginning.task, NULL);
    if (status == VCK_OK)
        vck_executor_run(run->executor);
    if (status == VCK_OK)
        status = run->resolve.io.status;
out:
    vck_executor_destroy(run->executor);
    vck_network_destroy(run->network);
    vck_free(run->lanes);
    return status;
}

/* ---- what came of it ---- */

static double seconds_of(const struct run *run)
{
    return (double)(run->end_ns - run->start_ns) / 1e9;
}

static long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void print_json(const struct run *run)
{
    const char *separator = "";

    printf("{\"connections\": %llu, \"replies\": %llu, \"failures\": %llu, \"retried\": %llu, "
           "\"codes\": {",
           (unsigned long long)run->settings.connections, (unsigned long long)run->replies,
           (unsigned long long)run->failures, (unsigned long long)run->retried);
    for (unsigned i = 0; i < 1000; i++)
        if (run->codes[i] > 0) {
            printf("%s\"%u\": %llu", separator, i, (unsigned long long)run->codes[i]);
            separator = ", ";
        }
    printf("}, \"errors\": {");
    separator = "";
    for (unsigned i = 0; i < VCK_STATUS_COUNT; i++)
        if (run->errors[i] > 0) {
            printf("%s\"%s\": %llu", separator, vck_status_name((vck_status)i),
                   (unsigned long long)run->errors[i]);
            separator = ", ";
        }
    printf("}, \"seconds\": %.6f, \"requests_per_second\": %.1f, \"peak_kib\": %ld}\n",
           seconds_of(run), (double)run->replies / seconds_of(run), peak_kib());
}

static void print_text(const struct run *run)
{
    printf("%llu replies to %llu requests in %.3f s: %.0f a second\n",
           (unsigned long long)run->replies, (unsigned long long)run->settings.connections,
           seconds_of(run), (double)run->replies / seconds_of(run));
    for (unsigned i = 0; i < 1000; i++)
        if (run->codes[i] > 0)
            printf("    %u: %llu\n", i, (unsigned long long)run->codes[i]);
    for (unsigned i = 0; i < VCK_STATUS_COUNT; i++)
        if (run->errors[i] > 0)
            printf("    %s: %llu\n", vck_status_text((vck_status)i),
                   (unsigned long long)run->errors[i]);
    if (run->retried > 0)
        printf("%llu tried again, %llu failed for good\n", (unsigned long long)run->retried,
               (unsigned long long)run->failures);
}

/* ---- the command line ---- */

static const char help[] =
    "usage: vck-fetch [option...] HOST PORT\n"
    "Makes HTTP requests, one per connection, and counts the replies.\n"
    "\n"
    "  --connections N   how many (default 1)\n"
    "  --window N        how many at a time (default 256)\n"
    "  --path PATH       what to ask for (default /)\n"
    "  --retries N       new connections for a request that failed (default 0)\n"
    "  --timeout MS      the longest wait for anything (default 10000)\n"
    "  --json            print one JSON object\n"
    "  --help            print this\n"
    "\n"
    "Exit status: 0 when every request was answered, 1 when not, 2 for wrong usage.\n";

__attribute__((noreturn)) static void usage(void)
{
    fputs(help, stderr);
    exit(2);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != 0 || value < min || value > max) {
        fprintf(stderr, "vck-fetch: %s is not a number from %llu to %llu\n", text,
                (unsigned long long)min, (unsigned long long)max);
        exit(2);
    }
    return value;
}

static void parse(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {
        {"connections", required_argument, NULL, 'c'},
        {"window", required_argument, NULL, 'w'},
        {"path", required_argument, NULL, 'p'},
        {"retries", required_argument, NULL, 'r'},
        {"timeout", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'c')
            settings->connections = number(optarg, 1, 1000000000);
        else if (option == 'w')
            settings->window = number(optarg, 1, 100000);
        else if (option == 'p')
            settings->path = optarg;
        else if (option == 'r')
            settings->retries = number(optarg, 0, 1000000);
        else if (option == 't')
            settings->timeout_ms = number(optarg, 1, 86400000);
        else if (option == 'j')
            settings->json = true;
        else if (option == 'h' && fputs(help, stdout) >= 0)
            exit(0);
        else
            usage();
    }
    if (argc - optind != 2)
        usage();
    settings->host = argv[optind];
    settings->port = (uint16_t)number(argv[optind + 1], 1, 65535);
    settings->window = VCK_MIN(settings->window, settings->connections);
}

/* A window needs a descriptor each. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    static struct run run = {
        .settings = {.connections = 1, .window = 256, .timeout_ms = 10000, .path = "/"}};
    vck_status status;

    parse(argc, argv, &run.settings);
    raise_descriptor_limit();
    status = perform(&run);
    if (status) {
        fprintf(stderr, "vck-fetch: %s: %s\n", run.settings.host, vck_status_text(status));
        return 1;
    }
    if (run.settings.json)
        print_json(&run);
    else
        print_text(&run);
    if (vck_alloc_live_count() > 0) {
        fprintf(stderr, "vck-fetch: %zu allocations are left\n", vck_alloc_live_count());
        return 1;
    }
    return run.failures > 0;
}
