/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/client.h"
#include "port/port.h"
#include "products/vck/carrier.h"
#include "products/vck/os.h"

#define CLIENT_TAG VCK_TAG('C', 'c', 'l', 'i')

int client_open(struct client *client, const struct command *command)
{
    client->command = command;
    client->carrier = -1;
    client->frame = vck_alloc_pages(VCK_FRAME_BYTES_MAX, CLIENT_TAG);
    if (client->frame == NULL)
        return report(command, EXIT_FAILED, "no memory for requests");
    return carrier_open(client);
}

void client_close(struct client *client)
{
    carrier_close(client);
    if (client->frame != NULL)
        vck_wipe(client->frame, VCK_FRAME_BYTES_MAX);
    vck_free_pages(client->frame, VCK_FRAME_BYTES_MAX);
    client->frame = NULL;
}

/* ---- calls ---- */

static int encode_request(struct client *client, const struct vck_code_info *info,
                          const void *request, size_t *ret_size_bytes)
{
    size_t size = 0;
    vck_status status = VCK_OK;
    vck_store_le32(client->frame, info->code);
    if (info->request != VCK_MESSAGE_NONE)
        status = vck_message_encode(info->request, request, client->frame + VCK_FRAME_PREFIX_BYTES,
                                    VCK_FRAME_BYTES_MAX - VCK_FRAME_PREFIX_BYTES, &size);
    *ret_size_bytes = VCK_FRAME_PREFIX_BYTES + size;
    if (status == VCK_OK)
        return EXIT_OK;
    vck_wipe(client->frame, VCK_FRAME_BYTES_MAX);
    return report(client->command, EXIT_FAILED,
                  "the request is too long: a path may have %u bytes and a key %u",
                  VCK_MSG_PATH_BYTES_MAX, VCK_MSG_VMK_BYTES_MAX);
}

/* text is from the host and need not be clean. */
static int report_refusal(const struct client *client, uint32_t nt, uint8_t *text, size_t size)
{
    vck_status status = vck_status_from_nt(nt);
    size = VCK_MIN(size, VCK_MSG_TEXT_BYTES_MAX);
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            text[i] = ' ';
    if (size == 0)
        return report(client->command, exit_code_of(status), "%s", vck_status_text(status));
    return report(client->command, exit_code_of(status), "%.*s", (int)size, (const char *)text);
}

static int decode_response(struct client *client, const struct vck_code_info *info, size_t size,
                           void *ret_response)
{
    struct vck_msg_empty nothing;
    struct vck_message_fault fault = {0};
    uint32_t nt = vck_load_le32(client->frame);
    uint8_t *message = client->frame + VCK_FRAME_PREFIX_BYTES;
    size -= VCK_FRAME_PREFIX_BYTES;
    if (nt != 0)
        return report_refusal(client, nt, message, size);
    if (info->response == VCK_MESSAGE_NONE)
        return EXIT_OK;
    vck_status status = vck_message_decode(info->response, message, size,
                                           ret_response != NULL ? ret_response : &nothing, &fault);
    if (status != VCK_OK)
        return report(client->command, EXIT_FAILED, "the %s's answer to %s %s%s%s", os_words.host,
                      info->name, fault.field != NULL ? fault.field : "",
                      fault.field != NULL ? " " : "", vck_message_fault_text(fault.kind));
    return EXIT_OK;
}

int client_call(struct client *client, uint32_t code, const void *request, void *ret_response)
{
    const struct vck_code_info *info = vck_code_find(code);
    size_t size;
    int result = encode_request(client, info, request, &size);
    if (result == EXIT_OK)
        result = carrier_exchange(client, size, &size);
    return result == EXIT_OK ? decode_response(client, info, size, ret_response) : result;
}

int client_volume_call(struct client *client, uint32_t code, const char *path)
{
    struct vck_msg_volume_request request = {.volume_path = path};
    return client_call(client, code, &request, NULL);
}

int client_get_status(struct client *client, const char *path,
                      struct vck_msg_volume_status *ret_status)
{
    struct vck_msg_volume_request request = {.volume_path = path};
    return client_call(client, VCK_CODE_GET_STATUS, &request, ret_status);
}
