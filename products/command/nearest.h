/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest: which of several names somebody may have meant who typed another.
 */
#ifndef VCK_PRODUCTS_COMMAND_NEAREST_H
#define VCK_PRODUCTS_COMMAND_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

/* What is nearest so far. All zeroes but typed and length to begin with; strings are borrowed. */
struct nearest {
    const char *typed;
    size_t length;    /* of typed, in bytes */
    const char *name; /* NULL: none is near enough */
    size_t distance;  /* of name from typed */
};

/* Takes name when it is nearer than what was before, and near enough to be meant: a letter changed,
 * left out, put in or exchanged with its neighbour for every three, or the beginning of it. */
void nearest_offer(struct nearest *nearest, const char *name);

#endif
