/* SPDX-License-Identifier: Apache-2.0 */
/* What a test disk says of itself. It plays both a partition of a disk and the volume on it. */
#include "disk.h"

#define FSCTL_LOCK          0x00090018u
#define FSCTL_UNLOCK        0x0009001Cu
#define FSCTL_DISMOUNT      0x00090020u
#define ACTION_TRIM         1u
#define PROPERTY_ALIGNMENT  6
#define PROPERTY_TRIM       8
#define TRACKS_PER_CYLINDER 255u
#define SECTORS_PER_TRACK   63u
#define ANSWER_BYTES_MAX    256u

/* Answers are made here, then cut or refused by the size of the buffer. */
struct answer {
    ULONG size_bytes;
    ULONG least_bytes; /* that must fit */
    UCHAR data[ANSWER_BYTES_MAX] __attribute__((aligned(8)));
};

static void put(struct answer *answer, const void *data, ULONG size_bytes, ULONG least_bytes)
{
    RtlCopyMemory(answer->data, data, size_bytes);
    answer->size_bytes = size_bytes;
    answer->least_bytes = least_bytes;
}

static void put_length(struct td_disk *disk, struct answer *answer)
{
    GET_LENGTH_INFORMATION info = {.Length.QuadPart = (LONGLONG)disk->shape.size_bytes};
    put(answer, &info, sizeof info, sizeof info);
}

static void fill_geometry(struct td_disk *disk, DISK_GEOMETRY *ret_geometry)
{
    ULONG cylinder_bytes = TRACKS_PER_CYLINDER * SECTORS_PER_TRACK * disk->shape.sector_bytes;
    *ret_geometry = (DISK_GEOMETRY){
        .Cylinders.QuadPart = (LONGLONG)(disk->shape.size_bytes / cylinder_bytes),
        .MediaType = FixedMedia,
        .TracksPerCylinder = TRACKS_PER_CYLINDER,
        .SectorsPerTrack = SECTORS_PER_TRACK,
        .BytesPerSector = disk->shape.sector_bytes,
    };
}

static void put_geometry(struct td_disk *disk, struct answer *answer)
{
    DISK_GEOMETRY geometry;
    fill_geometry(disk, &geometry);
    put(answer, &geometry, sizeof geometry, sizeof geometry);
}

static void put_geometry_ex(struct td_disk *disk, struct answer *answer)
{
    DISK_GEOMETRY_EX geometry = {.DiskSize.QuadPart = (LONGLONG)disk->shape.size_bytes};
    fill_geometry(disk, &geometry.Geometry);
    ULONG size = FIELD_OFFSET(DISK_GEOMETRY_EX, Data);
    put(answer, &geometry, size, size);
}

static void put_partition(struct td_disk *disk, struct answer *answer)
{
    PARTITION_INFORMATION info = {
        .StartingOffset.QuadPart = (LONGLONG)disk->shape.partition_start_bytes,
        .PartitionLength.QuadPart = (LONGLONG)disk->shape.size_bytes,
        .PartitionNumber = disk->shape.disk + 1,
        .PartitionType = PARTITION_IFS,
        .RecognizedPartition = TRUE,
    };
    put(answer, &info, sizeof info, sizeof info);
}

static void put_partition_ex(struct td_disk *disk, struct answer *answer)
{
    PARTITION_INFORMATION_EX info;
    RtlZeroMemory(&info, sizeof info);
    info.StartingOffset.QuadPart = (LONGLONG)disk->shape.partition_start_bytes;
    info.PartitionLength.QuadPart = (LONGLONG)disk->shape.size_bytes;
    info.PartitionNumber = disk->shape.disk + 1;
    if (disk->shape.is_gpt) {
        info.PartitionStyle = PARTITION_STYLE_GPT;
        RtlCopyMemory(&info.Gpt.PartitionId, disk->shape.partition_id, sizeof info.Gpt.PartitionId);
        RtlCopyMemory(&info.Gpt.PartitionType, disk->shape.type_id, sizeof info.Gpt.PartitionType);
    } else {
        info.PartitionStyle = PARTITION_STYLE_MBR;
        info.Mbr.PartitionType = PARTITION_IFS;
        info.Mbr.RecognizedPartition = TRUE;
    }
    put(answer, &info, sizeof info, sizeof info);
}

static void put_capacity(struct td_disk *disk, struct answer *answer)
{
    STORAGE_READ_CAPACITY capacity = {
        .Version = sizeof capacity,
        .Size = sizeof capacity,
        .BlockLength = disk->shape.sector_bytes,
        .NumberOfBlocks.QuadPart = (LONGLONG)(disk->shape.size_bytes / disk->shape.sector_bytes),
        .DiskLength.QuadPart = (LONGLONG)disk->shape.size_bytes,
    };
    put(answer, &capacity, sizeof capacity, sizeof capacity);
}

static void put_extents(struct td_disk *disk, struct answer *answer)
{
    VOLUME_DISK_EXTENTS extents = {
        .NumberOfDiskExtents = 1,
        .Extents[0] = {.DiskNumber = disk->shape.disk,
                       .StartingOffset.QuadPart = (LONGLONG)disk->shape.partition_start_bytes,
                       .ExtentLength.QuadPart = (LONGLONG)disk->shape.size_bytes},
    };
    put(answer, &extents, sizeof extents, sizeof extents);
}

static void put_number(struct td_disk *disk, struct answer *answer)
{
    STORAGE_DEVICE_NUMBER number = {.DeviceType = FILE_DEVICE_DISK,
                                    .DeviceNumber = disk->shape.disk,
                                    .PartitionNumber = disk->shape.disk + 1};
    put(answer, &number, sizeof number, sizeof number);
}

static void put_name(struct td_disk *disk, struct answer *answer)
{
    static const WCHAR prefix[] = L"\\Device\\VckTestDisk";
    struct {
        USHORT length_bytes;
        WCHAR name[32];
    } name = {.length_bytes = sizeof prefix};
    RtlCopyMemory(name.name, prefix, sizeof prefix);
    ULONG at = sizeof prefix / sizeof *prefix - 1, number = disk->shape.disk;
    if (number >= 10) {
        name.name[at++] = (WCHAR)(L'0' + number / 10);
        name.length_bytes = (USHORT)(name.length_bytes + sizeof(WCHAR));
    }
    name.name[at] = (WCHAR)(L'0' + number % 10);
    put(answer, &name, name.length_bytes + (ULONG)sizeof(USHORT), sizeof(USHORT));
}

static NTSTATUS put_property(struct td_disk *disk, const void *input, ULONG input_bytes,
                             struct answer *answer)
{
    STORAGE_PROPERTY_QUERY query;
    if (input_bytes < FIELD_OFFSET(STORAGE_PROPERTY_QUERY, AdditionalParameters))
        return STATUS_INVALID_PARAMETER;
    RtlCopyMemory(&query, input, FIELD_OFFSET(STORAGE_PROPERTY_QUERY, AdditionalParameters));
    if ((int)query.PropertyId == PROPERTY_ALIGNMENT) {
        STORAGE_ACCESS_ALIGNMENT_DESCRIPTOR alignment = {
            .Version = sizeof alignment,
            .Size = sizeof alignment,
            .BytesPerLogicalSector = disk->shape.sector_bytes,
            .BytesPerPhysicalSector = 4096,
        };
        put(answer, &alignment, sizeof alignment, 2 * sizeof(ULONG));
        return STATUS_SUCCESS;
    }
    if ((int)query.PropertyId == PROPERTY_TRIM) {
        DEVICE_TRIM_DESCRIPTOR trim = {
            .Version = sizeof trim, .Size = sizeof trim, .TrimEnabled = disk->shape.can_trim != 0};
        put(answer, &trim, sizeof trim, 2 * sizeof(ULONG));
        return STATUS_SUCCESS;
    }
    return STATUS_NOT_SUPPORTED;
}

static void add(struct td_disk *disk, ULONGLONG *counter, ULONGLONG number)
{
    KIRQL level;
    KeAcquireSpinLock(&disk->lock, &level);
    *counter += number;
    KeReleaseSpinLock(&disk->lock, level);
}

static NTSTATUS trim(struct td_disk *disk, const UCHAR *input, ULONG input_bytes)
{
    DEVICE_MANAGE_DATA_SET_ATTRIBUTES head;
    if (input_bytes < sizeof head)
        return STATUS_INVALID_PARAMETER;
    RtlCopyMemory(&head, input, sizeof head);
    if (head.Action != ACTION_TRIM || !disk->shape.can_trim)
        return STATUS_NOT_SUPPORTED;
    if (head.DataSetRangesOffset > input_bytes ||
        head.DataSetRangesLength > input_bytes - head.DataSetRangesOffset)
        return STATUS_INVALID_PARAMETER;
    for (ULONG at = 0; at + sizeof(DEVICE_DATA_SET_RANGE) <= head.DataSetRangesLength;
         at += sizeof(DEVICE_DATA_SET_RANGE)) {
        DEVICE_DATA_SET_RANGE range;
        RtlCopyMemory(&range, input + head.DataSetRangesOffset + at, sizeof range);
        ULONGLONG start = (ULONGLONG)range.StartingOffset;
        if (start > disk->shape.size_bytes || range.LengthInBytes > disk->shape.size_bytes - start)
            return STATUS_INVALID_PARAMETER;
        td_store_clear(&disk->store, start, range.LengthInBytes);
        add(disk, &disk->stats.trimmed_bytes, range.LengthInBytes);
    }
    return STATUS_SUCCESS;
}

/* Requests of a filesystem's, which a test disk has not. */
static NTSTATUS file_system_control(struct td_disk *disk, ULONG code)
{
    switch (code) {
    case FSCTL_LOCK:
        add(disk, &disk->stats.locks, 1);
        return (NTSTATUS)disk->behaviour.lock_status;
    case FSCTL_DISMOUNT:
        add(disk, &disk->stats.dismounts, 1);
        return disk->behaviour.dismount_status ? (NTSTATUS)disk->behaviour.dismount_status
                                               : STATUS_INVALID_DEVICE_REQUEST;
    case FSCTL_UNLOCK:
        add(disk, &disk->stats.unlocks, 1);
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS make_answer(struct td_disk *disk, ULONG code, const UCHAR *input, ULONG input_bytes,
                            struct answer *ret_answer)
{
    switch (code) {
    case IOCTL_DISK_GET_LENGTH_INFO:
        put_length(disk, ret_answer);
        break;
    case IOCTL_DISK_GET_DRIVE_GEOMETRY:
        put_geometry(disk, ret_answer);
        break;
    case IOCTL_DISK_GET_DRIVE_GEOMETRY_EX:
        put_geometry_ex(disk, ret_answer);
        break;
    case IOCTL_DISK_GET_PARTITION_INFO:
        if (disk->shape.is_gpt)
            return STATUS_INVALID_DEVICE_REQUEST;
        put_partition(disk, ret_answer);
        break;
    case IOCTL_DISK_GET_PARTITION_INFO_EX:
        put_partition_ex(disk, ret_answer);
        break;
    case IOCTL_STORAGE_READ_CAPACITY:
        put_capacity(disk, ret_answer);
        break;
    case IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS:
        put_extents(disk, ret_answer);
        break;
    case IOCTL_STORAGE_GET_DEVICE_NUMBER:
        put_number(disk, ret_answer);
        break;
    case IOCTL_MOUNTDEV_QUERY_DEVICE_NAME:
        put_name(disk, ret_answer);
        break;
    case IOCTL_STORAGE_QUERY_PROPERTY:
        return put_property(disk, input, input_bytes, ret_answer);
    case IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES:
        return trim(disk, input, input_bytes);
    case IOCTL_DISK_IS_WRITABLE:
        return disk->shape.is_read_only ? STATUS_MEDIA_WRITE_PROTECTED : STATUS_SUCCESS;
    case IOCTL_DISK_CHECK_VERIFY:
    case IOCTL_STORAGE_CHECK_VERIFY:
    case IOCTL_DISK_VERIFY:
        return STATUS_SUCCESS;
    default:
        return file_system_control(disk, code);
    }
    return STATUS_SUCCESS;
}

void td_disk_ioctl(struct td_disk *disk, PIRP irp)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    ULONG room = sp->Parameters.DeviceIoControl.OutputBufferLength;
    ULONG input_bytes = sp->Parameters.DeviceIoControl.InputBufferLength;
    const UCHAR *input = irp->AssociatedIrp.SystemBuffer;
    struct answer answer = {0};
    if (!input)
        room = input_bytes = 0;
    NTSTATUS status = make_answer(disk, sp->Parameters.DeviceIoControl.IoControlCode, input,
                                  input_bytes, &answer);
    if (NT_SUCCESS(status) && room < answer.least_bytes) {
        status = STATUS_BUFFER_TOO_SMALL;
    } else if (NT_SUCCESS(status) && answer.size_bytes > 0) {
        ULONG size = room < answer.size_bytes ? room : answer.size_bytes;
        if (size < answer.size_bytes &&
            sp->Parameters.DeviceIoControl.IoControlCode == IOCTL_MOUNTDEV_QUERY_DEVICE_NAME)
            status = STATUS_BUFFER_OVERFLOW;
        RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, answer.data, size);
        irp->IoStatus.Information = size;
    }
    irp->IoStatus.Status = status;
}
