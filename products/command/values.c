/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "vck/bytes.h"

bool parse_number(const char *text, const char **ret_end, uint64_t *ret_value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    *ret_end = end;
    return errno == 0;
}

/* The power of 1024 behind a number: K, KiB, k and so on; false for anything else. */
static bool parse_unit(const char *text, unsigned *ret_power)
{
    static const char units[] = "KMGT";
    const char *unit;

    *ret_power = 0;
    if (!*text)
        return true;
    unit = strchr(units, *text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
    if (!unit || (text[1] && strcmp(text + 1, "iB") != 0))
        return false;
    *ret_power = (unsigned)(unit - units) + 1;
    return true;
}

/* A number and, with has_unit, what it is multiplied by. */
static bool parse_whole(const char *text, bool has_unit, uint64_t *ret_value)
{
    const char *end;
    unsigned power = 0;
    uint64_t value;

    if (!parse_number(text, &end, &value) || (has_unit ? !parse_unit(end, &power) : *end != 0))
        return false;
    return vck_mul_u64(value, UINT64_C(1) << (10 * power), ret_value);
}

/* False when the option is there and is no number of the range. */
static bool read_option(const struct command *command, unsigned id, bool has_unit, uint64_t lowest,
                        uint64_t highest, uint64_t *value)
{
    const char *text = command->values[id];

    return !text || (parse_whole(text, has_unit, value) && *value >= lowest && *value <= highest);
}

int option_u64(const struct command *command, unsigned id, uint64_t lowest, uint64_t highest,
               uint64_t absent, uint64_t *ret_value)
{
    *ret_value = absent;
    if (read_option(command, id, false, lowest, highest, ret_value))
        return EXIT_OK;
    return report_usage(command, "%s is %s; a number from %" PRIu64 " to %" PRIu64 " is expected",
                        command->grammar->options[id].name, command->values[id], lowest, highest);
}

int option_u32(const struct command *command, unsigned id, uint32_t lowest, uint32_t highest,
               uint32_t absent, uint32_t *ret_value)
{
    uint64_t value;
    int code = option_u64(command, id, lowest, highest, absent, &value);

    *ret_value = (uint32_t)value;
    return code;
}

#define BOUND_BYTES 24

/* As it can be typed. */
static const char *bound_text(uint64_t bytes, char buffer[BOUND_BYTES])
{
    static const char units[] = "KMGT";
    unsigned power = 0;

    while (bytes != 0 && bytes % 1024 == 0 && power < sizeof(units) - 1) {
        bytes /= 1024;
        power++;
    }
    snprintf(buffer, BOUND_BYTES, "%" PRIu64 "%.*s", bytes, power != 0,
             power != 0 ? units + power - 1 : "");
    return buffer;
}

int option_bytes(const struct command *command, unsigned id, uint64_t lowest, uint64_t highest,
                 uint64_t absent, uint64_t *ret_value)
{
    char from[BOUND_BYTES], to[BOUND_BYTES];

    *ret_value = absent;
    if (read_option(command, id, true, lowest, highest, ret_value))
        return EXIT_OK;
    return report_usage(command,
                        "%s is %s; bytes from %s to %s are expected, as a number or with K, M, G "
                        "or T behind it",
                        command->grammar->options[id].name, command->values[id],
                        bound_text(lowest, from), bound_text(highest, to));
}

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int operand_u32(const struct command *command, unsigned index, const char *what, uint32_t highest,
                uint32_t *ret_value)
{
    const char *text = command->operands[index];
    uint64_t value;

    if (!parse_whole(text, false, &value) || value > highest)
        return report_usage(command, "%s is %s; a number from 0 to %u is expected", what, text,
                            highest);
    *ret_value = (uint32_t)value;
    return EXIT_OK;
}
