/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_test.h"
#include "port/port.h"
#include "vck/block.h"

static const uint8_t vmk[32] = "the key of everything";

static struct vck_key_slot slot_of(const uint8_t *record)
{
    struct vck_key_slot slot = {
        .record = record,
        .size_bytes = vck_load_le16(record),
        .type = vck_load_le16(record + 2),
        .number = vck_load_le16(record + 4),
    };
    return slot;
}

/* Slots of every type, made by another implementation. */
static void opens_the_vectors(void **state)
{
    (void)state;
    char *text = vectors_read(VECTORS), recovery[VCK_KEY_RECOVERY_TEXT];
    uint8_t id[16], key[32], secret[4096], record[VCK_KEY_RECORD_BYTES_MAX];
    int count = 0;
    vectors_hex(text, "volume_id", id, sizeof(id));
    vectors_hex(text, "vmk", key, sizeof(key));
    for (const char *at = text; (at = vectors_find(at, "name")) != NULL; count++) {
        struct vck_secret opened = {0};
        struct vck_key_kdf kdf;
        struct vck_bytes payload;
        struct vck_bytes offer = {secret, vectors_u32(at, "secret_size")};
        vectors_hex(at, "secret", secret, offer.size_bytes);
        vectors_hex(at, "record", record, vectors_u32(at, "record_size"));
        struct vck_key_slot slot = slot_of(record);
        assert_int_equal(vck_key_slot_kdf(&slot, &kdf), VCK_OK);
        assert_int_equal(kdf.kind, vectors_u32(at, "kdf"));
        assert_int_equal(kdf.passes, vectors_u32(at, "passes"));
        assert_int_equal(kdf.memory_kib, vectors_u32(at, "memory_kib"));
        assert_int_equal(kdf.lanes, vectors_u32(at, "lanes"));
        assert_int_equal(vck_key_slot_payload(&slot, &payload),
                         slot.type == VCK_KEY_TPM ? VCK_OK : VCK_NOT_FOUND);
        assert_int_equal(vck_key_slot_open(&slot, id, offer, NULL, &opened), VCK_OK);
        assert_int_equal(opened.size_bytes, sizeof(key));
        assert_memory_equal(opened.data, key, sizeof(key));
        vck_secret_fini(&opened);
        secret[0] ^= 1;
        assert_int_equal(vck_key_slot_open(&slot, id, offer, NULL, &opened), VCK_WRONG_KEY);
        if (slot.type == VCK_KEY_RECOVERY) {
            secret[0] ^= 1;
            vck_key_recovery_format(secret, recovery);
            assert_memory_equal(vectors_find(text, "recovery_text") + 1, recovery, 55);
        }
    }
    assert_int_equal(count, 7);
    free(text);
}

/* Whatever it is that changes outside of label and time, the slot does not open. */
static void notices_changes(void **state)
{
    (void)state;
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX], secret[16] = "sixteen letters.", id[16];
    struct vck_bytes made = make_test_slot(3, secret, BYTES(vmk), record);
    memcpy(id, test_volume_id, sizeof(id));
    for (size_t bit = 0; bit < made.size_bytes * 8; bit++) {
        struct vck_secret opened = {0};
        struct vck_key_slot slot;
        bool is_free = bit >= 24 * 8 && bit < 96 * 8;
        record[bit / 8] ^= (uint8_t)(1 << bit % 8);
        slot = slot_of(record);
        slot.size_bytes = VCK_MIN(slot.size_bytes, (uint32_t)made.size_bytes);
        vck_status status = vck_key_slot_open(&slot, id, BYTES(secret), NULL, &opened);
        assert_true(is_free == (status == VCK_OK));
        vck_secret_fini(&opened);
        record[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 128; bit++) {
        struct vck_secret opened = {0};
        struct vck_key_slot slot = slot_of(record);
        id[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(vck_key_slot_open(&slot, id, BYTES(secret), NULL, &opened), VCK_WRONG_KEY);
        id[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Nor does it under another payload, of whatever size. */
static void covers_the_payload(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, 8, 300, VCK_KEY_PAYLOAD_BYTES_MAX};
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX], secret[32] = "sealed", payload[4097] = {1, 2, 3};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        struct vck_key_slot_spec spec = {.type = VCK_KEY_TPM, .payload = {payload, sizes[i]}};
        struct vck_secret opened = {0};
        struct vck_bytes back;
        uint32_t size;
        assert_int_equal(vck_key_slot_make(&spec, test_volume_id, BYTES(secret), BYTES(vmk), NULL,
                                           record, &size),
                         VCK_OK);
        struct vck_key_slot slot = slot_of(record);
        assert_int_equal(slot.size_bytes, size);
        assert_int_equal(vck_key_slot_payload(&slot, &back), VCK_OK);
        assert_int_equal(back.size_bytes, sizes[i]);
        assert_memory_equal(back.data, payload, sizes[i]);
        assert_int_equal(vck_key_slot_open(&slot, test_volume_id, BYTES(secret), NULL, &opened),
                         VCK_OK);
        vck_secret_fini(&opened);
        record[(size_t)(back.data - record) + sizes[i] - 1] ^= 1;
        assert_int_equal(vck_key_slot_open(&slot, test_volume_id, BYTES(secret), NULL, &opened),
                         VCK_WRONG_KEY);
        slot.size_bytes -= 8;
        assert_int_equal(vck_key_slot_payload(&slot, &back), VCK_INVALID_DATA);
    }
}

static void takes_payloads_where_they_belong(void **state)
{
    (void)state;
    static const struct {
        uint16_t type;
        enum vck_key_kdf_kind kind;
        size_t secret_bytes, payload_bytes;
    } cases[] = {
        {VCK_KEY_TPM, VCK_KEY_HKDF, 32, 0},  {VCK_KEY_TPM, VCK_KEY_HKDF, 32, 4097},
        {VCK_KEY_TPM, VCK_KEY_HKDF, 31, 10}, {VCK_KEY_TPM, VCK_KEY_PBKDF2, 32, 10},
        {VCK_KEY_FILE, VCK_KEY_HKDF, 32, 1},
    };
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX], secret[32] = "sealed", payload[4097] = {1};
    uint32_t size;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct vck_key_slot_spec spec = {
            .type = cases[i].type,
            .kdf = {cases[i].kind, cases[i].kind == VCK_KEY_PBKDF2, 0, 0},
            .payload = {payload, cases[i].payload_bytes}};
        struct vck_bytes sealed = {secret, cases[i].secret_bytes};
        assert_int_equal(
            vck_key_slot_make(&spec, test_volume_id, sealed, BYTES(vmk), NULL, record, &size),
            VCK_INVALID_DATA);
    }
}

/* Every type with every KDF, and keys of the smallest and the largest size. */
static void opens_what_it_made(void **state)
{
    (void)state;
    static const struct vck_key_kdf kdfs[] = {
        {VCK_KEY_HKDF, 0, 0, 0}, {VCK_KEY_ARGON2ID, 1, 32, 2}, {VCK_KEY_PBKDF2, 3, 0, 0}};
    static const size_t sizes[] = {1, 7, 8, 32, 1023, VCK_VMK_BYTES_MAX};
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX], key[VCK_VMK_BYTES_MAX] = {7, 8, 9};
    const uint8_t secret[16] = "sixteen letters.";
    for (unsigned i = 0; i < 3 * 3 * VCK_ARRAY_COUNT(sizes); i++) {
        struct vck_secret opened = {0};
        struct vck_bytes wrapped = {key, sizes[i / 9]};
        struct vck_key_slot_spec spec = {.type = (uint16_t)(1 + i % 3), .kdf = kdfs[i / 3 % 3]};
        uint32_t size;
        assert_int_equal(
            vck_key_slot_make(&spec, test_volume_id, BYTES(secret), wrapped, NULL, record, &size),
            VCK_OK);
        struct vck_key_slot slot = slot_of(record);
        assert_int_equal(slot.size_bytes, size);
        assert_int_equal(vck_key_slot_open(&slot, test_volume_id, BYTES(secret), NULL, &opened),
                         VCK_OK);
        assert_int_equal(opened.size_bytes, wrapped.size_bytes);
        assert_memory_equal(opened.data, key, opened.size_bytes);
        vck_secret_fini(&opened);
    }
}

static void refuses_what_the_format_does(void **state)
{
    (void)state;
    static const struct {
        struct vck_key_kdf kdf;
        vck_status status;
    } cases[] = {
        {{VCK_KEY_ARGON2ID, 1, 8, 1}, VCK_OK},
        {{VCK_KEY_ARGON2ID, 0, 8, 1}, VCK_INVALID_DATA},
        {{VCK_KEY_ARGON2ID, 1, 7, 1}, VCK_INVALID_DATA},
        {{VCK_KEY_ARGON2ID, 1, 15, 2}, VCK_INVALID_DATA},
        {{VCK_KEY_ARGON2ID, 1, 8, 0}, VCK_INVALID_DATA},
        {{VCK_KEY_ARGON2ID, 1, VCK_KEY_MEMORY_KIB_MAX, 1}, VCK_OK},
        {{VCK_KEY_ARGON2ID, 1, VCK_KEY_MEMORY_KIB_MAX + 1, 1}, VCK_UNSUPPORTED},
        {{VCK_KEY_ARGON2ID, VCK_KEY_PASSES_MAX + 1, 8, 1}, VCK_UNSUPPORTED},
        {{VCK_KEY_ARGON2ID, 1, 1024, 65}, VCK_UNSUPPORTED},
        {{VCK_KEY_PBKDF2, 1, 0, 0}, VCK_OK},
        {{VCK_KEY_PBKDF2, 0, 0, 0}, VCK_INVALID_DATA},
        {{VCK_KEY_PBKDF2, VCK_KEY_ITERATIONS_MAX + 1, 0, 0}, VCK_UNSUPPORTED},
        {{VCK_KEY_PBKDF2, 1, 1, 0}, VCK_INVALID_DATA},
        {{VCK_KEY_HKDF, 0, 0, 0}, VCK_OK},
        {{VCK_KEY_HKDF, 1, 0, 0}, VCK_INVALID_DATA},
        {{(enum vck_key_kdf_kind)3, 0, 0, 0}, VCK_UNSUPPORTED},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++)
        assert_int_equal(vck_key_kdf_check(&cases[i].kdf), cases[i].status);
}

static void needs_memory_once(void **state)
{
    (void)state;
    const struct vck_key_slot_spec spec = {.type = VCK_KEY_PASSPHRASE,
                                           .kdf = {VCK_KEY_ARGON2ID, 1, 64, 1}};
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX];
    uint32_t size;
    size_t live = vck_alloc_live_count();
    vck_status status = VCK_NO_MEMORY;
    assert_int_equal(
        vck_key_slot_make(&spec, test_volume_id, TEXT("secret"), BYTES(vmk), NULL, record, &size),
        VCK_OK);
    for (uint64_t n = 1; status == VCK_NO_MEMORY; n++) {
        struct vck_secret opened = {0};
        struct vck_key_slot slot = slot_of(record);
        vck_alloc_fail_nth(n);
        status = vck_key_slot_open(&slot, test_volume_id, TEXT("secret"), NULL, &opened);
        vck_alloc_fail_nth(0);
        assert_true(status == VCK_OK ? n == 3 : status == VCK_NO_MEMORY);
        vck_secret_fini(&opened);
        assert_int_equal(vck_alloc_live_count(), live);
    }
}

/* Wrong digits and swaps of neighbours, everywhere. */
static void recovery_keys_notice_slips(void **state)
{
    (void)state;
    uint8_t key[16] = {0, 1, 0xff, 0xff, 0x34, 0x12, 7, 0, 0, 0, 0xfe, 0xff, 9, 9, 1, 2}, read[16];
    char text[VCK_KEY_RECOVERY_TEXT];
    uint32_t group;
    vck_key_recovery_format(key, text);
    assert_int_equal(strlen(text), 55);
    assert_int_equal(vck_key_recovery_parse(BYTES(""), read, &group), VCK_INVALID_DATA);
    for (size_t i = 0; i < 55; i++) {
        char right = text[i];
        for (char c = '0'; right != '-' && c <= '9'; c++) {
            text[i] = c;
            vck_status status =
                vck_key_recovery_parse((struct vck_bytes){(uint8_t *)text, 55}, read, &group);
            assert_int_equal(status, c == right ? VCK_OK : VCK_INVALID_DATA);
            assert_int_equal(c == right ? i / 7 : group, i / 7);
        }
        text[i] = right;
        if (right == '-' || i == 54 || text[i + 1] == '-' || text[i + 1] == right)
            continue;
        text[i] = text[i + 1];
        text[i + 1] = right;
        assert_int_equal(
            vck_key_recovery_parse((struct vck_bytes){(uint8_t *)text, 55}, read, &group),
            VCK_INVALID_DATA);
        text[i + 1] = text[i];
        text[i] = right;
    }
    assert_int_equal(vck_key_recovery_parse((struct vck_bytes){(uint8_t *)text, 55}, read, &group),
                     VCK_OK);
    assert_memory_equal(read, key, sizeof(key));
    assert_int_equal(vck_key_recovery_parse((struct vck_bytes){(uint8_t *)text, 54}, read, &group),
                     VCK_SIZE_MISMATCH);
    assert_int_equal(vck_key_recovery_parse((struct vck_bytes){(uint8_t *)text, 56}, read, &group),
                     VCK_SIZE_MISMATCH);
}

static void recovery_keys_come_back(void **state)
{
    (void)state;
    uint8_t key[16], read[16];
    char text[VCK_KEY_RECOVERY_TEXT];
    uint32_t group;
    for (int i = 0; i < 1000; i++) {
        for (size_t b = 0; b < sizeof(key); b++)
            key[b] = (uint8_t)((unsigned)rand() >> 7);
        vck_key_recovery_format(key, text);
        assert_int_equal(
            vck_key_recovery_parse((struct vck_bytes){(uint8_t *)text, 55}, read, &group), VCK_OK);
        assert_memory_equal(read, key, sizeof(key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_the_vectors),
        cmocka_unit_test(notices_changes),
        cmocka_unit_test(covers_the_payload),
        cmocka_unit_test(takes_payloads_where_they_belong),
        cmocka_unit_test(opens_what_it_made),
        cmocka_unit_test(refuses_what_the_format_does),
        cmocka_unit_test(needs_memory_once),
        cmocka_unit_test(recovery_keys_notice_slips),
        cmocka_unit_test(recovery_keys_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
