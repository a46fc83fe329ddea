/* SPDX-License-Identifier: Apache-2.0 */
#include <windows.h>
#include <inttypes.h>
#include <winioctl.h>
#include "port/win/win.h"
#include "products/vck/os.h"
#include "products/vck/room.h"
#include "products/vck/shrink.h"
#include "vck/list.h"

/* ---- image files ---- */

static HANDLE open_path(const char *path, DWORD share, DWORD access)
{
    wchar_t *wide = vck_win_path(path);
    if (wide == NULL) {
        SetLastError(ERROR_INVALID_NAME);
        return INVALID_HANDLE_VALUE;
    }
    HANDLE file = CreateFileW(wide, access, share, NULL, OPEN_EXISTING, 0, NULL);
    DWORD error = GetLastError();
    vck_free(wide);
    SetLastError(error);
    return file;
}

static int set_size(const char *path, uint64_t size_bytes)
{
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (LONGLONG)size_bytes};
    HANDLE file = open_path(path, FILE_SHARE_READ, GENERIC_READ | GENERIC_WRITE);
    if (file == INVALID_HANDLE_VALUE)
        return (int)GetLastError();
    bool is_done = SetFileInformationByHandle(file, FileEndOfFileInfo, &end, sizeof(end)) &&
                   FlushFileBuffers(file);
    int error = is_done ? 0 : (int)GetLastError();
    CloseHandle(file);
    return error;
}

int room_resize_file(const struct command *command, const char *path, uint64_t size_bytes)
{
    int error = set_size(path, size_bytes);
    if (error == 0)
        return EXIT_OK;
    return report(command, exit_code_of(os_error_status(error)),
                  "cannot set the size of %s to %" PRIu64 " bytes: %s", path, size_bytes,
                  os_error_text(error));
}

/* ---- mounted volumes ---- */

struct mounted {
    struct shrink_volume volume;
    HANDLE handle;
};

static uint32_t control(struct shrink_volume *volume, uint32_t code, const void *request,
                        size_t size_bytes)
{
    const struct mounted *m = VCK_CONTAINER_OF(volume, struct mounted, volume);
    DWORD bytes;
    BOOL is_done = DeviceIoControl(m->handle, code, (void *)(uintptr_t)request, (DWORD)size_bytes,
                                   NULL, 0, &bytes, NULL);
    return is_done ? ERROR_SUCCESS : GetLastError();
}

static uint32_t sector_size_of(HANDLE volume)
{
    DISK_GEOMETRY geometry;
    DWORD bytes;
    if (!DeviceIoControl(volume, IOCTL_DISK_GET_DRIVE_GEOMETRY, NULL, 0, &geometry,
                         sizeof(geometry), &bytes, NULL))
        return 0;
    return geometry.BytesPerSector;
}

static int shrink_mounted(const struct command *command, const char *path, struct mounted *m,
                          uint64_t size_bytes)
{
    enum shrink_step step = SHRINK_PREPARE;
    uint32_t sector_bytes = sector_size_of(m->handle);
    uint32_t error = sector_bytes != 0 ? shrink_volume(&m->volume, size_bytes / sector_bytes, &step)
                                       : GetLastError();
    if (error == ERROR_SUCCESS)
        return EXIT_OK;
    if (step == SHRINK_COMMIT)
        return report(command, EXIT_REFUSED,
                      "files lie in what %s would lose (%s): defragment it with free space in one "
                      "piece and try again; it is as it was",
                      path, os_error_text((int)error));
    return report(command, EXIT_REFUSED, "%s cannot be shrunk: %s", path,
                  os_error_text((int)error));
}

static int shrink_ntfs(const struct command *command, const char *path, uint64_t size_bytes)
{
    struct mounted m = {.volume.control = control};
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE;
    if (!vck_win_is_device_path(path))
        return report(command, EXIT_REFUSED,
                      "--shrink works on mounted volumes, and %s is a file; --grow makes it longer",
                      path);
    m.handle = open_path(path, share, GENERIC_READ | GENERIC_WRITE);
    if (m.handle == INVALID_HANDLE_VALUE) {
        int error = (int)GetLastError();
        return report(command, exit_code_of(os_error_status(error)), "cannot open %s: %s", path,
                      os_error_text(error));
    }
    int code = shrink_mounted(command, path, &m, size_bytes);
    CloseHandle(m.handle);
    return code;
}

int room_shrink(const struct command *command, const char *path, const struct content *content,
                uint64_t size_bytes)
{
    if (content->kind == CONTENT_NTFS)
        return shrink_ntfs(command, path, size_bytes);
    return report(command, EXIT_REFUSED, "--shrink knows NTFS file systems, and %s holds %s%s",
                  path, content->name != NULL ? "a " : "",
                  content->name != NULL ? content->name : "none");
}
