/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
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

/* A number and then at most one of the letters of `units`. */
static bool parse_whole(const char *text, const char *units, uint64_t *ret_value)
{
    const char *end;
    const char *unit;
    uint64_t value;

    if (!parse_number(text, &end, &value))
        return false;
    unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        if (!vck_mul_u64(value, UINT64_C(1) << (10 * (unit - units + 1)), &value))
            return false;
        end++;
    }
    *ret_value = value;
    return *end == 0;
}

/* False when the option is there and is no number of the range. */
static bool read_option(const struct command *command, unsigned id, const char *units,
                        uint64_t lowest, uint64_t highest, uint64_t *value)
{
    const char *text = command->values[id];

    return !text || (parse_whole(text, units, value) && *value >= lowest && *value <= highest);
}

int option_u64(const struct command *command, unsigned id, uint64_t lowest, uint64_t highest,
               uint64_t absent, uint64_t *ret_value)
{
    *ret_value = absent;
    if (read_option(command, id, "", lowest, highest, ret_value))
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

int option_bytes(const struct command *command, unsigned id, uint64_t lowest, uint64_t highest,
                 uint64_t absent, uint64_t *ret_value)
{
    *ret_value = absent;
    if (read_option(command, id, "KMGT", lowest, highest, ret_value))
        return EXIT_OK;
    return report_usage(command,
                        "%s is %s; a size from %" PRIu64 " to %" PRIu64 " bytes is expected",
                        command->grammar->options[id].name, command->values[id], lowest, highest);
}

int operand_u32(const struct command *command, unsigned index, const char *what, uint32_t highest,
                uint32_t *ret_value)
{
    const char *text = command->operands[index];
    uint64_t value;

    if (!parse_whole(text, "", &value) || value > highest)
        return report_usage(command, "%s is %s; a number from 0 to %u is expected", what, text,
                            highest);
    *ret_value = (uint32_t)value;
    return EXIT_OK;
}
