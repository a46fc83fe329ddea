/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source: Linux, "EFI stub", which asks for LoadFile2 on the path of one vendor node; docs/
 * handover.md, the file in the initrd.
 */
#include "vck/cpio.h"
#include "vck/handover.h"
#include "vck/secret.h"
#include "vckboot.h"

/* Vendor media node {5568e427-68fc-4f3d-ac74-ca555231cc68}, then the end. */
struct initrd_path {
    struct efi_device_path vendor;
    struct vck_guid guid;
    struct efi_device_path end;
};
_Static_assert(sizeof(struct initrd_path) == 24, "nodes follow each other");

static struct initrd_path path = {
    {EFI_PATH_MEDIA, EFI_PATH_VENDOR, {20, 0}},
    EFI_GUID(0x5568e427, 0x68fc, 0x4f3d, 0xac, 0x74, 0xca, 0x55, 0x52, 0x31, 0xcc, 0x68),
    {EFI_PATH_END, EFI_PATH_END_ENTIRE, {4, 0}},
};

static struct {
    efi_handle handle; /* NULL: nothing is offered */
    efi_handle volume;
    const char *file;
    uint64_t file_bytes;
    uint8_t *archive; /* allocated, so that it is wiped when boot services end */
    size_t archive_bytes;
} offered;

static uint64_t archive_offset_bytes(void)
{
    uint64_t mask = VCK_CPIO_ALIGNMENT_BYTES - 1;

    return (offered.file_bytes + mask) & ~mask;
}

static vck_status fill(uint8_t *buffer)
{
    struct efi_file *file;
    vck_status status = VCK_OK;

    if (offered.file_bytes != 0) {
        status = file_open(offered.volume, offered.file, &file);
        if (status)
            return status;
        status = file_read(file, buffer, offered.file_bytes);
        (void)file->Close(file);
    }
    memset(buffer + offered.file_bytes, 0, archive_offset_bytes() - offered.file_bytes);
    if (offered.archive_bytes > 0)
        memcpy(buffer + archive_offset_bytes(), offered.archive, offered.archive_bytes);
    return status;
}

static efi_status EFIAPI load_file(struct efi_load_file2 *This,
                                   const struct efi_device_path *file_path, uint8_t boot_policy,
                                   uint64_t *buffer_bytes, void *buffer)
{
    uint64_t needed_bytes = archive_offset_bytes() + offered.archive_bytes;

    (void)This;
    (void)file_path;
    if (boot_policy)
        return EFI_UNSUPPORTED;
    if (buffer_bytes == NULL)
        return EFI_INVALID_PARAMETER;
    if (buffer == NULL || *buffer_bytes < needed_bytes) {
        *buffer_bytes = needed_bytes;
        return EFI_BUFFER_TOO_SMALL;
    }
    *buffer_bytes = needed_bytes;
    vck_uefi_log_reached("initrd asked for");
    vck_status status = fill(buffer);
    vck_uefi_log_reached("initrd read");
    return vck_uefi_status_of(status);
}

static struct efi_load_file2 load_file2 = {load_file};

static vck_status make_archive(const struct vck_guid *partition, struct vck_bytes vmk)
{
    uint8_t payload[VCK_HANDOVER_ENCODED_BYTES_MAX];
    struct vck_handover handover = {
        .partition_guid = *partition,
        .vmk = {(uint8_t *)(uintptr_t)vmk.data, vmk.size_bytes},
    };
    size_t size_bytes = 0;
    vck_status status = vck_handover_encode(&handover, payload, sizeof(payload), &size_bytes);

    if (status)
        goto out;
    offered.archive_bytes = vck_cpio_handover_bytes(size_bytes);
    offered.archive = vck_alloc_pages(offered.archive_bytes, BOOT_TAG);
    status = offered.archive == NULL
                 ? VCK_NO_MEMORY
                 : vck_cpio_handover_write((struct vck_bytes){payload, size_bytes}, offered.archive,
                                           offered.archive_bytes, &offered.archive_bytes);
out:
    vck_wipe(payload, sizeof(payload));
    return status;
}

static vck_status look_up_file(efi_handle volume, const char *name)
{
    struct efi_file *file;
    vck_status status;

    offered.volume = volume;
    offered.file = name;
    offered.file_bytes = 0;
    if (name[0] == 0)
        return VCK_OK;
    status = file_open(volume, name, &file);
    if (status)
        return status;
    status = file_size(file, &offered.file_bytes);
    (void)file->Close(file);
    return status;
}

vck_status initrd_offer(efi_handle volume, const char *name, const struct vck_guid *partition,
                        struct vck_bytes vmk)
{
    vck_status status = look_up_file(volume, name);

    if (status == VCK_OK && vmk.size_bytes > 0)
        status = make_archive(partition, vmk);
    if (status == VCK_OK)
        status = vck_uefi_status(vck_uefi_boot->InstallMultipleProtocolInterfaces(
            &offered.handle, &efi_device_path_guid, &path, &efi_load_file2_guid, &load_file2,
            NULL));
    if (status)
        initrd_withdraw();
    return status;
}

void initrd_withdraw(void)
{
    if (offered.handle != NULL)
        (void)vck_uefi_boot->UninstallMultipleProtocolInterfaces(
            offered.handle, &efi_device_path_guid, &path, &efi_load_file2_guid, &load_file2, NULL);
    if (offered.archive != NULL)
        vck_wipe(offered.archive, offered.archive_bytes);
    vck_free_pages(offered.archive, offered.archive_bytes);
    memset(&offered, 0, sizeof(offered));
}
