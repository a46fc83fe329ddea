/* SPDX-License-Identifier: Apache-2.0 */
/* load: kernel threads that keep requests in flight in a disk's stack, and check the contents. */
#ifndef VCK_TESTS_NT_LOAD_H
#define VCK_TESTS_NT_LOAD_H

#include "disk.h"

/* Runs to its end. One at a time per disk for the kinds that know the contents. PASSIVE. */
NTSTATUS td_load_run(struct td_disk *disk, const struct td_load *load,
                     struct td_loaded *ret_loaded);

#endif
