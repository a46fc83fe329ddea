/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workload: HTTP requests to be made, one per connection, and what came of them. Tasks (load) and
 * threads (threads) take connections from it alike; every counter is atomic.
 */
#ifndef VCK_ASYNCNET_WORKLOAD_H
#define VCK_ASYNCNET_WORKLOAD_H

#include "http_reply.h"
#include "vck/network.h"

VCK_BEGIN_DECLS

#define WORKLOAD_ADDRESSES_MAX 8u
#define WORKLOAD_REQUEST_BYTES 1024u
#define WORKLOAD_CODES         1000u

struct workload {
    struct vck_network *network;
    struct vck_address addresses[WORKLOAD_ADDRESSES_MAX]; /* tried in turn by retries */
    uint32_t address_count;
    char request[WORKLOAD_REQUEST_BYTES];
    size_t request_bytes;
    uint64_t connections; /* to be made */
    uint64_t retries;     /* of each, when it failed */
    uint64_t timeout_ns;  /* the longest wait for anything */

    uint64_t started;
    uint64_t replies;
    uint64_t failures; /* that no retry made good */
    uint64_t retried;
    uint64_t codes[WORKLOAD_CODES]; /* replies by code */
    uint64_t errors[VCK_STATUS_COUNT];
};

/* Writes the request for path of host, both zero-terminated. SIZE_MISMATCH: it is too long. */
VCK_CHECKED vck_status workload_set_request(struct workload *workload, const char *host,
                                            const char *path);

/* False when every connection has been handed out. */
bool workload_next(struct workload *workload);

/* Where an attempt goes: 0 is the first. Borrowed. */
const struct vck_address *workload_address(const struct workload *workload, uint64_t attempt);

/* What came of an attempt: OK, and the reply's code, or an error. True: there is to be another. */
bool workload_record(struct workload *workload, uint64_t attempt, vck_status status, uint32_t code);

VCK_END_DECLS

#endif
