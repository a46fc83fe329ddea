/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_key_table: a table of key slots, whose slots are then opened, changed and taken out. The
 * first byte says whether magic, size, volume id, generation and CRC are made right first, and
 * whether the bytes are digits of a recovery key, or a backup, instead.
 */
#include <stdlib.h>
#include <string.h>
#include "port/port.h"
#include "vck/crc32.h"
#include "vck/key_backup.h"
#include "vck/key_slot.h"
#include "vck/key_table.h"

#define FIX_CRC  1u
#define FIX_SIZE 2u
#define RECOVERY 4u
#define BACKUP   8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t volume_id[16] = "a fuzzed volume.";
static const struct vck_bytes vmk = {volume_id, sizeof(volume_id)};

static void fix(struct vck_key_table *table, size_t used, unsigned how)
{
    memcpy(table->bytes, "VCKK\1", 6);
    table->bytes[8] = (uint8_t)((table->bytes[8] & 0xfe) | 2);
    memcpy(table->bytes + 16, volume_id, sizeof(volume_id));
    if ((how & FIX_SIZE) != 0)
        vck_store_le32(table->bytes + 32, (uint32_t)VCK_MAX(used, VCK_KEY_TABLE_HEAD_BYTES));
    uint32_t bytes = vck_load_le32(table->bytes + 32);
    vck_store_le32(table->bytes + 36, 0);
    if (bytes <= sizeof(table->bytes))
        vck_store_le32(table->bytes + 36, vck_crc32(0, table->bytes, bytes));
}

static bool is_cheap(const struct vck_key_kdf *kdf)
{
    return kdf->passes <= 2 && kdf->memory_kib <= 256;
}

static void open_slot(const struct vck_key_slot *slot)
{
    struct vck_key_kdf kdf;
    struct vck_secret key = {0};
    if (vck_key_slot_kdf(slot, &kdf) != VCK_OK || !is_cheap(&kdf))
        return;
    VCK_ASSERT(vck_key_kdf_check(&kdf) == VCK_OK);
    vck_status status = vck_key_slot_open(slot, volume_id, vmk, NULL, &key);
    VCK_ASSERT(status == VCK_OK || status == VCK_WRONG_KEY);
    vck_secret_fini(&key);
}

/* Whatever is done to a table that passed, it passes again. */
static void check_sealed(struct vck_key_table *table)
{
    VCK_ASSERT(vck_key_table_seal(table, 4, vmk) == VCK_OK);
    VCK_ASSERT(vck_key_table_check(table, volume_id, 0) == VCK_OK);
    VCK_ASSERT(vck_key_table_verify(table, vmk) == VCK_OK);
}

static void change(struct vck_key_table *table)
{
    static uint8_t record[UINT16_MAX];
    struct vck_key_slot slot;
    uint32_t number, count = vck_key_table_count(table);
    for (uint32_t i = 0; i < count; i++) {
        VCK_ASSERT(vck_key_table_at(table, 0, &slot) == VCK_OK);
        VCK_ASSERT(vck_key_table_set_label(table, slot.number, vmk) == VCK_OK);
        memcpy(record, slot.record, slot.size_bytes);
        struct vck_bytes copy = {record, slot.size_bytes};
        VCK_ASSERT(vck_key_table_add(table, copy) == VCK_ALREADY_EXISTS ||
                   vck_key_table_add(table, copy) == VCK_DISK_FULL);
        VCK_ASSERT(vck_key_table_replace(table, copy) == VCK_OK);
        check_sealed(table);
    }
    while (vck_key_table_at(table, 0, &slot) == VCK_OK) {
        VCK_ASSERT(vck_key_table_remove(table, slot.number) == VCK_OK);
        VCK_ASSERT(vck_key_table_free_number(table, &number) == VCK_OK);
        check_sealed(table);
    }
    VCK_ASSERT(vck_key_table_size_bytes(table) == VCK_KEY_TABLE_HEAD_BYTES);
}

static void parse_recovery(const uint8_t *data, size_t size)
{
    uint8_t key[VCK_KEY_RECOVERY_BYTES], again[VCK_KEY_RECOVERY_BYTES];
    char text[VCK_KEY_RECOVERY_TEXT];
    uint32_t group = 0;
    vck_status status = vck_key_recovery_parse((struct vck_bytes){data, size}, key, &group);
    if (status == VCK_INVALID_DATA)
        VCK_ASSERT(group < VCK_KEY_RECOVERY_GROUPS);
    if (status != VCK_OK)
        return;
    vck_key_recovery_format(key, text);
    VCK_ASSERT(vck_key_recovery_parse((struct vck_bytes){(const uint8_t *)text, strlen(text)},
                                      again, &group) == VCK_OK);
    VCK_ASSERT(memcmp(key, again, sizeof(key)) == 0);
}

/* Costs nothing to try, as far as its slot can be made out. */
static bool is_cheap_backup(const uint8_t *data, size_t size)
{
    struct vck_key_kdf kdf;
    if (size < 64 + VCK_KEY_SLOT_HEAD_BYTES)
        return true;
    const struct vck_key_slot slot = {.record = data + 64,
                                      .size_bytes = vck_load_le16(data + 64),
                                      .type = vck_load_le16(data + 66)};
    return slot.size_bytes > size - 64 || vck_key_slot_kdf(&slot, &kdf) != VCK_OK || is_cheap(&kdf);
}

static void open_backup(const uint8_t *data, size_t size)
{
    static struct vck_key_backup backup;
    const struct vck_key_offer offer = {.passphrase = vmk, .file = vmk};
    if (!is_cheap_backup(data, size) ||
        vck_key_backup_open((struct vck_bytes){data, size}, &offer, NULL, &backup) != VCK_OK)
        return;
    VCK_ASSERT(backup.vmk.size_bytes > 0 && backup.vmk.size_bytes <= VCK_VMK_BYTES_MAX);
    vck_key_backup_fini(&backup);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vck_key_table table;
    struct vck_key_slot slot;
    if (size == 0)
        return 0;
    if ((data[0] & RECOVERY) != 0) {
        parse_recovery(data + 1, size - 1);
        return 0;
    }
    if ((data[0] & BACKUP) != 0) {
        open_backup(data + 1, size - 1);
        return 0;
    }
    size_t used = VCK_MIN(size - 1, sizeof(table.bytes));
    memset(&table, 0, sizeof(table));
    memcpy(table.bytes, data + 1, used);
    if ((data[0] & FIX_CRC) != 0)
        fix(&table, used, data[0]);
    if (vck_key_table_check(&table, volume_id, 0) != VCK_OK)
        return 0;
    for (uint32_t i = 0; vck_key_table_at(&table, i, &slot) == VCK_OK; i++)
        open_slot(&slot);
    check_sealed(&table);
    change(&table);
    return 0;
}
