/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_nt_internal: what the files of the fake share.
 */
#ifndef VCK_FAKE_NT_INTERNAL_H
#define VCK_FAKE_NT_INTERNAL_H

#include <stdbool.h>

/* Whether the call under way is the one that fails; counts it. */
bool fake_should_fail(void);

#endif
