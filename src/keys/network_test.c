/* SPDX-License-Identifier: Apache-2.0 */
/* Bindings of network slots, against those that another implementation made. */
#include "keys_test.h"
#include "port/port.h"
#include "vck/key_network.h"

#define NETWORK_VECTORS "tests/vectors/key-network-v1.json"

struct vectors {
    char *text;
    uint8_t volume_id[16], vmk[32], secret[32];
    uint8_t data[4096], record[4096];
    struct vck_bytes binding;
    struct vck_key_slot slot;
    struct vck_network_binding decoded;
};

static struct vectors vectors;

static int read_vectors(void **state)
{
    (void)state;
    struct vectors *v = &vectors;
    v->text = vectors_read(NETWORK_VECTORS);
    vectors_hex(v->text, "volume_id", v->volume_id, sizeof(v->volume_id));
    vectors_hex(v->text, "vmk", v->vmk, sizeof(v->vmk));
    vectors_hex(v->text, "secret", v->secret, sizeof(v->secret));
    v->binding = (struct vck_bytes){v->data, vectors_u32(v->text, "binding_size")};
    vectors_hex(v->text, "binding", v->data, v->binding.size_bytes);
    uint32_t size = vectors_u32(v->text, "record_size");
    vectors_hex(v->text, "record", v->record, size);
    v->slot = (struct vck_key_slot){.record = v->record,
                                    .size_bytes = size,
                                    .type = vck_load_le16(v->record + 2),
                                    .number = vck_load_le16(v->record + 4)};
    assert_int_equal(vck_network_binding_decode(v->binding, &v->decoded), VCK_OK);
    return 0;
}

static struct vck_bytes payload_of(const struct vck_key_slot *slot)
{
    struct vck_bytes payload = {0};
    assert_int_equal(vck_key_slot_payload(slot, &payload), VCK_OK);
    return payload;
}

static int free_vectors(void **state)
{
    (void)state;
    free(vectors.text);
    return 0;
}

/* The description of server i in the text. */
static const char *server_at(uint32_t i)
{
    const char *at = vectors.text;
    for (uint32_t n = 0; n <= i; n++)
        at = vectors_find(at, "url");
    return at;
}

static void reads_the_vectors(void **state)
{
    (void)state;
    const struct vectors *v = &vectors;
    char kid[VCK_NETWORK_THUMBPRINT_TEXT];
    uint8_t signer[32], thumbprint[32], parsed[32];
    assert_int_equal(v->decoded.threshold, 2);
    assert_int_equal(v->decoded.count, 3);
    for (uint32_t i = 0; i < v->decoded.count; i++) {
        const struct vck_network_server *server = &v->decoded.servers[i];
        const char *told = server_at(i);
        assert_memory_equal(told + 1, server->url, strlen(server->url));
        assert_int_equal(server->curve, vectors_u32(told, "curve"));
        vectors_hex(told, "signer", signer, sizeof(signer));
        assert_memory_equal(server->signer, signer, sizeof(signer));
        vck_network_thumbprint(server->curve, &server->server_key, thumbprint);
        vck_network_thumbprint_format(thumbprint, kid);
        assert_memory_equal(vectors_find(told, "kid") + 1, kid, sizeof(kid) - 1);
        assert_int_equal(
            vck_network_thumbprint_parse((struct vck_bytes){(const uint8_t *)kid, 43}, parsed),
            VCK_OK);
        assert_memory_equal(parsed, thumbprint, sizeof(parsed));
    }
}

static vck_status open_share(uint32_t index, struct vck_shamir_share *ret_share)
{
    uint8_t agreed[VCK_NETWORK_COORDINATE_BYTES];
    vectors_hex(server_at(index), "agreed_x", agreed, sizeof(agreed));
    return vck_network_share_open(&vectors.decoded, index, agreed, ret_share);
}

static void opens_the_vectors(void **state)
{
    (void)state;
    struct vck_shamir_share shares[3];
    struct vck_secret vmk = {0};
    uint8_t share[32], secret[32];
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(open_share(i, &shares[i]), VCK_OK);
        vectors_hex(server_at(i), "share", share, sizeof(share));
        assert_memory_equal(shares[i].bytes, share, sizeof(share));
        assert_int_equal(shares[i].number, i + 1);
    }
    assert_int_equal(vck_shamir_combine(shares + 1, 2, secret), VCK_OK);
    assert_memory_equal(secret, vectors.secret, sizeof(secret));
    struct vck_bytes binding = payload_of(&vectors.slot);
    assert_int_equal(binding.size_bytes, vectors.binding.size_bytes);
    assert_memory_equal(binding.data, vectors.data, binding.size_bytes);
    assert_int_equal(vck_key_slot_open(&vectors.slot, vectors.volume_id, BYTES(secret), NULL, &vmk),
                     VCK_OK);
    assert_memory_equal(vmk.data, vectors.vmk, sizeof(vectors.vmk));
    vck_secret_fini(&vmk);
}

/* Any bit of a binding is noticed. */
static void notices_changes(void **state)
{
    (void)state;
    struct vectors *v = &vectors;
    const struct vck_bytes binding = payload_of(&v->slot);
    uint8_t *bytes = v->record + (binding.data - v->record);
    struct vck_shamir_share share;
    struct vck_secret vmk = {0};
    for (size_t bit = 0; bit < binding.size_bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(vck_key_slot_open(&v->slot, v->volume_id, BYTES(v->secret), NULL, &vmk),
                         VCK_WRONG_KEY);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    v->decoded.threshold = 1;
    assert_int_equal(open_share(0, &share), VCK_WRONG_KEY);
    v->decoded.threshold = 2;
    v->decoded.servers[0].signer[0] ^= 1;
    assert_int_equal(open_share(0, &share), VCK_WRONG_KEY);
    v->decoded.servers[0].signer[0] ^= 1;
    assert_int_equal(open_share(0, &share), VCK_OK);
}

/* What was decoded gives the same bytes again, whatever was changed before; or it is refused. */
static void decodes_what_it_encodes(void **state)
{
    (void)state;
    static uint8_t changed[4096], again[VCK_KEY_PAYLOAD_BYTES_MAX];
    static struct vck_network_binding decoded;
    uint32_t size = 0, refused = 0;
    for (size_t bit = 0; bit < vectors.binding.size_bytes * 8; bit++) {
        memcpy(changed, vectors.data, vectors.binding.size_bytes);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        vck_status status = vck_network_binding_decode(
            (struct vck_bytes){changed, vectors.binding.size_bytes}, &decoded);
        if (status != VCK_OK) {
            assert_true(status == VCK_INVALID_DATA || status == VCK_UNSUPPORTED);
            refused++;
            continue;
        }
        assert_int_equal(vck_network_binding_encode(&decoded, again, &size), VCK_OK);
        assert_int_equal(size, vectors.binding.size_bytes);
        assert_memory_equal(again, changed, size);
    }
    assert_true(refused > 100);
    for (size_t size_bytes = 0; size_bytes < vectors.binding.size_bytes; size_bytes++)
        assert_int_not_equal(
            vck_network_binding_decode((struct vck_bytes){vectors.data, size_bytes}, &decoded),
            VCK_OK);
}

/* As many servers as there can be fill a slot to its end, and their shares open again; with URLs
 * that are longer they do not fit. */
static void the_largest_fits(void **state)
{
    (void)state;
    static struct vck_network_binding binding, decoded;
    static uint8_t data[VCK_KEY_PAYLOAD_BYTES_MAX], record[VCK_KEY_RECORD_BYTES_MAX];
    struct vck_shamir_share shares[VCK_NETWORK_SERVERS_MAX], opened;
    struct vck_secret vmk = {0};
    uint32_t size = 0, count = VCK_NETWORK_SERVERS_MAX;
    binding = (struct vck_network_binding){.threshold = count, .count = count};
    assert_int_equal(vck_shamir_split(vectors.secret, count, count, shares), VCK_OK);
    for (uint32_t i = 0; i < count; i++) {
        binding.servers[i] = vectors.decoded.servers[0];
        memset(binding.servers[i].url, 0, sizeof(binding.servers[i].url));
        memset(binding.servers[i].url, 'a', i == 0 ? 64 : 56);
        assert_int_equal(
            vck_network_share_seal(&binding, i, binding.servers[i].slot_key.x, &shares[i]), VCK_OK);
    }
    binding.servers[0].url[64] = 'a';
    assert_int_equal(vck_network_binding_bytes(&binding), sizeof(data) + 8);
    assert_int_equal(vck_network_binding_encode(&binding, data, &size), VCK_DISK_FULL);
    binding.servers[0].url[64] = 0;
    assert_int_equal(vck_network_binding_encode(&binding, data, &size), VCK_OK);
    assert_int_equal(size, sizeof(data));
    const struct vck_key_slot_spec spec = {
        .type = VCK_KEY_NETWORK, .number = 7, .payload = {data, size}};
    assert_int_equal(vck_key_slot_make(&spec, test_volume_id, BYTES(vectors.secret),
                                       BYTES(vectors.vmk), NULL, record, &size),
                     VCK_OK);
    struct vck_key_slot slot = {.record = record, .size_bytes = size, .type = VCK_KEY_NETWORK};
    assert_int_equal(vck_network_binding_decode(payload_of(&slot), &decoded), VCK_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(
            vck_network_share_open(&decoded, i, decoded.servers[i].slot_key.x, &opened), VCK_OK);
        assert_memory_equal(&opened, &shares[i], sizeof(opened));
    }
    assert_int_equal(vck_key_slot_open(&slot, test_volume_id, BYTES(vectors.secret), NULL, &vmk),
                     VCK_OK);
    vck_secret_fini(&vmk);
}

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    static struct vck_network_binding binding;
    static uint8_t data[VCK_KEY_PAYLOAD_BYTES_MAX], record[VCK_KEY_RECORD_BYTES_MAX];
    static const uint8_t binding_bytes[8];
    uint32_t size;
    uint8_t thumbprint[32];
    const struct vck_key_slot_spec specs[] = {
        {.type = VCK_KEY_NETWORK},
        {.type = VCK_KEY_NETWORK,
         .payload = BYTES(binding_bytes),
         .kdf = {VCK_KEY_PBKDF2, 1, 0, 0}},
        {.type = VCK_KEY_FILE, .payload = BYTES(binding_bytes)},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(specs); i++)
        assert_int_equal(vck_key_slot_make(&specs[i], test_volume_id, BYTES(vectors.secret),
                                           BYTES(vectors.vmk), NULL, record, &size),
                         VCK_INVALID_DATA);
    for (unsigned i = 0; i < 4; i++) {
        binding = vectors.decoded;
        binding.threshold = i == 0 ? 0 : i == 1 ? 4 : 2;
        if (i == 2)
            binding.servers[1].url[0] = ' ';
        if (i == 3) /* more than P-256 has */
            binding.servers[1].server_key.x[33] = 1;
        assert_int_equal(vck_network_binding_encode(&binding, data, &size), VCK_INVALID_DATA);
    }
    binding = vectors.decoded;
    binding.servers[0].curve = 4;
    assert_int_equal(vck_network_binding_encode(&binding, data, &size), VCK_UNSUPPORTED);
    assert_int_equal(vck_network_thumbprint_parse(TEXT("short"), thumbprint), VCK_INVALID_DATA);
    assert_int_equal(vck_network_thumbprint_parse(
                         TEXT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+"), thumbprint),
                     VCK_INVALID_DATA);
    assert_int_equal(vck_network_thumbprint_parse(
                         TEXT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"), thumbprint),
                     VCK_INVALID_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_vectors), cmocka_unit_test(opens_the_vectors),
        cmocka_unit_test(notices_changes),   cmocka_unit_test(decodes_what_it_encodes),
        cmocka_unit_test(the_largest_fits),  cmocka_unit_test(refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, read_vectors, free_vectors);
}
