/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyfile: volume master keys in files. The bytes go from the file into a secret and nowhere else;
 * no message contains any of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "port/port.h"
#include "products/vck/vck.h"
#include "vck/block.h"

#define KEY_TAG       VCK_TAG('C', 'k', 'e', 'y')
#define BUFFER_BYTES  4096u
#define NEW_KEY_BYTES 32u

/* Up to BUFFER_BYTES, to the end of the file. -1: errno. */
static ssize_t read_to_end(int fd, uint8_t *buffer)
{
    size_t filled = 0;
    while (filled < BUFFER_BYTES) {
        ssize_t got = read(fd, buffer + filled, BUFFER_BYTES - filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        filled += (size_t)got;
    }
    return (ssize_t)filled;
}

static int take_key(const struct command *command, const char *name, int fd, uint8_t *buffer,
                    struct vck_secret *ret_key)
{
    ssize_t size = read_to_end(fd, buffer);
    if (size < 0)
        return report(command, EXIT_FAILED, "cannot read the key from %s: %s", name,
                      strerror(errno));
    if (size == 0 || size > (ssize_t)VCK_VMK_BYTES_MAX)
        return report(command, EXIT_FAILED, "the key in %s has %s%zd bytes; 1 to %u are expected",
                      name, size == (ssize_t)BUFFER_BYTES ? "at least " : "", size,
                      VCK_VMK_BYTES_MAX);
    vck_status status = vck_secret_init_copy(ret_key, (struct vck_bytes){buffer, (size_t)size});
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot keep the key: %s", vck_status_text(status));
    return EXIT_OK;
}

static void warn_when_readable(const struct command *command, const char *name, int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        warn(command, "warning: %s has mode %04o, so others can reach the key; 0600 is expected",
             name, (unsigned)(st.st_mode & 07777));
}

int key_read(const struct command *command, struct vck_secret *ret_key)
{
    const char *path = command->values[OPTION_VMK_FILE];
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return report(command, exit_code_of(vck_posix_status_from_errno(errno)),
                      "cannot open the key file %s: %s", path, strerror(errno));
    int code = EXIT_FAILED;
    uint8_t *buffer = vck_alloc_pages(BUFFER_BYTES, KEY_TAG);
    if (buffer != NULL)
        code = take_key(command, name, fd, buffer, ret_key);
    else
        report(command, code, "no memory for the key");
    if (code == EXIT_OK)
        warn_when_readable(command, name, fd);
    vck_wipe(buffer, buffer != NULL ? BUFFER_BYTES : 0);
    vck_free_pages(buffer, BUFFER_BYTES);
    if (!is_stdin)
        close(fd);
    return code;
}

/* ---- a new key ---- */

static bool write_all(int fd, const struct vck_secret *key)
{
    size_t done = 0;
    while (done < key->size_bytes) {
        ssize_t put = write(fd, key->data + done, key->size_bytes - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

/* The name is durable only once its folder is. */
static bool sync_folder(const char *path)
{
    char copy[VOLUME_PATH_BYTES];
    if (strlen(path) >= sizeof(copy)) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(copy, path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_synced = fsync(fd) == 0;
    close(fd);
    return is_synced;
}

static int store_key(const struct command *command, const char *path, const struct vck_secret *key)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return report(command, errno == EEXIST ? EXIT_REFUSED : EXIT_FAILED,
                      "cannot create the key file %s: %s", path, strerror(errno));
    bool is_stored = fchmod(fd, 0600) == 0 && write_all(fd, key) && fsync(fd) == 0;
    int os_error = errno;
    if (close(fd) != 0 && is_stored) {
        is_stored = false;
        os_error = errno;
    }
    if (is_stored && sync_folder(path))
        return EXIT_OK;
    if (is_stored)
        os_error = errno;
    (void)unlink(path);
    return report(command, EXIT_FAILED, "cannot write the key file %s: %s", path,
                  strerror(os_error));
}

int key_check_new(const struct command *command)
{
    struct stat st;
    const char *path = command->values[OPTION_NEW_VMK];
    if (lstat(path, &st) == 0)
        return report(command, EXIT_REFUSED,
                      "the key file %s exists already (%lld bytes) and is never overwritten; "
                      "--vmk-file uses it",
                      path, (long long)st.st_size);
    return EXIT_OK;
}

int key_create(const struct command *command, struct vck_secret *ret_key)
{
    vck_status status = vck_secret_init(ret_key, NEW_KEY_BYTES);
    if (status == VCK_OK)
        status = vck_random(ret_key->data, ret_key->size_bytes);
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot make a key: %s", vck_status_text(status));
    return store_key(command, command->values[OPTION_NEW_VMK], ret_key);
}

void key_remove_unused(const struct command *command)
{
    (void)unlink(command->values[OPTION_NEW_VMK]);
}
