/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: the replicas of one volume's metadata. Finds them, chooses among them, and encodes what is
 * written back; which writes go between which flushes is the caller's protocol (volume/sweep,
 * volume/recover). Calls that do I/O block and belong to attach, prepare and check.
 * Source: docs/format.md, "Regions" and "Choosing among replicas".
 */
#ifndef VCK_STORE_H
#define VCK_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "port/disk.h"
#include "vck/block.h"
#include "vck/bytes.h"
#include "vck/layout.h"
#include "vck/secret.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* What one replica said. */
struct vck_replica {
    vck_status status; /* OK: passes every check. Otherwise why it is not used. */
    bool header_valid; /* header below is filled */
    bool unsealed;     /* the metadata fields below are filled */
    bool digest_present;
    struct vck_block_header header;
    uint64_t generation;
    uint64_t encrypted_offset_sectors;
    enum vck_direction direction;
    enum vck_intent intent;
};

/* Picks, per replica with a valid header, the codec that reads its sealed part; NULL rejects the
 * replica. The default selector accepts vendor id 0 with the default codec. */
struct vck_codec_selector {
    const struct vck_block_codec *(*select)(const struct vck_codec_selector *selector,
                                            const struct vck_block_header *header,
                                            uint32_t replica);
    void *context;
};

extern const struct vck_codec_selector vck_default_selector;

/* The mutable part of the metadata: what a sweep moves. */
struct vck_store_state {
    uint64_t encrypted_offset_sectors;
    enum vck_direction direction;
    enum vck_intent intent;
    uint64_t generation;
};

struct vck_store {
    struct vck_disk *disk; /* borrowed */
    struct vck_layout layout;
    const struct vck_block_codec *codec;
    struct vck_block_header header; /* of the winner; salt and reserved bytes included */
    struct vck_secret vmk;
    uint8_t fvek_key1[VCK_FVEK_KEY_BYTES];
    uint8_t fvek_key2[VCK_FVEK_KEY_BYTES];
    uint8_t rekey_nonce[VCK_REKEY_NONCE_BYTES];
    struct vck_store_state state; /* of the winner */
    struct vck_replica *replicas; /* layout.replica_count */
    uint32_t winner;              /* inspected: the replica the volume was found by */
    /* What opening found; writing does not change these. */
    bool any_generation_zero; /* among the valid ones: another writer was here last */
    bool any_differs;         /* some replica is not equal to the winner, reserved bytes
                                 included, or not valid */
    bool any_digest_absent;
    uint64_t generation_max; /* over the valid replicas */
    bool loose;              /* opened for inspection: no winner is fine */
};

#define VCK_STORE_ANY_REPLICA UINT32_MAX

/* Whether the data is on its way from one FVEK to another: the boundary then lies between the new
 * one (vck/rekey.h) and the store's. Any level. */
static inline bool vck_store_is_rekeying(const struct vck_store *store)
{
    return store->header.metadata_version == VCK_METADATA_REKEY;
}

/*
 * Finds the volume (docs/format.md: the order in which places are tried), reads every replica and
 * chooses the winner. Nothing is written. The disk stays the caller's. selector may be NULL for the
 * default. use_replica forces the winner (VCK_STORE_ANY_REPLICA: the rule decides). A replica that
 * cannot be read or fails a check is passed over while another one is whole.
 * SIGNATURE_MISMATCH: no volume here; CHECKSUM_MISMATCH: blocks found, none whole; WRONG_KEY,
 * TAMPERED; VALIDATION_FAILED: replicas disagree on the direction, or on the data keys;
 * OUT_OF_RANGE: no such use_replica; SIZE_MISMATCH: geometry does not fit the disk; UNSUPPORTED:
 * version, vendor, or sectors smaller than those the disk addresses; INVALID_DATA; IO; NO_MEMORY.
 * On every failure but NO_MEMORY and IO during probing, *store still holds the replicas found
 * (replicas, layout), for messages; call fini always. PASSIVE.
 */
VCK_CHECKED vck_status vck_store_open(struct vck_store *store, struct vck_disk *disk,
                                      struct vck_bytes vmk,
                                      const struct vck_codec_selector *selector,
                                      uint32_t use_replica) VCK_CAN_WAIT;

/* The same without a key: finds the volume, reads every replica's header. */
VCK_CHECKED vck_status vck_store_inspect(struct vck_store *store,
                                         struct vck_disk *disk) VCK_CAN_WAIT;

/* A store for a volume that is being made: nothing is read or written. header.salt is ignored.
 * UNSUPPORTED (vendor, version, sectors smaller than the disk's), INVALID_DATA, SIZE_MISMATCH,
 * NO_MEMORY. */
VCK_CHECKED vck_status vck_store_init_new(struct vck_store *store, struct vck_disk *disk,
                                          const struct vck_block_header *header,
                                          const struct vck_block_metadata *metadata,
                                          struct vck_bytes vmk);

/* Wipes and frees. Accepts a zeroed store. */
void vck_store_fini(struct vck_store *store);

/* Encodes replica's sector with a fresh salt for `state` into sector (sector_size_bytes, the rest
 * zero) and says where it goes (absolute bytes). CRYPTO_FAILED. */
VCK_CHECKED vck_status vck_store_encode(const struct vck_store *store, uint32_t replica,
                                        const struct vck_store_state *state, uint8_t *sector,
                                        uint64_t *ret_offset_bytes);

/* Writes `state` to every replica so that no interval between two flushes holds writes to all of
 * them: replicas that are behind first (stale_first: replicas 1.. before replica 0), flush, the
 * others, flush. On success store->state = state, durably. NO_MEMORY: nothing was written; after
 * any other failure (IO, CRYPTO_FAILED) some replica may have it. */
VCK_CHECKED vck_status vck_store_write_all(struct vck_store *store,
                                           const struct vck_store_state *state,
                                           bool stale_first) VCK_CAN_WAIT;

/* The vendor area and the reserved 192 bytes, for key slots and vendors. offset and size inside the
 * area of vck_layout_vendor_area. What is written is durable on return; write_all flushes after
 * each replica. OUT_OF_RANGE. The reserved bytes take effect with the next metadata write. */
VCK_CHECKED vck_status vck_store_vendor_read(struct vck_store *store, uint32_t replica,
                                             uint64_t offset_bytes, void *data,
                                             size_t size_bytes) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_store_vendor_write(struct vck_store *store, uint32_t replica,
                                              uint64_t offset_bytes, const void *data,
                                              size_t size_bytes) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_store_vendor_write_all(struct vck_store *store, uint64_t offset_bytes,
                                                  const void *data, size_t size_bytes) VCK_CAN_WAIT;
void vck_store_reserved_get(const struct vck_store *store,
                            uint8_t ret_reserved[VCK_BLOCK_RESERVED_BYTES]);
void vck_store_reserved_set(struct vck_store *store,
                            const uint8_t reserved[VCK_BLOCK_RESERVED_BYTES]);

VCK_END_DECLS

#endif
