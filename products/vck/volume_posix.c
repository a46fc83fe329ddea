/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "port/posix/posix.h"
#include "products/vck/vck.h"
#include "vck/bytes.h"

static bool is_uri(const char *path)
{
    static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(schemes); i++)
        if (strncmp(path, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

/* The folder resolved, the last name as it is: what a file that is gone was attached as. */
static bool resolve_missing(const char *operand, char ret_path[VOLUME_PATH_BYTES])
{
    char folder[VOLUME_PATH_BYTES];
    char name[VOLUME_PATH_BYTES];
    char resolved[PATH_MAX];
    if (strlen(operand) >= sizeof(folder))
        return false;
    strcpy(folder, operand);
    strcpy(name, operand);
    if (realpath(dirname(folder), resolved) == NULL)
        return false;
    const char *slash = strcmp(resolved, "/") == 0 ? "" : "/";
    int length = snprintf(ret_path, VOLUME_PATH_BYTES, "%s%s%s", resolved, slash, basename(name));
    return length > 0 && length < VOLUME_PATH_BYTES;
}

int volume_path(const struct command *command, const char *operand,
                char ret_path[VOLUME_PATH_BYTES])
{
    char resolved[PATH_MAX];
    const char *path = is_uri(operand) ? operand : realpath(operand, resolved);
    if (path == NULL && errno == ENOENT && resolve_missing(operand, ret_path))
        return EXIT_OK;
    if (path == NULL)
        return report(command, exit_code_of(vck_posix_status_from_errno(errno)), "%s: %s", operand,
                      strerror(errno));
    if (strlen(path) >= VOLUME_PATH_BYTES)
        return report(command, EXIT_FAILED, "%s: the path is %zu bytes long, the limit is %d",
                      operand, strlen(path), VOLUME_PATH_BYTES - 1);
    strcpy(ret_path, path);
    return EXIT_OK;
}

int open_disk(const struct command *command, const char *path, unsigned flags,
              struct vck_disk **ret_disk)
{
    struct vck_posix_disk_options options = {0};
    struct vck_posix_error error = {0};
    if ((flags & DISK_READ_ONLY) != 0)
        options.flags |= VCK_POSIX_DISK_READ_ONLY;
    if ((flags & DISK_SHARED) != 0)
        options.flags |= VCK_POSIX_DISK_SHARED;
    vck_status status = vck_posix_disk_open(path, &options, ret_disk, &error);
    if (status == VCK_BUSY)
        return report(command, EXIT_BUSY, "%s; if it is attached, detach it first", error.text);
    if (status != VCK_OK)
        return report(command, exit_code_of(status), "%s", error.text);
    return EXIT_OK;
}

int volume_file_size(const struct command *command, const char *path, bool *ret_is_file,
                     uint64_t *ret_size)
{
    struct stat st = {0};
    if (!is_uri(path) && stat(path, &st) != 0)
        return report(command, EXIT_FAILED, "%s: %s", path, strerror(errno));
    *ret_is_file = S_ISREG(st.st_mode);
    if (*ret_is_file)
        *ret_size = (uint64_t)st.st_size;
    return EXIT_OK;
}
