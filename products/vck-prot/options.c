/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: the verbs and the options of the command, and values that only it has.
 */
#include <string.h>
#include "prot.h"

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

#define BIT(name) (UINT64_C(1) << OPTION_##name)
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
    {"serve", "[ADAPTER]...", 0, COMMAND_OPERANDS_MAX,
     "carry frames for others; all adapters unless named", BIT(SOCKET) | BIT(QUEUE), run_serve},
#endif
};

const struct grammar prot_grammar = {
    .program = "vck-prot",
    .purpose = "Send and receive raw Ethernet frames.",
    .more = "",
    .options = specs,
    .option_count = OPTION_COUNT,
    .help_id = OPTION_HELP,
    .version_id = OPTION_VERSION,
    .verbs = verbs,
    .verb_count = VCK_ARRAY_COUNT(verbs),
};

/* ---- values ---- */

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
