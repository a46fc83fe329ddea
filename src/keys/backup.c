/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/key_backup.h"
#include "internal.h"
#include "vck/gcm.h"
#include "vck/hkdf.h"

enum {
    AT_VERSION = 4,
    AT_ZERO = 6,
    AT_SIZE = 8,
    AT_RECORD_SIZE = 12,
    AT_VOLUME_ID = 16,
    AT_CREATED = 32,
    AT_NONCE = 40,
    AT_ZERO_TOO = 52,
    AT_RECORD = 64,
};

/* In the sealed part. */
enum {
    IN_VOLUME_SIZE = 0,
    IN_BLOCK = 8,
    IN_VMK_SIZE = IN_BLOCK + VCK_BLOCK_BYTES,
    IN_VMK = IN_VMK_SIZE + 4,
};

#define BACKUP_VERSION    1u
#define KEY_BYTES         32u
#define VOLUME_ID_BYTES   16u
#define PAYLOAD_BYTES_MAX (IN_VMK + VCK_VMK_BYTES_MAX + 4 + VCK_KEY_TABLE_BYTES)

_Static_assert(AT_RECORD + VCK_KEY_RECORD_BYTES_MAX - VCK_KEY_PAYLOAD_BYTES_MAX +
                       PAYLOAD_BYTES_MAX + VCK_GCM_TAG_BYTES <=
                   VCK_KEY_BACKUP_BYTES_MAX,
               "the largest backup fits; its slot has no payload");

static const uint8_t backup_magic[4] = {'V', 'C', 'K', 'S'};

void vck_key_backup_fini(struct vck_key_backup *backup)
{
    vck_secret_fini(&backup->vmk);
    vck_wipe(backup, sizeof(*backup));
}

static struct vck_bytes vmk_of(const struct vck_key_backup *backup)
{
    return vck_secret_bytes(&backup->vmk);
}

vck_status vck_key_backup_take(struct vck_key_session *session, uint64_t created_s,
                               struct vck_key_backup *ret_backup)
{
    const struct vck_store *store = &session->store;
    const struct vck_bytes vmk = vck_secret_bytes(&store->vmk);
    uint64_t offset_bytes;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    memset(ret_backup, 0, sizeof(*ret_backup));
    if (vck_store_is_rekeying(store))
        return VCK_BUSY;
    uint8_t *sector = vck_alloc_pages(store->layout.sector_size_bytes, KEYS_TAG);
    if (sector == NULL)
        return VCK_NO_MEMORY;
    vck_status status =
        vck_store_encode(store, store->winner, &store->state, sector, &offset_bytes);
    if (status == VCK_OK)
        status = vck_secret_init_copy(&ret_backup->vmk, vmk);
    if (status == VCK_OK) {
        memcpy(ret_backup->block, sector, sizeof(ret_backup->block));
        memcpy(ret_backup->volume_id, store->header.volume_id, VOLUME_ID_BYTES);
        memcpy(&ret_backup->table, session->table, sizeof(ret_backup->table));
        ret_backup->volume_size_bytes = store->disk->size_bytes;
        ret_backup->created_s = created_s;
        uint64_t generation = VCK_MAX(session->generation, UINT64_C(1));
        status = vck_key_table_seal(&ret_backup->table, generation, vmk);
    }
    vck_free_pages(sector, store->layout.sector_size_bytes);
    return status;
}

/* ---- the file ---- */

static size_t write_payload(const struct vck_key_backup *backup, uint8_t *payload)
{
    uint32_t vmk_bytes = (uint32_t)backup->vmk.size_bytes;
    uint32_t table_bytes = vck_key_table_size_bytes(&backup->table);
    uint8_t *table = payload + IN_VMK + vmk_bytes;
    vck_store_le64(payload + IN_VOLUME_SIZE, backup->volume_size_bytes);
    memcpy(payload + IN_BLOCK, backup->block, sizeof(backup->block));
    vck_store_le32(payload + IN_VMK_SIZE, vmk_bytes);
    memcpy(payload + IN_VMK, backup->vmk.data, vmk_bytes);
    vck_store_le32(table, table_bytes);
    memcpy(table + 4, backup->table.bytes, table_bytes);
    return IN_VMK + vmk_bytes + 4 + table_bytes;
}

static vck_status payload_key(const uint8_t *volume_id, const uint8_t *key, uint8_t *ret_key)
{
    static const char info[] = "VCK key backup";
    return vck_hkdf_sha256(
        (struct vck_bytes){volume_id, VOLUME_ID_BYTES}, (struct vck_bytes){key, KEY_BYTES},
        (struct vck_bytes){(const uint8_t *)info, sizeof(info) - 1}, ret_key, KEY_BYTES);
}

static vck_status write_head(const struct vck_key_backup *backup, uint32_t record_bytes,
                             size_t payload_bytes, uint8_t *file)
{
    size_t size = AT_RECORD + record_bytes + payload_bytes + VCK_GCM_TAG_BYTES;
    memset(file, 0, AT_RECORD);
    memcpy(file, backup_magic, sizeof(backup_magic));
    vck_store_le16(file + AT_VERSION, BACKUP_VERSION);
    vck_store_le32(file + AT_SIZE, (uint32_t)size);
    vck_store_le32(file + AT_RECORD_SIZE, record_bytes);
    memcpy(file + AT_VOLUME_ID, backup->volume_id, VOLUME_ID_BYTES);
    vck_store_le64(file + AT_CREATED, backup->created_s);
    return vck_random(file + AT_NONCE, VCK_GCM_NONCE_BYTES);
}

vck_status vck_key_backup_seal(const struct vck_key_backup *backup, uint16_t type,
                               const struct vck_key_kdf *kdf, struct vck_bytes secret,
                               const struct vck_key_stretcher *stretcher, uint8_t *file,
                               size_t *ret_size_bytes)
{
    const struct vck_key_slot_spec spec = {
        .type = type, .created_s = backup->created_s, .kdf = *kdf};
    uint8_t key[KEY_BYTES], sealing_key[KEY_BYTES];
    uint32_t record_bytes = 0;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status = vck_random(key, sizeof(key));
    if (status == VCK_OK)
        status = vck_key_slot_make(&spec, backup->volume_id, secret,
                                   (struct vck_bytes){key, sizeof(key)}, stretcher,
                                   file + AT_RECORD, &record_bytes);
    if (status == VCK_OK)
        status = payload_key(backup->volume_id, key, sealing_key);
    if (status != VCK_OK)
        goto out;
    uint8_t *payload = file + AT_RECORD + record_bytes;
    size_t payload_bytes = write_payload(backup, payload);
    status = write_head(backup, record_bytes, payload_bytes, file);
    if (status == VCK_OK)
        status = vck_gcm_seal(sealing_key, file + AT_NONCE,
                              (struct vck_bytes){file, AT_RECORD + record_bytes}, payload, payload,
                              payload_bytes, payload + payload_bytes);
    if (status == VCK_OK)
        *ret_size_bytes = AT_RECORD + record_bytes + payload_bytes + VCK_GCM_TAG_BYTES;
    else
        vck_wipe(file, VCK_KEY_BACKUP_BYTES_MAX);
out:
    vck_wipe(key, sizeof(key));
    vck_wipe(sealing_key, sizeof(sealing_key));
    return status;
}

/* ---- and back ---- */

static vck_status check_file(struct vck_bytes file, struct vck_key_slot *ret_slot)
{
    const uint8_t *record = file.data + AT_RECORD;
    if (file.size_bytes < sizeof(backup_magic) ||
        memcmp(file.data, backup_magic, sizeof(backup_magic)) != 0)
        return VCK_SIGNATURE_MISMATCH;
    if (file.size_bytes < AT_RECORD + VCK_KEY_SLOT_HEAD_BYTES)
        return VCK_SIZE_MISMATCH;
    if (vck_load_le16(file.data + AT_VERSION) != BACKUP_VERSION)
        return VCK_UNSUPPORTED;
    if (vck_load_le32(file.data + AT_SIZE) != file.size_bytes ||
        file.size_bytes > VCK_KEY_BACKUP_BYTES_MAX)
        return VCK_SIZE_MISMATCH;
    uint32_t record_bytes = vck_load_le32(file.data + AT_RECORD_SIZE);
    if (record_bytes < VCK_KEY_SLOT_HEAD_BYTES || vck_load_le16(record) != record_bytes ||
        record_bytes > file.size_bytes - AT_RECORD ||
        file.size_bytes - AT_RECORD - record_bytes < IN_VMK + VCK_GCM_TAG_BYTES ||
        vck_load_le16(file.data + AT_ZERO) != 0 ||
        !vck_all_zero(file.data + AT_ZERO_TOO, AT_RECORD - AT_ZERO_TOO))
        return VCK_INVALID_DATA;
    memset(ret_slot, 0, sizeof(*ret_slot));
    ret_slot->record = record;
    ret_slot->size_bytes = record_bytes;
    ret_slot->type = vck_load_le16(record + 2);
    return VCK_OK;
}

/* Sealed by somebody who had the key, and all the same not believed. */
static vck_status read_payload(const uint8_t *payload, size_t size, struct vck_key_backup *backup)
{
    backup->volume_size_bytes = vck_load_le64(payload + IN_VOLUME_SIZE);
    memcpy(backup->block, payload + IN_BLOCK, sizeof(backup->block));
    uint32_t vmk_bytes = vck_load_le32(payload + IN_VMK_SIZE);
    if (vmk_bytes < 1 || vmk_bytes > VCK_VMK_BYTES_MAX || size < IN_VMK + vmk_bytes + 4)
        return VCK_TAMPERED;
    const uint8_t *table = payload + IN_VMK + vmk_bytes;
    uint32_t table_bytes = vck_load_le32(table);
    if (table_bytes > VCK_KEY_TABLE_BYTES || size != IN_VMK + vmk_bytes + 4 + table_bytes)
        return VCK_TAMPERED;
    memcpy(backup->table.bytes, table + 4, table_bytes);
    uint64_t generation = vck_key_table_generation(&backup->table);
    if (vck_key_table_check(&backup->table, backup->volume_id, generation % KEY_COPIES) != VCK_OK)
        return VCK_TAMPERED;
    return vck_secret_init_copy(&backup->vmk, (struct vck_bytes){payload + IN_VMK, vmk_bytes});
}

static vck_status open_payload(struct vck_bytes file, uint32_t record_bytes,
                               const struct vck_secret *key, struct vck_key_backup *backup)
{
    uint8_t sealing_key[KEY_BYTES];
    size_t size = file.size_bytes - AT_RECORD - record_bytes - VCK_GCM_TAG_BYTES;
    const uint8_t *sealed = file.data + AT_RECORD + record_bytes;
    if (key->size_bytes != KEY_BYTES)
        return VCK_TAMPERED;
    uint8_t *payload = vck_alloc_pages(size, KEYS_TAG);
    if (payload == NULL)
        return VCK_NO_MEMORY;
    vck_status status = payload_key(file.data + AT_VOLUME_ID, key->data, sealing_key);
    if (status == VCK_OK)
        status = vck_gcm_open(sealing_key, file.data + AT_NONCE,
                              (struct vck_bytes){file.data, AT_RECORD + record_bytes}, payload,
                              sealed, size, sealed + size);
    if (status == VCK_OK)
        status = read_payload(payload, size, backup);
    vck_wipe(payload, size);
    vck_free_pages(payload, size);
    vck_wipe(sealing_key, sizeof(sealing_key));
    return status;
}

vck_status vck_key_backup_open(struct vck_bytes file, const struct vck_key_offer *offer,
                               const struct vck_key_stretcher *stretcher,
                               struct vck_key_backup *ret_backup)
{
    struct vck_key_slot slot;
    struct vck_secret key = {0};
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status = check_file(file, &slot);
    if (status != VCK_OK)
        return status;
    struct vck_bytes secret = slot.type == VCK_KEY_PASSPHRASE ? offer->passphrase : offer->file;
    status = vck_key_slot_open(&slot, file.data + AT_VOLUME_ID, secret, stretcher, &key);
    if (status != VCK_OK)
        return status;
    memset(ret_backup, 0, sizeof(*ret_backup));
    memcpy(ret_backup->volume_id, file.data + AT_VOLUME_ID, VOLUME_ID_BYTES);
    ret_backup->created_s = vck_load_le64(file.data + AT_CREATED);
    status = open_payload(file, slot.size_bytes, &key, ret_backup);
    vck_secret_fini(&key);
    if (status != VCK_OK)
        vck_key_backup_fini(ret_backup);
    return status;
}

/* ---- restoring ---- */

/* The VMK opens the volume: only the slots are written. */
static vck_status restore_slots(const struct vck_key_backup *backup, struct vck_disk *disk,
                                struct vck_key_session *session) VCK_CAN_WAIT
{
    vck_status status = vck_key_session_open(session, disk, vmk_of(backup), true);
    if (status == VCK_OK &&
        memcmp(session->store.header.volume_id, backup->volume_id, VOLUME_ID_BYTES) != 0)
        status = VCK_VALIDATION_FAILED;
    if (status == VCK_OK) {
        memcpy(session->table, &backup->table, sizeof(backup->table));
        status = vck_key_session_commit(session);
    }
    vck_key_session_fini(session);
    return status;
}

/* Whether another volume is there. */
static vck_status check_stranger(const struct vck_key_backup *backup, struct vck_disk *disk,
                                 struct vck_store *store) VCK_CAN_WAIT
{
    vck_status status = vck_store_inspect(store, disk);
    bool is_other = status == VCK_OK &&
                    memcmp(store->header.volume_id, backup->volume_id, VOLUME_ID_BYTES) != 0;
    vck_store_fini(store);
    return is_other ? VCK_VALIDATION_FAILED : VCK_OK;
}

static vck_status restore_metadata(const struct vck_key_backup *backup, struct vck_disk *disk,
                                   struct vck_store *store) VCK_CAN_WAIT
{
    struct vck_block_header header;
    struct vck_block_metadata metadata;
    vck_status status = vck_block_decode_header(backup->block, &header);
    if (status != VCK_OK)
        return status;
    if (disk->size_bytes != backup->volume_size_bytes)
        return VCK_SIZE_MISMATCH;
    status = vck_block_default_codec.unseal(&vck_block_default_codec, backup->block, vmk_of(backup),
                                            &metadata);
    if (status != VCK_OK)
        return VCK_TAMPERED;
    metadata.intent = VCK_INTENT_PAUSED;
    metadata.generation++;
    status = vck_store_init_new(store, disk, &header, &metadata, vmk_of(backup));
    vck_wipe(&metadata, sizeof(metadata));
    struct vck_store_state state = store->state;
    if (status == VCK_OK)
        status = vck_store_write_all(store, &state, false);
    vck_store_fini(store);
    return status;
}

vck_status vck_key_backup_restore(const struct vck_key_backup *backup, struct vck_disk *disk,
                                  bool with_metadata)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_key_session *session = vck_alloc(sizeof(*session), KEYS_TAG);
    if (session == NULL)
        return VCK_NO_MEMORY;
    vck_status status = disk->read_only ? VCK_READ_ONLY : VCK_OK;
    if (status == VCK_OK)
        status = check_stranger(backup, disk, &session->store);
    if (status == VCK_OK) {
        status = vck_store_open(&session->store, disk, vmk_of(backup), NULL, VCK_STORE_ANY_REPLICA);
        vck_store_fini(&session->store);
        if (status != VCK_OK && status != VCK_NO_MEMORY && with_metadata)
            status = restore_metadata(backup, disk, &session->store);
    }
    if (status == VCK_OK)
        status = restore_slots(backup, disk, session);
    vck_free(session);
    return status;
}
