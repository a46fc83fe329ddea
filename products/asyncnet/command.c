/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asyncnet.exe: drives asyncnet.sys.
 * What a number may be is in the messages' tables, and the driver says so when it is not.
 */
#include <stdio.h>
#include <string.h>
#include "client.h"

#define CODES 1000u

/* ---- options ---- */

enum option_id {
    OPTION_ADDRESS,
    OPTION_BACKGROUND,
    OPTION_CONCURRENCY,
    OPTION_CONNECTIONS,
    OPTION_COUNT_OF, /* --count */
    OPTION_HELP,
    OPTION_JSON,
    OPTION_PATH,
    OPTION_PORT,
    OPTION_RETRIES,
    OPTION_SPAN,
    OPTION_STOP,
    OPTION_TIMEOUT,
    OPTION_VERSION,
    OPTION_COUNT
};

#define BIT(name) (UINT64_C(1) << OPTION_##name)

static const struct option_spec options[OPTION_COUNT] = {
    [OPTION_ADDRESS] = {"--address", "A", "IPv4 or IPv6 address (127.0.0.1)"},
    [OPTION_BACKGROUND] = {"--background", NULL, "return when it has begun; see status"},
    [OPTION_CONCURRENCY] = {"--concurrency", "N", "tasks (256) or threads (10) at a time"},
    [OPTION_CONNECTIONS] = {"--connections", "N", "requests, each on a connection (1)"},
    [OPTION_COUNT_OF] = {"--count", "N", "how many timers (100000)"},
    [OPTION_HELP] = {"--help", NULL, "print this and exit"},
    [OPTION_JSON] = {"--json", NULL, "print one JSON object"},
    [OPTION_PATH] = {"--path", "PATH", "what to ask for (/)"},
    [OPTION_PORT] = {"--port", "N", "port (80; of the echo server: one the system chooses)"},
    [OPTION_RETRIES] = {"--retries", "N", "new connections for a request that failed (0)"},
    [OPTION_SPAN] = {"--span", "MS", "their deadlines are spread over MS milliseconds (1000)"},
    [OPTION_STOP] = {"--stop", NULL, "end the server"},
    [OPTION_TIMEOUT] = {"--timeout", "MS", "the longest wait for anything (10000)"},
    [OPTION_VERSION] = {"--version", NULL, "print the version and exit"},
};

/* Keeps *ret_value when the option is absent. */
static int number(const struct command *command, enum option_id id, uint64_t *ret_value)
{
    return option_u64(command, id, 0, UINT64_MAX, *ret_value, ret_value);
}

static int text_value(const struct command *command, enum option_id id, char *ret_text,
                      size_t capacity_bytes)
{
    const char *text = command->values[id];
    size_t bytes = text ? strlen(text) : 0;

    if (bytes >= capacity_bytes)
        return report_usage(command, "%s: longer than %zu bytes", options[id].name,
                            capacity_bytes - 1);
    if (text)
        memcpy(ret_text, text, bytes + 1);
    return EXIT_OK;
}

/* ---- loads ---- */

static void print_counts(const char *name, const uint64_t *counts, unsigned count, bool is_status)
{
    const char *separator = "";

    printf(", \"%s\": {", name);
    for (unsigned i = 0; i < count; i++) {
        if (counts[i] == 0)
            continue;
        if (is_status)
            printf("%s\"%s\": %llu", separator, vck_status_name((vck_status)i),
                   (unsigned long long)counts[i]);
        else
            printf("%s\"%u\": %llu", separator, i, (unsigned long long)counts[i]);
        separator = ", ";
    }
    printf("}");
}

static double per_second(uint64_t count, uint64_t duration_ns)
{
    return duration_ns > 0 ? (double)count * 1e9 / (double)duration_ns : 0;
}

static void print_result_json(const struct message_result *r)
{
    printf("{\"connections\": %llu, \"replies\": %llu, \"failures\": %llu, \"retried\": %llu",
           (unsigned long long)r->connections, (unsigned long long)r->replies,
           (unsigned long long)r->failures, (unsigned long long)r->retried);
    print_counts("codes", r->codes.counts, CODES, false);
    print_counts("errors", r->errors.counts, VCK_STATUS_COUNT, true);
    printf(", \"seconds\": %.6f, \"requests_per_second\": %.1f}\n", (double)r->duration_ns / 1e9,
           per_second(r->replies, r->duration_ns));
}

static void print_result(const struct message_result *r)
{
    printf("%llu replies to %llu requests in %.3f s: %.0f a second\n",
           (unsigned long long)r->replies, (unsigned long long)r->connections,
           (double)r->duration_ns / 1e9, per_second(r->replies, r->duration_ns));
    for (unsigned i = 0; i < CODES; i++)
        if (r->codes.counts[i] > 0)
            printf("    %u: %llu\n", i, (unsigned long long)r->codes.counts[i]);
    for (unsigned i = 0; i < VCK_STATUS_COUNT; i++)
        if (r->errors.counts[i] > 0)
            printf("    %s: %llu\n", vck_status_text((vck_status)i),
                   (unsigned long long)r->errors.counts[i]);
    if (r->retried > 0)
        printf("%llu tried again, %llu failed for good\n", (unsigned long long)r->retried,
               (unsigned long long)r->failures);
}

static int read_load(const struct command *command, struct message_load *load)
{
    int code = number(command, OPTION_CONNECTIONS, &load->connections);

    load->is_background = option_given(command, OPTION_BACKGROUND);
    if (code == EXIT_OK)
        code = number(command, OPTION_CONCURRENCY, &load->concurrency);
    if (code == EXIT_OK)
        code = number(command, OPTION_RETRIES, &load->retries);
    if (code == EXIT_OK)
        code = number(command, OPTION_TIMEOUT, &load->timeout_ms);
    if (code == EXIT_OK)
        code = number(command, OPTION_PORT, &load->port);
    if (code == EXIT_OK)
        code = text_value(command, OPTION_ADDRESS, load->address, sizeof(load->address));
    if (code == EXIT_OK)
        code = text_value(command, OPTION_PATH, load->path, sizeof(load->path));
    return code;
}

static int load_with(const struct command *command, uint32_t request,
                     const struct message_shape *shape)
{
    static uint64_t codes[CODES];
    static uint64_t errors[VCK_STATUS_COUNT];
    struct message_result result = {.codes = {codes, CODES}, .errors = {errors, VCK_STATUS_COUNT}};
    struct message_load load;
    char fault[MESSAGE_TEXT_BYTES];
    int code = EXIT_FAILED;

    /* Of nothing at all: every field's default. */
    if (message_decode(shape, (struct vck_bytes){NULL, 0}, &load, fault) == VCK_OK)
        code = read_load(command, &load);
    if (code == EXIT_OK)
        code = client_call(command, request, shape, &load,
                           load.is_background ? NULL : &message_result, &result);
    if (code != EXIT_OK || load.is_background)
        return code;
    if (option_given(command, OPTION_JSON))
        print_result_json(&result);
    else
        print_result(&result);
    return result.replies == result.connections ? EXIT_OK : EXIT_FAILED;
}

static int run_load(const struct command *command)
{
    return load_with(command, ASYNCNET_LOAD, &message_load);
}

static int run_threads(const struct command *command)
{
    return load_with(command, ASYNCNET_THREADS, &message_threads);
}

/* ---- timers ---- */

static void print_timers(const struct command *command, const struct message_timers_result *r)
{
    const char *format =
        option_given(command, OPTION_JSON)
            ? "{\"count\": %llu, \"expired\": %llu, \"early\": %llu, \"out_of_order\": %llu, "
              "\"latest_ms\": %.3f, \"seconds\": %.6f}\n"
            : "%llu timers: %llu expired, %llu early, %llu out of order, the latest %.3f ms late; "
              "%.3f s\n";

    printf(format, (unsigned long long)r->count, (unsigned long long)r->expired,
           (unsigned long long)r->early, (unsigned long long)r->out_of_order,
           (double)r->latest_ns / 1e6, (double)r->duration_ns / 1e9);
}

static int run_timers(const struct command *command)
{
    struct message_timers timers = {.count = 100000, .span_ms = 1000};
    struct message_timers_result result;
    int code = number(command, OPTION_COUNT_OF, &timers.count);

    timers.is_background = option_given(command, OPTION_BACKGROUND);
    if (code == EXIT_OK)
        code = number(command, OPTION_SPAN, &timers.span_ms);
    if (code == EXIT_OK)
        code = client_call(command, ASYNCNET_TIMERS, &message_timers, &timers,
                           timers.is_background ? NULL : &message_timers_result, &result);
    if (code != EXIT_OK || timers.is_background)
        return code;
    print_timers(command, &result);
    return result.early == 0 && result.out_of_order == 0 ? EXIT_OK : EXIT_FAILED;
}

/* ---- the network, the echo server, status ---- */

static int run_start(const struct command *command)
{
    return client_call(command, ASYNCNET_START, NULL, NULL, NULL, NULL);
}

static int run_stop(const struct command *command)
{
    return client_call(command, ASYNCNET_STOP, NULL, NULL, NULL, NULL);
}

static int run_echo(const struct command *command)
{
    struct message_echo echo = {.address = "127.0.0.1"};
    int code;

    if (option_given(command, OPTION_STOP))
        return client_call(command, ASYNCNET_ECHO_STOP, NULL, NULL, NULL, NULL);
    code = number(command, OPTION_PORT, &echo.port);
    if (code == EXIT_OK)
        code = text_value(command, OPTION_ADDRESS, echo.address, sizeof(echo.address));
    if (code == EXIT_OK)
        code =
            client_call(command, ASYNCNET_ECHO_START, &message_echo, &echo, &message_echo, &echo);
    if (code == EXIT_OK)
        printf(option_given(command, OPTION_JSON) ? "{\"address\": \"%s\", \"port\": %llu}\n"
                                                  : "%s port %llu\n",
               echo.address, (unsigned long long)echo.port);
    return code;
}

static void print_status_line(const struct command *command, const char *name, uint64_t value,
                              const char *end)
{
    printf(option_given(command, OPTION_JSON) ? "\"%s\": %llu%s" : "%-14s %llu%s", name,
           (unsigned long long)value, option_given(command, OPTION_JSON) ? end : "\n");
}

static int run_status(const struct command *command)
{
    struct message_status s;
    int code = client_call(command, ASYNCNET_STATUS, NULL, NULL, &message_status, &s);

    if (code != EXIT_OK)
        return code;
    if (option_given(command, OPTION_JSON))
        printf("{\"started\": %s, ", s.is_started ? "true" : "false");
    else
        printf("%-14s %s\n", "network", s.is_started ? "started" : "stopped");
    print_status_line(command, "workers", s.workers, ", ");
    print_status_line(command, "jobs", s.jobs, ", ");
    print_status_line(command, "jobs_begun", s.jobs_begun, ", ");
    print_status_line(command, "sockets", s.sockets, ", ");
    print_status_line(command, "replies", s.replies, ", ");
    print_status_line(command, "failures", s.failures, ", ");
    print_status_line(command, "timers", s.timers, ", ");
    print_status_line(command, "allocations", s.allocations, ", ");
    print_status_line(command, "echo_port", s.echo_port, ", ");
    print_status_line(command, "echo_accepted", s.echo_accepted, ", ");
    print_status_line(command, "echo_open", s.echo_open, ", ");
    print_status_line(command, "echo_bytes", s.echo_bytes, "}\n");
    return EXIT_OK;
}

/* ---- the command line ---- */

#define LOAD_OPTIONS                                                                               \
    (BIT(ADDRESS) | BIT(BACKGROUND) | BIT(CONCURRENCY) | BIT(CONNECTIONS) | BIT(JSON) |            \
     BIT(PATH) | BIT(PORT) | BIT(RETRIES) | BIT(TIMEOUT))

static const struct verb verbs[] = {
    {"start", "", 0, 0, "start the network", 0, run_start},
    {"stop", "", 0, 0, "stop it: every socket is closed", 0, run_stop},
    {"load", "", 0, 0, "make HTTP requests by tasks and count the replies", LOAD_OPTIONS, run_load},
    {"threads", "", 0, 0, "the same by threads that block", LOAD_OPTIONS, run_threads},
    {"echo", "", 0, 0, "serve what sends back what it gets",
     BIT(ADDRESS) | BIT(JSON) | BIT(PORT) | BIT(STOP), run_echo},
    {"timers", "", 0, 0, "start timers and see that they expire in order",
     BIT(BACKGROUND) | BIT(COUNT_OF) | BIT(JSON) | BIT(SPAN), run_timers},
    {"status", "", 0, 0, "what the driver does, and did", BIT(JSON), run_status},
};

static const struct grammar grammar = {
    .program = "asyncnet",
    .purpose = "Drives asyncnet.sys.",
    .more = "\nExit status: 0 when everything was done; 1 when the driver refused or a request was "
            "not\n"
            "answered; 2 for wrong usage; 8 when the driver cannot be reached.",
    .options = options,
    .option_count = OPTION_COUNT,
    .help_id = OPTION_HELP,
    .version_id = OPTION_VERSION,
    .verbs = verbs,
    .verb_count = VCK_ARRAY_COUNT(verbs),
};

int command_main(int argc, char **argv)
{
    return command_run(&grammar, VCK_VERSION, argc, argv);
}
