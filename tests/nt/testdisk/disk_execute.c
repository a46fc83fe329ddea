/* SPDX-License-Identifier: Apache-2.0 */
/* What a request does, once its time has come. */
#include "disk.h"

ULONG td_disk_op(PIRP irp)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    switch (sp->MajorFunction) {
    case IRP_MJ_READ:
        return TD_OP_READ;
    case IRP_MJ_WRITE:
        return TD_OP_WRITE;
    case IRP_MJ_FLUSH_BUFFERS:
        return TD_OP_FLUSH;
    case IRP_MJ_DEVICE_CONTROL:
    case IRP_MJ_INTERNAL_DEVICE_CONTROL:
    case IRP_MJ_FILE_SYSTEM_CONTROL:
        return sp->Parameters.DeviceIoControl.IoControlCode ==
                       IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES
                   ? TD_OP_TRIM
                   : TD_OP_IOCTL;
    case IRP_MJ_PNP:
        return TD_OP_PNP;
    case IRP_MJ_POWER:
        return TD_OP_POWER;
    default:
        return TD_OP_OTHER;
    }
}

static NTSTATUS move(struct td_disk *disk, bool is_write, ULONGLONG offset_bytes, ULONG size_bytes,
                     UCHAR *data)
{
    if (!is_write)
        td_store_read(&disk->store, offset_bytes, size_bytes, data);
    else if (!td_store_write(&disk->store, offset_bytes, size_bytes, data))
        return STATUS_INSUFFICIENT_RESOURCES;
    return STATUS_SUCCESS;
}

static void transfer(struct td_disk *disk, PIRP irp, const struct td_verdict *verdict)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    ULONG length = sp->Parameters.Read.Length;
    ULONGLONG offset = (ULONGLONG)sp->Parameters.Read.ByteOffset.QuadPart;
    ULONGLONG size = disk->shape.size_bytes;
    ULONG mask = disk->shape.sector_bytes - 1;
    bool is_write = sp->MajorFunction == IRP_MJ_WRITE;
    irp->IoStatus.Status = STATUS_INVALID_PARAMETER;
    if ((length & mask) || (offset & mask) || offset > size || length > size - offset)
        return;
    irp->IoStatus.Status = STATUS_MEDIA_WRITE_PROTECTED;
    if (is_write && disk->shape.is_read_only)
        return;
    irp->IoStatus.Status = STATUS_SUCCESS;
    if (length == 0)
        return;
    irp->IoStatus.Status = STATUS_INSUFFICIENT_RESOURCES;
    UCHAR *data = irp->MdlAddress ? MmGetSystemAddressForMdlSafe(
                                        irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute)
                                  : NULL;
    if (!data)
        return;
    if (MmGetMdlByteCount(irp->MdlAddress) < length) {
        irp->IoStatus.Status = STATUS_INVALID_PARAMETER;
        return;
    }
    ULONG moved = length < verdict->bytes ? length : verdict->bytes;
    irp->IoStatus.Status = move(disk, is_write, offset, moved, data);
    if (NT_SUCCESS(irp->IoStatus.Status))
        irp->IoStatus.Information = moved;
}

static void query_or_usage(PIRP irp)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    if (sp->MinorFunction == IRP_MN_QUERY_CAPABILITIES ||
        sp->MinorFunction == IRP_MN_DEVICE_USAGE_NOTIFICATION)
        irp->IoStatus.Status = STATUS_SUCCESS;
}

static void plug_and_play(struct td_disk *disk, PIRP irp)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    switch (sp->MinorFunction) {
    case IRP_MN_START_DEVICE:
        irp->IoStatus.Status = (NTSTATUS)disk->behaviour.start_status;
        break;
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_REMOVE_DEVICE:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_STOP_DEVICE:
        irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    default: /* others keep the status they came with */
        query_or_usage(irp);
        break;
    }
}

static bool is_for_the_medium(ULONG op)
{
    return op & (TD_OP_READ | TD_OP_WRITE | TD_OP_FLUSH | TD_OP_TRIM | TD_OP_IOCTL);
}

static void carry_out(struct td_disk *disk, PIRP irp, ULONG op, const struct td_verdict *verdict)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    if (op & (TD_OP_IOCTL | TD_OP_OTHER) && td_disk_ask_mounted(disk, irp))
        return;
    if (op & (TD_OP_READ | TD_OP_WRITE))
        transfer(disk, irp, verdict);
    else if (op & (TD_OP_IOCTL | TD_OP_TRIM))
        td_disk_ioctl(disk, irp);
    else if (op & TD_OP_PNP)
        plug_and_play(disk, irp);
    else if (sp->MajorFunction != IRP_MJ_SYSTEM_CONTROL)
        irp->IoStatus.Status = STATUS_SUCCESS;
}

NTSTATUS td_disk_execute(struct td_disk *disk, PIRP irp, const struct td_verdict *verdict)
{
    ULONG op = td_disk_op(irp);
    if (op != TD_OP_PNP)
        irp->IoStatus.Information = 0;
    if (op == TD_OP_POWER)
        PoStartNextPowerIrp(irp);
    if (disk->behaviour.is_gone && is_for_the_medium(op)) {
        irp->IoStatus.Status = STATUS_DEVICE_DOES_NOT_EXIST;
    } else if (!verdict->is_fault) {
        carry_out(disk, irp, op, verdict);
    } else if (verdict->status == 0 || verdict->bytes > 0) {
        carry_out(disk, irp, op, verdict);
        if (verdict->status) {
            irp->IoStatus.Status = verdict->status;
            irp->IoStatus.Information = 0;
        }
    } else {
        irp->IoStatus.Status = verdict->status;
    }
    NTSTATUS status = irp->IoStatus.Status;
    IoCompleteRequest(irp, IO_DISK_INCREMENT);
    return status;
}
