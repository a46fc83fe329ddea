/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asyncnet.exe: drives asyncnet.sys. One table of options and one of verbs make parsing and help.
 * What a number may be is in the messages' tables, and the driver says so when it is not.
 */
#include <windows.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

#define CODES 1000u

int report(int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("asyncnet: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return code;
}

/* ---- options ---- */

enum option_id {
    OPTION_ADDRESS,
    OPTION_BACKGROUND,
    OPTION_CONCURRENCY,
    OPTION_CONNECTIONS,
    OPTION_COUNT,
    OPTION_JSON,
    OPTION_PATH,
    OPTION_PORT,
    OPTION_RETRIES,
    OPTION_SPAN,
    OPTION_STOP,
    OPTION_TIMEOUT,
    OPTIONS
};

#define BIT(name) (1u << OPTION_##name)

static const struct {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;
} options[OPTIONS] = {
    [OPTION_ADDRESS] = {"--address", "A", "IPv4 or IPv6 address (127.0.0.1)"},
    [OPTION_BACKGROUND] = {"--background", NULL, "return when it has begun; see status"},
    [OPTION_CONCURRENCY] = {"--concurrency", "N", "tasks (256) or threads (10) at a time"},
    [OPTION_CONNECTIONS] = {"--connections", "N", "requests, each on a connection (1)"},
    [OPTION_COUNT] = {"--count", "N", "how many timers (100000)"},
    [OPTION_JSON] = {"--json", NULL, "print one JSON object"},
    [OPTION_PATH] = {"--path", "PATH", "what to ask for (/)"},
    [OPTION_PORT] = {"--port", "N", "port (80; of the echo server: one the system chooses)"},
    [OPTION_RETRIES] = {"--retries", "N", "new connections for a request that failed (0)"},
    [OPTION_SPAN] = {"--span", "MS", "their deadlines are spread over MS milliseconds (1000)"},
    [OPTION_STOP] = {"--stop", NULL, "end the server"},
    [OPTION_TIMEOUT] = {"--timeout", "MS", "the longest wait for anything (10000)"},
};

struct verb {
    const char *name;
    const char *help;
    unsigned options;
    int (*run)(const struct verb *verb);
};

static const char *values[OPTIONS]; /* NULL: absent; "" for options without a value */

static bool has(enum option_id id)
{
    return values[id] != NULL;
}

/* Keeps *ret_value when the option is absent. */
static int number(enum option_id id, uint64_t *ret_value)
{
    const char *text = values[id];
    char *end;

    if (!text)
        return EXIT_DONE;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || errno != 0)
        return report(EXIT_USAGE, "%s %s: this is not a number", options[id].name, text);
    *ret_value = value;
    return EXIT_DONE;
}

static int text_value(enum option_id id, char *ret_text, size_t capacity_bytes)
{
    size_t bytes = values[id] ? strlen(values[id]) : 0;

    if (bytes >= capacity_bytes)
        return report(EXIT_USAGE, "%s: longer than %zu bytes", options[id].name,
                      capacity_bytes - 1);
    if (values[id])
        memcpy(ret_text, values[id], bytes + 1);
    return EXIT_DONE;
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

static int read_load(struct message_load *load)
{
    int code = number(OPTION_CONNECTIONS, &load->connections);

    load->is_background = has(OPTION_BACKGROUND);
    if (code == EXIT_DONE)
        code = number(OPTION_CONCURRENCY, &load->concurrency);
    if (code == EXIT_DONE)
        code = number(OPTION_RETRIES, &load->retries);
    if (code == EXIT_DONE)
        code = number(OPTION_TIMEOUT, &load->timeout_ms);
    if (code == EXIT_DONE)
        code = number(OPTION_PORT, &load->port);
    if (code == EXIT_DONE)
        code = text_value(OPTION_ADDRESS, load->address, sizeof(load->address));
    if (code == EXIT_DONE)
        code = text_value(OPTION_PATH, load->path, sizeof(load->path));
    return code;
}

static int load_with(uint32_t request, const struct message_shape *shape)
{
    static uint64_t codes[CODES];
    static uint64_t errors[VCK_STATUS_COUNT];
    struct message_result result = {.codes = {codes, CODES}, .errors = {errors, VCK_STATUS_COUNT}};
    struct message_load load;
    char fault[MESSAGE_TEXT_BYTES];
    int code = EXIT_FAILED;

    /* Of nothing at all: every field's default. */
    if (message_decode(shape, (struct vck_bytes){NULL, 0}, &load, fault) == VCK_OK)
        code = read_load(&load);
    if (code == EXIT_DONE)
        code = client_call(request, shape, &load, load.is_background ? NULL : &message_result,
                           &result);
    if (code != EXIT_DONE || load.is_background)
        return code;
    if (has(OPTION_JSON))
        print_result_json(&result);
    else
        print_result(&result);
    return result.replies == result.connections ? EXIT_DONE : EXIT_FAILED;
}

static int run_load(const struct verb *verb)
{
    (void)verb;
    return load_with(ASYNCNET_LOAD, &message_load);
}

static int run_threads(const struct verb *verb)
{
    (void)verb;
    return load_with(ASYNCNET_THREADS, &message_threads);
}

/* ---- timers ---- */

static void print_timers(const struct message_timers_result *r)
{
    const char *format =
        has(OPTION_JSON)
            ? "{\"count\": %llu, \"expired\": %llu, \"early\": %llu, \"out_of_order\": %llu, "
              "\"latest_ms\": %.3f, \"seconds\": %.6f}\n"
            : "%llu timers: %llu expired, %llu early, %llu out of order, the latest %.3f ms late; "
              "%.3f s\n";

    printf(format, (unsigned long long)r->count, (unsigned long long)r->expired,
           (unsigned long long)r->early, (unsigned long long)r->out_of_order,
           (double)r->latest_ns / 1e6, (double)r->duration_ns / 1e9);
}

static int run_timers(const struct verb *verb)
{
    struct message_timers timers = {.count = 100000, .span_ms = 1000};
    struct message_timers_result result;
    int code = number(OPTION_COUNT, &timers.count);

    (void)verb;
    timers.is_background = has(OPTION_BACKGROUND);
    if (code == EXIT_DONE)
        code = number(OPTION_SPAN, &timers.span_ms);
    if (code == EXIT_DONE)
        code = client_call(ASYNCNET_TIMERS, &message_timers, &timers,
                           timers.is_background ? NULL : &message_timers_result, &result);
    if (code != EXIT_DONE || timers.is_background)
        return code;
    print_timers(&result);
    return result.early == 0 && result.out_of_order == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- the network, the echo server, status ---- */

static int run_start(const struct verb *verb)
{
    (void)verb;
    return client_call(ASYNCNET_START, NULL, NULL, NULL, NULL);
}

static int run_stop(const struct verb *verb)
{
    (void)verb;
    return client_call(ASYNCNET_STOP, NULL, NULL, NULL, NULL);
}

static int run_echo(const struct verb *verb)
{
    struct message_echo echo = {.address = "127.0.0.1"};
    int code;

    (void)verb;
    if (has(OPTION_STOP))
        return client_call(ASYNCNET_ECHO_STOP, NULL, NULL, NULL, NULL);
    code = number(OPTION_PORT, &echo.port);
    if (code == EXIT_DONE)
        code = text_value(OPTION_ADDRESS, echo.address, sizeof(echo.address));
    if (code == EXIT_DONE)
        code = client_call(ASYNCNET_ECHO_START, &message_echo, &echo, &message_echo, &echo);
    if (code == EXIT_DONE)
        printf(has(OPTION_JSON) ? "{\"address\": \"%s\", \"port\": %llu}\n" : "%s port %llu\n",
               echo.address, (unsigned long long)echo.port);
    return code;
}

static void print_status_line(const char *name, uint64_t value, const char *end)
{
    printf(has(OPTION_JSON) ? "\"%s\": %llu%s" : "%-14s %llu%s", name, (unsigned long long)value,
           has(OPTION_JSON) ? end : "\n");
}

static int run_status(const struct verb *verb)
{
    struct message_status s;
    int code = client_call(ASYNCNET_STATUS, NULL, NULL, &message_status, &s);

    (void)verb;
    if (code != EXIT_DONE)
        return code;
    if (has(OPTION_JSON))
        printf("{\"started\": %s, ", s.is_started ? "true" : "false");
    else
        printf("%-14s %s\n", "network", s.is_started ? "started" : "stopped");
    print_status_line("workers", s.workers, ", ");
    print_status_line("jobs", s.jobs, ", ");
    print_status_line("jobs_begun", s.jobs_begun, ", ");
    print_status_line("sockets", s.sockets, ", ");
    print_status_line("replies", s.replies, ", ");
    print_status_line("failures", s.failures, ", ");
    print_status_line("timers", s.timers, ", ");
    print_status_line("allocations", s.allocations, ", ");
    print_status_line("echo_port", s.echo_port, ", ");
    print_status_line("echo_accepted", s.echo_accepted, ", ");
    print_status_line("echo_open", s.echo_open, ", ");
    print_status_line("echo_bytes", s.echo_bytes, "}\n");
    return EXIT_DONE;
}

/* ---- the command line ---- */

#define LOAD_OPTIONS                                                                               \
    (BIT(ADDRESS) | BIT(BACKGROUND) | BIT(CONCURRENCY) | BIT(CONNECTIONS) | BIT(JSON) |            \
     BIT(PATH) | BIT(PORT) | BIT(RETRIES) | BIT(TIMEOUT))

static const struct verb verbs[] = {
    {"start", "start the network", 0, run_start},
    {"stop", "stop it: every socket is closed", 0, run_stop},
    {"load", "make HTTP requests by tasks and count the replies", LOAD_OPTIONS, run_load},
    {"threads", "the same by threads that block", LOAD_OPTIONS, run_threads},
    {"echo", "serve what sends back what it gets", BIT(ADDRESS) | BIT(JSON) | BIT(PORT) | BIT(STOP),
     run_echo},
    {"timers", "start timers and see that they expire in order",
     BIT(BACKGROUND) | BIT(COUNT) | BIT(JSON) | BIT(SPAN), run_timers},
    {"status", "what the driver does, and did", BIT(JSON), run_status},
};

static int print_help(const struct verb *verb)
{
    if (verb) {
        printf("usage: asyncnet %s [option...]\n%s\n\n", verb->name, verb->help);
        for (unsigned id = 0; id < OPTIONS; id++)
            if (verb->options >> id & 1)
                printf("  %-13s %-5s %s\n", options[id].name,
                       options[id].argument ? options[id].argument : "", options[id].help);
        puts("  --help              print this");
        return EXIT_DONE;
    }
    puts("usage: asyncnet VERB [option...]\nDrives asyncnet.sys.\n");
    for (size_t i = 0; i < VCK_ARRAY_COUNT(verbs); i++)
        printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
    puts("\nasyncnet VERB --help lists the options of a verb.\n"
         "Exit status: 0 when everything was done; 1 when the driver refused or a request was not\n"
         "answered; 2 for wrong usage; 3 when the driver cannot be reached.");
    return EXIT_DONE;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* next: the argument behind it, or NULL. *ret_used: how many of the two it took. */
static int parse_option(const struct verb *verb, const char *text, const char *next, int *ret_used)
{
    unsigned id = 0;

    while (id < OPTIONS && (strcmp(options[id].name, text) != 0 || !(verb->options >> id & 1)))
        id++;
    if (id == OPTIONS)
        return report(EXIT_USAGE, "%s has no option %s; asyncnet %s --help lists them", verb->name,
                      text, verb->name);
    if (values[id])
        return report(EXIT_USAGE, "%s is given twice", text);
    if (options[id].argument && !next)
        return report(EXIT_USAGE, "%s needs a value, %s", text, options[id].argument);
    values[id] = options[id].argument ? next : "";
    *ret_used = options[id].argument ? 2 : 1;
    return EXIT_DONE;
}

static int perform(int argc, char **argv)
{
    const struct verb *verb;
    int code = EXIT_DONE;
    int used = 1;

    if (argc < 2)
        return report(EXIT_USAGE, "a verb is missing; asyncnet --help lists them");
    if (strcmp(argv[1], "--help") == 0)
        return print_help(NULL);
    verb = find_verb(argv[1]);
    if (!verb)
        return report(EXIT_USAGE, "there is no verb %s; asyncnet --help lists them", argv[1]);
    for (int i = 2; i < argc && code == EXIT_DONE; i += used) {
        if (strcmp(argv[i], "--help") == 0)
            return print_help(verb);
        code = parse_option(verb, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used);
    }
    if (code == EXIT_DONE)
        code = client_open();
    if (code == EXIT_DONE)
        code = verb->run(verb);
    client_close();
    return code;
}

static char *utf8_of(const wchar_t *wide)
{
    int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = bytes > 0 ? malloc((size_t)bytes) : NULL;

    if (text)
        (void)WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, bytes, NULL, NULL);
    return text;
}

int wmain(int argc, wchar_t **wide);

int wmain(int argc, wchar_t **wide)
{
    char **argv = calloc((size_t)argc + 1, sizeof(*argv));
    int code;

    for (int i = 0; argv && i < argc; i++)
        if ((argv[i] = utf8_of(wide[i])) == NULL)
            argc = 0;
    code = argv && argc > 0 ? perform(argc, argv) : report(EXIT_FAILED, "no memory");
    if (fflush(stdout) != 0 && code == EXIT_DONE)
        code = report(EXIT_FAILED, "cannot write to stdout");
    return code;
}
