/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_win: volumes in every spelling that Windows has for one, and image files. The driver gets
 * devices as \\.\NAME or \Device\NAME.
 */
#include <windows.h>
#include <string.h>
#include "port/win/win.h"
#include "products/vck/carrier.h"
#include "products/vck/hidden_disk.h"
#include "products/vck/os.h"
#include "products/vcksys/path.h"

#define PATH_TAG         VCK_TAG('C', 'v', 'p', 't')
#define LINK_PREFIX      "\\??\\"
#define VOLUME_NAME_SIZE 64 /* \\?\Volume{GUID}\ with its zero */

/* False when it is no spelling of a device. */
static bool device_path(const char *operand, char ret_path[VOLUME_PATH_BYTES])
{
    char nt[VCK_VOLUME_PATH_BYTES];
    const char *why;
    if (path_to_nt(operand, nt, &why) != VCK_OK)
        return false;
    if (path_is_link(nt))
        snprintf(ret_path, VOLUME_PATH_BYTES, "\\\\.\\%s", nt + sizeof(LINK_PREFIX) - 1);
    else
        strcpy(ret_path, nt);
    return true;
}

/* The full path of a file, freed with vck_free; NULL with the error set. */
static char *full_path(const char *operand)
{
    wchar_t *wide = vck_win_widen(operand);
    DWORD size = wide != NULL ? GetFullPathNameW(wide, 0, NULL, NULL) : 0;
    DWORD error = wide != NULL ? GetLastError() : ERROR_INVALID_NAME;
    wchar_t *full = size != 0 ? vck_alloc(size * sizeof(*full), PATH_TAG) : NULL;
    char *narrow = NULL;
    if (full != NULL && GetFullPathNameW(wide, size, full, NULL) < size)
        narrow = vck_win_narrow(full);
    vck_free(full);
    vck_free(wide);
    SetLastError(error != 0 ? error : ERROR_INVALID_NAME);
    return narrow;
}

/* A folder that a volume is mounted on stands for the volume. */
static bool mounted_volume(const char *folder, char ret_path[VOLUME_PATH_BYTES])
{
    char with_slash[VOLUME_PATH_BYTES];
    wchar_t name[VOLUME_NAME_SIZE];
    bool is_found = false;
    size_t length = strlen(folder);
    if (length + 2 > sizeof(with_slash))
        return false;
    memcpy(with_slash, folder, length + 1);
    if (length > 0 && folder[length - 1] != '\\')
        strcpy(with_slash + length, "\\");
    wchar_t *wide = vck_win_path(with_slash);
    if (wide != NULL && GetVolumeNameForVolumeMountPointW(wide, name, VOLUME_NAME_SIZE)) {
        char *narrow = vck_win_narrow(name);
        is_found = narrow != NULL && device_path(narrow, ret_path);
        vck_free(narrow);
    }
    vck_free(wide);
    return is_found;
}

/* What path names: its attributes, or INVALID_FILE_ATTRIBUTES with the error set. */
static DWORD attributes_of(const char *path)
{
    wchar_t *wide = vck_win_path(path);
    DWORD attributes = wide != NULL ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
    DWORD error = wide != NULL ? GetLastError() : ERROR_INVALID_NAME;
    vck_free(wide);
    SetLastError(error);
    return attributes;
}

/* A file that is gone keeps its path, as long as its folder is there. */
static int file_path(const struct command *command, const char *operand, const char *full,
                     char ret_path[VOLUME_PATH_BYTES])
{
    DWORD attributes = attributes_of(full);
    DWORD error = attributes == INVALID_FILE_ATTRIBUTES ? GetLastError() : ERROR_SUCCESS;
    if (error == ERROR_PATH_NOT_FOUND || error == ERROR_INVALID_NAME)
        return report(command, exit_code_of(os_error_status((int)error)), "%s: %s", operand,
                      os_error_text((int)error));
    if (error == ERROR_SUCCESS && (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 &&
        (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 && mounted_volume(full, ret_path))
        return EXIT_OK;
    if (strlen(full) >= VOLUME_PATH_BYTES)
        return report(command, EXIT_FAILED, "%s: the path is %zu bytes long, the limit is %d",
                      operand, strlen(full), VOLUME_PATH_BYTES - 1);
    strcpy(ret_path, full);
    return EXIT_OK;
}

int volume_path(const struct command *command, const char *operand,
                char ret_path[VOLUME_PATH_BYTES])
{
    if (device_path(operand, ret_path))
        return EXIT_OK;
    char *full = full_path(operand);
    if (full == NULL)
        return report(command, EXIT_NOT_FOUND, "%s: %s", operand,
                      os_error_text((int)GetLastError()));
    int code = file_path(command, operand, full, ret_path);
    vck_free(full);
    return code;
}

int open_disk(const struct command *command, const char *path, unsigned flags,
              struct vck_disk **ret_disk)
{
    struct vck_win_disk_options options = {0};
    struct vck_win_error error = {0};
    if (flags == (DISK_READ_ONLY | DISK_SHARED) && vck_win_is_device_path(path) &&
        carrier_hides(command, path))
        return hidden_disk_open(command, path, ret_disk);
    if ((flags & DISK_READ_ONLY) != 0)
        options.flags |= VCK_WIN_DISK_READ_ONLY;
    if ((flags & DISK_SHARED) != 0)
        options.flags |= VCK_WIN_DISK_SHARED;
    vck_status status = vck_win_disk_open(path, &options, ret_disk, &error);
    if (status == VCK_BUSY)
        return report(command, EXIT_BUSY, "%s; if it is attached, detach it first", error.text);
    if (status != VCK_OK)
        return report(command, exit_code_of(status), "%s", error.text);
    return EXIT_OK;
}

int volume_file_size(const struct command *command, const char *path, bool *ret_is_file,
                     uint64_t *ret_size)
{
    *ret_is_file = !vck_win_is_device_path(path);
    if (!*ret_is_file || os_find_file(path, ret_size))
        return EXIT_OK;
    return report(command, EXIT_FAILED, "%s: %s", path, os_error_text((int)GetLastError()));
}
