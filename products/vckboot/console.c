/* SPDX-License-Identifier: Apache-2.0 */
#include "vckboot.h"

#define TENTH_S_IN_US 100000u

vck_status console_key(uint32_t timeout_s, struct efi_input_key *ret_key)
{
    struct efi_text_input *input = vck_uefi_system->ConIn;
    uint64_t left = (uint64_t)timeout_s * 10;

    while (input != NULL && input->ReadKeyStroke(input, ret_key) != EFI_SUCCESS) {
        if (timeout_s != 0 && left-- == 0)
            return VCK_NOT_READY;
        (void)vck_uefi_boot->Stall(TENTH_S_IN_US);
    }
    return input != NULL ? VCK_OK : VCK_NOT_READY;
}

/* Restarts into the setup where the firmware offers that. */
static void enter_setup(void)
{
    static const efi_char supported_name[] = u"OsIndicationsSupported";
    static const efi_char name[] = u"OsIndications";
    struct efi_runtime_services *runtime = vck_uefi_system->RuntimeServices;
    uint64_t value = 0, size_bytes = sizeof(value);
    const uint64_t setup = 1; /* EFI_OS_INDICATIONS_BOOT_TO_FW_UI */

    if (runtime->GetVariable(supported_name, &efi_global_variable_guid, NULL, &size_bytes,
                             &value) != EFI_SUCCESS ||
        (value & setup) == 0 ||
        runtime->SetVariable(name, &efi_global_variable_guid,
                             EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS |
                                 EFI_VARIABLE_RUNTIME_ACCESS,
                             sizeof(setup), &setup) != EFI_SUCCESS) {
        vck_uefi_say("This firmware does not let programs open its setup.");
        return;
    }
    vck_uefi_say("Restarting into the firmware's setup.");
    vck_uefi_wipe_all();
    runtime->ResetSystem(EFI_RESET_COLD, EFI_SUCCESS, 0, NULL);
}

enum way_on console_ask_way_on(uint32_t timeout_s)
{
    struct efi_input_key key;

    for (;;) {
        vck_uefi_say("R: try again   S: firmware setup   Enter: next boot entry");
        if (console_key(timeout_s, &key) != VCK_OK) {
            vck_uefi_say("Nobody answered; going on with the next boot entry.");
            return WAY_NEXT;
        }
        if (key.UnicodeChar == 'r' || key.UnicodeChar == 'R')
            return WAY_RETRY;
        if (key.UnicodeChar == 's' || key.UnicodeChar == 'S')
            enter_setup();
        if (key.UnicodeChar == '\r' || key.UnicodeChar == '\n')
            return WAY_NEXT;
    }
}
