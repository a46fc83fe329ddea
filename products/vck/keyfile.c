/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyfile: volume master keys in files. The bytes go from the file into a secret and nowhere else;
 * no message contains any of them.
 */
#include <inttypes.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/os.h"
#include "vck/block.h"

#define KEY_TAG       VCK_TAG('C', 'k', 'e', 'y')
#define BUFFER_BYTES  4096u
#define NEW_KEY_BYTES 32u

static int take_key(const struct command *command, const char *name, intptr_t file, uint8_t *buffer,
                    struct vck_secret *ret_key)
{
    size_t size;
    int error = os_read(file, buffer, BUFFER_BYTES, &size);
    if (error != 0)
        return report(command, EXIT_FAILED, "cannot read the key from %s: %s", name,
                      os_error_text(error));
    if (size == 0 || size > VCK_VMK_BYTES_MAX)
        return report(command, EXIT_FAILED, "the key in %s has %s%zu bytes; 1 to %u are expected",
                      name, size == BUFFER_BYTES ? "at least " : "", size, VCK_VMK_BYTES_MAX);
    vck_status status = vck_secret_init_copy(ret_key, (struct vck_bytes){buffer, size});
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot keep the key: %s", vck_status_text(status));
    return EXIT_OK;
}

int key_read(const struct command *command, struct vck_secret *ret_key)
{
    const char *path = command->values[OPTION_VMK_FILE];
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    char how[OS_EXPOSURE_BYTES];
    intptr_t file;
    int error = os_open(is_stdin ? NULL : path, &file);
    if (error != 0)
        return report(command, exit_code_of(os_error_status(error)),
                      "cannot open the key file %s: %s", path, os_error_text(error));
    int code = EXIT_FAILED;
    uint8_t *buffer = vck_alloc_pages(BUFFER_BYTES, KEY_TAG);
    if (buffer != NULL)
        code = take_key(command, name, file, buffer, ret_key);
    else
        report(command, code, "no memory for the key");
    if (code == EXIT_OK && os_is_exposed(file, how))
        warn(command, "warning: %s %s", name, how);
    vck_wipe(buffer, buffer != NULL ? BUFFER_BYTES : 0);
    vck_free_pages(buffer, BUFFER_BYTES);
    os_close(file);
    return code;
}

/* ---- a new key ---- */

static int store_key(const struct command *command, const char *path, const struct vck_secret *key)
{
    bool is_created;
    int error = os_create_private(path, key->data, key->size_bytes, &is_created);
    if (error == 0)
        return EXIT_OK;
    if (is_created)
        return report(command, EXIT_FAILED, "cannot write the key file %s: %s", path,
                      os_error_text(error));
    bool is_taken = os_error_status(error) == VCK_ALREADY_EXISTS;
    return report(command, is_taken ? EXIT_REFUSED : EXIT_FAILED,
                  "cannot create the key file %s: %s", path, os_error_text(error));
}

int key_check_new(const struct command *command)
{
    uint64_t size;
    const char *path = command->values[OPTION_NEW_VMK];
    if (os_find_file(path, &size))
        return report(command, EXIT_REFUSED,
                      "the key file %s exists already (%" PRIu64
                      " bytes) and is never overwritten; --vmk-file uses it",
                      path, size);
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
    os_remove_file(command->values[OPTION_NEW_VMK]);
}
