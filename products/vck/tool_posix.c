/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "products/vck/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define TOOL_PATH_BYTES 512

/* Users other than root often have no sbin in their PATH, where such tools are. */
static bool find_in_sbin(const char *name, char path[TOOL_PATH_BYTES])
{
    static const char *const folders[] = {"/usr/sbin", "/sbin"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, TOOL_PATH_BYTES, "%s/%s", folders[i], name);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static bool find_in_path(const char *name, char path[TOOL_PATH_BYTES])
{
    const char *folders = getenv("PATH");
    for (const char *at = folders != NULL ? folders : ""; *at != 0;) {
        size_t length = strcspn(at, ":");
        snprintf(path, TOOL_PATH_BYTES, "%.*s/%s", (int)length, at, name);
        if (access(path, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

bool tool_exists(const char *name)
{
    char path[TOOL_PATH_BYTES];
    return find_in_path(name, path) || find_in_sbin(name, path);
}

/* stdout is for our own answer. */
static int spawn(const char *const arguments[], int stdout_fd, pid_t *ret_pid)
{
    char path[TOOL_PATH_BYTES];
    posix_spawn_file_actions_t actions;
    if (!find_in_path(arguments[0], path) && !find_in_sbin(arguments[0], path))
        return ENOENT;
    int os_error = posix_spawn_file_actions_init(&actions);
    if (os_error != 0)
        return os_error;
    os_error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (os_error == 0)
        os_error = posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
    if (os_error == 0)
        os_error =
            posix_spawn(ret_pid, path, &actions, NULL, (char **)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return os_error;
}

static int wait_for(const struct command *command, const char *name, pid_t pid, int highest)
{
    int how;
    while (waitpid(pid, &how, 0) < 0)
        if (errno != EINTR)
            return report(command, EXIT_FAILED, "lost %s: %s", name, strerror(errno));
    if (WIFSIGNALED(how))
        return report(command, EXIT_FAILED, "%s was ended by signal %d", name, WTERMSIG(how));
    if (WEXITSTATUS(how) > highest)
        return report(command, EXIT_REFUSED, "%s failed with exit code %d; see above", name,
                      WEXITSTATUS(how));
    return EXIT_OK;
}

static int cannot_run(const struct command *command, const char *name, int os_error)
{
    return report(command, EXIT_FAILED, "cannot run %s: %s", name, strerror(os_error));
}

int tool_run(const struct command *command, const char *const arguments[], int highest)
{
    pid_t pid;
    int os_error = spawn(arguments, STDERR_FILENO, &pid);
    if (os_error != 0)
        return cannot_run(command, arguments[0], os_error);
    return wait_for(command, arguments[0], pid, highest);
}

/* To its end, so that the writer never waits; what does not fit is dropped. */
static void read_all(int fd, char *text, size_t capacity)
{
    char rest[512];
    size_t used = 0;
    ssize_t got;
    do {
        bool is_full = used + 1 >= capacity;
        got = read(fd, is_full ? rest : text + used, is_full ? sizeof(rest) : capacity - 1 - used);
        if (got > 0 && !is_full)
            used += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    text[used] = 0;
}

int tool_read(const struct command *command, const char *const arguments[], char *ret_text,
              size_t capacity)
{
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return cannot_run(command, arguments[0], errno);
    int os_error = spawn(arguments, ends[1], &pid);
    close(ends[1]);
    if (os_error == 0)
        read_all(ends[0], ret_text, capacity);
    close(ends[0]);
    if (os_error != 0)
        return cannot_run(command, arguments[0], os_error);
    return wait_for(command, arguments[0], pid, 0);
}
