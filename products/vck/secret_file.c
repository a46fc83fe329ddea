/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_file: the bytes of a file, or of standard input, as a secret. They go there and nowhere
 * else; no message contains any of them.
 */
#include <string.h>
#include "port/port.h"
#include "products/vck/os.h"

#define FILE_TAG    VCK_TAG('C', 's', 'f', 'l')
#define EXTRA_BYTES 4096u /* so that the size of what is a little too long can be told */

static int take(const struct command *command, const char *name, intptr_t file, size_t most_bytes,
                uint8_t *buffer, struct vck_secret *ret_secret)
{
    const size_t capacity = most_bytes + EXTRA_BYTES;
    size_t size;
    int error = os_read(file, buffer, capacity, &size);
    if (error != 0)
        return report(command, EXIT_FAILED, "cannot read %s: %s", name, os_error_text(error));
    if (size == 0 || size > most_bytes)
        return report(command, EXIT_FAILED, "%s has %s%zu bytes; 1 to %zu are expected", name,
                      size == capacity ? "at least " : "", size, most_bytes);
    vck_status status = vck_secret_init_copy(ret_secret, (struct vck_bytes){buffer, size});
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot keep a secret: %s", vck_status_text(status));
    return EXIT_OK;
}

int secret_file_read(const struct command *command, const char *path, size_t most_bytes,
                     struct vck_secret *ret_secret)
{
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    const size_t capacity = most_bytes + EXTRA_BYTES;
    char how[OS_EXPOSURE_BYTES];
    intptr_t file;
    int error = os_open(is_stdin ? NULL : path, &file);
    if (error != 0)
        return report(command, exit_code_of(os_error_status(error)), "cannot open %s: %s", path,
                      os_error_text(error));
    int code = EXIT_FAILED;
    uint8_t *buffer = vck_alloc_pages(capacity, FILE_TAG);
    if (buffer != NULL)
        code = take(command, name, file, most_bytes, buffer, ret_secret);
    else
        report(command, code, "no memory for a secret");
    if (code == EXIT_OK && os_is_exposed(file, how))
        warn(command, "warning: %s %s", name, how);
    vck_wipe(buffer, buffer != NULL ? capacity : 0);
    vck_free_pages(buffer, capacity);
    os_close(file);
    return code;
}
