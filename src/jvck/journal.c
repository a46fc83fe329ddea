/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/hkdf.h"
#include "vck/hmac.h"
#include "vck/journal.h"
#include "vck/layout.h"
#include "vck/secret.h"
#include "vck/siphash.h"

#define AT_VERSION    4u
#define AT_DIRECTION  6u
#define AT_SEQUENCE   8u
#define AT_GENERATION 16u
#define AT_FIRST      24u
#define AT_SECTORS    32u
#define AT_CHUNK      36u
#define AT_HMAC       40u
#define HMAC_BYTES    32u

#define RECORD_VERSION  1u
#define CHUNK_BYTES_MIN 16u

static const uint8_t signature[4] = {'V', 'C', 'K', 'J'};

vck_status vck_journal_keys_derive(struct vck_journal_keys *ret_keys, const uint8_t volume_id[16],
                                   const uint8_t fvek_key1[32], const uint8_t fvek_key2[32])
{
    static const char mac_info[] = "VCK journal MAC";
    static const char tag_info[] = "VCK journal tag";
    struct vck_bytes salt = {volume_id, 16};
    uint8_t fvek[2 * VCK_FVEK_KEY_BYTES];
    uint8_t mac_key[32];
    uint8_t tag_key[32];
    struct vck_bytes ikm = {fvek, sizeof fvek};
    vck_status status;

    memcpy(fvek, fvek_key1, VCK_FVEK_KEY_BYTES);
    memcpy(fvek + VCK_FVEK_KEY_BYTES, fvek_key2, VCK_FVEK_KEY_BYTES);
    status = vck_hkdf_sha256(salt, ikm,
                             (struct vck_bytes){(const uint8_t *)mac_info, sizeof mac_info - 1},
                             mac_key, sizeof mac_key);
    if (status == VCK_OK)
        status = vck_hkdf_sha256(salt, ikm,
                                 (struct vck_bytes){(const uint8_t *)tag_info, sizeof tag_info - 1},
                                 tag_key, sizeof tag_key);
    if (status == VCK_OK) {
        memcpy(ret_keys->mac_key, mac_key, sizeof ret_keys->mac_key);
        memcpy(ret_keys->tag_key, tag_key, sizeof ret_keys->tag_key);
    }
    vck_wipe(fvek, sizeof fvek);
    vck_wipe(mac_key, sizeof mac_key);
    vck_wipe(tag_key, sizeof tag_key);
    return status;
}

void vck_journal_keys_wipe(struct vck_journal_keys *keys)
{
    vck_wipe(keys, sizeof *keys);
}

static bool chunk_is_possible(uint32_t chunk_bytes, uint32_t sector_size_bytes)
{
    return chunk_bytes >= CHUNK_BYTES_MIN && chunk_bytes <= sector_size_bytes &&
           (chunk_bytes & (chunk_bytes - 1)) == 0;
}

uint64_t vck_record_chunk_count(const struct vck_record *record, uint32_t sector_size_bytes)
{
    if (!chunk_is_possible(record->chunk_bytes, sector_size_bytes))
        return 0;
    return (uint64_t)record->sectors * (sector_size_bytes / record->chunk_bytes);
}

uint32_t vck_record_sectors_max(uint32_t half_bytes, uint32_t sector_size_bytes,
                                uint32_t chunk_bytes)
{
    uint32_t chunks;

    /* A record is written in whole blocks. */
    half_bytes -= half_bytes % VCK_JOURNAL_BLOCK_BYTES;
    if (half_bytes == 0 || !chunk_is_possible(chunk_bytes, sector_size_bytes))
        return 0;
    chunks = (half_bytes - VCK_RECORD_HEADER_BYTES) / VCK_RECORD_TAGS_BYTES;
    return chunks / (sector_size_bytes / chunk_bytes);
}

void vck_record_tag(const struct vck_journal_keys *keys, unsigned which, const void *data,
                    uint64_t first_byte, uint32_t chunk_bytes, size_t chunk_count, uint8_t *table)
{
    vck_siphash24_chunks(keys->tag_key, data, chunk_bytes, chunk_count, first_byte,
                         table + which * 8u, VCK_RECORD_TAGS_BYTES);
}

/* Over [buffer, buffer + size_bytes) with the HMAC field taken as zero. */
static void mac_of(const struct vck_journal_keys *keys, const uint8_t *buffer, size_t size_bytes,
                   uint8_t ret_mac[HMAC_BYTES])
{
    static const uint8_t zero[HMAC_BYTES];
    struct vck_hmac_sha256 hmac;
    size_t after = AT_HMAC + HMAC_BYTES;

    vck_hmac_sha256_init(&hmac, (struct vck_bytes){keys->mac_key, sizeof keys->mac_key});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){buffer, AT_HMAC});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){zero, sizeof zero});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){buffer + after, size_bytes - after});
    vck_hmac_sha256_final(&hmac, ret_mac);
}

/* At most 2^40 chunks: cannot overflow. */
static uint64_t record_bytes(uint64_t chunks)
{
    return VCK_RECORD_HEADER_BYTES + chunks * VCK_RECORD_TAGS_BYTES;
}

vck_status vck_record_seal(const struct vck_journal_keys *keys, const struct vck_record *record,
                           uint32_t sector_size_bytes, uint8_t *buffer, size_t buffer_bytes,
                           size_t *ret_size_bytes)
{
    uint64_t used = record_bytes(vck_record_chunk_count(record, sector_size_bytes));
    uint64_t rounded =
        (used + VCK_JOURNAL_BLOCK_BYTES - 1) / VCK_JOURNAL_BLOCK_BYTES * VCK_JOURNAL_BLOCK_BYTES;

    if (record->sectors == 0 || !chunk_is_possible(record->chunk_bytes, sector_size_bytes))
        return VCK_INVALID_DATA;
    if (rounded > buffer_bytes)
        return VCK_SIZE_MISMATCH;
    memset(buffer, 0, VCK_RECORD_HEADER_BYTES);
    memset(buffer + used, 0, (size_t)(rounded - used));
    memcpy(buffer, signature, sizeof signature);
    vck_store_le16(buffer + AT_VERSION, RECORD_VERSION);
    vck_store_le16(buffer + AT_DIRECTION, (uint16_t)record->direction);
    vck_store_le64(buffer + AT_SEQUENCE, record->sequence);
    vck_store_le64(buffer + AT_GENERATION, record->base_generation);
    vck_store_le64(buffer + AT_FIRST, record->first_sector);
    vck_store_le32(buffer + AT_SECTORS, record->sectors);
    vck_store_le32(buffer + AT_CHUNK, record->chunk_bytes);
    mac_of(keys, buffer, (size_t)used, buffer + AT_HMAC);
    *ret_size_bytes = (size_t)rounded;
    return VCK_OK;
}

vck_status vck_record_open(const struct vck_journal_keys *keys, const uint8_t *half,
                           size_t half_bytes, uint32_t sector_size_bytes, uint64_t data_sectors,
                           struct vck_record *ret_record)
{
    struct vck_record record;
    uint8_t mac[HMAC_BYTES];
    uint64_t chunks;

    if (half_bytes < VCK_RECORD_HEADER_BYTES || vck_load_le32(half) == 0)
        return VCK_NOT_FOUND;
    if (memcmp(half, signature, sizeof signature) != 0)
        return VCK_SIGNATURE_MISMATCH;
    if (vck_load_le16(half + AT_VERSION) != RECORD_VERSION)
        return VCK_UNSUPPORTED;
    record.sectors = vck_load_le32(half + AT_SECTORS);
    record.chunk_bytes = vck_load_le32(half + AT_CHUNK);
    if (!chunk_is_possible(record.chunk_bytes, sector_size_bytes) || record.sectors == 0)
        return VCK_INVALID_DATA;
    chunks = vck_record_chunk_count(&record, sector_size_bytes);
    if (chunks > (half_bytes - VCK_RECORD_HEADER_BYTES) / VCK_RECORD_TAGS_BYTES)
        return VCK_INVALID_DATA;
    mac_of(keys, half, (size_t)record_bytes(chunks), mac);
    if (!vck_equal_constant_time(mac, half + AT_HMAC, sizeof mac))
        return VCK_TAMPERED;
    record.direction =
        vck_load_le16(half + AT_DIRECTION) == VCK_DECRYPTING ? VCK_DECRYPTING : VCK_ENCRYPTING;
    record.sequence = vck_load_le64(half + AT_SEQUENCE);
    record.base_generation = vck_load_le64(half + AT_GENERATION);
    record.first_sector = vck_load_le64(half + AT_FIRST);
    if (record.first_sector > data_sectors || record.sectors > data_sectors - record.first_sector)
        return VCK_INVALID_DATA;
    *ret_record = record;
    return VCK_OK;
}
