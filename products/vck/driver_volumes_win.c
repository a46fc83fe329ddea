/* SPDX-License-Identifier: Apache-2.0 */
#include <windows.h>
#include <string.h>
#include "port/win/win.h"
#include "products/vck/driver.h"
#include "vck/disk_io.h"
#include "vck/store.h"

/* \\?\Volume{GUID}\ with its zero, and room */
#define NAME_UNITS 64

/* What cannot be looked at, such as a drive without a disk, is passed over. */
static bool has_metadata(const char *path) VCK_CAN_WAIT
{
    struct vck_disk *disk;
    struct vck_store store = {0};
    struct vck_win_disk_options options = {.flags = VCK_WIN_DISK_READ_ONLY | VCK_WIN_DISK_SHARED};
    if (vck_win_disk_open(path, &options, &disk, NULL) != VCK_OK)
        return false;
    vck_status status = vck_store_inspect(&store, disk);
    vck_store_fini(&store);
    vck_disk_close(disk);
    return status != VCK_SIGNATURE_MISMATCH && status != VCK_IO && status != VCK_NO_MEMORY;
}

/* As a device: \\.\ in front and no backslash behind. */
static bool look_at(const wchar_t *name, char **ret_path) VCK_CAN_WAIT
{
    char *path = vck_win_narrow(name);
    size_t length = path != NULL ? strlen(path) : 0;
    if (length > 4) {
        path[2] = '.';
        path[length - 1] = 0;
        if (has_metadata(path)) {
            *ret_path = path;
            return true;
        }
    }
    vck_free(path);
    return false;
}

char *driver_find_volume(void) VCK_NO_ANALYSIS
{
    wchar_t name[NAME_UNITS];
    char *found = NULL;
    HANDLE search = FindFirstVolumeW(name, NAME_UNITS);
    if (search == INVALID_HANDLE_VALUE)
        return NULL;
    while (!look_at(name, &found) && FindNextVolumeW(search, name, NAME_UNITS))
        continue;
    FindVolumeClose(search);
    return found;
}
