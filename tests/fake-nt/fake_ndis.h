/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_ndis: NDIS for drivers built for the host: the verifier's (tools/nt-verifier/ndis_model.h),
 * with threads of its own and the levels of the POSIX port. A rule that is broken stops the
 * program.
 */
#ifndef VCK_FAKE_NDIS_H
#define VCK_FAKE_NDIS_H

#include <stdarg.h>
#include <string.h>
#include "port/port.h"
#include "tools/nt-verifier/ndis_control.h"

#define PASSIVE_LEVEL  0
#define DISPATCH_LEVEL 2
#define min(a, b)      ((a) < (b) ? (a) : (b))

#define RtlCopyMemory(to, from, bytes) memcpy((to), (from), (bytes))

/* Starts and ends it, with its threads; every protocol is deregistered before the end. */
void fake_ndis_begin(void);
void fake_ndis_end(void);

/* ndis_control, for tests: what it does succeeds. */
void fake_ndis_do(uint32_t verb, uint32_t adapter);
void fake_ndis_set(uint32_t verb, uint32_t adapter, uint32_t value);
void fake_ndis_receive(uint32_t adapter, const void *frame, uint32_t bytes);
void fake_ndis_configure(uint32_t adapter, const struct ndis_options *options);
struct ndis_counts fake_ndis_count(uint32_t adapter);

/* Waits until nothing is due and no event is open; the program stops when that takes 20 s. */
void fake_ndis_settle(void);

#endif
