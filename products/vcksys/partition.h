/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition: reads what a device says of the partition it is. Pure. Source:
 * PARTITION_INFORMATION_EX, STORAGE_DEVICE_NUMBER.
 */
#ifndef VCK_VCKSYS_PARTITION_H
#define VCK_VCKSYS_PARTITION_H

#include <stdint.h>
#include "vck/bytes.h"
#include "vck/control.h"
#include "vck/guid.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define PARTITION_INFO_BYTES 144u

/* The GPT unique partition GUID in the answer to IOCTL_DISK_GET_PARTITION_INFO_EX. NOT_FOUND: not a
 * partition of a GPT; SIZE_MISMATCH: an answer that was cut. Any level. */
VCK_CHECKED vck_status partition_guid_of(struct vck_bytes info, struct vck_guid *ret_guid);

#define DEVICE_NUMBER_BYTES 12u

/* Where a partition lies. info and device_number are empty where the device did not answer
 * IOCTL_DISK_GET_PARTITION_INFO_EX and IOCTL_STORAGE_GET_DEVICE_NUMBER; a volume on several disks
 * has no device number. The whole disk is its partition 0. Any level. */
void partition_locate(struct vck_bytes info, struct vck_bytes device_number,
                      struct vck_control_location *ret_location);

VCK_END_DECLS

#endif
