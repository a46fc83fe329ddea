/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads and policies against vectors; what comes of responses that a TPM gives rarely, or never.
 * What a TPM gives usually is tried with one. */
#include "vectors.h"
#include "internal.h"

#define VECTORS "tests/vectors/key-slots-v1.json"

/* ---- a transport that plays back ---- */

#define RESPONSES_MAX 40u

struct player {
    struct vck_tpm_transport transport;
    struct {
        uint8_t bytes[600];
        size_t size_bytes;
        vck_status status;
    } responses[RESPONSES_MAX];
    unsigned count, played, pauses;
    uint32_t paused_ms;
    uint8_t last_command[VCK_TPM_MESSAGE_BYTES];
};

static vck_status play(struct vck_tpm_transport *transport, struct vck_bytes command,
                       uint8_t *response, size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct player *player = VCK_CONTAINER_OF(transport, struct player, transport);
    assert_true(player->played < player->count);
    assert_int_equal(capacity_bytes, VCK_TPM_MESSAGE_BYTES);
    assert_int_equal(vck_load_be32(command.data + 2), command.size_bytes);
    memcpy(player->last_command, command.data, command.size_bytes);
    unsigned i = player->played++;
    memcpy(response, player->responses[i].bytes, player->responses[i].size_bytes);
    *ret_size_bytes = player->responses[i].size_bytes;
    return player->responses[i].status;
}

static void count_pause(struct vck_tpm_transport *transport, uint32_t time_ms)
{
    struct player *player = VCK_CONTAINER_OF(transport, struct player, transport);
    player->pauses++;
    player->paused_ms += time_ms;
}

static void begin(struct player *player, struct vck_tpm *tpm)
{
    memset(player, 0, sizeof(*player));
    player->transport = (struct vck_tpm_transport){.submit = play, .pause = count_pause};
    vck_tpm_init(tpm, &player->transport);
}

/* A response without sessions. */
static struct writer add_response(struct player *player, uint32_t code)
{
    assert_true(player->count < RESPONSES_MAX);
    struct writer w = {.start = player->responses[player->count].bytes, .capacity_bytes = 600};
    put_u16(&w, 0x8001);
    put_u32(&w, 0);
    put_u32(&w, code);
    return w;
}

static void end_response(struct player *player, struct writer *w)
{
    vck_store_be32(w->start + 2, (uint32_t)w->size_bytes);
    player->responses[player->count++].size_bytes = w->size_bytes;
}

static void add_code(struct player *player, uint32_t code)
{
    struct writer w = add_response(player, code);
    end_response(player, &w);
}

/* Of these PCRs, each the value of its number over and over. */
static void add_pcrs(struct player *player, uint32_t pcrs)
{
    uint8_t value[VCK_TPM_DIGEST_BYTES];
    struct writer w = add_response(player, 0);
    put_u32(&w, 77);
    put_pcrs(&w, pcrs);
    put_u32(&w, (uint32_t)__builtin_popcount(pcrs));
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++) {
        memset(value, (int)i, sizeof(value));
        if ((pcrs >> i & 1u) != 0)
            put_sized(&w, value, sizeof(value));
    }
    end_response(player, &w);
}

static bool says(const struct vck_tpm *tpm, const char *words)
{
    char text[VCK_TPM_TEXT_BYTES];
    vck_tpm_explain(tpm, text);
    assert_true(strlen(text) < sizeof(text));
    return strstr(text, words) != NULL;
}

/* ---- PCRs, and responses as such ---- */

static struct player player;
static struct vck_tpm tpm;

/* A TPM gives up to eight of them at once. */
static void reads_pcrs_in_pieces(void **state)
{
    (void)state;
    struct vck_tpm_policy policy = {.pcrs = 0x00ff1f83};
    begin(&player, &tpm);
    add_pcrs(&player, 0x00001083);
    add_pcrs(&player, 0x00ff0000);
    add_pcrs(&player, 0x00000f00);
    assert_int_equal(vck_tpm_read_pcrs(&tpm, &policy), VCK_OK);
    assert_int_equal(player.played, 3);
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++)
        assert_int_equal(policy.values[i][31], (policy.pcrs >> i & 1u) != 0 ? i : 0);
}

static void says_that_there_is_no_bank(void **state)
{
    (void)state;
    struct vck_tpm_policy policy = {.pcrs = 1u << 7 | 1u << 23};
    begin(&player, &tpm);
    add_pcrs(&player, 1u << 7);
    add_pcrs(&player, 0);
    assert_int_equal(vck_tpm_read_pcrs(&tpm, &policy), VCK_UNSUPPORTED);
    assert_true(says(&tpm, "no SHA-256 value of PCR 23"));
}

static void repeats_what_it_is_asked_to(void **state)
{
    (void)state;
    static const uint32_t codes[] = {0x922, 0x908, 0x90a};
    struct vck_tpm_policy policy = {.pcrs = 1};
    begin(&player, &tpm);
    for (unsigned i = 0; i < VCK_ARRAY_COUNT(codes); i++)
        add_code(&player, codes[i]);
    add_pcrs(&player, 1);
    assert_int_equal(vck_tpm_read_pcrs(&tpm, &policy), VCK_OK);
    assert_int_equal(player.pauses, VCK_ARRAY_COUNT(codes));
    begin(&player, &tpm);
    for (unsigned i = 0; i < 30; i++)
        add_code(&player, 0x922);
    assert_int_equal(vck_tpm_read_pcrs(&tpm, &policy), VCK_IO);
    assert_int_equal(player.played, 12);
    assert_in_range(player.paused_ms, 2000, 10000);
    assert_true(says(&tpm, "refuses command 0x17e: response 0x922"));
}

static void passes_on_the_transports_failure(void **state)
{
    (void)state;
    struct vck_tpm_policy policy = {.pcrs = 1};
    begin(&player, &tpm);
    add_code(&player, 0);
    player.responses[0].status = VCK_TIMEOUT;
    assert_int_equal(vck_tpm_read_pcrs(&tpm, &policy), VCK_TIMEOUT);
    assert_true(says(&tpm, "cannot be reached"));
}

/* Cut anywhere, and changed in every bit that means something. */
static void takes_no_nonsense(void **state)
{
    (void)state;
    struct vck_tpm_policy policy = {.pcrs = 3};
    begin(&player, &tpm);
    add_pcrs(&player, 3);
    size_t whole = player.responses[0].size_bytes;
    for (size_t size = 0; size < whole; size++) {
        for (unsigned fixed = 0; fixed < 2; fixed++) {
            player.played = 0;
            player.responses[0].size_bytes = size;
            vck_store_be32(player.responses[0].bytes + 2, (uint32_t)(fixed ? size : whole));
            assert_int_equal(vck_tpm_read_pcrs(&tpm, &policy), VCK_INVALID_DATA);
            assert_true(says(&tpm, "not a response of the TPM"));
        }
    }
    player.responses[0].size_bytes = whole;
    vck_store_be32(player.responses[0].bytes + 2, (uint32_t)whole);
    for (size_t bit = 0; bit < whole * 8; bit++) {
        size_t byte = bit / 8;
        bool is_counter = byte >= 10 && byte < 14;
        bool is_value = (byte >= 30 && byte < 62) || byte >= 64;
        bool is_code = byte >= 6 && byte < 10;
        player.played = 0;
        player.responses[0].bytes[byte] ^= (uint8_t)(1 << bit % 8);
        vck_status status = vck_tpm_read_pcrs(&tpm, &policy);
        if (is_counter || is_value)
            assert_int_equal(status, VCK_OK);
        else
            assert_int_equal(status, is_code ? VCK_IO : VCK_INVALID_DATA);
        player.responses[0].bytes[byte] ^= (uint8_t)(1 << bit % 8);
    }
}

/* ---- payloads ---- */

/* The payload of the vectors, which another implementation made, and the digest of its policy. */
static struct vck_bytes read_vector(uint8_t buffer[4096], uint8_t ret_policy[32])
{
    char *text = vectors_read(VECTORS);
    vectors_hex(text, "policy", ret_policy, 32);
    const char *slot = strstr(text, "TPM, with a PIN");
    assert_non_null(slot);
    uint32_t size = vectors_u32(slot, "record_size");
    assert_true(size <= 4096);
    vectors_hex(slot, "record", buffer, size);
    free(text);
    /* Behind 160 bytes, a key of 32 bytes and a tag of 16. */
    assert_true(size > 208);
    return (struct vck_bytes){buffer + 208, vck_load_le16(buffer + 98)};
}

static void reads_the_vector(void **state)
{
    (void)state;
    uint8_t buffer[4096], again[VCK_TPM_SEALED_BYTES], wanted[32], digest[32];
    struct vck_bytes payload = read_vector(buffer, wanted);
    struct sealed sealed;
    size_t size = 0;
    assert_int_equal(sealed_parse(payload, &sealed), VCK_OK);
    assert_int_equal(sealed.policy.pcrs, 1u << 7 | 1u << 12);
    assert_true(sealed.policy.has_pin);
    assert_int_equal(sealed.public_area.size_bytes, 78);
    assert_int_equal(sealed.private_area.size_bytes, 161);
    policy_digest(&sealed.policy, digest);
    assert_memory_equal(digest, wanted, sizeof(digest));
    assert_int_equal(sealed_format(&sealed, again, &size), VCK_OK);
    assert_int_equal(size, payload.size_bytes);
    assert_memory_equal(again, payload.data, size);
}

static void refuses_other_payloads(void **state)
{
    (void)state;
    static const struct {
        unsigned at;
        uint8_t value;
        vck_status status;
    } changes[] = {
        {0, 2, VCK_UNSUPPORTED},  {2, 2, VCK_UNSUPPORTED},   {3, 1, VCK_UNSUPPORTED},
        {8, 4, VCK_UNSUPPORTED},  {7, 1, VCK_INVALID_DATA},  {14, 1, VCK_INVALID_DATA},
        {4, 1, VCK_INVALID_DATA}, {11, 1, VCK_INVALID_DATA}, {12, 1, VCK_INVALID_DATA},
    };
    uint8_t buffer[4096], exact[4096], digest[32];
    struct vck_bytes payload = read_vector(buffer, digest);
    struct vck_tpm_policy policy;
    for (unsigned i = 0; i < VCK_ARRAY_COUNT(changes); i++) {
        memcpy(exact, payload.data, payload.size_bytes);
        exact[changes[i].at] ^= changes[i].value;
        assert_int_equal(vck_tpm_policy_of((struct vck_bytes){exact, payload.size_bytes}, &policy),
                         changes[i].status);
    }
    for (size_t size = 0; size < payload.size_bytes; size++) {
        uint8_t *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, payload.data, size);
        assert_int_equal(vck_tpm_policy_of((struct vck_bytes){copy, size}, &policy),
                         VCK_INVALID_DATA);
        free(copy);
    }
    begin(&player, &tpm);
    exact[0] = 9;
    assert_int_equal(vck_tpm_check(&tpm, (struct vck_bytes){exact, payload.size_bytes}),
                     VCK_UNSUPPORTED);
    assert_true(says(&tpm, "known here"));
    assert_int_equal(player.played, 0);
}

static void names_what_differs(void **state)
{
    (void)state;
    uint8_t buffer[4096], digest[32];
    struct vck_bytes payload = read_vector(buffer, digest);
    begin(&player, &tpm);
    add_pcrs(&player, 1u << 7 | 1u << 12);
    assert_int_equal(vck_tpm_check(&tpm, payload), VCK_VALIDATION_FAILED);
    assert_true(says(&tpm, "PCR 7, 12 has another value"));
    assert_int_equal(player.played, 1);
}

static void writes_pcrs_in_words(void **state)
{
    (void)state;
    char text[96];
    vck_tpm_pcrs_text(0xffffff, text, sizeof(text));
    assert_string_equal(text, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, "
                              "19, 20, 21, 22, 23");
    vck_tpm_pcrs_text(0, text, sizeof(text));
    assert_string_equal(text, "");
    vck_tpm_pcrs_text(1u << 23, text, sizeof(text));
    assert_string_equal(text, "23");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_pcrs_in_pieces),
        cmocka_unit_test(says_that_there_is_no_bank),
        cmocka_unit_test(repeats_what_it_is_asked_to),
        cmocka_unit_test(passes_on_the_transports_failure),
        cmocka_unit_test(takes_no_nonsense),
        cmocka_unit_test(reads_the_vector),
        cmocka_unit_test(refuses_other_payloads),
        cmocka_unit_test(names_what_differs),
        cmocka_unit_test(writes_pcrs_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
