/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal: the record that makes one batch of an in-place sweep safe against a cut, and the list of
 * chunks a cut has destroyed. Pure codecs: buffers in, buffers out. Source: docs/format.md, "The
 * journal".
 */
#ifndef VCK_JOURNAL_H
#define VCK_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/block.h"
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_RECORD_HEADER_BYTES 72u
#define VCK_RECORD_TAGS_BYTES   16u /* old tag, new tag */
#define VCK_DAMAGE_MAX          504u

/* Derived from volume id and FVEK. Wipe after use. */
struct vck_journal_keys {
    uint8_t mac_key[32];
    uint8_t tag_key[16];
};

VCK_CHECKED vck_status vck_journal_keys_derive(struct vck_journal_keys *ret_keys,
                                               const uint8_t volume_id[16],
                                               const uint8_t fvek_key1[32],
                                               const uint8_t fvek_key2[32]);
void vck_journal_keys_wipe(struct vck_journal_keys *keys);

struct vck_record {
    enum vck_direction direction;
    uint64_t sequence;
    uint64_t base_generation;
    uint64_t first_sector; /* data-region relative */
    uint32_t sectors;
    uint32_t chunk_bytes; /* a power of two, 16 to sector_size_bytes */
};

/* Chunks of a record: sectors * sector_size / chunk; 0 when the chunk size is impossible. */
uint64_t vck_record_chunk_count(const struct vck_record *record, uint32_t sector_size_bytes);

/* Most sectors a record in a half of half_bytes can describe. */
uint32_t vck_record_sectors_max(uint32_t half_bytes, uint32_t sector_size_bytes,
                                uint32_t chunk_bytes);

/* Tags of a run of chunks, into the tag table of a record buffer: `which` 0 writes the old tags, 1
 * the new ones. table is record buffer + VCK_RECORD_HEADER_BYTES. */
void vck_record_tag(const struct vck_journal_keys *keys, unsigned which, const void *data,
                    uint64_t first_byte, uint32_t chunk_bytes, size_t chunk_count, uint8_t *table);

/* Completes a record whose tag table is filled in: header, HMAC, zeroes up to a multiple of
 * VCK_JOURNAL_BLOCK_BYTES. buffer_bytes must hold that. Returns the bytes to write. SIZE_MISMATCH
 * when it does not fit; INVALID_DATA (no sectors, impossible chunk size). */
VCK_CHECKED vck_status vck_record_seal(const struct vck_journal_keys *keys,
                                       const struct vck_record *record, uint32_t sector_size_bytes,
                                       uint8_t *buffer, size_t buffer_bytes,
                                       size_t *ret_size_bytes);

/* Reads a half. Checks, in this order: magic, version, the lengths, the HMAC, then the fields
 * against the volume (data_sectors). The tag table stays in `half`. NOT_FOUND: no record (magic is
 * zero); SIGNATURE_MISMATCH, UNSUPPORTED, INVALID_DATA, TAMPERED. */
VCK_CHECKED vck_status vck_record_open(const struct vck_journal_keys *keys, const uint8_t *half,
                                       size_t half_bytes, uint32_t sector_size_bytes,
                                       uint64_t data_sectors, struct vck_record *ret_record);

/* Where record `sequence` lies: byte offset inside the journal of one replica. */
static inline uint64_t vck_record_offset_bytes(uint64_t sequence, uint32_t half_bytes)
{
    return (sequence & 1) * half_bytes;
}

/* Byte offsets of destroyed chunks, data-region relative, ascending, without repeats. */
struct vck_damage_list {
    uint64_t sequence;
    uint32_t count;
    uint32_t chunk_bytes; /* not on disk: the atomic unit the entries were found with */
    uint64_t offset_bytes[VCK_DAMAGE_MAX];
};

void vck_damage_seal(const struct vck_journal_keys *keys, const struct vck_damage_list *list,
                     uint8_t slot[4096]);
/* Entries in any order are sorted; chunk_bytes is set to the smallest there is, 16.
 * NOT_FOUND (zero slot), SIGNATURE_MISMATCH, UNSUPPORTED, INVALID_DATA, TAMPERED. */
VCK_CHECKED vck_status vck_damage_open(const struct vck_journal_keys *keys,
                                       const uint8_t slot[4096], uint64_t data_bytes,
                                       struct vck_damage_list *ret_list);

/* Adds one chunk; DISK_FULL when there is no entry left. Removing a range drops the entries it
 * covers whole; returns how many. Overlap: whether an entry lies inside the range, and which. */
VCK_CHECKED vck_status vck_damage_add(struct vck_damage_list *list, uint64_t offset_bytes);
uint32_t vck_damage_remove_covered(struct vck_damage_list *list, uint64_t first_byte,
                                   uint64_t size_bytes);
bool vck_damage_overlaps(const struct vck_damage_list *list, uint64_t first_byte,
                         uint64_t size_bytes, uint64_t *ret_offset_bytes);

VCK_END_DECLS

#endif
