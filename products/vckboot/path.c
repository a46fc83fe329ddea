/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"
#include "port/port.h"
#include "vck/bytes.h"

#define PATH_TAG VCK_TAG('b', 'p', 't', 'h')

/* The vendor node that stands for the decrypted volume: {9a4c7b52-6f0e-4d55-8b1d-2f6b1e03c7d4}. */
static const struct vck_guid volume_node_guid =
    EFI_GUID(0x9a4c7b52, 0x6f0e, 0x4d55, 0x8b, 0x1d, 0x2f, 0x6b, 0x1e, 0x03, 0xc7, 0xd4);

static const struct efi_device_path end = {EFI_PATH_END, EFI_PATH_END_ENTIRE, {sizeof(end), 0}};

static size_t node_bytes(const struct efi_device_path *node)
{
    return vck_load_le16(node->Length);
}

static bool is_end(const struct efi_device_path *node)
{
    return (node->Type & 0x7f) == EFI_PATH_END || node_bytes(node) < sizeof(*node);
}

static const struct efi_device_path *next(const struct efi_device_path *node)
{
    return (const struct efi_device_path *)(const void *)((const uint8_t *)node + node_bytes(node));
}

static size_t bytes_to_end(const struct efi_device_path *path)
{
    const struct efi_device_path *node = path;

    while (!is_end(node))
        node = next(node);
    return (size_t)((const uint8_t *)node - (const uint8_t *)path);
}

size_t path_bytes(const struct efi_device_path *path)
{
    return bytes_to_end(path) + sizeof(end);
}

bool path_is_partition(const struct efi_device_path *path, const struct vck_guid *partition)
{
    const struct efi_device_path *last = NULL;
    struct efi_path_hard_drive drive;

    for (; !is_end(path); path = next(path))
        last = path;
    if (last == NULL || last->Type != EFI_PATH_MEDIA || last->SubType != EFI_PATH_HARD_DRIVE ||
        node_bytes(last) < offsetof(struct efi_path_hard_drive, SignatureType) + 1)
        return false;
    memcpy(&drive, last, offsetof(struct efi_path_hard_drive, SignatureType) + 1);
    return drive.SignatureType == EFI_PATH_GPT && vck_guid_equal(&drive.Signature, partition);
}

static struct efi_device_path *append(const struct efi_device_path *path, uint8_t sub_type,
                                      const void *data, size_t data_bytes)
{
    size_t before_bytes = bytes_to_end(path);
    size_t node_size_bytes = sizeof(struct efi_device_path) + data_bytes;
    struct efi_device_path node = {.Type = EFI_PATH_MEDIA, .SubType = sub_type};
    uint8_t *whole;

    if (node_size_bytes > UINT16_MAX)
        return NULL;
    whole = vck_alloc(before_bytes + node_size_bytes + sizeof(end), PATH_TAG);
    if (whole == NULL)
        return NULL;
    vck_store_le16(node.Length, (uint16_t)node_size_bytes);
    memcpy(whole, path, before_bytes);
    memcpy(whole + before_bytes, &node, sizeof(node));
    memcpy(whole + before_bytes + sizeof(node), data, data_bytes);
    memcpy(whole + before_bytes + node_size_bytes, &end, sizeof(end));
    return (struct efi_device_path *)(void *)whole;
}

struct efi_device_path *path_with_volume_node(const struct efi_device_path *path)
{
    return append(path, EFI_PATH_VENDOR, &volume_node_guid, sizeof(volume_node_guid));
}

struct efi_device_path *path_with_file(const struct efi_device_path *path, const efi_char *name)
{
    size_t length = 0;

    while (name[length] != 0)
        length++;
    return append(path, EFI_PATH_FILE, name, (length + 1) * sizeof(*name));
}
