/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vck-fetch: an HTTP load client. One thread, one executor that sleeps in the network's own wait,
 * and a window of lanes (products/asyncnet/load.h): tasks that each make one connection after the
 * other. What fails is tried again on a new connection.
 *
 *     vck-fetch --connections 10000 HOST PORT
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "products/asyncnet/load.h"
#include "vck/resolver.h"

#define NS_PER_MS 1000000ull

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
    struct vck_executor *executor;
    struct vck_resolve resolve;
    struct load load;
};

static void load_ended(struct job *job)
{
    vck_executor_shutdown(job->executor);
}

/* ---- beginning: the name, then the lanes ---- */

struct beginning {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_task task;
    struct run *run;
};

static vck_status start_load(struct run *run)
{
    vck_status status = job_begin(&run->load.job, run->executor, load_ended);

    run->load.workload.address_count = run->resolve.io.count;
    if (status)
        return status;
    status = load_start(&run->load, run->settings.window);
    job_go(&run->load.job);
    return status;
}

static enum vck_poll beginning_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct beginning *beginning = VCK_CONTAINER_OF(self, struct beginning, future);
    struct run *run = beginning->run;
    struct workload *workload = &run->load.workload;

    VCK_CO_BEGIN(&beginning->co);
    vck_resolve_init(&run->resolve, workload->network, run->settings.host, run->settings.port,
                     VCK_ADDRESS_NONE, workload->addresses, WORKLOAD_ADDRESSES_MAX);
    run->resolve.call.deadline_ns = vck_clock_ns() + workload->timeout_ns;
    VCK_CO_AWAIT(&beginning->co, &run->resolve.call.future, waker);
    if (run->resolve.io.status || start_load(run))
        vck_executor_shutdown(run->executor);
    VCK_CO_END(&beginning->co);
}

static vck_status make_workload(struct run *run)
{
    struct workload *workload = &run->load.workload;

    workload->connections = run->settings.connections;
    workload->retries = run->settings.retries;
    workload->timeout_ns = run->settings.timeout_ms * NS_PER_MS;
    return workload_set_request(workload, run->settings.host, run->settings.path);
}

static vck_status perform(struct run *run) VCK_CAN_WAIT
{
    struct vck_network_options options = {.flags = VCK_NETWORK_DRIVEN};
    struct vck_executor_options executor_options = {0};
    struct beginning beginning = {.future = {.poll = beginning_poll}, .run = run};
    struct vck_network *network = NULL;
    vck_status status = make_workload(run);

    if (status)
        return status;
    status = vck_network_create(&options, &network);
    if (status)
        goto out;
    status = vck_network_start(network);
    if (status)
        goto out;
    run->load.workload.network = network;
    executor_options.idle = vck_network_get_idle(network);
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
    vck_network_destroy(network);
    return status;
}

/* ---- what came of it ---- */

static double seconds_of(const struct run *run)
{
    return (double)(run->load.job.end_ns - run->load.job.begin_ns) / 1e9;
}

static long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void print_json(const struct run *run)
{
    const struct workload *workload = &run->load.workload;
    const char *separator = "";

    printf("{\"connections\": %llu, \"replies\": %llu, \"failures\": %llu, \"retried\": %llu, "
           "\"codes\": {",
           (unsigned long long)run->settings.connections, (unsigned long long)workload->replies,
           (unsigned long long)workload->failures, (unsigned long long)workload->retried);
    for (unsigned i = 0; i < WORKLOAD_CODES; i++)
        if (workload->codes[i] > 0) {
            printf("%s\"%u\": %llu", separator, i, (unsigned long long)workload->codes[i]);
            separator = ", ";
        }
    printf("}, \"errors\": {");
    separator = "";
    for (unsigned i = 0; i < VCK_STATUS_COUNT; i++)
        if (workload->errors[i] > 0) {
            printf("%s\"%s\": %llu", separator, vck_status_name((vck_status)i),
                   (unsigned long long)workload->errors[i]);
            separator = ", ";
        }
    printf("}, \"seconds\": %.6f, \"requests_per_second\": %.1f, \"peak_kib\": %ld}\n",
           seconds_of(run), (double)workload->replies / seconds_of(run), peak_kib());
}

static void print_text(const struct run *run)
{
    const struct workload *workload = &run->load.workload;

    printf("%llu replies to %llu requests in %.3f s: %.0f a second\n",
           (unsigned long long)workload->replies, (unsigned long long)run->settings.connections,
           seconds_of(run), (double)workload->replies / seconds_of(run));
    for (unsigned i = 0; i < WORKLOAD_CODES; i++)
        if (workload->codes[i] > 0)
            printf("    %u: %llu\n", i, (unsigned long long)workload->codes[i]);
    for (unsigned i = 0; i < VCK_STATUS_COUNT; i++)
        if (workload->errors[i] > 0)
            printf("    %s: %llu\n", vck_status_text((vck_status)i),
                   (unsigned long long)workload->errors[i]);
    if (workload->retried > 0)
        printf("%llu tried again, %llu failed for good\n", (unsigned long long)workload->retried,
               (unsigned long long)workload->failures);
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
    return run.load.workload.replies < run.settings.connections;
}
