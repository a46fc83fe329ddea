/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/key_table.h"
#include <stdbool.h>
#include "vck/crc32.h"
#include "vck/hkdf.h"
#include "vck/hmac.h"
#include "vck/secret.h"
#include "vck/utf.h"

enum {
    AT_VERSION = 4,
    AT_COUNT = 6,
    AT_GENERATION = 8,
    AT_VOLUME_ID = 16,
    AT_SIZE = 32,
    AT_CRC = 36,
    AT_ZERO = 40,
    AT_HMAC = 48,
    AT_ZERO_TOO = 80,
};

enum {
    SLOT_AT_SIZE = 0,
    SLOT_AT_TYPE = 2,
    SLOT_AT_NUMBER = 4,
    SLOT_AT_ZERO = 6,
    SLOT_AT_UUID = 8,
    SLOT_AT_CREATED = 24,
    SLOT_AT_LABEL = 32,
};

#define TABLE_VERSION 1u
#define SLOT_ALIGN    8u
#define UUID_BYTES    16u

static const uint8_t table_magic[4] = {'V', 'C', 'K', 'K'};
static const uint8_t zeroes[32];

/* ---- the head ---- */

uint64_t vck_key_table_generation(const struct vck_key_table *table)
{
    return vck_load_le64(table->bytes + AT_GENERATION);
}

uint32_t vck_key_table_count(const struct vck_key_table *table)
{
    return vck_load_le16(table->bytes + AT_COUNT);
}

uint32_t vck_key_table_size_bytes(const struct vck_key_table *table)
{
    return vck_load_le32(table->bytes + AT_SIZE);
}

static void set_shape(struct vck_key_table *table, uint32_t count, uint32_t size_bytes)
{
    vck_store_le16(table->bytes + AT_COUNT, (uint16_t)count);
    vck_store_le32(table->bytes + AT_SIZE, size_bytes);
}

void vck_key_table_init(struct vck_key_table *table, const uint8_t volume_id[16])
{
    memset(table, 0, sizeof(*table));
    memcpy(table->bytes, table_magic, sizeof(table_magic));
    vck_store_le16(table->bytes + AT_VERSION, TABLE_VERSION);
    memcpy(table->bytes + AT_VOLUME_ID, volume_id, UUID_BYTES);
    set_shape(table, 0, VCK_KEY_TABLE_HEAD_BYTES);
}

/* ---- slots ---- */

bool vck_key_label_is_possible(struct vck_bytes label)
{
    for (size_t i = 0; i < label.size_bytes; i++)
        if (label.data[i] == 0)
            return false;
    return label.size_bytes <= VCK_KEY_LABEL_BYTES && vck_utf8_is_valid(label);
}

/* The label as it is stored: nothing but zeroes behind the first. */
static bool is_label_stored(const uint8_t *label)
{
    size_t length = 0;
    while (length < VCK_KEY_LABEL_BYTES && label[length] != 0)
        length++;
    return vck_all_zero(label + length, VCK_KEY_LABEL_BYTES - length) &&
           vck_key_label_is_possible((struct vck_bytes){label, length});
}

/* Whether a slot begins at record, of which left_bytes belong to the table. */
static bool is_slot(const uint8_t *record, size_t left_bytes)
{
    if (left_bytes < VCK_KEY_SLOT_HEAD_BYTES)
        return false;
    uint32_t size = vck_load_le16(record + SLOT_AT_SIZE);
    return size >= VCK_KEY_SLOT_HEAD_BYTES && size <= left_bytes && size % SLOT_ALIGN == 0 &&
           vck_load_le16(record + SLOT_AT_NUMBER) < VCK_KEY_SLOTS_MAX &&
           vck_load_le16(record + SLOT_AT_ZERO) == 0 && is_label_stored(record + SLOT_AT_LABEL);
}

static void read_slot(const uint8_t *record, struct vck_key_slot *ret_slot)
{
    memset(ret_slot, 0, sizeof(*ret_slot));
    ret_slot->record = record;
    ret_slot->size_bytes = vck_load_le16(record + SLOT_AT_SIZE);
    ret_slot->type = vck_load_le16(record + SLOT_AT_TYPE);
    ret_slot->number = vck_load_le16(record + SLOT_AT_NUMBER);
    ret_slot->created_s = vck_load_le64(record + SLOT_AT_CREATED);
    memcpy(ret_slot->uuid, record + SLOT_AT_UUID, sizeof(ret_slot->uuid));
    memcpy(ret_slot->label, record + SLOT_AT_LABEL, VCK_KEY_LABEL_BYTES);
}

vck_status vck_key_table_at(const struct vck_key_table *table, uint32_t index,
                            struct vck_key_slot *ret_slot)
{
    const uint8_t *record = table->bytes + VCK_KEY_TABLE_HEAD_BYTES;
    if (index >= vck_key_table_count(table))
        return VCK_NOT_FOUND;
    for (uint32_t i = 0; i < index; i++)
        record += vck_load_le16(record + SLOT_AT_SIZE);
    read_slot(record, ret_slot);
    return VCK_OK;
}

vck_status vck_key_table_find(const struct vck_key_table *table, uint32_t number,
                              struct vck_key_slot *ret_slot)
{
    const uint8_t *record = table->bytes + VCK_KEY_TABLE_HEAD_BYTES;
    for (uint32_t i = 0; i < vck_key_table_count(table); i++) {
        if (vck_load_le16(record + SLOT_AT_NUMBER) == number) {
            read_slot(record, ret_slot);
            return VCK_OK;
        }
        record += vck_load_le16(record + SLOT_AT_SIZE);
    }
    return VCK_NOT_FOUND;
}

vck_status vck_key_table_free_number(const struct vck_key_table *table, uint32_t *ret_number)
{
    struct vck_key_slot slot;
    for (uint32_t number = 0; number < VCK_KEY_SLOTS_MAX; number++) {
        if (vck_key_table_find(table, number, &slot) == VCK_NOT_FOUND) {
            *ret_number = number;
            return VCK_OK;
        }
    }
    return VCK_DISK_FULL;
}

/* A slot among the first `count` that has the record's number or its UUID. */
static bool is_taken(const struct vck_key_table *table, uint32_t count, const uint8_t *record)
{
    const uint8_t *other = table->bytes + VCK_KEY_TABLE_HEAD_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        if (vck_load_le16(other + SLOT_AT_NUMBER) == vck_load_le16(record + SLOT_AT_NUMBER) ||
            memcmp(other + SLOT_AT_UUID, record + SLOT_AT_UUID, UUID_BYTES) == 0)
            return true;
        other += vck_load_le16(other + SLOT_AT_SIZE);
    }
    return false;
}

/* ---- checks ---- */

static uint32_t checksum(const struct vck_key_table *table)
{
    uint32_t size = vck_key_table_size_bytes(table);
    uint32_t crc = vck_crc32(0, table->bytes, AT_CRC);
    crc = vck_crc32(crc, zeroes, AT_ZERO - AT_CRC);
    return vck_crc32(crc, table->bytes + AT_ZERO, size - AT_ZERO);
}

static bool are_slots_whole(const struct vck_key_table *table)
{
    uint32_t count = vck_key_table_count(table);
    size_t at = VCK_KEY_TABLE_HEAD_BYTES, end = vck_key_table_size_bytes(table);
    if (count > VCK_KEY_SLOTS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *record = table->bytes + at;
        if (!is_slot(record, end - at) || is_taken(table, i, record))
            return false;
        at += vck_load_le16(record + SLOT_AT_SIZE);
    }
    return at == end;
}

static bool are_zeroes_zero(const struct vck_key_table *table)
{
    uint32_t size = vck_key_table_size_bytes(table);
    return vck_all_zero(table->bytes + AT_ZERO, AT_HMAC - AT_ZERO) &&
           vck_all_zero(table->bytes + AT_ZERO_TOO, VCK_KEY_TABLE_HEAD_BYTES - AT_ZERO_TOO) &&
           vck_all_zero(table->bytes + size, sizeof(table->bytes) - size);
}

vck_status vck_key_table_check(const struct vck_key_table *table, const uint8_t volume_id[16],
                               uint32_t copy)
{
    if (vck_all_zero(table->bytes, sizeof(table->bytes)))
        return VCK_NOT_FOUND;
    if (memcmp(table->bytes, table_magic, sizeof(table_magic)) != 0)
        return VCK_SIGNATURE_MISMATCH;
    uint32_t size = vck_key_table_size_bytes(table);
    if (size < VCK_KEY_TABLE_HEAD_BYTES || size > VCK_KEY_TABLE_BYTES)
        return VCK_INVALID_DATA;
    if (checksum(table) != vck_load_le32(table->bytes + AT_CRC))
        return VCK_CHECKSUM_MISMATCH;
    if (vck_load_le16(table->bytes + AT_VERSION) != TABLE_VERSION)
        return VCK_UNSUPPORTED;
    if (!are_zeroes_zero(table))
        return VCK_INVALID_DATA;
    if (memcmp(table->bytes + AT_VOLUME_ID, volume_id, UUID_BYTES) != 0)
        return VCK_VALIDATION_FAILED;
    uint64_t generation = vck_key_table_generation(table);
    if (generation == 0 || generation % 2 != copy || !are_slots_whole(table))
        return VCK_INVALID_DATA;
    return VCK_OK;
}

/* ---- changes ---- */

static vck_status check_record(struct vck_bytes record)
{
    bool is_whole = record.size_bytes <= VCK_KEY_TABLE_BYTES - VCK_KEY_TABLE_HEAD_BYTES &&
                    is_slot(record.data, record.size_bytes) &&
                    vck_load_le16(record.data + SLOT_AT_SIZE) == record.size_bytes;
    return is_whole ? VCK_OK : VCK_INVALID_DATA;
}

vck_status vck_key_table_add(struct vck_key_table *table, struct vck_bytes record)
{
    uint32_t count = vck_key_table_count(table), size = vck_key_table_size_bytes(table);
    vck_status status = check_record(record);
    if (status != VCK_OK)
        return status;
    if (count == VCK_KEY_SLOTS_MAX || record.size_bytes > VCK_KEY_TABLE_BYTES - size)
        return VCK_DISK_FULL;
    if (is_taken(table, count, record.data))
        return VCK_ALREADY_EXISTS;
    memcpy(table->bytes + size, record.data, record.size_bytes);
    set_shape(table, count + 1, size + (uint32_t)record.size_bytes);
    return VCK_OK;
}

vck_status vck_key_table_remove(struct vck_key_table *table, uint32_t number)
{
    struct vck_key_slot slot;
    uint32_t size = vck_key_table_size_bytes(table);
    vck_status status = vck_key_table_find(table, number, &slot);
    if (status != VCK_OK)
        return status;
    size_t at = (size_t)(slot.record - table->bytes);
    size_t behind = at + slot.size_bytes;
    memmove(table->bytes + at, table->bytes + behind, size - behind);
    vck_wipe(table->bytes + size - slot.size_bytes, slot.size_bytes);
    set_shape(table, vck_key_table_count(table) - 1, size - slot.size_bytes);
    return VCK_OK;
}

vck_status vck_key_table_replace(struct vck_key_table *table, struct vck_bytes record)
{
    struct vck_key_slot old;
    uint32_t size = vck_key_table_size_bytes(table);
    vck_status status = check_record(record);
    if (status != VCK_OK)
        return status;
    status = vck_key_table_find(table, vck_load_le16(record.data + SLOT_AT_NUMBER), &old);
    if (status != VCK_OK)
        return status;
    if (record.size_bytes > VCK_KEY_TABLE_BYTES - (size - old.size_bytes))
        return VCK_DISK_FULL;
    for (uint32_t i = 0; i < vck_key_table_count(table); i++) {
        struct vck_key_slot other;
        if (vck_key_table_at(table, i, &other) == VCK_OK && other.number != old.number &&
            memcmp(other.uuid, record.data + SLOT_AT_UUID, UUID_BYTES) == 0)
            return VCK_ALREADY_EXISTS;
    }
    status = vck_key_table_remove(table, old.number);
    return status == VCK_OK ? vck_key_table_add(table, record) : status;
}

vck_status vck_key_table_set_label(struct vck_key_table *table, uint32_t number,
                                   struct vck_bytes label)
{
    struct vck_key_slot slot;
    vck_status status = vck_key_table_find(table, number, &slot);
    if (status != VCK_OK)
        return status;
    if (!vck_key_label_is_possible(label))
        return VCK_INVALID_DATA;
    uint8_t *at = table->bytes + (slot.record - table->bytes) + SLOT_AT_LABEL;
    memset(at, 0, VCK_KEY_LABEL_BYTES);
    if (label.size_bytes > 0)
        memcpy(at, label.data, label.size_bytes);
    return VCK_OK;
}

/* ---- authentication ---- */

static vck_status make_hmac(const struct vck_key_table *table, struct vck_bytes vmk,
                            uint8_t ret_hmac[VCK_HMAC_SHA256_BYTES])
{
    static const char info[] = "VCK key slots MAC";
    uint8_t key[VCK_HMAC_SHA256_BYTES];
    struct vck_hmac_sha256 hmac;
    const uint8_t *bytes = table->bytes;
    vck_status status = vck_hkdf_sha256((struct vck_bytes){bytes + AT_VOLUME_ID, UUID_BYTES}, vmk,
                                        (struct vck_bytes){(const uint8_t *)info, sizeof(info) - 1},
                                        key, sizeof(key));
    if (status != VCK_OK)
        return status;
    vck_hmac_sha256_init(&hmac, (struct vck_bytes){key, sizeof(key)});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){bytes, AT_CRC});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){zeroes, AT_ZERO - AT_CRC});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){bytes + AT_ZERO, AT_HMAC - AT_ZERO});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){zeroes, AT_ZERO_TOO - AT_HMAC});
    vck_hmac_sha256_update(
        &hmac,
        (struct vck_bytes){bytes + AT_ZERO_TOO, vck_key_table_size_bytes(table) - AT_ZERO_TOO});
    vck_hmac_sha256_final(&hmac, ret_hmac);
    vck_wipe(key, sizeof(key));
    return VCK_OK;
}

vck_status vck_key_table_seal(struct vck_key_table *table, uint64_t generation,
                              struct vck_bytes vmk)
{
    uint8_t hmac[VCK_HMAC_SHA256_BYTES];
    vck_store_le64(table->bytes + AT_GENERATION, generation);
    vck_status status = make_hmac(table, vmk, hmac);
    if (status != VCK_OK)
        return status;
    memcpy(table->bytes + AT_HMAC, hmac, sizeof(hmac));
    vck_store_le32(table->bytes + AT_CRC, checksum(table));
    return VCK_OK;
}

vck_status vck_key_table_verify(const struct vck_key_table *table, struct vck_bytes vmk)
{
    uint8_t hmac[VCK_HMAC_SHA256_BYTES];
    vck_status status = make_hmac(table, vmk, hmac);
    if (status != VCK_OK)
        return status;
    return vck_equal_constant_time(hmac, table->bytes + AT_HMAC, sizeof(hmac)) ? VCK_OK
                                                                               : VCK_TAMPERED;
}
