/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs that look: list, show.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "products/vck/json.h"
#include "prot.h"
#include "vck/utf.h"

/* ---- list ---- */

static bool text_of(const uint8_t *message, uint32_t offset, uint32_t size_bytes,
                    char text[VCK_FRAME_NAME_BYTES])
{
    size_t size = 0;

    /* Without the zero at its end. */
    if (size_bytes < 2 ||
        vck_utf16le_to_utf8((struct vck_bytes){message + offset, size_bytes - 2}, (uint8_t *)text,
                            VCK_FRAME_NAME_BYTES - 1, &size) != VCK_OK)
        return false;
    text[size] = 0;
    return true;
}

static void print_adapter(struct json *json, bool is_json, const char *name,
                          const char *description)
{
    if (!is_json) {
        printf("%-16s %s\n", name, description);
        return;
    }
    json_object_begin(json, NULL);
    json_string(json, "name", name);
    json_string(json, "description", description);
    json_object_end(json);
}

/* The index-th; *ret_is_last: there is none. */
static int list_one(struct client *client, uint32_t index, struct json *json, bool is_json,
                    bool *ret_is_last)
{
    uint8_t in[4];
    uint8_t out[VCK_FRAME_BINDING_MESSAGE_BYTES + 2 * VCK_FRAME_WIRE_NAME_BYTES];
    struct slot slot = {.code = VCK_FRAME_CODE_QUERY_BINDING,
                        .in = in,
                        .in_bytes = sizeof(in),
                        .out = out,
                        .out_bytes = sizeof(out)};
    struct vck_frame_binding_message message;
    char name[VCK_FRAME_NAME_BYTES];
    char description[VCK_FRAME_NAME_BYTES];
    struct slot *answered;
    int code;

    vck_store_le32(in, index);
    client_submit(client, &slot);
    code = client_wait(client, -1, &answered);
    if (code != EXIT_OK)
        return code;
    *ret_is_last = slot.nt == vck_status_to_nt(VCK_NOT_FOUND);
    if (*ret_is_last)
        return EXIT_OK;
    if (slot.nt != 0)
        return client_refused(client, &slot);
    if (vck_frame_binding_decode((struct vck_bytes){out, slot.out_bytes}, &message) == VCK_OK &&
        text_of(out, message.name_offset, message.name_bytes, name) &&
        text_of(out, message.description_offset, message.description_bytes, description))
        print_adapter(json, is_json, name, description);
    return EXIT_OK;
}

int run_list(const struct command *command)
{
    bool is_json = option_given(command, OPTION_JSON);
    struct client *client = NULL;
    struct json json = {0};
    bool is_last = false;
    int code;

    waiting_is_fine();
    code = client_open(command, &client);
    if (code != EXIT_OK)
        return code;
    code = client_ask(client, VCK_FRAME_CODE_BIND_WAIT, NULL, 0, NULL, NULL);
    if (is_json)
        json_array_begin(&json, NULL);
    for (uint32_t i = 0; code == EXIT_OK && !is_last; i++)
        code = list_one(client, i, &json, is_json, &is_last);
    if (is_json)
        json_array_end(&json);
    client_close(client);
    return code;
}

/* ---- show ---- */

static const struct {
    const char *key;
    const char *text;
    size_t offset;
} counters[] = {
    {"sent_frames", "frames sent", offsetof(struct vck_frame_statistics, sent_frames)},
    {"sent_bytes", "bytes sent", offsetof(struct vck_frame_statistics, sent_bytes)},
    {"send_failures", "sends failed", offsetof(struct vck_frame_statistics, send_failures)},
    {"received_frames", "frames received", offsetof(struct vck_frame_statistics, received_frames)},
    {"received_bytes", "bytes received", offsetof(struct vck_frame_statistics, received_bytes)},
    {"dropped_frames", "frames dropped, queue full",
     offsetof(struct vck_frame_statistics, dropped_frames)},
    {"filtered_frames", "frames of no interest",
     offsetof(struct vck_frame_statistics, filtered_frames)},
    {"truncated_frames", "frames cut off", offsetof(struct vck_frame_statistics, truncated_frames)},
    {"port_dropped_frames", "frames dropped by the system",
     offsetof(struct vck_frame_statistics, port_dropped_frames)},
};

static uint64_t counter(const struct vck_frame_statistics *statistics, size_t i)
{
    uint64_t value;

    memcpy(&value, (const uint8_t *)statistics + counters[i].offset, sizeof(value));
    return value;
}

static void address_text(const uint8_t *address, char text[18])
{
    snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", address[0], address[1], address[2],
             address[3], address[4], address[5]);
}

static const char *link_text(uint32_t link)
{
    return (link & 1) == 0 ? "unknown" : (link & 2) != 0 ? "up" : "down";
}

static void show_json(const char *name, const struct vck_frame_state_message *state)
{
    struct json json = {0};
    char address[18];

    address_text(state->address, address);
    json_object_begin(&json, NULL);
    json_string(&json, "name", name);
    json_u64(&json, "interface", state->interface_index);
    json_string(&json, "state", vck_frame_phase_text((enum vck_frame_phase)state->phase));
    json_string(&json, "address", address);
    json_u64(&json, "mtu_bytes", state->mtu_bytes);
    json_string(&json, "link", link_text(state->link));
    json_u64(&json, "bits_per_second", state->bits_per_s);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(counters); i++)
        json_u64(&json, counters[i].key, counter(&state->statistics, i));
    json_object_end(&json);
}

static void show_text(const char *name, const struct vck_frame_state_message *state)
{
    char address[18];

    address_text(state->address, address);
    printf("%s: %s, link %s", name, vck_frame_phase_text((enum vck_frame_phase)state->phase),
           link_text(state->link));
    if (state->bits_per_s)
        printf(" at %" PRIu64 " Mbit/s", state->bits_per_s / 1000000);
    printf("\n  address %s, MTU %u bytes, interface %u\n", address, state->mtu_bytes,
           state->interface_index);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(counters); i++)
        printf("  %-30s %" PRIu64 "\n", counters[i].text, counter(&state->statistics, i));
}

int run_show(const struct command *command)
{
    struct vck_frame_state_message state;
    struct client *client = NULL;
    int code;

    waiting_is_fine();
    code = client_open(command, &client);
    if (code != EXIT_OK)
        return code;
    code = client_open_adapter(client, command->operands[0]);
    if (code == EXIT_OK)
        code = client_state(client, &state);
    if (code == EXIT_OK && option_given(command, OPTION_JSON))
        show_json(command->operands[0], &state);
    else if (code == EXIT_OK)
        show_text(command->operands[0], &state);
    client_close(client);
    return code;
}
