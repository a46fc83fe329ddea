/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool: programs of the system that do what is theirs to do.
 */
#ifndef VCK_PRODUCTS_VCK_TOOL_H
#define VCK_PRODUCTS_VCK_TOOL_H

#include <stddef.h>
#include "products/vck/vck.h"

/* Whether there is a program of this name, in PATH or in the folders for system tools. */
bool tool_exists(const char *name);

/* Runs arguments[0], whose words go to stderr; exit codes up to `highest` are success. */
int tool_run(const struct command *command, const char *const arguments[], int highest);

/* The same, and what it says on stdout, cut to capacity with the zero that ends it. */
int tool_read(const struct command *command, const char *const arguments[], char *ret_text,
              size_t capacity);

#endif
