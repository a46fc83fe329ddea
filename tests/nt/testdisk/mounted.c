/* SPDX-License-Identifier: Apache-2.0 */
/* What a mounted file system says of itself; the data is whatever the disk holds. */
#include "disk.h"

#define FSCTL_GET_BITMAP         0x0009006Fu /* METHOD_NEITHER */
#define FSCTL_GET_FIRST          0x00090234u
#define QUERY_NAMES_OF_SNAPSHOTS 0x00530018u

struct td_mounted {
    struct td_mount shape;
    ULONG bitmap_bytes;
    UCHAR bitmap[];
};

NTSTATUS td_disk_mount(struct td_disk *disk, const struct td_mount *mount, const UCHAR *data,
                       ULONG size_bytes)
{
    struct td_mounted *mounted = NULL, *before;
    KIRQL level;
    if (size_bytes < mount->clusters / 8 + (mount->clusters % 8 != 0))
        return STATUS_INVALID_PARAMETER;
    if (mount->name[0]) {
        mounted = ExAllocatePoolWithTag(NonPagedPool, sizeof *mounted + size_bytes, TAG_DISK);
        if (!mounted)
            return STATUS_INSUFFICIENT_RESOURCES;
        mounted->shape = *mount;
        mounted->bitmap_bytes = size_bytes;
        RtlCopyMemory(mounted->bitmap, data, size_bytes);
    }
    KeAcquireSpinLock(&disk->lock, &level);
    before = disk->mounted;
    disk->mounted = mounted;
    KeReleaseSpinLock(&disk->lock, level);
    if (before)
        ExFreePoolWithTag(before, TAG_DISK);
    return STATUS_SUCCESS;
}

static NTSTATUS give(PIRP irp, void *to, ULONG room, const void *answer, ULONG size_bytes)
{
    if (!to || room < size_bytes)
        return STATUS_BUFFER_TOO_SMALL;
    RtlCopyMemory(to, answer, size_bytes);
    irp->IoStatus.Information = size_bytes;
    return STATUS_SUCCESS;
}

/* VOLUME_BITMAP_BUFFER: as many bytes as fit; the first cluster is rounded down to one. */
static NTSTATUS give_bitmap(const struct td_mounted *mounted, PIRP irp, const LONGLONG *from,
                            ULONG from_bytes, UCHAR *to, ULONG room)
{
    ULONGLONG clusters = mounted->shape.clusters;
    ULONG head = 2 * sizeof(ULONGLONG), most = mounted->shape.piece_bytes;
    if (mounted->shape.status)
        return (NTSTATUS)mounted->shape.status;
    if (!from || from_bytes < sizeof *from || *from < 0 || (ULONGLONG)*from >= clusters)
        return STATUS_INVALID_PARAMETER;
    if (!to || room <= head)
        return STATUS_BUFFER_TOO_SMALL;
    ULONGLONG numbers[2] = {(ULONGLONG)*from / 8 * 8};
    numbers[1] = clusters - numbers[0];
    ULONG bytes = (ULONG)((numbers[1] + 7) / 8), fitting = room - head;
    if (most && most < fitting)
        fitting = most;
    RtlCopyMemory(to, numbers, head);
    RtlCopyMemory(to + head, mounted->bitmap + numbers[0] / 8, bytes < fitting ? bytes : fitting);
    irp->IoStatus.Information = head + (bytes < fitting ? bytes : fitting);
    return bytes > fitting ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

static bool control(const struct td_mounted *mounted, PIRP irp, NTSTATUS *ret_status)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    ULONG room = sp->Parameters.DeviceIoControl.OutputBufferLength;
    ULONG input_bytes = sp->Parameters.DeviceIoControl.InputBufferLength;
    void *buffer = irp->AssociatedIrp.SystemBuffer;
    switch (sp->Parameters.DeviceIoControl.IoControlCode) {
    case FSCTL_GET_BITMAP:
        *ret_status = give_bitmap(mounted, irp, sp->Parameters.DeviceIoControl.Type3InputBuffer,
                                  input_bytes, irp->UserBuffer, room);
        return true;
    case FSCTL_GET_FIRST:
        *ret_status = give(irp, buffer, room, &mounted->shape.first_sector, sizeof(ULONGLONG));
        return true;
    case QUERY_NAMES_OF_SNAPSHOTS:
        if (!mounted->shape.snapshot_bytes)
            return false;
        *ret_status = give(irp, buffer, room, &mounted->shape.snapshot_bytes, sizeof(ULONG));
        /* The names themselves are left out. */
        if (NT_SUCCESS(*ret_status) && room < sizeof(ULONG) + mounted->shape.snapshot_bytes)
            *ret_status = STATUS_BUFFER_OVERFLOW;
        return true;
    default:
        return false;
    }
}

static bool query(const struct td_mounted *mounted, PIRP irp, NTSTATUS *ret_status)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    ULONG room = sp->Parameters.QueryVolume.Length, length = 0;
    void *buffer = irp->AssociatedIrp.SystemBuffer;
    FILE_FS_SIZE_INFORMATION size = {
        .TotalAllocationUnits.QuadPart = (LONGLONG)mounted->shape.clusters,
        .SectorsPerAllocationUnit = mounted->shape.cluster_sectors,
        .BytesPerSector = mounted->shape.sector_bytes,
    };
    struct {
        ULONG attributes;
        LONG name_characters_max;
        ULONG name_bytes;
        WCHAR name[16];
    } attribute = {.name_characters_max = 255};
    switch (sp->Parameters.QueryVolume.FsInformationClass) {
    case FileFsSizeInformation:
        *ret_status = give(irp, buffer, room, &size, sizeof size);
        return true;
    case FileFsAttributeInformation:
        while (mounted->shape.name[length])
            length++;
        attribute.name_bytes = length * (ULONG)sizeof(WCHAR);
        RtlCopyMemory(attribute.name, mounted->shape.name, attribute.name_bytes);
        *ret_status = give(irp, buffer, room, &attribute, 3 * sizeof(ULONG) + attribute.name_bytes);
        return true;
    default:
        return false;
    }
}

bool td_disk_ask_mounted(struct td_disk *disk, PIRP irp)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status = STATUS_SUCCESS;
    bool is_answered = false;
    KIRQL level;
    KeAcquireSpinLock(&disk->lock, &level);
    if (disk->mounted && (sp->MajorFunction == IRP_MJ_DEVICE_CONTROL ||
                          sp->MajorFunction == IRP_MJ_FILE_SYSTEM_CONTROL))
        is_answered = control(disk->mounted, irp, &status);
    else if (disk->mounted && sp->MajorFunction == IRP_MJ_QUERY_VOLUME_INFORMATION)
        is_answered = query(disk->mounted, irp, &status);
    KeReleaseSpinLock(&disk->lock, level);
    if (is_answered)
        irp->IoStatus.Status = status;
    return is_answered;
}
