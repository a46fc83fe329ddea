/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "port/win/disk_internal.h"
#include "port/win/internal.h"

#define DISK_TAG VCK_TAG('w', 'd', 's', 'k')

/* Everything that is known while a disk is opened. */
struct opening {
    struct win_disk *d;
    const char *path;
    const struct vck_win_disk_options *options;
    struct vck_win_error *ret_error;
};

static vck_status explain_system(const struct opening *o, uint32_t os_error, const char *what)
{
    vck_status status = vck_win_status_from_error(os_error);
    const char *hint = "";
    if (status == VCK_PERMISSION_DENIED && o->d->is_device)
        hint = " (only administrators may)";
    return vck_win_explain(o->ret_error, status, os_error, "cannot %s %s%s", what, o->path, hint);
}

/* ---- the handle ---- */

static bool is_shared(const struct opening *o)
{
    return (o->options->flags & VCK_WIN_DISK_SHARED) != 0;
}

/* Devices are opened by several always, as their documentation asks for; the lock comes after. Who
 * may write a file keeps other writers out, and so does who wants it to stay as it is. */
static DWORD share_mode(const struct opening *o)
{
    if (o->d->is_device)
        return FILE_SHARE_READ | FILE_SHARE_WRITE;
    return is_shared(o) ? FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE : FILE_SHARE_READ;
}

static uint32_t open_path(struct opening *o, const wchar_t *path)
{
    struct win_disk *d = o->d;
    DWORD access = d->disk.read_only ? GENERIC_READ : GENERIC_READ | GENERIC_WRITE;
    DWORD flags = FILE_FLAG_OVERLAPPED;
    flags |= d->is_device ? FILE_FLAG_NO_BUFFERING : FILE_ATTRIBUTE_NORMAL;
    d->handle = CreateFileW(path, access, share_mode(o), NULL, OPEN_EXISTING, flags, NULL);
    if (d->handle == INVALID_HANDLE_VALUE)
        return GetLastError();
    d->pool = CreateThreadpoolIo(d->handle, vck_win_disk_transferred, d, NULL);
    return d->pool != NULL ? ERROR_SUCCESS : GetLastError();
}

static vck_status check_kind(const struct opening *o)
{
    BY_HANDLE_FILE_INFORMATION information;
    if (o->d->is_device)
        return VCK_OK;
    DWORD type = GetFileType(o->d->handle);
    if (type == FILE_TYPE_DISK && GetFileInformationByHandle(o->d->handle, &information))
        return VCK_OK;
    return vck_win_explain(o->ret_error, VCK_UNSUPPORTED, 0, "%s is neither a file nor a volume",
                           o->path);
}

static vck_status open_handle(struct opening *o)
{
    wchar_t *path = vck_win_path(o->path);
    if (path == NULL)
        return vck_win_explain(o->ret_error, VCK_INVALID_DATA, 0, "%s is no path", o->path);
    DWORD attributes = o->d->is_device ? INVALID_FILE_ATTRIBUTES : GetFileAttributesW(path);
    bool is_folder =
        attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    uint32_t os_error = is_folder ? ERROR_SUCCESS : open_path(o, path);
    vck_free(path);
    if (is_folder)
        return vck_win_explain(o->ret_error, VCK_UNSUPPORTED, 0,
                               "%s is a folder, not a file or a volume", o->path);
    if (os_error == ERROR_SHARING_VIOLATION)
        return vck_win_explain(o->ret_error, VCK_BUSY, 0, "%s is open elsewhere", o->path);
    return os_error == ERROR_SUCCESS ? check_kind(o) : explain_system(o, os_error, "open");
}

/* ---- the lock of a volume ---- */

/* Whole disks and devices without a file system know nothing of locks. */
static bool is_no_volume(uint32_t os_error)
{
    return os_error == ERROR_INVALID_FUNCTION || os_error == ERROR_NOT_SUPPORTED ||
           os_error == ERROR_INVALID_PARAMETER || os_error == ERROR_UNRECOGNIZED_VOLUME ||
           os_error == ERROR_BAD_DEV_TYPE;
}

static uint32_t control(const struct opening *o, DWORD code)
{
    return vck_win_control(o->d->handle, code, NULL, 0, NULL, 0, NULL);
}

static vck_status lock_volume(const struct opening *o)
{
    uint32_t os_error = control(o, FSCTL_LOCK_VOLUME);
    if (is_no_volume(os_error))
        return VCK_OK;
    if (os_error == ERROR_ACCESS_DENIED || os_error == ERROR_SHARING_VIOLATION)
        return vck_win_explain(o->ret_error, VCK_BUSY, 0, "files on %s are open", o->path);
    if (os_error != ERROR_SUCCESS)
        return explain_system(o, os_error, "lock");
    if (o->d->disk.read_only)
        return VCK_OK;
    os_error = control(o, FSCTL_DISMOUNT_VOLUME);
    if (os_error != ERROR_SUCCESS && !is_no_volume(os_error))
        return explain_system(o, os_error, "dismount");
    /* Else the file system bounds what is reachable by its own size. */
    os_error = control(o, FSCTL_ALLOW_EXTENDED_DASD_IO);
    if (os_error != ERROR_SUCCESS && !is_no_volume(os_error))
        return explain_system(o, os_error, "reach all sectors of");
    return VCK_OK;
}

/* ---- geometry ---- */

static bool can_device_discard(const struct win_disk *d)
{
    STORAGE_PROPERTY_QUERY query = {.PropertyId = StorageDeviceTrimProperty,
                                    .QueryType = PropertyStandardQuery};
    DEVICE_TRIM_DESCRIPTOR trim = {0};
    DWORD bytes = 0;
    uint32_t os_error = vck_win_control(d->handle, IOCTL_STORAGE_QUERY_PROPERTY, &query,
                                        sizeof(query), &trim, sizeof(trim), &bytes);
    return os_error == ERROR_SUCCESS && bytes >= sizeof(trim) && trim.TrimEnabled;
}

static vck_status set_device_geometry(const struct opening *o)
{
    DISK_GEOMETRY geometry;
    struct vck_disk *disk = &o->d->disk;
    uint32_t wanted_bytes = o->options->sector_size_bytes;
    uint32_t os_error = vck_win_control(o->d->handle, IOCTL_DISK_GET_DRIVE_GEOMETRY, NULL, 0,
                                        &geometry, sizeof(geometry), NULL);
    if (os_error != ERROR_SUCCESS)
        return explain_system(o, os_error, "read the sector size of");
    uint32_t sector_bytes = geometry.BytesPerSector;
    if (sector_bytes != 512 && sector_bytes != 4096)
        return vck_win_explain(o->ret_error, VCK_UNSUPPORTED, 0,
                               "%s has sectors of %u bytes; only 512 and 4096 are supported",
                               o->path, sector_bytes);
    if (wanted_bytes != 0 && wanted_bytes < sector_bytes)
        return vck_win_explain(o->ret_error, VCK_UNSUPPORTED, 0,
                               "%s has sectors of %u bytes and cannot be addressed by %u bytes",
                               o->path, sector_bytes, wanted_bytes);
    os_error = disk->read_only ? ERROR_SUCCESS : control(o, IOCTL_DISK_IS_WRITABLE);
    if (os_error == ERROR_WRITE_PROTECT)
        return explain_system(o, os_error, "write");
    disk->atomic_bytes = sector_bytes;
    disk->sector_size_bytes = wanted_bytes == 0 ? sector_bytes : wanted_bytes;
    disk->alignment_bytes = sector_bytes;
    disk->can_discard = !disk->read_only && can_device_discard(o->d);
    return VCK_OK;
}

static vck_status set_geometry(const struct opening *o)
{
    struct vck_disk *disk = &o->d->disk;
    if (o->d->is_device) {
        vck_status status = set_device_geometry(o);
        if (status != VCK_OK)
            return status;
    } else {
        uint32_t wanted_bytes = o->options->sector_size_bytes;
        disk->sector_size_bytes = wanted_bytes == 0 ? 512 : wanted_bytes;
        disk->atomic_bytes = disk->sector_size_bytes;
        disk->alignment_bytes = 1;
        disk->can_discard = !disk->read_only;
    }
    uint32_t os_error = vck_win_disk_read_size(o->d, &disk->size_bytes);
    return os_error == ERROR_SUCCESS ? VCK_OK : explain_system(o, os_error, "read the size of");
}

static vck_status prepare(struct opening *o)
{
    vck_status status = open_handle(o);
    if (status == VCK_OK && o->d->is_device && !is_shared(o))
        status = lock_volume(o);
    return status == VCK_OK ? set_geometry(o) : status;
}

vck_status vck_win_disk_open(const char *path, const struct vck_win_disk_options *options,
                             struct vck_disk **ret_disk, struct vck_win_error *ret_error)
{
    static const struct vck_win_disk_options defaults;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    options = options != NULL ? options : &defaults;
    uint32_t sector_bytes = options->sector_size_bytes;
    if (sector_bytes != 0 && sector_bytes != 512 && sector_bytes != 4096)
        return vck_win_explain(ret_error, VCK_INVALID_DATA, 0,
                               "sectors of %u bytes are asked for; they are of 512 or 4096 bytes",
                               sector_bytes);
    struct win_disk *d = vck_alloc(sizeof(*d), DISK_TAG);
    if (d == NULL)
        return vck_win_explain(ret_error, VCK_NO_MEMORY, 0, "no memory to open %s", path);
    struct opening opening = {.d = d, .path = path, .options = options, .ret_error = ret_error};
    d->handle = INVALID_HANDLE_VALUE;
    d->is_device = vck_win_is_device_path(path);
    d->disk.ops = &vck_win_disk_ops;
    d->disk.read_only = (options->flags & VCK_WIN_DISK_READ_ONLY) != 0;
    strncpy(d->disk.name, path, sizeof(d->disk.name) - 1);
    vck_status status = prepare(&opening);
    if (status != VCK_OK) {
        d->disk.ops->close(&d->disk);
        return status;
    }
    *ret_disk = &d->disk;
    return VCK_OK;
}
