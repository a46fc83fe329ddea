/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/key_slot.h"
#include "port/port.h"
#include "vck/block.h"
#include "vck/gcm.h"
#include "vck/hkdf.h"
#include "vck/pbkdf2.h"
#include "vck/sha256.h"

#define KEYS_TAG VCK_TAG('K', 's', 'l', 'o')

enum {
    AT_SIZE = 0,
    AT_TYPE = 2,
    AT_NUMBER = 4,
    AT_UUID = 8,
    AT_CREATED = 24,
    AT_LABEL = 32,
    AT_KDF = 96,
    AT_PAYLOAD_SIZE = 98,
    AT_PASSES = 100,
    AT_MEMORY = 104,
    AT_LANES = 108,
    AT_SALT = 112,
    AT_NONCE = 144,
    AT_VMK_SIZE = 156,
    AT_VMK = 160,
};

#define SALT_BYTES 32u
#define KEY_BYTES  32u
#define UUID_BYTES 16u

/* The volume id, the head of the record, and the digest of the payload, if there is one. */
#define ASSOCIATED_BYTES (UUID_BYTES + AT_VMK + VCK_SHA256_BYTES)

/* ---- the KDF ---- */

static vck_status stretch_here(const struct vck_key_stretcher *stretcher,
                               const struct vck_argon2_params *params, struct vck_bytes password,
                               struct vck_bytes salt, uint8_t ret_key[32])
{
    const struct vck_bytes none = {0};
    size_t size_bytes = vck_argon2_memory_bytes(params);
    (void)stretcher;
    if (size_bytes == 0)
        return VCK_INVALID_DATA;
    void *memory = vck_alloc_pages(size_bytes, KEYS_TAG);
    if (memory == NULL)
        return VCK_NO_MEMORY;
    vck_status status = vck_argon2id(params, password, salt, none, none, VCK_ARGON2_AUTO, memory,
                                     ret_key, KEY_BYTES);
    vck_free_pages(memory, size_bytes);
    return status;
}

const struct vck_key_stretcher vck_key_default_stretcher = {.argon2id = stretch_here};

static vck_status check_range(uint64_t value, uint64_t lowest, uint64_t highest)
{
    if (value > highest)
        return VCK_UNSUPPORTED;
    return value < lowest ? VCK_INVALID_DATA : VCK_OK;
}

static vck_status check_argon2id(const struct vck_key_kdf *kdf)
{
    vck_status status = check_range(kdf->lanes, 1, VCK_ARGON2_LANES_MAX);
    if (status == VCK_OK)
        status = check_range(kdf->passes, 1, VCK_KEY_PASSES_MAX);
    if (status == VCK_OK)
        status = check_range(kdf->memory_kib, UINT64_C(8) * kdf->lanes, VCK_KEY_MEMORY_KIB_MAX);
    return status;
}

vck_status vck_key_kdf_check(const struct vck_key_kdf *kdf)
{
    if (kdf->kind == VCK_KEY_ARGON2ID)
        return check_argon2id(kdf);
    if (kdf->memory_kib != 0 || kdf->lanes != 0)
        return VCK_INVALID_DATA;
    if (kdf->kind == VCK_KEY_PBKDF2)
        return check_range(kdf->passes, 1, VCK_KEY_ITERATIONS_MAX);
    if (kdf->kind == VCK_KEY_HKDF)
        return kdf->passes == 0 ? VCK_OK : VCK_INVALID_DATA;
    return VCK_UNSUPPORTED;
}

static vck_status derive(const struct vck_key_kdf *kdf, const struct vck_key_stretcher *stretcher,
                         struct vck_bytes secret, const uint8_t *salt, uint8_t ret_key[KEY_BYTES])
{
    static const char info[] = "VCK key slot";
    const struct vck_bytes salted = {salt, SALT_BYTES};
    const struct vck_argon2_params params = {kdf->passes, kdf->memory_kib, kdf->lanes};
    if (stretcher == NULL)
        stretcher = &vck_key_default_stretcher;
    switch (kdf->kind) {
    case VCK_KEY_ARGON2ID:
        return stretcher->argon2id(stretcher, &params, secret, salted, ret_key);
    case VCK_KEY_PBKDF2:
        return vck_pbkdf2_sha512(secret, salted, kdf->passes, ret_key, KEY_BYTES);
    default:
        return vck_hkdf_sha256(salted, secret,
                               (struct vck_bytes){(const uint8_t *)info, sizeof(info) - 1}, ret_key,
                               KEY_BYTES);
    }
}

/* ---- the record ---- */

static uint32_t payload_at(uint32_t vmk_bytes)
{
    return (AT_VMK + vmk_bytes + VCK_GCM_TAG_BYTES + 7) / 8 * 8;
}

static uint32_t record_bytes(uint32_t vmk_bytes, uint32_t payload_bytes)
{
    return payload_at(vmk_bytes) + (payload_bytes + 7) / 8 * 8;
}

_Static_assert((AT_VMK + VCK_VMK_BYTES_MAX + VCK_GCM_TAG_BYTES + 7) / 8 * 8 +
                       (VCK_KEY_PAYLOAD_BYTES_MAX + 7) / 8 * 8 <=
                   VCK_KEY_RECORD_BYTES_MAX,
               "the longest record fits");

/* What the tag covers beside the key: everything that is not to be changed without the secret. */
static struct vck_bytes make_associated(const uint8_t *record, const uint8_t volume_id[16],
                                        uint8_t buffer[ASSOCIATED_BYTES])
{
    uint32_t vmk_bytes = vck_load_le32(record + AT_VMK_SIZE);
    uint16_t payload_bytes = vck_load_le16(record + AT_PAYLOAD_SIZE);
    memcpy(buffer, volume_id, UUID_BYTES);
    memcpy(buffer + UUID_BYTES, record, AT_VMK);
    memset(buffer + UUID_BYTES + AT_CREATED, 0, AT_KDF - AT_CREATED);
    if (payload_bytes == 0)
        return (struct vck_bytes){buffer, UUID_BYTES + AT_VMK};
    vck_sha256(record + payload_at(vmk_bytes), payload_bytes, buffer + UUID_BYTES + AT_VMK);
    return (struct vck_bytes){buffer, ASSOCIATED_BYTES};
}

static bool has_payload(uint16_t type)
{
    return type == VCK_KEY_TPM || type == VCK_KEY_NETWORK;
}

static bool is_secret_possible(uint16_t type, struct vck_bytes secret)
{
    if (type == VCK_KEY_RECOVERY)
        return secret.size_bytes == VCK_KEY_RECOVERY_BYTES;
    if (has_payload(type))
        return secret.size_bytes == VCK_KEY_SEALED_BYTES;
    return secret.size_bytes >= 1 && secret.size_bytes <= VCK_KEY_SECRET_BYTES_MAX;
}

static bool is_payload_possible(uint16_t type, size_t size_bytes)
{
    if (!has_payload(type))
        return size_bytes == 0;
    return size_bytes >= 1 && size_bytes <= VCK_KEY_PAYLOAD_BYTES_MAX;
}

static bool is_type_known(uint16_t type)
{
    return type == VCK_KEY_PASSPHRASE || type == VCK_KEY_FILE || type == VCK_KEY_RECOVERY ||
           has_payload(type);
}

/* What is random already is not stretched. */
static bool is_kind_possible(uint16_t type, enum vck_key_kdf_kind kind)
{
    return !has_payload(type) || kind == VCK_KEY_HKDF;
}

static vck_status check_spec(const struct vck_key_slot_spec *spec, struct vck_bytes secret,
                             struct vck_bytes vmk)
{
    if (!is_type_known(spec->type) || spec->number >= VCK_KEY_SLOTS_MAX ||
        !is_secret_possible(spec->type, secret) || !vck_key_label_is_possible(spec->label) ||
        !is_payload_possible(spec->type, spec->payload.size_bytes) ||
        !is_kind_possible(spec->type, spec->kdf.kind) || vmk.size_bytes < 1 ||
        vmk.size_bytes > VCK_VMK_BYTES_MAX)
        return VCK_INVALID_DATA;
    return vck_key_kdf_check(&spec->kdf);
}

/* Everything but the VMK. A UUID of version 4. */
static vck_status write_head(const struct vck_key_slot_spec *spec, uint32_t vmk_bytes,
                             uint8_t *record)
{
    uint32_t payload_bytes = (uint32_t)spec->payload.size_bytes;
    memset(record, 0, VCK_KEY_RECORD_BYTES_MAX);
    vck_store_le16(record + AT_SIZE, (uint16_t)record_bytes(vmk_bytes, payload_bytes));
    vck_store_le16(record + AT_TYPE, spec->type);
    vck_store_le16(record + AT_NUMBER, spec->number);
    vck_store_le64(record + AT_CREATED, spec->created_s);
    if (spec->label.size_bytes > 0)
        memcpy(record + AT_LABEL, spec->label.data, spec->label.size_bytes);
    vck_store_le16(record + AT_KDF, (uint16_t)spec->kdf.kind);
    vck_store_le16(record + AT_PAYLOAD_SIZE, (uint16_t)payload_bytes);
    vck_store_le32(record + AT_PASSES, spec->kdf.passes);
    vck_store_le32(record + AT_MEMORY, spec->kdf.memory_kib);
    vck_store_le32(record + AT_LANES, spec->kdf.lanes);
    vck_store_le32(record + AT_VMK_SIZE, vmk_bytes);
    if (payload_bytes > 0)
        memcpy(record + payload_at(vmk_bytes), spec->payload.data, payload_bytes);
    vck_status status = vck_random(record + AT_UUID, UUID_BYTES);
    if (status == VCK_OK)
        status = vck_random(record + AT_SALT, AT_VMK_SIZE - AT_SALT); /* and the nonce */
    record[AT_UUID + 6] = (uint8_t)((record[AT_UUID + 6] & 0x0f) | 0x40);
    record[AT_UUID + 8] = (uint8_t)((record[AT_UUID + 8] & 0x3f) | 0x80);
    return status;
}

vck_status vck_key_slot_make(const struct vck_key_slot_spec *spec, const uint8_t volume_id[16],
                             struct vck_bytes secret, struct vck_bytes vmk,
                             const struct vck_key_stretcher *stretcher, uint8_t *record,
                             uint32_t *ret_size_bytes)
{
    uint8_t key[KEY_BYTES], associated[ASSOCIATED_BYTES];
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status = check_spec(spec, secret, vmk);
    if (status == VCK_OK)
        status = write_head(spec, (uint32_t)vmk.size_bytes, record);
    if (status == VCK_OK)
        status = derive(&spec->kdf, stretcher, secret, record + AT_SALT, key);
    if (status != VCK_OK)
        goto out;
    status =
        vck_gcm_seal(key, record + AT_NONCE, make_associated(record, volume_id, associated),
                     record + AT_VMK, vmk.data, vmk.size_bytes, record + AT_VMK + vmk.size_bytes);
    if (status == VCK_OK)
        *ret_size_bytes = vck_load_le16(record + AT_SIZE);
out:
    vck_wipe(key, sizeof(key));
    return status;
}

/* ---- opening ---- */

vck_status vck_key_slot_kdf(const struct vck_key_slot *slot, struct vck_key_kdf *ret_kdf)
{
    const uint8_t *record = slot->record;
    if (!is_type_known(slot->type))
        return VCK_UNSUPPORTED;
    if (slot->size_bytes < record_bytes(1, 0))
        return VCK_INVALID_DATA;
    uint32_t vmk_bytes = vck_load_le32(record + AT_VMK_SIZE);
    uint16_t payload_bytes = vck_load_le16(record + AT_PAYLOAD_SIZE);
    if (vmk_bytes < 1 || vmk_bytes > VCK_VMK_BYTES_MAX ||
        !is_payload_possible(slot->type, payload_bytes) ||
        slot->size_bytes != record_bytes(vmk_bytes, payload_bytes))
        return VCK_INVALID_DATA;
    struct vck_key_kdf kdf = {
        .kind = vck_load_le16(record + AT_KDF),
        .passes = vck_load_le32(record + AT_PASSES),
        .memory_kib = vck_load_le32(record + AT_MEMORY),
        .lanes = vck_load_le32(record + AT_LANES),
    };
    if (!is_kind_possible(slot->type, kdf.kind))
        return VCK_UNSUPPORTED;
    vck_status status = vck_key_kdf_check(&kdf);
    if (status == VCK_OK)
        *ret_kdf = kdf;
    return status;
}

vck_status vck_key_slot_payload(const struct vck_key_slot *slot, struct vck_bytes *ret_payload)
{
    struct vck_key_kdf kdf;
    if (!has_payload(slot->type))
        return VCK_NOT_FOUND;
    vck_status status = vck_key_slot_kdf(slot, &kdf);
    if (status != VCK_OK)
        return status;
    ret_payload->data = slot->record + payload_at(vck_load_le32(slot->record + AT_VMK_SIZE));
    ret_payload->size_bytes = vck_load_le16(slot->record + AT_PAYLOAD_SIZE);
    return VCK_OK;
}

static vck_status unwrap(const struct vck_key_slot *slot, const uint8_t volume_id[16],
                         const uint8_t key[KEY_BYTES], struct vck_secret *vmk)
{
    uint8_t associated[ASSOCIATED_BYTES];
    const uint8_t *record = slot->record;
    return vck_gcm_open(key, record + AT_NONCE, make_associated(record, volume_id, associated),
                        vmk->data, record + AT_VMK, vmk->size_bytes,
                        record + AT_VMK + vmk->size_bytes);
}

vck_status vck_key_slot_open(const struct vck_key_slot *slot, const uint8_t volume_id[16],
                             struct vck_bytes secret, const struct vck_key_stretcher *stretcher,
                             struct vck_secret *ret_vmk)
{
    struct vck_key_kdf kdf;
    struct vck_secret vmk = {0};
    uint8_t key[KEY_BYTES];
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status = vck_key_slot_kdf(slot, &kdf);
    if (status != VCK_OK)
        return status;
    if (!is_secret_possible(slot->type, secret))
        return VCK_WRONG_KEY;
    status = vck_secret_init(&vmk, vck_load_le32(slot->record + AT_VMK_SIZE));
    if (status == VCK_OK)
        status = derive(&kdf, stretcher, secret, slot->record + AT_SALT, key);
    if (status == VCK_OK)
        status = unwrap(slot, volume_id, key, &vmk);
    vck_wipe(key, sizeof(key));
    if (status == VCK_OK)
        *ret_vmk = vmk;
    else
        vck_secret_fini(&vmk);
    return status;
}
