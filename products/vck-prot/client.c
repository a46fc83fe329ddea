/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as the verbs make them, over whatever carries them.
 */
#include <stdio.h>
#include <string.h>
#include "prot.h"
#include "vck/utf.h"

int client_refused(struct client *client, const struct slot *slot)
{
    vck_status status =
        slot->nt == VCK_NT_BUFFER_TOO_SMALL ? VCK_SIZE_MISMATCH : vck_status_from_nt(slot->nt);
    int code = EXIT_REFUSED;

    if (status == VCK_NOT_FOUND || status == VCK_DELETED)
        code = EXIT_NOT_FOUND;
    else if (status == VCK_BUSY)
        code = EXIT_BUSY;
    else if (status == VCK_PERMISSION_DENIED)
        code = EXIT_PERMISSION;
    return report(client_command(client), code, "%s%s%s", vck_status_text(status),
                  slot->why[0] ? ": " : "", slot->why);
}

int client_ask(struct client *client, uint32_t code, const void *in, size_t in_bytes, void *out,
               size_t *out_bytes)
{
    struct slot slot = {.code = code,
                        .in = in,
                        .in_bytes = in_bytes,
                        .out = out,
                        .out_bytes = out_bytes ? *out_bytes : 0};
    struct slot *answered = NULL;
    int result;

    client_submit(client, &slot);
    do
        result = client_wait(client, -1, &answered);
    while (result == EXIT_OK && answered != &slot);
    if (result != EXIT_OK)
        return result;
    if (slot.nt != 0)
        return client_refused(client, &slot);
    if (out_bytes)
        *out_bytes = slot.out_bytes;
    return EXIT_OK;
}

static int set_promiscuous(struct client *client)
{
    uint8_t message[12] = {0};

    vck_store_le32(message, VCK_OID_GEN_CURRENT_PACKET_FILTER);
    vck_store_le32(message + 8, VCK_FRAME_FILTER_DEFAULT | VCK_FRAME_FILTER_PROMISCUOUS);
    return client_ask(client, VCK_FRAME_CODE_SET_OID, message, sizeof(message), NULL, NULL);
}

int client_open_adapter(struct client *client, const char *name)
{
    struct vck_bytes utf8 = {(const uint8_t *)name, strlen(name)};
    uint8_t wire[VCK_FRAME_WIRE_NAME_BYTES];
    uint8_t wire_type[2];
    uint16_t ether_type;
    size_t size_bytes;
    int code = option_ether_type(client_command(client), &ether_type);

    if (code != EXIT_OK)
        return code;
    if (vck_utf8_to_utf16le(utf8, wire, sizeof(wire), &size_bytes) != VCK_OK)
        return report_usage(client_command(client), "%s is not the name of an adapter", name);
    vck_store_le16(wire_type, ether_type);
    code = client_ask(client, VCK_FRAME_CODE_SET_ETHER_TYPE, wire_type, 2, NULL, NULL);
    if (code == EXIT_OK)
        code = client_ask(client, VCK_FRAME_CODE_OPEN_DEVICE, wire, size_bytes, NULL, NULL);
    if (code == EXIT_OK && option_given(client_command(client), OPTION_PROMISCUOUS))
        code = set_promiscuous(client);
    return code;
}

int client_state(struct client *client, struct vck_frame_state_message *ret_state)
{
    uint8_t wire[VCK_FRAME_STATE_MESSAGE_BYTES];
    size_t size_bytes = sizeof(wire);
    int code = client_ask(client, VCK_FRAME_CODE_QUERY_STATE, NULL, 0, wire, &size_bytes);

    if (code != EXIT_OK)
        return code;
    if (vck_frame_state_decode((struct vck_bytes){wire, size_bytes}, ret_state) != VCK_OK)
        return report(client_command(client), EXIT_NO_HOST, "lost the host: its answer is damaged");
    return EXIT_OK;
}
