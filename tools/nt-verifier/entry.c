/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier as a driver: its parts start in order and stop in reverse. */
#include "verify.h"

DRIVER_INITIALIZE DriverEntry;

/* The value Checks of the service's key, a DWORD; 0: nothing is checked, and what Wine lacks is
 * supplied all the same. */
static bool wants_checks(PUNICODE_STRING registry_path)
{
    union {
        KEY_VALUE_PARTIAL_INFORMATION information;
        UCHAR bytes[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
    } value;
    WCHAR text[] = L"Checks";
    UNICODE_STRING name = {sizeof(text) - sizeof(WCHAR), sizeof(text), text};
    OBJECT_ATTRIBUTES attributes;
    HANDLE key;
    ULONG size_bytes;
    NTSTATUS status;

    InitializeObjectAttributes(&attributes, registry_path, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwOpenKey(&key, KEY_READ, &attributes)))
        return true;
    status =
        ZwQueryValueKey(key, &name, KeyValuePartialInformation, &value, sizeof(value), &size_bytes);
    ZwClose(key);
    return !NT_SUCCESS(status) || value.information.Type != REG_DWORD ||
           *(ULONG *)(void *)value.information.Data != 0;
}

/*
 * It stays loaded as long as a driver it watches is: those call its functions. It must not be
 * unloaded before them.
 */
static void NTAPI unload(PDRIVER_OBJECT driver)
{
    verify_drivers_stop();
    verify_ndis_stop();
    verify_timer_stop();
    verify_dpc_stop();
    verify_control_stop(driver);
    verify_firmware_reset();
    verify_report_stop();
    verify_level_rules_stop();
    verify_level_stop();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path)
{
    NTSTATUS status = verify_level_start();
    if (NT_SUCCESS(status))
        status = verify_level_rules_start();
    if (NT_SUCCESS(status))
        status = verify_device_start();
    if (NT_SUCCESS(status))
        status = verify_firmware_start();
    if (NT_SUCCESS(status))
        status = verify_dpc_start();
    if (NT_SUCCESS(status))
        status = verify_timer_start();
    if (NT_SUCCESS(status))
        status = verify_control_start(driver);
    if (NT_SUCCESS(status)) {
        verify_ndis_start();
        status = verify_drivers_start(wants_checks(registry_path));
    }
    driver->DriverUnload = unload;
    return status;
}
