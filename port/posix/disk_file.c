/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_file: regular files and block devices.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>
#include "port/posix/disk_internal.h"
#include "vck/bytes.h"

/* As many operations as a sweep has on their way: a batch written, two pieces of the next one read.
 */
#define WORKER_COUNT 3

#define DIRECT_ALIGNMENT_BYTES 4096 /* where the kernel does not tell; enough everywhere */

struct file_disk {
    struct vck_disk disk;
    struct disk_workers workers;
    struct disk_sync sync;
    int fd;
    bool is_direct;
    bool is_block_device;
};

static struct file_disk *file_disk(struct vck_disk *disk)
{
    return VCK_CONTAINER_OF(disk, struct file_disk, disk);
}

/* ---- operations ---- */

static vck_status read_all(int fd, uint64_t offset_bytes, uint8_t *buffer, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t got = pread(fd, buffer, size_bytes, (off_t)offset_bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return vck_posix_disk_status(errno);
        if (got == 0)
            return VCK_IO; /* the file has been cut since */
        buffer += got;
        offset_bytes += (uint64_t)got;
        size_bytes -= (size_t)got;
    }
    return VCK_OK;
}

/* rw_flags: 0 or RWF_DSYNC. */
static vck_status write_all(int fd, uint64_t offset_bytes, const uint8_t *buffer, size_t size_bytes,
                            int rw_flags)
{
    while (size_bytes > 0) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = size_bytes};
        ssize_t put = rw_flags != 0 ? pwritev2(fd, &part, 1, (off_t)offset_bytes, rw_flags)
                                    : pwrite(fd, buffer, size_bytes, (off_t)offset_bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return vck_posix_disk_status(errno);
        if (put == 0)
            return VCK_IO;
        buffer += put;
        offset_bytes += (uint64_t)put;
        size_bytes -= (size_t)put;
    }
    return VCK_OK;
}

/* A file that was cut since must not grow again behind its owner's back. Seeking tells the size
 * without having looked at the file's times: after a stat the kernel stamps the next write with a
 * finer clock, which costs more than the question. Nobody uses the file position. */
static vck_status check_end(const struct file_disk *file, uint64_t end_bytes)
{
    off_t size_bytes;
    if (file->is_block_device)
        return VCK_OK;
    size_bytes = lseek(file->fd, 0, SEEK_END);
    if (size_bytes < 0)
        return vck_posix_disk_status(errno);
    return (uint64_t)size_bytes < end_bytes ? VCK_IO : VCK_OK;
}

/* Through the page cache a write that is to be durable at once would also hear of others' pages. */
static vck_status write_io(struct file_disk *file, const struct vck_disk_io *io)
{
    size_t size_bytes = (size_t)io->size_bytes;
    bool is_durable = (io->flags & VCK_DISK_FUA) != 0;
    vck_status status = check_end(file, io->offset_bytes + io->size_bytes);
    if (status != VCK_OK)
        return status;
    if (is_durable && file->is_direct) {
        status = write_all(file->fd, io->offset_bytes, io->buffer, size_bytes, RWF_DSYNC);
        /* A file system without the flag refuses it before it writes. */
        if (status != VCK_UNSUPPORTED)
            return status;
    }
    status = write_all(file->fd, io->offset_bytes, io->buffer, size_bytes, 0);
    return status == VCK_OK && is_durable ? vck_posix_sync(&file->sync, file->fd) : status;
}

static vck_status discard(const struct file_disk *file, uint64_t offset_bytes, uint64_t size_bytes)
{
    uint64_t range[2] = {offset_bytes, size_bytes};
    int result;
    if (size_bytes == 0)
        return VCK_OK;
    do
        result = file->is_block_device
                     ? ioctl(file->fd, BLKDISCARD, range)
                     : fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 (off_t)offset_bytes, (off_t)size_bytes);
    while (result != 0 && errno == EINTR);
    return result == 0 ? VCK_OK : vck_posix_disk_status(errno);
}

static vck_status perform(struct vck_disk *disk, struct vck_disk_io *io)
{
    struct file_disk *file = file_disk(disk);
    switch (io->op) {
    case VCK_DISK_READ:
        return read_all(file->fd, io->offset_bytes, io->buffer, (size_t)io->size_bytes);
    case VCK_DISK_WRITE:
        return write_io(file, io);
    case VCK_DISK_FLUSH:
        return vck_posix_sync(&file->sync, file->fd);
    case VCK_DISK_DISCARD:
        return discard(file, io->offset_bytes, io->size_bytes);
    }
    return VCK_INVALID_DATA;
}

static void submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    vck_posix_workers_submit(&file_disk(disk)->workers, io);
}

static vck_status read_size(const struct file_disk *file, uint64_t *ret_size_bytes)
{
    struct stat now;
    uint64_t size_bytes;
    if (file->is_block_device) {
        if (ioctl(file->fd, BLKGETSIZE64, &size_bytes) != 0)
            return vck_posix_disk_status(errno);
    } else {
        if (fstat(file->fd, &now) != 0)
            return vck_posix_disk_status(errno);
        size_bytes = (uint64_t)now.st_size;
    }
    *ret_size_bytes = size_bytes - size_bytes % file->disk.sector_size_bytes;
    return VCK_OK;
}

static vck_status query_size(struct vck_disk *disk, uint64_t *ret_size_bytes)
{
    return read_size(file_disk(disk), ret_size_bytes);
}

static void close_disk(struct vck_disk *disk)
{
    struct file_disk *file = file_disk(disk);
    vck_posix_workers_fini(&file->workers);
    vck_posix_sync_fini(&file->sync);
    if (file->fd >= 0)
        close(file->fd);
    vck_free(file);
}

static const struct vck_disk_ops ops = {submit, query_size, close_disk};

/* ---- opening ---- */

static vck_status check_kind(const char *path, const struct stat *st,
                             struct vck_posix_error *ret_error)
{
    if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
        return VCK_OK;
    return vck_posix_explain(ret_error, VCK_UNSUPPORTED, 0,
                             "%s is %s, not a file or a block device", path,
                             S_ISDIR(st->st_mode)   ? "a directory"
                             : S_ISCHR(st->st_mode) ? "a character device"
                                                    : "a pipe or socket");
}

static vck_status explain_open(const char *path, bool is_block_device,
                               struct vck_posix_error *ret_error)
{
    int os_error = errno;
    vck_status status = vck_posix_status_from_errno(os_error);
    if (status == VCK_BUSY && is_block_device)
        return vck_posix_explain(ret_error, status, os_error,
                                 "%s is mounted, part of another device, or open elsewhere", path);
    return vck_posix_explain(ret_error, status, os_error, "cannot open %s", path);
}

/* The file may have been exchanged since `st` was read. */
static vck_status check_same(int fd, const char *path, const struct stat *st,
                             struct vck_posix_error *ret_error)
{
    struct stat now;
    if (fstat(fd, &now) != 0)
        return explain_open(path, false, ret_error);
    if (now.st_dev == st->st_dev && now.st_ino == st->st_ino && now.st_mode == st->st_mode)
        return VCK_OK;
    return vck_posix_explain(ret_error, VCK_BUSY, 0, "%s was exchanged while it was opened", path);
}

static vck_status open_fd(struct file_disk *file, const char *path,
                          const struct vck_posix_disk_options *options, const struct stat *st,
                          struct vck_posix_error *ret_error)
{
    int open_flags = O_CLOEXEC | O_NOCTTY;
    open_flags |= file->disk.read_only ? O_RDONLY : O_RDWR;
    if (file->is_block_device && (options->flags & VCK_POSIX_DISK_SHARED) == 0)
        open_flags |= O_EXCL;
    int direct = (options->flags & VCK_POSIX_DISK_DIRECT) != 0 ? O_DIRECT : 0;
    file->fd = open(path, open_flags | direct);
    if (file->fd < 0 && direct != 0 && errno == EINVAL)
        file->fd = open(path, open_flags);
    if (file->fd < 0)
        return explain_open(path, file->is_block_device, ret_error);
    return check_same(file->fd, path, st, ret_error);
}

static vck_status lock_file(const struct file_disk *file, const char *path,
                            struct vck_posix_error *ret_error)
{
    struct flock lock = {.l_type = file->disk.read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(file->fd, F_OFD_SETLK, &lock) == 0)
        return VCK_OK;
    int os_error = errno;
    if (os_error == EAGAIN || os_error == EACCES)
        return vck_posix_explain(ret_error, VCK_BUSY, 0, "%s is locked by another process", path);
    return vck_posix_explain(ret_error, vck_posix_status_from_errno(os_error), os_error,
                             "cannot lock %s", path);
}

static vck_status check_loop(const char *path, const struct stat *st,
                             struct vck_posix_error *ret_error)
{
    char name[LOOP_NAME_BYTES];
    if (!vck_posix_find_loop(st, name))
        return VCK_OK;
    return vck_posix_explain(ret_error, VCK_BUSY, 0,
                             "%s is the file behind /dev/%s: name that, or end it (losetup -d)",
                             path, name);
}

/* Nobody else may write it meanwhile. */
static vck_status claim_file(const struct file_disk *file, const char *path, const struct stat *st,
                             struct vck_posix_error *ret_error)
{
    vck_status status = file->disk.read_only ? VCK_OK : check_loop(path, st, ret_error);
    return status == VCK_OK ? lock_file(file, path, ret_error) : status;
}

/* ---- geometry ---- */

static bool is_direct(const struct file_disk *file)
{
    int flags = fcntl(file->fd, F_GETFL);
    return flags >= 0 && (flags & O_DIRECT) != 0;
}

static uint64_t read_number(const char *path)
{
    uint64_t number = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%" SCNu64, &number) != 1)
        number = 0;
    fclose(f);
    return number;
}

/* A partition has no queue of its own; its disk's directory is the one above. */
static bool can_device_discard(dev_t device)
{
    static const char *const places[] = {"queue", "../queue"};
    char path[96];
    for (size_t i = 0; i < VCK_ARRAY_COUNT(places); i++) {
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/discard_max_bytes", major(device),
                 minor(device), places[i]);
        if (read_number(path) > 0)
            return true;
    }
    return false;
}

static vck_status set_device_geometry(struct file_disk *file, const char *path,
                                      uint32_t wanted_bytes, dev_t device,
                                      struct vck_posix_error *ret_error)
{
    int logical_bytes;
    if (ioctl(file->fd, BLKSSZGET, &logical_bytes) != 0)
        return vck_posix_explain(ret_error, VCK_IO, errno, "cannot read the sector size of %s",
                                 path);
    if (logical_bytes != 512 && logical_bytes != 4096)
        return vck_posix_explain(ret_error, VCK_UNSUPPORTED, 0,
                                 "%s has sectors of %d bytes; only 512 and 4096 are supported",
                                 path, logical_bytes);
    if (wanted_bytes != 0 && wanted_bytes < (uint32_t)logical_bytes)
        return vck_posix_explain(ret_error, VCK_UNSUPPORTED, 0,
                                 "%s has sectors of %d bytes and cannot be addressed by %u bytes",
                                 path, logical_bytes, wanted_bytes);
    file->disk.atomic_bytes = (uint32_t)logical_bytes;
    file->disk.sector_size_bytes = wanted_bytes == 0 ? (uint32_t)logical_bytes : wanted_bytes;
    file->disk.alignment_bytes = is_direct(file) ? (uint32_t)logical_bytes : 1;
    file->disk.can_discard = !file->disk.read_only && can_device_discard(device);
    return VCK_OK;
}

/* What direct transfers of a file ask for; both 0 where it cannot have any. */
static void read_direct_limits(int fd, uint32_t *ret_memory_bytes, uint32_t *ret_offset_bytes)
{
    *ret_memory_bytes = DIRECT_ALIGNMENT_BYTES;
    *ret_offset_bytes = DIRECT_ALIGNMENT_BYTES;
#ifdef STATX_DIOALIGN
    struct statx limits;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &limits) == 0 &&
        (limits.stx_mask & STATX_DIOALIGN) != 0) {
        *ret_memory_bytes = limits.stx_dio_mem_align;
        *ret_offset_bytes = limits.stx_dio_offset_align;
    }
#endif
}

/* Keeps direct transfers when the file system takes them by sectors, and leaves them otherwise. */
static void settle_direct(struct file_disk *file)
{
    uint32_t memory_bytes;
    uint32_t offset_bytes;
    file->disk.alignment_bytes = 1;
    if (!is_direct(file))
        return;
    read_direct_limits(file->fd, &memory_bytes, &offset_bytes);
    if (offset_bytes != 0 && memory_bytes != 0 &&
        file->disk.sector_size_bytes % offset_bytes == 0) {
        file->disk.alignment_bytes = memory_bytes;
        return;
    }
    int flags = fcntl(file->fd, F_GETFL);
    (void)fcntl(file->fd, F_SETFL, flags & ~O_DIRECT);
}

static vck_status set_geometry(struct file_disk *file, const char *path, uint32_t wanted_bytes,
                               const struct stat *st, struct vck_posix_error *ret_error)
{
    if (file->is_block_device) {
        vck_status status = set_device_geometry(file, path, wanted_bytes, st->st_rdev, ret_error);
        if (status != VCK_OK)
            return status;
    } else {
        file->disk.sector_size_bytes = wanted_bytes == 0 ? 512 : wanted_bytes;
        file->disk.atomic_bytes = file->disk.sector_size_bytes;
        file->disk.can_discard = !file->disk.read_only;
        settle_direct(file);
    }
    file->is_direct = is_direct(file);
    vck_status status = read_size(file, &file->disk.size_bytes);
    if (status != VCK_OK)
        return vck_posix_explain(ret_error, status, errno, "cannot read the size of %s", path);
    return VCK_OK;
}

/* After a write that failed the cache holds what the disk does not, and takes it for clean. Whoever
 * opens the disk to find out what has been written has to read it from there. */
static void forget_cached(const struct file_disk *file)
{
    if (!file->disk.read_only)
        (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static vck_status prepare(struct file_disk *file, const char *path,
                          const struct vck_posix_disk_options *options, const struct stat *st,
                          struct vck_posix_error *ret_error)
{
    vck_status status = open_fd(file, path, options, st, ret_error);
    if (status != VCK_OK)
        return status;
    if (!file->is_block_device && (options->flags & VCK_POSIX_DISK_SHARED) == 0) {
        status = claim_file(file, path, st, ret_error);
        if (status != VCK_OK)
            return status;
    }
    status = set_geometry(file, path, options->sector_size_bytes, st, ret_error);
    if (status == VCK_OK)
        forget_cached(file);
    return status;
}

vck_status vck_posix_file_open(const char *path, const struct vck_posix_disk_options *options,
                               struct vck_disk **ret_disk, struct vck_posix_error *ret_error)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return explain_open(path, false, ret_error);
    vck_status status = check_kind(path, &st, ret_error);
    if (status != VCK_OK)
        return status;
    struct file_disk *file = vck_alloc(sizeof(*file), DISK_TAG);
    if (file == NULL)
        return vck_posix_explain(ret_error, VCK_NO_MEMORY, 0, "no memory to open %s", path);
    file->fd = -1;
    file->is_block_device = S_ISBLK(st.st_mode);
    file->disk.ops = &ops;
    file->disk.read_only = (options->flags & VCK_POSIX_DISK_READ_ONLY) != 0;
    strncpy(file->disk.name, path, sizeof(file->disk.name) - 1);
    vck_posix_workers_init(&file->workers, &file->disk, perform, WORKER_COUNT);
    vck_posix_sync_init(&file->sync, fdatasync, &file->disk.flush_failed);
    status = prepare(file, path, options, &st, ret_error);
    if (status != VCK_OK) {
        close_disk(&file->disk);
        return status;
    }
    *ret_disk = &file->disk;
    return VCK_OK;
}
