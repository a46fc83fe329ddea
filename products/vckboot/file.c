/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/secret.h"
#include "vck/utf.h"
#include "vckboot.h"

#define INFO_BYTES 1024u /* with a name of 255 characters and more */

efi_char *text_widen(const char *text, size_t *ret_size_bytes)
{
    struct vck_bytes bytes = {(const uint8_t *)text, strlen(text)};
    size_t capacity_bytes = 2 * bytes.size_bytes + sizeof(efi_char);
    efi_char *wide = vck_alloc(capacity_bytes, BOOT_TAG);
    size_t used_bytes;

    if (wide == NULL)
        return NULL;
    if (vck_utf8_to_utf16le(bytes, (uint8_t *)wide, capacity_bytes - sizeof(efi_char),
                            &used_bytes) != VCK_OK) {
        vck_free(wide);
        return NULL;
    }
    *ret_size_bytes = used_bytes + sizeof(efi_char);
    return wide;
}

static efi_status open_from_root(struct efi_simple_file_system *system, efi_char *path,
                                 struct efi_file **ret_file)
{
    struct efi_file *root;
    efi_status status = system->OpenVolume(system, &root);

    if (status != EFI_SUCCESS)
        return status;
    status = root->Open(root, ret_file, path, EFI_FILE_READ, 0);
    (void)root->Close(root);
    return status;
}

vck_status file_open(efi_handle volume, const char *path, struct efi_file **ret_file)
{
    struct efi_simple_file_system *system;
    efi_status status =
        vck_uefi_boot->HandleProtocol(volume, &efi_simple_file_system_guid, (void **)&system);
    size_t size_bytes;
    efi_char *wide;

    if (status != EFI_SUCCESS)
        return VCK_UNSUPPORTED;
    wide = text_widen(path, &size_bytes);
    if (wide == NULL)
        return VCK_NO_MEMORY;
    status = open_from_root(system, wide, ret_file);
    vck_free(wide);
    return vck_uefi_status(status);
}

vck_status file_size(struct efi_file *file, uint64_t *ret_size_bytes)
{
    VCK_ALIGNAS(8) uint8_t buffer[INFO_BYTES];
    struct efi_file_info info;
    uint64_t size_bytes = sizeof(buffer);
    efi_status status = file->GetInfo(file, &efi_file_info_guid, &size_bytes, buffer);

    if (status != EFI_SUCCESS)
        return vck_uefi_status(status);
    memcpy(&info, buffer, sizeof(info));
    if (info.Attribute & EFI_FILE_DIRECTORY)
        return VCK_INVALID_DATA;
    *ret_size_bytes = info.FileSize;
    return VCK_OK;
}

vck_status file_read(struct efi_file *file, void *buffer, uint64_t size_bytes)
{
    uint64_t read_bytes = size_bytes;
    efi_status status = file->Read(file, &read_bytes, buffer);

    if (status != EFI_SUCCESS)
        return vck_uefi_status(status);
    return read_bytes == size_bytes ? VCK_OK : VCK_IO;
}

static vck_status read_to_memory(struct efi_file *file, size_t most_bytes, uint8_t **ret_data,
                                 size_t *ret_size_bytes)
{
    uint64_t size_bytes;
    uint8_t *data;
    vck_status status = file_size(file, &size_bytes);

    if (status)
        return status;
    if (size_bytes > most_bytes)
        return VCK_SIZE_MISMATCH;
    data = vck_alloc_pages((size_t)size_bytes, BOOT_TAG);
    if (data == NULL)
        return VCK_NO_MEMORY;
    status = file_read(file, data, size_bytes);
    if (status) {
        vck_wipe(data, (size_t)size_bytes);
        vck_free_pages(data, (size_t)size_bytes);
        return status;
    }
    *ret_data = data;
    *ret_size_bytes = (size_t)size_bytes;
    return VCK_OK;
}

vck_status file_read_all(efi_handle volume, const char *path, size_t most_bytes, uint8_t **ret_data,
                         size_t *ret_size_bytes)
{
    struct efi_file *file;
    vck_status status = file_open(volume, path, &file);

    if (status)
        return status;
    status = read_to_memory(file, most_bytes, ret_data, ret_size_bytes);
    (void)file->Close(file);
    return status;
}
