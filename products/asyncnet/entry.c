/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's entry, which makes the tree, and its unload, which deletes it. What else there is to
 * do is in the objects' own beginnings and ends.
 */
#include "device.h"
#include "port/nt/nt.h"
#include "vck/bytes.h"
#include "vck/log.h"
#include "vck/thread.h"

#define WORKERS_MAX 64u

static struct asyncnet *asyncnet;

static void stop(void) VCK_CAN_WAIT
{
    if (asyncnet)
        asyncnet_unload(asyncnet);
    asyncnet = NULL;
    vck_threads_fini();
    vck_nt_fini();
}

static VOID NTAPI unload(PDRIVER_OBJECT driver) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    (void)driver;
    stop();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver,
                           PUNICODE_STRING registry_path) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    vck_status status = vck_nt_init(driver, registry_path);
    uint32_t workers;

    if (status)
        return (NTSTATUS)vck_status_to_nt(status);
    workers = vck_nt_registry_u32(registry_path, L"Workers", 1);
    status = asyncnet_create(VCK_MAX(1u, VCK_MIN(workers, WORKERS_MAX)), &asyncnet);
    if (status == VCK_OK)
        status = device_create(asyncnet, driver);
    if (status) {
        vck_log_error("asyncnet: cannot start: %s", vck_status_text(status));
        stop();
        return (NTSTATUS)vck_status_to_nt(status);
    }
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
