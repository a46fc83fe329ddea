/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <ntstrsafe.h>

#define NAME_CHARACTERS 40

static void name_of(ULONG number, PCWSTR folder, WCHAR *buffer, UNICODE_STRING *ret_name)
{
    RtlStringCchPrintfW(buffer, NAME_CHARACTERS, L"%sVckTestDisk%u", folder, number);
    RtlInitUnicodeString(ret_name, buffer);
}

struct td_disk *td_disk_of(PDEVICE_OBJECT device)
{
    return *(struct td_disk **)device->DeviceExtension;
}

static void init_fields(struct td_disk *disk, const struct td_create *shape)
{
    RtlZeroMemory(disk, sizeof *disk);
    disk->shape = *shape;
    disk->random = shape->disk + 1;
    KeInitializeSpinLock(&disk->lock);
    KeInitializeSpinLock(&disk->plan_lock);
    InitializeListHead(&disk->queue);
    InitializeListHead(&disk->stalled);
    KeInitializeSemaphore(&disk->wake, 0, MAXLONG);
}

static NTSTATUS make_device(PDRIVER_OBJECT driver, struct td_disk *disk)
{
    WCHAR buffer[NAME_CHARACTERS], link_buffer[NAME_CHARACTERS];
    UNICODE_STRING name, link;
    PDEVICE_OBJECT device = NULL;
    name_of(disk->shape.disk, L"\\Device\\", buffer, &name);
    name_of(disk->shape.disk, L"\\DosDevices\\", link_buffer, &link);
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct td_disk *), &name, FILE_DEVICE_DISK,
                                     FILE_DEVICE_SECURE_OPEN, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    *(struct td_disk **)device->DeviceExtension = disk;
    device->Flags |= DO_DIRECT_IO;
    device->AlignmentRequirement = disk->shape.alignment;
    device->SectorSize = (USHORT)disk->shape.sector_bytes;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    disk->device = device;
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void drop_device(struct td_disk *disk)
{
    WCHAR buffer[NAME_CHARACTERS];
    UNICODE_STRING link;
    name_of(disk->shape.disk, L"\\DosDevices\\", buffer, &link);
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(disk->device);
}

static bool is_sane(const struct td_create *shape)
{
    return (shape->sector_bytes == 512 || shape->sector_bytes == 4096) && shape->size_bytes &&
           shape->size_bytes % shape->sector_bytes == 0 && shape->size_bytes <= 1ull << 42;
}

NTSTATUS td_disk_create(PDRIVER_OBJECT driver, const struct td_create *shape,
                        struct td_disk **ret_disk)
{
    if (!is_sane(shape))
        return STATUS_INVALID_PARAMETER;
    struct td_disk *disk = ExAllocatePoolWithTag(NonPagedPool, sizeof *disk, TAG_DISK);
    if (!disk)
        return STATUS_INSUFFICIENT_RESOURCES;
    init_fields(disk, shape);
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;
    if (!td_store_init(&disk->store, shape->size_bytes))
        goto out;
    status = td_disk_start_threads(disk);
    if (!NT_SUCCESS(status))
        goto out;
    status = make_device(driver, disk);
    if (!NT_SUCCESS(status))
        goto out;
    *ret_disk = disk;
    return STATUS_SUCCESS;
out:
    td_disk_stop_threads(disk);
    td_store_fini(&disk->store);
    ExFreePoolWithTag(disk, TAG_DISK);
    return status;
}

NTSTATUS td_disk_delete(struct td_disk *disk)
{
    if (disk->device->AttachedDevice)
        return STATUS_DEVICE_BUSY;
    td_disk_stop_threads(disk);
    drop_device(disk);
    td_store_fini(&disk->store);
    if (disk->mounted)
        ExFreePoolWithTag(disk->mounted, TAG_DISK);
    if (disk->plan.versions)
        ExFreePoolWithTag(disk->plan.versions, TAG_DISK);
    ExFreePoolWithTag(disk, TAG_DISK);
    return STATUS_SUCCESS;
}

NTSTATUS td_disk_behave(struct td_disk *disk, const struct td_behaviour *behaviour)
{
    if (behaviour->completion > TD_MIXED || behaviour->delay_min_us > behaviour->delay_max_us)
        return STATUS_INVALID_PARAMETER;
    KIRQL level;
    KeAcquireSpinLock(&disk->lock, &level);
    disk->behaviour = *behaviour;
    KeReleaseSpinLock(&disk->lock, level);
    KeReleaseSemaphore(&disk->wake, IO_NO_INCREMENT, TD_DISK_THREADS, FALSE);
    return STATUS_SUCCESS;
}

NTSTATUS td_disk_add_fault(struct td_disk *disk, const struct td_fault *fault)
{
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;
    KIRQL level;
    KeAcquireSpinLock(&disk->lock, &level);
    if (disk->fault_count < TD_FAULT_COUNT) {
        disk->faults[disk->fault_count] = *fault;
        if (fault->count == 0)
            disk->faults[disk->fault_count].count = UINT32_MAX;
        disk->fault_count++;
        status = STATUS_SUCCESS;
    }
    KeReleaseSpinLock(&disk->lock, level);
    return status;
}

void td_disk_clear(struct td_disk *disk)
{
    KIRQL level;
    KeAcquireSpinLock(&disk->lock, &level);
    disk->fault_count = 0;
    while (!IsListEmpty(&disk->stalled)) {
        InsertTailList(&disk->queue, RemoveHeadList(&disk->stalled));
        disk->queued_count++;
    }
    KeReleaseSpinLock(&disk->lock, level);
    KeReleaseSemaphore(&disk->wake, IO_NO_INCREMENT, TD_DISK_THREADS, FALSE);
}

void td_disk_take_stats(struct td_disk *disk, struct td_stats *ret_stats)
{
    KIRQL level;
    KeAcquireSpinLock(&disk->lock, &level);
    *ret_stats = disk->stats;
    RtlZeroMemory(&disk->stats, sizeof disk->stats);
    disk->stats.in_flight = disk->stats.in_flight_most = ret_stats->in_flight;
    disk->stats.open_files = ret_stats->open_files;
    disk->stats.last_minor = ret_stats->last_minor;
    KeReleaseSpinLock(&disk->lock, level);
}
