/* SPDX-License-Identifier: Apache-2.0 */
#include "partition.h"
#include <string.h>
#include "vck/log.h"

#define STYLE_AT  0u
#define STYLE_GPT 1u
#define STYLE_RAW 2u
#define START_AT  8u
#define GUID_AT   48u

#define NUMBER_TYPE_AT      0u
#define NUMBER_DISK_AT      4u
#define NUMBER_PARTITION_AT 8u
#define TYPE_DISK           7u /* FILE_DEVICE_DISK */
#define NO_PARTITION        UINT32_MAX

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

static void name_devices(struct vck_bytes number, struct vck_control_location *ret_location)
{
    uint32_t disk = vck_load_le32(number.data + NUMBER_DISK_AT);
    uint32_t partition = vck_load_le32(number.data + NUMBER_PARTITION_AT);

    vck_format(ret_location->raw_disk_path, VCK_RAW_PATH_BYTES, "\\Device\\Harddisk%u\\Partition0",
               disk);
    if (partition != NO_PARTITION)
        vck_format(ret_location->raw_partition_path, VCK_RAW_PATH_BYTES,
                   "\\Device\\Harddisk%u\\Partition%u", disk, partition);
}

void partition_locate(struct vck_bytes info, struct vck_bytes device_number,
                      struct vck_control_location *ret_location)
{
    if (device_number.size_bytes >= DEVICE_NUMBER_BYTES &&
        vck_load_le32(device_number.data + NUMBER_TYPE_AT) == TYPE_DISK)
        name_devices(device_number, ret_location);
    if (info.size_bytes >= START_AT + 8 && vck_load_le32(info.data + STYLE_AT) <= STYLE_RAW)
        ret_location->start_bytes =
            (struct vck_optional_u64){true, vck_load_le64(info.data + START_AT)};
}
