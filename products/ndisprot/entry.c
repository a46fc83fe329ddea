/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's entry. Everything that NDIS's handlers and programs' requests reach is there before
 * the protocol is registered and the device can be found, and is gone after both are.
 */
#include "device.h"
#include "port/nt/nt.h"
#include "vck/log.h"
#include "vck/thread.h"

/* As the service is called: NDIS finds the bindings by it. */
#define PROTOCOL_NAME "ndisprot"

static struct vck_frame_protocol *protocol;

static vck_status start(PDRIVER_OBJECT driver) VCK_CAN_WAIT
{
    const struct vck_frame_options options = {.name = PROTOCOL_NAME};
    int32_t native_error = 0;
    vck_status status = vck_frame_protocol_create(&options, &protocol);

    if (status == VCK_OK)
        status = device_start(driver, protocol);
    if (status == VCK_OK)
        status = vck_frame_protocol_start(protocol, &native_error);
    if (native_error)
        vck_log_error("ndisprot: NDIS does not register it: %x", (unsigned)native_error);
    return status ? status : device_publish();
}

/* Also of what did not come up. */
static void stop(void) VCK_CAN_WAIT
{
    device_hide();
    vck_frame_protocol_destroy(protocol);
    protocol = NULL;
    device_stop();
    vck_defer_drain();
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

    if (status)
        return (NTSTATUS)vck_status_to_nt(status);
    status = start(driver);
    if (status) {
        vck_log_error("ndisprot: cannot start: %s", vck_status_text(status));
        stop();
        return (NTSTATUS)vck_status_to_nt(status);
    }
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
