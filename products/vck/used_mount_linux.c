/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "products/vck/used.h"

/* ---- finding it ---- */

static bool has_mark(const char *device, const struct used_mark *mark)
{
    uint8_t found[sizeof(mark->bytes)];
    int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = pread(fd, found, mark->size_bytes, (off_t)mark->offset_bytes);
    close(fd);
    return got == (ssize_t)mark->size_bytes && memcmp(found, mark->bytes, mark->size_bytes) == 0;
}

/* Spaces and the like are written as three octal digits. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at != 0; to++) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
            at[3] >= '0' && at[3] <= '7') {
            *to = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 4;
        } else {
            *to = *at++;
        }
    }
    *to = 0;
}

/* "36 35 98:0 / /mnt rw - ext4 /dev/sda1 rw": the device, by its number or its name. */
static bool line_has_mark(char *line, const struct used_mark *mark,
                          char ret_point[MOUNT_POINT_BYTES])
{
    char device[64];
    char source[MOUNT_POINT_BYTES];
    unsigned major, minor;
    char *rest = strstr(line, " - ");
    if (rest == NULL || sscanf(rest, " - %*s %4095s", source) != 1 ||
        sscanf(line, "%*u %*u %u:%u %*s %4095s", &major, &minor, ret_point) != 3)
        return false;
    snprintf(device, sizeof(device), "/dev/block/%u:%u", major, minor);
    unescape(source);
    unescape(ret_point);
    return (major != 0 && has_mark(device, mark)) || (source[0] == '/' && has_mark(source, mark));
}

bool used_find_mount(const struct used_mark *mark, char ret_point[MOUNT_POINT_BYTES])
{
    char line[3 * MOUNT_POINT_BYTES];
    bool found = false;
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), mounts) != NULL)
        found = line_has_mark(line, mark, ret_point);
    fclose(mounts);
    return found;
}

/* ---- holding it still ---- */

/* Lets the file system go when nobody has the other end any more, however that came to be. */
static _Noreturn void keep(int pipe, int point)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP};
    char nothing;
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
    while (read(pipe, &nothing, 1) != 0)
        if (errno != EINTR)
            break;
    _exit(ioctl(point, FITHAW, 0) == 0 ? 0 : 1);
}

static int start_keeper(struct used_freeze *freeze, int point)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    freeze->keeper = fork();
    if (freeze->keeper == 0) {
        close(ends[1]);
        keep(ends[0], point);
    }
    int error = freeze->keeper < 0 ? errno : 0;
    close(ends[0]);
    if (error != 0)
        close(ends[1]);
    else
        freeze->pipe = ends[1];
    return error;
}

int used_freeze_begin(struct used_freeze *freeze, const char *point)
{
    int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = start_keeper(freeze, fd);
    if (error == 0 && ioctl(fd, FIFREEZE, 0) != 0) {
        error = errno;
        /* One that somebody else holds stays held. */
        kill(freeze->keeper, SIGKILL);
        used_freeze_end(freeze);
    }
    close(fd);
    return error;
}

void used_freeze_end(struct used_freeze *freeze)
{
    close(freeze->pipe);
    while (waitpid(freeze->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
}
