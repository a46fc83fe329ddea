/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/shrink.h"
#include <string.h>
#include "vck/bytes.h"

/* SHRINK_VOLUME_REQUEST_TYPES */
enum request_type {
    REQUEST_PREPARE = 1,
    REQUEST_COMMIT = 2,
    REQUEST_ABORT = 3,
};

/* type u32, four bytes of padding, flags u64 (zero), sectors s64 (for PREPARE only) */
static uint32_t request(struct shrink_volume *volume, enum request_type type, uint64_t sectors)
{
    uint8_t bytes[SHRINK_REQUEST_BYTES] = {0};
    vck_store_le32(bytes, type);
    vck_store_le64(bytes + 16, sectors);
    return volume->control(volume, SHRINK_CODE, bytes, sizeof(bytes));
}

uint32_t shrink_volume(struct shrink_volume *volume, uint64_t sectors, enum shrink_step *ret_step)
{
    *ret_step = SHRINK_PREPARE;
    uint32_t error = request(volume, REQUEST_PREPARE, sectors);
    if (error != 0)
        return error;
    *ret_step = SHRINK_COMMIT;
    error = request(volume, REQUEST_COMMIT, 0);
    if (error != 0)
        (void)request(volume, REQUEST_ABORT, 0);
    return error;
}
