/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/block.h"
#include "vck/cbc.h"
#include "vck/crc32.h"
#include "vck/hkdf.h"
#include "vck/hmac.h"
#include "vck/secret.h"
#include "vck/sha256.h"

/* Offsets in the block. */
#define AT_VENDOR_ID        4u
#define AT_METADATA_VERSION 12u
#define AT_VENDOR_VERSION   14u
#define AT_METADATA_SIZE    16u
#define AT_SECTOR_SIZE      20u
#define AT_HEADER_COUNT     24u
#define AT_FOOTER_COUNT     25u
#define AT_ZERO             26u
#define AT_VOLUME_ID        32u
#define AT_SALT             48u
#define AT_SEALED           64u
#define SEALED_BYTES        128u
#define AT_HMAC             192u
#define AT_ZERO_AFTER_HMAC  224u
#define AT_RESERVED         304u
#define AT_TAIL             496u
#define AT_CRC              508u

/* Offsets in the sealed part. */
#define IN_NONCE      4u /* zeroes unless a rekey is open */
#define IN_OFFSET     16u
#define IN_DIRECTION  24u
#define IN_INTENT     26u
#define IN_KEY1       32u
#define IN_KEY2       64u
#define IN_GENERATION 96u
#define IN_DIGEST     104u
#define DIGEST_BYTES  24u

static const uint8_t signature[4] = {'J', 'V', 'C', 'K'};

/* Neither the HMAC nor the digest covers these: what is not looked at could be changed. */
static bool are_zero_fields_zero(const uint8_t block[VCK_BLOCK_BYTES])
{
    return vck_all_zero(block + AT_ZERO, AT_VOLUME_ID - AT_ZERO) &&
           vck_all_zero(block + AT_ZERO_AFTER_HMAC, AT_RESERVED - AT_ZERO_AFTER_HMAC) &&
           vck_all_zero(block + AT_TAIL, AT_CRC - AT_TAIL);
}

vck_status vck_block_decode_header(const uint8_t block[VCK_BLOCK_BYTES],
                                   struct vck_block_header *ret_header)
{
    struct vck_block_header header;

    if (memcmp(block, signature, sizeof signature) != 0)
        return VCK_SIGNATURE_MISMATCH;
    if (vck_crc32(0, block, AT_CRC) != vck_load_le32(block + AT_CRC))
        return VCK_CHECKSUM_MISMATCH;
    header.vendor_id = vck_load_le64(block + AT_VENDOR_ID);
    header.metadata_version = vck_load_le16(block + AT_METADATA_VERSION);
    header.vendor_version = vck_load_le16(block + AT_VENDOR_VERSION);
    header.metadata_size_bytes = vck_load_le32(block + AT_METADATA_SIZE);
    header.sector_size_bytes = vck_load_le32(block + AT_SECTOR_SIZE);
    header.header_count = block[AT_HEADER_COUNT];
    header.footer_count = block[AT_FOOTER_COUNT];
    memcpy(header.volume_id, block + AT_VOLUME_ID, sizeof header.volume_id);
    memcpy(header.salt, block + AT_SALT, sizeof header.salt);
    memcpy(header.reserved, block + AT_RESERVED, sizeof header.reserved);
    if (header.metadata_version != VCK_METADATA_PLAIN &&
        header.metadata_version != VCK_METADATA_REKEY)
        return VCK_UNSUPPORTED;
    if (header.sector_size_bytes != 512 && header.sector_size_bytes != 4096)
        return VCK_INVALID_DATA;
    if (header.metadata_size_bytes < VCK_METADATA_SIZE_MIN ||
        header.header_count + header.footer_count == 0 || !are_zero_fields_zero(block))
        return VCK_INVALID_DATA;
    *ret_header = header;
    return VCK_OK;
}

static void encode_header(const struct vck_block_header *header, uint8_t block[VCK_BLOCK_BYTES])
{
    memset(block, 0, VCK_BLOCK_BYTES);
    memcpy(block, signature, sizeof signature);
    vck_store_le64(block + AT_VENDOR_ID, header->vendor_id);
    vck_store_le16(block + AT_METADATA_VERSION, header->metadata_version);
    vck_store_le16(block + AT_VENDOR_VERSION, header->vendor_version);
    vck_store_le32(block + AT_METADATA_SIZE, header->metadata_size_bytes);
    vck_store_le32(block + AT_SECTOR_SIZE, header->sector_size_bytes);
    block[AT_HEADER_COUNT] = header->header_count;
    block[AT_FOOTER_COUNT] = header->footer_count;
    memcpy(block + AT_VOLUME_ID, header->volume_id, sizeof header->volume_id);
    memcpy(block + AT_SALT, header->salt, sizeof header->salt);
    memcpy(block + AT_RESERVED, header->reserved, sizeof header->reserved);
}

/* ---- keys ---- */

struct block_keys {
    uint8_t mac[32];
    uint8_t enc[32];
    uint8_t iv[16];
};

static vck_status derive(const uint8_t *block, struct vck_bytes vmk, const char *info, uint8_t *out,
                         size_t out_bytes)
{
    /* Volume id and salt lie next to each other in the block. */
    struct vck_bytes salt = {block + AT_VOLUME_ID, 32};
    struct vck_bytes label = {(const uint8_t *)info, strlen(info)};

    return vck_hkdf_sha256(salt, vmk, label, out, out_bytes);
}

static vck_status derive_keys(const uint8_t *block, struct vck_bytes vmk, struct block_keys *keys)
{
    vck_status status;

    if (vmk.size_bytes == 0 || vmk.size_bytes > VCK_VMK_BYTES_MAX)
        return VCK_INVALID_DATA;
    status = derive(block, vmk, "EncryptedMetadata:MAC", keys->mac, sizeof keys->mac);
    if (status == VCK_OK)
        status = derive(block, vmk, "EncryptedMetadata:ENC", keys->enc, sizeof keys->enc);
    if (status == VCK_OK)
        status = derive(block, vmk, "EncryptedMetadata:IV", keys->iv, sizeof keys->iv);
    return status;
}

static void sealed_mac(const uint8_t *block, const struct block_keys *keys, uint8_t ret_mac[32])
{
    vck_hmac_sha256_once((struct vck_bytes){keys->mac, sizeof keys->mac},
                         (struct vck_bytes){block + AT_SEALED, SEALED_BYTES}, ret_mac);
}

/* Covers what the HMAC does not: the header with its salt, and the vendor's bytes. */
static void header_digest(const uint8_t *block, uint8_t ret_digest[DIGEST_BYTES])
{
    struct vck_sha256 sha;
    uint8_t full[32];

    vck_sha256_init(&sha);
    vck_sha256_update(&sha, block, AT_SEALED);
    vck_sha256_update(&sha, block + AT_RESERVED, VCK_BLOCK_RESERVED_BYTES);
    vck_sha256_final(&sha, full);
    memcpy(ret_digest, full, DIGEST_BYTES);
}

/* ---- the default codec ---- */

static vck_status seal(const struct vck_block_codec *codec, const struct vck_block_header *header,
                       const struct vck_block_metadata *metadata, struct vck_bytes vmk,
                       uint8_t block[VCK_BLOCK_BYTES])
{
    uint8_t inner[SEALED_BYTES] = {0};
    uint8_t made[VCK_BLOCK_BYTES];
    struct block_keys keys;
    vck_status status;

    (void)codec;
    encode_header(header, made);
    memcpy(inner, signature, sizeof signature);
    if (header->metadata_version == VCK_METADATA_REKEY)
        memcpy(inner + IN_NONCE, metadata->rekey_nonce, VCK_REKEY_NONCE_BYTES);
    vck_store_le64(inner + IN_OFFSET, metadata->encrypted_offset_sectors);
    vck_store_le16(inner + IN_DIRECTION, (uint16_t)metadata->direction);
    inner[IN_INTENT] = (uint8_t)metadata->intent;
    memcpy(inner + IN_KEY1, metadata->fvek_key1, VCK_FVEK_KEY_BYTES);
    memcpy(inner + IN_KEY2, metadata->fvek_key2, VCK_FVEK_KEY_BYTES);
    vck_store_le64(inner + IN_GENERATION, metadata->generation);
    if (metadata->digest_present)
        header_digest(made, inner + IN_DIGEST);
    status = derive_keys(made, vmk, &keys);
    if (status == VCK_OK)
        status = vck_cbc_encrypt(keys.enc, keys.iv, made + AT_SEALED, inner, SEALED_BYTES);
    if (status == VCK_OK) {
        sealed_mac(made, &keys, made + AT_HMAC);
        vck_store_le32(made + AT_CRC, vck_crc32(0, made, AT_CRC));
        memcpy(block, made, VCK_BLOCK_BYTES);
    }
    vck_wipe(inner, sizeof inner);
    vck_wipe(&keys, sizeof keys);
    return status;
}

static enum vck_intent decode_intent(uint8_t value)
{
    return value == VCK_INTENT_RUN || value == VCK_INTENT_PAUSED ? (enum vck_intent)value
                                                                 : VCK_INTENT_UNRECORDED;
}

static vck_status decode_inner(const uint8_t *block, const uint8_t *inner,
                               struct vck_block_metadata *ret_metadata)
{
    uint8_t digest[DIGEST_BYTES];
    bool digest_present = !vck_all_zero(inner + IN_DIGEST, DIGEST_BYTES);

    bool is_rekey = vck_load_le16(block + AT_METADATA_VERSION) == VCK_METADATA_REKEY;

    if (memcmp(inner, signature, sizeof signature) != 0)
        return VCK_TAMPERED;
    /* Only who knows generations and digests writes the second version. */
    if (is_rekey ? !digest_present || vck_load_le64(inner + IN_GENERATION) == 0
                 : !vck_all_zero(inner + IN_NONCE, VCK_REKEY_NONCE_BYTES))
        return VCK_TAMPERED;
    if (digest_present) {
        header_digest(block, digest);
        if (!vck_equal_constant_time(digest, inner + IN_DIGEST, DIGEST_BYTES))
            return VCK_TAMPERED;
    }
    *ret_metadata = (struct vck_block_metadata){
        .encrypted_offset_sectors = vck_load_le64(inner + IN_OFFSET),
        .direction =
            vck_load_le16(inner + IN_DIRECTION) == VCK_DECRYPTING ? VCK_DECRYPTING : VCK_ENCRYPTING,
        .intent = decode_intent(inner[IN_INTENT]),
        .generation = vck_load_le64(inner + IN_GENERATION),
        .digest_present = digest_present,
    };
    memcpy(ret_metadata->fvek_key1, inner + IN_KEY1, VCK_FVEK_KEY_BYTES);
    memcpy(ret_metadata->fvek_key2, inner + IN_KEY2, VCK_FVEK_KEY_BYTES);
    memcpy(ret_metadata->rekey_nonce, inner + IN_NONCE, VCK_REKEY_NONCE_BYTES);
    return VCK_OK;
}

static vck_status unseal(const struct vck_block_codec *codec, const uint8_t block[VCK_BLOCK_BYTES],
                         struct vck_bytes vmk, struct vck_block_metadata *ret_metadata)
{
    uint8_t inner[SEALED_BYTES];
    uint8_t mac[32];
    struct block_keys keys;
    vck_status status = derive_keys(block, vmk, &keys);

    (void)codec;
    if (status)
        goto out;
    sealed_mac(block, &keys, mac);
    if (!vck_equal_constant_time(mac, block + AT_HMAC, sizeof mac)) {
        status = VCK_WRONG_KEY;
        goto out;
    }
    status = vck_cbc_decrypt(keys.enc, keys.iv, inner, block + AT_SEALED, SEALED_BYTES);
    if (status == VCK_OK)
        status = decode_inner(block, inner, ret_metadata);
out:
    vck_wipe(inner, sizeof inner);
    vck_wipe(&keys, sizeof keys);
    return status;
}

const struct vck_block_codec vck_block_default_codec = {.seal = seal, .unseal = unseal};
