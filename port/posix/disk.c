/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "port/posix/disk_internal.h"
#include "port/posix/internal.h"
#include "vck/bytes.h"

#define TRANSFER_LIMIT_BYTES ((uint64_t)1 << 31)

/* ---- what every kind of disk needs ---- */

static vck_status check_transfer(const struct vck_disk *disk, const struct vck_disk_io *io)
{
    if (io->size_bytes >= TRANSFER_LIMIT_BYTES)
        return VCK_INVALID_DATA;
    if ((uintptr_t)io->buffer % disk->alignment_bytes != 0)
        return VCK_INVALID_DATA;
    return VCK_OK;
}

vck_status vck_posix_disk_check(const struct vck_disk *disk, const struct vck_disk_io *io)
{
    vck_status status = VCK_OK;
    if (io->op == VCK_DISK_FLUSH)
        return VCK_OK;
    if (io->op == VCK_DISK_READ || io->op == VCK_DISK_WRITE)
        status = check_transfer(disk, io);
    else if (io->op != VCK_DISK_DISCARD)
        return VCK_INVALID_DATA;
    if (status != VCK_OK)
        return status;
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

vck_status vck_posix_disk_status(int os_error)
{
    switch (vck_posix_status_from_errno(os_error)) {
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

vck_status vck_posix_explain(struct vck_posix_error *ret_error, vck_status status, int os_error,
                             const char *format, ...)
{
    if (ret_error == NULL)
        return status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ret_error->text, sizeof(ret_error->text), format, arguments);
    va_end(arguments);
    ret_error->os_error = os_error;
    size_t used = strlen(ret_error->text);
    if (os_error != 0)
        snprintf(ret_error->text + used, sizeof(ret_error->text) - used, ": %s",
                 strerrordesc_np(os_error) != NULL ? strerrordesc_np(os_error) : "unknown error");
    return status;
}

/* ---- opening and closing ---- */

static bool is_nbd_uri(const char *path)
{
    static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(schemes); i++)
        if (strncmp(path, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

vck_status vck_posix_disk_open(const char *path, const struct vck_posix_disk_options *options,
                               struct vck_disk **ret_disk, struct vck_posix_error *ret_error)
{
    static const struct vck_posix_disk_options defaults;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (options == NULL)
        options = &defaults;
    uint32_t sector_bytes = options->sector_size_bytes;
    if (sector_bytes != 0 && sector_bytes != 512 && sector_bytes != 4096)
        return vck_posix_explain(ret_error, VCK_INVALID_DATA, 0,
                                 "sectors of %u bytes are asked for; they are of 512 or 4096 bytes",
                                 sector_bytes);
    if (is_nbd_uri(path))
        return vck_posix_nbd_open(path, options, ret_disk, ret_error);
    return vck_posix_file_open(path, options, ret_disk, ret_error);
}

void vck_posix_disk_close(struct vck_disk *disk)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (disk != NULL)
        disk->ops->close(disk);
}

/* ---- one operation, waiting for its end ---- */

static void wake_waiter(struct vck_disk_io *io)
{
    vck_event_set(io->context);
}

static vck_status run(struct vck_disk *disk, struct vck_disk_io *io) VCK_CAN_WAIT
{
    struct vck_event ended;
    vck_event_init(&ended);
    io->done = wake_waiter;
    io->context = &ended;
    disk->ops->submit(disk, io);
    (void)vck_event_wait(&ended, VCK_FOREVER);
    vck_event_fini(&ended);
    return io->status;
}

vck_status vck_posix_disk_read(struct vck_disk *disk, uint64_t offset_bytes, void *buffer,
                               size_t size_bytes)
{
    struct vck_disk_io io = {.op = VCK_DISK_READ,
                             .offset_bytes = offset_bytes,
                             .size_bytes = size_bytes,
                             .buffer = buffer};
    return run(disk, &io);
}

vck_status vck_posix_disk_write(struct vck_disk *disk, uint64_t offset_bytes, const void *buffer,
                                size_t size_bytes, unsigned flags)
{
    struct vck_disk_io io = {.op = VCK_DISK_WRITE,
                             .flags = flags,
                             .offset_bytes = offset_bytes,
                             .size_bytes = size_bytes,
                             .buffer = (void *)(uintptr_t)buffer};
    return run(disk, &io);
}

vck_status vck_posix_disk_flush(struct vck_disk *disk)
{
    struct vck_disk_io io = {.op = VCK_DISK_FLUSH};
    return run(disk, &io);
}

vck_status vck_posix_disk_discard(struct vck_disk *disk, uint64_t offset_bytes, uint64_t size_bytes)
{
    struct vck_disk_io io = {
        .op = VCK_DISK_DISCARD, .offset_bytes = offset_bytes, .size_bytes = size_bytes};
    return run(disk, &io);
}
