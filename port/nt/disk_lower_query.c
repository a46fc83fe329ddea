/* SPDX-License-Identifier: Apache-2.0 */
/* What a device says of itself. Layouts: the IOCTLs' pages in the WDK documentation, x64. */
#include "port/nt/disk_lower_internal.h"
#include "vck/bytes.h"

#define GEOMETRY_BYTES           24u
#define GEOMETRY_SECTOR_OFFSET   20u
#define LENGTH_BYTES             8u
#define PROPERTY_QUERY_BYTES     12u
#define TRIM_PROPERTY            8u /* StorageDeviceTrimProperty */
#define TRIM_PROPERTY_BYTES      12u
#define TRIM_PROPERTY_ENABLED_AT 8u

static NTSTATUS NTAPI ioctl_completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    (void)irp;
    vck_event_set(context);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

NTSTATUS vck_disk_lower_ioctl(PDEVICE_OBJECT device, ULONG code, void *buffer,
                              ULONG input_size_bytes, ULONG output_size_bytes,
                              ULONG *ret_size_bytes)
{
    PIRP irp = IoAllocateIrp(device->StackSize, FALSE);
    PIO_STACK_LOCATION next;
    struct vck_event done;
    NTSTATUS nt_status;

    if (!irp)
        return STATUS_INSUFFICIENT_RESOURCES;
    vck_event_init(&done);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    irp->AssociatedIrp.SystemBuffer = buffer;
    irp->UserBuffer = buffer;
    next = IoGetNextIrpStackLocation(irp);
    next->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    next->Parameters.DeviceIoControl.IoControlCode = code;
    next->Parameters.DeviceIoControl.InputBufferLength = input_size_bytes;
    next->Parameters.DeviceIoControl.OutputBufferLength = output_size_bytes;
    IoSetCompletionRoutine(irp, ioctl_completed, &done, TRUE, TRUE, TRUE);
    (void)IoCallDriver(device, irp);
    vck_event_wait(&done, VCK_FOREVER);
    nt_status = irp->IoStatus.Status;
    if (ret_size_bytes)
        *ret_size_bytes = (ULONG)VCK_MIN(irp->IoStatus.Information, output_size_bytes);
    IoFreeIrp(irp);
    vck_event_fini(&done);
    return nt_status;
}

/* Asks, and takes a shorter answer for none. The buffer starts as the input. */
static vck_status ask(PDEVICE_OBJECT device, ULONG code, uint8_t *buffer, ULONG input_bytes,
                      ULONG answer_bytes) VCK_CAN_WAIT
{
    ULONG got_bytes = 0;
    NTSTATUS nt_status =
        vck_disk_lower_ioctl(device, code, buffer, input_bytes, answer_bytes, &got_bytes);

    if (nt_status == STATUS_INSUFFICIENT_RESOURCES)
        return VCK_NO_MEMORY;
    if (!NT_SUCCESS(nt_status))
        return VCK_NOT_READY;
    return got_bytes >= answer_bytes ? VCK_OK : VCK_IO;
}

static vck_status ask_size(struct lower_disk *disk, uint8_t *buffer,
                           uint64_t *ret_size_bytes) VCK_CAN_WAIT
{
    vck_status status = ask(disk->device, IOCTL_DISK_GET_LENGTH_INFO, buffer, 0, LENGTH_BYTES);

    if (status == VCK_OK)
        *ret_size_bytes = vck_load_le64(buffer);
    return status;
}

static vck_status ask_sector_size(struct lower_disk *disk, uint8_t *buffer,
                                  uint32_t *ret_size_bytes) VCK_CAN_WAIT
{
    uint32_t size_bytes;
    vck_status status = ask(disk->device, IOCTL_DISK_GET_DRIVE_GEOMETRY, buffer, 0, GEOMETRY_BYTES);

    if (status)
        return status;
    size_bytes = vck_load_le32(buffer + GEOMETRY_SECTOR_OFFSET);
    if (size_bytes != 512 && size_bytes != 4096)
        return VCK_UNSUPPORTED;
    *ret_size_bytes = size_bytes;
    return VCK_OK;
}

static bool ask_can_trim(struct lower_disk *disk, uint8_t *buffer) VCK_CAN_WAIT
{
    memset(buffer, 0, PROPERTY_QUERY_BYTES);
    vck_store_le32(buffer, TRIM_PROPERTY);
    return ask(disk->device, IOCTL_STORAGE_QUERY_PROPERTY, buffer, PROPERTY_QUERY_BYTES,
               TRIM_PROPERTY_BYTES) == VCK_OK &&
           buffer[TRIM_PROPERTY_ENABLED_AT] != 0;
}

static bool ask_is_read_only(struct lower_disk *disk, uint8_t *buffer) VCK_CAN_WAIT
{
    NTSTATUS nt_status =
        vck_disk_lower_ioctl(disk->device, IOCTL_DISK_IS_WRITABLE, buffer, 0, 0, NULL);

    return nt_status == STATUS_MEDIA_WRITE_PROTECTED;
}

/* Called through a pointer, at PASSIVE. */
vck_status lower_disk_size(struct vck_disk *vck_disk, uint64_t *ret_size_bytes) VCK_NO_ANALYSIS
{
    struct lower_disk *disk = VCK_CONTAINER_OF(vck_disk, struct lower_disk, disk);
    uint8_t *buffer = vck_alloc(LENGTH_BYTES, DISK_LOWER_TAG);
    vck_status status = buffer ? ask_size(disk, buffer, ret_size_bytes) : VCK_NO_MEMORY;

    vck_free(buffer);
    return status;
}

vck_status lower_disk_describe(struct lower_disk *disk)
{
    struct vck_disk *said = &disk->disk;
    uint8_t *buffer = vck_alloc(GEOMETRY_BYTES, DISK_LOWER_TAG);
    vck_status status = VCK_NO_MEMORY;

    if (!buffer)
        return status;
    status = ask_size(disk, buffer, &said->size_bytes);
    if (status == VCK_OK)
        status = ask_sector_size(disk, buffer, &said->sector_size_bytes);
    if (status)
        goto out;
    said->size_bytes -= said->size_bytes % said->sector_size_bytes;
    said->atomic_bytes = said->sector_size_bytes;
    said->alignment_bytes = disk->device->AlignmentRequirement + 1;
    said->read_only = ask_is_read_only(disk, buffer);
    said->can_discard = ask_can_trim(disk, buffer);
out:
    vck_free(buffer);
    return status;
}
