/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: the command line of our programs with verbs. One table of verbs and one of options drive
 * parsing and help alike.
 *
 * Functions that return an int return an exit code: 0, or the code to end with, the reason having
 * been reported to stderr already.
 */
#ifndef VCK_PRODUCTS_COMMAND_COMMAND_H
#define VCK_PRODUCTS_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"

/* Exit codes, as in the manual pages; not every program has all of them. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_WRONG_KEY = 4,
    EXIT_PERMISSION = 5,
    EXIT_PROBLEMS = 6,
    EXIT_BUSY = 7,
    EXIT_NO_HOST = 8, /* nobody serves: no daemon, no driver */
    EXIT_REFUSED = 9,
    EXIT_INTERRUPTED = 130,
};

#define COMMAND_OPTIONS_MAX  64
#define COMMAND_OPERANDS_MAX 64
#define COMMAND_REPEATS_MAX  10

struct option_spec {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;
    bool can_repeat; /* of at most one option of a program */
};

struct command;

struct verb {
    const char *name;
    const char *operands; /* as in the usage line */
    unsigned operands_min;
    unsigned operands_max;
    const char *summary;
    uint64_t options; /* bits of those it takes; --help always */
    int (*run)(const struct command *command);
};

struct grammar {
    const char *program;
    const char *purpose;               /* a sentence */
    const char *more;                  /* where the rest is said, ends the overview; may be "" */
    const struct option_spec *options; /* by their ids */
    unsigned option_count;
    unsigned help_id; /* of --help and --version, with which no verb is needed */
    unsigned version_id;
    uint64_t absent_options;        /* bits of those no verb has on this system */
    const char *const *option_help; /* by id, in place of the common words unless NULL; or NULL */
    const struct verb *verbs;
    size_t verb_count;
    const struct verb *system_verbs; /* that exist only here */
    size_t system_verb_count;
};

/* A parsed command line. Strings are borrowed from argv. */
struct command {
    const struct grammar *grammar;
    const struct verb *verb;                 /* NULL: none was given */
    const char *values[COMMAND_OPTIONS_MAX]; /* NULL: absent; "" for options without a value */
    const char *operands[COMMAND_OPERANDS_MAX + 1]; /* NULL behind the last */
    unsigned operand_count;
    const char *repeats[COMMAND_REPEATS_MAX]; /* every value of the option that can repeat */
    unsigned repeat_count;
};

/* Parses, and does what was asked: runs the verb, or prints help or the version. */
int command_run(const struct grammar *grammar, const char *version, int argc, char **argv);
/* Reports what is wrong together with the usage line. */
int command_parse(const struct grammar *grammar, int argc, char **argv,
                  struct command *ret_command);

/* On Windows the program's entry calls this, with arguments and output in UTF-8; elsewhere main
 * does. */
int command_main(int argc, char **argv);

static inline bool option_given(const struct command *command, unsigned id)
{
    return command->values[id] != NULL;
}

/* ---- numbers (values.c) ---- */

/* Digits only, up to *ret_end. */
bool parse_number(const char *text, const char **ret_end, uint64_t *ret_value);
/* The number an option or an operand gives. bytes also takes K, M, G and T (1024 each),
 * in small letters and with iB as well. */
int option_u64(const struct command *command, unsigned id, uint64_t lowest, uint64_t highest,
               uint64_t absent, uint64_t *ret_value);
int option_u32(const struct command *command, unsigned id, uint32_t lowest, uint32_t highest,
               uint32_t absent, uint32_t *ret_value);
int option_bytes(const struct command *command, unsigned id, uint64_t lowest, uint64_t highest,
                 uint64_t absent, uint64_t *ret_value);
int operand_u32(const struct command *command, unsigned index, const char *what, uint32_t highest,
                uint32_t *ret_value);

/* The value of a hexadecimal digit, in either case; -1 for any other character. */
int hex_digit(char c);

/* ---- reporting ---- */

/* "PROGRAM VERB: message" on stderr; returns code. */
int report(const struct command *command, int code, const char *format, ...) VCK_PRINTF(3, 4);
/* The same with the verb's usage line below it; returns EXIT_USAGE. */
int report_usage(const struct command *command, const char *format, ...) VCK_PRINTF(2, 3);
/* A remark that changes nothing. */
void warn(const struct command *command, const char *format, ...) VCK_PRINTF(2, 3);

#endif
