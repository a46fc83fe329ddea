/* SPDX-License-Identifier: Apache-2.0 */
/*
 * porttest: a driver that runs checks of the kernel port, and of the core upon it, when user mode
 * asks for them. Its device and link bear the name of its service, so that copies can be loaded
 * side by side. The one request it knows answers with TAP text.
 */
#ifndef VCK_TESTS_NT_PORTTEST_H
#define VCK_TESTS_NT_PORTTEST_H

#include "port/nt/nt.h"

#define PORTTEST_IOCTL_RUN CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

#define MS ((uint64_t)1000000)

struct porttest {
    const char *name;
    void (*run)(void); /* may wait */
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

/* Runs entry(context) on `count` threads at once and joins them. */
void porttest_run_threads(unsigned count, void (*entry)(void *context), void *context) VCK_CAN_WAIT;

#endif
