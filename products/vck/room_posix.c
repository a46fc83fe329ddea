/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "products/vck/os.h"
#include "products/vck/room.h"
#include "products/vck/tool.h"

int room_resize_file(const struct command *command, const char *path, uint64_t size_bytes)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_done = fd >= 0 && ftruncate(fd, (off_t)size_bytes) == 0 && fsync(fd) == 0;
    int os_error = errno;
    if (fd >= 0)
        close(fd);
    if (is_done)
        return EXIT_OK;
    return report(command, exit_code_of(os_error_status(os_error)),
                  "cannot set the size of %s to %" PRIu64 " bytes: %s", path, size_bytes,
                  strerror(os_error));
}

static int shrink_ext(const struct command *command, const char *path,
                      const struct content *content, uint64_t size_bytes)
{
    char blocks[24];
    snprintf(blocks, sizeof(blocks), "%" PRIu64, size_bytes / content->block_bytes);
    const char *const check[] = {"e2fsck", "-f", "-p", path, NULL};
    const char *const resize[] = {"resize2fs", path, blocks, NULL};
    int code = tool_run(command, check, 1); /* 1: errors were corrected */
    return code == EXIT_OK ? tool_run(command, resize, 0) : code;
}

static int shrink_ntfs(const struct command *command, const char *path, uint64_t size_bytes)
{
    char size[24];
    snprintf(size, sizeof(size), "%" PRIu64, size_bytes);
    const char *const rehearse[] = {
        "ntfsresize", "--force", "--no-progress-bar", "--no-action", "--size", size, path, NULL};
    const char *const resize[] = {"ntfsresize", "--force", "--force", "--no-progress-bar",
                                  "--size",     size,      path,      NULL};
    int code = tool_run(command, rehearse, 0);
    return code == EXIT_OK ? tool_run(command, resize, 0) : code;
}

int room_shrink(const struct command *command, const char *path, const struct content *content,
                uint64_t size_bytes)
{
    if (content->kind == CONTENT_EXT)
        return shrink_ext(command, path, content, size_bytes);
    if (content->kind == CONTENT_NTFS)
        return shrink_ntfs(command, path, size_bytes);
    return report(
        command, EXIT_REFUSED, "--shrink knows ext2/3/4 and NTFS file systems, and %s holds %s%s",
        path, content->name != NULL ? "a " : "", content->name != NULL ? content->name : "none");
}
