/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help: what --help prints, in lines of at most 79 columns.
 */
#include <stdio.h>
#include <string.h>
#include "grammar.h"

#define COLUMNS     79u
#define LEFT_COLUMN 2u
#define TEXT_COLUMN 25u

/* Text from a column on, which the cursor has reached; further lines begin there, too. */
static void print_text(const char *text, unsigned column)
{
    unsigned at = column;

    while (*text) {
        unsigned length = (unsigned)strcspn(text, " ");
        if (at > column && at + 1 + length > COLUMNS) {
            printf("\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)length, text);
        at += length;
        text += length + strspn(text + length, " ");
    }
    putchar('\n');
}

/* What there is on the left, what it does on the right, or below where there is no room. */
static void print_row(const char *name, const char *argument, const char *text)
{
    int length = printf("%*s%s%s%s", (int)LEFT_COLUMN, "", name, *argument ? " " : "", argument);

    if (length + 1 > (int)TEXT_COLUMN) {
        putchar('\n');
        length = 0;
    }
    printf("%*s", (int)TEXT_COLUMN - length, "");
    print_text(text, TEXT_COLUMN);
}

static void print_option(const struct grammar *grammar, unsigned id)
{
    const struct option_spec *spec = &grammar->options[id];
    const char *own = grammar->option_help ? grammar->option_help[id] : NULL;

    print_row(spec->name, spec->argument ? spec->argument : "", own ? own : spec->help);
}

void print_help(const struct grammar *grammar, const struct verb *verb)
{
    int length;

    printf("Usage: %s %s [OPTION]...%s%s\n", grammar->program, verb->name,
           *verb->operands ? " " : "", verb->operands);
    length = printf("%s %s: ", grammar->program, verb->name);
    print_text(verb->summary, (unsigned)length);
    puts("\nOptions:");
    for (unsigned id = 0; id < grammar->option_count; id++)
        if (id != grammar->help_id && (grammar_options(grammar, verb) & option_bit(id)) != 0)
            print_option(grammar, id);
    print_option(grammar, grammar->help_id);
}

void print_overview(const struct grammar *grammar)
{
    const struct verb *verb;

    printf("Usage: %s VERB [OPTION]... [OPERAND]...\n%s\n\nVerbs:\n", grammar->program,
           grammar->purpose);
    for (size_t i = 0; (verb = grammar_verb(grammar, i)) != NULL; i++)
        print_row(verb->name, verb->operands, verb->summary);
    puts("\nOptions:");
    print_option(grammar, grammar->help_id);
    print_option(grammar, grammar->version_id);
    printf("\n%s VERB --help lists the options of a verb.%s\n", grammar->program, grammar->more);
}
