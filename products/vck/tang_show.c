/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "port/port.h"
#include "products/vck/tang.h"
#include "vck/key_network.h"

#define SHOW_TAG VCK_TAG('C', 't', 'n', 's')

/* NULL: not a network slot, or one that is not understood. Free it. */
static struct vck_network_binding *decode(const struct vck_key_slot *slot)
{
    struct vck_bytes payload;
    if (slot->type != VCK_KEY_NETWORK || vck_key_slot_payload(slot, &payload) != VCK_OK)
        return NULL;
    struct vck_network_binding *binding = vck_alloc(sizeof(*binding), SHOW_TAG);
    if (binding != NULL && vck_network_binding_decode(payload, binding) != VCK_OK) {
        vck_free(binding);
        return NULL;
    }
    return binding;
}

const char *tang_text(const struct vck_key_slot *slot, char buffer[TANG_TEXT_BYTES])
{
    struct vck_network_binding *binding = decode(slot);
    if (binding == NULL)
        snprintf(buffer, TANG_TEXT_BYTES, "-");
    else
        snprintf(buffer, TANG_TEXT_BYTES, "%u of %u servers", binding->threshold, binding->count);
    vck_free(binding);
    return buffer;
}

static void print_server_json(struct json *json, const struct vck_network_server *server)
{
    uint8_t thumbprint[VCK_NETWORK_THUMBPRINT_BYTES];
    char text[VCK_NETWORK_THUMBPRINT_TEXT];
    json_object_begin(json, NULL);
    json_string(json, "url", server->url);
    vck_network_thumbprint_format(server->signer, text);
    json_string(json, "signing_key", text);
    vck_network_thumbprint(server->curve, &server->server_key, thumbprint);
    vck_network_thumbprint_format(thumbprint, text);
    json_string(json, "exchange_key", text);
    json_object_end(json);
}

void tang_print_json(struct json *json, const struct vck_key_slot *slot)
{
    struct vck_network_binding *binding = decode(slot);
    if (binding == NULL)
        return;
    json_u64(json, "threshold", binding->threshold);
    json_array_begin(json, "servers");
    for (uint32_t i = 0; i < binding->count; i++)
        print_server_json(json, &binding->servers[i]);
    json_array_end(json);
    vck_free(binding);
}

void tang_print_text(const struct vck_key_slot *slot)
{
    struct vck_network_binding *binding = decode(slot);
    for (uint32_t i = 0; binding != NULL && i < binding->count; i++) {
        char text[VCK_NETWORK_THUMBPRINT_TEXT];
        vck_network_thumbprint_format(binding->servers[i].signer, text);
        printf("      %s,%s\n", binding->servers[i].url, text);
    }
    vck_free(binding);
}
