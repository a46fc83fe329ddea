/* SPDX-License-Identifier: Apache-2.0 */
/* Where each IRP goes. */
#include "products/vcksys/filter_internal.h"

static NTSTATUS transfer(struct filter *filter, PIRP irp, UCHAR major)
{
    bool is_bound = vck_rundown_acquire(&filter->bound);

    if (major == IRP_MJ_WRITE && filter_refuses_now(filter, is_bound))
        return filter_refuse(filter, irp, is_bound);
    return is_bound ? filter_enqueue(filter, irp) : filter_pass(filter, irp);
}

/* Sent by who found the filter in the stack just before it left: a request of the device below, a
 * CLOSE perhaps, unless that one is gone. */
static NTSTATUS pass_late(struct filter *filter, PIRP irp, UCHAR major)
{
    if (!__atomic_load_n(&filter->is_detached, __ATOMIC_ACQUIRE))
        return filter_complete(irp, STATUS_DELETE_PENDING, 0);
    if (major == IRP_MJ_WRITE && filter_refuses_writes(filter))
        return filter_complete(irp, STATUS_MEDIA_WRITE_PROTECTED, 0);
    return filter_pass(filter, irp);
}

/* Power, shutdown, WMI, create, cleanup, close and what there may be one day concern the device
 * below alone; since Windows Vista a power IRP is passed on like any other. */
NTSTATUS filter_dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    struct filter *filter = device->DeviceExtension;
    UCHAR major = IoGetCurrentIrpStackLocation(irp)->MajorFunction;
    NTSTATUS nt_status;

    if (!vck_rundown_acquire(&filter->dispatches))
        return pass_late(filter, irp, major);
    switch (major) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
    case IRP_MJ_FLUSH_BUFFERS:
        nt_status = transfer(filter, irp, major);
        break;
    case IRP_MJ_DEVICE_CONTROL:
        nt_status = filter_device_control(filter, irp);
        break;
    case IRP_MJ_PNP:
        return filter_pnp(filter, irp);
    default:
        nt_status = filter_pass(filter, irp);
        break;
    }
    vck_rundown_release(&filter->dispatches);
    return nt_status;
}
