/* SPDX-License-Identifier: Apache-2.0 */
#include "port/uefi/uefi.h"
#include "vck/bytes.h"

/* Of several rows with the same value on one side the first one counts. */
static const struct {
    efi_status firmware;
    vck_status status;
} table[] = {
    {EFI_SUCCESS, VCK_OK},
    {EFI_INVALID_PARAMETER, VCK_INVALID_DATA},
    {EFI_UNSUPPORTED, VCK_UNSUPPORTED},
    {EFI_BAD_BUFFER_SIZE, VCK_SIZE_MISMATCH},
    {EFI_BUFFER_TOO_SMALL, VCK_SIZE_MISMATCH},
    {EFI_NOT_READY, VCK_NOT_READY},
    {EFI_DEVICE_ERROR, VCK_IO},
    {EFI_WRITE_PROTECTED, VCK_READ_ONLY},
    {EFI_OUT_OF_RESOURCES, VCK_NO_MEMORY},
    {EFI_VOLUME_FULL, VCK_DISK_FULL},
    {EFI_NOT_FOUND, VCK_NOT_FOUND},
    {EFI_ACCESS_DENIED, VCK_PERMISSION_DENIED},
    {EFI_SECURITY_VIOLATION, VCK_PERMISSION_DENIED},
    {EFI_TIMEOUT, VCK_TIMEOUT},
    {EFI_ALREADY_STARTED, VCK_BUSY},
    {EFI_ABORTED, VCK_CANCELLED},
    {EFI_CRC_ERROR, VCK_CHECKSUM_MISMATCH},
    {EFI_VOLUME_CORRUPTED, VCK_CHECKSUM_MISMATCH},
    {EFI_INCOMPATIBLE_VERSION, VCK_UNSUPPORTED},
    {EFI_LOAD_ERROR, VCK_INVALID_DATA},
    {EFI_INVALID_PARAMETER, VCK_OUT_OF_RANGE},
};

vck_status vck_uefi_status(efi_status status)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(table); i++)
        if (table[i].firmware == status)
            return table[i].status;
    return VCK_IO;
}

efi_status vck_uefi_status_of(vck_status status)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(table); i++)
        if (table[i].status == status)
            return table[i].firmware;
    return EFI_DEVICE_ERROR;
}
