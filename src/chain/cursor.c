/* SPDX-License-Identifier: Apache-2.0 */
#include "cursor.h"

vck_status vck_cursor_map(const struct vck_span *span, uint64_t bytes_max)
{
    struct vck_position at = span->position;
    uint64_t left_bytes = bytes_max;

    for (struct vck_descriptor *d = at.descriptor; d != NULL && left_bytes > 0; d = d->next) {
        void *address;
        uint64_t skipped_bytes = VCK_MIN(at.offset_bytes, d->size_bytes);
        uint64_t size_bytes = d->size_bytes - skipped_bytes;
        vck_status status = size_bytes == 0 ? VCK_OK : vck_descriptor_map(d, &address);
        if (status)
            return status;
        at.offset_bytes -= skipped_bytes;
        left_bytes -= VCK_MIN(size_bytes, left_bytes);
    }
    return VCK_OK;
}
