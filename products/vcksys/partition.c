/* SPDX-License-Identifier: Apache-2.0 */
#include "partition.h"
#include <string.h>

#define STYLE_AT  0u
#define STYLE_GPT 1u
#define GUID_AT   48u

vck_status partition_guid_of(struct vck_bytes info, struct vck_guid *ret_guid)
{
    if (info.size_bytes < STYLE_AT + 4)
        return VCK_SIZE_MISMATCH;
    if (vck_load_le32(info.data + STYLE_AT) != STYLE_GPT)
        return VCK_NOT_FOUND;
    if (info.size_bytes < GUID_AT + VCK_GUID_SIZE_BYTES)
        return VCK_SIZE_MISMATCH;
    memcpy(ret_guid->bytes, info.data + GUID_AT, VCK_GUID_SIZE_BYTES);
    return VCK_OK;
}
