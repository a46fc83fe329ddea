/* SPDX-License-Identifier: Apache-2.0 */
/* storm: IRPs of every kind with arguments by chance, many in flight, some cancelled; each must
 * complete once, as it said it would. */
#ifndef VCK_TESTS_NT_STORM_H
#define VCK_TESTS_NT_STORM_H

#include "disk.h"

/* Returns when all are back. `messages` are what follows `storm`.
 * STATUS_IO_TIMEOUT: one did not come back, and is left to itself. PASSIVE. */
NTSTATUS td_storm_run(struct td_disk *disk, const struct td_storm *storm, const UCHAR *messages,
                      ULONG messages_bytes, struct td_stormed *ret_stormed);

#endif
