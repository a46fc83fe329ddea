/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_tang: what others than people say of Tang servers. The first byte tells what the rest is: an
 * advertisement, an answer, a server as it is named, or the payload of a slot.
 */
#include <stdlib.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/tang_jose.h"
#include "products/vck/tang_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_advert(const char *text, size_t size)
{
    static struct tang_advert advert;
    if (tang_jose_read_advert(text, size, &advert) != NULL)
        return;
    VCK_ASSERT(advert.signer_count >= 1 && advert.signer_count <= TANG_SIGNERS_MAX);
    VCK_ASSERT(vck_network_curve_bytes(advert.curve) > 0);
}

/* The generator of P-256 does for both keys. */
static void finish(const char *text, size_t size)
{
    static const uint8_t generator[64] = {
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63,
        0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1,
        0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f,
        0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57,
        0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    static struct vck_network_server server;
    static struct tang_question question;
    uint8_t agreed[VCK_NETWORK_COORDINATE_BYTES];
    if (question.blind == NULL) {
        server.curve = VCK_NETWORK_P256;
        memcpy(server.server_key.x + 34, generator, 32);
        memcpy(server.server_key.y + 34, generator + 32, 32);
        server.slot_key = server.server_key;
        VCK_ASSERT(tang_jose_ask(&server, &question) == NULL);
        VCK_ASSERT(question.body[0] == '{');
    }
    (void)tang_jose_finish(&server, &question, text, size, agreed);
}

static void read_name(const char *text)
{
    struct tang_name name;
    struct tang_url url;
    if (tang_name_parse(text, &name) != NULL)
        return;
    VCK_ASSERT(tang_url_parse(name.url, &url) == NULL);
    VCK_ASSERT(url.port > 0 && *url.host != 0);
    VCK_ASSERT(strpbrk(url.authority, " \r\n/") == NULL && strpbrk(url.path, " \r\n") == NULL);
}

/* What is understood gives the same bytes again. */
static void read_payload(const uint8_t *data, size_t size)
{
    static struct vck_network_binding binding;
    static uint8_t again[VCK_KEY_PAYLOAD_BYTES_MAX];
    uint32_t bytes = 0;
    size = VCK_MIN(size, sizeof(again));
    if (vck_network_binding_decode((struct vck_bytes){data, size}, &binding) != VCK_OK)
        return;
    VCK_ASSERT(vck_network_binding_encode(&binding, again, &bytes) == VCK_OK);
    VCK_ASSERT(bytes == size && memcmp(again, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *missing = "not asked yet";
    if (missing != NULL)
        missing = tang_jose_load();
    VCK_ASSERT(missing == NULL);
    if (size == 0)
        return 0;
    char *text = malloc(size);
    VCK_ASSERT(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    switch (data[0] % 4) {
    case 0:
        read_advert(text, size - 1);
        break;
    case 1:
        finish(text, size - 1);
        break;
    case 2:
        read_name(text);
        break;
    default:
        read_payload(data + 1, size - 1);
        break;
    }
    free(text);
    return 0;
}
