/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "products/vck/os.h"
#include "products/vck/room.h"

extern char **environ;

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

/* ---- the tools ---- */

/* Users other than root often have no sbin in their PATH, where these tools are. */
static const char *find_tool(const char *name, char buffer[64])
{
    static const char *const folders[] = {"/usr/sbin", "/sbin"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(buffer, 64, "%s/%s", folders[i], name);
        if (access(buffer, X_OK) == 0)
            return buffer;
    }
    return name;
}

/* stdout is for our own answer. */
static int spawn(const char *tool, const char *const arguments[], pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int os_error = posix_spawn_file_actions_init(&actions);
    if (os_error != 0)
        return os_error;
    os_error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (os_error == 0)
        os_error = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (os_error == 0)
        os_error =
            posix_spawnp(ret_pid, tool, &actions, NULL, (char **)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return os_error;
}

/* Runs arguments[0]; exit codes up to `highest` are success. */
static int run_tool(const struct command *command, const char *const arguments[], int highest)
{
    char buffer[64];
    pid_t pid;
    int how;
    int os_error = spawn(find_tool(arguments[0], buffer), arguments, &pid);
    if (os_error != 0)
        return report(command, EXIT_FAILED, "cannot run %s: %s", arguments[0], strerror(os_error));
    while (waitpid(pid, &how, 0) < 0)
        if (errno != EINTR)
            return report(command, EXIT_FAILED, "lost %s: %s", arguments[0], strerror(errno));
    if (WIFSIGNALED(how))
        return report(command, EXIT_FAILED, "%s was ended by signal %d", arguments[0],
                      WTERMSIG(how));
    if (WEXITSTATUS(how) > highest)
        return report(command, EXIT_REFUSED, "%s failed with exit code %d; see above", arguments[0],
                      WEXITSTATUS(how));
    return EXIT_OK;
}

static int shrink_ext(const struct command *command, const char *path,
                      const struct content *content, uint64_t size_bytes)
{
    char blocks[24];
    snprintf(blocks, sizeof(blocks), "%" PRIu64, size_bytes / content->block_bytes);
    const char *const check[] = {"e2fsck", "-f", "-p", path, NULL};
    const char *const resize[] = {"resize2fs", path, blocks, NULL};
    int code = run_tool(command, check, 1); /* 1: errors were corrected */
    return code == EXIT_OK ? run_tool(command, resize, 0) : code;
}

static int shrink_ntfs(const struct command *command, const char *path, uint64_t size_bytes)
{
    char size[24];
    snprintf(size, sizeof(size), "%" PRIu64, size_bytes);
    const char *const rehearse[] = {
        "ntfsresize", "--force", "--no-progress-bar", "--no-action", "--size", size, path, NULL};
    const char *const resize[] = {"ntfsresize", "--force", "--force", "--no-progress-bar",
                                  "--size",     size,      path,      NULL};
    int code = run_tool(command, rehearse, 0);
    return code == EXIT_OK ? run_tool(command, resize, 0) : code;
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
