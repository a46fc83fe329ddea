/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut: takes the power away at points of a scenario's history, leaves what a disk may leave,
 * attaches again and compares every sector with the truth.
 */
#ifndef VCK_TESTS_CUT_H
#define VCK_TESTS_CUT_H

#include "scenario.h"

struct cut_statistics {
    uint64_t states;
    uint64_t nested;      /* of them, cuts during recovery or closing */
    uint64_t killed;      /* cache kept, then maybe lost */
    uint64_t inner_tears; /* a unit torn inside */
    uint64_t garbled;     /* a physical block of 4096 bytes lost */
    uint64_t damaged;     /* sectors reported as damaged */
};

struct cut_options {
    uint64_t states_wanted; /* for this scenario */
    bool flushes_lie;
    struct cut_statistics *statistics;
};

/* False when some state failed; what is then printed. The scenario is over: its volume detached. */
bool cut_everywhere(struct scenario *s, const char *name,
                    const struct cut_options *options) VCK_CAN_WAIT;

#endif
