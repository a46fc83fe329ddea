/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_block: one metadata block. The first byte says how much of it is made right before it is
 * read: the checksum, or also the HMAC around a sealed part that the input gives in plain. What is
 * read must come back when it is written and read again.
 */
#include <string.h>
#include "port/port.h"
#include "vck/block.h"
#include "vck/cbc.h"
#include "vck/crc32.h"
#include "vck/hkdf.h"
#include "vck/hmac.h"

#define FIX_CRC 1u
#define SEAL    2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[] = "jvck-cross-check-vmk";
static const struct vck_bytes vmk = {key, sizeof(key) - 1};

static void derive(const uint8_t *block, const char *info, uint8_t *out, size_t size)
{
    struct vck_bytes label = {(const uint8_t *)info, strlen(info)};
    VCK_ASSERT(vck_hkdf_sha256((struct vck_bytes){block + 32, 32}, vmk, label, out, size) ==
               VCK_OK);
}

/* Bytes 64 to 191 are the plaintext. */
static void seal_in_place(uint8_t *block)
{
    uint8_t mac[32];
    uint8_t enc[32];
    uint8_t iv[16];
    derive(block, "EncryptedMetadata:MAC", mac, sizeof(mac));
    derive(block, "EncryptedMetadata:ENC", enc, sizeof(enc));
    derive(block, "EncryptedMetadata:IV", iv, sizeof(iv));
    VCK_ASSERT(vck_cbc_encrypt(enc, iv, block + 64, block + 64, 128) == VCK_OK);
    vck_hmac_sha256_once((struct vck_bytes){mac, sizeof(mac)}, (struct vck_bytes){block + 64, 128},
                         block + 192);
}

static void check_again(const struct vck_block_header *header,
                        const struct vck_block_metadata *metadata)
{
    const struct vck_block_codec *codec = &vck_block_default_codec;
    uint8_t block[VCK_BLOCK_BYTES];
    struct vck_block_header header_read;
    struct vck_block_metadata read;
    VCK_ASSERT(header->sector_size_bytes == 512 || header->sector_size_bytes == 4096);
    VCK_ASSERT(header->metadata_size_bytes >= VCK_METADATA_SIZE_MIN);
    VCK_ASSERT(metadata->direction == VCK_ENCRYPTING || metadata->direction == VCK_DECRYPTING);
    VCK_ASSERT(metadata->intent <= VCK_INTENT_PAUSED);
    VCK_ASSERT(codec->seal(codec, header, metadata, vmk, block) == VCK_OK);
    VCK_ASSERT(vck_block_decode_header(block, &header_read) == VCK_OK);
    VCK_ASSERT(codec->unseal(codec, block, vmk, &read) == VCK_OK);
    VCK_ASSERT(read.encrypted_offset_sectors == metadata->encrypted_offset_sectors);
    VCK_ASSERT(read.direction == metadata->direction && read.intent == metadata->intent);
    VCK_ASSERT(read.generation == metadata->generation);
    VCK_ASSERT(read.digest_present == metadata->digest_present);
    VCK_ASSERT(memcmp(read.fvek_key1, metadata->fvek_key1, VCK_FVEK_KEY_BYTES) == 0);
    VCK_ASSERT(memcmp(read.rekey_nonce, metadata->rekey_nonce, VCK_REKEY_NONCE_BYTES) == 0);
    VCK_ASSERT(header_read.metadata_version == header->metadata_version);
    VCK_ASSERT(memcmp(header_read.reserved, header->reserved, VCK_BLOCK_RESERVED_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t block[VCK_BLOCK_BYTES] = {0};
    struct vck_block_header header;
    struct vck_block_metadata metadata;
    if (size < 1)
        return 0;
    memcpy(block, data + 1, VCK_MIN(size - 1, sizeof(block)));
    if (data[0] & SEAL)
        seal_in_place(block);
    if (data[0] & (FIX_CRC | SEAL))
        vck_store_le32(block + 508, vck_crc32(0, block, 508));
    if (vck_block_decode_header(block, &header) != VCK_OK)
        return 0;
    if (vck_block_default_codec.unseal(&vck_block_default_codec, block, vmk, &metadata) == VCK_OK)
        check_again(&header, &metadata);
    return 0;
}
