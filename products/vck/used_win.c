/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is used is asked of the mounted file system, whose answers include what it has not written
 * yet. The recording of what is written begins before that. What it has freed is flushed before
 * the sweep begins: after a crash it must not come back as a file.
 */
#include <windows.h>
#include <winioctl.h>
#include <winternl.h>
#include "port/port.h"
#include "port/win/win.h"
#include "products/vck/os.h"
#include "products/vck/used.h"
#include "vck/filesystem.h"

/* Of volsnap; METHOD_BUFFERED, FILE_ANY_ACCESS. */
#define QUERY_NAMES_OF_SNAPSHOTS CTL_CODE(0x53, 6, METHOD_BUFFERED, FILE_ANY_ACCESS)

struct used {
    struct client *client;
    const char *path;
    HANDLE volume;
    const char *name; /* of the file system */
    struct vck_filesystem_bitmap bitmap;
    struct used_ranges ranges;
    DWORD error; /* why the bitmap was not given */
};

/* Those whose maps of free space are known to say what there is. */
static const struct {
    const wchar_t *wide;
    const char *name;
    bool begins_at_once; /* its first cluster is the volume's first */
} known[] = {{L"NTFS", "NTFS", true},
             {L"FAT32", "FAT32", false},
             {L"FAT", "FAT", false},
             {L"exFAT", "exFAT", false}};

static int report_error(const struct used *u, const char *what, DWORD error)
{
    return report(u->client->command, exit_code_of(os_error_status((int)error)), "cannot %s %s: %s",
                  what, u->path, os_error_text((int)error));
}

static int refuse_unknown(const struct used *u)
{
    return report(u->client->command, EXIT_REFUSED,
                  "%s holds no file system whose free space is known (NTFS, FAT, exFAT): encrypt "
                  "everything, without --used-only",
                  u->path);
}

static int refuse_silent(const struct used *u, DWORD error)
{
    return report(u->client->command, EXIT_REFUSED,
                  "the %s of %s does not say what it uses (%s): encrypt everything, without "
                  "--used-only",
                  u->name, u->path, os_error_text((int)error));
}

static int open_volume(struct used *u)
{
    wchar_t *wide = vck_win_path(u->path);
    DWORD error = ERROR_INVALID_NAME;
    u->volume = INVALID_HANDLE_VALUE;
    if (wide != NULL) {
        u->volume = CreateFileW(wide, GENERIC_READ | GENERIC_WRITE,
                                FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
        error = GetLastError();
    }
    vck_free(wide);
    return u->volume != INVALID_HANDLE_VALUE ? EXIT_OK : report_error(u, "open", error);
}

static DWORD query(const struct used *u, FS_INFORMATION_CLASS what, void *ret_answer,
                   ULONG capacity)
{
    IO_STATUS_BLOCK io_status = {0};
    return RtlNtStatusToDosError(
        NtQueryVolumeInformationFile(u->volume, &io_status, ret_answer, capacity, what));
}

/* Its index in `known`; their number where it is none of them. */
static size_t find_name(const struct used *u)
{
    struct {
        FILE_FS_ATTRIBUTE_INFORMATION info;
        wchar_t more[MAX_PATH];
    } answer = {0};
    size_t at = 0;
    if (query(u, FileFsAttributeInformation, &answer, sizeof(answer)) != ERROR_SUCCESS ||
        answer.info.FileSystemNameLength > sizeof(answer.more))
        return VCK_ARRAY_COUNT(known);
    size_t length = answer.info.FileSystemNameLength / sizeof(wchar_t);
    while (at < VCK_ARRAY_COUNT(known) &&
           (wcslen(known[at].wide) != length ||
            wmemcmp(known[at].wide, answer.info.FileSystemName, length) != 0))
        at++;
    return at;
}

/* The sector that the first cluster begins with. */
static DWORD find_first(const struct used *u, uint64_t *ret_sector)
{
    RETRIEVAL_POINTER_BASE base = {0};
    DWORD bytes = 0;
    if (!DeviceIoControl(u->volume, FSCTL_GET_RETRIEVAL_POINTER_BASE, NULL, 0, &base, sizeof(base),
                         &bytes, NULL))
        return GetLastError();
    *ret_sector = (uint64_t)base.FileAreaOffset.QuadPart;
    return bytes == sizeof(base) ? ERROR_SUCCESS : ERROR_INVALID_DATA;
}

static int find_shape(struct used *u)
{
    FILE_FS_SIZE_INFORMATION size = {0};
    uint64_t first = 0;
    size_t at = find_name(u);
    if (at == VCK_ARRAY_COUNT(known))
        return refuse_unknown(u);
    u->name = known[at].name;
    DWORD error = query(u, FileFsSizeInformation, &size, sizeof(size));
    if (error == ERROR_SUCCESS && !known[at].begins_at_once)
        error = find_first(u, &first);
    if (error != ERROR_SUCCESS)
        return refuse_silent(u, error);
    uint64_t sector_bytes = size.BytesPerSector;
    u->bitmap.cluster_bytes = sector_bytes * size.SectorsPerAllocationUnit;
    /* One that is too large is refused with the bitmap. */
    u->bitmap.first_bytes =
        sector_bytes != 0 && first > UINT64_MAX / sector_bytes ? UINT64_MAX : first * sector_bytes;
    return EXIT_OK;
}

static vck_status ask(void *context, uint64_t first_cluster, void *buffer, size_t capacity_bytes,
                      size_t *ret_bytes, bool *ret_has_more)
{
    struct used *u = context;
    STARTING_LCN_INPUT_BUFFER from = {.StartingLcn.QuadPart = (LONGLONG)first_cluster};
    DWORD bytes = 0;
    BOOL is_done = DeviceIoControl(u->volume, FSCTL_GET_VOLUME_BITMAP, &from, sizeof(from), buffer,
                                   (DWORD)capacity_bytes, &bytes, NULL);
    u->error = is_done ? ERROR_SUCCESS : GetLastError();
    *ret_bytes = bytes;
    *ret_has_more = u->error == ERROR_MORE_DATA;
    return is_done || *ret_has_more ? VCK_OK : os_error_status((int)u->error);
}

static int read_bitmap(struct used *u)
{
    const struct vck_filesystem_sink sink = {used_ranges_add, &u->ranges};
    const char *why;
    vck_status status = vck_filesystem_used_by_bitmap(&u->bitmap, &sink, &why);
    if (status == VCK_OK)
        return EXIT_OK;
    if (why != NULL)
        return report(u->client->command, EXIT_REFUSED,
                      "the %s of %s %s: have it checked, " USED_EVERYTHING, u->name, u->path, why);
    if (u->error != ERROR_SUCCESS && u->error != ERROR_MORE_DATA)
        return refuse_silent(u, u->error);
    return report(u->client->command, exit_code_of(status), "cannot find what is used of %s: %s",
                  u->path, vck_status_text(status));
}

static int flush(struct used *u)
{
    return FlushFileBuffers(u->volume) ? EXIT_OK : report_error(u, "flush", GetLastError());
}

/* They need what was in use when they were made, and find it where it was. One that is made later
 * needs nothing that the bitmap has not. */
static int check_snapshots(struct used *u)
{
    ULONG names[64] = {0}; /* how many bytes they have; then they, of which two are the end */
    DWORD bytes = 0;
    DWORD error = ERROR_SUCCESS;
    if (!DeviceIoControl(u->volume, QUERY_NAMES_OF_SNAPSHOTS, NULL, 0, names, sizeof(names), &bytes,
                         NULL))
        error = GetLastError();
    /* Nobody makes them here. */
    if (error == ERROR_INVALID_FUNCTION || error == ERROR_NOT_SUPPORTED)
        return EXIT_OK;
    if (error != ERROR_SUCCESS && error != ERROR_MORE_DATA)
        return report(u->client->command, EXIT_REFUSED,
                      "cannot find out whether %s has shadow copies (%s): encrypt everything, "
                      "without --used-only",
                      u->path, os_error_text((int)error));
    if (error == ERROR_SUCCESS && names[0] <= sizeof(wchar_t))
        return EXIT_OK;
    return report(
        u->client->command, EXIT_REFUSED,
        "%s has shadow copies, which need what was deleted since: delete them, " USED_EVERYTHING,
        u->path);
}

static int find_used(struct used *u)
{
    int code = find_shape(u);
    if (code == EXIT_OK)
        code = flush(u);
    if (code == EXIT_OK)
        code = read_bitmap(u);
    if (code == EXIT_OK)
        code = flush(u);
    return code == EXIT_OK ? check_snapshots(u) : code;
}

static int find_size(struct used *u)
{
    struct vck_msg_volume_status status = {0};
    int code = client_get_status(u->client, u->path, &status);
    u->bitmap.volume_bytes = status.total_sectors * status.sector_size;
    return code;
}

int used_encrypt(struct client *client, const char *path)
{
    struct used u = {.client = client, .path = path};
    uint64_t recording = 0;
    u.bitmap.ask = ask;
    u.bitmap.context = &u;
    int code = used_record(client, path, &recording);
    if (code == EXIT_OK)
        code = find_size(&u);
    if (code == EXIT_OK)
        code = open_volume(&u);
    if (code != EXIT_OK)
        return code;
    code = find_used(&u);
    if (code == EXIT_OK)
        code = used_start(client, path, recording, u.name, &u.ranges, u.bitmap.volume_bytes);
    used_ranges_fini(&u.ranges);
    CloseHandle(u.volume);
    return code;
}
