/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "grammar.h"
#include "nearest.h"

const struct verb *grammar_verb(const struct grammar *grammar, size_t i)
{
    if (i < grammar->verb_count)
        return &grammar->verbs[i];
    i -= grammar->verb_count;
    return i < grammar->system_verb_count ? &grammar->system_verbs[i] : NULL;
}

uint64_t grammar_options(const struct grammar *grammar, const struct verb *verb)
{
    uint64_t options = verb ? verb->options : option_bit(grammar->version_id);

    return (options | option_bit(grammar->help_id)) & ~grammar->absent_options;
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
    fprintf(stderr, "Usage: %s %s [OPTION]...%s%s\n", command->grammar->program,
            verb ? verb->name : "VERB", verb && !*verb->operands ? "" : " ",
            verb ? verb->operands : "[OPERAND]...");
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

    for (size_t i = 0; (verb = grammar_verb(grammar, i)) != NULL; i++)
        if (strcmp(verb->name, name) == 0)
            break;
    return verb;
}

static int report_verb(const struct command *command, const char *name)
{
    const struct grammar *grammar = command->grammar;
    struct nearest nearest = {.typed = name, .length = strlen(name)};
    const struct verb *verb;

    for (size_t i = 0; (verb = grammar_verb(grammar, i)) != NULL; i++)
        nearest_offer(&nearest, verb->name);
    if (nearest.name)
        return report_usage(command, "there is no verb %s; did you mean %s?", name, nearest.name);
    return report_usage(command, "there is no verb %s; %s --help lists them", name,
                        grammar->program);
}

/* Bits of what may be given: before the verb, whatever any verb takes. */
static uint64_t options_here(const struct command *command)
{
    const struct grammar *grammar = command->grammar;
    uint64_t options = grammar_options(grammar, command->verb);
    const struct verb *verb;

    for (size_t i = 0; !command->verb && (verb = grammar_verb(grammar, i)) != NULL; i++)
        options |= grammar_options(grammar, verb);
    return options;
}

/* option_count when there is none of that name. */
static unsigned find_option(const struct command *command, const char *text, size_t length)
{
    const struct grammar *grammar = command->grammar;
    uint64_t accepted = options_here(command);
    unsigned id = 0;

    if (length == 2 && memcmp(text, "-h", 2) == 0)
        return grammar->help_id;
    for (; id < grammar->option_count; id++)
        if ((accepted & option_bit(id)) != 0 && strlen(grammar->options[id].name) == length &&
            memcmp(grammar->options[id].name, text, length) == 0)
            break;
    return id;
}

static int report_option(const struct command *command, const char *text, size_t length)
{
    static const size_t dashes = 2; /* which all of them share */
    const struct grammar *grammar = command->grammar;
    uint64_t accepted = options_here(command);
    struct nearest nearest = {.typed = text + dashes, .length = length - dashes};

    for (unsigned id = 0; length > dashes && id < grammar->option_count; id++)
        if ((accepted & option_bit(id)) != 0)
            nearest_offer(&nearest, grammar->options[id].name + dashes);
    if (nearest.name)
        return report_usage(command, "there is no option %.*s here; did you mean --%s?",
                            (int)length, text, nearest.name);
    return report_usage(command, "there is no option %.*s here; --help lists them", (int)length,
                        text);
}

/* Those before the verb were taken without knowing it. */
static int check_options(const struct command *command)
{
    const struct grammar *grammar = command->grammar;
    uint64_t accepted = grammar_options(grammar, command->verb) | option_bit(grammar->version_id);

    for (unsigned id = 0; command->verb && id < grammar->option_count; id++)
        if (option_given(command, id) && (accepted & option_bit(id)) == 0)
            return report_option(command, grammar->options[id].name,
                                 strlen(grammar->options[id].name));
    return EXIT_OK;
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
        return report_option(command, text, length);
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
    if (!command->verb && strcmp(text, "help") == 0) {
        command->values[command->grammar->help_id] = "";
        return EXIT_OK;
    }
    if (!command->verb) {
        command->verb = find_verb(command->grammar, text);
        return command->verb ? EXIT_OK : report_verb(command, text);
    }
    if (command->operand_count == command->verb->operands_max)
        return report_usage(command, "%s is one operand too many", text);
    command->operands[command->operand_count++] = text;
    return EXIT_OK;
}

/* A number below zero is a bad operand and no option. */
static bool looks_like_option(const char *text)
{
    return text[0] == '-' && text[1] != 0 && (text[1] < '0' || text[1] > '9');
}

static int check_operands(const struct command *command)
{
    const char *missing;

    if (!command->verb || option_given(command, command->grammar->help_id) ||
        command->operand_count >= command->verb->operands_min)
        return EXIT_OK;
    missing = command->verb->operands;
    for (unsigned i = 0; i < command->operand_count; i++)
        missing += strcspn(missing, " ") + 1;
    return report_usage(command, "%.*s is missing", (int)strcspn(missing, " "), missing);
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
        else if (is_option_allowed && looks_like_option(argv[i]))
            code = parse_option(&command, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used_next);
        else
            code = parse_operand(&command, argv[i]);
        i += used_next;
    }
    if (code == EXIT_OK)
        code = check_options(&command);
    if (code == EXIT_OK)
        code = check_operands(&command);
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
