/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path: device paths, as far as finding a partition and naming a file take it. Paths come from the
 * firmware; a node with an impossible length ends them.
 */
#ifndef VCK_VCKBOOT_PATH_H
#define VCK_VCKBOOT_PATH_H

#include <stdbool.h>
#include "port/uefi/efi.h"

/* The whole path in bytes, with its end. */
size_t path_bytes(const struct efi_device_path *path);

/* Whether it leads to a GPT partition with this unique GUID, and not to something inside it. */
bool path_is_partition(const struct efi_device_path *path, const struct vck_guid *partition);

/* The path with one more node: the decrypted volume behind it, or a file (its name in UTF-16 with
 * a NUL). For vck_free; NULL: no memory. */
struct efi_device_path *path_with_volume_node(const struct efi_device_path *path);
struct efi_device_path *path_with_file(const struct efi_device_path *path, const efi_char *name);

#endif
