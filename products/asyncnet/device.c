/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"
#include "port/nt/control_object.h"
#include "request.h"
#include "vck/rundown.h"

#define DEVICE_NAME L"\\Device\\AsyncNet"
#define DEVICE_LINK L"\\DosDevices\\AsyncNet"

/* The object's context; the device's extension points to it. */
struct device {
    struct asyncnet *asyncnet;
    PDEVICE_OBJECT device;
    struct vck_rundown dispatching; /* who is in a dispatch routine */
};

struct extension {
    struct device *device;
};

/* ---- dispatch ---- */

static NTSTATUS complete(PIRP irp, NTSTATUS status, size_t size_bytes)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = size_bytes;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS serve(struct device *device, PIRP irp, size_t *ret_size_bytes) VCK_CAN_WAIT
{
    switch (IoGetCurrentIrpStackLocation(irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        return request_open(irp);
    case IRP_MJ_CLEANUP:
        return request_cleanup(irp);
    case IRP_MJ_CLOSE:
        return request_close(irp);
    case IRP_MJ_DEVICE_CONTROL:
        return request_serve(device->asyncnet, irp, ret_size_bytes);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device_object,
                               PIRP irp) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct device *device = ((struct extension *)device_object->DeviceExtension)->device;
    size_t size_bytes = 0;
    NTSTATUS status;

    if (!vck_rundown_acquire(&device->dispatching))
        return complete(irp, STATUS_DELETE_PENDING, 0);
    status = serve(device, irp, &size_bytes);
    vck_rundown_release(&device->dispatching);
    return status == STATUS_PENDING ? status
                                    : complete(irp, status, NT_SUCCESS(status) ? size_bytes : 0);
}

/* ---- the object ---- */

struct making {
    struct asyncnet *asyncnet;
    PDRIVER_OBJECT driver;
};

static void set_dispatch(PDRIVER_OBJECT driver)
{
    for (size_t i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver->MajorFunction[i] = dispatch;
}

static vck_status device_init(struct vck_object *object, void *context, void *argument)
{
    struct device *device = context;
    const struct making *making = argument;
    vck_status status;

    (void)object;
    device->asyncnet = making->asyncnet;
    vck_rundown_init(&device->dispatching);
    status = vck_nt_device_create(making->driver, DEVICE_NAME, sizeof(struct extension),
                                  &device->device);
    if (status)
        return status;
    ((struct extension *)device->device->DeviceExtension)->device = device;
    set_dispatch(making->driver);
    status = vck_nt_link_create(DEVICE_LINK, DEVICE_NAME);
    if (status)
        IoDeleteDevice(device->device);
    else
        device->device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return status;
}

/* The runs have ended, and completed their IRPs. */
static void device_cleanup(void *context) VCK_NO_ANALYSIS
{
    struct device *device = context;

    vck_nt_link_delete(DEVICE_LINK);
    vck_rundown_wait(&device->dispatching);
    IoDeleteDevice(device->device);
}

static const struct vck_object_type device_type = {
    .name = "control device",
    .context_bytes = sizeof(struct device),
    .cleanup = device_cleanup,
};

vck_status device_create(struct asyncnet *asyncnet, PDRIVER_OBJECT driver)
{
    struct making making = {.asyncnet = asyncnet, .driver = driver};
    struct vck_object *object;

    return vck_object_create(&device_type, asyncnet->object, device_init, &making, &object);
}
