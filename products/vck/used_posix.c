/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is used is read from where the decrypted data is served. The recording of what is written
 * begins before that. While a mounted file system is held still nothing is printed, sent or
 * allocated in large: this program may itself live on it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "port/posix/posix.h"
#include "port/port.h"
#include "products/vck/export.h"
#include "products/vck/os.h"
#include "products/vck/used.h"
#include "vck/bytes.h"
#include "vck/disk_io.h"
#include "vck/filesystem.h"

#define USED_TAG     VCK_TAG('C', 'u', 's', 'd')
#define BOUNCE_BYTES 131072u

struct used {
    struct client *client;
    const char *path;
    struct vck_disk *disk; /* the decrypted data */
    uint8_t *bounce;
    struct used_ranges ranges;
    struct vck_filesystem_report report;
};

/* ---- reading ---- */

static vck_status read_view(void *context, uint64_t offset_bytes, void *buffer, size_t size_bytes)
{
    struct used *u = context;
    uint64_t unit = u->disk->sector_size_bytes;
    uint8_t *to = buffer;
    waiting_is_fine();
    while (size_bytes > 0) {
        uint64_t first = offset_bytes / unit * unit;
        uint64_t inside = offset_bytes - first;
        uint64_t part = VCK_MIN(size_bytes, BOUNCE_BYTES - inside);
        uint64_t whole = (inside + part + unit - 1) / unit * unit;
        vck_status status = vck_disk_read(u->disk, first, u->bounce, whole);
        if (status != VCK_OK)
            return status;
        memcpy(to, u->bounce + inside, (size_t)part);
        to += part;
        offset_bytes += part;
        size_bytes -= (size_t)part;
    }
    return VCK_OK;
}

static vck_status look(struct used *u)
{
    const struct vck_filesystem_source source = {u->disk->size_bytes, read_view, u};
    const struct vck_filesystem_sink sink = {used_ranges_add, &u->ranges};
    u->ranges.count = 0;
    return vck_filesystem_used(&source, &sink, &u->report);
}

/* ---- whether it is mounted ---- */

static bool is_ext(const struct used *u)
{
    return u->report.name != NULL && strncmp(u->report.name, "ext", 3) == 0;
}

/* The UUID of an ext; of others serial number and label, or geometry, but nothing that changes. */
static vck_status read_mark(struct used *u, struct used_mark *ret_mark)
{
    static const struct {
        const char *name;
        uint64_t offset_bytes;
        size_t size_bytes;
    } marks[] = {{"FAT32", 0x42, 24}, {"FAT16", 0x26, 24}, {"FAT12", 0x26, 24}, {"NTFS", 0x28, 40}};
    ret_mark->offset_bytes = 1024 + 0x68;
    ret_mark->size_bytes = 16;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(marks); i++)
        if (strcmp(u->report.name, marks[i].name) == 0) {
            ret_mark->offset_bytes = marks[i].offset_bytes;
            ret_mark->size_bytes = marks[i].size_bytes;
        }
    return read_view(u, ret_mark->offset_bytes, ret_mark->bytes, ret_mark->size_bytes);
}

static int refuse_mounted(struct used *u, const char *point, int error)
{
    const struct command *command = u->client->command;
    if (error != 0)
        return report(command, EXIT_REFUSED,
                      "the %s of %s is mounted at %s and cannot be held still (%s): unmount "
                      "it, " USED_EVERYTHING,
                      u->report.name, u->path, point, strerror(error));
    return report(command, EXIT_REFUSED,
                  "the %s of %s is mounted at %s: unmount it, " USED_EVERYTHING, u->report.name,
                  u->path, point);
}

/* Held still, ext has everything on the disk, and says that it is clean. */
static int look_at_mounted(struct used *u, const char *point, vck_status *ret_status)
{
    struct used_freeze freeze;
    int error = used_freeze_begin(&freeze, point);
    if (error != 0)
        return refuse_mounted(u, point, error);
    *ret_status = look(u);
    used_freeze_end(&freeze);
    return EXIT_OK;
}

/* Others keep things to themselves while they are mounted, and look clean all the same. */
static int look_again(struct used *u, vck_status *status)
{
    char point[MOUNT_POINT_BYTES];
    struct used_mark mark;
    bool may_be_held = is_ext(u) && *status == VCK_NOT_READY;
    if (!may_be_held && (*status != VCK_OK || is_ext(u)))
        return EXIT_OK;
    vck_status read = read_mark(u, &mark);
    if (read != VCK_OK) {
        *status = read;
        return EXIT_OK;
    }
    if (!used_find_mount(&mark, point))
        return EXIT_OK;
    return may_be_held ? look_at_mounted(u, point, status) : refuse_mounted(u, point, 0);
}

static int refuse(struct used *u, vck_status status)
{
    const struct command *command = u->client->command;
    const char *name = u->report.name;
    if (status == VCK_NOT_FOUND)
        return report(command, EXIT_REFUSED,
                      "%s holds no file system whose free space is known (ext2, ext3, ext4, FAT, "
                      "NTFS): encrypt everything, without --used-only",
                      u->path);
    if (status == VCK_NOT_READY)
        return report(command, EXIT_REFUSED,
                      "the %s of %s %s: unmount it and have it checked, " USED_EVERYTHING, name,
                      u->path, u->report.why);
    if (u->report.why != NULL)
        return report(command, EXIT_REFUSED, "the %s of %s %s: have it checked, " USED_EVERYTHING,
                      name, u->path, u->report.why);
    return report(command, exit_code_of(status), "cannot read what is used of %s: %s", u->path,
                  vck_status_text(status));
}

static int find_used(struct used *u)
{
    vck_status status = look(u);
    int code = look_again(u, &status);
    if (code != EXIT_OK)
        return code;
    return status == VCK_OK ? EXIT_OK : refuse(u, status);
}

int used_encrypt(struct client *client, const char *path)
{
    static char uri[URI_BYTES];
    struct used u = {.client = client, .path = path};
    uint64_t recording = 0;
    waiting_is_fine();
    int code = used_record(client, path, &recording);
    if (code == EXIT_OK && !export_uri(client->command, path, uri))
        code = EXIT_FAILED;
    if (code == EXIT_OK)
        code = open_disk(client->command, uri, DISK_READ_ONLY | DISK_SHARED, &u.disk);
    if (code != EXIT_OK)
        return code;
    u.bounce = vck_alloc_pages(BOUNCE_BYTES, USED_TAG);
    code = u.bounce != NULL ? find_used(&u)
                            : report(client->command, EXIT_FAILED, "no memory to read %s", path);
    if (code == EXIT_OK)
        code = used_start(client, path, recording, u.report.name, &u.ranges, u.disk->size_bytes);
    if (u.bounce != NULL)
        vck_free_pages(u.bounce, BOUNCE_BYTES);
    used_ranges_fini(&u.ranges);
    vck_disk_close(u.disk);
    return code;
}
