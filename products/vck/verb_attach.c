/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/client.h"
#include "products/vck/export.h"
#include "products/vck/json.h"
#include "products/vck/key.h"
#include "products/vck/os.h"

/* ---- attach ---- */

static void print_attached(const struct command *command, const char *path,
                           const struct vck_msg_prepare_response *response)
{
    char uri[URI_BYTES];
    char size[SIZE_TEXT_BYTES];
    bool has_uri = export_uri(command, path, uri);
    if (!option_given(command, OPTION_JSON)) {
        printf("%s is attached: %s of data\n", path,
               size_text(response->data_sectors * response->sector_size, size));
        if (has_uri)
            puts(uri);
        return;
    }
    struct json json = {0};
    json_object_begin(&json, NULL);
    json_string(&json, "volume", path);
    json_string(&json, "uri", has_uri ? uri : NULL);
    json_u64(&json, "data_start_sector", response->offset_sector);
    json_u64(&json, "data_sectors", response->data_sectors);
    json_u64(&json, "sector_size_bytes", response->sector_size);
    json_object_end(&json);
}

int attach_with_key(const struct command *command, const char *path, struct vck_bytes vmk,
                    struct vck_msg_prepare_response *ret_response)
{
    struct client client;
    struct vck_msg_prepare_response response;
    struct vck_msg_prepare_request request = {
        .volume_path = path,
        .nt_device_path = "",
        .vmk = vmk,
    };
    int code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_call(&client, VCK_CODE_PREPARE, &request, &response);
    if (code == EXIT_OK && !response.fully_attached)
        code = report(command, EXIT_FAILED, "the %s hides the metadata of %s but did not open it",
                      os_words.host, path);
    client_close(&client);
    if (code == EXIT_OK)
        *ret_response = response;
    return code;
}

static int attach(const struct command *command, const char *path, const struct vck_secret *key)
{
    struct vck_msg_prepare_response response;
    int code = attach_with_key(command, path, vck_secret_bytes(key), &response);
    if (code == EXIT_OK)
        print_attached(command, path, &response);
    return code;
}

int run_attach(const struct command *command)
{
    char path[VOLUME_PATH_BYTES];
    struct key_access access = {0};
    waiting_is_fine();
    int code = volume_path(command, command->operands[0], path);
    if (code == EXIT_OK)
        code = key_access_find(command, path, &access);
    if (code == EXIT_OK)
        code = attach(command, path, &access.vmk);
    key_access_fini(&access);
    return code;
}

/* ---- detach ---- */

int run_detach(const struct command *command)
{
    struct client client;
    char path[VOLUME_PATH_BYTES];
    bool is_all = option_given(command, OPTION_ALL);
    if (is_all == (command->operand_count == 1))
        return report_usage(command, "%s",
                            is_all ? "--all takes no VOLUME" : "VOLUME or --all is missing");
    int code = is_all ? EXIT_OK : volume_path(command, command->operands[0], path);
    if (code != EXIT_OK)
        return code;
    code = client_open(&client, command);
    if (code == EXIT_OK)
        code = is_all ? client_call(&client, VCK_CODE_DETACH_ALL_VOLUMES, NULL, NULL)
                      : client_volume_call(&client, VCK_CODE_DETACH, path);
    if (code == EXIT_OK)
        printf("%s detached\n", is_all ? "all data volumes are" : path);
    client_close(&client);
    return code;
}
