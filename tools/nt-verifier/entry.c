/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier as a driver: its parts start in order and stop in reverse. */
#include "verify.h"

DRIVER_INITIALIZE DriverEntry;

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
    (void)registry_path;
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
        status = verify_drivers_start();
    }
    driver->DriverUnload = unload;
    return status;
}
