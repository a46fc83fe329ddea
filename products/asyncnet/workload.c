/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"
#include "vck/log.h"

vck_status workload_set_request(struct workload *workload, const char *host, const char *path)
{
    size_t bytes =
        vck_format(workload->request, sizeof(workload->request),
                   "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);

    if (bytes >= sizeof(workload->request) - 1)
        return VCK_SIZE_MISMATCH;
    workload->request_bytes = bytes;
    return VCK_OK;
}

static uint64_t add_one(uint64_t *counter)
{
    return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

bool workload_next(struct workload *workload)
{
    uint64_t started = __atomic_load_n(&workload->started, __ATOMIC_RELAXED);

    while (started < workload->connections)
        if (__atomic_compare_exchange_n(&workload->started, &started, started + 1, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    return false;
}

const struct vck_address *workload_address(const struct workload *workload, uint64_t attempt)
{
    return &workload->addresses[attempt % workload->address_count];
}

bool workload_record(struct workload *workload, uint64_t attempt, vck_status status, uint32_t code)
{
    if (status == VCK_OK) {
        add_one(&workload->replies);
        add_one(&workload->codes[code % WORKLOAD_CODES]);
        return false;
    }
    add_one(&workload->errors[status]);
    if (attempt >= workload->retries) {
        add_one(&workload->failures);
        return false;
    }
    add_one(&workload->retried);
    return true;
}
