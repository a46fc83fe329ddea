/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tang_bind: making a network slot. Every server is asked for its keys, their signatures checked,
 * and nothing is bound to a server whose signing key nobody trusts.
 */
#include <string.h>
#include "port/port.h"
#include "products/vck/os.h"
#include "products/vck/tang.h"
#include "products/vck/tang_exchange.h"
#include "products/vck/tang_jose.h"

_Static_assert(COMMAND_REPEATS_MAX <= VCK_NETWORK_SERVERS_MAX, "each --tang has a place");

#define BIND_TAG VCK_TAG('C', 't', 'n', 'b')

struct bound {
    struct tang_name name;
    struct tang_exchange exchange;
    struct tang_advert advert;
    const uint8_t *signer; /* the one that is trusted */
};

struct binder {
    const struct command *command;
    struct tang_meeting meeting;
    struct tang_exchange *exchanges[VCK_NETWORK_SERVERS_MAX];
    struct bound servers[VCK_NETWORK_SERVERS_MAX];
    struct vck_network_binding binding;
    struct vck_shamir_share shares[VCK_NETWORK_SERVERS_MAX];
};

/* ---- who is asked ---- */

static int read_names(struct binder *b)
{
    const struct command *command = b->command;
    if (command->repeat_count == 0)
        return report_usage(command, "a network slot is bound to servers, named with --tang");
    b->binding.count = command->repeat_count;
    for (uint32_t i = 0; i < b->binding.count; i++) {
        struct bound *server = &b->servers[i];
        const char *wrong = tang_name_parse(command->repeats[i], &server->name);
        for (uint32_t j = 0; j < i && wrong == NULL; j++)
            if (strcmp(server->name.url, b->servers[j].name.url) == 0)
                wrong = "it is named twice";
        if (wrong == NULL)
            wrong = tang_url_parse(server->name.url, &server->exchange.url);
        if (wrong == NULL && !tang_exchange_prepare(&server->exchange, "/adv", NULL))
            wrong = "it is too long";
        if (wrong != NULL)
            return report_usage(command, "--tang %s: %s", command->repeats[i], wrong);
        strcpy(b->binding.servers[i].url, server->name.url);
        b->exchanges[i] = &server->exchange;
    }
    return option_u32(command, OPTION_THRESHOLD, 1, b->binding.count, b->binding.count,
                      &b->binding.threshold);
}

static int check_size(const struct binder *b)
{
    uint32_t needed = vck_network_binding_bytes(&b->binding);
    if (needed <= VCK_KEY_PAYLOAD_BYTES_MAX)
        return EXIT_OK;
    return report(b->command, EXIT_REFUSED,
                  "%u servers with these URLs need %u bytes, and a key slot has room for %u: name "
                  "fewer, or shorter URLs",
                  b->binding.count, needed, VCK_KEY_PAYLOAD_BYTES_MAX);
}

/* ---- what they say ---- */

/* NULL, or what is wrong. */
static const char *read_answer(struct binder *b, struct bound *server,
                               char buffer[TANG_WORDS_BYTES])
{
    const struct tang_exchange *x = &server->exchange;
    const char *wrong = tang_explain(x, b->meeting.time_s, buffer);
    return wrong != NULL ? wrong
                         : tang_jose_read_advert(x->data + x->answer.body_at, x->answer.body_bytes,
                                                 &server->advert);
}

static int ask_all(struct binder *b) VCK_CAN_WAIT
{
    char buffer[TANG_WORDS_BYTES];
    int code = EXIT_OK;
    b->meeting.exchanges = b->exchanges;
    b->meeting.count = b->binding.count;
    vck_status status = tang_meeting_hold(&b->meeting);
    if (status != VCK_OK)
        return report(b->command, EXIT_FAILED, "no server can be asked: %s",
                      vck_status_text(status));
    for (uint32_t i = 0; i < b->binding.count; i++) {
        const char *wrong = read_answer(b, &b->servers[i], buffer);
        if (wrong != NULL)
            code = report(b->command, EXIT_FAILED, "%s: %s", b->servers[i].name.url, wrong);
    }
    return code;
}

/* ---- who is trusted ---- */

static int find_signer(const struct binder *b, struct bound *server)
{
    char text[VCK_NETWORK_THUMBPRINT_TEXT];
    for (uint32_t i = 0; i < server->advert.signer_count; i++)
        if (memcmp(server->advert.signers[i], server->name.thumbprint,
                   VCK_NETWORK_THUMBPRINT_BYTES) == 0)
            server->signer = server->advert.signers[i];
    if (server->signer != NULL)
        return EXIT_OK;
    vck_network_thumbprint_format(server->advert.signers[0], text);
    return report(b->command, EXIT_REFUSED,
                  "%s: its advertisement is not signed by the key that is trusted, but by %s",
                  server->name.url, text);
}

/* The first time a server is met, somebody says that it is the right one. */
static int ask_whether_trusted(const struct binder *b, struct bound *server)
{
    char text[VCK_NETWORK_THUMBPRINT_TEXT], answer[16];
    size_t size = 0;
    vck_network_thumbprint_format(server->advert.signers[0], text);
    server->signer = server->advert.signers[0];
    if (option_given(b->command, OPTION_TRUST)) {
        warn(b->command, "%s is trusted with the signing key %s", server->name.url, text);
        return EXIT_OK;
    }
    if (!os_can_ask())
        return report(
            b->command, EXIT_REFUSED,
            "%s: its signing key is %s; behind the URL and a comma it is trusted, and with "
            "--trust whatever it is",
            server->name.url, text);
    fprintf(stderr, "%s has the signing key\n    %s\n", server->name.url, text);
    int error =
        os_ask("Is that the key of this server (tang-show-keys there tells)? Type yes: ", false,
               answer, sizeof(answer), &size);
    if (error == 0 && size == 3 && memcmp(answer, "yes", 3) == 0)
        return EXIT_OK;
    return report(b->command, EXIT_REFUSED, "nothing was changed");
}

static int check_trust(struct binder *b)
{
    int code = EXIT_OK;
    for (uint32_t i = 0; i < b->binding.count && code == EXIT_OK; i++) {
        struct bound *server = &b->servers[i];
        code =
            server->name.has_thumbprint ? find_signer(b, server) : ask_whether_trusted(b, server);
    }
    return code;
}

/* ---- the shares ---- */

static int seal_share(struct binder *b, uint32_t index)
{
    uint8_t agreed[VCK_NETWORK_COORDINATE_BYTES];
    const struct bound *from = &b->servers[index];
    struct vck_network_server *server = &b->binding.servers[index];
    vck_status status = VCK_OK;
    server->curve = from->advert.curve;
    server->server_key = from->advert.key;
    memcpy(server->signer, from->signer, sizeof(server->signer));
    const char *wrong = tang_jose_bind(server, agreed);
    if (wrong == NULL)
        status = vck_network_share_seal(&b->binding, index, agreed, &b->shares[index]);
    vck_wipe(agreed, sizeof(agreed));
    if (wrong == NULL && status == VCK_OK)
        return EXIT_OK;
    return report(b->command, EXIT_FAILED, "%s: %s", from->name.url,
                  wrong != NULL ? wrong : vck_status_text(status));
}

static int make_shares(struct binder *b, struct vck_secret *ret_secret)
{
    int code = EXIT_OK;
    vck_status status = vck_secret_init(ret_secret, VCK_NETWORK_SECRET_BYTES);
    if (status == VCK_OK)
        status = vck_random(ret_secret->data, ret_secret->size_bytes);
    if (status == VCK_OK)
        status =
            vck_shamir_split(ret_secret->data, b->binding.threshold, b->binding.count, b->shares);
    if (status != VCK_OK)
        return report(b->command, EXIT_FAILED, "cannot make a secret: %s", vck_status_text(status));
    for (uint32_t i = 0; i < b->binding.count && code == EXIT_OK; i++)
        code = seal_share(b, i);
    return code;
}

static int bind_to_all(struct binder *b, struct vck_secret *ret_secret) VCK_CAN_WAIT
{
    int code = tang_time(b->command, &b->meeting.time_s);
    if (code == EXIT_OK)
        code = read_names(b);
    if (code == EXIT_OK)
        code = check_size(b);
    if (code == EXIT_OK)
        code = ask_all(b);
    if (code == EXIT_OK)
        code = check_trust(b);
    return code == EXIT_OK ? make_shares(b, ret_secret) : code;
}

int tang_bind(const struct command *command, struct vck_secret *ret_secret,
              uint8_t ret_payload[VCK_KEY_PAYLOAD_BYTES_MAX], size_t *ret_payload_bytes)
{
    const char *missing = tang_jose_load();
    if (missing != NULL)
        return report(command, EXIT_REFUSED, "%s", missing);
    struct binder *b = vck_alloc_pages(sizeof(*b), BIND_TAG);
    if (b == NULL)
        return report(command, EXIT_FAILED, "no memory for the servers' answers");
    memset(b, 0, sizeof(*b));
    b->command = command;
    int code = bind_to_all(b, ret_secret);
    if (code == EXIT_OK) {
        uint32_t size_bytes = 0;
        vck_status status = vck_network_binding_encode(&b->binding, ret_payload, &size_bytes);
        *ret_payload_bytes = size_bytes;
        if (status != VCK_OK)
            code = report(command, EXIT_FAILED, "cannot make a network slot: %s",
                          vck_status_text(status));
    }
    vck_wipe(b, sizeof(*b));
    vck_free_pages(b, sizeof(*b));
    return code;
}
