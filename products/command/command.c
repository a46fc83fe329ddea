/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The i-th verb, the system's own last; NULL behind them. */
static const struct verb *verb_at(const struct grammar *grammar, size_t i)
{
    if (i < grammar->verb_count)
        return &grammar->verbs[i];
    i -= grammar->verb_count;
    return i < grammar->system_verb_count ? &grammar->system_verbs[i] : NULL;
}

static uint64_t bit(unsigned id)
{
    return UINT64_C(1) << id;
}

/* Bits of what a verb takes; NULL: the command without one. */
static uint64_t options_of(const struct grammar *grammar, const struct verb *verb)
{
    uint64_t options = verb ? verb->options : bit(grammar->version_id);

    return (options | bit(grammar->help_id)) & ~grammar->absent_options;
}

/* ---- help ---- */

static void print_option(const struct grammar *grammar, unsigned id)
{
    const struct option_spec *spec = &grammar->options[id];
    const char *own = grammar->option_help ? grammar->option_help[id] : NULL;
    char left[40];

    snprintf(left, sizeof(left), "%s%s%s", spec->name, spec->argument ? " " : "",
             spec->argument ? spec->argument : "");
    printf("  %-22s %s\n", left, own ? own : spec->help);
}

static void print_help(const struct grammar *grammar, const struct verb *verb)
{
    printf("Usage: %s %s [OPTION]...%s%s\n", grammar->program, verb->name,
           *verb->operands ? " " : "", verb->operands);
    printf("%s %s: %s.\n\nOptions:\n", grammar->program, verb->name, verb->summary);
    for (unsigned id = 0; id < grammar->option_count; id++)
        if (id != grammar->help_id && (options_of(grammar, verb) & bit(id)) != 0)
            print_option(grammar, id);
    print_option(grammar, grammar->help_id);
}

static void print_overview(const struct grammar *grammar)
{
    const struct verb *verb;

    printf("Usage: %s VERB [OPTION]... [OPERAND]...\n%s\n\nVerbs:\n", grammar->program,
           grammar->purpose);
    for (size_t i = 0; (verb = verb_at(grammar, i)) != NULL; i++) {
        char left[40];
        snprintf(left, sizeof(left), "%s %s", verb->name, verb->operands);
        printf("  %-22s %s\n", left, verb->summary);
    }
    puts("\nOptions:");
    print_option(grammar, grammar->help_id);
    print_option(grammar, grammar->version_id);
    printf("\n%s VERB --help lists the options of a verb.%s\n", grammar->program, grammar->more);
}

/* ---- reporting ---- */

static void print_message(const struct command *command, const char *format, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, "%s%s%s: ", command->grammar->program, command->verb ? " " : "",
            command->verb ? command->verb->name : "");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    fflush(stderr);
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
    const struct verb *verb = command->verb;
    va_list arguments;

    va_start(arguments, format);
    print_message(command, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Usage: %s %s [OPTION]... %s\n", command->grammar->program,
            verb ? verb->name : "VERB", verb ? verb->operands : "[OPERAND]...");
    fflush(stderr);
    return EXIT_USAGE;
}

void warn(const struct command *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_message(command, format, arguments);
    va_end(arguments);
}

/* ---- parsing ---- */

static const struct verb *find_verb(const struct grammar *grammar, const char *name)
{
    const struct verb *verb;

    for (size_t i = 0; (verb = verb_at(grammar, i)) != NULL; i++)
        if (strcmp(verb->name, name) == 0)
            break;
    return verb;
}

/* option_count when the verb has none of that name. */
static unsigned find_option(const struct command *command, const char *text, size_t length)
{
    const struct grammar *grammar = command->grammar;
    uint64_t accepted = options_of(grammar, command->verb);
    unsigned id = 0;

    for (; id < grammar->option_count; id++)
        if ((accepted & bit(id)) != 0 && strlen(grammar->options[id].name) == length &&
            memcmp(grammar->options[id].name, text, length) == 0)
            break;
    return id;
}

static int take_repeat(struct command *command, const struct option_spec *spec, const char *value)
{
    if (command->repeat_count == COMMAND_REPEATS_MAX)
        return report_usage(command, "%s is given more than %d times", spec->name,
                            COMMAND_REPEATS_MAX);
    command->repeats[command->repeat_count++] = value;
    return EXIT_OK;
}

/* text is an option; next is the argument after it or NULL. */
static int parse_option(struct command *command, const char *text, const char *next,
                        bool *ret_used_next)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    unsigned id = find_option(command, text, length);
    const struct option_spec *spec = &command->grammar->options[id];

    if (id == command->grammar->option_count)
        return report_usage(command, "there is no option %.*s here", (int)length, text);
    if (command->values[id] && !spec->can_repeat)
        return report_usage(command, "%s is given twice", spec->name);
    if (!spec->argument && equals)
        return report_usage(command, "%s takes no value", spec->name);
    if (spec->argument && !equals && !next)
        return report_usage(command, "%s needs a value, %s", spec->name, spec->argument);
    *ret_used_next = spec->argument && !equals;
    command->values[id] = !spec->argument ? "" : equals ? equals + 1 : next;
    return spec->can_repeat ? take_repeat(command, spec, command->values[id]) : EXIT_OK;
}

static int parse_operand(struct command *command, const char *text)
{
    if (!command->verb) {
        command->verb = find_verb(command->grammar, text);
        return command->verb ? EXIT_OK
                             : report_usage(command, "there is no verb %s; %s --help lists them",
                                            text, command->grammar->program);
    }
    if (command->operand_count == command->verb->operands_max)
        return report_usage(command, "%s is one operand too many", text);
    command->operands[command->operand_count++] = text;
    return EXIT_OK;
}

int command_parse(const struct grammar *grammar, int argc, char **argv, struct command *ret_command)
{
    struct command command = {.grammar = grammar};
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
    if (code == EXIT_OK && command.verb && !option_given(&command, grammar->help_id) &&
        command.operand_count < command.verb->operands_min)
        code = report_usage(&command, "%s is missing", command.verb->operands);
    if (code == EXIT_OK)
        *ret_command = command;
    return code;
}

/* ---- the whole ---- */

/* What did not reach the reader of stdout was not said. */
static int finish(const struct command *command, int code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        return code != EXIT_OK ? code : report(command, EXIT_FAILED, "cannot write to stdout");
    return code;
}

int command_run(const struct grammar *grammar, const char *version, int argc, char **argv)
{
    struct command command;
    int code = command_parse(grammar, argc, argv, &command);

    if (code != EXIT_OK)
        return code;
    if (option_given(&command, grammar->version_id))
        printf("%s %s\n", grammar->program, version);
    else if (!command.verb && option_given(&command, grammar->help_id))
        print_overview(grammar);
    else if (!command.verb)
        return report_usage(&command, "a verb is missing; %s --help lists them", grammar->program);
    else if (option_given(&command, grammar->help_id))
        print_help(grammar, command.verb);
    else
        code = command.verb->run(&command);
    return finish(&command, code);
}
