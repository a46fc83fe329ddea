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

#define NEW_KEY_BYTES 32u

int key_read(const struct command *command, struct vck_secret *ret_key)
{
    return secret_file_read(command, command->values[OPTION_VMK_FILE], VCK_VMK_BYTES_MAX, ret_key);
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
