/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block: the 512-byte JVCK metadata block, buffer to struct and back. Pure: no I/O, no allocation.
 * Opening has two phases. The header needs no key; the sealed part needs the VMK and a codec, which
 * a volume of another vendor may replace. Source: docs/format.md, "Metadata block".
 */
#ifndef VCK_BLOCK_H
#define VCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_BLOCK_BYTES          512u
#define VCK_BLOCK_RESERVED_BYTES 192u
#define VCK_METADATA_SIZE_MIN    131072u
#define VCK_VMK_BYTES_MAX        1024u
#define VCK_FVEK_KEY_BYTES       32u
#define VCK_REKEY_NONCE_BYTES    12u

/* Metadata versions. The second one stands for as long as the data goes from one FVEK to another;
 * who does not know it must not touch the volume meanwhile. */
#define VCK_METADATA_PLAIN 1u
#define VCK_METADATA_REKEY 2u

/* The part of the block that is readable without a key. */
struct vck_block_header {
    uint64_t vendor_id;
    uint16_t metadata_version;
    uint16_t vendor_version;
    uint32_t metadata_size_bytes;
    uint32_t sector_size_bytes;
    uint8_t header_count;
    uint8_t footer_count;
    uint8_t volume_id[16];
    uint8_t salt[16];
    uint8_t reserved[VCK_BLOCK_RESERVED_BYTES];
};

enum vck_direction {
    VCK_ENCRYPTING = 0,
    VCK_DECRYPTING = 1,
};

enum vck_intent {
    VCK_INTENT_UNRECORDED = 0,
    VCK_INTENT_RUN = 1,
    VCK_INTENT_PAUSED = 2,
};

/* The sealed part. Holds keys: wipe after use. */
struct vck_block_metadata {
    /* Of the data region, from its start: ciphertext; of VCK_METADATA_REKEY: under the new FVEK,
     * while all others are under the one of this block. */
    uint64_t encrypted_offset_sectors;
    enum vck_direction direction;
    enum vck_intent intent;
    uint64_t generation; /* 0: written by an implementation that knows none */
    bool digest_present; /* seal: write one; unseal: the header was authenticated by one */
    uint8_t fvek_key1[VCK_FVEK_KEY_BYTES];
    uint8_t fvek_key2[VCK_FVEK_KEY_BYTES];
    uint8_t rekey_nonce[VCK_REKEY_NONCE_BYTES]; /* of the rekey record that counts; else zero */
};

/* How the sealed part is written and read. A provider may bring its own for its vendor id. */
struct vck_block_codec {
    /* Fills block[0..511] from header (with its salt) and metadata. */
    vck_status (*seal)(const struct vck_block_codec *codec, const struct vck_block_header *header,
                       const struct vck_block_metadata *metadata, struct vck_bytes vmk,
                       uint8_t block[VCK_BLOCK_BYTES]);
    /* WRONG_KEY: the HMAC does not hold; TAMPERED: it holds and the content contradicts it. */
    vck_status (*unseal)(const struct vck_block_codec *codec, const uint8_t block[VCK_BLOCK_BYTES],
                         struct vck_bytes vmk, struct vck_block_metadata *ret_metadata);
    void *context;
};

/* The codec of the format, for vendor id 0. */
extern const struct vck_block_codec vck_block_default_codec;

/* Checks signature, CRC, version and the fields' domains (sector size 512 or 4096, metadata size,
 * at least one replica, zero fields zero) and fills *ret_header. SIGNATURE_MISMATCH,
 * CHECKSUM_MISMATCH, UNSUPPORTED (version), INVALID_DATA. Any level. */
VCK_CHECKED vck_status vck_block_decode_header(const uint8_t block[VCK_BLOCK_BYTES],
                                               struct vck_block_header *ret_header);

VCK_END_DECLS

#endif
