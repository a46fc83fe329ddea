/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_test.h"
#include "vck/block.h"
#include "vck/crc32.h"

static const uint8_t vmk[32] = "the key of everything";
static const uint8_t secret[16] = "secret of sixtee";

static struct vck_key_table *make_table(uint32_t slots)
{
    struct vck_key_table *table = malloc(sizeof(*table));
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX];
    assert_non_null(table);
    vck_key_table_init(table, test_volume_id);
    for (uint16_t i = 0; i < slots; i++)
        assert_int_equal(vck_key_table_add(table, make_test_slot(i, secret, BYTES(vmk), record)),
                         VCK_OK);
    assert_int_equal(vck_key_table_seal(table, 6, BYTES(vmk)), VCK_OK);
    return table;
}

/* After a change that is meant to be found behind the CRC. */
static void fix_crc(struct vck_key_table *table)
{
    uint32_t size = vck_key_table_size_bytes(table);
    memset(table->bytes + 36, 0, 4);
    vck_store_le32(table->bytes + 36, vck_crc32(0, table->bytes, size));
}

static vck_status check(const struct vck_key_table *table)
{
    return vck_key_table_check(table, test_volume_id, 0);
}

static void keeps_what_it_was_given(void **state)
{
    (void)state;
    struct vck_key_table *table = make_table(32);
    struct vck_key_slot slot;
    uint32_t number;
    assert_int_equal(check(table), VCK_OK);
    assert_int_equal(vck_key_table_generation(table), 6);
    assert_int_equal(vck_key_table_count(table), 32);
    assert_int_equal(vck_key_table_verify(table, BYTES(vmk)), VCK_OK);
    assert_int_equal(vck_key_table_verify(table, BYTES(secret)), VCK_TAMPERED);
    assert_int_equal(vck_key_table_free_number(table, &number), VCK_DISK_FULL);
    for (uint32_t i = 0; i < 32; i++) {
        assert_int_equal(vck_key_table_at(table, i, &slot), VCK_OK);
        assert_int_equal(slot.number, i);
        assert_string_equal(slot.label, "test");
        assert_int_equal(slot.type, VCK_KEY_RECOVERY);
        assert_int_equal(slot.created_s, 1);
    }
    assert_int_equal(vck_key_table_at(table, 32, &slot), VCK_NOT_FOUND);
    free(table);
}

/* A table made by another implementation, with a slot of a type that nobody knows. */
static void reads_the_vectors(void **state)
{
    (void)state;
    char *text = vectors_read(VECTORS);
    struct vck_key_table *table = calloc(1, sizeof(*table));
    struct vck_key_slot slot;
    uint8_t id[16], key[32], kept[120];
    assert_non_null(table);
    vectors_hex(text, "volume_id", id, sizeof(id));
    vectors_hex(text, "vmk", key, sizeof(key));
    vectors_hex(text, "table", table->bytes, vectors_u32(text, "table_size"));
    assert_int_equal(vck_key_table_check(table, id, 1), VCK_OK);
    assert_int_equal(vck_key_table_check(table, id, 0), VCK_INVALID_DATA);
    assert_int_equal(vck_key_table_verify(table, BYTES(key)), VCK_OK);
    assert_int_equal(vck_key_table_generation(table), vectors_u32(text, "generation"));
    assert_int_equal(vck_key_table_count(table), vectors_u32(text, "count"));
    assert_int_equal(vck_key_table_find(table, 31, &slot), VCK_OK);
    assert_int_equal(slot.type, 4711);
    assert_string_equal(slot.label, "of another day");
    memcpy(kept, slot.record, sizeof(kept));
    for (uint32_t i = 0; vck_key_table_count(table) > 1; i++)
        assert_int_equal(vck_key_table_remove(table, i), VCK_OK);
    assert_int_equal(vck_key_table_find(table, 31, &slot), VCK_OK);
    assert_memory_equal(slot.record, kept, sizeof(kept));
    assert_int_equal(vck_key_table_size_bytes(table), 96 + sizeof(kept));
    free(table);
    free(text);
}

/* Every bit of the part in use: no accident goes unnoticed without a key, and no change with it. */
static void notices_every_bit(void **state)
{
    (void)state;
    struct vck_key_table *table = make_table(2);
    size_t bits = (size_t)vck_key_table_size_bytes(table) * 8;
    for (size_t bit = 0; bit < bits; bit++) {
        uint8_t *byte = table->bytes + bit / 8, mask = (uint8_t)(1 << bit % 8);
        bool is_about_itself = (bit >= 32 * 8 && bit < 40 * 8) || (bit >= 48 * 8 && bit < 80 * 8);
        *byte ^= mask;
        assert_int_not_equal(check(table), VCK_OK);
        if (!is_about_itself)
            assert_int_equal(vck_key_table_verify(table, BYTES(vmk)), VCK_TAMPERED);
        *byte ^= mask;
    }
    table->bytes[VCK_KEY_TABLE_BYTES - 1] = 1;
    assert_int_equal(check(table), VCK_INVALID_DATA);
    free(table);
}

static void set(struct vck_key_table *table, size_t at, uint16_t value)
{
    vck_store_le16(table->bytes + at, value);
    fix_crc(table);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const uint8_t other_id[16] = "another volume..";
    static const struct {
        size_t at;
        uint16_t value;
        vck_status status;
    } cases[] = {
        {4, 2, VCK_UNSUPPORTED},      /* version */
        {6, 1, VCK_INVALID_DATA},     /* fewer slots than there are */
        {6, 3, VCK_INVALID_DATA},     /* more */
        {6, 33, VCK_INVALID_DATA},    /* too many */
        {8, 7, VCK_INVALID_DATA},     /* the other copy's generation */
        {8, 0, VCK_INVALID_DATA},     /* none */
        {40, 1, VCK_INVALID_DATA},    /* zeroes */
        {80, 1, VCK_INVALID_DATA},    /* more zeroes */
        {96, 0, VCK_INVALID_DATA},    /* a slot's size */
        {96, 200, VCK_INVALID_DATA},  /* not where the next begins */
        {96, 9999, VCK_INVALID_DATA}, /* behind the end */
        {96 + 4, 1, VCK_INVALID_DATA},
        {96 + 4, 32, VCK_INVALID_DATA},
        {96 + 6, 1, VCK_INVALID_DATA},
        {96 + 32, 0, VCK_INVALID_DATA},      /* a label with a hole */
        {96 + 32, 0xffff, VCK_INVALID_DATA}, /* no UTF-8 */
        {96 + 2, 99, VCK_OK},                /* a type from elsewhere */
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct vck_key_table *table = make_table(2);
        set(table, cases[i].at, cases[i].value);
        assert_int_equal(check(table), cases[i].status);
        free(table);
    }
    struct vck_key_table *table = make_table(2);
    assert_int_equal(vck_key_table_check(table, other_id, 0), VCK_VALIDATION_FAILED);
    table->bytes[100] ^= 1;
    assert_int_equal(check(table), VCK_CHECKSUM_MISMATCH);
    table->bytes[0] ^= 1;
    assert_int_equal(check(table), VCK_SIGNATURE_MISMATCH);
    memset(table, 0, sizeof(*table));
    assert_int_equal(check(table), VCK_NOT_FOUND);
    free(table);
}

static void changes_only_what_it_is_told(void **state)
{
    (void)state;
    struct vck_key_table *table = make_table(3), *before = make_table(0);
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX], long_vmk[VCK_VMK_BYTES_MAX] = {1};
    struct vck_key_slot slot;
    memcpy(before, table, sizeof(*before));
    struct vck_bytes taken = make_test_slot(1, secret, BYTES(vmk), record);
    assert_int_equal(vck_key_table_add(table, taken), VCK_ALREADY_EXISTS);
    assert_int_equal(vck_key_table_find(table, 2, &slot), VCK_OK);
    memcpy(record + 8, slot.uuid, 16);
    assert_int_equal(vck_key_table_replace(table, taken), VCK_ALREADY_EXISTS);
    taken = make_test_slot(9, secret, BYTES(vmk), record);
    assert_int_equal(vck_key_table_replace(table, taken), VCK_NOT_FOUND);
    taken.size_bytes -= 8;
    assert_int_equal(vck_key_table_add(table, taken), VCK_INVALID_DATA);
    assert_int_equal(vck_key_table_remove(table, 9), VCK_NOT_FOUND);
    assert_int_equal(vck_key_table_set_label(table, 9, TEXT("x")), VCK_NOT_FOUND);
    assert_int_equal(vck_key_table_set_label(table, 1, TEXT("a\0b")), VCK_INVALID_DATA);
    assert_int_equal(vck_key_table_set_label(table, 1, TEXT("\xff")), VCK_INVALID_DATA);
    assert_memory_equal(table, before, sizeof(*table));

    assert_int_equal(vck_key_table_set_label(table, 1, TEXT("büro")), VCK_OK);
    assert_int_equal(vck_key_table_replace(table, make_test_slot(2, secret, BYTES(vmk), record)),
                     VCK_OK);
    assert_int_equal(vck_key_table_remove(table, 0), VCK_OK);
    assert_int_equal(vck_key_table_seal(table, 8, BYTES(vmk)), VCK_OK);
    assert_int_equal(check(table), VCK_OK);
    assert_int_equal(vck_key_table_at(table, 0, &slot), VCK_OK);
    assert_string_equal(slot.label, "büro");
    for (uint32_t i = 3;; i++) {
        vck_status status =
            vck_key_table_add(table, make_test_slot((uint16_t)i, secret, BYTES(long_vmk), record));
        assert_int_equal(status, i < 23 ? VCK_OK : VCK_DISK_FULL);
        if (status != VCK_OK)
            break;
    }
    free(before);
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_was_given),
        cmocka_unit_test(reads_the_vectors),
        cmocka_unit_test(notices_every_bit),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(changes_only_what_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
