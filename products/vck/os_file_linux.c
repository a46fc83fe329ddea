/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "products/vck/os.h"
#include "products/vck/os_install.h"

#define KEPT_SUFFIX ".vck-old"
#define NEW_SUFFIX  ".vck-new"

bool install_path(const struct os_install *install, char ret_path[INSTALL_PATH_BYTES],
                  const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(install->root);
    memcpy(ret_path, install->root, used + 1);
    va_start(arguments, format);
    int length = vsnprintf(ret_path + used, INSTALL_PATH_BYTES - used, format, arguments);
    va_end(arguments);
    return length >= 0 && used + (size_t)length < INSTALL_PATH_BYTES - sizeof(KEPT_SUFFIX);
}

static bool add_suffix(const char *path, const char *suffix, char ret_path[INSTALL_PATH_BYTES])
{
    int length = snprintf(ret_path, INSTALL_PATH_BYTES, "%s%s", path, suffix);
    return length > 0 && length < INSTALL_PATH_BYTES;
}

int file_read(const char *path, size_t limit, uint8_t **ret_data, size_t *ret_size)
{
    struct stat st;
    size_t size = 0;
    int error = 0;
    uint8_t *data = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0)
        error = errno;
    else if (!S_ISREG(st.st_mode))
        error = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    else if ((uint64_t)st.st_size > limit)
        error = EFBIG;
    else if ((data = malloc((size_t)st.st_size + 1)) == NULL)
        error = ENOMEM;
    if (error == 0)
        error = os_read(fd, data, (size_t)st.st_size, &size);
    close(fd);
    if (error != 0) {
        free(data);
        return error;
    }
    data[size] = 0;
    *ret_data = data;
    *ret_size = size;
    return 0;
}

/* ---- replacing ---- */

static int sync_folder_of(const char *path)
{
    char folder[INSTALL_PATH_BYTES];
    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    int fd = open(*folder != 0 ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static int make_folders(const char *path)
{
    char part[INSTALL_PATH_BYTES];
    for (const char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
        if (mkdir(part, 0755) == 0)
            (void)sync_folder_of(part);
        else if (errno != EEXIST)
            return errno;
    }
    return 0;
}

static int write_file(const char *path, const uint8_t *data, size_t size)
{
    int error = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return errno;
    while (size > 0 && error == 0) {
        ssize_t put = write(fd, data, size);
        if (put > 0) {
            data += put;
            size -= (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            error = put == 0 ? ENOSPC : errno;
        }
    }
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    if (close(fd) != 0 && error == 0)
        error = errno;
    return error;
}

int file_replace(const char *path, const void *data, size_t size)
{
    char fresh[INSTALL_PATH_BYTES];
    if (!add_suffix(path, NEW_SUFFIX, fresh))
        return ENAMETOOLONG;
    int error = make_folders(path);
    if (error == 0)
        error = write_file(fresh, data, size);
    if (error == 0 && rename(fresh, path) != 0)
        error = errno;
    if (error != 0) {
        (void)unlink(fresh);
        return error;
    }
    return sync_folder_of(path);
}

/* ---- keeping what was there ---- */

static int file_error(const struct command *command, const char *what, const char *path, int error)
{
    return report(command, exit_code_of(os_error_status(error)), "cannot %s %s: %s", what, path,
                  strerror(error));
}

int file_keep(const struct command *command, const char *path)
{
    char kept[INSTALL_PATH_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    if (!add_suffix(path, KEPT_SUFFIX, kept))
        return file_error(command, "keep", path, ENAMETOOLONG);
    int error = file_read(path, SIZE_MAX / 2, &data, &size);
    if (error == 0)
        error = file_replace(kept, data, size);
    else if (error == ENOENT) /* what an earlier run has kept is not what is there */
        error = unlink(kept) == 0 || errno == ENOENT || errno == ENOTDIR ? 0 : errno;
    free(data);
    return error == 0 ? EXIT_OK : file_error(command, "keep a copy of", path, error);
}

static int compare(const struct command *command, const char *path, const void *data, size_t size)
{
    uint8_t *back = NULL;
    size_t back_size = 0;
    int error = file_read(path, size, &back, &back_size);
    bool is_same = error == 0 && back_size == size && memcmp(back, data, size) == 0;
    free(back);
    if (error != 0)
        return file_error(command, "read back", path, error);
    return is_same ? EXIT_OK
                   : report(command, EXIT_FAILED, "%s does not read as it was written", path);
}

int file_install(const struct command *command, const char *path, const void *data, size_t size)
{
    int error = file_replace(path, data, size);
    if (error != 0)
        return file_error(command, "write", path, error);
    return compare(command, path, data, size);
}

int file_restore(const struct command *command, const char *path)
{
    char kept[INSTALL_PATH_BYTES];
    struct stat st;
    if (!add_suffix(path, KEPT_SUFFIX, kept))
        return file_error(command, "restore", path, ENAMETOOLONG);
    /* What is no file was not put there by us. */
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return EXIT_OK;
    bool is_done =
        access(kept, F_OK) == 0 ? rename(kept, path) == 0 : unlink(path) == 0 || errno == ENOENT;
    int error = errno;
    if (is_done && (error = sync_folder_of(path)) == ENOENT)
        error = 0;
    return is_done && error == 0 ? EXIT_OK : file_error(command, "restore", path, error);
}
