/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"
#include "vckboot.h"

/* Linux, "The Linux/x86 Boot Protocol": the header's magic. */
#define LINUX_MAGIC_OFFSET 0x202u

bool is_linux(efi_handle volume, const char *path)
{
    uint8_t start[LINUX_MAGIC_OFFSET + 4] = {0};
    struct efi_file *file;
    bool found;

    if (file_open(volume, path, &file) != VCK_OK)
        return false;
    found = file_read(file, start, sizeof(start)) == VCK_OK &&
            memcmp(start + LINUX_MAGIC_OFFSET, "HdrS", 4) == 0;
    (void)file->Close(file);
    return found;
}

static efi_status load(efi_handle volume, const char *path, efi_handle *ret_image)
{
    const struct efi_device_path *parent;
    struct efi_device_path *whole;
    size_t size_bytes;
    efi_char *wide;
    efi_status status =
        vck_uefi_boot->HandleProtocol(volume, &efi_device_path_guid, (void **)&parent);

    if (status != EFI_SUCCESS)
        return status;
    wide = text_widen(path, &size_bytes);
    whole = wide != NULL ? path_with_file(parent, wide) : NULL;
    status = EFI_OUT_OF_RESOURCES;
    if (whole != NULL)
        status = vck_uefi_boot->LoadImage(false, vck_uefi_image, whole, NULL, 0, ret_image);
    vck_free(whole);
    vck_free(wide);
    return status;
}

/* Why it was not loaded, as the one who reads it can act on it. */
static const char *why_not(efi_status status)
{
    switch (status) {
    case EFI_NOT_FOUND:
        return "there is no such file on the volume";
    case EFI_ACCESS_DENIED:
    case EFI_SECURITY_VIOLATION:
        return "Secure Boot does not trust it";
    case EFI_UNSUPPORTED:
    case EFI_LOAD_ERROR:
        return "it is not a program for this firmware";
    default:
        return vck_status_text(vck_uefi_status(status));
    }
}

/* The options stay with the image: *ret_options is for vck_free once it has ended. */
static void set_options(efi_handle image, const char *options, efi_char **ret_options)
{
    struct efi_loaded_image *loaded;
    size_t size_bytes;

    if (options[0] == 0 || vck_uefi_boot->HandleProtocol(image, &efi_loaded_image_guid,
                                                         (void **)&loaded) != EFI_SUCCESS)
        return;
    *ret_options = text_widen(options, &size_bytes);
    if (*ret_options == NULL)
        return;
    loaded->LoadOptions = *ret_options;
    loaded->LoadOptionsSize = (uint32_t)size_bytes;
}

void start_program(efi_handle volume, const struct vck_boot_config *config)
{
    efi_handle image = NULL;
    efi_char *options = NULL;
    efi_status status = load(volume, config->osloader, &image);

    if (status != EFI_SUCCESS) {
        vck_uefi_say("%s cannot be loaded: %s.", config->osloader, why_not(status));
        /* An image that is not trusted is loaded all the same, not to be started. */
        if (image != NULL)
            (void)vck_uefi_boot->UnloadImage(image);
        return;
    }
    vck_uefi_log_reached("program loaded");
    set_options(image, config->options, &options);
    vck_uefi_say("Starting %s.", config->osloader);
    status = vck_uefi_boot->StartImage(image, NULL, NULL);
    vck_free(options);
    if (status == EFI_SUCCESS)
        vck_uefi_say("%s has ended.", config->osloader);
    else
        vck_uefi_say("%s has ended: %s.", config->osloader,
                     vck_status_text(vck_uefi_status(status)));
}
