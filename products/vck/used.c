/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/used.h"
#include <stdlib.h>
#include "vck/bytes.h"

#define JOIN_BYTES   65536u /* the host looks no closer */
#define RANGES_FIRST 4096u

struct used_range {
    uint64_t first;
    uint64_t end;
};

vck_status used_ranges_add(void *context, uint64_t offset_bytes, uint64_t size_bytes)
{
    struct used_ranges *r = context;
    struct used_range *last = r->count > 0 ? &r->ranges[r->count - 1] : NULL;
    uint64_t end = offset_bytes + size_bytes;
    if (last != NULL && offset_bytes >= last->first && offset_bytes <= last->end + JOIN_BYTES) {
        last->end = VCK_MAX(last->end, end);
        return VCK_OK;
    }
    if (r->count == r->capacity) {
        size_t capacity = r->capacity != 0 ? 2 * r->capacity : RANGES_FIRST;
        struct used_range *more = realloc(r->ranges, capacity * sizeof(*more));
        if (more == NULL)
            return VCK_NO_MEMORY;
        r->ranges = more;
        r->capacity = capacity;
    }
    r->ranges[r->count++] = (struct used_range){offset_bytes, end};
    return VCK_OK;
}

void used_ranges_fini(struct used_ranges *ranges)
{
    free(ranges->ranges);
    *ranges = (struct used_ranges){0};
}

static int compare(const void *a, const void *b)
{
    const struct used_range *left = a;
    const struct used_range *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

/* In order and apart from each other. Returns the sum. */
static uint64_t join(struct used_ranges *r)
{
    size_t kept = 0;
    uint64_t sum = 0;
    if (r->count > 0)
        qsort(r->ranges, r->count, sizeof(*r->ranges), compare);
    for (size_t i = 0; i < r->count; i++) {
        struct used_range *last = kept > 0 ? &r->ranges[kept - 1] : NULL;
        if (last != NULL && r->ranges[i].first <= last->end)
            last->end = VCK_MAX(last->end, r->ranges[i].end);
        else
            r->ranges[kept++] = r->ranges[i];
    }
    r->count = kept;
    for (size_t i = 0; i < kept; i++)
        sum += r->ranges[i].end - r->ranges[i].first;
    return sum;
}

static int tell(struct client *client, const char *path, uint64_t recording,
                const struct used_ranges *r)
{
    static uint8_t ranges[VCK_MSG_RANGES_BYTES_MAX];
    size_t per_request = sizeof(ranges) / VCK_MSG_RANGE_BYTES;
    int code = EXIT_OK;
    for (size_t at = 0; at < r->count && code == EXIT_OK; at += per_request) {
        size_t count = VCK_MIN(r->count - at, per_request);
        struct vck_msg_used_request request = {
            .volume_path = path,
            .recording = recording,
            .ranges = {ranges, count * VCK_MSG_RANGE_BYTES},
        };
        for (size_t i = 0; i < count; i++) {
            const struct used_range *range = &r->ranges[at + i];
            vck_store_le64(ranges + i * VCK_MSG_RANGE_BYTES, range->first);
            vck_store_le64(ranges + i * VCK_MSG_RANGE_BYTES + 8, range->end - range->first);
        }
        code = client_call(client, VCK_CODE_ADD_USED, &request, NULL);
    }
    return code;
}

int used_record(struct client *client, const char *path, uint64_t *ret_recording)
{
    struct vck_msg_volume_request request = {.volume_path = path};
    struct vck_msg_used_recording response = {0};
    int code = client_call(client, VCK_CODE_RECORD_USED, &request, &response);
    if (code == EXIT_OK)
        *ret_recording = response.recording;
    return code;
}

int used_start(struct client *client, const char *path, uint64_t recording, const char *name,
               struct used_ranges *ranges, uint64_t data_bytes)
{
    char size[SIZE_TEXT_BYTES];
    char total[SIZE_TEXT_BYTES];
    struct vck_msg_used_request request = {.volume_path = path, .recording = recording};
    uint64_t sum = join(ranges);
    int code = tell(client, path, recording, ranges);
    if (code == EXIT_OK)
        code = client_call(client, VCK_CODE_START_ENCRYPT_USED, &request, NULL);
    if (code == EXIT_OK)
        printf("%s: its %s uses %s of %s; what was deleted before stays readable on the disk\n",
               path, name, size_text(sum, size), size_text(data_bytes, total));
    return code;
}
