/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/nt.h"
#include "vck/executor.h"

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path);

static void NTAPI unload(DRIVER_OBJECT *driver)
{
    (void)driver;
    vck_nt_fini();
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    vck_status status = vck_nt_init(driver, registry_path);
    if (status != VCK_OK)
        return (NTSTATUS)vck_status_to_nt(status);
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
