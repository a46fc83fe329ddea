/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/tang.h"
#include <string.h>
#include "port/port.h"
#include "products/vck/tang_exchange.h"
#include "products/vck/tang_jose.h"

#define TANG_TAG       VCK_TAG('C', 't', 'n', 'g')
#define TIME_S_DEFAULT 10u

/* ---- words ---- */

int tang_time(const struct command *command, uint32_t *ret_time_s)
{
    return option_u32(command, OPTION_SERVER_TIME, 1, TANG_TIME_S_MAX, TIME_S_DEFAULT, ret_time_s);
}

static const char *explain_late(const struct tang_exchange *x, uint32_t time_s,
                                char buffer[TANG_WORDS_BYTES])
{
    static const char *const what[] = {[TANG_NAME] = "the name of its host was not found",
                                       [TANG_CONNECT] = "there was no connection",
                                       [TANG_ANSWER] = "there was no answer"};
    snprintf(buffer, TANG_WORDS_BYTES, "%s within %u s", what[x->stage], time_s);
    return buffer;
}

const char *tang_explain(const struct tang_exchange *x, uint32_t time_s,
                         char buffer[TANG_WORDS_BYTES])
{
    switch (x->status) {
    case VCK_OK:
        snprintf(buffer, TANG_WORDS_BYTES, "it answered with HTTP %u%s", x->answer.code,
                 x->answer.code == 404 ? ": there is nothing of that name" : "");
        return x->answer.code == 200 ? NULL : buffer;
    case VCK_TIMEOUT:
        return explain_late(x, time_s, buffer);
    case VCK_NOT_FOUND:
        return "the name of its host is not known";
    case VCK_REFUSED:
        return "it refused the connection";
    case VCK_UNREACHABLE:
        return x->stage == TANG_NAME ? "nobody can be asked for the name of its host"
                                     : "there is no way to it";
    case VCK_RESET:
        return "it broke the connection off";
    case VCK_OUT_OF_RANGE:
        return "its answer was cut short";
    case VCK_SIZE_MISMATCH:
        return "its answer is too long";
    case VCK_INVALID_DATA:
        return "it does not speak HTTP";
    case VCK_UNSUPPORTED:
        return "its answer is encoded in a way that is not known here";
    default:
        return vck_status_text(x->status);
    }
}

/* ---- unlocking ---- */

struct asked {
    struct tang_exchange exchange;
    struct tang_question question;
    const char *wrong; /* words; NULL: it was asked, or has given its share */
};

struct unlocking {
    struct tang_meeting meeting;
    struct tang_exchange *exchanges[VCK_NETWORK_SERVERS_MAX];
    uint32_t places[VCK_NETWORK_SERVERS_MAX]; /* of each exchange, its place in the binding */
    struct vck_network_binding binding;
    struct asked all[VCK_NETWORK_SERVERS_MAX];
    struct vck_shamir_share shares[VCK_NETWORK_SERVERS_MAX];
    uint32_t share_count;
};

/* NULL: the server is ready to be asked. */
static const char *prepare(const struct vck_network_server *server, struct asked *asked)
{
    char kid[VCK_NETWORK_THUMBPRINT_TEXT], suffix[sizeof("/rec/") + VCK_NETWORK_THUMBPRINT_TEXT];
    uint8_t thumbprint[VCK_NETWORK_THUMBPRINT_BYTES];
    const char *wrong = tang_url_parse(server->url, &asked->exchange.url);
    if (wrong == NULL)
        wrong = tang_jose_ask(server, &asked->question);
    if (wrong != NULL)
        return wrong;
    vck_network_thumbprint(server->curve, &server->server_key, thumbprint);
    vck_network_thumbprint_format(thumbprint, kid);
    snprintf(suffix, sizeof(suffix), "/rec/%s", kid);
    return tang_exchange_prepare(&asked->exchange, suffix, asked->question.body)
               ? NULL
               : "what it is to be asked is too long";
}

static const char *take_share(struct unlocking *u, uint32_t index)
{
    uint8_t agreed[VCK_NETWORK_COORDINATE_BYTES];
    uint32_t place = u->places[index];
    const struct tang_exchange *x = u->exchanges[index];
    const char *wrong = tang_jose_finish(&u->binding.servers[place], &u->all[place].question,
                                         x->data + x->answer.body_at, x->answer.body_bytes, agreed);
    if (wrong == NULL) {
        vck_status status =
            vck_network_share_open(&u->binding, place, agreed, &u->shares[u->share_count]);
        if (status == VCK_OK)
            u->share_count++;
        else
            wrong = "its answer is wrong: the share does not open with it";
    }
    vck_wipe(agreed, sizeof(agreed));
    return wrong;
}

static bool has_ended(struct tang_meeting *meeting, uint32_t index)
{
    struct unlocking *u = VCK_CONTAINER_OF(meeting, struct unlocking, meeting);
    const struct tang_exchange *x = u->exchanges[index];
    if (x->status == VCK_OK && x->answer.code == 200)
        u->all[u->places[index]].wrong = take_share(u, index);
    return u->share_count == u->binding.threshold;
}

static vck_status ask_all(struct unlocking *u) VCK_CAN_WAIT
{
    struct tang_meeting *meeting = &u->meeting;
    for (uint32_t i = 0; i < u->binding.count; i++) {
        struct asked *asked = &u->all[i];
        asked->wrong = prepare(&u->binding.servers[i], asked);
        if (asked->wrong != NULL)
            continue;
        u->places[meeting->count] = i;
        u->exchanges[meeting->count++] = &asked->exchange;
    }
    meeting->exchanges = u->exchanges;
    meeting->ended = has_ended;
    return meeting->count > 0 ? tang_meeting_hold(meeting) : VCK_OK;
}

static void tell(const struct command *command, const struct vck_key_slot *slot,
                 const struct unlocking *u)
{
    char buffer[TANG_WORDS_BYTES];
    for (uint32_t i = 0; i < u->binding.count; i++) {
        const struct asked *asked = &u->all[i];
        const struct tang_exchange *x = &asked->exchange;
        const char *wrong = asked->wrong;
        if (wrong == NULL && x->status == VCK_OK && x->answer.code == 404)
            wrong = "it does not have the slot's key any more (HTTP 404): its keys were rotated";
        if (wrong == NULL)
            wrong = tang_explain(x, u->meeting.time_s, buffer);
        if (wrong != NULL)
            warn(command, "slot %u: %s: %s", slot->number, u->binding.servers[i].url, wrong);
    }
    warn(command, "slot %u: %u of %u servers gave their share, and %u are needed", slot->number,
         u->share_count, u->binding.count, u->binding.threshold);
}

static vck_status combine(const struct unlocking *u, struct vck_secret *ret_secret)
{
    vck_status status = vck_secret_init(ret_secret, VCK_NETWORK_SECRET_BYTES);
    if (status != VCK_OK)
        return status;
    status = vck_shamir_combine(u->shares, u->share_count, ret_secret->data);
    if (status != VCK_OK)
        vck_secret_fini(ret_secret);
    return status;
}

vck_status tang_unlock(const struct command *command, const struct vck_key_slot *slot,
                       struct vck_bytes payload, struct vck_secret *ret_secret)
{
    vck_status status = VCK_INVALID_DATA;
    const char *missing = tang_jose_load();
    if (missing != NULL) {
        warn(command, "slot %u: %s", slot->number, missing);
        return VCK_UNSUPPORTED;
    }
    struct unlocking *u = vck_alloc_pages(sizeof(*u), TANG_TAG);
    if (u == NULL)
        return VCK_NO_MEMORY;
    memset(u, 0, sizeof(*u));
    if (tang_time(command, &u->meeting.time_s) == EXIT_OK)
        status = vck_network_binding_decode(payload, &u->binding);
    if (status == VCK_OK)
        status = ask_all(u);
    if (status != VCK_OK) {
        warn(command, "slot %u: its servers cannot be asked: %s", slot->number,
             vck_status_text(status));
    } else if (u->share_count < u->binding.threshold) {
        tell(command, slot, u);
        status = VCK_UNREACHABLE;
    } else {
        status = combine(u, ret_secret);
    }
    for (uint32_t i = 0; i < u->binding.count; i++)
        tang_jose_fini(&u->all[i].question);
    vck_wipe(u, sizeof(*u));
    vck_free_pages(u, sizeof(*u));
    return status;
}
