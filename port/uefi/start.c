/* SPDX-License-Identifier: Apache-2.0 */
#include "port/uefi/uefi.h"
#include "vck/log.h"

efi_handle vck_uefi_image;
struct efi_system_table *vck_uefi_system;
struct efi_boot_services *vck_uefi_boot;

static efi_event exit_event;

static void EFIAPI on_exit_boot_services(efi_event event, void *context)
{
    (void)event;
    (void)context;
    vck_uefi_log_reached("boot services end");
    vck_uefi_wipe_all();
}

void vck_uefi_start(efi_handle image, struct efi_system_table *system)
{
    vck_uefi_image = image;
    vck_uefi_system = system;
    vck_uefi_boot = system->BootServices;
    if (vck_uefi_boot->CreateEvent(EFI_EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_NOTIFY,
                                   on_exit_boot_services, NULL, &exit_event) != EFI_SUCCESS)
        exit_event = NULL;
}

static void say_what_is_left(void)
{
    char line[64];

    (void)vck_format(line, sizeof(line), "%zu allocations are left", vck_alloc_live_count());
    vck_port_log(VCK_LOG_DEBUG, line);
}

void vck_uefi_end(void)
{
    if (vck_alloc_live_count() != 0)
        say_what_is_left();
    if (exit_event != NULL)
        (void)vck_uefi_boot->CloseEvent(exit_event);
    exit_event = NULL;
    vck_uefi_wipe_all();
}
