/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_suspend: takes the keys of an attached volume out of the host's memory and gives them back.
 */
#include "products/vck/client.h"
#include "products/vck/key.h"
#include "products/vck/suspend.h"

int run_suspend(const struct command *command)
{
    struct client client;
    char path[VOLUME_PATH_BYTES];
    int code = volume_path(command, command->operands[0], path);
    if (code != EXIT_OK)
        return code;
    code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_volume_call(&client, VCK_CODE_SUSPEND, path);
    if (code == EXIT_OK)
        printf("%s is suspended; vck resume asks for what opens it\n", path);
    client_close(&client);
    return code;
}

static int wake(const struct command *command, struct client *client, const char *path) VCK_CAN_WAIT
{
    struct key_access access = {0};
    int code = key_access_find(command, path, &access);
    if (code == EXIT_OK) {
        const struct vck_msg_wake_request request = {.volume_path = path,
                                                     .vmk = key_access_vmk(&access)};
        code = client_call(client, VCK_CODE_WAKE, &request, NULL);
    }
    if (code == EXIT_OK)
        printf("%s goes on\n", path);
    key_access_fini(&access);
    return code;
}

int suspend_end(const struct command *command, const char *path, bool *ret_was_suspended)
{
    struct client client;
    struct vck_msg_volume_status status = {0};
    waiting_is_fine();
    int code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_get_status(&client, path, &status);
    *ret_was_suspended = code == EXIT_OK && status.is_suspended;
    if (*ret_was_suspended)
        code = wake(command, &client, path);
    else if (code == EXIT_OK && status.is_attached && key_is_wanted(command))
        warn(command, "%s is not suspended: its key is not needed", path);
    client_close(&client);
    return code;
}
