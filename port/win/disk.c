/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: an image file or a device. A read or write is one overlapped request, whose OVERLAPPED lies
 * in the io; the system's thread pool brings its end.
 */
#include "port/win/disk_internal.h"
#include <string.h>
#include "port/win/internal.h"
#include "vck/list.h"

#define TRANSFER_LIMIT_BYTES ((uint64_t)1 << 31)

_Static_assert(sizeof(OVERLAPPED) <= sizeof(((struct vck_disk_io *)NULL)->port),
               "an io has room for the system's part");

static vck_status status_of_error(uint32_t os_error)
{
    switch (vck_win_status_from_error(os_error)) {
    case VCK_DISK_FULL:
        return VCK_DISK_FULL;
    case VCK_READ_ONLY:
    case VCK_PERMISSION_DENIED:
        return VCK_READ_ONLY;
    case VCK_NO_MEMORY:
        return VCK_NO_MEMORY;
    case VCK_UNSUPPORTED:
        return VCK_UNSUPPORTED;
    default:
        return VCK_IO;
    }
}

/* ---- what does not wait in a queue ---- */

uint32_t vck_win_control(HANDLE handle, DWORD code, const void *in, DWORD in_bytes, void *out,
                         DWORD out_bytes, DWORD *ret_bytes)
{
    OVERLAPPED overlapped = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    HANDLE event = overlapped.hEvent;
    DWORD bytes = 0;
    if (event == NULL)
        return GetLastError();
    /* The bit keeps the pool from hearing of it. */
    overlapped.hEvent = (HANDLE)((uintptr_t)event | 1);
    BOOL is_done = DeviceIoControl(handle, code, (void *)(uintptr_t)in, in_bytes, out, out_bytes,
                                   NULL, &overlapped);
    uint32_t os_error = is_done ? ERROR_SUCCESS : GetLastError();
    if (os_error == ERROR_IO_PENDING)
        os_error = ERROR_SUCCESS;
    if (os_error == ERROR_SUCCESS && !GetOverlappedResult(handle, &overlapped, &bytes, TRUE))
        os_error = GetLastError();
    CloseHandle(event);
    if (os_error == ERROR_SUCCESS && ret_bytes != NULL)
        *ret_bytes = bytes;
    return os_error;
}

static vck_status flush(const struct win_disk *d)
{
    if (d->disk.read_only || FlushFileBuffers(d->handle))
        return VCK_OK;
    uint32_t os_error = GetLastError();
    /* A device without a cache need not know the request. */
    bool is_needless = d->is_device && os_error == ERROR_INVALID_FUNCTION;
    return is_needless ? VCK_OK : status_of_error(os_error);
}

/* Ranges of a file become holes once it is sparse. */
static uint32_t discard_file(const struct win_disk *d, uint64_t offset_bytes, uint64_t size_bytes)
{
    FILE_ZERO_DATA_INFORMATION range = {
        .FileOffset.QuadPart = (LONGLONG)offset_bytes,
        .BeyondFinalZero.QuadPart = (LONGLONG)(offset_bytes + size_bytes),
    };
    uint32_t os_error = vck_win_control(d->handle, FSCTL_SET_SPARSE, NULL, 0, NULL, 0, NULL);
    if (os_error != ERROR_SUCCESS)
        return os_error;
    return vck_win_control(d->handle, FSCTL_SET_ZERO_DATA, &range, sizeof(range), NULL, 0, NULL);
}

static uint32_t discard_device(const struct win_disk *d, uint64_t offset_bytes, uint64_t size_bytes)
{
    struct {
        DEVICE_MANAGE_DATA_SET_ATTRIBUTES attributes;
        DEVICE_DATA_SET_RANGE range;
    } trim = {
        .attributes = {.Size = sizeof(trim.attributes),
                       .Action = DeviceDsmAction_Trim,
                       .DataSetRangesOffset = sizeof(trim.attributes),
                       .DataSetRangesLength = sizeof(trim.range)},
        .range = {.StartingOffset = (LONGLONG)offset_bytes, .LengthInBytes = size_bytes},
    };
    return vck_win_control(d->handle, IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES, &trim, sizeof(trim),
                           NULL, 0, NULL);
}

static vck_status discard(const struct win_disk *d, const struct vck_disk_io *io)
{
    if (io->size_bytes == 0)
        return VCK_OK;
    uint32_t os_error = d->is_device ? discard_device(d, io->offset_bytes, io->size_bytes)
                                     : discard_file(d, io->offset_bytes, io->size_bytes);
    return os_error == ERROR_SUCCESS ? VCK_OK : status_of_error(os_error);
}

/* ---- transfers ---- */

static void complete(struct vck_disk_io *io, vck_status status)
{
    io->status = status;
    io->done(io); /* the io, and after an inline one the disk, may be gone now */
}

void CALLBACK vck_win_disk_transferred(PTP_CALLBACK_INSTANCE instance, void *context,
                                       void *overlapped, ULONG os_error, ULONG_PTR bytes,
                                       PTP_IO pool)
{
    const struct win_disk *d = context;
    struct vck_disk_io *io = VCK_CONTAINER_OF((void **)overlapped, struct vck_disk_io, port[0]);
    vck_status status = os_error == ERROR_SUCCESS ? VCK_OK : status_of_error(os_error);
    (void)instance;
    (void)pool;
    if (status == VCK_OK && bytes != io->size_bytes)
        status = VCK_IO; /* the file has been cut since */
    if (status == VCK_OK && io->op == VCK_DISK_WRITE && (io->flags & VCK_DISK_FUA) != 0)
        status = flush(d);
    complete(io, status);
}

/* A file that was cut since must not grow again behind its owner's back. */
static vck_status check_end(const struct win_disk *d, const struct vck_disk_io *io)
{
    LARGE_INTEGER size;
    if (d->is_device || io->op != VCK_DISK_WRITE)
        return VCK_OK;
    if (!GetFileSizeEx(d->handle, &size))
        return status_of_error(GetLastError());
    return (uint64_t)size.QuadPart < io->offset_bytes + io->size_bytes ? VCK_IO : VCK_OK;
}

static void transfer(struct win_disk *d, struct vck_disk_io *io)
{
    OVERLAPPED *overlapped = (OVERLAPPED *)(void *)io->port;
    DWORD size_bytes = (DWORD)io->size_bytes;
    vck_status status = size_bytes == 0 ? VCK_OK : check_end(d, io);
    if (status != VCK_OK || size_bytes == 0) {
        complete(io, status);
        return;
    }
    memset(overlapped, 0, sizeof(*overlapped));
    overlapped->Offset = (DWORD)io->offset_bytes;
    overlapped->OffsetHigh = (DWORD)(io->offset_bytes >> 32);
    StartThreadpoolIo(d->pool);
    BOOL is_done = io->op == VCK_DISK_READ
                       ? ReadFile(d->handle, io->buffer, size_bytes, NULL, overlapped)
                       : WriteFile(d->handle, io->buffer, size_bytes, NULL, overlapped);
    uint32_t os_error = is_done ? ERROR_SUCCESS : GetLastError();
    if (os_error == ERROR_SUCCESS || os_error == ERROR_IO_PENDING)
        return; /* the pool has it */
    CancelThreadpoolIo(d->pool);
    complete(io, status_of_error(os_error));
}

/* ---- requests ---- */

static vck_status check(const struct vck_disk *disk, const struct vck_disk_io *io)
{
    bool is_transfer = io->op == VCK_DISK_READ || io->op == VCK_DISK_WRITE;
    if (io->op == VCK_DISK_FLUSH)
        return VCK_OK;
    if (is_transfer && (io->size_bytes >= TRANSFER_LIMIT_BYTES ||
                        (uintptr_t)io->buffer % disk->alignment_bytes != 0))
        return VCK_INVALID_DATA;
    if (io->offset_bytes % disk->sector_size_bytes != 0 ||
        io->size_bytes % disk->sector_size_bytes != 0)
        return VCK_INVALID_DATA;
    if (io->offset_bytes > disk->size_bytes || io->size_bytes > disk->size_bytes - io->offset_bytes)
        return VCK_OUT_OF_RANGE;
    if (disk->read_only && io->op != VCK_DISK_READ)
        return VCK_READ_ONLY;
    if (io->op == VCK_DISK_DISCARD && !disk->can_discard)
        return VCK_UNSUPPORTED;
    return VCK_OK;
}

static void submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    struct win_disk *d = VCK_CONTAINER_OF(disk, struct win_disk, disk);
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status = check(disk, io);
    if (status != VCK_OK)
        complete(io, status);
    else if (io->op == VCK_DISK_FLUSH)
        complete(io, flush(d));
    else if (io->op == VCK_DISK_DISCARD)
        complete(io, discard(d, io));
    else
        transfer(d, io);
}

uint32_t vck_win_disk_read_size(const struct win_disk *d, uint64_t *ret_size_bytes)
{
    GET_LENGTH_INFORMATION length;
    LARGE_INTEGER size;
    DWORD bytes;
    if (d->is_device) {
        uint32_t os_error = vck_win_control(d->handle, IOCTL_DISK_GET_LENGTH_INFO, NULL, 0, &length,
                                            sizeof(length), &bytes);
        if (os_error != ERROR_SUCCESS)
            return os_error;
        size = length.Length;
    } else if (!GetFileSizeEx(d->handle, &size)) {
        return GetLastError();
    }
    uint64_t size_bytes = (uint64_t)size.QuadPart;
    *ret_size_bytes = size_bytes - size_bytes % d->disk.sector_size_bytes;
    return ERROR_SUCCESS;
}

static vck_status query_size(struct vck_disk *disk, uint64_t *ret_size_bytes)
{
    uint32_t os_error =
        vck_win_disk_read_size(VCK_CONTAINER_OF(disk, struct win_disk, disk), ret_size_bytes);
    return os_error == ERROR_SUCCESS ? VCK_OK : status_of_error(os_error);
}

static void close_disk(struct vck_disk *disk)
{
    struct win_disk *d = VCK_CONTAINER_OF(disk, struct win_disk, disk);
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (d->pool != NULL) {
        WaitForThreadpoolIoCallbacks(d->pool, FALSE);
        CloseThreadpoolIo(d->pool);
    }
    if (d->handle != INVALID_HANDLE_VALUE)
        CloseHandle(d->handle);
    vck_free(d);
}

const struct vck_disk_ops vck_win_disk_ops = {
    .submit = submit,
    .query_size = query_size,
    .close = close_disk,
};
