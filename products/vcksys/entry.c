/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's entry: its rooms up in order, and down in reverse. */
#include "boot.h"
#include "control_device.h"
#include "filter.h"
#include "host.h"
#include "port/nt/nt.h"
#include "vck/bytes.h"
#include "vck/executor.h"
#include "vck/log.h"
#include "vck/thread.h"

#define REQUEST_WORKERS_MAX 8u

static struct {
    PDRIVER_OBJECT driver;
    struct vck_executor *requests;
    struct vck_executor *sweeps;
} vcksys;

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    return control_device_is(device) ? control_device_dispatch(device, irp)
                                     : filter_dispatch(device, irp);
}

static vck_status start_executors(void) VCK_CAN_WAIT
{
    const struct vck_executor_options requests = {
        .workers = VCK_MIN(KeQueryActiveProcessorCount(NULL), REQUEST_WORKERS_MAX),
        .name = "vck-io",
    };
    const struct vck_executor_options sweeps = {
        .workers = 1,
        .name = "vck-sweep",
        .thread_class = VCK_THREAD_BACKGROUND,
    };
    vck_status status = vck_executor_create(&requests, &vcksys.requests);

    return status ? status : vck_executor_create(&sweeps, &vcksys.sweeps);
}

static vck_status start_rooms(void) VCK_CAN_WAIT
{
    const struct filter_options filters = {
        .driver = vcksys.driver,
        .executor = vcksys.requests,
        .hooks = {.started = boot_device_started, .removing = host_device_removing},
    };
    const struct control_device_options control = {
        .driver = vcksys.driver,
        .host = host_control(),
        .handled = host_look_at_unload,
        .shutdown = host_shutdown,
    };

    filter_start(&filters);
    host_start(vcksys.driver, vcksys.sweeps);
    boot_start(vcksys.driver, host_control());
    return control_device_start(&control);
}

/* From below start_executors on, everything was started. */
static void stop_rooms(void) VCK_CAN_WAIT
{
    control_device_stop();
    boot_stop();
    host_stop();
    filter_stop();
}

static void stop_port(void) VCK_CAN_WAIT
{
    vck_executor_destroy(vcksys.sweeps);
    vck_executor_destroy(vcksys.requests);
    vcksys.sweeps = NULL;
    vcksys.requests = NULL;
    vck_defer_drain();
    vck_threads_fini();
    vck_nt_fini();
}

static VOID NTAPI unload(PDRIVER_OBJECT driver) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    (void)driver;
    stop_rooms();
    stop_port();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver,
                           PUNICODE_STRING registry_path) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    vck_status status = vck_nt_init(driver, registry_path);

    if (status)
        return (NTSTATUS)vck_status_to_nt(status);
    vcksys.driver = driver;
    for (size_t i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver->MajorFunction[i] = dispatch;
    status = start_executors();
    if (status)
        goto out;
    status = start_rooms();
    if (status == VCK_OK)
        status = control_device_publish();
    if (status) {
        stop_rooms();
        goto out;
    }
    driver->DriverExtension->AddDevice = filter_add_device;
    host_allow_unload(unload);
    return STATUS_SUCCESS;
out:
    vck_log_error("vck: cannot start: %s", vck_status_text(status));
    stop_port();
    return (NTSTATUS)vck_status_to_nt(status);
}
