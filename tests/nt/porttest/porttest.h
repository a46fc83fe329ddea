/* SPDX-License-Identifier: Apache-2.0 */
/*
 * porttest: checks of a port for Windows, and of the core upon it. A program runs those of the
 * user-mode port; a driver runs those of the kernel's when user mode asks for them. Its device and
 * link bear the name of its service, so that copies can be loaded side by side. One request
 * answers with TAP text; another commits a misuse that stops the system.
 */
#ifndef VCK_TESTS_NT_PORTTEST_H
#define VCK_TESTS_NT_PORTTEST_H

#include "port/port.h"

#define MS ((uint64_t)1000000)

struct porttest {
    const char *name;
    void (*run)(void); /* may wait; NULL: the next */
    void (*run_with)(const void *context);
    const void *context;
};

extern const struct porttest porttest_memory[];
extern const struct porttest porttest_locks[];
extern const struct porttest porttest_events[];
extern const struct porttest porttest_threads[];
extern const struct porttest porttest_time[];
extern const struct porttest porttest_tasks[];

/* Notes a failure of the running test, the first one with its place; returns cond. Any thread and
 * level. */
#define CHECK(cond) porttest_check((cond), #cond, __FILE__, __LINE__)
bool porttest_check(bool cond, const char *what, const char *file, int line);

/* The running test needs what this kernel has not. */
void porttest_skip(const char *why);

/* Whether raising the level is visible: kernels that only imitate levels show PASSIVE. PASSIVE. */
bool porttest_has_levels(void);

/* What the driver runs: the number of groups. */
size_t porttest_groups(const struct porttest *const **ret_groups) VCK_CAN_WAIT;

/* Commits the misuse of that number and does not return, where it is noticed; false: there is no
 * such one. In the kernel. */
bool porttest_misuse(size_t number);

/* Runs the tests of groups, each of which ends with one without a name, and writes TAP; the number
 * of bytes. */
size_t porttest_run_all(const struct porttest *const groups[], size_t group_count, char *text,
                        size_t capacity_bytes) VCK_CAN_WAIT;

/* Runs entry(context) on `count` threads at once and joins them. */
void porttest_run_threads(unsigned count, void (*entry)(void *context), void *context) VCK_CAN_WAIT;

#endif
