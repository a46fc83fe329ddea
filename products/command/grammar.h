/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grammar: what the parser and the help both ask of the tables.
 */
#ifndef VCK_PRODUCTS_COMMAND_GRAMMAR_H
#define VCK_PRODUCTS_COMMAND_GRAMMAR_H

#include "command.h"

static inline uint64_t option_bit(unsigned id)
{
    return UINT64_C(1) << id;
}

/* The i-th verb, the system's own last; NULL behind them. */
const struct verb *grammar_verb(const struct grammar *grammar, size_t i);
/* Bits of what a verb takes; NULL: the command without one. */
uint64_t grammar_options(const struct grammar *grammar, const struct verb *verb);

/* ---- help.c ---- */

void print_help(const struct grammar *grammar, const struct verb *verb);
void print_overview(const struct grammar *grammar);

#endif
