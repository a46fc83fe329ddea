/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/rekey.h"
#include "port/port.h"
#include "vck/disk_io.h"
#include "vck/gcm.h"
#include "vck/hkdf.h"
#include "vck/secret.h"

#define REKEY_TAG VCK_TAG('V', 'r', 'k', 'y')

#define AT_VERSION   4u
#define AT_ZERO      6u
#define AT_VOLUME_ID 8u
#define AT_NONCE     24u
#define AT_ZERO_TOO  36u
#define AT_WRAPPED   40u
#define AT_TAG       (AT_WRAPPED + WRAPPED_BYTES)
#define RECORD_BYTES (AT_TAG + VCK_GCM_TAG_BYTES)

/* Offsets in what is wrapped. */
#define IN_KEY1       0u
#define IN_KEY2       VCK_FVEK_KEY_BYTES
#define IN_SECRET     (2 * VCK_FVEK_KEY_BYTES)
#define WRAPPED_BYTES (IN_SECRET + VCK_REKEY_SECRET_BYTES)

#define RECORD_VERSION 1u

_Static_assert(VCK_REKEY_NONCE_BYTES == VCK_GCM_NONCE_BYTES, "it is the nonce of the wrapping");

static const uint8_t signature[4] = {'V', 'C', 'K', 'R'};

vck_status vck_rekey_draw(struct vck_rekey *ret_rekey)
{
    struct vck_rekey rekey;
    vck_status status = vck_random(&rekey, sizeof rekey);

    /* XTS with equal keys is weak. That two are drawn equal means that the generator is broken. */
    if (status == VCK_OK &&
        vck_equal_constant_time(rekey.fvek_key1, rekey.fvek_key2, VCK_FVEK_KEY_BYTES))
        status = VCK_CRYPTO_FAILED;
    if (status == VCK_OK)
        *ret_rekey = rekey;
    vck_rekey_wipe(&rekey);
    return status;
}

void vck_rekey_wipe(struct vck_rekey *rekey)
{
    vck_wipe(rekey, sizeof *rekey);
}

vck_status vck_rekey_journal_keys(const struct vck_rekey *rekey, const uint8_t volume_id[16],
                                  struct vck_journal_keys *ret_keys)
{
    return vck_journal_keys_derive(ret_keys, volume_id, rekey->journal_secret,
                                   rekey->journal_secret + VCK_FVEK_KEY_BYTES);
}

/* ---- the record ---- */

static vck_status derive_key(const uint8_t volume_id[16], struct vck_bytes vmk, uint8_t ret_key[32])
{
    static const char info[] = "VCK rekey";

    if (vmk.size_bytes == 0 || vmk.size_bytes > VCK_VMK_BYTES_MAX)
        return VCK_INVALID_DATA;
    return vck_hkdf_sha256((struct vck_bytes){volume_id, 16}, vmk,
                           (struct vck_bytes){(const uint8_t *)info, sizeof info - 1}, ret_key, 32);
}

vck_status vck_rekey_seal(const struct vck_rekey *rekey, const uint8_t volume_id[16],
                          struct vck_bytes vmk, uint8_t block[VCK_REKEY_BLOCK_BYTES])
{
    uint8_t inner[WRAPPED_BYTES];
    uint8_t key[32];
    vck_status status = derive_key(volume_id, vmk, key);

    if (status)
        return status;
    memset(block, 0, VCK_REKEY_BLOCK_BYTES);
    memcpy(block, signature, sizeof signature);
    vck_store_le16(block + AT_VERSION, RECORD_VERSION);
    memcpy(block + AT_VOLUME_ID, volume_id, 16);
    memcpy(block + AT_NONCE, rekey->nonce, sizeof rekey->nonce);
    memcpy(inner + IN_KEY1, rekey->fvek_key1, sizeof rekey->fvek_key1);
    memcpy(inner + IN_KEY2, rekey->fvek_key2, sizeof rekey->fvek_key2);
    memcpy(inner + IN_SECRET, rekey->journal_secret, sizeof rekey->journal_secret);
    status = vck_gcm_seal(key, rekey->nonce, (struct vck_bytes){block, AT_WRAPPED},
                          block + AT_WRAPPED, inner, sizeof inner, block + AT_TAG);
    vck_wipe(inner, sizeof inner);
    vck_wipe(key, sizeof key);
    return status;
}

static vck_status unwrap(const uint8_t *block, const uint8_t volume_id[16], struct vck_bytes vmk,
                         struct vck_rekey *ret_rekey)
{
    uint8_t inner[WRAPPED_BYTES];
    uint8_t key[32];
    vck_status status = derive_key(volume_id, vmk, key);

    if (status)
        return status;
    status = vck_gcm_open(key, block + AT_NONCE, (struct vck_bytes){block, AT_WRAPPED}, inner,
                          block + AT_WRAPPED, sizeof inner, block + AT_TAG);
    if (status == VCK_OK) {
        memcpy(ret_rekey->nonce, block + AT_NONCE, sizeof ret_rekey->nonce);
        memcpy(ret_rekey->fvek_key1, inner + IN_KEY1, sizeof ret_rekey->fvek_key1);
        memcpy(ret_rekey->fvek_key2, inner + IN_KEY2, sizeof ret_rekey->fvek_key2);
        memcpy(ret_rekey->journal_secret, inner + IN_SECRET, sizeof ret_rekey->journal_secret);
    }
    vck_wipe(inner, sizeof inner);
    vck_wipe(key, sizeof key);
    return status;
}

vck_status vck_rekey_open(const uint8_t block[VCK_REKEY_BLOCK_BYTES], const uint8_t volume_id[16],
                          const uint8_t nonce[VCK_REKEY_NONCE_BYTES], struct vck_bytes vmk,
                          struct vck_rekey *ret_rekey)
{
    if (vck_all_zero(block, VCK_REKEY_BLOCK_BYTES))
        return VCK_NOT_FOUND;
    if (memcmp(block, signature, sizeof signature) != 0)
        return VCK_SIGNATURE_MISMATCH;
    if (vck_load_le16(block + AT_VERSION) != RECORD_VERSION)
        return VCK_UNSUPPORTED;
    if (!vck_all_zero(block + AT_ZERO, AT_VOLUME_ID - AT_ZERO) ||
        !vck_all_zero(block + AT_ZERO_TOO, AT_WRAPPED - AT_ZERO_TOO) ||
        !vck_all_zero(block + RECORD_BYTES, VCK_REKEY_BLOCK_BYTES - RECORD_BYTES))
        return VCK_INVALID_DATA;
    if (memcmp(block + AT_VOLUME_ID, volume_id, 16) != 0 ||
        memcmp(block + AT_NONCE, nonce, VCK_REKEY_NONCE_BYTES) != 0)
        return VCK_VALIDATION_FAILED;
    return unwrap(block, volume_id, vmk, ret_rekey);
}

/* ---- on the disk ---- */

static vck_status write_replica(struct vck_store *store, uint32_t replica,
                                const uint8_t *block) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;

    for (uint32_t copy = 0; copy < VCK_KEY_COPIES && status == VCK_OK; copy++)
        status = vck_disk_write(store->disk, vck_layout_rekey_offset(&store->layout, replica, copy),
                                block, VCK_REKEY_BLOCK_BYTES);
    return status == VCK_OK ? vck_disk_flush(store->disk) : status;
}

vck_status vck_rekey_write(struct vck_store *store, const struct vck_rekey *rekey)
{
    uint8_t *block = vck_alloc_pages(VCK_REKEY_BLOCK_BYTES, REKEY_TAG);
    vck_status status;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!block)
        return VCK_NO_MEMORY;
    status = vck_rekey_seal(rekey, store->header.volume_id, vck_secret_bytes(&store->vmk), block);
    for (uint32_t i = 0; i < store->layout.replica_count && status == VCK_OK; i++)
        status = write_replica(store, i, block);
    vck_free_pages(block, VCK_REKEY_BLOCK_BYTES);
    return status;
}

vck_status vck_rekey_read(struct vck_store *store, struct vck_rekey *ret_rekey)
{
    uint8_t *block = vck_alloc_pages(VCK_REKEY_BLOCK_BYTES, REKEY_TAG);
    vck_status status = VCK_TAMPERED;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!block)
        return VCK_NO_MEMORY;
    for (uint32_t i = 0; i < VCK_KEY_COPIES * store->layout.replica_count && status; i++) {
        uint64_t at =
            vck_layout_rekey_offset(&store->layout, i / VCK_KEY_COPIES, i % VCK_KEY_COPIES);

        status = vck_disk_read(store->disk, at, block, VCK_REKEY_BLOCK_BYTES);
        if (status == VCK_OK)
            status = vck_rekey_open(block, store->header.volume_id, store->rekey_nonce,
                                    vck_secret_bytes(&store->vmk), ret_rekey);
        if (status == VCK_NO_MEMORY)
            break;
    }
    vck_free_pages(block, VCK_REKEY_BLOCK_BYTES);
    return status == VCK_OK || status == VCK_NO_MEMORY ? status : VCK_TAMPERED;
}
