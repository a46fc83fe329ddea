/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: the contents of a test disk in memory. What was never written is zero and takes no
 * memory. Requests to different bytes may run in parallel at up to DISPATCH.
 */
#ifndef VCK_TESTS_NT_STORE_H
#define VCK_TESTS_NT_STORE_H

#include <stdbool.h>
#include "port/nt/ntapi.h"

struct td_store {
    ULONG chunk_count;
    PVOID volatile *chunks; /* NULL: zeroes */
};

/* False: no memory. PASSIVE. */
bool td_store_init(struct td_store *store, ULONGLONG size_bytes);
void td_store_fini(struct td_store *store);

/* The range lies within the store. False: no memory for a chunk. */
void td_store_read(const struct td_store *store, ULONGLONG offset_bytes, ULONG size_bytes,
                   UCHAR *ret_data);
bool td_store_write(struct td_store *store, ULONGLONG offset_bytes, ULONG size_bytes,
                    const UCHAR *data);
void td_store_clear(struct td_store *store, ULONGLONG offset_bytes, ULONGLONG size_bytes);

#endif
