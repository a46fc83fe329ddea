/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: one table of verbs and one of options drive parsing and help alike.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "prot.h"

struct option_spec {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;
};

static const struct option_spec specs[OPTION_COUNT] = {
    [OPTION_COUNT_OF] = {"--count", "N", "how many frames, or pings"},
    [OPTION_ETHER_TYPE] = {"--ether-type", "TYPE", "four hexadecimal digits (88b5), or all"},
    [OPTION_HELP] = {"--help", NULL, "print this and exit"},
    [OPTION_IDLE] = {"--idle", "SECONDS", "end when no frame comes for so long"},
    [OPTION_JSON] = {"--json", NULL, "print one JSON value instead of text"},
    [OPTION_PROMISCUOUS] = {"--promiscuous", NULL, "also frames that are meant for others"},
    [OPTION_QUEUE] = {"--queue", "N", "frames that wait for a reader (4096)"},
    [OPTION_SIZE] = {"--size", "BYTES", "of a frame, or MIN-MAX (64)"},
    [OPTION_SOCKET] = {"--socket", "PATH", "the socket of a vck-prot that serves"},
    [OPTION_TIMEOUT] = {"--timeout", "MS", "how long to wait for an answer (1000)"},
    [OPTION_TO] = {"--to", "ADDRESS", "Ethernet address of the receiver"},
    [OPTION_VERSION] = {"--version", NULL, "print the version and exit"},
};

#define BIT(name) (UINT32_C(1) << OPTION_##name)
#if defined(_WIN32) /* the driver serves, and has the queue */
#define ADAPTER BIT(JSON)
#define FRAMES  (ADAPTER | BIT(ETHER_TYPE))
#else
#define ADAPTER (BIT(SOCKET) | BIT(JSON))
#define FRAMES  (ADAPTER | BIT(ETHER_TYPE) | BIT(QUEUE))
#endif

static const struct verb verbs[] = {
    {"list", "", 0, 0, "list the adapters that are bound", ADAPTER, run_list},
    {"show", "ADAPTER", 1, 1, "print the state and the counters of an adapter", ADAPTER, run_show},
    {"send", "ADAPTER", 1, 1, "send numbered frames that can be checked",
     FRAMES | BIT(COUNT_OF) | BIT(SIZE) | BIT(TO), run_send},
    {"receive", "ADAPTER", 1, 1, "receive frames; check order and content of numbered ones",
     FRAMES | BIT(COUNT_OF) | BIT(IDLE) | BIT(PROMISCUOUS), run_receive},
    {"ping", "ADAPTER", 1, 1, "ask another host, where vck-prot answers, and measure",
     FRAMES | BIT(COUNT_OF) | BIT(SIZE) | BIT(TIMEOUT) | BIT(TO), run_ping},
    {"answer", "ADAPTER", 1, 1, "answer the pings of other hosts until a signal",
     FRAMES | BIT(COUNT_OF), run_answer},
#if !defined(_WIN32)
    {"serve", "ADAPTER", 0, OPERANDS_MAX, "carry frames for others; all adapters unless named",
     BIT(SOCKET) | BIT(QUEUE), run_serve},
#endif
};

static uint32_t options_of(const struct verb *verb)
{
    return (verb ? verb->options : BIT(VERSION)) | BIT(HELP);
}

bool option_given(const struct command *command, enum option_id id)
{
    return command->values[id] != NULL;
}

/* ---- help and complaints ---- */

static void print_option(enum option_id id)
{
    char left[40];

    snprintf(left, sizeof(left), "%s%s%s", specs[id].name, specs[id].argument ? " " : "",
             specs[id].argument ? specs[id].argument : "");
    printf("  %-22s %s\n", left, specs[id].help);
}

void options_print_help(const struct verb *verb)
{
    printf("Usage: vck-prot %s [OPTION]...%s%s\n", verb->name, *verb->operands ? " " : "",
           verb->operands);
    printf("vck-prot %s: %s.\n\nOptions:\n", verb->name, verb->summary);
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        if (id != OPTION_HELP && (options_of(verb) >> id & 1) != 0)
            print_option((enum option_id)id);
    print_option(OPTION_HELP);
}

void options_print_overview(void)
{
    puts("Usage: vck-prot VERB [OPTION]... [OPERAND]...\n"
         "Send and receive raw Ethernet frames.\n\nVerbs:");
    for (size_t i = 0; i < VCK_ARRAY_COUNT(verbs); i++) {
        char left[40];
        snprintf(left, sizeof(left), "%s %s", verbs[i].name, verbs[i].operands);
        printf("  %-22s %s\n", left, verbs[i].summary);
    }
    puts("\nOptions:");
    print_option(OPTION_HELP);
    print_option(OPTION_VERSION);
    puts("\nvck-prot VERB --help lists the options of a verb.");
}

static void print_message(const struct command *command, const char *format, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, "vck-prot%s%s: ", command->verb ? " " : "",
            command->verb ? command->verb->name : "");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int report(const struct command *command, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_message(command, format, arguments);
    va_end(arguments);
    return code;
}

int report_usage(const struct command *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_message(command, format, arguments);
    va_end(arguments);
    if (command->verb)
        fprintf(stderr, "Usage: vck-prot %s [OPTION]... %s\n", command->verb->name,
                command->verb->operands);
    else
        fprintf(stderr, "Usage: vck-prot VERB [OPTION]... [OPERAND]...\n");
    return EXIT_USAGE;
}

/* ---- parsing ---- */

static enum option_id find_option(const struct command *command, const char *text, size_t length)
{
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        if ((options_of(command->verb) >> id & 1) != 0 && strlen(specs[id].name) == length &&
            memcmp(specs[id].name, text, length) == 0)
            return (enum option_id)id;
    return OPTION_COUNT;
}

/* next is the argument after the option or NULL. */
static int parse_option(struct command *command, const char *text, const char *next,
                        bool *ret_used_next)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    enum option_id id = find_option(command, text, length);

    if (id == OPTION_COUNT)
        return report_usage(command, "there is no option %.*s here", (int)length, text);
    if (command->values[id])
        return report_usage(command, "%s is given twice", specs[id].name);
    if (!specs[id].argument && equals)
        return report_usage(command, "%s takes no value", specs[id].name);
    if (specs[id].argument && !equals && !next)
        return report_usage(command, "%s needs a value, %s", specs[id].name, specs[id].argument);
    *ret_used_next = specs[id].argument && !equals;
    command->values[id] = !specs[id].argument ? "" : equals ? equals + 1 : next;
    return EXIT_OK;
}

static int parse_operand(struct command *command, const char *text)
{
    if (!command->verb) {
        for (size_t i = 0; i < VCK_ARRAY_COUNT(verbs); i++)
            if (strcmp(verbs[i].name, text) == 0)
                command->verb = &verbs[i];
        return command->verb ? EXIT_OK
                             : report_usage(command,
                                            "there is no verb %s; vck-prot --help lists "
                                            "them",
                                            text);
    }
    if (command->operand_count == command->verb->operands_max)
        return report_usage(command, "%s is one operand too many", text);
    command->operands[command->operand_count++] = text;
    return EXIT_OK;
}

int options_parse(int argc, char **argv, struct command *ret_command)
{
    struct command command = {0};
    bool is_option_allowed = true;
    int code = EXIT_OK;

    for (int i = 1; i < argc && code == EXIT_OK; i++) {
        bool used_next = false;
        if (is_option_allowed && strcmp(argv[i], "--") == 0)
            is_option_allowed = false;
        else if (is_option_allowed && argv[i][0] == '-' && argv[i][1] != 0)
            code = parse_option(&command, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used_next);
        else
            code = parse_operand(&command, argv[i]);
        i += used_next;
    }
    if (code == EXIT_OK && command.verb && !option_given(&command, OPTION_HELP) &&
        command.operand_count < command.verb->operands_min)
        code = report_usage(&command, "%s is missing", command.verb->operands);
    if (code == EXIT_OK)
        *ret_command = command;
    return code;
}

/* ---- values ---- */

/* Digits only, up to *end. */
static bool parse_number(const char *text, const char **end, uint64_t *ret_value)
{
    char *after;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret_value = strtoull(text, &after, 10);
    *end = after;
    return errno == 0;
}

int option_u64(const struct command *command, enum option_id id, uint64_t lowest, uint64_t highest,
               uint64_t absent, uint64_t *ret_value)
{
    const char *text = command->values[id];
    uint64_t value = absent;
    const char *end = "";

    if (text && (!parse_number(text, &end, &value) || *end || value < lowest || value > highest))
        return report_usage(command,
                            "%s is %s; a number from %" PRIu64 " to %" PRIu64 " is expected",
                            specs[id].name, text, lowest, highest);
    *ret_value = value;
    return EXIT_OK;
}

int option_range(const struct command *command, enum option_id id, uint32_t lowest,
                 uint32_t highest, uint32_t *ret_lowest, uint32_t *ret_highest)
{
    const char *text = command->values[id] ? command->values[id] : "64";
    const char *end = "x";
    uint64_t from = 0;
    uint64_t to = 0;
    bool is_good = parse_number(text, &end, &from);

    to = from;
    if (is_good && *end == '-')
        is_good = parse_number(end + 1, &end, &to);
    if (!is_good || *end || from < lowest || to > highest || from > to)
        return report_usage(command, "%s is %s; one or two numbers from %u to %u are expected",
                            specs[id].name, text, lowest, highest);
    *ret_lowest = (uint32_t)from;
    *ret_highest = (uint32_t)to;
    return EXIT_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, size_t digits, uint32_t *ret_value)
{
    *ret_value = 0;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            return false;
        *ret_value = *ret_value << 4 | (uint32_t)digit;
    }
    return true;
}

int option_address(const struct command *command, enum option_id id,
                   uint8_t ret_address[VCK_FRAME_ADDRESS_BYTES])
{
    const char *text = command->values[id];

    if (!text)
        return report_usage(command, "%s is missing", specs[id].name);
    for (size_t i = 0; i < VCK_FRAME_ADDRESS_BYTES; i++) {
        uint32_t value;
        if (strlen(text) != VCK_FRAME_ADDRESS_BYTES * 3 - 1 ||
            !parse_hex(text + i * 3, 2, &value) || (i > 0 && text[i * 3 - 1] != ':'))
            return report_usage(command, "%s is %s; six bytes like 02:00:00:00:00:01 are expected",
                                specs[id].name, text);
        ret_address[i] = (uint8_t)value;
    }
    return EXIT_OK;
}

int option_ether_type(const struct command *command, uint16_t *ret_ether_type)
{
    const char *text = command->values[OPTION_ETHER_TYPE];
    uint32_t value = VCK_FRAME_ETHER_TYPE_DEFAULT;

    if (text && strcmp(text, "all") == 0)
        value = VCK_FRAME_ETHER_TYPE_ALL;
    else if (text && (strlen(text) != 4 || !parse_hex(text, 4, &value) || value < 0x600))
        return report_usage(command,
                            "--ether-type is %s; four hexadecimal digits from 0600 on, or all, are "
                            "expected",
                            text);
    *ret_ether_type = (uint16_t)value;
    return EXIT_OK;
}
