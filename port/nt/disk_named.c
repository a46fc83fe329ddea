/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/disk_named.h"
#include <string.h>
#include "port/nt/name.h"
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/log.h"

#define NAMED_TAG       VCK_TAG('V', 'n', 'm', 'd')
#define TRANSFER_LIMIT  (UINT64_C(1) << 31)
#define GEOMETRY_BYTES  24u
#define SECTOR_BYTES_AT 20u
#define FILE_SECTOR     512u

struct named_disk {
    struct vck_disk disk; /* first */
    HANDLE handle;
};

static struct named_disk *named_of(struct vck_disk *disk)
{
    return VCK_CONTAINER_OF(disk, struct named_disk, disk);
}

static vck_status status_of(NTSTATUS status)
{
    switch ((uint32_t)status) {
    case (uint32_t)STATUS_OBJECT_NAME_NOT_FOUND:
    case (uint32_t)STATUS_OBJECT_PATH_NOT_FOUND:
    case (uint32_t)STATUS_NO_SUCH_FILE:
    case (uint32_t)STATUS_NO_SUCH_DEVICE:
        return VCK_NOT_FOUND;
    case (uint32_t)STATUS_MEDIA_WRITE_PROTECTED:
        return VCK_READ_ONLY;
    case (uint32_t)STATUS_SHARING_VIOLATION:
        return VCK_BUSY;
    default:
        return NT_SUCCESS(status) ? VCK_OK : vck_status_from_nt((uint32_t)status);
    }
}

/* ---- operations ---- */

static vck_status check(const struct vck_disk *disk, const struct vck_disk_io *io)
{
    if (io->op == VCK_DISK_FLUSH)
        return VCK_OK;
    if (io->op == VCK_DISK_DISCARD)
        return VCK_UNSUPPORTED;
    if (io->size_bytes >= TRANSFER_LIMIT || (uintptr_t)io->buffer % disk->alignment_bytes ||
        io->offset_bytes % disk->sector_size_bytes || io->size_bytes % disk->sector_size_bytes)
        return VCK_INVALID_DATA;
    if (io->offset_bytes > disk->size_bytes || io->size_bytes > disk->size_bytes - io->offset_bytes)
        return VCK_OUT_OF_RANGE;
    return io->op == VCK_DISK_WRITE && disk->read_only ? VCK_READ_ONLY : VCK_OK;
}

static vck_status flush(struct named_disk *named)
{
    IO_STATUS_BLOCK io = {0};

    return status_of(ZwFlushBuffersFile(named->handle, &io));
}

static vck_status transfer(struct named_disk *named, const struct vck_disk_io *io)
{
    IO_STATUS_BLOCK result = {0};
    LARGE_INTEGER at;
    NTSTATUS status;

    at.QuadPart = (LONGLONG)io->offset_bytes;
    if (io->op == VCK_DISK_READ)
        status = ZwReadFile(named->handle, NULL, NULL, NULL, &result, io->buffer,
                            (ULONG)io->size_bytes, &at, NULL);
    else
        status = ZwWriteFile(named->handle, NULL, NULL, NULL, &result, io->buffer,
                             (ULONG)io->size_bytes, &at, NULL);
    if (NT_SUCCESS(status) && result.Information != io->size_bytes)
        return VCK_IO;
    if (NT_SUCCESS(status) && io->op == VCK_DISK_WRITE && (io->flags & VCK_DISK_FUA))
        return flush(named);
    return status_of(status);
}

static void submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    io->status = check(disk, io);
    if (io->status == VCK_OK && io->op == VCK_DISK_FLUSH)
        io->status = flush(named_of(disk));
    else if (io->status == VCK_OK && io->size_bytes)
        io->status = transfer(named_of(disk), io);
    io->done(io);
}

/* ---- what it is ---- */

static NTSTATUS ask(HANDLE handle, ULONG code, void *answer, ULONG size_bytes)
{
    IO_STATUS_BLOCK io = {0};

    return ZwDeviceIoControlFile(handle, NULL, NULL, NULL, &io, code, answer, size_bytes, answer,
                                 size_bytes);
}

/* A device says it in answer to a request, a file among its attributes. */
static vck_status ask_size(HANDLE handle, uint64_t *ret_size_bytes)
{
    VCK_ALIGNAS(8) uint8_t length[8] = {0};
    FILE_STANDARD_INFORMATION file = {0};
    IO_STATUS_BLOCK io = {0};

    if (NT_SUCCESS(ask(handle, IOCTL_DISK_GET_LENGTH_INFO, length, sizeof(length)))) {
        *ret_size_bytes = vck_load_le64(length);
        return VCK_OK;
    }
    if (!NT_SUCCESS(
            ZwQueryInformationFile(handle, &io, &file, sizeof(file), FileStandardInformation)))
        return VCK_NOT_READY;
    *ret_size_bytes = (uint64_t)file.EndOfFile.QuadPart;
    return VCK_OK;
}

static uint32_t ask_sector_size(HANDLE handle)
{
    VCK_ALIGNAS(8) uint8_t geometry[GEOMETRY_BYTES] = {0};

    if (!NT_SUCCESS(ask(handle, IOCTL_DISK_GET_DRIVE_GEOMETRY, geometry, sizeof(geometry))))
        return FILE_SECTOR;
    return vck_load_le32(geometry + SECTOR_BYTES_AT);
}

static vck_status query_size(struct vck_disk *disk, uint64_t *ret_size_bytes)
{
    return ask_size(named_of(disk)->handle, ret_size_bytes);
}

static void close(struct vck_disk *disk)
{
    struct named_disk *named = named_of(disk);

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    (void)ZwClose(named->handle);
    vck_free(named);
}

static const struct vck_disk_ops ops = {
    .submit = submit,
    .query_size = query_size,
    .close = close,
};

/* ---- opening ---- */

static vck_status open_handle(const char *nt_path, bool read_only, HANDLE *ret_handle)
{
    struct vck_nt_name *name = vck_alloc(sizeof(*name), NAMED_TAG);
    ACCESS_MASK access = FILE_READ_DATA | (read_only ? 0u : FILE_WRITE_DATA) | SYNCHRONIZE;
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK io = {0};
    vck_status status;

    if (!name)
        return VCK_NO_MEMORY;
    status = vck_nt_name_set(name, nt_path) ? VCK_INVALID_DATA : VCK_OK;
    if (status)
        goto out;
    InitializeObjectAttributes(&attributes, &name->string, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE,
                               NULL, NULL);
    status = status_of(ZwCreateFile(
        ret_handle, access, &attributes, &io, NULL, 0, FILE_SHARE_READ | FILE_SHARE_WRITE,
        FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT | FILE_NO_INTERMEDIATE_BUFFERING, NULL, 0));
out:
    vck_free(name);
    return status;
}

static vck_status describe(struct named_disk *named, const char *nt_path, bool read_only)
{
    struct vck_disk *disk = &named->disk;
    vck_status status = ask_size(named->handle, &disk->size_bytes);

    disk->ops = &ops;
    disk->sector_size_bytes = ask_sector_size(named->handle);
    disk->atomic_bytes = disk->sector_size_bytes;
    disk->alignment_bytes = disk->sector_size_bytes;
    disk->read_only = read_only;
    (void)vck_format(disk->name, sizeof(disk->name), "%s", nt_path);
    if (status == VCK_OK && disk->sector_size_bytes != 512 && disk->sector_size_bytes != 4096)
        return VCK_UNSUPPORTED;
    return status;
}

vck_status vck_disk_named_open(const char *nt_path, bool read_only, struct vck_disk **ret_disk)
{
    struct named_disk *named = vck_alloc(sizeof(*named), NAMED_TAG);
    vck_status status;

    if (!named)
        return VCK_NO_MEMORY;
    status = open_handle(nt_path, read_only, &named->handle);
    if (status == VCK_OK) {
        status = describe(named, nt_path, read_only);
        if (status)
            (void)ZwClose(named->handle);
    }
    if (status)
        vck_free(named);
    else
        *ret_disk = &named->disk;
    return status;
}
