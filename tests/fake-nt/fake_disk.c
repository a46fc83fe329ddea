/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <time.h>

#include "fake_disk.h"
#include "port/port.h"
#include "vck/bytes.h"

/* Bytes of the partition's and the extents' answers that tests look at. */
#define PARTITION_START (UINT64_C(1) << 20)
#define EXTENT_SPLIT    (UINT64_C(1) << 16) /* the volume lies on two extents, the first this long */

static bool comes_up(int64_t *in)
{
    return __atomic_load_n(in, __ATOMIC_RELAXED) > 0 &&
           __atomic_sub_fetch(in, 1, __ATOMIC_RELAXED) == 0;
}

static void finish(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
}

/* ---- sectors ---- */

static void note(struct fake_disk *disk, PIRP irp, const IO_STACK_LOCATION *stack)
{
    struct fake_disk_seen *seen = stack->MajorFunction == IRP_MJ_READ ? &disk->read : &disk->write;

    pthread_mutex_lock(&disk->lock);
    seen->stack_flags = stack->Flags;
    seen->irp_flags = irp->Flags;
    seen->thread = irp->Tail.Overlay.Thread;
    seen->priority = irp->fake_priority;
    pthread_mutex_unlock(&disk->lock);
}

static uint8_t *buffer_of(const struct fake_disk *disk, PIRP irp, ULONG length)
{
    if (disk->options.is_buffered)
        return irp->AssociatedIrp.SystemBuffer;
    VCK_ASSERT(irp->MdlAddress && MmGetMdlByteCount(irp->MdlAddress) >= length);
    return MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
}

static void transfer(struct fake_disk *disk, PIRP irp, const IO_STACK_LOCATION *stack)
{
    bool is_read = stack->MajorFunction == IRP_MJ_READ;
    ULONG length = is_read ? stack->Parameters.Read.Length : stack->Parameters.Write.Length;
    uint64_t offset = (uint64_t)(is_read ? stack->Parameters.Read.ByteOffset.QuadPart
                                         : stack->Parameters.Write.ByteOffset.QuadPart);
    uint8_t *buffer = buffer_of(disk, irp, length);

    if (!buffer) {
        finish(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
        return;
    }
    note(disk, irp, stack);
    VCK_ASSERT(offset % disk->options.sector_size_bytes == 0);
    VCK_ASSERT(length % disk->options.sector_size_bytes == 0);
    VCK_ASSERT(offset + length <= disk->options.size_bytes);
    if (comes_up(&disk->fail_in)) {
        finish(irp, disk->fail_status, 0);
        return;
    }
    if (comes_up(&disk->short_in))
        length /= 2;
    if (is_read)
        memcpy(buffer, disk->data + offset, length);
    else
        memcpy(disk->data + offset, buffer, length);
    finish(irp, STATUS_SUCCESS, length);
}

/* ---- IOCTLs ---- */

static size_t describe_partition(const struct fake_disk *disk, uint8_t *answer, size_t at)
{
    vck_store_le64(answer + at, PARTITION_START);
    vck_store_le64(answer + at + 8, disk->options.size_bytes);
    if (at == 8 && disk->partition_guid) {
        vck_store_le32(answer, 1);
        memcpy(answer + 48, disk->partition_guid, 16);
    }
    return at == 0 ? 32 : 144;
}

static size_t describe_geometry(const struct fake_disk *disk, uint8_t *answer)
{
    vck_store_le64(answer, disk->options.size_bytes / disk->options.sector_size_bytes / 16);
    vck_store_le32(answer + 8, 12);
    vck_store_le32(answer + 12, 2);
    vck_store_le32(answer + 16, 8);
    vck_store_le32(answer + 20, disk->options.sector_size_bytes);
    vck_store_le64(answer + 24, disk->options.size_bytes);
    return 24;
}

static size_t describe_capacity(const struct fake_disk *disk, uint8_t *answer)
{
    vck_store_le32(answer, 32);
    vck_store_le32(answer + 4, 32);
    vck_store_le32(answer + 8, disk->options.sector_size_bytes);
    vck_store_le64(answer + 16, disk->options.size_bytes / disk->options.sector_size_bytes);
    vck_store_le64(answer + 24, disk->options.size_bytes);
    return 32;
}

static size_t describe_extents(const struct fake_disk *disk, uint8_t *answer)
{
    vck_store_le32(answer, 2);
    vck_store_le64(answer + 16, PARTITION_START);
    vck_store_le64(answer + 24, EXTENT_SPLIT);
    vck_store_le32(answer + 32, 1);
    vck_store_le64(answer + 40, 0);
    vck_store_le64(answer + 48, disk->options.size_bytes - EXTENT_SPLIT);
    return 56;
}

/* The answer to a code, up to 256 bytes; 0: not one of these. */
static size_t answer_code(const struct fake_disk *disk, ULONG code, const uint8_t *request,
                          uint8_t *answer)
{
    switch (code) {
    case IOCTL_DISK_GET_LENGTH_INFO:
        vck_store_le64(answer, disk->options.size_bytes);
        return 8;
    case IOCTL_DISK_GET_DRIVE_GEOMETRY:
        return describe_geometry(disk, answer);
    case 0x000700A0: /* IOCTL_DISK_GET_DRIVE_GEOMETRY_EX */
        return describe_geometry(disk, answer) + 8;
    case 0x00074004: /* IOCTL_DISK_GET_PARTITION_INFO */
        return describe_partition(disk, answer, 0);
    case 0x00070048: /* IOCTL_DISK_GET_PARTITION_INFO_EX */
        return describe_partition(disk, answer, 8);
    case IOCTL_STORAGE_GET_DEVICE_NUMBER:
        vck_store_le32(answer, FILE_DEVICE_DISK);
        vck_store_le32(answer + 4, 3);
        vck_store_le32(answer + 8, 2);
        return 12;
    case 0x002D5140: /* IOCTL_STORAGE_READ_CAPACITY */
        return describe_capacity(disk, answer);
    case 0x00560000: /* IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS */
        return describe_extents(disk, answer);
    case 0x00560020: /* IOCTL_VOLUME_LOGICAL_TO_PHYSICAL, here on one disk at 0 */
        vck_store_le32(answer, 1);
        vck_store_le64(answer + 16, vck_load_le64(request));
        return 24;
    case 0x00560024: /* IOCTL_VOLUME_PHYSICAL_TO_LOGICAL */
        vck_store_le64(answer, vck_load_le64(request + 8));
        return 8;
    case IOCTL_STORAGE_QUERY_PROPERTY:
        answer[8] = vck_load_le32(request) == 8 && !disk->options.cannot_trim;
        return 12;
    default:
        return 0;
    }
}

static void trim(struct fake_disk *disk, PIRP irp, const uint8_t *request)
{
    uint64_t offset = vck_load_le64(request + vck_load_le32(request + 20));
    uint64_t length = vck_load_le64(request + vck_load_le32(request + 20) + 8);

    VCK_ASSERT(vck_load_le32(request + 4) == DeviceDsmAction_Trim);
    VCK_ASSERT(vck_load_le32(request + 24) == 16 && "one range");
    VCK_ASSERT(offset + length <= disk->options.size_bytes);
    if (comes_up(&disk->fail_in)) {
        finish(irp, disk->fail_status, 0);
        return;
    }
    memset(disk->data + offset, 0, length);
    disk->trimmed_offset = offset;
    disk->trimmed_bytes = length;
    finish(irp, STATUS_SUCCESS, 0);
}

static void control(struct fake_disk *disk, PIRP irp, const IO_STACK_LOCATION *stack)
{
    ULONG code = stack->Parameters.DeviceIoControl.IoControlCode;
    ULONG room = stack->Parameters.DeviceIoControl.OutputBufferLength;
    uint8_t *buffer = irp->AssociatedIrp.SystemBuffer;
    uint8_t answer[256] = {0};
    size_t length;

    if (code == IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES) {
        trim(disk, irp, buffer);
        return;
    }
    if (code == IOCTL_DISK_IS_WRITABLE) {
        finish(irp, disk->options.is_read_only ? STATUS_MEDIA_WRITE_PROTECTED : STATUS_SUCCESS, 0);
        return;
    }
    if (code == 0x00070014) { /* IOCTL_DISK_VERIFY */
        disk->verified_offset = vck_load_le64(buffer);
        finish(irp, STATUS_SUCCESS, 0);
        return;
    }
    length = answer_code(disk, code, buffer, answer);
    if (length == 0) {
        finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
        return;
    }
    if (disk->answer_limit && length > disk->answer_limit) {
        memcpy(buffer, answer, disk->answer_limit);
        finish(irp, STATUS_BUFFER_OVERFLOW, disk->answer_limit);
        return;
    }
    if (room < length) {
        finish(irp, STATUS_BUFFER_TOO_SMALL, 0);
        return;
    }
    memcpy(buffer, answer, length);
    finish(irp, STATUS_SUCCESS, length);
}

/* ---- requests ---- */

static void carry_out(struct fake_disk *disk, PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    bool is_refused = stack->MinorFunction == IRP_MN_START_DEVICE ||
                      stack->MinorFunction == IRP_MN_DEVICE_USAGE_NOTIFICATION;

    switch (stack->MajorFunction) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        transfer(disk, irp, stack);
        break;
    case IRP_MJ_FLUSH_BUFFERS:
        finish(irp, comes_up(&disk->fail_in) ? disk->fail_status : STATUS_SUCCESS, 0);
        break;
    case IRP_MJ_DEVICE_CONTROL:
        control(disk, irp, stack);
        break;
    case IRP_MJ_PNP:
        finish(irp, is_refused ? disk->start_status : STATUS_SUCCESS, 0);
        break;
    default:
        finish(irp, STATUS_SUCCESS, 0);
        break;
    }
}

static bool pends(struct fake_disk *disk)
{
    return disk->is_async &&
           !(disk->is_mixed && __atomic_fetch_add(&disk->dispatched, 1, __ATOMIC_RELAXED) % 3 == 0);
}

static NTSTATUS dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    struct fake_disk *disk = *(struct fake_disk **)device->DeviceExtension;
    NTSTATUS status;

    if (IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_READ)
        __atomic_store_n(&disk->last_reader, vck_thread_id(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&disk->counts[IoGetCurrentIrpStackLocation(irp)->MajorFunction], 1,
                       __ATOMIC_RELAXED);
    if (pends(disk)) {
        IoMarkIrpPending(irp);
        pthread_mutex_lock(&disk->lock);
        InsertTailList(&disk->queue, &irp->Tail.Overlay.ListEntry);
        disk->queued++;
        disk->in_flight_max = VCK_MAX(disk->in_flight_max, disk->queued);
        pthread_cond_broadcast(&disk->changed);
        pthread_mutex_unlock(&disk->lock);
        return STATUS_PENDING;
    }
    carry_out(disk, irp);
    status = irp->IoStatus.Status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* ---- the thread ---- */

static PIRP next_irp(struct fake_disk *disk)
{
    PLIST_ENTRY entry = NULL;

    pthread_mutex_lock(&disk->lock);
    while (!disk->is_ending && (disk->is_holding || disk->queued == 0))
        pthread_cond_wait(&disk->changed, &disk->lock);
    if (disk->queued != 0) {
        entry = disk->is_reordering ? disk->queue.Blink : disk->queue.Flink;
        RemoveEntryList(entry);
        disk->queued--;
    }
    pthread_mutex_unlock(&disk->lock);
    return entry ? VCK_CONTAINER_OF(entry, IRP, Tail.Overlay.ListEntry) : NULL;
}

static void *disk_thread(void *context)
{
    struct fake_disk *disk = context;
    PIRP irp;

    while ((irp = next_irp(disk))) {
        struct timespec delay = {.tv_nsec = (long)disk->delay_us * 1000};
        bool is_passive = disk->is_passive;

        if (disk->delay_us)
            nanosleep(&delay, NULL);
        __atomic_store_n(&disk->thread_id, vck_thread_id(), __ATOMIC_RELAXED);
        if (!is_passive)
            fake_raise();
        carry_out(disk, irp);
        IoCompleteRequest(irp, IO_NO_INCREMENT);
        if (!is_passive)
            fake_lower();
    }
    return NULL;
}

void fake_disk_hold(struct fake_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    disk->is_async = true;
    disk->is_holding = true;
    pthread_mutex_unlock(&disk->lock);
}

void fake_disk_release(struct fake_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    disk->is_holding = false;
    pthread_cond_broadcast(&disk->changed);
    pthread_mutex_unlock(&disk->lock);
}

void fake_disk_await(struct fake_disk *disk, uint32_t requests)
{
    pthread_mutex_lock(&disk->lock);
    while (disk->queued < requests)
        pthread_cond_wait(&disk->changed, &disk->lock);
    pthread_mutex_unlock(&disk->lock);
}

/* ---- life ---- */

struct fake_disk *fake_disk_create(const struct fake_disk_options *options)
{
    struct fake_disk *disk = calloc(1, sizeof *disk);
    UNICODE_STRING name;

    VCK_ASSERT(disk != NULL);
    disk->options = *options;
    if (disk->options.sector_size_bytes == 0)
        disk->options.sector_size_bytes = 512;
    disk->data = calloc(1, options->size_bytes);
    disk->fail_status = STATUS_IO_DEVICE_ERROR;
    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        disk->driver.MajorFunction[i] = dispatch;
    RtlInitUnicodeString(&name, u"\\Device\\FakeDisk0");
    VCK_ASSERT(
        NT_SUCCESS(IoCreateDevice(&disk->driver, sizeof(struct fake_disk *), &name,
                                  FILE_DEVICE_DISK, FILE_REMOVABLE_MEDIA, FALSE, &disk->device)));
    *(struct fake_disk **)disk->device->DeviceExtension = disk;
    disk->device->Flags = (options->is_buffered ? DO_BUFFERED_IO : DO_DIRECT_IO) | DO_POWER_PAGABLE;
    disk->device->SectorSize = (USHORT)disk->options.sector_size_bytes;
    InitializeListHead(&disk->queue);
    pthread_mutex_init(&disk->lock, NULL);
    pthread_cond_init(&disk->changed, NULL);
    VCK_ASSERT(pthread_create(&disk->thread, NULL, disk_thread, disk) == 0);
    return disk;
}

void fake_disk_destroy(struct fake_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    VCK_ASSERT(disk->queued == 0);
    disk->is_ending = true;
    pthread_cond_broadcast(&disk->changed);
    pthread_mutex_unlock(&disk->lock);
    pthread_join(disk->thread, NULL);
    IoDeleteDevice(disk->device);
    pthread_cond_destroy(&disk->changed);
    pthread_mutex_destroy(&disk->lock);
    free(disk->data);
    free(disk);
}
