/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "products/vck/client.h"
#include "products/vck/json.h"

#define URI_BYTES (3 * VOLUME_PATH_BYTES + 1024)

/* ---- the URI of an export ---- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-._~/", c) != NULL);
}

/* Appends text with everything percent-encoded that a URI gives a meaning to. */
static void append_encoded(char *uri, const char *text)
{
    char *end = uri + strlen(uri);
    for (; *text != 0 && end - uri < URI_BYTES - 4; text++) {
        if (is_plain(*text))
            *end++ = *text;
        else
            end += snprintf(end, 4, "%%%02X", (unsigned char)*text);
    }
    *end = 0;
}

/* The NBD socket lies beside the control socket unless --nbd says otherwise. */
static void find_nbd_address(const struct command *command, char address[VOLUME_PATH_BYTES])
{
    const char *control = client_socket_path(command);
    const char *slash = strrchr(control, '/');
    if (option_given(command, OPTION_NBD))
        snprintf(address, VOLUME_PATH_BYTES, "%s", command->values[OPTION_NBD]);
    else
        snprintf(address, VOLUME_PATH_BYTES, "%.*snbd.sock",
                 slash != NULL ? (int)(slash + 1 - control) : 0, control);
}

/* A Unix socket by its absolute path, since the URI is used from other folders; or HOST:PORT. */
static void make_uri(const struct command *command, const char *path, char uri[URI_BYTES])
{
    char address[VOLUME_PATH_BYTES];
    char resolved[PATH_MAX];
    find_nbd_address(command, address);
    bool is_unix = strchr(address, '/') != NULL || strchr(address, ':') == NULL;
    if (is_unix) {
        strcpy(uri, "nbd+unix:///");
        append_encoded(uri, path);
        strcat(uri, "?socket=");
        append_encoded(uri, realpath(address, resolved) != NULL ? resolved : address);
        return;
    }
    snprintf(uri, URI_BYTES, "nbd://%s%s/", address[0] == ':' ? "localhost" : "", address);
    append_encoded(uri, path);
}

/* ---- attach ---- */

static void print_attached(const struct command *command, const char *path,
                           const struct vck_msg_prepare_response *response)
{
    char uri[URI_BYTES];
    char size[SIZE_TEXT_BYTES];
    make_uri(command, path, uri);
    if (!option_given(command, OPTION_JSON)) {
        printf("%s is attached: %s of data\n%s\n", path,
               size_text(response->data_sectors * response->sector_size, size), uri);
        return;
    }
    struct json json = {0};
    json_object_begin(&json, NULL);
    json_string(&json, "volume", path);
    json_string(&json, "uri", uri);
    json_u64(&json, "data_start_sector", response->offset_sector);
    json_u64(&json, "data_sectors", response->data_sectors);
    json_u64(&json, "sector_size_bytes", response->sector_size);
    json_object_end(&json);
}

static int attach(const struct command *command, const char *path, const struct vck_secret *key)
{
    struct client client;
    struct vck_msg_prepare_response response;
    struct vck_msg_prepare_request request = {
        .volume_path = path,
        .nt_device_path = "",
        .vmk = {key->data, key->size_bytes},
    };
    int code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_call(&client, VCK_CODE_PREPARE, &request, &response);
    if (code == EXIT_OK && !response.fully_attached)
        code = report(command, EXIT_FAILED,
                      "the daemon hides the metadata of %s but did not open it", path);
    if (code == EXIT_OK)
        print_attached(command, path, &response);
    client_close(&client);
    return code;
}

int run_attach(const struct command *command)
{
    char path[VOLUME_PATH_BYTES];
    struct vck_secret key = {0};
    if (!option_given(command, OPTION_VMK_FILE))
        return report_usage(command, "--vmk-file is needed");
    int code = volume_path(command, command->operands[0], path);
    if (code == EXIT_OK)
        code = key_read(command, &key);
    if (code == EXIT_OK)
        code = attach(command, path, &key);
    vck_secret_fini(&key);
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
